"""What tests of the hub need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hubs import EMPTY, Gate
from parts import Publisher

from fedmsg.hub.central import Hub


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A gate, which is opened before the hubs are closed."""
    made = Gate()
    yield made
    made.open()


@pytest.fixture
def make() -> Iterator[Callable[..., Hub]]:
    """A function that makes a hub; it is closed with the test."""
    made: list[Hub] = []

    def build(*consumers: Any, producers: Any = (), **config: Any) -> Hub:
        made.append(Hub({**EMPTY, **config}, list(consumers), list(producers)))
        return made[-1]

    yield build
    for each in made:
        each.close()


@pytest.fixture
def bus(
    make: Callable[..., Hub], publisher: Callable[..., Publisher]
) -> Callable[..., tuple[Hub, Publisher]]:
    """A function that makes a hub which is connected to a publisher."""

    def connect(*consumers: Any, **config: Any) -> tuple[Hub, Publisher]:
        source = publisher()
        hub = make(*consumers, zmq_subscribe_endpoints=source.endpoint, **config)
        hub.start()
        source.joined()
        return hub, source

    return connect
