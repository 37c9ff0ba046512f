"""Brokers that go away, say nothing, or say nonsense: nothing hangs, nothing is lost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from parts import publish
from stomp_parts import (
    Behaviour,
    FakeBroker,
    Peer,
    configuration,
    good,
    refusing,
    secret,
    silent,
    stomp_settings,
)

from fedmsg.exceptions import BrokerRefused, NotConfirmed

Start = Callable[..., FakeBroker]
IDS = [str(number) for number in range(20)]


def closing(peer: Peer) -> None:
    """Close at CONNECT."""
    peer.read()


def dropping(peer: Peer) -> None:
    """Let the client in and close."""
    peer.accept()


def garbage(peer: Peer) -> None:
    """Answer with bytes that are not STOMP."""
    peer.raw(bytes(range(1, 256)) * 40 + b"\0\0\n\n\0" + b"HTTP/1.1 400 Bad Request\r\n\r\n\0")
    peer.hold()


def garbage_later(peer: Peer) -> None:
    """Let the client in, then send a receipt without an id, an unknown frame, and half of one."""
    peer.accept()
    peer.read()
    peer.raw(b"RECEIPT\n\n\0\xff\xfe:\xfd\n\n\0SURPRISE\na:b\n\n\0RECEIPT\nreceipt-id")


def cutting(peer: Peer) -> None:
    """Take one message, and cut the connection in the middle of its receipt."""
    peer.accept()
    peer.read()
    peer.raw(b"RECEIPT\nreceipt-id:1\n")


def cutting_sends(peer: Peer) -> None:
    """Cut the connection in the middle of what is being sent."""
    peer.accept()
    peer.socket.recv(50)


def confirming_three(peer: Peer) -> None:
    """Confirm three messages and go away."""
    peer.accept()
    peer.confirm(3)


@pytest.mark.parametrize(
    "behaviour",
    [closing, dropping, garbage, garbage_later, cutting, cutting_sends, confirming_three, silent],
)
def test_unconfirmed_messages_are_sent_again(
    stomp_publisher: Callable[..., Any], peer: Start, behaviour: Behaviour
) -> None:
    """Whatever ends a connection, all messages arrive in order through the next one."""
    broker = peer(behaviour, good)
    publisher = stomp_publisher(stomp_settings(broker.port, timeout=0.3), settle=0.0)
    for name in IDS:
        publisher.send(b"org.a", b"{}", name)
    assert publisher.flush(15) == 0
    assert publisher.undelivered == 0
    first_seen = list(dict.fromkeys(broker.ids()))
    assert first_seen == IDS and broker.connections == 2
    # What was sent again came in order too.
    assert broker.ids()[-1] == IDS[-1]


@pytest.mark.parametrize("behaviour", [closing, silent, refusing, garbage])
def test_fail_over(stomp_publisher: Callable[..., Any], peer: Start, behaviour: Behaviour) -> None:
    """A broker that is of no use costs its bound; the next of the list gets the messages."""
    useless, useful = peer(behaviour), peer(good)
    settings = stomp_settings(useless.port, useful.port, timeout=0.3)
    publisher = stomp_publisher(settings, settle=0.0)
    # A broker that says no is an error until another has said yes.
    session = publisher._session
    with session.condition:
        assert session.condition.wait_for(lambda: session.endpoint, 10)
    publisher.send(b"org.a", b"{}", "1")
    assert (publisher.flush(10), useful.ids()) == (0, ["1"])


def test_fail_over_when_a_broker_is_lost(stomp_publisher: Callable[..., Any], peer: Start) -> None:
    """The broker goes away with messages unconfirmed: the next one gets them, under their ids."""
    first, second = peer(confirming_three, silent), peer(good)
    publisher = stomp_publisher(stomp_settings(first.port, second.port))
    for name in IDS:
        publisher.send(b"org.a", b"{}", name)
    assert publisher.flush(10) == 0
    assert set(first.ids()[:3] + second.ids()) == set(IDS)
    assert second.ids() == sorted(second.ids(), key=int)


def test_a_name_that_cannot_be_one(stomp_publisher: Callable[..., Any], peer: Start) -> None:
    """A host that the resolver does not even try costs nothing but the attempt."""
    useful = peer(good)
    settings = stomp_settings(useful.port)
    settings = settings._replace(brokers=(("a" * 70, 1), ("a..b", 1), *settings.brokers))
    publisher = stomp_publisher(settings, settle=0.0)
    publisher.send(b"org.a", b"{}", "1")
    assert publisher.flush(15) == 0


def test_nobody_listens(
    make_context: Callable[..., Any], port: Callable[[], int], peer: Start
) -> None:
    """Without any broker messages wait; a full window is an error that says why."""
    config = configuration(
        port(), post_init_sleep=0.2, stomp_window=2, stomp_window_timeout=0.1, zmq_linger=100
    )
    context = make_context(**config)
    publish(context, "ab")
    with pytest.raises(NotConfirmed, match="2 messages .*refused"):
        publish(context, "c")
    context.destroy()
    assert context.undelivered == 2


def test_a_broker_that_stops_reading(stomp_publisher: Callable[..., Any], peer: Start) -> None:
    """A send that does not move on is given up within its bound, and the message sent again."""

    def stalled(peer: Peer) -> None:
        peer.accept()
        peer.hold()

    broker = peer(stalled, good)
    publisher = stomp_publisher(stomp_settings(broker.port, timeout=0.3))
    body = b"x" * 20_000_000  # more than the buffers of both sides
    publisher.send(b"org.a", body, "1")
    assert publisher.flush(30) == 0
    assert [(headers["msg_id"], len(data)) for _, headers, data in broker.sent()] == [
        ("1", len(body))
    ]


def test_closing_while_a_send_is_stuck(stomp_publisher: Callable[..., Any], peer: Start) -> None:
    """A stuck send does not hold up the end of a program."""

    def stalled(peer: Peer) -> None:
        peer.accept(heart_beat="100,0")
        while not peer.broker.closing.wait(0.1):  # it lives, and does not read
            peer.raw(b"\n")

    publisher = stomp_publisher(stomp_settings(peer(stalled).port, heartbeat=100))
    publisher.send(b"org.a", b"x" * 20_000_000, "1")
    began = time.monotonic()
    publisher.close(0.2)
    assert publisher.undelivered == 1
    assert time.monotonic() - began < 10


def test_closing_while_connecting(stomp_publisher: Callable[..., Any], peer: Start) -> None:
    """A connection that is being made does not hold up the end of a program."""
    publisher = stomp_publisher(stomp_settings(peer(silent).port, timeout=60.0), settle=0.0)
    threads = publisher._session._threads
    publisher.close(0.0)
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_a_half_open_connection(stomp_publisher: Callable[..., Any], peer: Start) -> None:
    """A broker that promised heart-beats and sends none is left."""

    def dead(peer: Peer) -> None:
        peer.accept(heart_beat="100,0")
        peer.hold()

    broker = peer(dead, good)
    publisher = stomp_publisher(stomp_settings(broker.port, heartbeat=100))
    publisher.send(b"org.a", b"{}", "1")
    assert publisher.flush(15) == 0
    assert broker.connections == 2


def test_heart_beats_are_sent(
    stomp_publisher: Callable[..., Any], peer: Start, eventually: Callable[..., Any]
) -> None:
    """A broker that wants heart-beats gets them."""

    def counting(peer: Peer) -> None:
        peer.accept(heart_beat="0,100")
        for _ in range(3):
            while b"\n" not in peer.socket.recv(100):
                pass
            peer.broker.beats += 1

    broker = peer(counting, good)
    stomp_publisher(stomp_settings(broker.port, heartbeat=100))
    eventually(lambda: broker.beats >= 3, "three heart-beats")


def test_heart_beats_before_a_frame(stomp_publisher: Callable[..., Any], peer: Start) -> None:
    """A receipt that follows several heart-beats in one packet counts; stomp.py would lose it."""

    def beating(peer: Peer) -> None:
        peer.accept()
        for _ in range(3):
            frame = peer.read()
            assert frame is not None
            receipt = frame[1]["receipt"]
            peer.raw(f"\n\n\nRECEIPT\nreceipt-id:{receipt}\n\n\0".encode())
        peer.hold()

    broker = peer(beating)
    publisher = stomp_publisher(stomp_settings(broker.port))
    for name in "abc":
        publisher.send(b"org.a", b"{}", name)
        assert publisher.flush(10) == 0
    assert broker.connections == 1


def test_we_are_refused(make_context: Callable[..., Any], peer: Start) -> None:
    """While every broker refuses us publishing is an error, and accepts nothing."""
    broker = peer(refusing)
    context = make_context(**configuration(broker.port))
    with pytest.raises(BrokerRefused, match="Bad CONNECT") as caught:
        publish(context, "a")
    assert isinstance(caught.value, PermissionError)
    context.destroy()
    assert context.undelivered == 0


def test_passwords_are_not_shown(
    stomp_publisher: Callable[..., Any], peer: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in any log at any level, nor in an exception, even if the broker repeats it."""
    caplog.set_level(logging.DEBUG)
    refuser = peer(refusing, good)
    settings = stomp_settings(refuser.port, user="me", password=secret("sesame"), delay=1.0)
    publisher = stomp_publisher(settings)
    with pytest.raises(BrokerRefused) as caught:
        publisher.send(b"org.a", b"{}", "1")
    session = publisher._session
    with session.condition:
        assert session.condition.wait_for(lambda: session.endpoint, 10)
    publisher.send(b"org.a", b"{}", "1")
    assert publisher.flush(10) == 0
    assert refuser.frames[0][1]["passcode"] == "sesame"
    assert "sesame" not in caplog.text + str(caught.value) + repr(vars(publisher))


