"""A RabbitMQ of its own for the tests of the bridge, and a bus around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

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
