"""The processor of what ``fedmsg-announce`` sends.  Specification: meta.md, section 5."""

from __future__ import annotations

from typing import Any

from .base import BaseProcessor, Message
from .logger import sender


class AnnounceProcessor(BaseProcessor):
    """Shows announcements."""

    __name__ = "announce"
    __description__ = "Official Fedora Announcements"
    __link__ = "https://fedoraproject.org/"
    __docs__ = "https://fedoraproject.org/"
    __obj__ = "Announcements"

    def subtitle(self, msg: Message, **config: Any) -> str:
        """Return what is announced."""
        return msg["msg"]["message"]  # type: ignore[no-any-return]

    def link(self, msg: Message, **config: Any) -> str | None:
        """Return where to read more."""
        return msg["msg"]["link"]  # type: ignore[no-any-return]

    def usernames(self, msg: Message, **config: Any) -> set[str]:
        """Return who announced it."""
        return sender(msg)

    def agent(self, msg: Message, **config: Any) -> str | None:
        """Return who announced it."""
        return next(iter(sender(msg)), None)
