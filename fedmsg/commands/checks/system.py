"""The clock, and what is installed."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from fedmsg.commands.checks import Case, Finding, error, ok, warning

#: A clock that is before this is wrong: 2026-01-01.
_RELEASED = 1767225600
#: Difference between two clocks that matters, seconds.
_APART = 2.0
_PACKAGES = ("fedmsg", "pyzmq", "six")
#: Module, the extra that installs it, and when a configuration needs it.
_NEEDS: list[tuple[str, str, Any]] = [
    ("OpenSSL", "crypto", lambda c: _signed(c) and c.get("crypto_backend", "x509") == "x509"),
    ("cryptography", "crypto", lambda c: _signed(c) and c.get("crypto_backend", "x509") == "x509"),
    ("stomp", "stomp", lambda c: c.get("stomp_uri") and not c.get("zmq_enabled", True)),
    ("dns", "srv", lambda c: c.get("srv_endpoints")),
    ("irc", "irc", lambda c: c.get("fedmsg.consumers.ircbot.enabled")),
    ("websockets", "web", lambda c: c.get("moksha.livesocket.websocket.port")),
]


def _signed(config: Any) -> bool:
    return bool(config.get("sign_messages") or config.get("validate_signatures"))


def versions(case: Case) -> Iterator[Finding]:
    """Tell what is installed, and what is missing for this configuration."""
    import zmq

    found = [f"{name} {_version(name)}" for name in _PACKAGES]
    python = platform.python_version()
    yield ok("versions", f"{', '.join(found)}, libzmq {zmq.zmq_version()}, Python {python}")
    if zmq.zmq_version_info() < (4, 3, 5):
        yield warning(
            "versions", f"libzmq {zmq.zmq_version()} is older than 4.3.5",
            "install pyzmq as a wheel: pip install --only-binary pyzmq 'pyzmq>=26'",
        )  # fmt: skip
    if sys.version_info < (3, 10):  # noqa: UP036  the doctor tells whom others do not run for
        yield error("versions", f"Python {python} is not supported", "use 3.10 or newer")
    for module, extra, needed in _NEEDS:
        if needed(case.config) and importlib.util.find_spec(module) is None:
            yield error(
                "versions", f"the configuration needs {module!r}, which is not installed",
                f"install this package with its extra: pip install '.[{extra}]'",
            )  # fmt: skip


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def clock(_case: Case) -> Iterator[Finding]:
    """Compare the clock with that of the file system, and with the date of this release."""
    now = time.time()
    if now < _RELEASED:
        yield error("clock", f"it is {_date(now)}: before this release", "set the clock (NTP)")
        return
    try:
        with tempfile.TemporaryFile() as file:
            before = time.time()
            file.write(b".")
            file.flush()
            written, after = os.fstat(file.fileno()).st_mtime, time.time()
    except OSError as problem:
        yield warning("clock", f"no temporary file: {problem}", "look at $TMPDIR")
        return
    apart = max(before - written, written - after)
    if apart > _APART:
        yield warning(
            "clock", f"the file system's clock differs by {apart:.0f} s from this machine's",
            "set both by NTP",
        )  # fmt: skip
    else:
        yield ok("clock", _date(now))


def _date(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment))
