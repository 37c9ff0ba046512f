"""The gateway as a consumer class, for plug-in use; ``fedmsg-gateway`` passes frames on instead."""

from __future__ import annotations

import logging
import threading
from typing import Any

import zmq

from . import FedmsgConsumer

log = logging.getLogger("fedmsg.consumers.gateway")


class GatewayConsumer(FedmsgConsumer):
    """Publishes every message, unchanged, on a port for the outside.

    Attributes:
        port: where clients connect.
        gateway_socket: the PUB socket.

    Raises:
        KeyError: the configuration lacks the gateway's port or high water mark.
        zmq.ZMQError: the port cannot be bound.
    """

    config_key = "fedmsg.consumers.gateway.enabled"
    topic = "*"
    jsonify = False
    validate_signatures = False

    _context: zmq.Context[Any] | None = None
    gateway_socket: zmq.Socket[bytes] | None = None

    def __init__(self, hub: Any) -> None:
        self._sending = threading.Lock()
        # Before any worker can need it.
        if hub.config.get(self.config_key):
            self._bind(hub.config)
        try:
            super().__init__(hub)
        except BaseException:
            self.destroy()
            raise

    def _bind(self, config: Any) -> None:
        self.port = config["fedmsg.consumers.gateway.port"]
        mark = config["fedmsg.consumers.gateway.high_water_mark"]
        self._context = zmq.Context(1)
        sock = self._context.socket(zmq.PUB)
        try:
            sock.setsockopt(zmq.SNDHWM, mark)
            sock.setsockopt(zmq.RCVHWM, mark)
            sock.setsockopt(zmq.LINGER, 1000)
            sock.bind(f"tcp://*:{self.port}")
        except zmq.ZMQError:
            sock.close(linger=0)
            self._context.term()
            raise
        self.gateway_socket = sock

    def consume(self, message: Any) -> None:
        """Send topic and body."""
        with self._sending:
            if self.gateway_socket is None:
                return
            frames = [message.topic.encode("utf-8"), message.body.encode("utf-8")]
            self.gateway_socket.send_multipart(frames, zmq.NOBLOCK)

    def _worked_off(self) -> None:
        self.destroy()

    def destroy(self) -> None:
        """Close the socket; idempotent."""
        with self._sending:
            sock, self.gateway_socket = self.gateway_socket, None
            if sock is not None and self._context is not None:
                sock.close()
                self._context.term()