def test_pauses_grow(
    stomp_publisher: Callable[..., Any], peer: Start, eventually: Callable[..., Any]
) -> None:
    """A broker that lets us in and closes at once is not asked at full speed for ever."""
    broker, began = peer(dropping), time.monotonic()
    stomp_publisher(stomp_settings(broker.port))
    eventually(lambda: broker.connections >= 8, "eight attempts")
    assert time.monotonic() - began > 0.01 / 2 * (2**7 - 1)


def test_heart_beats_after_one_alone(
    stomp_publisher: Callable[..., Any], peer: Start, eventually: Callable[..., Any]
) -> None:
    """One that came by itself leaves a place where a frame may begin, too."""
    alone: list[float] = []
    heard = threading.Event()

    def beating(peer: Peer) -> None:
        peer.accept()
        frame = peer.read()
        assert frame is not None
        alone.append(time.monotonic())
        peer.raw(b"\n")
        heard.wait(20)
        peer.raw(f"\n\nRECEIPT\nreceipt-id:{frame[1]['receipt']}\n\n\0".encode())
        peer.hold()

    publisher = stomp_publisher(stomp_settings(peer(beating).port))
    publisher.send(b"org.a", b"{}", "a")
    eventually(lambda: alone and publisher._session._connection.heard > alone[0], "the beat")
    heard.set()
    assert publisher.flush(10) == 0


