"""Receiving from a broker, one delivery after another."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from parts import Listening
from stomp_parts import FakeBroker, Peer, configuration, good, refusing, stomp_settings

from fedmsg.exceptions import BrokerRefused, ConfigurationError

Start = Callable[..., FakeBroker]
TOPIC = "org.fedoraproject.dev.t."


def serving(*messages: tuple[str, str], server: str = "RabbitMQ/0", end: bool = False) -> Any:
    """Return a behaviour: let the client in, confirm its subscriptions, send it messages."""

    def behaviour(peer: Peer) -> None:
        peer.accept(server=server)
        frame = peer.read()
        if frame is None:
            return
        peer.send("RECEIPT", receipt_id=frame[1]["receipt"])
        for number, (topic, body) in enumerate(messages):
            peer.send("MESSAGE", body, destination=f"/topic/{topic}", ack=f"ack-{number}",
                      message_id=number, subscription="0",
                      content_length=len(body.encode()))  # fmt: skip
        if not end:
            peer.confirm()

    return behaviour


def message(topic: str, **msg: Any) -> tuple[str, str]:
    """Return topic and body of a bus message."""
    return TOPIC + topic, json.dumps({"topic": TOPIC + topic, "msg": msg})


def subscribed(broker: FakeBroker) -> list[dict[str, str]]:
    """Return the headers of every SUBSCRIBE."""
    return [headers for command, headers, _ in list(broker.frames) if command == "SUBSCRIBE"]


def test_tail_messages(make_context: Callable[..., Any], peer: Start) -> None:
    """tail_messages yields name, address, topic and message; the prefix is applied here."""
    broker = peer(serving(message("ab.c", n="日本"), message("x.c"), message("abend")))
    context = make_context(**configuration(broker.port, mute=True))
    heard = Listening(context.tail_messages(topic=TOPIC + "ab")).over()
    assert heard == [
        ("stomp", f"127.0.0.1:{broker.port}", topic, json.loads(body))
        for topic, body in (message("ab.c", n="日本"), message("abend"))
    ]
    (headers,) = subscribed(broker)
    assert headers["destination"] == f"/topic/{TOPIC}#"
    assert (headers["ack"], headers["id"]) == ("auto", "0")


def test_hostile_messages(make_context: Callable[..., Any], peer: Start) -> None:
    """What is not a bus message is counted and skipped, as with zeromq."""
    bodies = ["", "no json", "[1]", "\x01", "{" * 100_000, '{"a": 1}{']
    broker = peer(serving(*[(TOPIC + "a", body) for body in bodies], message("end")))
    context = make_context(**configuration(broker.port, mute=True))
    with pytest.warns(UserWarning, match="invalid message received"):
        heard = Listening(context.tail_messages()).over()
    assert [topic for _, _, topic, _ in heard] == [TOPIC + "end"]
    assert sum(context.rejected.values()) == len(bodies)


def test_acknowledged_at_once(make_context: Callable[..., Any], peer: Start) -> None:
    """In a client mode tail_messages acknowledges each message, unwanted ones too."""
    broker = peer(serving(message("a"), message("unwanted"), message("end")))
    config = configuration(broker.port, mute=True, stomp_ack_mode="client-individual")
    context = make_context(**config)
    with_end = [TOPIC + "a", TOPIC + "end"]
    matching = Listening(context.tail_messages(topic=TOPIC)).over()
    assert [topic for _, _, topic, _ in matching] == [with_end[0], TOPIC + "unwanted", with_end[1]]
    acks = [headers["id"] for command, headers, _ in broker.frames if command == "ACK"]
    assert acks == ["ack-0", "ack-1", "ack-2"]
    assert subscribed(broker)[0]["prefetch-count"] == "1000"


def test_ack_and_nack(
    stomp_subscriber: Callable[..., Any], peer: Start, eventually: Callable[..., Any]
) -> None:
    """A delivery is answered when its receiver says so, and how."""
    broker = peer(serving(message("a"), message("b"), message("c")))
    subscriber = stomp_subscriber(
        stomp_settings(broker.port), [TOPIC + "*"], ack_mode="client-individual"
    )
    deliveries = subscriber.deliveries()
    first, second, _third = (next(deliveries) for _ in range(3))
    assert (first.topic, json.loads(first.body)["msg"]) == (TOPIC + "a", {})
    second.nack()
    first.ack()
    eventually(lambda: len([f for f in list(broker.frames) if f[0].endswith("ACK")]) == 2)
    answers = [(f[0], f[1]["id"]) for f in broker.frames if f[0].endswith("ACK")]
    assert answers == [("NACK", "ack-1"), ("ACK", "ack-0")]
    deliveries.close()


def test_answers_of_a_lost_connection(stomp_subscriber: Callable[..., Any], peer: Start) -> None:
    """An answer to a delivery of an earlier connection is not sent: the ids are others now."""
    broker = peer(serving(message("a"), end=True), serving(message("b")))
    subscriber = stomp_subscriber(
        stomp_settings(broker.port), [TOPIC], ack_mode="client", matches=lambda topic: True
    )
    deliveries = subscriber.deliveries()
    seen = [next(deliveries)]
    while not seen[-1].topic.endswith("b"):
        seen.append(next(deliveries))
    for delivery in seen:
        delivery.ack()
    deliveries.close()
    assert [f[0] for f in broker.frames].count("ACK") == 1


def test_subscribed_again(stomp_subscriber: Callable[..., Any], peer: Start) -> None:
    """After a loss every subscription is made anew, in the next broker's own dialect."""
    first = peer(serving(message("a"), end=True))
    second = peer(serving(message("b"), server="ActiveMQ/5"))
    subscriber = stomp_subscriber(stomp_settings(first.port, second.port), [TOPIC + "*"])
    deliveries = subscriber.deliveries()
    assert [next(deliveries).topic for _ in range(2)] == [TOPIC + "a", TOPIC + "b"]
    deliveries.close()
    assert subscribed(first)[0]["destination"] == f"/topic/{TOPIC}#"
    assert subscribed(second)[0]["destination"] == f"/topic/{TOPIC}>"


