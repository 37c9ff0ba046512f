"""Rows of the routing policy that can never match."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fedmsg._option import policy as check_form
from fedmsg.commands.checks import Case, Finding, error, ok, warning

_CHECK = "routing_policy"
#: What topics on the bus never have.
_NEVER = re.compile(r"[\s*?\[\]\\^$|()\x00-\x1f\x7f-\x9f]")
_FINGERPRINT = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")


def policy(case: Case) -> Iterator[Finding]:
    """Check the rows, and whether they are used at all."""
    config = case.config
    rows = config.get("routing_policy")
    if not case.acts_as("subscriber") or not rows:
        return
    try:
        check_form(rows)
    except ValueError as problem:
        yield error(_CHECK, str(problem), "write {'full.topic': ['certificate name']}")
        return
    if not config.get("validate_signatures"):
        yield warning(
            _CHECK, "it is not used: validate_signatures is not set",
            "set validate_signatures=True",
        )  # fmt: skip
    bad = [finding for topic, names in rows.items() for finding in _row(topic, names, config)]
    yield from bad
    if not bad:
        yield ok(_CHECK, f"{len(rows)} rows")


def _row(topic: str, names: Any, config: Any) -> Iterator[Finding]:
    for reason, remedy in _topic(topic, str(config.get("topic_prefix") or "")):
        yield warning(_CHECK, f"the row {topic!r} can never match: {reason}", remedy)
    if not names:
        yield warning(
            _CHECK, f"the row {topic!r} refuses everybody: it names nobody",
            "name the certificates that may send it",
        )  # fmt: skip
    only_gpg = (config.get("crypto_validate_backends") or [config.get("crypto_backend")]) == ["gpg"]
    for name in names:
        if only_gpg and not _FINGERPRINT.fullmatch(name):
            yield warning(
                _CHECK, f"{topic!r}: {name!r} can never match: it is no fingerprint of a gpg key",
                "write all of it, in capitals: gpg --list-keys --with-colons",
            )  # fmt: skip
        elif not name or name != name.strip() or "/" in name or name.endswith((".crt", ".key")):
            yield warning(
                _CHECK, f"{topic!r}: {name!r} can never match: it is no common name",
                "write the common name (CN) of the certificate, not its file",
            )  # fmt: skip


def _topic(topic: str, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield why no message has a topic, and what to do; rows are compared with full topics."""
    if _NEVER.search(topic):
        yield "rows are no patterns", "write a full topic, one row for each"
    elif not topic or topic != topic.strip(".") or ".." in topic:
        yield "a part of it is empty", "write a full topic"
    elif prefix and not topic.startswith(f"{prefix}."):
        yield f"topics begin with {prefix!r} (topic_prefix)", "write a full topic"
    elif topic.count(".") < prefix.count(".") + 3:
        yield "it ends before the name of an event", "write a full topic"
