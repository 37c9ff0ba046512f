"""Saying things at a bounded rate."""

from __future__ import annotations

import pytest

from fedmsg import _limits as limits
from fedmsg._limits import RateLimit


@pytest.fixture
def clock(monkeypatch):
    """A clock that tests set: a list of one number."""
    now = [100.0]
    monkeypatch.setattr(limits, "time", type("Clock", (), {"monotonic": lambda: now[0]}))
    return now


def test_first_event_is_allowed(clock):
    """The first event passes."""
    assert RateLimit().allow()


def test_second_event_is_refused(clock):
    """Another one within the period does not."""
    limit = RateLimit()
    limit.allow()
    assert not limit.allow()


@pytest.mark.parametrize(("later", "allowed"), [(59.9, False), (60.0, True)])
def test_period(clock, later, allowed):
    """After the period the next event passes again."""
    limit = RateLimit(period=60)
    limit.allow()
    clock[0] += later
    assert limit.allow() is allowed


def test_count(clock):
    """``count`` events pass in a period."""
    limit = RateLimit(count=3)
    assert [limit.allow() for _ in range(5)] == [True, True, True, False, False]


def test_suppressed_events_are_counted(clock):
    """The event that passes tells how many were refused before it."""
    limit = RateLimit()
    for _ in range(6):
        limit.allow()
    clock[0] += 60
    limit.allow()
    assert limit.suppressed == 5


def test_suppressed_events_are_counted_once(clock):
    """They are not told again with the event after that."""
    limit = RateLimit()
    for _ in range(3):
        limit.allow()
        limit.allow()
        clock[0] += 60
    assert limit.suppressed == 1
