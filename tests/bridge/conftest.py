"""A RabbitMQ of its own for the tests of the bridge, and a bus around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bridge_parts import Town
from brokers import RabbitMQ, running


@pytest.fixture(scope="session")
def bridged_rabbitmq(
    tmp_path_factory: pytest.TempPathFactory, port: Callable[[], int]
) -> Iterator[RabbitMQ]:
    """A RabbitMQ for the session, which trials restart."""
    yield from running(RabbitMQ, tmp_path_factory.mktemp("bridged"), port)


@pytest.fixture(params=["amqp", "stomp"])
def town(
    request: pytest.FixtureRequest, bridged_rabbitmq: RabbitMQ, tmp_path: Path,
    address: Callable[[], str],
) -> Iterator[Town]:  # fmt: skip
    """A bus and a broker, of each kind."""
    found = Town(tmp_path, bridged_rabbitmq, request.param, address)
    yield found
    found.close()


@pytest.fixture
def app(town: Town, zmq_context: Any) -> Any:
    """A publisher of the bus."""
    import zmq

    sock = zmq_context.socket(zmq.XPUB)
    sock.setsockopt(zmq.SNDHWM, 0)
    sock.setsockopt(zmq.XPUB_VERBOSE, 1)
    sock.bind(town.publisher)
    return sock
