"""Who may send what: the routing policy.  Specification: crypto.md 4, D12, D15."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from .._limits import RateLimit

_log = logging.getLogger("fedmsg.crypto")

#: Topics already reported as not listed; no more than so many are remembered.
_reported: set[int] = set()
_MOST_REPORTED = 10_000
#: Refusals are errors that anybody on the bus can cause: so many a minute are logged.
_refusals = RateLimit(60)
_warnings = RateLimit(60)
#: Characters of a topic that are logged.
_SHOWN = 200


def allowed(
    topic: Any, signer: str | None, routing_policy: Mapping[str, Any] | None, nitpicky: Any = False
) -> bool:
    """Return whether a signer may send on a topic.

    Args:
        topic: of the message, of any type.
        signer: common name of a certificate, or fingerprint of a key.
        routing_policy: full topic -> list, tuple or set of signers; None is empty.
        nitpicky: refuse topics that the policy does not list.
    """
    if routing_policy and isinstance(topic, str) and topic in routing_policy:
        signers = routing_policy[topic]
        if isinstance(signers, (list, tuple, set, frozenset)) and signer in signers:
            return True
        _refuse("%a is not allowed to send on %a by routing_policy", signer, _shown(topic))
        return False
    if nitpicky:
        text = "%a is not in routing_policy, and routing_nitpicky is set (signer %a)"
        _refuse(text, _shown(topic), signer)
        return False
    _report_once(topic)
    return True


def _refuse(text: str, *arguments: Any) -> None:
    if _refusals.allow():
        _log.error(text, *arguments)


def _report_once(topic: Any) -> None:
    # Hashes: a topic may be as long as a message.
    if not isinstance(topic, str) or hash(topic) in _reported or len(_reported) >= _MOST_REPORTED:
        return
    if _warnings.allow():
        _reported.add(hash(topic))
        text = "no routing_policy for the topic %a: any valid signer may send on it"
        _log.warning(text, _shown(topic))


def _shown(topic: Any) -> Any:
    """Return a topic as far as it belongs into a log."""
    return topic[:_SHOWN] if isinstance(topic, str) else type(topic).__name__
