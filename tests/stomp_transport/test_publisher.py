"""Publishing to a broker that behaves, and what is reported of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from parts import publish, run_script
from stomp_parts import Behaviour, FakeBroker, Peer, configuration, good, silent, stomp_settings

from fedmsg.exceptions import BrokerRefused, NoPublisher, NotConfirmed

Start = Callable[..., FakeBroker]


def mute(peer: Peer) -> None:
    """Let the client in, read, and confirm nothing."""
    peer.accept()
    while peer.read():
        pass


def leaving(peer: Peer) -> None:
    """Close at CONNECT."""
    peer.read()


def test_what_is_sent(make_context: Callable[..., Any], peer: Start) -> None:
    """CONNECT and SEND have the headers that brokers and subscribers need."""
    broker = peer(good)
    config = configuration(broker.port, stomp_user="me", stomp_pass="sesame", stomp_vhost="v")
    context = make_context(**config)
    context.publish(topic="a:b", msg={"é": "日本 \U0001f600"}, modname="t")
    assert context.flush(10) == 0
    (_, connect, _), (command, headers, body) = broker.frames
    assert connect == {
        "accept-version": "1.2", "heart-beat": "10000,10000", "host": "v",
        "login": "me", "passcode": "sesame",
    }  # fmt: skip
    message = json.loads(body)
    assert (command, message["msg"]) == ("SEND", {"é": "日本 \U0001f600"})
    assert headers == {
        "destination": "/topic/org.fedoraproject.dev.t.a\\cb",
        "topic": "org.fedoraproject.dev.t.a\\cb", "msg_id": message["msg_id"],
        "content-type": "application/json", "content-length": str(len(body)),
        "persistent": "true", "receipt": headers["receipt"],
    }  # fmt: skip


def test_publish_does_not_wait(stomp_publisher: Callable[..., Any], peer: Start) -> None:
    """A window of messages is accepted without a receipt; beyond it publishing is an error."""
    publisher = stomp_publisher(stomp_settings(peer(mute).port, window=5), timeout=0.05)
    for number in range(5):
        publisher.send(b"org.a", b"{}", str(number))
    with pytest.raises(NotConfirmed, match=r"^5 messages are not confirmed") as caught:
        publisher.send(b"org.a", b"{}", "6")
    assert (caught.value.unconfirmed, isinstance(caught.value, OSError)) == (5, True)
    assert publisher.flush(0.05) == 5


def test_room_in_the_window_is_used(stomp_publisher: Callable[..., Any], peer: Start) -> None:
    """A full window is waited for; many more messages than it holds pass through it."""
    broker = peer(good)
    publisher = stomp_publisher(stomp_settings(broker.port, window=3))
    for number in range(200):
        publisher.send(b"org.a", b"{}", str(number))
    assert publisher.flush(10) == 0
    assert broker.ids() == [str(number) for number in range(200)]


def test_what_is_unconfirmed_is_reported(
    make_context: Callable[..., Any], peer: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """destroy() waits for receipts within its bound, then counts and logs what has none."""
    context = make_context(**configuration(peer(mute).port, zmq_linger=50))
    publish(context, "abc")
    context.destroy()
    assert context.undelivered == 3
    assert "3 messages were not confirmed" in caplog.text


def test_what_was_given_up_is_not_unconfirmed_any_more(
    stomp_publisher: Callable[..., Any], peer: Start
) -> None:
    """After close it is counted as undelivered, and nothing waits for it."""
    publisher = stomp_publisher(stomp_settings(peer(mute).port))
    publisher.send(b"org.a", b"{}")
    assert publisher.unconfirmed == 1
    publisher.close(0.01)
    assert (publisher.unconfirmed, publisher.undelivered) == (0, 1)


@pytest.mark.parametrize(
    ("behaviour", "timeout", "problem"),
    [(silent, 0.1, "no answer to CONNECT within 0.1 s"), (leaving, 60.0, "closed the connection")],
)
def test_why_there_is_no_connection(
    stomp_publisher: Callable[..., Any], peer: Start, eventually: Callable[..., Any],
    behaviour: Behaviour, timeout: float, problem: str,
) -> None:  # fmt: skip
    """A broker that says nothing is told from one that closes."""
    settings = stomp_settings(peer(behaviour).port, timeout=timeout)
    publisher = stomp_publisher(settings, settle=0.0)
    eventually(lambda: problem in publisher._session.problem, problem)


def test_close_does_not_wait_for_connected(
    stomp_publisher: Callable[..., Any], peer: Start, eventually: Callable[..., Any]
) -> None:
    """However long ``stomp_timeout`` is, a broker that says nothing holds up no end."""
    broker = peer(silent)
    publisher = stomp_publisher(stomp_settings(broker.port, timeout=600.0), settle=0.0)
    eventually(lambda: broker.connections, "a connection")
    publisher.close(0.0)
    names = {"fedmsg-stomp", "fedmsg-stomp-reader"}
    eventually(
        lambda: not names & {thread.name for thread in threading.enumerate()},
        "the end of the threads",
    )


def test_after_close(stomp_publisher: Callable[..., Any], peer: Start) -> None:
    """A closed publisher sends nothing; closing twice is harmless."""
    publisher = stomp_publisher(stomp_settings(peer(good).port))
    publisher.close()
    publisher.close()
    assert publisher.flush(1) == 0
    with pytest.raises(NoPublisher):
        publisher.send(b"org.a", b"{}")


def test_threads_share_a_connection(make_context: Callable[..., Any], peer: Start) -> None:
    """Contexts of several threads use one connection, and each keeps its order."""
    broker = peer(good)

    def work(name: str) -> None:
        context = make_context(**configuration(broker.port))
        publish(context, [f"{name}{number:02}" for number in range(50)])
        context.destroy()

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    keeper = make_context(**configuration(broker.port))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (keeper.undelivered, broker.connections) == (0, 1)
    topics = [headers["topic"].rpartition(".")[2] for _, headers, _ in broker.sent()]
    for name in "abcd":
        mine = [topic for topic in topics if topic[0] == name]
        assert mine == [f"{name}{number:02}" for number in range(50)]


def test_the_connection_ends_with_its_last_user(
    stomp_publisher: Callable[..., Any], peer: Start
) -> None:
    """When the last publisher closes, the broker is told; the next one connects anew."""
    broker = peer(good)
    first, second = (stomp_publisher(stomp_settings(broker.port)) for _ in range(2))
    first.close()
    second.send(b"org.a", b"{}", "1")
    second.close(10)
    assert [command for command, _, _ in broker.frames] == ["CONNECT", "SEND", "DISCONNECT"]
    stomp_publisher(stomp_settings(broker.port))
    assert broker.connections == 2


def test_nul_in_a_topic(stomp_publisher: Callable[..., Any], peer: Start) -> None:
    """A topic that STOMP cannot express is an error at once."""
    publisher = stomp_publisher(stomp_settings(peer(good).port))
    with pytest.raises(ValueError, match="NUL"):
        publisher.send(b"org.a\0b", b"{}", "1")


def test_a_refused_message(stomp_publisher: Callable[..., Any], peer: Start) -> None:
    """An ERROR that names a receipt becomes an exception, once; the connection goes on."""

    def refusing_second(peer: Peer) -> None:
        peer.accept()
        peer.confirm(1)
        frame = peer.read()
        assert frame is not None
        peer.send("ERROR", "no\x07 way", message="not allowed", receipt_id=frame[1]["receipt"])
        peer.confirm()

    broker = peer(refusing_second)
    publisher = stomp_publisher(stomp_settings(broker.port))
    publisher.send(b"org.a", b"{}", "1")
    publisher.send(b"org.b", b"{}", "2")
    with pytest.raises(BrokerRefused, match=r"2 to '/topic/org\.b': not allowed: no way") as caught:
        while publisher.flush(10):
            pass
    assert caught.value.destination == "/topic/org.b"
    publisher.send(b"org.c", b"{}", "3")
    assert (publisher.flush(10), publisher.undelivered) == (0, 1)
    assert (broker.connections, broker.ids()) == (1, ["1", "2", "3"])


def test_the_refused_message_is_found(
    stomp_publisher: Callable[..., Any], peer: Start, eventually: Callable[..., Any]
) -> None:
    """An ERROR without a receipt ends the connection; only the guilty message is given up."""

    def choosy(peer: Peer) -> None:
        peer.accept()
        while frame := peer.read():
            if frame[1].get("topic") == "org.bad":
                peer.send("ERROR", "not this one", message="access_refused")
                peer.send("ERROR", "Processing error", message="Processing error")
                return
            if "receipt" in frame[1]:
                peer.send("RECEIPT", receipt_id=frame[1]["receipt"])

    broker = peer(choosy)
    publisher = stomp_publisher(stomp_settings(broker.port))
    for number in range(9):
        publisher.send(b"org.bad" if number == 4 else b"org.good", b"{}", str(number))
    eventually(lambda: publisher.undelivered, "the message is given up")
    with pytest.raises(BrokerRefused, match="access_refused: not this one") as caught:
        publisher.send(b"org.good", b"{}", "not sent")
    assert caught.value.destination == "/topic/org.bad"
    assert publisher.flush(10) == 0
    good_ids = [headers["msg_id"] for _, headers, _ in broker.sent() if "good" in headers["topic"]]
    assert set(good_ids) == set("01235678") and publisher.undelivered == 1


def test_exit_waits_for_confirmations(peer: Start) -> None:
    """A program that publishes and ends leaves nothing behind, and says nothing."""
    broker = peer(good)
    run_script(
        """
        import sys, fedmsg
        fedmsg.init(
            zmq_enabled=False, stomp_uri="127.0.0.1:" + sys.argv[1], endpoints={},
            environment="dev", name="x", post_init_sleep=0,
        )
        for number in range(500):
            fedmsg.publish(topic=str(number), msg={"n": number}, modname="t")
        """,
        broker.port,
    )
    assert len(set(broker.ids())) == 500


def test_a_forked_child_connects_by_itself(peer: Start, eventually: Callable[..., Any]) -> None:
    """The child opens its own connection; the parent's stays as it was."""
    broker = peer(good)
    run_script(
        """
        import os, sys, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads, from 3.12 on
        import fedmsg
        fedmsg.init(
            zmq_enabled=False, stomp_uri="127.0.0.1:" + sys.argv[1], endpoints={},
            environment="dev", name="x", post_init_sleep=10,
        )
        fedmsg.publish(topic="parent", msg={}, modname="t")
        child = os.fork()
        fedmsg.publish(topic="both", msg={}, modname="t")
        fedmsg.destroy()
        if not child:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        """,
        broker.port,
    )
    topics = [headers["topic"].rpartition(".")[2] for _, headers, _ in broker.sent()]
    assert (sorted(topics), broker.connections) == (["both", "both", "parent"], 2)


def test_a_stuck_send_to_a_silent_broker(stomp_publisher: Callable[..., Any], peer: Start) -> None:
    """One that neither reads nor sends the heart-beats it promised is left."""

    def dead(peer: Peer) -> None:
        peer.accept(heart_beat="100,0")
        peer.hold()

    broker = peer(dead, good)
    publisher = stomp_publisher(stomp_settings(broker.port, heartbeat=100, timeout=1.0))
    publisher.send(b"org.a", b"x" * 20_000_000, "1")
    assert publisher.flush(20) == 0
    assert broker.connections == 2
