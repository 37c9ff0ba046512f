"""Peers, publishers and subscribers of STOMP tests; all are closed with the test."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
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
