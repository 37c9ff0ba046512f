"""What a forked child does about the sockets of its parent.

libzmq's objects must not be touched in the child, yet the child holds copies of the parent's
descriptors: a port stays taken and a connection stays open for as long as one of its children
lives.  So the child closes those descriptors, and nothing else, right after the fork.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from typing import Any

#: Descriptor -> (local address, peer address) when it was registered.  A descriptor whose
#: addresses have changed was closed meanwhile, and its number belongs to somebody else.
_registered: dict[int, tuple[Any, Any]] = {}


def register(fd: int) -> None:
    """Have forked children close ``fd`` and, if it listens, every connection it accepted."""
    ends = _ends(fd)
    if ends is not None:
        _registered[fd] = ends


def discard(fd: int) -> None:
    """This process has closed ``fd`` itself."""
    _registered.pop(fd, None)


def _close_in_child() -> None:
    """Close what the parent registered; runs in the child before any other code."""
    doomed = {fd for fd, ends in _registered.items() if _ends(fd) == ends}
    # A connection that a listener accepted has the listener's port on this side; while the
    # listener holds the port on all interfaces nothing else can have it.
    ports = {local[1] for local, peer in map(_registered.get, doomed) if _is_tcp(local, peer)}  # type: ignore[misc]
    if ports:
        for fd in _open_descriptors():
            ends = _ends(fd)
            if ends is not None and isinstance(ends[0], tuple) and ends[0][1] in ports:
                doomed.add(fd)
    for fd in doomed:
        os.close(fd)
    _registered.clear()


def _is_tcp(local: Any, peer: Any) -> bool:
    """True for the two ends of a listening TCP socket."""
    return isinstance(local, tuple) and peer is None


def _open_descriptors() -> Iterator[int]:
    """Yield the numbers of this process's descriptors, none where the system does not list them."""
    try:
        names = os.listdir("/dev/fd")
    except OSError:
        return
    yield from (int(name) for name in names if name.isdigit())


def _ends(fd: int) -> tuple[Any, Any] | None:
    """Return local and peer address (None while it listens); None for all but stream sockets."""
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            return None
        handle = socket.socket(fileno=fd)
    except OSError:
        return None
    try:
        if handle.type != socket.SOCK_STREAM:
            return None
        try:
            peer = handle.getpeername()
        except OSError:
            peer = None
        return handle.getsockname(), peer
    except OSError:
        return None
    finally:
        handle.detach()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
