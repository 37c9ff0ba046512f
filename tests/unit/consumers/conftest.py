"""Consumers that run, and are stopped again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hubs import ON, FakeHub, Gate, Recorder


@pytest.fixture
def run() -> Iterator[Callable[..., Any]]:
    """A function that makes a consumer and starts its workers; it is stopped with the test."""
    made: list[Any] = []

    def start(cls: type = Recorder, start: bool = True, **config: Any) -> Any:
        consumer = cls(FakeHub(**{**ON, **config}))
        made.append(consumer)
        if start:
            consumer.start_workers()
        return consumer

    yield start
    for consumer in made:
        consumer.stop()
        consumer.wait_stopped(time.monotonic() + 10)


@pytest.fixture
def gate(run: Callable[..., Any]) -> Iterator[Gate]:
    """A gate, which is opened before the consumers are stopped."""
    made = Gate()
    yield made
    made.open()
