"""The processor of what ``fedmsg-logger`` sends.  Specification: meta.md, section 5."""

from __future__ import annotations

import json
from typing import Any

from .base import BaseProcessor, Message


class LoggerProcessor(BaseProcessor):
    """Shows lines of logs."""

    __name__ = "logger"
    __description__ = "miscellaneous Fedora Infrastructure shell scripts"
    __link__ = "https://fedoraproject.org/wiki/Infrastructure"
    __docs__ = "https://fedoraproject.org/wiki/Infrastructure"
    __obj__ = "System Logs"

    def subtitle(self, msg: Message, **config: Any) -> str:
        """Return the line and who sent it."""
        if "logger.log" not in msg["topic"]:
            return self._("<unhandled log message>")
        text = self._("<custom JSON message>") if _is_custom(msg) else str(msg["msg"]["log"])
        return f"{text} ({msg.get('username', self._('none'))})"

    def long_form(self, msg: Message, **config: Any) -> str:
        """Return the message as JSON, if it is not just a line."""
        if "logger.log" not in msg["topic"] or not _is_custom(msg):
            return self.subtitle(msg, **config)
        header = self._("A custom JSON message was logged by {user}").format(
            user=msg.get("username", "(None)")
        )
        inner = json.dumps({"msg": msg["msg"]}, indent=4).split("\n")[1:-1]
        return f"{header}::\n\n" + "\n".join(inner)

    def subjective(self, msg: Message, subject: str | None, **config: Any) -> str:
        """Return the line, addressed to who sent it."""
        if _is_custom(msg) or subject is None or msg.get("username") != subject:
            return self.subtitle(msg, **config)
        return self._('you logged "{log}"').format(log=str(msg["msg"]["log"]))

    def usernames(self, msg: Message, **config: Any) -> set[str]:
        """Return who sent it."""
        return sender(msg)

    def agent(self, msg: Message, **config: Any) -> str | None:
        """Return who sent it."""
        return next(iter(sender(msg)), None)


def sender(msg: Message) -> set[str]:
    """Return the ``username`` of the envelope as a set, which is empty if there is none."""
    return {msg["username"]} if isinstance(msg.get("username"), str) else set()


def _is_custom(msg: Message) -> bool:
    return not isinstance(msg["msg"], dict) or "log" not in msg["msg"]
