"""What the commands that publish through the relay have in common (commands.md 3)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import fedmsg
from fedmsg.core import FedMsgContext
from fedmsg.exceptions import NotConfirmed, RelayUnavailable


class Given:
    """A JSON value that is sent as it is: ``publish`` replaces false values by ``{}``."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __json__(self) -> Any:
        return self._value


@contextlib.contextmanager
def through_relay(config: dict[str, Any]) -> Iterator[FedMsgContext]:
    """Publish from within; at the end see to it that the relay has taken everything.

    Args:
        config: of the command; it is changed.

    Yields:
        The context.

    Raises:
        RelayUnavailable: no relay answered, or it went away and did not come back.
        NotConfirmed: messages are sent through STOMP, and no broker confirmed them.
    """
    config.update(active=True, name="relay_inbound", relay_required=True)
    context = fedmsg.init(**config)
    try:
        yield context
        left = context.flush(config.get("zmq_linger", 1000) / 1000)
        if left and not config.get("zmq_enabled", True):
            raise NotConfirmed(f"{left} messages were not confirmed by a STOMP broker", left)
        if left:
            raise RelayUnavailable(
                f"{left} messages were not sent: the relay went away; start 'fedmsg-relay'"
            )
    finally:
        fedmsg.destroy()
