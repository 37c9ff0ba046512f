"""Peers, publishers and subscribers of STOMP tests; all are closed with the test."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from brokers import ActiveMQ, Node, RabbitMQ, running
from certificates import Authority
from stomp_parts import Behaviour, FakeBroker

from fedmsg.transports.stomp_publisher import StompPublisher
from fedmsg.transports.stomp_rules import Settings
from fedmsg.transports.stomp_subscriber import StompSubscriber


@pytest.fixture
def peer() -> Iterator[Callable[..., FakeBroker]]:
    """A function that starts a broker with these behaviours."""
    with contextlib.ExitStack() as stack:

        def start(*behaviours: Behaviour) -> FakeBroker:
            broker = FakeBroker(*behaviours)
            stack.callback(broker.close)
            return broker

        yield start


@pytest.fixture
def stomp_publisher() -> Iterator[Callable[..., StompPublisher]]:
    """A function that opens a publisher and waits for the outcome."""
    with contextlib.ExitStack() as stack:

        def start(settings: Settings, settle: float = 10.0, timeout: float = 10.0) -> Any:
            publisher = StompPublisher(settings, settle, timeout)
            publisher.open()
            stack.callback(publisher.close, 0.0)
            return publisher

        yield start


@pytest.fixture
def stomp_subscriber() -> Iterator[Callable[..., StompSubscriber]]:
    """A function that starts a subscriber."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: Any, **options: Any) -> StompSubscriber:
            subscriber = StompSubscriber(*arguments, **options)
            stack.callback(subscriber.close)
            return subscriber

        yield start


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an authority, and certificates of a broker and a client."""
    authority = Authority(tmp_path_factory.mktemp("certificates"))
    authority.certify("server", ["localhost"])
    authority.certify("client", ["client"])
    return authority.file.parent


@pytest.fixture(scope="session")
def rabbitmq(
    tmp_path_factory: pytest.TempPathFactory, port: Callable[[], int], certificates: Path
) -> Iterator[RabbitMQ]:
    """A RabbitMQ for the session."""
    yield from running(RabbitMQ, tmp_path_factory.mktemp("rabbitmq"), port, certificates)


@pytest.fixture
def other_rabbitmq(
    tmp_path_factory: pytest.TempPathFactory, port: Callable[[], int]
) -> Iterator[RabbitMQ]:
    """A second one, which knows nothing of the first, for one test."""
    yield from running(RabbitMQ, tmp_path_factory.mktemp("rabbitmq"), port)


@pytest.fixture(scope="session")
def activemq(
    tmp_path_factory: pytest.TempPathFactory, port: Callable[[], int]
) -> Iterator[ActiveMQ]:
    """An ActiveMQ for the session."""
    yield from running(ActiveMQ, tmp_path_factory.mktemp("activemq"), port)


@pytest.fixture
def other_activemq(
    tmp_path_factory: pytest.TempPathFactory, port: Callable[[], int]
) -> Iterator[ActiveMQ]:
    """A second one, for one test."""
    yield from running(ActiveMQ, tmp_path_factory.mktemp("activemq"), port)


@pytest.fixture(params=["rabbitmq", "activemq"])
def broker(request: pytest.FixtureRequest) -> Node:
    """Each of the real brokers in turn."""
    node: Node = request.getfixturevalue(request.param)
    return node
