"""What an application would write without fedmsg: the same envelope, by hand."""

from __future__ import annotations

import getpass
import json
import time
import uuid
from typing import Any

import zmq


class Envelope:
    """The same messages as ``fedmsg.publish``, with nothing that is not needed for them."""

    def __init__(self) -> None:
        self.encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
        self.username = getpass.getuser()
        self.i = 0

    def build(self, topic: str, msg: Any) -> tuple[str, dict[str, Any]]:
        """Return full topic and message."""
        self.i += 1
        now = int(time.time())
        topic = f"org.fedoraproject.dev.benchmarks.{topic}"
        return topic, {
            "topic": topic, "msg": msg, "timestamp": now, "i": self.i, "username": self.username,
            "msg_id": f"{time.gmtime(now).tm_year}-{uuid.uuid4()}",
        }  # fmt: skip


class RawPublisher(Envelope):
    """Sends them with pyzmq."""

    def __init__(self, context: zmq.Context[Any], address: str) -> None:
        super().__init__()
        self.socket: zmq.Socket[bytes] = context.socket(zmq.PUB)
        self.socket.setsockopt(zmq.SNDHWM, 0)
        self.socket.bind(address)

    def publish(self, topic: str, msg: Any) -> None:
        topic, message = self.build(topic, msg)
        self.socket.send_multipart([topic.encode(), self.encode(message).encode()])


def raw_tail(sock: zmq.Socket[bytes], count: int) -> None:
    """Receive and decode ``count`` messages."""
    for _ in range(count):
        raw_topic, raw_body = sock.recv_multipart()
        topic, message = raw_topic.decode(), json.loads(raw_body.decode())
        assert topic and message
