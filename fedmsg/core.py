"""``FedMsgContext``: what one thread publishes and receives with."""

from __future__ import annotations

import atexit
import logging
import os
import re
import threading
import time
import warnings
import weakref
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import six
import zmq

from . import encoding, envelope, transports, utils
from ._limits import RateLimit
from ._tail import REPORTS_A_MINUTE, Tail
from .exceptions import NoPublisher, ValidationError

if TYPE_CHECKING:
    from .transports.base import Transport

__all__ = ["FedMsgContext", "ValidationError"]

#: Sockets that one context may have; libzmq's own limit is 1023.
_MAX_SOCKETS = 65535
_NONFINITE = re.compile(r"[:,\[](?:NaN|-?Infinity)")

#: Contexts that are not destroyed yet, and clean-up that runs in the background.
_live: weakref.WeakSet[FedMsgContext] = weakref.WeakSet()
_releasing: dict[threading.Thread, float] = {}
#: In a forked child: what belongs to the parent, kept from being collected.
_inherited: list[Any] = []
_held: list[FedMsgContext] = []
#: For so many seconds another thread may close the sockets of its poller.
_OTHERS_CLOSE = 0.2


class FedMsgContext(Tail):
    """One publishing socket and any number of subscriptions, on one ``zmq.Context``.

    Meant for one thread, and safe to share: sends on its socket are serialised.

    Args:
        config: the configuration, as keywords.  ``io_threads``, ``active`` and
            ``post_init_sleep`` are required.

    Attributes:
        c: the configuration.
        hostname: the host's name up to its first dot.
        context: the ``zmq.Context``; None after :meth:`destroy`.
        publisher: the publishing socket, present only if an endpoint was established; None
            after :meth:`destroy`.
        rejected: received messages that were dropped, counted by reason.
        replayed: what gap recovery did, counted: ``recovered``, ``duplicates``, ``missing``,
            ``restarts``.

    Raises:
        KeyError: a required key is missing.
        MissingRelay: ``active``, and there is no address of a relay.
        NoEndpointAvailable: every endpoint of ``name`` is taken.
        MissingDependency: ``sign_messages``, and the libraries are not installed.
        ConfigurationError: ``crypto_backend`` is not a backend.
    """

    publisher: Any

    def __init__(self, **config: Any) -> None:
        from . import _signing  # only contexts need it

        io_threads, active, _ = config["io_threads"], config["active"], config["post_init_sleep"]
        self.c = config
        _signing.require(config)
        self.log = logging.getLogger("fedmsg.core")
        self.hostname = utils.hostname()
        self._pid = os.getpid()
        self._i = 0
        self._lock = threading.Lock()
        self._tails: weakref.WeakSet[Any] = weakref.WeakSet()
        self._polled: weakref.WeakSet[Any] = weakref.WeakSet()
        self._log_limit = RateLimit()
        self._reject_limit = RateLimit(REPORTS_A_MINUTE)
        self.rejected: Counter[str] = Counter()
        self.replayed: Counter[str] = Counter()
        if active:
            config.setdefault("name", "relay_inbound")
        elif not config.get("name"):
            config["name"] = self._guess_name()
        self.context: Any = zmq.Context(io_threads)
        self.context.set(zmq.MAX_SOCKETS, _MAX_SOCKETS)
        self._transport: Transport | None = None
        _live.add(self)
        try:
            self._transport = transports.choose(config, self.context)
            if self._transport is not None:
                self._transport.open()
        except BaseException:
            self.destroy()
            raise
        if getattr(self._transport, "socket", None) is not None:
            self.publisher = self._transport.socket  # type: ignore[union-attr]

    def _guess_name(self) -> str | None:
        """Return ``<calling module>.<host>``, None if only fedmsg itself called."""
        return name_for(utils.guess_calling_module(default="fedmsg"))

    # -- what was lost -----------------------------------------------------------------------

    @property
    def overflows(self) -> int:
        """Occasions at which a full queue lost messages; libzmq cannot tell how many."""
        return self._transport.overflows if self._transport is not None else 0

    @property
    def undelivered(self) -> int:
        """Messages that were accepted by :meth:`publish` and then given up."""
        return self._transport.undelivered if self._transport is not None else 0

    @property
    def may_wait(self) -> bool:
        """Whether :meth:`publish` may do more than hand a message to zeromq."""
        slow = self.c.get("persistent_store") or self.c.get("sign_messages")
        return self._transport is not None and bool(slow or self._transport.may_wait)

    # -- publishing --------------------------------------------------------------------------

    def publish(
        self,
        topic: str | None = None,
        msg: Any = None,
        modname: str | None = None,
        pre_fire_hook: Callable[[dict[str, Any]], Any] | None = None,
        **kw: Any,
    ) -> None:
        """Send a message.

        Args:
            topic: what happened, such as ``"build.complete"``; prefix, environment and module
                are put before it.
            msg: the payload: what JSON can express, normally a dict.
            modname: the module part of the topic; default: the name of the calling module.
            pre_fire_hook: called with the finished message before it leaves; it may change it.
            kw: ignored.

        Raises:
            TypeError: topic or modname is not text, or msg cannot be expressed in JSON.
            NoPublisher: this context cannot send; an AttributeError that says why.
            RelayUnavailable: the built-in set-up is used and no relay runs; an OSError.
            StoreError: the ``persistent_store`` failed; an OSError.
            KeyError: ``sign_messages`` is set and no certificate is named for this publisher.
            ConfigurationError: its key or certificate is not what it should be; a ValueError.
            OSError: its key or certificate cannot be read.
        """
        topic = topic or "unspecified"
        modname = modname or utils.guess_calling_module(default="fedmsg") or "fedmsg"
        if not isinstance(topic, six.text_type) or not isinstance(modname, six.text_type):
            raise TypeError(f"topic and modname must be text, not {topic!r} and {modname!r}")
        config = self.c
        topic = envelope.build_topic(topic, modname, config["topic_prefix"], config["environment"])
        with self._lock:
            self._i = i = self._i + 1
        message = envelope.build(
            topic,
            msg or {},
            i,
            int(time.time()),
            envelope.uuid4(os.urandom(16)),
            utils.get_username(),
        )
        try:
            if config.get("persistent_store") or config.get("sign_messages"):
                from . import _signing

                message = _signing.store_and_sign(message, config, self.hostname)
            if pre_fire_hook is not None:
                pre_fire_hook(message)
            body = encoding.dumps(message)
        except (TypeError, ValueError) as error:
            explained = encoding.explained(error, message)
            if explained is None:
                raise
            raise explained from error
        if "NaN" in body or "Infinity" in body or not topic.isprintable():
            self._warn_unusual(topic, body)
        if self._transport is None:
            raise self._no_publisher()
        msg_id = message.get("msg_id", "")
        self._transport.send(topic.encode("utf-8"), body.encode("ascii"), msg_id)

    def send_message(self, topic: Any = None, msg: Any = None, modname: Any = None) -> None:
        """Old name of :meth:`publish`."""
        warnings.warn(".send_message is deprecated. Use .publish", DeprecationWarning, stacklevel=2)
        return self.publish(topic, msg, modname)

    def _warn_unusual(self, topic: str, body: str) -> None:
        """Log what subscribers outside Python cannot read, or will reject."""
        if _NONFINITE.search(body):
            path = encoding.nonfinite_path(encoding.loads(body))
            if path is not None and self._log_limit.allow():
                self.log.warning("%s is NaN or infinite: the message is not legal JSON", path)
        if envelope.has_control_characters(topic) and self._log_limit.allow():
            self.log.warning("topic %a has control characters: subscribers drop it", topic)

    def _no_publisher(self) -> NoPublisher:
        name = self.c.get("name")
        if self._pid != os.getpid():
            why = "it belongs to the parent process; fedmsg.publish() makes one for this process"
        elif self.context is None:
            why = "it has been destroyed; call fedmsg.init() again"
        elif self.c.get("mute"):
            why = "it was made with mute=True, for listening only"
        else:
            known = ", ".join(map(repr, self.c.get("endpoints") or {})) or "nothing"
            why = (
                f"endpoints[{name!r}] is not configured (there is {known}); add an address, or set"
                " active=True"
            )
        return NoPublisher(f"this context (name {name!r}) cannot publish: {why}")

    def flush(self, timeout: float = 1.0) -> int:
        """Wait up to ``timeout`` seconds for held messages to leave; return how many remain."""
        return self._transport.flush(timeout) if self._transport is not None else 0

    # -- the end -----------------------------------------------------------------------------

    def destroy(self) -> None:
        """Deliver what is queued, within ``zmq_linger``, and close everything; idempotent.

        Unfinished :meth:`tail_messages` generators end.  Takes ``zmq_linger`` plus one second at
        most.
        """
        with self._lock:
            context, self.context = self.context, None
        if context is None:
            return
        if hasattr(self, "publisher"):
            self.publisher = None
        _live.discard(self)
        linger = self._linger()
        deadline = time.monotonic() + linger
        for tail in list(self._tails):
            tail.end()
        if self._transport is not None:
            self._transport.close(linger)
        if not self._terminate(context, deadline + 1.0):
            self.log.error("a socket made outside fedmsg keeps its zmq context open")
        elif linger and self._transport is not None and time.monotonic() >= deadline:
            self.log.warning("zmq_linger (%g s) ran out: messages may not have left", linger)

    def __del__(self) -> None:
        """Release in the background: the thread that owned the context has ended."""
        if getattr(self, "context", None) is None or self._pid != os.getpid():
            return
        # A new owner of the same parts, because this object is being collected.
        heir = object.__new__(type(self))
        heir.__dict__.update(self.__dict__)
        self.context = None
        thread = threading.Thread(target=heir._release, name="fedmsg-release", daemon=True)
        try:
            _releasing[thread] = time.monotonic() + heir._linger() + 1.0
            thread.start()
        except RuntimeError:  # no new threads while the interpreter waits for the last ones
            _releasing.pop(thread, None)
            heir.destroy()
        except AssertionError:  # gevent has started it, and cannot wait for that in its event loop
            return

    def _release(self) -> None:
        try:
            self.destroy()
        finally:
            _releasing.pop(threading.current_thread(), None)

    def _terminate(self, context: zmq.Context[Any], deadline: float) -> bool:
        """Terminate a zmq context; return whether that is done before ``deadline`` (monotonic)."""
        thread = threading.Thread(target=context.term, name="fedmsg-term", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no new threads while the interpreter goes away
            context.destroy(linger=0)
            return True
        if self._polled:
            # A thread that polls them has been woken and closes them itself.
            thread.join(_OTHERS_CLOSE)
            self._close_subs(dict.fromkeys(self._polled))
        thread.join(max(0.0, deadline - time.monotonic()))
        return not thread.is_alive()

    def _linger(self) -> float:
        """Return ``zmq_linger`` in seconds."""
        return max(0, self.c.get("zmq_linger", 1000)) / 1000  # type: ignore[no-any-return]

    def _abandon(self) -> None:
        """In a forked child: none of the parts is ours, or in a known state."""
        _inherited.append((self, self.__dict__.copy()))
        for tail in list(self._tails):
            _inherited.append(tail.abandon())
        self._lock = threading.Lock()
        self.context = self._transport = None
        if hasattr(self, "publisher"):
            self.publisher = None


def name_for(module: str | None) -> str | None:
    """Return the name of what a module publishes with, None if that is not known."""
    return f"{module}.{utils.hostname()}" if module and not module.startswith("fedmsg") else None


def _destroy_all() -> None:
    """At exit: deliver what is queued, each context within its bound."""
    for context in list(_live):
        try:
            context.destroy()
        except Exception:
            # The others still have something to deliver.
            context.log.exception("a context could not be destroyed")
    for thread, until in list(_releasing.items()):
        thread.join(max(0.0, until - time.monotonic()))


def _hold_on() -> None:
    """Before a fork: in the child the contexts of other threads would be collected at once."""
    for context in list(_live):
        _held.append(context)
        if context._transport is not None:
            context._transport.before_fork()


def _forget_parent() -> None:
    """In a forked child: the contexts of the parent are not to be touched, not even collected."""
    for context in list(_live):
        context._abandon()
    _live.clear()
    _held.clear()
    _releasing.clear()


atexit.register(_destroy_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold_on, after_in_parent=_held.clear, after_in_child=_forget_parent)
