"""Peers that speak STOMP as well as a test wants them to."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any

from parts import PATIENCE, settings

from fedmsg.transports.stomp_rules import Secret, Settings

Frame = tuple[str, dict[str, str], bytes]
Behaviour = Callable[["Peer"], None]


def configuration(*ports: int, **changes: Any) -> dict[str, Any]:
    """Return the configuration of an application that publishes to STOMP brokers."""
    uri = ",".join(f"127.0.0.1:{port}" for port in ports)
    return settings(
        **{
            "zmq_enabled": False,
            "stomp_uri": uri,
            "stomp_delay": 0.01,
            "stomp_timeout": 5,
            "post_init_sleep": 10,
            "zmq_linger": 5000,
            **changes,
        }
    )


def stomp_settings(*ports: int, **changes: Any) -> Settings:
    """Return the settings of a connection to brokers on this machine."""
    brokers = tuple(("127.0.0.1", port) for port in ports)
    return Settings(**{"brokers": brokers, "delay": 0.01, "timeout": 5.0, **changes})


def secret(text: str) -> Secret:
    """Return a password."""
    return Secret(text)


class Peer:
    """The broker's end of one connection."""

    def __init__(self, sock: socket.socket, broker: FakeBroker) -> None:
        self.socket, self.broker = sock, broker
        self._buffer = b""

    def read(self) -> Frame | None:
        """Return the next frame, None at the end; heart-beats are counted."""
        while b"\0" not in self._buffer:
            with contextlib.suppress(OSError):
                if data := self.socket.recv(65536):
                    self._buffer += data
                    continue
            self.broker.beats += self._buffer.count(b"\n")
            return None
        stripped = self._buffer.lstrip(b"\n")
        self.broker.beats += len(self._buffer) - len(stripped)
        head, _, rest = stripped.partition(b"\n\n")
        command, *lines = head.decode().split("\n")
        headers = dict(line.split(":", 1) for line in lines)
        size = int(headers.get("content-length", rest.index(b"\0")))
        while len(rest) <= size:
            rest += self.socket.recv(65536)
        self._buffer = rest[size + 1 :]
        frame = command, headers, rest[:size]
        self.broker.frames.append(frame)
        return frame

    def send(self, command: str, body: str = "", **headers: Any) -> None:
        """Send a frame; underscores of header names become hyphens."""
        lines = [f"{name.replace('_', '-')}:{value}\n" for name, value in headers.items()]
        self.raw(f"{command}\n{''.join(lines)}\n{body}\0".encode())

    def raw(self, data: bytes) -> None:
        """Send bytes."""
        with contextlib.suppress(OSError):
            self.socket.sendall(data)

    def accept(self, heart_beat: str = "0,0", server: str = "RabbitMQ/0") -> None:
        """Read CONNECT and let the client in."""
        self.read()
        self.send("CONNECTED", version="1.2", heart_beat=heart_beat, server=server)

    def confirm(self, count: int = -1) -> None:
        """Confirm what is sent, ``count`` messages or all."""
        while count and (frame := self.read()) and frame[0] != "DISCONNECT":
            if "receipt" in frame[1]:
                self.send("RECEIPT", receipt_id=frame[1]["receipt"])
            count -= frame[0] == "SEND"

    def hold(self) -> None:
        """Do nothing until the test is over."""
        self.broker.closing.wait(PATIENCE * 2)


def good(peer: Peer) -> None:
    """Confirm everything."""
    peer.accept()
    peer.confirm()


def silent(peer: Peer) -> None:
    """Accept the connection and never answer."""
    peer.hold()


def refusing(peer: Peer) -> None:
    """Answer CONNECT with an ERROR that repeats the password, and close."""
    frame = peer.read()
    assert frame is not None
    peer.send("ERROR", f"no entry with {frame[1].get('passcode')}", message="Bad CONNECT")


class FakeBroker:
    """Accepts connections; the nth is treated by the nth behaviour, later ones by the last.

    Attributes:
        frames: what clients have sent, in order.
        beats: heart-beats that they have sent.
        connections: how many were accepted.
    """

    def __init__(self, *behaviours: Behaviour) -> None:
        self._behaviours = behaviours
        self.frames: list[Frame] = []
        self.beats = self.connections = 0
        self.closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock = self._listener.accept()[0]
                self._sockets.append(sock)
                behaviour = self._behaviours[min(self.connections, len(self._behaviours) - 1)]
                self.connections += 1
                thread = threading.Thread(target=self._serve, args=(sock, behaviour), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, sock: socket.socket, behaviour: Behaviour) -> None:
        with contextlib.suppress(OSError):
            behaviour(Peer(sock, self))
        sock.close()

    def sent(self) -> list[Frame]:
        """Return the SEND frames."""
        return [frame for frame in list(self.frames) if frame[0] == "SEND"]

    def ids(self) -> list[str]:
        """Return the ``msg_id`` of every message received, duplicates too."""
        return [headers["msg_id"] for _, headers, _ in self.sent()]

    def close(self) -> None:
        """End everything."""
        self.closing.set()
        for sock in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a peer of the test did not end"
        for sock in [self._listener, *self._sockets]:
            sock.close()
