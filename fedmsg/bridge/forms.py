"""The form of a message on the broker, and back; pure functions.

On a STOMP broker a message is what it is on the bus: the JSON of the whole envelope.  On AMQP it
has the form of fedora-messaging: the payload as body, the topic as routing key, the id as
``message_id``, and its headers; the rest of the envelope travels in a header, so that a signature
can be checked on the other side.  Source: the wire format page of fedora-messaging's manual.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, TypeGuard

from .. import encoding, envelope
from ..exceptions import ConfigurationError, FrameError

#: The buses that a message has been on, separated by commas.
PATH = "fedmsg-bridge-path"
#: JSON: the envelope without the payload.
ENVELOPE = "fedmsg-envelope"
SCHEMA, SEVERITY, SENT_AT = "fedora_messaging_schema", "fedora_messaging_severity", "sent-at"
_INFO = 20

#: An envelope header must fit into one frame of 128 kB, with everything else; characters.
_LARGEST_ENVELOPE = 60_000
_LONGEST_PATH, _LONGEST_NAME = 1000, 100
_LONGEST_ID = 255

#: Reasons under which messages from the broker are counted.
NO_TEXT = "topic is no text"
NO_ID = "no usable id"
BAD_PATH = "bad path header"
BAD_ENVELOPE = "bad envelope header"
DIFFERS = "topic or id differ inside"
LOOP = "has been on this bus"
DOUBLE = "double"


class Rejected(ValueError):
    """A message is not to be carried on; the text is the reason, one of a fixed set."""


def path_of(headers: Mapping[str, Any]) -> list[str]:
    """Return the buses that a message has been on.

    Raises:
        Rejected: the header is not what a bridge writes.
    """
    value = headers.get(PATH, "")
    if not isinstance(value, str) or len(value) > _LONGEST_PATH or not value.isprintable():
        raise Rejected(BAD_PATH)
    return [name for name in value.split(",") if name]


def require_name(bus: str) -> None:
    """Check the name of a bus, without which nothing would be recognised in a path.

    Raises:
        ConfigurationError: a path with it would not be one, or not contain it.
    """
    try:
        usable = path_of({PATH: bus}) == [bus] and len(bus) <= _LONGEST_NAME
    except Rejected:
        usable = False
    if not usable or bus != bus.strip():
        raise ConfigurationError(
            f"Invalid configuration value for 'bridge_bus': {bus!r} must be a name of 1 to"
            f" {_LONGEST_NAME} printable characters, without a comma and without blanks around it"
        )


def amqp_form(message: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """Return body and headers of a message for AMQP."""
    rest = {key: value for key, value in message.items() if key != "msg"}
    sent = message.get("timestamp")
    headers: dict[str, Any] = {
        SCHEMA: "base.message",
        SEVERITY: _INFO,
        SENT_AT: _text_of(sent if _is_time(sent) else time.time()),
    }
    text = encoding.dumps(rest)
    if len(text) <= _LARGEST_ENVELOPE:
        headers[ENVELOPE] = text
    return encoding.dumps(message.get("msg")).encode("ascii"), headers


def _is_time(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**36


def _text_of(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), timezone.utc).isoformat()


def from_amqp(delivery: Any, limit: int) -> dict[str, Any]:
    """Return the message in an AMQP delivery.

    Args:
        delivery: an :class:`~fedmsg.transports.amqp_subscriber.AmqpDelivery`.
        limit: largest accepted body in bytes, 0 for any.

    Raises:
        Rejected: it is none; says why.
    """
    topic, headers = delivery.topic, delivery.headers
    if not isinstance(topic, str) or envelope.has_control_characters(topic):
        raise Rejected(NO_TEXT)
    msg_id = checked_id(delivery.msg_id)
    if limit and len(delivery.body) > limit:
        raise Rejected(envelope.TOO_LARGE)
    payload = _json(delivery.body, envelope.BAD_JSON)
    if ENVELOPE in headers:
        rest = _json(headers[ENVELOPE], BAD_ENVELOPE)
        if not isinstance(rest, dict):
            raise Rejected(BAD_ENVELOPE)
        if (rest.get("topic"), rest.get("msg_id")) != (topic, msg_id):
            raise Rejected(DIFFERS)
        return {**rest, "msg": payload}
    user = delivery.user if isinstance(delivery.user, str) else ""
    return envelope.build(topic, payload, 0, _seconds(headers.get(SENT_AT)), "", user) | {
        "msg_id": msg_id
    }


def from_stomp(delivery: Any, limit: int) -> dict[str, Any]:
    """Return the message in a STOMP delivery.

    Raises:
        Rejected: it is none; says why.
    """
    try:
        _, message = envelope.decode([delivery.topic.encode("utf-8"), delivery.body], limit)
    except FrameError as error:
        raise Rejected(error.reason) from error
    except UnicodeEncodeError as error:
        raise Rejected(NO_TEXT) from error
    if message.get("topic") != delivery.topic:
        raise Rejected(DIFFERS)
    return message


def checked_id(value: Any) -> str:
    """Return the id of a message.

    Raises:
        Rejected: it cannot serve as one.
    """
    usable = isinstance(value, str) and value.isascii() and value.isprintable()
    if not usable or not 0 < len(value) <= _LONGEST_ID:
        raise Rejected(NO_ID)
    return str(value)


def _json(raw: Any, reason: str) -> Any:
    if not isinstance(raw, (str, bytes)):
        raise Rejected(reason)
    try:
        return envelope.parse(raw.decode("utf-8") if isinstance(raw, bytes) else raw)
    except (ValueError, RecursionError) as error:
        raise Rejected(reason) from error


def _seconds(text: Any) -> int:
    """Return the time of a header ``sent-at``, now if there is no usable one."""
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return max(0, int(found.timestamp()))
    except (AttributeError, TypeError, ValueError, OverflowError, OSError):
        return int(time.time())
