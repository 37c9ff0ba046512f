"""What a consumer gets from the bus when it wants it raw."""

from __future__ import annotations

from typing import Any

from .. import envelope


class BusMessage:
    """A message as it arrived: topic and body as text.

    It can be read like the dict that other consumers get, too.

    Attributes:
        topic: the topic.
        body: JSON text.
        headers: of the broker that delivered it; None from ZeroMQ.
        checked: the consumer that has validated it, if one has.
        receipt: tells the source what became of it, if it asks.
    """

    __slots__ = ("body", "checked", "headers", "receipt", "topic")

    def __init__(self, topic: str, body: str, headers: dict[str, str] | None = None) -> None:
        self.topic, self.body, self.headers = topic, body, headers
        self.checked: Any = None
        self.receipt: Any = None

    def __json__(self) -> dict[str, Any]:
        found: dict[str, Any] = {"topic": self.topic, "body": self.body}
        return found if self.headers is None else {**found, "headers": self.headers}

    def __getitem__(self, key: str) -> Any:
        return self.__json__()[key]

    def get(self, key: str, default: Any = None) -> Any:
        """Return topic or body by name."""
        return self.__json__().get(key, default)

    def __repr__(self) -> str:
        return f"<ZMQMessage; topic: {self.topic}, body: {self.body}>"


def parsed(text: str) -> Any:
    """Return the value of a JSON text, or the text itself if it is none."""
    try:
        return envelope.parse(text)
    except (ValueError, RecursionError):
        return text


def envelope_of(message: Any) -> dict[str, Any]:
    """Return the dict of a message object whose body is JSON text."""
    headers: Any = getattr(message, "headers", None)
    try:
        topic = headers[0].routing_key  # from AMQP
    except (TypeError, KeyError, IndexError, AttributeError):
        topic = getattr(message, "topic", None)
    found = {"body": parsed(message.body), "topic": topic}
    if isinstance(headers, dict):
        found["headers"] = headers
    return found


def decoded(frames: list[bytes], jsonify: bool) -> Any:
    """Return what a consumer gets for two frames: a dict, or with ``jsonify`` false an object.

    Raises:
        UnicodeDecodeError: topic or body is not UTF-8.
    """
    topic, body = frames[0].decode("utf-8"), frames[1].decode("utf-8")
    if not jsonify:
        return BusMessage(topic, body)
    return {"topic": topic, "body": parsed(body)}
