"""Fixtures of the tests with the released 1.1.7."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from peer_parts import Program


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """A function that starts a program; all are killed at the end."""
    folder = tmp_path / "programs"
    folder.mkdir()
    started: list[Program] = []

    def run(*arguments: str) -> Program:
        started.append(Program(list(arguments), folder))
        return started[-1]

    yield run
    for each in started:
        each.close()


@pytest.fixture
def settings(address: Callable[[], str]) -> dict[str, Any]:
    """A configuration that both versions understand."""
    return {
        "endpoints": {"pub": [address()], "relay_outbound": [address()]},
        "relay_inbound": address(),
        "zmq_enabled": True,
        "high_water_mark": 0,
        "io_threads": 1,
        "post_init_sleep": 0.5,
        "zmq_linger": 2000,
        "topic_prefix": "org.fedoraproject",
        "environment": "dev",
        "active": False,
        "sign_messages": False,
        "validate_signatures": False,
    }
