"""From the broker to this bus: acknowledged when the message is out, and stored if it is kept."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

import zmq

from .. import _signing, encoding, options, replay, transports, utils
from .._limits import RateLimit
from ..exceptions import ConfigurationError, FedmsgError
from ..transports.stomp_rules import Backoff
from ..transports.zeromq import end_context
from . import far, forms
from .checking import Checker
from .forms import Rejected
from .memory import Seen

_log = logging.getLogger("fedmsg.bridge")

_FLUSH_SECONDS = 0.5
_END_SECONDS = 2.0
#: Fields that belong to the bus, or the signer, that a message comes from.
_FOREIGN = ("signature", "certificate", "crypto", "seq_id")

NOT_EXPRESSIBLE = "cannot be stored or signed"


class Inward:
    """Carries messages to this bus, in a thread of its own.

    Args:
        config: the configuration; ``name`` is the publisher that the bridge is.
        came_in: ids of what was put on this bus.
        sent: ids of what this bridge has sent to the broker.

    Attributes:
        counts: ``received``, ``sent``, and what was dropped, by reason.

    Raises:
        ConfigurationError: nothing can be published, or the broker's settings are wrong.
        NoEndpointAvailable: no address of ``endpoints[name]`` is free.
    """

    def __init__(self, config: Mapping[str, Any], came_in: Seen, sent: Seen) -> None:
        self.counts: Counter[str] = Counter()
        self._config, self._came_in, self._sent = config, came_in, sent
        validates = options.get(config, "bridge_validate_broker")
        self._checker = Checker(config, validates, self.counts)
        self._bus = options.get(config, "bridge_bus")
        self._store = replay.open_store(config.get("persistent_store"))
        self._changes = bool(self._store is not None or config.get("sign_messages"))
        _signing.require(config)
        self._stopping = threading.Event()
        self._backoff, self._limit = Backoff(0.2), RateLimit(6)
        self._context: zmq.Context[Any] = zmq.Context(options.get(config, "io_threads"))
        self._publisher = self._open()
        self._inlet = far.Inlet(config, options.get(config, "bridge_queue_name") or "")

    def _open(self) -> Any:
        name, active = self._config.get("name"), bool(self._config.get("active"))
        has = (self._config.get("endpoints") or {}).get(name)
        if not active and not has:
            raise ConfigurationError(
                f"fedmsg-bridge needs an address to publish on: endpoints[{name!r}], or"
                " active=True and 'relay_inbound' for a relay"
            )
        changes = {"zmq_enabled": True, "mute": False, "name": "relay_inbound" if active else name}
        publisher = transports.choose({**self._config, **changes}, self._context)
        assert publisher is not None
        publisher.open()
        return publisher

    def run(self) -> None:
        """Carry messages until :meth:`stop`.

        Raises:
            BrokerRefused, ConfigurationError: the broker does not let us in, or subscribe.
        """
        try:
            for delivery in self._inlet.deliveries():
                self.counts["received"] += 1
                if self._carried(delivery):
                    delivery.ack()
                if self._stopping.is_set():
                    break
        finally:
            self._inlet.close()
            self._publisher.close(1.0)
            end_context(self._context, _END_SECONDS)

    def _carried(self, delivery: Any) -> bool:
        """Return whether a message is done with: it is out, or never will be."""
        try:
            if self._bus in forms.path_of(delivery.headers):
                raise Rejected(forms.LOOP)
            message = self._inlet.message(delivery)
            msg_id = self._checker.check(message.get("topic"), message)
        except Rejected as error:
            self._checker.reject(error, delivery.topic)
            return True
        if msg_id in self._came_in or msg_id in self._sent:
            self.counts[forms.DOUBLE] += 1
            return True
        body = self._prepared(delivery, message)
        if body is None:
            return not self._stopping.is_set()
        # Before, for another bridge may see it at once.
        self._came_in.add(msg_id)
        self._publisher.send(message["topic"].encode("utf-8"), body, msg_id)
        while self._publisher.flush(_FLUSH_SECONDS):  # no relay is there
            if self._stopping.is_set():
                return False
        self.counts["sent"] += 1
        return True

    def _prepared(self, delivery: Any, message: dict[str, Any]) -> bytes | None:
        """Return the body to publish; None if there is none, or we are told to stop."""
        if not self._changes:
            return self._inlet.bytes_of(delivery, message)
        while not self._stopping.is_set():
            try:
                final = self._stored(message["msg_id"]) or _signing.store_and_sign(
                    {key: value for key, value in message.items() if key not in _FOREIGN},
                    self._config, utils.hostname(),
                )  # fmt: skip
                return encoding.dumps(final).encode("ascii")
            except OSError as error:  # StoreError is one
                if self._limit.allow():
                    _log.error("cannot keep or sign a message, trying again: %s", error)
                self._stopping.wait(self._backoff.pause())
            except (TypeError, KeyError, ValueError) as error:
                if isinstance(error, FedmsgError):
                    raise
                self._checker.reject(Rejected(NOT_EXPRESSIBLE), message["topic"])
                return None
        return None

    def _stored(self, msg_id: str) -> dict[str, Any] | None:
        """Return the message as it was stored when it came before; it keeps its number."""
        if self._store is None:
            return None
        try:
            found: dict[str, Any] = self._store.get({"msg_id": msg_id})[0]
        except (ValueError, IndexError):
            return None
        if self._config.get("sign_messages") and "signature" not in found:
            # We ended between the two.
            getattr(self._store, "discard", lambda message: None)(found)
            return None
        return found

    @property
    def rejected(self) -> Mapping[str, int]:
        """What could not even be taken apart."""
        return self._inlet.rejected

    def stop(self, seconds: float) -> None:
        """Ask :meth:`run` to end; what is not acknowledged comes again."""
        self._stopping.set()
        self._inlet.stop()
