"""Messages cross between a bus and a real broker, in both directions, and never in a circle."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from bridge_parts import Town, bodies, joined, outside, report_of, seconds

from fedmsg.bridge import forms

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]
Eventually = Callable[..., Any]

#: Messages each way, and seconds for them.
EACH_WAY, PATIENCE = (5000, 300) if seconds() >= 300 else (50, 90)


def broker_messages(town: Town, queue: str, count: int) -> list[Any]:
    """Return the next deliveries of a queue: method, properties and body of each."""
    found: list[Any] = []
    with town.connection() as connection:
        channel = connection.channel()
        for parts in channel.consume(queue, auto_ack=True, inactivity_timeout=20):
            assert parts[0] is not None, f"{len(found)} of {count} arrived"
            found.append(parts)
            if len(found) == count:
                channel.cancel()
                break
    return found


@pytest.mark.trial
@pytest.mark.timeout(PATIENCE + 120)
def test_two_bridges_do_not_loop(
    town: Town, make_context: Callable[..., Any], eventually: Eventually
) -> None:
    """Two bridges in parallel, both ways: everything crosses, and then it is quiet."""
    listeners = [
        town.start(
            "fedmsg-verify", "--json", f"--for={PATIENCE}", f"--window={PATIENCE}",
            f"--count={count}",
            f"--queue={town.queue(name)}",
        )
        for name, count in [("bridge.verify", 2 * EACH_WAY), ("bridge.watch", 10**6)]
    ]  # fmt: skip
    bridges = [town.start("fedmsg-bridge") for _ in range(2)]
    for each in listeners:
        eventually(lambda each=each: "listening on both sides" in each.log())
    for each in bridges:
        eventually(lambda each=each: "no heart-beat is sent" in each.log())
    given = {"name": "app", "post_init_sleep": 20, "wait_for_subscriptions": 4}
    context = make_context(**town.config(**given))
    for number in range(EACH_WAY):
        context.publish(topic="x", msg={"n": number}, modname="t")
    with town.connection() as connection:
        channel = connection.channel()
        for number in range(10**6, 10**6 + EACH_WAY):
            outside(town, channel, number)
    assert listeners[0].wait(PATIENCE) in (0, 1)  # there may be doubles
    threading.Event().wait(1.0)  # time for a circle to be run through many times
    assert [each.stop() for each in bridges] == [0, 0]
    listeners[1].stop()
    report = report_of(listeners[1])
    print({**report, "bus": report["bus"]["heard"], "broker": report["broker"]["heard"]})
    assert report["matched"] == 2 * EACH_WAY
    # Each of two bridges carries each once at most.
    assert report["broker"]["heard"] <= 3 * EACH_WAY
    assert report["bus"]["heard"] <= 3 * EACH_WAY


def depth(town: Town, queue: str) -> int:
    """Return how many messages wait in a queue."""
    with town.connection() as connection:
        name = queue.rpartition("/")[2]
        return int(connection.channel().queue_declare(name, passive=True).method.message_count)


def test_out_has_the_form_of_the_broker(town: Town, app: Any) -> None:
    """What leaves has its id, its topic, the names of the buses, and the form usual there."""
    queue = town.declare("bridge.form")
    town.start("fedmsg-bridge", "--direction=out", bridge_bus="here")
    joined(app, 1)
    [body] = bodies([7])
    app.send_multipart([b"org.fedoraproject.dev.t.x", body])
    [(method, properties, received)] = broker_messages(town, queue, 1)
    assert method.routing_key == "org.fedoraproject.dev.t.x"
    assert properties.headers[forms.PATH] == "here"
    assert properties.content_type == "application/json"
    if town.kind == "stomp":
        assert received == body
        return
    assert json.loads(received) == {"n": 7}
    assert properties.message_id == "2026-00000007"
    assert properties.headers["fedora_messaging_severity"] == 20
    assert properties.headers["fedora_messaging_schema"] == "base.message"
    assert properties.headers["sent-at"] == "2023-11-14T22:13:27+00:00"


def crossing(town: Town, channel: Any, listening: Any) -> Callable[[], bytes]:
    """Return a function that sends a message with a number, and returns what has come across."""
    numbers = iter(range(1000, 100_000))

    def crossed() -> bytes:
        outside(town, channel, next(numbers))
        return bytes(listening.receive()[1]) if listening.socket.poll(100) else b""

    return crossed


def test_hostile_messages_go_nowhere(
    town: Town, subscriber: Callable[..., Any], eventually: Eventually
) -> None:
    """What is wrong in any way is acknowledged, counted, logged, and what follows still comes."""
    import pika

    name = town.queue("bridge.in")
    bridge = town.start(
        "fedmsg-bridge", "--direction=in", bridge_queue_name=name, max_message_size=100_000
    )
    listening = subscriber(town.bridges[0])
    good = {"message_id": "2026-x", "headers": {}}
    hostile: list[tuple[str | bytes, bytes, dict[str, Any]]] = [
        ("t.x", b"{", good),
        ("t.x", b"\xff\xfe", good),
        ("t.x", b"[" * 90_000, good),
        ("t.x", b'{"a": "' + b"x" * 200_000 + b'"}', good),
        ("t.x", b"{}", {}),
        ("t.x", b"{}", {"message_id": "i" * 3 + "\n", "headers": {}}),
        ("t.\x1b[2J", b"{}", good),
        ("t.x", b"{}", {**good, "headers": {forms.PATH: 7}}),
        ("t.x", b"{}", {**good, "headers": {forms.PATH: "fedmsg"}}),
        ("t.x", b"{}", {**good, "headers": {forms.ENVELOPE: "{"}}),
        ("t.x", b"{}", {**good, "headers": {forms.ENVELOPE: '{"topic":"t.y"}'}}),
    ]
    if town.kind == "stomp":
        hostile = [each for each in hostile if forms.ENVELOPE not in str(each)]
    with town.connection() as connection:
        channel = connection.channel()
        for topic, body, properties in hostile:
            channel.basic_publish("amq.topic", topic, body, pika.BasicProperties(**properties))
        if town.kind == "amqp":
            channel.basic_publish("amq.topic", "t.x", b"{}", poisoned())
        came = eventually(crossing(town, channel, listening), timeout=60)
    assert json.loads(came)["msg"]["n"] >= 1000
    eventually(lambda: depth(town, name) == 0)
    assert bridge.stop() == 0
    assert "Traceback" not in bridge.log()
    assert f"{forms.LOOP}: 1" in bridge.log()
    if town.kind == "amqp":
        assert "undecodable properties: 1" in bridge.log()


def test_nested_to_the_edge(
    town: Town, app: Any, subscriber: Callable[..., Any], eventually: Eventually
) -> None:
    """A message that can just be decoded, and not be encoded any more, ends no direction."""
    import pika

    came = town.queue("bridge.in")
    bridge = town.start("fedmsg-bridge", bridge_queue_name=came, bridge_window=1)
    joined(app, 1)
    listening = subscriber(town.bridges[0])
    queue = town.declare("bridge.form")
    names = {"message_id": "2026-deep", "headers": {}}
    with town.connection() as connection:
        channel = connection.channel()
        for depth in range(900, 1010):
            text = '{"a":' * depth + "1" + "}" * depth
            names["message_id"] = f"2026-in-{depth}"
            whole = f'{{"msg_id":"2026-in-{depth}","topic":"t.x","msg":{text}}}'
            body = text if town.kind == "amqp" else whole
            properties = pika.BasicProperties(**names)
            channel.basic_publish("amq.topic", "t.x", body.encode(), properties)
            out = whole.replace("2026-in", "2026-out")
            app.send_multipart([b"t.x", out.encode()])
        for body in bodies([6000]):
            app.send_multipart([b"org.fedoraproject.dev.t.x", body])
        crossed = crossing(town, channel, listening)
        eventually(lambda: re.search(rb'"n": ?1\d\d\d', crossed()), timeout=60)
        for parts in channel.consume(queue, auto_ack=True, inactivity_timeout=20):
            assert parts[0] is not None, "nothing more came out"
            if b"6000" in parts[2]:
                break
        channel.cancel()
    assert bridge.stop() == 0
    assert "Traceback" not in bridge.log()


def poisoned() -> Any:
    """Return properties that pika can write and cannot read."""
    import pika

    class Far(datetime):
        def utctimetuple(self) -> Any:
            return (2026, 1, 10**9, 0, 0, 0)

    return pika.BasicProperties(message_id="2026-p", headers={"far": Far(2026, 1, 1)})


def test_position_and_configuration_errors(town: Town) -> None:
    """A damaged position file, and a missing one, end the bridge with a line that says so."""
    (town.folder / "position").write_text("[1]")
    replay = {"replay_endpoints": {"app": town.replay["app"]}}
    bridge = town.start(
        "fedmsg-bridge", bridge_position_file=str(town.folder / "position"), **replay
    )
    assert bridge.wait(30) == 1
    assert "is damaged: restore it, or remove" in bridge.log()
    bridge = town.start("fedmsg-bridge", **replay)
    assert bridge.wait(30) == 1
    assert "needs 'bridge_position_file'" in bridge.log()
