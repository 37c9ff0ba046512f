"""Processes of the chaos tests; all are ended with the test."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from brokers import RabbitMQ, running
from chaos_parts import PUBLISHERS, Publishing


@pytest.fixture
def publishing(tmp_path: Path) -> Iterator[Callable[[dict[str, Any]], list[Publishing]]]:
    """A function that starts the publishers of a trial."""
    with contextlib.ExitStack() as stack:

        def start(config: dict[str, Any]) -> list[Publishing]:
            made = [Publishing(tmp_path, f"p{number}", config) for number in range(PUBLISHERS)]
            for each in made:
                stack.callback(each.close)
            return made

        yield start


@pytest.fixture
def rabbitmq(
    tmp_path_factory: pytest.TempPathFactory, port: Callable[[], int]
) -> Iterator[RabbitMQ]:
    """A RabbitMQ for one test."""
    yield from running(RabbitMQ, tmp_path_factory.mktemp("rabbitmq"), port)
