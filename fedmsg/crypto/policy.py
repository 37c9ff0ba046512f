"""Who may send what: the routing policy.  Specification: crypto.md 4, D12, D15."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from .._limits import RateLimit

_log = logging.getLogger("fedmsg.crypto")

#: Topics already reported as not listed; no more than so many are remembered.
_reported: set[str] = set()
_MOST_REPORTED = 10_000
#: Refusals are errors that anybody on the bus can cause: so many a minute are logged.
_refusals = RateLimit(60)


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
    signers = None
    if routing_policy and isinstance(topic, str):
        signers = routing_policy.get(topic)
    if signers is not None:
        if isinstance(signers, (list, tuple, set, frozenset)) and signer in signers:
            return True
        _refuse("%a is not allowed to send on %a by routing_policy", signer, topic)
        return False
    if nitpicky:
        _refuse(
            "%a is not in routing_policy, and routing_nitpicky is set (signer %a)", topic, signer
        )
        return False
    _report_once(topic)
    return True


def _refuse(text: str, *arguments: Any) -> None:
    if _refusals.allow():
        _log.error(text, *arguments)


def _report_once(topic: Any) -> None:
    if isinstance(topic, str) and topic not in _reported and len(_reported) < _MOST_REPORTED:
        _reported.add(topic)
        _log.warning("no routing_policy for the topic %a: any valid signer may send on it", topic)
