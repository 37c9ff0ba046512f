"""Receiving, the half of ``FedMsgContext`` that listens."""

from __future__ import annotations

import logging
import sys
import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import zmq

from . import envelope, options, transports
from ._limits import RateLimit
from .exceptions import FrameError, ValidationError

if TYPE_CHECKING:
    from ._gaps import Gaps
    from .transports.stomp_subscriber import StompSubscriber
    from .transports.subscriber import Subscriber

Message = tuple[str, str, str, dict[str, Any]]

#: Of a message whose validation raised an error; others have reasons of their own.
VALIDATION_FAILED = "validation failed with an error"

#: Rejections reported in the log, a minute; all of them are counted.
REPORTS_A_MINUTE = 60
#: Of a rejected message, so many characters are shown.
_SHOWN = 500


class Tail:
    """What :class:`fedmsg.core.FedMsgContext` inherits to listen."""

    c: dict[str, Any]
    context: Any
    log: logging.Logger
    rejected: Counter[str]
    replayed: Counter[str]
    _tails: weakref.WeakSet[Any]
    _polled: weakref.WeakSet[Any]
    _reject_limit: RateLimit
    #: Called with a line about each rejected message, at a bounded rate, in place of a warning.
    on_rejected: Callable[[str], None] | None = None

    def tail_messages(
        self, topic: str = "", passive: bool = False, **kw: Any
    ) -> Generator[Message, None, None]:
        """Yield ``(name, endpoint, topic, message)`` for every message that arrives.

        Blocks between messages.  What is not a valid message is counted in :attr:`rejected`,
        warned about and skipped.  The publishers named in ``replay_endpoints`` are watched: what
        was missed is fetched, and yielded in order.

        Args:
            topic: prefix of the topics wanted; there are no wildcards.
            passive: bind the endpoints instead of connecting to them.
            kw: ignored.

        Raises:
            ValueError: zeromq is switched off and no STOMP broker is configured; at the first
                iteration.
            BrokerRefused: the STOMP broker does not let us in; while iterating.
            KeyError: the configuration has no ``endpoints``; at the first iteration.
        """
        # Only one that is not blocking yields None.
        return cast("Generator[Message, None, None]", self.tailing(topic, passive).start())

    def tailing(self, topic: str = "", passive: bool = False, blocking: bool = True) -> Tailing:
        """Return what :meth:`tail_messages` iterates; for :mod:`fedmsg.aio`, not blocking."""
        tailing = Tailing(self, topic, passive, blocking)
        self._tails.add(tailing)
        return tailing

    def _endpoints(self) -> Iterator[tuple[str, str]]:
        """Yield every ``(name, address)`` to listen to."""
        for name, value in self.c["endpoints"].items():
            # The relay listens there; nobody publishes on it.
            if name != "relay_inbound":
                for endpoint in transports.as_list(value):
                    yield name, endpoint

    def _accepter(self) -> Callable[[Sequence[bytes]], tuple[str, dict[str, Any]]]:
        """Return the function that turns frames into topic and message.

        It raises ValidationError for whatever is not acceptable, and nothing else.
        """
        limit = options.get(self.c, "max_message_size")
        validating = self.c.get("validate_signatures")
        decode = envelope.decode

        def accept(frames: Sequence[bytes]) -> tuple[str, dict[str, Any]]:
            try:
                topic, message = decode(frames, limit)
            except FrameError as error:
                raise Rejected([frame[:_SHOWN] for frame in frames], error.reason) from error
            if validating:
                self._validate(topic, message)
            return topic, message

        return accept

    def _validate(self, topic: str, message: dict[str, Any]) -> None:
        """Check the signature, and that it covers the topic on the outside.

        Raises:
            ValidationError: one of them is wrong.
        """
        from . import crypto

        try:
            verdict = crypto.check_received(topic, message, **crypto.settings(self.c))
        except Exception:
            # Nothing that a message contains may end the loop.
            self.log.exception("validation failed with an error; the message is dropped")
            raise Rejected(message, VALIDATION_FAILED) from None
        if not verdict.valid:
            raise Rejected(message, verdict.reason)

    def _reject(self, error: ValidationError) -> None:
        """Count a message that was not acceptable, and say so at a bounded rate."""
        reason = getattr(error, "reason", VALIDATION_FAILED)
        self.rejected[reason] += 1
        if not self._reject_limit.allow():
            return
        text = f"!! invalid message received: {_shown(error.msg)} ({reason})"
        if self._reject_limit.suppressed:
            text += f"; {self._reject_limit.suppressed} more were not shown"
        if self.on_rejected is not None:
            self.on_rejected(text)
            return
        caller = sys._getframe(2)
        try:
            # Every text differs: the interpreter's memory of warnings shown would grow for ever,
            # so this one is given a memory of its own.
            warnings.warn_explicit(
                text,
                UserWarning,
                caller.f_code.co_filename,
                caller.f_lineno,
                caller.f_globals.get("__name__"),
                registry={},
            )
        except UserWarning:
            # The application turned warnings into errors; a message must not end its loop.
            self.log.warning("%s", text)

    # -- names that applications reach into ----------------------------------------------------

    def _create_poller(
        self, topic: str = "", passive: bool = False, **kw: Any
    ) -> tuple[zmq.Poller, dict[Any, tuple[str, str]]]:
        """Return a poller, and its sockets with the ``(name, endpoint)`` of each.

        Names that do not resolve within ``timeout`` are left out, and malformed endpoints.
        """
        from .transports import addresses, sources

        bind = addresses.to_bind if passive else None
        self._needs_zmq()
        poller, subs = zmq.Poller(), {}
        pairs = transports.subscriber_options(self.c)
        timeout = self.c.get("timeout") or 0
        try:
            for name, endpoint, address, host in sources.resolved(self._endpoints(), timeout, bind):
                sock = sources.new_socket(self.context, [topic.encode("utf-8")], pairs)
                subs[sock] = (name, endpoint)
                self._polled.add(sock)
                if sources.attach(sock, name, address, host, bind):
                    poller.register(sock, zmq.POLLIN)
                else:
                    self._close_subs([subs.popitem()[0]])
        except BaseException:
            self._close_subs(subs)
            raise
        return poller, subs

    def _poll(self, poller: zmq.Poller, subs: dict[Any, tuple[str, str]]) -> Iterator[Message]:
        """Yield what arrives on the sockets of :meth:`_create_poller`; ends with the context."""
        gaps = self._gaps(self._accepter())
        try:
            while True:
                for sock, _ in poller.poll():
                    try:
                        message = self._run_socket(sock, *subs[sock])
                    except ValidationError as error:
                        self._reject(error)
                        continue
                    if gaps is None:
                        yield message
                    else:
                        yield from gaps.arrived(*message, self.context)
        except zmq.ContextTerminated:
            self._close_subs(subs)
        except zmq.ZMQError:
            if self.context is not None:
                raise

    def _run_socket(self, sock: Any, name: str, ep: str, watched_names: Any = None) -> Message:
        """Receive one message.

        Raises:
            ValidationError: it is not acceptable.
        """
        topic, message = self._accepter()(sock.recv_multipart())
        return name, ep, topic, message

    def _gaps(self, accept: Any, topic: str = "") -> Gaps | None:
        """Return what recovers missed messages, None without ``replay_endpoints``."""
        if not self.c.get("replay_endpoints"):
            return None
        from ._gaps import Gaps

        return Gaps(self.c, accept, self._reject, self.replayed, topic)

    def _close_subs(self, subs: Iterable[Any]) -> None:
        """Close every socket of :meth:`_create_poller`."""
        for sock in subs:
            sock.close(linger=0)

    def _needs_zmq(self) -> None:
        if not self.c.get("zmq_enabled", True):
            raise ValueError(
                "fedmsg.tail_messages() is only available for zeromq.  Use the hub-consumer"
                " approach for STOMP or AMQP support.  (Or set 'stomp_uri': messages are received"
                " from a STOMP broker when 'zmq_enabled' is false.)"
            )


