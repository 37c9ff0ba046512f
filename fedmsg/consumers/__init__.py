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
import importlib.util
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import fedmsg
import fedmsg.crypto

from .. import options
from ..exceptions import ConfigurationError, MissingDependency
from ..replay import check_for_replay as check_for_replay
from .base import Consumer
from .message import parsed
from .receipt import Checked, receipt_of
from .retry import Retry
from .status import Seen, StatusFile
from .values import body_of, id_of, topics_of

if TYPE_CHECKING:
    from .recovery import Recovery

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
        replay_name: the name in ``replay_endpoints`` whose missed messages are fetched, if any.
        name_to_seq_id: that name -> the highest number seen.  With ``status_directory`` the next
            start asks for what came after the highest number up to which all are done.
        status_filename: where it says how far it got; None without ``status_directory``.
        status_lock: held while that is written; None if it is not.

    Raises:
        ConfigurationError: the class has no ``config_key``; a ValueError.
        KeyError: the configuration has no ``validate_signatures``, nor has the class.
        MissingDependency: there is a ``datagrepper_url``, and requests is not installed.
        OSError: ``status_directory`` cannot be used.
    """

    config_key: str | None = None
    validate_signatures: bool | None = None
    replay_name: str
    name_to_seq_id: dict[str, int] | None = None

    log: logging.Logger = _log
    status_filename: str | None = None
    status_lock: threading.Lock | None = None
    datagrepper_url: str | None = None
    skip_last_message = False
    _status: StatusFile | None = None
    _seen: Seen | None = None
    _modified = 0.0
    _recovery: Recovery | None = None

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
        if hasattr(self, "replay_name"):
            watched = self.replay_name in (hub.config.get("replay_endpoints") or {})
            self.name_to_seq_id = {self.replay_name: -1} if watched else {}
        self._set_up_status(hub.config)
        self._set_up_recovery(hub.config)
        super().__init__(hub)
        self.log = _log
        if self._recovery is not None and self._threads.given:
            self._recovery.start()

    @classmethod
    def _plain(cls) -> type:
        return FedmsgConsumer

    # -- what was missed -----------------------------------------------------------------------

    def _set_up_status(self, config: Mapping[str, Any]) -> None:
        self.datagrepper_url = config.get("datagrepper_url")
        self.skip_last_message = config.get("skip_last_message", False)
        directory = config.get("status_directory")
        if not directory:
            return
        self.status_filename = os.path.join(directory, current_proc(), type(self).__name__)
        if not self.datagrepper_url:
            self.log.info("no datagrepper_url: %s is not written", self.status_filename)
            os.makedirs(os.path.dirname(self.status_filename), exist_ok=True)
            return
        if importlib.util.find_spec("requests") is None:
            raise MissingDependency("datagrepper_url needs requests: pip install '.[datagrepper]'")
        self._status = StatusFile(self.status_filename)
        self.status_lock = self._status.lock

    def _set_up_recovery(self, config: Mapping[str, Any]) -> None:
        # A broker keeps by itself what a consumer misses.
        if self.name_to_seq_id and config.get("zmq_enabled", True):
            from .recovery import Recovery

            self._recovery = Recovery(self, config)

    def start_workers(self) -> None:
        """Begin to work on what is queued, and to fetch what was missed."""
        if self._recovery is not None:
            self._recovery.start()
        super().start_workers()

    def _prepare(self) -> None:
        """Read how far the last run got, and have the rest fetched."""
        if self._recovery is not None:
            self._threads.add("recovery", self._recovery.run)
        if self._status is None or not options.get(self.hub.config, "backlog"):
            return
        try:
            text, self._modified = self._status.read()
        except FileNotFoundError as error:
            _log.info("no backlog: %s", error)
            return
        _log.info("backlog since %s, from %s", self.status_filename, self.datagrepper_url)
        self._seen = Seen()
        # Until all of it is consumed, a live message must not move the status past it.
        self._status.only = self._seen.is_of_backlog
        self._threads.add("backlog", functools.partial(self._backlog, text))

    def _backlog(self, data: str) -> None:
        """Queue what was missed since the message in a status file's text."""
        from .backlog import Backlog

        if self._seen is None:
            self._seen = Seen()
        Backlog(self, self._seen, self._modified).fill(data)
        self._end_of_backlog()

    def get_datagrepper_results(self, then: float, now: float) -> Iterator[dict[str, Any]]:
        """Yield what was sent between two times, as the archive has it; may be overridden."""
        from . import backlog

        strict = bool(self.hub.config.get("zmq_strict"))
        wanted = backlog.filters(topics_of(self), strict)
        url = str(self.datagrepper_url)
        return backlog.pages(url, then, now, wanted, self._stopping, self.log)

    def _end_of_backlog(self, msg_id: str | None = None) -> None:
        if self._seen is None or self._status is None or self._status.only is None:
            return
        self._seen.done(msg_id)
        if self._seen.caught_up:
            self._status.only = None

    def pre_consume(self, message: Any) -> None:
        """Say in the status file that a message is being consumed."""
        if self._status is not None:
            self._status.begin(message)

    def post_consume(self, message: Any) -> None:
        """Say that it has been."""
        if self._status is not None:
            self._end_of_backlog(self._status.end(message))

    # -- arrival -------------------------------------------------------------------------------

    def _consume(self, message: Any) -> bool | None:
        """Take one message; one that is not valid is logged and gone: the result is None."""
        try:
            self.validate(message)
        except Exception as error:  # noqa: BLE001  nothing in a message may end the hub
            self._reject(error)
            return None
        if isinstance(message, dict):
            receipt, message = receipt_of(message), Checked(message)
            message.checked, message.receipt = self, receipt
            if "headers" in message and isinstance(message.get("body"), dict):
                # After the check: they are not covered by the signature.
                message["body"]["headers"] = message["headers"]
        elif hasattr(message, "__json__"):
            with contextlib.suppress(AttributeError):  # of a class without room for it
                message.checked = self
        # What comes from a broker has a receipt; nothing of that is missed.
        if self._recovery is None or receipt_of(message) is not None:
            return super()._consume(message)
        body = body_of(message)
        if not self._recovery.concerns(body):
            return super()._consume(message)
        if self._recovery.queues:
            return self._recovery.take(message, body)
        # No thread of ours runs.
        from .recovery import at_once

        result = None
        for each in at_once(self, message, body):
            result = super()._consume(each)
        return result

    @property
    def backlog(self) -> int:
        """Messages that wait: for those before them, queued, and in the hands of a worker."""
        return super().backlog + (self._recovery.waiting if self._recovery is not None else 0)

    @property
    def takes_batches(self) -> bool:
        """Not with gap recovery, which has to see every message in its order."""
        return not self.name_to_seq_id and super().takes_batches

    def _is_wanted(self, message: Any) -> bool:
        # By this consumer: another one may have had less to ask of it.  A plain dict by nobody;
        # to ask one for an attribute that it has not is slow.
        if type(message) is dict or getattr(message, "checked", None) is not self:
            try:
                self.validate(message)
            except BaseException:
                self._end_of_backlog(id_of(message))
                raise
        return self._seen is None or self._seen.take(id_of(message))

    def _end_workers(self) -> None:
        if self._recovery is None or not self._recovery.stop():
            super()._end_workers()

    def _worked_off(self) -> None:
        if self._recovery is not None:
            self._recovery.close()

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
        if type(message) is not dict and hasattr(message, "__json__"):
            message = _from_object(message)
        if not isinstance(message["body"], dict) or "topic" not in message["body"]:
            message["body"] = {"topic": message.get("topic"), "msg": message["body"]}
        if not self.validate_signatures:
            return
        if message["topic"] != message["body"]["topic"]:
            raise RuntimeWarning(MISMATCH)
        config = self.hub.config
        if "message" in config:  # the name of an argument
            config = {key: value for key, value in config.items() if key != "message"}
        if not fedmsg.crypto.validate(message["body"], **config):
            raise RuntimeWarning(NOT_AUTHENTIC)
        if not fedmsg.crypto.is_authorised(message["topic"], message["body"], config):
            raise RuntimeWarning(NOT_AUTHENTIC)


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


def __getattr__(name: str) -> Any:
    """``requests``, which is imported only where a backlog is fetched; tests replace it."""
    if name == "requests":
        from . import backlog

        return vars(backlog)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
