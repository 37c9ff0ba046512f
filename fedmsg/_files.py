"""Configuration files: where they are, and what running one of them gives.

Specification: config.md, sections 1 and 3.
"""

from __future__ import annotations

import os
import stat
import traceback
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from fedmsg.exceptions import ConfigFileError, MissingConfigName


def execfile(fname: str, variables: dict[str, Any]) -> None:
    """Execute a Python file in a namespace.

    Args:
        fname: name of the file.
        variables: the namespace, changed by the code.

    Raises:
        OSError: the file cannot be read.
        Exception: whatever the code raises, SyntaxError included.
    """
    _execute(_read(fname), fname, variables)


def read_config(fname: str) -> dict[str, Any]:
    """Return a copy of the dict ``config`` of one file.

    A file that cannot be read is empty, with a UserWarning; a file that every user may change is
    worth another.

    Raises:
        MissingConfigName: the file does not bind ``config`` to a dict.
        ConfigFileError: its code is wrong, or raises an error.
    """
    try:
        source = _read(fname)
        mode = os.stat(fname).st_mode
    except OSError as error:
        warnings.warn(str(error), stacklevel=2)
        return {}
    if os.name == "posix" and mode & stat.S_IWOTH:
        warnings.warn(f"{fname} is executed as code, and every user may change it", stacklevel=2)
    variables: dict[str, Any] = {"__file__": fname}
    try:
        _execute(source, fname, variables)
    except Exception as error:
        raise ConfigFileError(fname, _line(error, fname), error) from error
    config = variables.get("config")
    if not isinstance(config, dict):
        raise MissingConfigName(f"{fname} must bind the name 'config' to a dict")
    return copy_config(config)


def _line(error: Exception, fname: str) -> int | None:
    """Return the line of a file in which it failed."""
    if isinstance(error, SyntaxError) and error.filename == fname:
        return error.lineno
    frames = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in frames if frame.f_code.co_filename == fname]
    return lines[-1] if lines else None


def _read(fname: str) -> bytes:
    with open(fname, "rb") as source:
        return source.read()


def _execute(source: bytes, fname: str, variables: dict[str, Any]) -> None:
    exec(compile(source, fname, "exec", dont_inherit=True), variables)  # noqa: S102


def search_path() -> tuple[list[str], list[str]]:
    """Return the directories and the single files that :func:`load_config` looks for."""
    home = os.path.expanduser("~")
    try:
        here = os.getcwd()
    except OSError:  # a daemon may outlive the directory that it was started in
        here = os.curdir
    directories = ["/etc/fedmsg.d/", f"{home}/.fedmsg.d/", f"{here}/fedmsg.d/"]
    if os.environ.get("VIRTUAL_ENV"):
        directories.append(os.path.join(os.environ["VIRTUAL_ENV"], "etc/fedmsg.d"))
    files = ["/etc/fedmsg-config.py", f"{home}/.fedmsg-config.py", f"{here}/fedmsg-config.py"]
    return directories, files


def copy_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy with containers of its own; stores, locks and functions are shared."""
    return {key: _copied(value) for key, value in config.items()}


def _copied(value: Any) -> Any:
    kind: Any = type(value)
    if kind in (dict, OrderedDict):
        return kind((key, _copied(item)) for key, item in value.items())
    if kind in (list, tuple, set):
        return kind(map(_copied, value))
    return value
