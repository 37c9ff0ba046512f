"""The processor of messages that no other handles."""

from __future__ import annotations

from .base import BaseProcessor


class DefaultProcessor(BaseProcessor):
    """Shows the topic."""

    __name__ = "unhandled"
    __description__ = "fedmsg doesn't know how to handle this message"
    __link__ = "https://github.com/fedora-infra/fedmsg"
    __docs__ = "https://fedmsg.readthedocs.org/"
    __obj__ = "Everything Else"