def _shown(msg: Any) -> str:
    try:
        return repr(msg)[:_SHOWN]
    except RecursionError:
        return "<nested too deeply>"


class Rejected(ValidationError):
    """A message was dropped, and why."""

    def __init__(self, msg: Any, reason: str) -> None:
        super().__init__(msg)
        self.reason = reason


class Tailing:
    """One call of ``tail_messages``; can be ended from outside.

    Args:
        owner: the context.
        topic: prefix of the topics wanted.
        passive: bind the endpoints.
        blocking: False: the generator yields None where it would wait for a zmq socket.

    Attributes:
        subscriber: what is iterated, once the generator has begun.
    """

    def __init__(self, owner: Tail, topic: str, passive: bool, blocking: bool = True) -> None:
        self._owner, self._topic, self._passive = owner, topic, passive
        self._blocking, self._ended = blocking, False
        self.subscriber: Subscriber | StompSubscriber | None = None
        self._generator: Any = None

    def start(self) -> Generator[Message | None, None, None]:
        generator = self._messages()
        self._generator = weakref.ref(generator)
        return generator

    def _messages(self) -> Generator[Message | None, None, None]:
        owner = self._owner
        # Once: another thread may destroy it at any moment.
        context = owner.context
        if context is None:
            return
        accept = owner._accepter()
        try:
            self.subscriber = subscriber = self._subscribe(context)
            if self._ended:  # meanwhile; without endpoints no socket would tell
                subscriber.stop()
        except zmq.ZMQError:
            if owner.context is None:  # destroyed meanwhile, by another thread
                return
            raise
        # A broker keeps by itself what a subscriber misses.
        gaps = owner._gaps(accept, self._topic) if owner.c.get("zmq_enabled", True) else None
        try:
            if gaps is not None:
                yield from gaps.messages(cast("Subscriber", subscriber), context)
                return
            for name, endpoint, frames in subscriber.frames():
                try:
                    topic, message = accept(frames)
                except ValidationError as error:
                    if frames:
                        owner._reject(error)
                    else:
                        yield None
                    continue
                yield name, endpoint, topic, message
        finally:
            subscriber.close()

    def _subscribe(self, context: zmq.Context[Any]) -> Subscriber | StompSubscriber:
        # Here, because programs that only publish need not pay for it at every start.
        from .transports import addresses
        from .transports.subscriber import Subscriber

        owner = self._owner
        if not owner.c.get("zmq_enabled", True):
            found = transports.stomp_tail(owner.c, self._topic)
            if found is not None:
                return found
            owner._needs_zmq()
        subscriber = Subscriber(
            context,
            owner._endpoints(),
            [self._topic.encode("utf-8")],
            transports.subscriber_options(owner.c),
            bind=addresses.to_bind if self._passive else None,
        )
        subscriber.blocking = self._blocking
        return subscriber

    def abandon(self) -> object:
        """In a forked child: leave the sockets to the parent; return what must not be collected."""
        if self.subscriber is not None:
            self.subscriber.abandon()
        return self.subscriber

    def end(self) -> None:
        """Make the generator stop, whichever thread iterates it."""
        self._ended = True
        if self.subscriber is not None:
            self.subscriber.stop()
        generator = self._generator()
        try:
            # CPython 3.11 may crash if a generator is closed that runs in another thread, before
            # it finds out that it does (its frame has no stack then).
            running = generator is not None and generator.gi_running
            if generator is not None and not running:
                generator.close()
        except ValueError:
            running = True
        if running and self.subscriber is not None:
            # In its own thread it sees the stop and closes its sockets.
            self.subscriber.wait_closed(1.0)
