"""One connection to a STOMP broker, through stomp.py; the only module that imports it.

stomp.py frames what is sent and takes apart what is received.  The stream under it is ours, for
stomp.py 8.2 and 9.0 neither bound ``connect`` and ``send`` nor notice every end of a TLS
connection.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from ..exceptions import MissingDependency
from .stomp_rules import Broker, Settings, where
from .streams import Stream, abort, tls_context

#: A larger frame ends the connection, bytes.
MAX_FRAME = 256 * 1024 * 1024
_CHUNK = 65536
#: For brokers without heart-beats: the defaults of ``zmq_tcp_keepalive``.
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
_COMMANDS = ("CONNECTED", "MESSAGE", "RECEIPT", "ERROR")

#: Called with the command, the headers and the body of a frame; in the reader's thread.
Sink = Callable[[str, Mapping[str, str], bytes], None]


@cache
def library() -> Any:
    """Return the package ``stomp``.

    Raises:
        MissingDependency: stomp.py is not installed.
    """
    # It would look this host's names up, for as long as the name server likes.
    name = "STOMP_SKIP_HOSTNAME_SCAN"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        import stomp.protocol
        import stomp.transport
    except ImportError as error:
        raise MissingDependency(
            "STOMP needs stomp.py, which the extra 'stomp' installs: pip install '.[stomp]'"
        ) from error
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
    return stomp


class _Link:
    """What of stomp.py's transport is replaced; stands before it in the class that is used."""

    def __init__(self, stream: Stream, broker: Broker, connection: Connection) -> None:
        super().__init__([broker], auto_decode=False)  # type: ignore[call-arg]
        self._stream, self._broker, self._connection = stream, broker, connection
        self._fresh, self._unframed = True, 0

    def attempt_connection(self) -> None:
        """Use the connection that exists."""
        self.socket, self.current_host_and_port = self._stream, self._broker

    def transmit(self, frame: Any) -> None:
        """Queue a frame; stomp.py's own method shows the passcode in the debug log."""
        self._connection.write(b"".join(library().utils.convert_frame(frame)))

    def receive(self) -> bytes:
        """Return the next bytes.

        stomp.py loses the frame that follows two heart-beats in one read, so they are taken
        out where a frame may begin.
        """
        self._connection.reading(True)
        try:
            data = self._stream.recv(_CHUNK)
        finally:
            self._connection.reading(False)
        if self._fresh and not getattr(self, "_BaseTransport__recvbuf", b""):
            data = data.lstrip(b"\r\n") or data[:1]
        self._fresh = b"\0" in data or data in (b"\n", b"\r")
        self._unframed += len(data)
        if self._unframed > MAX_FRAME:
            raise OSError(f"the broker sent a frame of more than {MAX_FRAME} bytes")
        return data if data != b"\r" else b"\n"

    def process_frame(self, f: Any, frame_str: bytes) -> None:
        """Pass a frame on; stomp.py would also log all that is in it."""
        self._unframed = 0
        if f.cmd in _COMMANDS:
            self._connection.sink(f.cmd, f.headers, f.body or b"")
        elif f.cmd != "heartbeat":
            raise ValueError(f"unknown frame {f.cmd[:20]!r}")

    def notify(self, frame_type: str, frame: Any = None) -> None:
        """Nobody else listens."""

    def cleanup(self) -> None:
        """Leave the socket to its owner, who may be writing."""
        self._stream.shutdown()
        self.socket = None  # type: ignore[assignment]


@cache
def _link_class() -> type[Any]:
    """Return stomp.py's transport on our :class:`Stream`."""
    return type("Link", (_Link, library().transport.Transport), {})


