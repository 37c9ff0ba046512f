"""Parts that tests of publishing and subscribing are put together from."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterable
from typing import Any

import zmq

#: Longest wait for something that should happen at once, seconds.
PATIENCE = 20.0


def settings(**changes: Any) -> dict[str, Any]:
    """Return a configuration with which a context binds nothing and waits for nobody."""
    return {
        "io_threads": 1,
        "active": False,
        "post_init_sleep": 0,
        "high_water_mark": 0,
        "zmq_linger": 1000,
        "timeout": 2,
        "topic_prefix": "org.fedoraproject",
        "environment": "dev",
        "endpoints": {},
        **changes,
    }


def relayed(endpoint: str | list[str], **changes: Any) -> dict[str, Any]:
    """Return the configuration of an application that publishes through a relay."""
    return settings(active=True, relay_inbound=endpoint, **changes)


def publish(context: Any, names: Iterable[object]) -> None:
    """Publish one message for each name."""
    for name in names:
        context.publish(topic=str(name), msg={}, modname="t")


class Relay:
    """The receiving half of a relay: a bound SUB socket, in a thread.

    A SUB socket subscribes at publishers that come or come back only while somebody uses it.

    Args:
        endpoint: where it binds, or connects to.
        subscribed: to everything, or to nothing.
        bind: False for what any subscriber does.
    """

    def __init__(self, endpoint: str, subscribed: bool = True, bind: bool = True) -> None:
        self.endpoint = endpoint
        self._messages: queue.Queue[list[bytes]] = queue.Queue()
        self._closing = threading.Event()
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.setsockopt(zmq.LINGER, 0)
        if subscribed:
            self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        (self._socket.bind if bind else self._socket.connect)(endpoint)
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closing.is_set():
            if self._socket.poll(10):
                self._messages.put(self._socket.recv_multipart())
        self._socket.close(linger=0)
        self._context.term()

    def receive(self, timeout: float = PATIENCE) -> list[bytes]:
        """Return the frames of the next message; queue.Empty if none comes in time."""
        return self._messages.get(timeout=timeout)

    def topics(self, count: int, timeout: float = PATIENCE) -> list[str]:
        """Return the last part of the topics of the next ``count`` messages."""
        return [self.receive(timeout)[0].decode().rpartition(".")[2] for _ in range(count)]

    def arrived(self) -> list[list[bytes]]:
        """Return the messages that are here."""
        return [self._messages.get() for _ in range(self._messages.qsize())]

    def is_idle(self, seconds: float = 0.3) -> bool:
        """Return whether nothing arrives for a while."""
        try:
            self._messages.get(timeout=seconds)
        except queue.Empty:
            return True
        return False

    def close(self) -> None:
        """Go away, and give the port back; idempotent."""
        self._closing.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the relay of the test did not end"


class ReplayServer:
    """Our replay service for the name ``me``, in a thread.

    Attributes:
        config: what a subscriber needs to ask it.
        context: the ReplayContext.
    """

    def __init__(self, store: Any, endpoint: str, **config: Any) -> None:
        from fedmsg.replay import ReplayContext

        self.config = settings(
            name="me", replay_endpoints={"me": endpoint}, replay_timeout=PATIENCE, **config
        )
        self.context = ReplayContext(**{**self.config, "persistent_store": store})
        self._thread = threading.Thread(target=self.context.listen, name="replay", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving, and give the port back; idempotent."""
        self.context.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the replay server of the test did not end"
        self.context.close()


def stored(store: Any, count: int, first: int = 1) -> list[dict[str, Any]]:
    """Put messages into a store, quickly, and return them."""
    messages = [
        {
            "seq_id": n, "msg_id": f"2026-{n}", "topic": f"org.fedoraproject.dev.t.{n}",
            "timestamp": n, "i": n, "msg": {"n": n},
        }
        for n in range(first, first + count)
    ]  # fmt: skip
    from fedmsg import encoding
    from fedmsg.replay import sqlstore

    rows = [
        {
            "seq_id": each["seq_id"], "uuid": each["msg_id"], "topic": each["topic"],
            "timestamp": sqlstore._local(each["timestamp"]), "msg": encoding.dumps(each),
        }
        for each in messages
    ]  # fmt: skip
    with store.engine.begin() as connection:
        connection.execute(sqlstore.SqlMessage.__table__.insert(), rows)
    return messages


