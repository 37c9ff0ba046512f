"""What a bridge tells Prometheus, and whether it says that it is ready."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from bridge_parts import Town, bodies, joined, outside
from scraping import get, value

pytest.importorskip("prometheus_client", reason="pip install '.[metrics]'")

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]
Eventually = Callable[..., Any]


def test_counts_of_both_directions(
    town: Town, app: Any, port: Callable[[], int], eventually: Eventually
) -> None:
    """What crosses, and what does not, is counted by direction, transport and reason."""
    number = port()
    bridge = town.start("fedmsg-bridge", metrics_port={"bridge": number}, bridge_topics=["org."])
    joined(app, 1)
    eventually(lambda: get(number, "/ready") == (200, "ready\n"))
    for body in bodies(range(3)):
        app.send_multipart([b"org.fedoraproject.dev.t.x", body])
    app.send_multipart([b"org.fedoraproject.dev.t.x", b"{"])
    with town.connection() as connection:
        for each in (10, 11, 11):
            outside(town, connection.channel(), each)
    # The broker sends back what went out.
    expected = {
        'fedmsg_bridge_carried_total{direction="out"}': 3,
        'fedmsg_bridge_carried_total{direction="in"}': 2,
        "fedmsg_messages_sent_total": 5,
        'fedmsg_messages_received_total{transport="zmq"}': 4,
        f'fedmsg_messages_received_total{{transport="{town.kind}"}}': 6,
        'fedmsg_messages_dropped_total{reason="has been on this bus"}': 3,
        'fedmsg_messages_dropped_total{reason="double"}': 1,
        "fedmsg_unconfirmed_messages": 0,
    }
    for series, count in expected.items():
        eventually(lambda s=series, c=count: value(number, s) == c, f"{series} {count}", 30)
    text = get(number, "/metrics")[1]
    assert re.search(r'^fedmsg_messages_dropped_total\{reason=".*JSON.*"\} 1.0$', text, re.M)
    assert (bridge.stop(), get(number, "/ready")) == (0, (0, ""))


@pytest.mark.parametrize("direction", ["in", "out"])
def test_not_ready_without_a_broker(
    town: Town, direction: str, port: Callable[[], int], eventually: Eventually
) -> None:
    """It is alive and says which broker it cannot reach; /metrics is there."""
    number, nowhere = port(), port()
    where = f"127.0.0.1:{nowhere}"
    broker = {"bridge_amqp_url": f"amqp://me:secret@{where}/"} if town.kind == "amqp" else {}
    town.start(
        "fedmsg-bridge", f"--direction={direction}", metrics_port=number,
        **broker or {"stomp_uri": where, "stomp_user": "me", "stomp_pass": "secret"},
    )  # fmt: skip
    eventually(lambda: where in get(number, "/ready")[1], "where it is not")
    status, text = get(number, "/ready")
    assert (status, text[:8], "secret" in text) == (503, "broker: ", False)
    assert get(number, "/live")[0] == 200
    assert value(number, "fedmsg_ready") == 0


@pytest.mark.parametrize("town", ["amqp"], indirect=True)
def test_ready_follows_the_broker(
    town: Town, app: Any, port: Callable[[], int], eventually: Eventually
) -> None:
    """Without its broker a bridge is alive and not ready, and its messages are unconfirmed."""
    number = port()
    bridge = town.start("fedmsg-bridge", "--direction=out", metrics_port=number)
    joined(app, 1)
    eventually(lambda: get(number, "/ready")[0] == 200)
    town.broker.kill()
    try:
        eventually(lambda: get(number, "/ready")[0] == 503)
        assert get(number, "/ready")[1].startswith("broker: ")
        assert get(number, "/live")[0] == 200
        for body in bodies(range(5)):
            app.send_multipart([b"org.fedoraproject.dev.t.x", body])
        eventually(lambda: value(number, "fedmsg_unconfirmed_messages") == 5)
    finally:
        town.broker.start()
    eventually(lambda: get(number, "/ready")[0] == 200, "ready again", 90)
    carried = 'fedmsg_bridge_carried_total{direction="out"}'
    eventually(lambda: value(number, carried) == 5, carried, 30)
    assert value(number, "fedmsg_unconfirmed_messages") == 0
    assert value(number, f'fedmsg_reconnects_total{{transport="{town.kind}"}}') == 1
    assert bridge.stop() == 0


def hostile(number: int) -> list[tuple[bytes, bytes]]:
    """Return messages, each of which is wrong in another way and says a number everywhere."""
    topic, text = f"org.t{number}", f'{{"topic":"org.t{number}","msg_id":"{number}'
    return [
        (topic.encode(), b"{" + str(number).encode()),
        (f"\x1b{number}".encode(), b"{}"),
        (b"\xff" + str(number).encode(), b"{}"),
        (topic.encode(), f"[{number}]".encode()),
        (topic.encode(), f'{{"topic":"{number}"}}'.encode()),
        (topic.encode(), f'{text}\u00e4"}}'.encode()),
        (topic.encode(), f'{text}","crypto":"{number}","signature":"{number}"}}'.encode()),
        (topic.encode(), f'{text}","signature":"{number}","certificate":"{number}"}}'.encode()),
    ]


def dropped(number: int) -> float:
    """Return how many messages were dropped, for whatever reason."""
    text = get(number, "/metrics")[1]
    return sum(map(float, re.findall(r"^fedmsg_messages_dropped_total{.*} (\S+)$", text, re.M)))


@pytest.mark.parametrize("town", ["amqp"], indirect=True)
def test_what_is_dropped_makes_no_series(
    town: Town, app: Any, port: Callable[[], int], eventually: Eventually
) -> None:
    """However many topics, ids and backends hostile messages name, the series stay the same."""
    number = port()
    town.start("fedmsg-bridge", "--direction=out", metrics_port=number, validate_signatures=True)
    joined(app, 1)
    seen: list[set[str]] = []
    sent = 0
    for count in (1, 200):
        for each in range(count):
            for frames in hostile(10_000_000 + 1000 * count + each):
                app.send_multipart(frames)
                sent += 1
        eventually(lambda all_=sent: dropped(number) == all_, f"{sent} messages", 30)
        text = re.sub(r" \S+$", "", get(number, "/metrics")[1], flags=re.M)
        seen.append(set(text.splitlines()))
    assert seen[0] == seen[1]
    assert value(number, 'fedmsg_bridge_carried_total{direction="out"}') == 0
