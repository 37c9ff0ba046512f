"""Which process listens on a port."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

_LISTENING = "0A"
_ANYWHERE = ("0.0.0.0", "::", "*")


class Listener(NamedTuple):
    """A listening TCP socket.

    Attributes:
        host: numeric; one of the two wildcards: everywhere.
        port: its number.
        owner: ``name (pid)`` of the process, or what can be said if it is somebody else's.
    """

    host: str
    port: int
    owner: str

    def takes(self, host: str, port: int) -> bool:
        """Return whether an address cannot be bound because of this socket."""
        if self.port != port:
            return False
        return host in _ANYWHERE or self.host in _ANYWHERE or self.host == host


def listeners() -> list[Listener]:
    """Return the listening sockets of this machine, with psutil or from ``/proc``.

    Raises:
        OSError: the system does not tell.
    """
    try:
        import psutil
    except ImportError:
        return list(_from_proc("/proc"))
    try:
        return list(_from_psutil(psutil))
    except psutil.Error as error:
        raise OSError(f"the system does not tell who listens: {error}") from error


def _from_psutil(psutil: Any) -> Iterator[Listener]:
    for each in psutil.net_connections("tcp"):
        if each.status != psutil.CONN_LISTEN:
            continue
        owner = "a process of another user"
        if each.pid is not None:
            name = "a process that has ended"
            with contextlib.suppress(psutil.Error):
                name = psutil.Process(each.pid).name()
            owner = f"{name} ({each.pid})"
        yield Listener(_plain(each.laddr.ip), each.laddr.port, owner)


def _from_proc(root: str) -> Iterator[Listener]:
    sockets = [*_sockets(f"{root}/net/tcp"), *_sockets(f"{root}/net/tcp6")]
    owners = dict(_owners(root, {inode for _, _, inode in sockets}))
    for host, port, inode in sockets:
        yield Listener(host, port, owners.get(inode, "a process of another user"))


def _sockets(path: str) -> Iterator[tuple[str, int, str]]:
    """Yield host, port and inode of each listening socket (proc(5))."""
    if path.endswith("6") and not os.path.exists(path):
        return
    with open(path, encoding="ascii") as file:
        for line in file.readlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENING:
                host, _, port = fields[1].partition(":")
                yield _numeric(host), int(port, 16), fields[9]


def _numeric(text: str) -> str:
    import ipaddress
    import sys

    # Words of four bytes in the order of the machine.
    words = [bytes.fromhex(text[i : i + 8]) for i in range(0, len(text), 8)]
    raw = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    return _plain(str(ipaddress.ip_address(raw)))


def _plain(host: str) -> str:
    return host.removeprefix("::ffff:")


def _owners(root: str, inodes: set[str]) -> Iterator[tuple[str, str]]:
    """Yield the inode and the owner of sockets that this user may see."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    for pid in filter(str.isdigit, os.listdir(root)):
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"{root}/{pid}/fd"):
                target = _link(f"{root}/{pid}/fd/{fd}")
                if target in wanted:
                    yield wanted[target], f"{_name(root, pid)} ({pid})"


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:  # closed in the meantime
        return ""


def _name(root: str, pid: str) -> str:
    with open(f"{root}/{pid}/comm", encoding="utf-8", errors="replace") as file:
        return file.read().strip()