class Stalled:
    """A subscriber to everything, by hand (ZMTP 3.0), that does not read unless told to."""

    _GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
    _READY = b"\x05READY\x0bSocket-Type"

    def __init__(self, endpoint: str, kind: bytes = b"SUB") -> None:
        self.socket = socket.socket()
        self.socket.settimeout(PATIENCE)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", int(endpoint.rpartition(":")[2])))
        self.socket.sendall(self._GREETING)
        received = b""
        while len(received) < len(self._GREETING):
            received += self.socket.recv(64)
        ready = self._READY + len(kind).to_bytes(4, "big") + kind
        self.socket.sendall(bytes([4, len(ready)]) + ready)
        if kind == b"SUB":
            self.send(b"\x01")
        self._received = b""

    def hears(self, text: bytes) -> bool:
        """Read what is here; return whether a text was in what has been read so far."""
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            self._received += self.socket.recv(65536)
        self.socket.settimeout(PATIENCE)
        return text in self._received

    def send(self, frame: bytes, more: bool = False) -> None:
        """Send a frame; alone, ``\x01`` and a topic is a subscription."""
        head = bytes([2 + more]) + len(frame).to_bytes(8, "big") if len(frame) > 255 else None
        self.socket.sendall((head or bytes([more, len(frame)])) + frame)

    def close(self) -> None:
        """Go away."""
        self.socket.close()


class SlowLink:
    """Forwards one TCP connection after another, each held up at its beginning."""

    def __init__(self, target: str, seconds: float) -> None:
        self._target = ("127.0.0.1", int(target.rpartition(":")[2]))
        self._seconds = seconds
        self._closing = threading.Event()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> SlowLink:
        self._start(self._accept)
        return self

    def __exit__(self, *_error: object) -> None:
        self._closing.set()
        for sock in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(PATIENCE)
        for sock in [self._listener, *self._sockets]:
            sock.close()

    def _start(self, function: Callable[..., None], *arguments: Any) -> None:
        self._threads.append(threading.Thread(target=function, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(OSError):
                near = self._listener.accept()[0]
                self._sockets.append(near)
                far = socket.create_connection(self._target)
                self._sockets.append(far)
                self._start(self._pump, near, far)
                self._start(self._pump, far, near)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        self._closing.wait(self._seconds)
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for sock in (source, target):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def run_script(text: str, *arguments: Any, timeout: float = 40.0) -> str:
    """Run Python source in an interpreter of its own and return what it wrote.

    Warnings are errors there too; it has to end with status 0 and an empty standard error.
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(text), *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False, env=os.environ
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


#: A message that ends a :class:`Listening`.
GOOD = [b"end", b'{"msg":{},"topic":"end"}']


class Publisher:
    """An XPUB socket, so that tests know when somebody listens."""

    def __init__(self, context, endpoint):
        self.endpoint = endpoint
        self.socket = context.socket(zmq.XPUB)
        self.socket.setsockopt(zmq.SNDHWM, 0)
        self.socket.bind(endpoint)

    def joined(self):
        """Wait for a subscription and return it."""
        assert self.socket.poll(PATIENCE * 1000), "nobody subscribes"
        return self.socket.recv()

    def send(self, *messages):
        """Send messages, each a list of frames."""
        for frames in messages:
            self.socket.send_multipart(frames)


class Listening:
    """A thread that iterates a generator until ``end`` arrives or it is over."""

    def __init__(self, tail):
        self.tail, self.heard, self.error = tail, [], None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            for item in self.tail:
                self.heard.append(item)
                if item[2].endswith("end"):
                    break
            self.tail.close()
        except BaseException as error:
            self.error = error

    def over(self):
        """Wait for the end and return what was heard."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), f"still listening; heard {self.heard}"
        if self.error is not None:
            raise self.error
        return self.heard


def join(publish: Callable[[bytes], Any], sub: Any) -> None:
    """Publish until the subscriber receives, then read the rest of the probes."""
    number = 0
    while not sub.socket.poll(20):
        number += 1
        publish(b"%d" % number)
    publish(b"end")
    while sub.receive()[-1] != b"end":
        pass
