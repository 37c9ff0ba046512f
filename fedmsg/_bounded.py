"""Waiting for what may never end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def bounded(function: Callable[[], _T], seconds: float) -> _T:
    """Call a function in a thread of its own, and give it up after so many seconds.

    The thread is a daemon: it does not keep the process from ending.

    Raises:
        TimeoutError: the function has not returned in time.
        BaseException: what it raised.
    """
    result: list[_T] = []
    raised: list[BaseException] = []

    def work() -> None:
        try:
            result.append(function())
        except BaseException as error:  # noqa: BLE001  raised again below
            raised.append(error)

    thread = threading.Thread(target=work, name="bounded", daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if not result:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return result[0]