def test_durable_subscription(make_context: Callable[..., Any], peer: Start) -> None:
    """More headers go to SUBSCRIBE, the client-id to CONNECT; a queue replaces the topics."""
    broker = peer(serving(message("end"), server="somebody"))
    config = configuration(
        broker.port, mute=True, stomp_queue="/queue/q",
        stomp_subscribe_headers={"client-id": "me", "durable": "true", "x": 5},
    )  # fmt: skip
    Listening(make_context(**config).tail_messages()).over()
    (headers,) = subscribed(broker)
    assert (headers["destination"], headers["durable"], headers["x"]) == ("/queue/q", "true", "5")
    assert broker.frames[0][1]["client-id"] == "me" and "client-id" not in headers
    assert not [f for f in broker.frames if f[0] == "UNSUBSCRIBE"]


def test_unknown_broker(make_context: Callable[..., Any], peer: Start) -> None:
    """A broker whose wildcards are not known is an error that names the way out."""
    broker = peer(serving(server="somebody"))
    tail = make_context(**configuration(broker.port, mute=True)).tail_messages()
    with pytest.raises(ConfigurationError, match="stomp_queue"):
        next(tail)


def test_refused(make_context: Callable[..., Any], peer: Start) -> None:
    """A broker that does not let us in is an error where the messages are waited for."""
    tail = make_context(**configuration(peer(refusing).port, mute=True)).tail_messages()
    with pytest.raises(BrokerRefused, match="Bad CONNECT"):
        next(tail)


def test_subscription_refused(make_context: Callable[..., Any], peer: Start) -> None:
    """A subscription that is not allowed is an error that names the destination."""

    def forbidding(peer: Peer) -> None:
        peer.accept()
        peer.read()
        peer.send("ERROR", "read access refused", message="access_refused")

    tail = make_context(**configuration(peer(forbidding).port, mute=True)).tail_messages()
    with pytest.raises(BrokerRefused, match="read access refused") as caught:
        next(tail)
    assert caught.value.destination == "/topic/#"


def test_a_slow_receiver(
    stomp_subscriber: Callable[..., Any], peer: Start, eventually: Callable[..., Any]
) -> None:
    """What arrives is bounded: a broker that sends more waits, and nothing is lost."""
    broker = peer(serving(*[message(str(number)) for number in range(5000)]))
    subscriber = stomp_subscriber(stomp_settings(broker.port), [TOPIC])
    deliveries = subscriber.deliveries()
    topics = [next(deliveries).topic]
    eventually(lambda: len(subscriber._session._arrived) >= 1000, "a full queue")
    assert len(subscriber._session._arrived) == 1000
    topics += [next(deliveries).topic for _ in range(4999)]
    deliveries.close()
    assert topics == [message(str(number))[0] for number in range(5000)]


def test_closing_with_a_full_queue(stomp_subscriber: Callable[..., Any], peer: Start) -> None:
    """A receiver that stops listening while the broker waits for it gets away."""
    broker = peer(serving(*[message(str(number)) for number in range(5000)]))
    subscriber = stomp_subscriber(stomp_settings(broker.port), [TOPIC])
    next(subscriber.deliveries())
    subscriber.close()
    for thread in subscriber._session._threads:
        thread.join(10)
        assert not thread.is_alive()


def test_destroy_ends_the_iteration(make_context: Callable[..., Any], peer: Start) -> None:
    """destroy() ends tail_messages in another thread, and the connection with it."""
    broker = peer(serving(message("a")))
    context = make_context(**configuration(broker.port, mute=True))
    tail = context.tail_messages()
    next(tail)
    listening = Listening(tail)
    context.destroy()
    assert listening.over() == []
    with pytest.raises(StopIteration):
        next(tail)


