"""Small helpers that other modules and applications share.  Specification: core.md, section 3."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import six

if TYPE_CHECKING:
    from types import FrameType

    import zmq

#: Configuration key -> option of libzmq.
TCP_KEEPALIVE = {
    "zmq_tcp_keepalive": "TCP_KEEPALIVE",
    "zmq_tcp_keepalive_cnt": "TCP_KEEPALIVE_CNT",
    "zmq_tcp_keepalive_idle": "TCP_KEEPALIVE_IDLE",
    "zmq_tcp_keepalive_intvl": "TCP_KEEPALIVE_INTVL",
}
TCP_RECONNECT = {
    "zmq_reconnect_ivl": "RECONNECT_IVL",
    "zmq_reconnect_ivl_max": "RECONNECT_IVL_MAX",
}
_COWSAY_SECONDS = 10


def set_high_water_mark(socket: zmq.Socket[Any], config: Mapping[str, Any]) -> None:
    """Limit both queues of a socket to ``high_water_mark`` messages; zero is no limit.

    Call it before the socket binds or connects.

    Raises:
        KeyError: the configuration has no ``high_water_mark``.
    """
    import zmq

    limit = config["high_water_mark"]
    socket.setsockopt(zmq.SNDHWM, limit)
    socket.setsockopt(zmq.RCVHWM, limit)


def set_tcp_keepalive(socket: zmq.Socket[Any], config: Mapping[str, Any]) -> None:
    """Set the TCP keepalive options that the configuration has; leave the others alone."""
    _set_options(socket, config, TCP_KEEPALIVE)


def set_tcp_reconnect(socket: zmq.Socket[Any], config: Mapping[str, Any]) -> None:
    """Set the reconnection intervals (milliseconds) that the configuration has."""
    _set_options(socket, config, TCP_RECONNECT)


def _set_options(
    socket: zmq.Socket[Any], config: Mapping[str, Any], names: Mapping[str, str]
) -> None:
    for option, value in given_options(config, names):
        socket.setsockopt(option, value)


def given_options(
    config: Mapping[str, Any], names: Mapping[str, str]
) -> tuple[tuple[int, Any], ...]:
    """Return the ``setsockopt`` pairs whose key the configuration has and whose option libzmq has.

    Args:
        config: the configuration.
        names: configuration key -> name of the option in :mod:`zmq`.
    """
    import zmq

    return tuple(
        (int(getattr(zmq, option)), config[key])
        for key, option in names.items()
        if key in config and hasattr(zmq, option)
    )


def guess_calling_module(default: str | None = None) -> str | None:
    """Return the first top-level module outside fedmsg that led to this call.

    Args:
        default: the answer if every caller belongs to fedmsg.

    Returns:
        The part of the module's name before the first dot, ``__main__`` for a script.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__")
        if name:
            top: str = name.partition(".")[0]
            if top != "fedmsg":
                return top
        frame = frame.f_back
    return default


def hostname() -> str:
    """Return the name of this machine up to its first dot."""
    import socket  # slow to import, and only contexts and daemons ask

    return socket.gethostname().partition(".")[0]


@functools.cache
def get_username() -> str:
    """Return the login name of this process, or its numeric user id as text where it has none."""
    import getpass

    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # no pwd module; no entry before and since 3.13
        getuid = getattr(os, "getuid", None)
        return str(getuid()) if getuid is not None else "unknown"


def load_class(location: str) -> Any:
    """Return what a text such as ``"package.module:Name"`` refers to; it need not be a class.

    Raises:
        ValueError: there is not exactly one colon.
        ImportError: the module cannot be imported, or has no such name.
    """
    parts = location.strip().split(":")
    if len(parts) != 2:
        raise ValueError(f"{location!r} must have the form 'package.module:Name'")
    module_name, name = (part.strip() for part in parts)
    module = importlib.import_module(module_name)
    try:
        return getattr(module, name)
    except AttributeError as error:
        raise ImportError(f"{name!r} not found in {module_name!r}") from error


def dict_query(dic: Mapping[str, Any], query: str) -> OrderedDict[str, Any]:
    """Look up several values of nested dicts.

    Args:
        dic: where to look.
        query: dotted paths separated by commas, such as ``"topic, msg.build.id"``.

    Returns:
        Each path with its value, None if there is nothing; lists are not looked into.

    Raises:
        ValueError: the query is not text.
    """
    if not isinstance(query, six.text_type):
        raise ValueError(f"query must be a string, not {type(query)!r}")  # noqa: TRY004
    paths = [path.strip() for path in query.split(",")]
    return OrderedDict((path, _follow(dic, path)) for path in paths)


def _follow(value: Any, path: str) -> Any:
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


def cowsay_output(message: str | bytes) -> tuple[bytes, bytes]:
    """Run ``cowsay`` on a message from the bus.

    The text goes to its standard input: no shell sees it, and none of it is taken as an option.

    Args:
        message: the text; as bytes it must be in the program's encoding.

    Returns:
        Its standard output and standard error; ``(b"", b"<reason>")`` if the program is missing
        or does not end within ten seconds.
    """
    import subprocess

    text = six.ensure_binary(message, "utf-8", "replace")
    try:
        done = subprocess.run(
            ["cowsay"], input=text, capture_output=True, check=False, timeout=_COWSAY_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return b"", str(error).encode("utf-8", "replace")
    return done.stdout, done.stderr
