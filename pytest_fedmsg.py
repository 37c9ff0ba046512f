"""Fixtures for pytest, found through the entry point ``pytest11``.

Not a part of the package ``fedmsg``, for importing any part of it imports pyzmq: a test run that
uses none of these fixtures pays for this file only.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fedmsg.testing import Authority, Bus, Sent


@pytest.fixture
def fedmsg_sent() -> Iterator[list[Sent]]:
    """What the test publishes, as a list; nothing leaves the process."""
    from fedmsg.testing import captured

    with captured() as sent:
        yield sent


@pytest.fixture
def fedmsg_bus() -> Iterator[Bus]:
    """A real bus on a free port of the loopback interface, with a subscriber that has joined."""
    from fedmsg.testing import loopback_bus

    with loopback_bus() as bus:
        yield bus


@pytest.fixture
def fedmsg_authority(tmp_path: Path) -> Authority:
    """A certificate authority in a directory of the test."""
    from fedmsg.testing import Authority

    return Authority(tmp_path / "fedmsg-authority")
