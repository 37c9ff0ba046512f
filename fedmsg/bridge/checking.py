"""Which messages may cross."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

from .. import crypto, envelope, options
from .._limits import RateLimit
from ..exceptions import ConfigurationError
from .forms import DIFFERS, LOOP, NO_TEXT, Rejected, checked_id

_log = logging.getLogger("fedmsg.bridge")

NOT_WANTED = "not wanted"
#: Nothing to report.
_USUAL = (NOT_WANTED, LOOP)


class Checker:
    """Counts and logs what may not cross, and says what may.

    Args:
        config: the configuration.
        validates: whether signatures are checked.
        counts: gets the reasons.

    Raises:
        ConfigurationError: ``bridge_topics`` is not a list of text.
    """

    def __init__(self, config: Mapping[str, Any], validates: bool, counts: Counter[str]) -> None:
        self._validates, self._counts = validates, counts
        self._config = crypto.settings(config)
        self._limit = RateLimit(60)
        topics = options.get(config, "bridge_topics") or [""]
        if not all(isinstance(each, str) for each in topics):
            raise ConfigurationError(
                "Invalid configuration value for 'bridge_topics': it must be a list of beginnings"
                f" of topics, not {topics!r}"
            )
        self.prefixes = tuple(topics)

    def check(self, topic: Any, message: dict[str, Any]) -> str:
        """Return the id of a message that may cross.

        Raises:
            Rejected: it may not; says why.
        """
        if not isinstance(topic, str) or envelope.has_control_characters(topic):
            raise Rejected(NO_TEXT)
        if message.get("topic") != topic:
            raise Rejected(DIFFERS)
        msg_id = checked_id(message.get("msg_id"))
        if self._validates:
            verdict = crypto.check_received(topic, message, **self._config)
            if not verdict.valid:
                raise Rejected(verdict.reason)
        # Last: a position moves on over what is not wanted, but not over what is not valid.
        if not topic.startswith(self.prefixes):
            raise Rejected(NOT_WANTED)
        return msg_id

    def reject(self, error: Exception, topic: object) -> None:
        """Count and log that a message does not cross."""
        reason = str(error)
        self._counts[reason] += 1
        if reason not in _USUAL and self._limit.allow():
            shown = topic[:200] if isinstance(topic, (str, bytes)) else type(topic).__name__
            _log.warning("dropped a message on %a: %s", shown, reason)