def test_publishing_and_listening(make_context: Callable[..., Any], peer: Start) -> None:
    """One context does both, on two connections, for a client-id is used only once."""
    broker = peer(good, serving(message("end")))
    config = configuration(broker.port, stomp_subscribe_headers={"client-id": "me"})
    context = make_context(**config)
    context.publish(topic="x", msg={}, modname="t")
    Listening(context.tail_messages()).over()
    connects = [headers for command, headers, _ in broker.frames if command == "CONNECT"]
    assert ["client-id" in headers for headers in connects] == [False, True]


@pytest.mark.parametrize("mode", ["auto", "client-individual"])
def test_what_waited_when_the_connection_was_lost(
    stomp_subscriber: Callable[..., Any],
    peer: Start,
    eventually: Callable[..., Any],
    mode: str,
) -> None:
    """What the broker will send again is forgotten; what it will not is still delivered."""
    again = [] if mode == "auto" else [message("b")]
    gone = threading.Event()

    def leaving(peer: Peer) -> None:
        serving(message("a"), message("b"), end=True)(peer)
        gone.wait(20)

    broker = peer(leaving, serving(*again, message("c")))
    subscriber = stomp_subscriber(stomp_settings(broker.port), [TOPIC], ack_mode=mode)
    deliveries = subscriber.deliveries()
    topics = [next(deliveries).topic]
    eventually(lambda: len(subscriber._session._arrived) == 1, "the second message")
    gone.set()
    eventually(lambda: len(subscribed(broker)) == 2, "the second connection")
    topics += [next(deliveries).topic for _ in range(2)]
    deliveries.close()
    assert topics == [TOPIC + "a", TOPIC + "b", TOPIC + "c"]


def test_pause(
    stomp_subscriber: Callable[..., Any], peer: Start, eventually: Callable[..., Any]
) -> None:
    """The iteration ends though more has arrived; what was delivered can still be answered."""
    broker = peer(serving(message("a"), message("b")))
    subscriber = stomp_subscriber(
        stomp_settings(broker.port), [TOPIC], ack_mode="client-individual"
    )
    deliveries = subscriber.deliveries()
    first = next(deliveries)
    subscriber.pause()
    assert list(deliveries) == []
    first.ack()
    eventually(lambda: [f for f in list(broker.frames) if f[0] == "ACK"], "the answer")


def test_refusal_of_a_broker_that_stays(make_context: Callable[..., Any], peer: Start) -> None:
    """An ERROR in place of CONNECTED is not waited behind, though the connection goes on."""

    def staying(peer: Peer) -> None:
        refusing(peer)
        peer.hold()

    config = configuration(peer(staying).port, mute=True, stomp_timeout=1000)
    with pytest.raises(BrokerRefused, match="Bad CONNECT"):
        next(make_context(**config).tail_messages())


def test_closing_while_the_broker_is_silent(
    stomp_subscriber: Callable[..., Any], peer: Start, eventually: Callable[..., Any]
) -> None:
    """An answer to CONNECT is not waited for any longer."""
    broker = peer(Peer.hold)
    subscriber = stomp_subscriber(stomp_settings(broker.port, timeout=1000.0), [TOPIC])
    listening = Listening(subscriber.deliveries())
    eventually(lambda: subscriber._session._threads, "the attempt")
    subscriber.close()
    listening.over()
    for thread in subscriber._session._threads:
        thread.join(10)
        assert not thread.is_alive()


def test_message_in_two_pieces(
    stomp_subscriber: Callable[..., Any], peer: Start, eventually: Callable[..., Any]
) -> None:
    """A line feed with which the second begins belongs to the body, and is no heart-beat."""
    body, begin, sent = '{"a":\n\n1}', threading.Event(), threading.Event()
    first_half: list[float] = []

    def slow(peer: Peer) -> None:
        serving(message("first"), end=True)(peer)
        head, rest = f"MESSAGE\ndestination:/topic/{TOPIC}a\nmessage-id:1\n\n", body.split("\n", 1)
        begin.wait(20)
        first_half.append(time.monotonic())
        peer.raw((head + rest[0]).encode())
        sent.wait(20)
        peer.raw(f"\n{rest[1]}\0".encode())
        peer.hold()

    subscriber = stomp_subscriber(stomp_settings(peer(slow).port), [TOPIC])
    deliveries = subscriber.deliveries()
    assert next(deliveries).topic == TOPIC + "first"
    begin.set()
    eventually(lambda: first_half, "the first half")
    eventually(lambda: subscriber._session._connection.heard > first_half[0], "its arrival")
    sent.set()
    assert next(deliveries).body == body.encode()
    deliveries.close()
