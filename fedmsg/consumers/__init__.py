"""Consumers: classes that a hub calls with every message on a topic.

    class Builds(fedmsg.consumers.FedmsgConsumer):
        config_key = "builds.enabled"
        topic = "org.fedoraproject.prod.koji.*"

        def consume(self, message):
            print(message["body"]["msg"])

Specification: consumers.md.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
import warnings
from typing import Any

import fedmsg
import fedmsg.crypto

from ..exceptions import ConfigurationError
from .base import Consumer
from .message import parsed
from .retry import Retry

__all__ = ["FedmsgConsumer", "current_proc"]

_log = logging.getLogger("fedmsg.consumers")

MISMATCH = "Topic envelope mismatch."
NOT_AUTHENTIC = "Failed to authn message."


class FedmsgConsumer(Consumer):
    """A consumer of fedmsg messages: switched by a configuration key, signatures checked.

    Args:
        hub: has ``config`` and ``subscribe(topic, callback)``.

    Attributes:
        config_key: the configuration key that switches the consumer on; where it is false the
            constructor returns early, and ``_initialized`` stays False.
        validate_signatures: None takes the configuration's value.

    Raises:
        ConfigurationError: the class has no ``config_key``; a ValueError.
        KeyError: the configuration has no ``validate_signatures``, nor has the class.
    """

    config_key: str | None = None
    validate_signatures: bool | None = None

    log: logging.Logger = _log

    def __init__(self, hub: Any) -> None:
        module, name = type(self).__module__, type(self).__name__
        if not self.config_key:
            raise ConfigurationError(f"{module}:{name} must declare a 'config_key'")
        self.log = _log
        switch = hub.config.get(self.config_key, False)
        self.log.debug("%s is %r", self.config_key, switch)
        if not switch:
            self.log.info("* disabled by config - %s:%s", module, name)
            return
        self.log.info("* enabled by config  - %s:%s", module, name)
        if self.validate_signatures is None:
            self.validate_signatures = hub.config["validate_signatures"]
        self._retry = Retry.configured(hub.config, name)
        super().__init__(hub)
        self.log = _log

    @classmethod
    def _plain(cls) -> type:
        return FedmsgConsumer

    # -- arrival -------------------------------------------------------------------------------

    def _consume(self, message: Any) -> bool | None:
        """Take one message; one that is not valid is logged and gone: the result is None."""
        try:
            self.validate(message)
        except Exception as error:  # noqa: BLE001  nothing in a message may end the hub
            self._reject(error)
            return None
        if isinstance(message, dict):
            message = Checked(message)
            message.checked = self
            if "headers" in message and isinstance(message.get("body"), dict):
                # After the check: they are not covered by the signature.
                message["body"]["headers"] = message["headers"]
        elif hasattr(message, "__json__"):
            with contextlib.suppress(AttributeError):  # of a class without room for it
                message.checked = self
        return super()._consume(message)

    def _is_wanted(self, message: Any) -> bool:
        # By this consumer: another one may have had less to ask of it.
        if getattr(message, "checked", None) is not self:
            self.validate(message)
        return True

    def validate(self, message: Any) -> None:
        """Give a message its shape, and check who sent it.

        A dict is shaped in place: its body becomes a fedmsg message, wrapped in
        ``{'topic', 'msg'}`` if it is none.  An object stays as it is.

        Args:
            message: ``{'topic', 'body'}``, or an object with ``__json__`` that returns this.

        Raises:
            RuntimeWarning: the topics differ, or the signature is not valid.
            UnicodeDecodeError: a bytes body is not UTF-8.
        """
        if hasattr(message, "__json__"):
            message = _from_object(message)
        if not isinstance(message["body"], dict) or "topic" not in message["body"]:
            message["body"] = {"topic": message.get("topic"), "msg": message["body"]}
        if not self.validate_signatures:
            return
        if message["topic"] != message["body"]["topic"]:
            raise RuntimeWarning(MISMATCH)
        if not fedmsg.crypto.validate(message["body"], **self.hub.config):
            raise RuntimeWarning(NOT_AUTHENTIC)


class Checked(dict[str, Any]):
    """An envelope that has been validated; it is not validated again.

    Attributes:
        checked: the consumer that did it.
    """

    checked: FedmsgConsumer


def _from_object(message: Any) -> dict[str, Any]:
    """Return the dict of an object with ``__json__``, its body parsed.

    Raises:
        UnicodeDecodeError: a bytes body is not UTF-8.
    """
    found = dict(message.__json__())
    if isinstance(found["body"], bytes):
        warnings.warn("Message body is not unicode", DeprecationWarning, stacklevel=4)
        found["body"] = found["body"].decode("utf-8")
    if isinstance(found["body"], str):
        found["body"] = parsed(found["body"])
    return found


@functools.cache
def current_proc() -> str:
    """Return the name of this process, cut off after 15 characters as the kernel does."""
    try:
        with open("/proc/self/comm", encoding="utf-8", errors="replace") as file:
            return file.read().rstrip("\n")
    except OSError:  # no such file on this system
        return os.path.basename(sys.argv[0])[:15]