class Connection:
    """One connection, from its making to its end.

    What writes belongs to one thread, which also calls :meth:`open`; another runs :meth:`read`.

    Args:
        settings: what to connect with.
        broker: whom to.
        sink: called with every frame that arrives.

    Attributes:
        heard: when something arrived, or the reader began to wait for it; monotonic seconds.
        is_reading: the reader waits for the broker, and not for us.
        aborted: it has been ended from this side.
    """

    def __init__(self, settings: Settings, broker: Broker, sink: Sink) -> None:
        self._settings, self.broker, self.sink = settings, broker, sink
        self.heard, self.is_reading = time.monotonic(), False
        self.aborted = False
        self._raw: socket.socket | None = None
        self._buffer: list[bytes] = []
        self._link: Any = None
        self._loop: Callable[[], None] = lambda: None
        self._goes_on: Callable[[float], bool] = lambda stalled: stalled < settings.timeout
        self.protocol: Any = None
        self.stream: Stream | None = None

    def open(self) -> None:
        """Make the connection and ask to be let in; CONNECTED arrives later.

        Raises:
            OSError: it cannot be made; ssl.SSLError is one.
            ConfigurationError: a file for TLS is wrong.
        """
        settings = self._settings
        # Found out before a connection exists.
        tls = tls_context(settings.tls) if settings.tls else None
        raw = self._dial()
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _KEEPALIVE.items():
                if hasattr(socket, name):
                    raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
            if tls is not None:
                self._raw = raw = tls.wrap_socket(
                    raw, server_hostname=self.broker[0], do_handshake_on_connect=False
                )
                raw.do_handshake()
            if self.aborted:
                raise ConnectionAbortedError("closed by this side")
            self.stream = Stream(raw)
        except BaseException:
            raw.close()
            raise
        self._link = _link_class()(self.stream, self.broker, self)
        self._link.override_threading(self._keep)
        self._link.start()
        self.protocol = library().protocol.Protocol12(self._link, auto_content_length=False)
        self._ask(settings)

    def _dial(self) -> socket.socket:
        """Return a connected socket; :meth:`abort` ends the attempt."""
        host, port = self.broker
        failure: OSError = OSError(f"no address for {host!r}")
        for family, kind, number, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        ):
            self._raw = raw = socket.socket(family, kind, number)
            try:
                raw.settimeout(self._settings.timeout)
                if self.aborted:
                    raise ConnectionAbortedError("closed by this side")
                raw.connect(address)
                return raw
            except OSError as error:
                raw.close()
                failure = error
        raise failure

    def _ask(self, settings: Settings) -> None:
        beat = settings.heartbeat
        headers = {"accept-version": "1.2", "host": settings.vhost, "heart-beat": f"{beat},{beat}"}
        if settings.user:
            headers |= {"login": settings.user, "passcode": str(settings.password)}
        if settings.client_id:
            headers["client-id"] = settings.client_id
        self.protocol.send_frame("CONNECT", headers)
        self.flush()

    def _keep(self, loop: Callable[[], None]) -> None:
        """Called by stomp.py in place of starting a thread for its loop."""
        self._loop = loop

    def read(self) -> None:
        """Take in frames until the connection ends."""
        self._loop()

    def reading(self, waits: bool) -> None:
        """The reader begins to wait for the broker, or has heard of it."""
        self.heard, self.is_reading = time.monotonic(), waits

    def write(self, data: bytes) -> None:
        """Queue bytes for :meth:`flush`."""
        self._buffer.append(data)

    def beat(self) -> None:
        """Queue a heart-beat."""
        self._buffer.append(b"\n")

    def flush(self, goes_on: Callable[[float], bool] | None = None) -> None:
        """Send what is queued.

        Raises:
            OSError: the connection is lost, or a wait was too long.
        """
        data = b"".join(self._buffer)
        self._buffer.clear()
        assert self.stream is not None
        try:
            self.stream.send(data, goes_on or self._goes_on)
        except ValueError as error:  # closed by the reader meanwhile
            raise OSError("the connection is closed") from error

    def abort(self) -> None:
        """End the connection, or the making of it, from any thread."""
        self.aborted = True
        if self._raw is not None:
            abort(self._raw)

    def close(self) -> None:
        """Give the socket back, when nobody uses it any more."""
        if self.stream is not None:
            self.stream.close()

    def __str__(self) -> str:
        return where(self.broker)
