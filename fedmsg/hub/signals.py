"""Ending a daemon by signal: the first asks it to stop, the second ends it at once."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

#: SIGHUP too: it ended the daemons of 1.1.7.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


@contextlib.contextmanager
def stopping(stop: Callable[[], Any]) -> Iterator[None]:
    """Call ``stop`` at the first signal, for as long as the block runs; main thread only.

    It is called in a thread of its own: the main thread may hold the very lock that it takes, as
    that of an event that it waits for.  A second signal has its default effect, which ends the
    process.  In a child, which a consumer has forked, the first one has: it does not stop the hub.
    """
    owner = os.getpid()

    def handle(number: int, frame: Any) -> None:
        if os.getpid() != owner:
            again(number, frame)
            return
        for each in before:
            signal.signal(each, again)
        # Not threading.Thread, whose start takes locks as well.
        _thread.start_new_thread(stop, ())

    def again(number: int, _frame: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    before: dict[int, Any] = {}
    try:
        for number in (getattr(signal, name) for name in _NAMES if hasattr(signal, name)):
            # Started with nohup: the terminal may go away.
            if number != signal.SIGINT and signal.getsignal(number) is signal.SIG_IGN:
                continue
            before[number] = signal.signal(number, handle)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def notify(state: str) -> None:
    """Tell systemd ``READY=1`` or ``STOPPING=1``; nothing without it (sd_notify(3))."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    import socket

    address = "\0" + path[1:] if path.startswith("@") else path
    # Around all of it: there may be no descriptor left, and a daemon ends in order all the same.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(state.encode(), address)