def test_a_slow_receiver_is_not_a_silent_broker(
    stomp_subscriber: Callable[..., Any], peer: Start
) -> None:
    """While a full queue keeps the broker waiting nobody listens to its heart-beats."""
    beaten = threading.Event()

    def beating(peer: Peer) -> None:
        peer.accept(heart_beat="100,0")
        frame = peer.read()
        assert frame is not None
        peer.send("RECEIPT", receipt_id=frame[1]["receipt"])
        for number in range(1500):
            peer.send("MESSAGE", "{}", destination=f"/topic/org.{number}", message_id=number)
        for _ in range(20):  # five times as long as silence may last
            peer.broker.closing.wait(0.05)
            peer.raw(b"\n")
        beaten.set()
        peer.hold()

    broker = peer(beating)
    subscriber = stomp_subscriber(stomp_settings(broker.port, heartbeat=100), ["org."])
    deliveries = subscriber.deliveries()
    topics = [next(deliveries).topic]
    assert beaten.wait(20)
    topics += [next(deliveries).topic for _ in range(1499)]
    deliveries.close()
    assert topics == [f"org.{number}" for number in range(1500)]
    assert broker.connections == 1


def test_a_frame_without_end(
    stomp_publisher: Callable[..., Any],
    peer: Start,
    eventually: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A broker cannot fill our memory: it is left."""
    monkeypatch.setattr("fedmsg.transports.stomp.MAX_FRAME", 100_000)

    def endless(peer: Peer) -> None:
        peer.accept()
        peer.raw(b"MESSAGE\n\n" + b"x" * 200_000)
        peer.hold()

    broker = peer(endless, good)
    stomp_publisher(stomp_settings(broker.port))
    eventually(lambda: broker.connections == 2, "another connection")
