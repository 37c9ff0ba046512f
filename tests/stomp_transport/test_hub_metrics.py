"""What a hub at a broker tells Prometheus, and whether it is ready."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hubs import ON, Recorder
from stomp_parts import FakeBroker, Peer, configuration, good, silent

from fedmsg.hub import series
from fedmsg.hub.central import Hub

Wait = Callable[..., Any]


@pytest.fixture
def hub() -> Iterator[Callable[..., Hub]]:
    """A function that starts a hub at a broker."""
    started: list[Hub] = []

    def start(broker: FakeBroker) -> Hub:
        config = configuration(broker.port, zmq_linger=100, post_init_sleep=0, **ON)
        started.append(Hub({**config, "stomp_timeout": 20}, [Recorder], []))
        started[-1].start()
        return started[-1]

    yield start
    for each in started:
        each.close()


def dropping(peer: Peer) -> None:
    """Let the client in and close."""
    peer.accept()


def mute(peer: Peer) -> None:
    """Let the client in and confirm nothing."""
    peer.accept()
    peer.hold()


def value(hub: Hub, name: str, *labels: str) -> float:
    """Return the value of one series."""
    [found] = [s.value for s in series.of_hub(hub)() if (s.name, s.labels) == (name, labels)]
    assert isinstance(found, (int, float))
    return found


def test_no_connection(peer: Callable[..., FakeBroker], hub: Callable[..., Hub]) -> None:
    """A broker that does not answer: the hub is not ready, and says why."""
    assert series.stalled(hub(peer(silent))) == "STOMP: not connected yet"


def test_reconnects(
    peer: Callable[..., FakeBroker], hub: Callable[..., Hub], eventually: Wait
) -> None:
    """Connections that were lost are made again and counted; then the hub is ready."""
    running = hub(peer(dropping, dropping, good))
    eventually(lambda: value(running, "fedmsg_reconnects_total", "stomp") == 2)
    eventually(lambda: series.stalled(running) == "")


def test_unconfirmed(
    peer: Callable[..., FakeBroker], hub: Callable[..., Hub], eventually: Wait
) -> None:
    """What the broker has not confirmed is counted as sent, and as outstanding."""
    running = hub(peer(mute))
    running.send_message("org.test", {"n": 1})
    assert value(running, "fedmsg_unconfirmed_messages") == 1
    assert value(running, "fedmsg_messages_sent_total") == 1
    assert value(running, "fedmsg_messages_received_total", "stomp") == 0
