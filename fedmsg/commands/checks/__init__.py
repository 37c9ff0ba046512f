"""What ``fedmsg-doctor`` looks at.  A check yields findings; it changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from fedmsg.commands.secrets import redacted

#: How bad a finding is, and what the exit status is for it.
LEVELS = {"ok": 0, "warning": 1, "error": 2}


class Finding(NamedTuple):
    """One line of the report.

    Attributes:
        level: a key of :data:`LEVELS`.
        check: what was looked at.
        text: what was found; without passwords and control characters.
        remedy: what to do, empty if nothing.
    """

    level: str
    check: str
    text: str
    remedy: str = ""


class Case(NamedTuple):
    """Whom the configuration is checked for.

    Attributes:
        config: the configuration.
        role: ``publisher``, ``subscriber`` or ``relay``; empty: a publisher that also listens.
        name: the publisher's name, if it has one.
        cert_prefix: the service that its certificate is for, if it names one.
    """

    config: Mapping[str, Any]
    role: str = ""
    name: str = ""
    cert_prefix: str = ""

    def acts_as(self, role: str) -> bool:
        """Return whether the checks of a role apply."""
        return self.role == role or (not self.role and role != "relay")


def ok(check: str, text: str) -> Finding:
    """Return a finding that is as it should be."""
    return Finding("ok", check, _clean(text))


def warning(check: str, text: str, remedy: str) -> Finding:
    """Return a finding that may be meant."""
    return Finding("warning", check, _clean(text), _clean(remedy))


def error(check: str, text: str, remedy: str) -> Finding:
    """Return a finding that keeps something from working, or from being safe."""
    return Finding("error", check, _clean(text), _clean(remedy))


def _clean(text: str) -> str:
    shown = str(redacted(text))
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in shown
    )
