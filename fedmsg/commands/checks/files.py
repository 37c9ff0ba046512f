"""Which configuration files there are, and which key comes from which."""

from __future__ import annotations

import contextlib
import difflib
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from fedmsg import config as configuration
from fedmsg import options
from fedmsg._derive import complete_endpoints
from fedmsg._files import copy_config, read_config, search_path
from fedmsg._loopback import environment_note
from fedmsg.commands.checks import Finding, error, ok, warning
from fedmsg.commands.secrets import is_secret
from fedmsg.exceptions import ConfigFileError, FedmsgError, MissingConfigName

_FILES = "files"
#: How much a key has to be like a known one to be taken for a misspelling of it.
_ALIKE = 0.85


class Loaded:
    """The configuration as ``load_config`` gives it, and where it comes from.

    Args:
        filename: read this file only; None: the usual places.

    Attributes:
        config: what could be loaded.
        sources: each key with the files that set it, in order: the last one counts.
        findings: about the files and what is in them.
    """

    def __init__(self, filename: str | None) -> None:
        self.config: dict[str, Any] = copy_config(configuration.defaults)
        self.sources: dict[str, list[str]] = {}
        self.findings: list[Finding] = []
        try:
            paths = configuration._find_files([filename] if filename else None)
        except FedmsgError as problem:
            self.findings.append(error(_FILES, str(problem), "name a file that exists"))
            paths = []
        for path in paths:
            self.findings += self._read(path)
        if environment_note():
            self.findings.append(ok(_FILES, environment_note().strip()))
        self.findings += self._overridden()
        self.findings += _values(self.config, self.sources)
        self.findings += self._endpoints(bool(paths), filename)

    def _read(self, path: str) -> Iterator[Finding]:
        with warnings.catch_warnings(record=True) as told, contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("always")
            try:
                found = read_config(path)
            except MissingConfigName as problem:
                yield error(_FILES, str(problem), "write: config = {...}")
                return
            except BaseException as problem:  # noqa: BLE001  SystemExit, for one
                # Without the text of the error: it may quote a line with a password.
                name = type(problem).__name__
                reason = problem.reason if isinstance(problem, ConfigFileError) else name
                yield error(_FILES, f"{path} fails: {reason}", f"run: python3 {path}")
                return
        for each in told:
            yield warning(_FILES, f"{each.message}", f"look at: ls -l {path}")
        if not told:
            keys = ", ".join(map(str, found)) or "nothing"
            yield ok(_FILES, f"{path} sets {keys}")
        configuration._recursive_update(self.config, found)
        for key in found:
            self.sources.setdefault(str(key), []).append(path)

    def _overridden(self) -> Iterator[Finding]:
        for key, paths in self.sources.items():
            if len(paths) > 1:
                how = "merged from" if isinstance(self.config.get(key), dict) else "set by"
                yield ok(_FILES, f"{key} is {how} {', '.join(paths)}: the last one wins")

    def _endpoints(self, any_files: bool, filename: str | None) -> Iterator[Finding]:
        config = self.config
        if "endpoints" not in config and not config.get("srv_endpoints"):
            if any_files or filename:
                yield error(
                    _FILES, "no file sets 'endpoints'",
                    "add it: config = {'endpoints': {'relay_outbound': ['tcp://127.0.0.1:4001']}}",
                )  # fmt: skip
                config["endpoints"] = {}
                return
            places = ", ".join(place for group in search_path() for place in group)
            yield ok(_FILES, f"no file in {places}: built-in set-up")
            self.config = configuration.loopback(config, tell=False)
            return
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                complete_endpoints(config)
        except FedmsgError as problem:
            yield error("endpoints", str(problem), "correct 'endpoints' or 'srv_endpoints'")
            config["endpoints"] = {}
            return
        for each in told:
            yield warning("endpoints", f"{each.message}", "look at the name server's SRV records")


def _values(config: dict[str, Any], sources: dict[str, list[str]]) -> Iterator[Finding]:
    for key in sources:
        place, option = sources[key][-1], options.TABLE.get(key)
        if option is None:
            for other in difflib.get_close_matches(key, options.TABLE, 1, _ALIKE):
                yield warning(
                    "options", f"{place}: {key!r} is no option of fedmsg", f"is it {other!r}?"
                )
            continue
        value = config[key]
        try:
            if value is not None:
                option.check(value)
        except (ValueError, TypeError) as problem:
            # The text quotes the value, and a dict may have a password in it.
            public = isinstance(value, (str, int, float)) or key in ("endpoints", "routing_policy")
            text = str(problem) if public and not is_secret(key) else "the value is wrong"
            yield error("options", f"{place}: {key}: {text}", f"it is the {option.doc}")
