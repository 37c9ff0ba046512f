"""``bounded``: an answer, an error, or the end of patience."""

from __future__ import annotations

import threading

import pytest

from fedmsg._bounded import bounded


def test_answer() -> None:
    """What the function returns, None too."""
    assert bounded(lambda: 7, 20) == 7
    assert bounded(lambda: None, 20) is None


def test_error() -> None:
    """What the function raises."""
    with pytest.raises(ZeroDivisionError):
        bounded(lambda: 1 // 0, 20)


def test_no_answer() -> None:
    """The time is in the text."""
    done = threading.Event()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
        bounded(done.wait, 0.05)
    done.set()
