"""Finding, merging and checking configuration files.

Two ways to the configuration exist and stay different.  :func:`load_config` is what the commands,
``fedmsg.init`` and most applications use: it reads the system's, the user's and the project's
files.  :data:`conf` reads the one place that the environment variable ``FEDMSG_CONFIG`` names, or
``/etc/fedmsg.d``.  A configuration file is Python source that binds ``config`` to a dict: it is
**executed**, so a file that others may write to hands them this process.

Specification: config.md.  The options themselves are in :mod:`fedmsg.options`.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from fedmsg import options
from fedmsg._derive import check_policy, complete_endpoints, needs_endpoints, topic_pattern
from fedmsg._files import copy_config, execfile, read_config, search_path
from fedmsg._lazy import LazyDict
from fedmsg._loopback import environment_note, loopback, tell_loopback
from fedmsg.encoding import printable
from fedmsg.exceptions import ConfigurationError, MissingEndpoints
from fedmsg.options import bare_format

__all__ = [
    "FedmsgConfig",
    "bare_format",
    "build_parser",
    "conf",
    "copy_config",
    "defaults",
    "execfile",
    "for_init",
    "load_config",
    "loopback",
    "printable",
    "tell_loopback",
]

Config = dict[str, Any]

_log = logging.getLogger(__name__)

defaults: Config = copy_config(
    {
        name: option.loaded
        for name, option in options.TABLE.items()
        if option.loaded is not options.ABSENT
    }
)
"""What :func:`load_config` starts from."""

__cache: Config = {}
_stored: Config = __cache  # what load_config itself put there; tests put other dicts
invalidations = 0  # how often the memo was emptied; fedmsg.init forgets its keywords then

_DEPRECATED = (
    'Using "load_config" is deprecated and will be removed in a future release; use the '
    '"fedmsg.config.conf" dictionary instead.'
)


# -- reading files -----------------------------------------------------------------------------


def _gather_configs_in(directory: str) -> list[str]:
    """Return the ``*.py`` files directly in a directory, sorted; none if it cannot be listed."""
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return []
    paths = [os.path.join(directory, name) for name in names if name.endswith(".py")]
    return [path for path in paths if os.path.isfile(path)]


def _find_files(filenames: Sequence[str] | None) -> list[str]:
    if filenames:
        for name in filenames:
            if not os.path.isfile(name):
                raise ConfigurationError(f"{name!r} is not a file.")
        return list(filenames)
    directories, files = search_path()
    found = [path for directory in directories for path in _gather_configs_in(directory)]
    return found + [path for path in files if os.path.isfile(path)]


def _process_config_file(filenames: Sequence[str] | None = None) -> Config:
    """Read configuration files and merge them, the later over the earlier.

    Args:
        filenames: the files to read; the usual places are searched if there are none.

    Raises:
        ConfigurationError: a named file does not exist, binds no ``config``, or fails.
    """
    config: Config = {}
    for fname in _find_files(filenames):
        _recursive_update(config, read_config(fname))
    return config


def _recursive_update(d1: Config, d2: Mapping[str, Any]) -> Config:
    """Lay ``d2`` over ``d1``, dict by dict, and return the changed ``d1``; lists are replaced."""
    for key, value in d2.items():
        if isinstance(value, dict) and isinstance(d1.get(key), dict):
            _recursive_update(d1[key], value)
        else:
            d1[key] = value
    return d1


# -- load_config -------------------------------------------------------------------------------


def load_config(
    extra_args: Sequence[Any] | None = None,
    doc: str | None = None,
    filenames: Sequence[str] | None = None,
    invalidate_cache: bool = False,
    fedmsg_command: bool = False,
    disable_defaults: bool = False,
    *,
    argv: Sequence[str] | None = None,
) -> Config:
    """Return the configuration of this process.

    The result is remembered: calls without the arguments below return the same dict again, which
    applications may extend.  Calls with ``filenames``, ``fedmsg_command`` or ``disable_defaults``
    load afresh, and are what is remembered from then on.

    Args:
        extra_args: options of a command, pairs of positional and keyword arguments of
            ``add_argument``.
        doc: description for ``--help``.
        filenames: read these files only, in this order.
        invalidate_cache: forget the remembered configuration first.
        fedmsg_command: parse the command line too.
        disable_defaults: start from nothing, and require nothing.
        argv: the command line to parse, without the program; default ``sys.argv[1:]``.

    Raises:
        MissingEndpoints: no file has ``endpoints``.
        ConfigurationError: no such file; ``endpoints`` or ``routing_policy`` has a wrong form.
        MissingConfigName: a file binds no ``config``.
        ConfigFileError: the code of a file fails.
        MissingDependency: ``srv_endpoints`` is set, and dnspython is not installed.
        SystemExit: ``print_config`` was asked for (status 0), or the command line is wrong (2).
    """
    global __cache, _stored, invalidations
    _warn_application()
    if invalidate_cache:
        __cache = _stored = {}
        invalidations += 1
    afresh = bool(filenames or fedmsg_command or disable_defaults)
    if __cache and not (afresh and __cache is _stored):
        return __cache
    command = (extra_args or [], doc, argv) if fedmsg_command else None
    config = _load(filenames, disable_defaults, command)
    __cache = _stored = config
    return config


def _warn_application() -> None:
    """Warn the caller of load_config that it is deprecated, unless it is fedmsg itself."""
    caller = sys._getframe(2).f_globals.get("__name__") or ""
    if caller.partition(".")[0] != "fedmsg":
        warnings.warn(_DEPRECATED, DeprecationWarning, stacklevel=3)


_Command = tuple[Sequence[Any], str | None, Sequence[str] | None]


def _load(
    filenames: Sequence[str] | None, disable_defaults: bool, command: _Command | None
) -> Config:
    config = _assemble(filenames, disable_defaults, command)
    if not filenames and config.get("config_filename"):
        filenames = [config["config_filename"]]
        config = _assemble(filenames, disable_defaults, command)
    if config.get("print_config"):
        print(printable(config))
        sys.exit(0)
    if "topic_prefix_re" not in config and "topic_prefix" in config:
        config["topic_prefix_re"] = topic_pattern(config)
    if "endpoints" not in config and not disable_defaults and needs_endpoints(config):
        raise _missing_endpoints(config, _find_files(filenames))
    complete_endpoints(config)
    return check_policy(config)


def _assemble(
    filenames: Sequence[str] | None, disable_defaults: bool, command: _Command | None
) -> Config:
    config = {} if disable_defaults else copy_config(defaults)
    config.update(_process_config_file(filenames))
    if command is not None:
        extra_args, doc, argv = command
        config.update(_process_arguments(extra_args, doc, config, argv))
    return config


def _missing_endpoints(config: Config, files: list[str]) -> MissingEndpoints:
    places = files or [place for group in search_path() for place in group]
    text = "Read: " if files else "No configuration file was found; looked for: "
    return MissingEndpoints(
        f"No config value 'endpoints' found. {text}{', '.join(places)}.{environment_note()} "
        "Add it to a file: config = {'endpoints': {'relay_outbound': ['tcp://127.0.0.1:4001']}}",
        config,
        files,
    )


# -- the command line --------------------------------------------------------------------------


def build_parser(
    declared_args: Sequence[Any],
    doc: str | None,
    config: Mapping[str, Any] | None = None,
    prog: str | None = None,
) -> Any:
    """Return the ``argparse`` parser of a command.

    Args:
        declared_args: the command's own options; they are not changed.
        doc: description for ``--help``.
        config: where the defaults come from; missing keys are taken from :data:`defaults`.
        prog: name of the program; default ``sys.argv[0]``.
    """
    from fedmsg import _arguments

    return _arguments.build_parser(declared_args, doc, {**defaults, **(config or {})}, prog)


def _process_arguments(
    declared_args: Sequence[Any],
    doc: str | None,
    config: Mapping[str, Any],
    argv: Sequence[str] | None = None,
) -> Config:
    """Parse the command line and return what it sets, defaults from ``config`` included."""
    parsed: Config = vars(build_parser(declared_args, doc, config).parse_args(argv))
    return parsed


# -- what fedmsg.init uses ---------------------------------------------------------------------


def for_init(kw: Mapping[str, Any]) -> Config:
    """Return a configuration for ``fedmsg.init``; neither the files' nor ``kw`` is changed later.

    Args:
        kw: keywords of the caller; they win over the files.

    Raises:
        MissingEndpoints: files were found, but no ``endpoints``, and ``kw`` does not say either.
        ConfigurationError: see :func:`load_config`.
    """
    try:
        config = copy_config(load_config([], None))
    except MissingEndpoints as error:
        if "endpoints" in kw or kw.get("active"):
            config = {**copy_config(error.config), "endpoints": {}}
        elif not error.files:
            config = loopback(error.config)
        else:
            raise
    config.update(copy_config(kw))
    return check_policy(config)


# -- conf --------------------------------------------------------------------------------------


def _get_config_files() -> list[str]:
    """Return the files of ``FEDMSG_CONFIG``, a file or a directory, else of ``/etc/fedmsg.d``."""
    location = os.environ.get("FEDMSG_CONFIG") or "/etc/fedmsg.d"
    if os.path.isfile(location):
        return [location]
    files = _gather_configs_in(location) if os.path.isdir(location) else []
    if not files:
        _log.info("No configuration files found in %s", location)
    return files


class FedmsgConfig(LazyDict):
    """The configuration as a dict, read at the first look and checked against the option table.

    ``topic_prefix_re`` can be read too, although it is not one of the keys: it follows from
    ``topic_prefix``.
    """

    _defaults: ClassVar[dict[str, dict[str, Any]]] = {
        name: {"default": option.default, "validator": option.check}
        for name, option in options.TABLE.items()
        if option.in_conf
    }

    def load_config(self, settings: Mapping[str, Any] | None = None) -> None:
        """Set every known key; if anything is wrong, nothing is changed.

        Values that were set before the first load win over the files.

        Args:
            settings: laid over the defaults; if there are none, the files are.

        Raises:
            ConfigurationError: values of a wrong kind; the text lists all of them.
            ConfigFileError: the code of a file fails.
        """
        early = {} if self._loaded else dict(dict.items(self))
        found = dict(settings or {})
        for fname in [] if settings else _get_config_files():
            _recursive_update(found, _process_config_file([fname]))
        fresh = {name: row["default"] for name, row in self._defaults.items()}
        fresh.update({**early, **found} if settings else {**found, **early})
        self.update(self._validated(copy_config(fresh)))
        self._loaded = True

    def _validated(self, values: Config) -> Config:
        bad = []
        for name, row in self._defaults.items():
            try:
                values[name] = row["validator"](values[name])
            except (ValueError, TypeError) as error:
                bad.append(f"\n\t{name}: {error}")
        if bad:
            raise ConfigurationError("Invalid configuration values were set: " + "".join(bad))
        return values

    def __missing__(self, key: str) -> Any:
        if key == "topic_prefix_re":
            return topic_pattern(self)
        raise KeyError(key)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or the default."""
        value = super().get(key, default)
        if key == "topic_prefix_re" and value is None and dict.get(self, "topic_prefix"):
            return topic_pattern(self)
        return value


conf = FedmsgConfig()
