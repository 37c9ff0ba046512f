"""Hubs, consumers and messages that tests of consumers are put together from."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from fedmsg.consumers import FedmsgConsumer
from fedmsg.consumers.message import BusMessage

#: A configuration with which :class:`Recorder` runs.
ON = {"recorder": True, "validate_signatures": False}
#: A hub with it that listens to nobody.
EMPTY = {**ON, "zmq_subscribe_endpoints": "", "high_water_mark": 0, "zmq_linger": 1000}


class FakeHub:
    """Nothing but what a consumer asks of a hub."""

    def __init__(self, **config: Any) -> None:
        self.config = config
        self.subscribed: list[tuple[str, Callable[[Any], Any]]] = []

    def subscribe(self, topic: str, callback: Callable[[Any], Any]) -> None:
        """Remember a subscription."""
        self.subscribed.append((topic, callback))

    def deliver(self, topic: str, body: str) -> Any:
        """Call the first callback with a message object, as a Moksha hub does."""
        return self.subscribed[0][1](BusMessage(topic, body))


class Recorder(FedmsgConsumer):
    """Keeps what it gets, and does what it is told with it."""

    config_key = "recorder"
    topic = "org.test"

    def __init__(self, hub: Any) -> None:
        self.got: list[Any] = []
        self.act: Callable[[Any], Any] = lambda message: None
        super().__init__(hub)

    def consume(self, message: Any) -> None:
        """Keep one message."""
        self.got.append(message)
        self.act(message)


def frames(topic: str, body: str) -> list[bytes]:
    """Return a message as it arrives."""
    return [topic.encode(), body.encode()]


def numbered(count: int, topic: str = "org.test") -> list[list[bytes]]:
    """Return messages ``{"topic", "msg": {"n": 0}}`` and so on."""
    return [frames(topic, f'{{"topic": "{topic}", "msg": {{"n": {n}}}}}') for n in range(count)]


def numbers(consumer: Any) -> list[int]:
    """Return the numbers of the messages that a consumer got."""
    return [message["body"]["msg"]["n"] for message in list(consumer.got)]


def raising(error: BaseException) -> Callable[[Any], Any]:
    """Return a function that raises."""

    def act(_message: Any) -> None:
        raise error

    return act


class Gate:
    """Holds consumers up until it is opened."""

    def __init__(self) -> None:
        self.reached, self._open = threading.Event(), threading.Event()

    def __call__(self, _message: Any = None) -> None:
        self.reached.set()
        assert self._open.wait(20), "the gate was not opened"

    def open(self) -> None:
        """Let them pass."""
        self._open.set()


def message(text: Any, topic: str = "org.test") -> list[bytes]:
    """Return the frames of one message."""
    return frames(topic, json.dumps({"topic": topic, "msg": text}))


def numbered_one(n: int, topic: str = "org.test") -> list[bytes]:
    """Return the frames of one numbered message."""
    return message({"n": n}, topic)
