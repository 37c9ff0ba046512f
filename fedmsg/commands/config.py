"""``fedmsg-config``: show the configuration.  Specification: commands.md, section 6.

Scripts in other languages read its output.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import fedmsg.config
from fedmsg._arguments import complete
from fedmsg.commands import guarded
from fedmsg.commands.secrets import redacted
from fedmsg.exceptions import MissingEndpoints

__all__ = ["config"]

_ABSENT = object()
_EPILOG = """\
exit status: 0; 1 if a queried key does not exist, or the configuration is wrong

examples:
  fedmsg-config --redact                     all of it, without passwords
  fedmsg-config --query endpoints.relay_outbound,relay_inbound
  fedmsg-config --disable-defaults --config-filename=fedmsg.d/relay.py
"""


def config(argv: Sequence[str] | None = None) -> int | None:
    """Print the configuration, or parts of it.

    Args:
        argv: the command line without the program; default ``sys.argv[1:]``.

    Returns:
        None, or 1 if the configuration is wrong.

    Raises:
        SystemExit: a queried key does not exist (1), or the command line is wrong (2).
    """
    return guarded(lambda: _show(argv))


def _show(argv: Sequence[str] | None) -> None:
    arguments = complete(parser()).parse_args(argv)
    loaded = _load(arguments.config_filename, arguments.disable_defaults)
    if arguments.redact:
        loaded = redacted(loaded)
    if not arguments.query:
        print(fedmsg.config.printable(loaded))
        return
    paths = [path.strip() for path in arguments.query.split(",")]
    values = [_look_up(loaded, path) for path in paths]
    missing = [path for path, value in zip(paths, values, strict=True) if value is _ABSENT]
    for path in missing:
        print(f"Key `{path}` does not exist in config", file=sys.stderr)
    if missing:
        sys.exit(1)
    for value in values:
        _print_value(value)


def parser() -> Any:
    """Return the parser of the command line."""
    import argparse

    made = argparse.ArgumentParser(
        description="Show the fedmsg configuration as JSON.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--config-filename", dest="config_filename", help="read this file only")
    add(
        "--disable-defaults",
        dest="disable_defaults",
        action="store_true",
        help="show what the files say, without the defaults",
    )
    add(
        "--query",
        dest="query",
        type=str,
        help="show these keys only: dotted paths, separated by commas; one value after the other",
    )
    add("--redact", dest="redact", action="store_true", help="replace passwords by ***")
    return made


def _load(filename: str | None, disable_defaults: bool) -> dict[str, Any]:
    filenames = [filename] if filename else None
    try:
        return fedmsg.config.load_config(filenames=filenames, disable_defaults=disable_defaults)
    except MissingEndpoints as error:
        if error.files:
            raise
        return fedmsg.config.loopback(error.config)


def _look_up(loaded: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path, or at a key that has dots itself; _ABSENT if none."""
    if path in loaded:
        return loaded[path]
    value: Any = loaded
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return _ABSENT
        value = value[key]
    return value


def _print_value(value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            print(item)
    elif isinstance(value, str):
        print(value)
    else:
        print(fedmsg.config.printable(value))
