"""Fixtures of the tests with the released 1.1.7."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from peer_parts import Program


@pytest.fixture(scope="session")
def peer() -> str:
    """The directory of 1.1.7's commands; made by ``make peer``."""
    found = os.environ.get("FEDMSG_PEER", "")
    if not os.path.exists(os.path.join(found, "fedmsg-relay")) or not found:
        if os.environ.get("CI"):
            pytest.fail("FEDMSG_PEER does not name the commands of fedmsg 1.1.7")
        pytest.skip("fedmsg 1.1.7 is not installed here; see `make peer`")
    return found


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
