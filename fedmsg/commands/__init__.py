"""What all commands have in common.  Specification: commands.md, sections 1 and 2.

A command is a subclass of :class:`BaseCommand` whose docstring is its help text; the function
behind its console script ends with ``return run_command(TheCommand)``.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from logging.config import dictConfig
from typing import Any

import fedmsg.config
from fedmsg._visible import without_control
from fedmsg.exceptions import FedmsgError, MissingEndpoints
from fedmsg.transports import as_list

__all__ = [
    "BaseCommand",
    "dictConfig",
    "discard_stdout",
    "guarded",
    "join_endpoints",
    "run_command",
    "subscribe_to_all",
]

_EXTRAS = {
    "OpenSSL": "crypto",
    "click": "commands",
    "cryptography": "crypto",
    "dns": "srv",
    "irc": "irc",
    "moksha": "consumers",
    "prometheus_client": "metrics",
    "pika": "bridge",
    "psutil": "consumers",
    "pygments": "commands",
    "requests": "commands",
    "sqlalchemy": "sql",
    "starlette": "web",
    "stomp": "stomp",
    "twisted": "consumers",
    "uvicorn": "web",
}


class BaseCommand:
    """Base class of commands, our own and those of other packages.

    Attributes:
        name: name of the command.
        extra_args: its own options, pairs of flags and keywords of ``add_argument``.
        daemonizable: never read; subclasses set it.
        logs_to_stderr: what the configuration logs to standard output goes to standard error,
            because standard output is what the command is for.
        config: the loaded configuration, with what the command line says.
        log: the logger ``fedmsg.commands``.
    """

    name: str | None = None
    extra_args: Sequence[Any] | None = None
    daemonizable = False
    logs_to_stderr = False

    _argv: Sequence[str] | None = None
    _builtin_setup = False

    def __init__(self, argv: Sequence[str] | None = None) -> None:
        """Load the configuration and set up logging.

        Args:
            argv: the command line without the program; default ``sys.argv[1:]``.

        Raises:
            FedmsgError: the configuration is wrong.
            SystemExit: the command line is wrong (2), or asks for help or the configuration (0).
        """
        self._argv = argv
        self.config = self.get_config()
        dictConfig(self._logging())
        self.log = logging.getLogger("fedmsg.commands")
        if self._builtin_setup:
            fedmsg.config.tell_loopback(self.config)

    def get_config(self) -> dict[str, Any]:
        """Return the configuration; without any file it is the built-in loopback set-up."""
        given: dict[str, Any] = {} if self._argv is None else {"argv": self._argv}
        try:
            return fedmsg.config.load_config(
                self.extra_args, self.__doc__, fedmsg_command=True, **given
            )
        except MissingEndpoints as error:
            if error.files:
                raise
            self._builtin_setup = True
            return fedmsg.config.loopback(error.config, tell=False)

    def _logging(self) -> dict[str, Any]:
        """Return the logging settings, with the log on standard error where output is data."""
        settings: dict[str, Any] = self.config.get("logging", {"version": 1})
        if not self.logs_to_stderr:
            return settings
        handlers = {
            name: {**handler, "stream": "ext://sys.stderr"}
            if handler.get("stream") == "ext://sys.stdout"
            else handler
            for name, handler in settings.get("handlers", {}).items()
        }
        return {**settings, "handlers": handlers}

    def execute(self) -> int | None:
        """Run the command and return its exit status; Ctrl-C ends it with status 0."""
        try:
            return self.run()
        except KeyboardInterrupt:
            print()
            return None

    def run(self) -> int | None:
        """Do the work; subclasses write this.

        Returns:
            The exit status; None is 0.
        """
        raise NotImplementedError


def run_command(cls: Callable[..., BaseCommand], argv: Sequence[str] | None = None) -> int | None:
    """Make a command and execute it, for ``sys.exit``.

    Args:
        cls: a subclass of :class:`BaseCommand`.
        argv: the command line without the program; default ``sys.argv[1:]``.

    Returns:
        What the command returned, or an exit status: see :func:`guarded`.
    """
    return guarded(lambda: (cls() if argv is None else cls(argv)).execute())


def guarded(function: Callable[[], int | None]) -> int | None:
    """Call a function and report what goes wrong as users expect it of a command.

    Returns:
        What the function returned.  1, after one line on standard error, for an error of fedmsg
        or of the system and for a missing extra.  0 for Ctrl-C, after an empty line, and when the
        reader of standard output has gone.

    Raises:
        SystemExit: as the function raised it.
        Exception: other errors, which are bugs.
    """
    try:
        return _call_and_flush(function)
    except KeyboardInterrupt:
        print()
        return 0
    except BrokenPipeError:
        discard_stdout()
        return 0
    except (FedmsgError, OSError) as error:
        text = str(error)
    except ImportError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        text = f"{error}: install this package with its extra: pip install '.[{extra}]'"
    # A server, a broker or a file may have shaped it.
    print(f"{os.path.basename(sys.argv[0])}: {without_control(text)}", file=sys.stderr)
    return 1


def _call_and_flush(function: Callable[[], int | None]) -> int | None:
    try:
        status = function()
    except SystemExit:
        sys.stdout.flush()
        raise
    sys.stdout.flush()
    return status


def discard_stdout() -> None:
    """Point standard output at nothing, so that the flush at exit finds no closed pipe."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):  # not a file: a test's buffer
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def join_endpoints(value: str | Sequence[str]) -> str:
    """Return the comma list of addresses that the hub expects, from one address or several."""
    return value if isinstance(value, str) else ",".join(value)


def subscribe_to_all(config: dict[str, Any]) -> None:
    """Have the hub connect to every address in ``endpoints``."""
    lists = [as_list(value) for value in config.get("endpoints", {}).values()]
    config["zmq_subscribe_endpoints"] = ",".join(each for found in lists for each in found)
