"""Passing messages on, bytes unchanged: what the relay does with sockets.

With no limit on its queues libzmq's own proxy moves the messages.  With a limit a loop in Python
does, because only it can see a full queue.  Both run in a thread of their own, which owns the
sockets; the other end of a pair of inproc sockets controls it.
"""

from __future__ import annotations

import logging
import struct
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import zmq

from ..exceptions import NoEndpointAvailable
from . import addresses
from .accepting import AcceptMonitor
from .outlet import Outlet
from .zeromq import SocketOptions

_log = logging.getLogger("fedmsg.transports.forwarder")

#: Messages that may wait on the way in; a full queue pushes back on the publishers.
_INTAKE = 1000
#: While draining: silence that counts as the end, seconds.
_QUIET = 0.1
#: Messages moved before the control socket is looked at.
_BURST = 500
_NOBLOCK = int(zmq.NOBLOCK)
_NOBLOCK_MORE = int(zmq.NOBLOCK) | int(zmq.SNDMORE)


class Counts(NamedTuple):
    """What a forwarder has done since it started."""

    received: int = 0
    sent: int = 0
    overflows: int = 0
    dropped: int = 0


class Forwarder:
    """Binds a SUB socket to every inbound address and a publishing socket to the outbound one.

    Args:
        inbound: addresses that publishers connect to.
        outbound: address that subscribers connect to.
        options: of the publishing socket; its ``high_water_mark`` 0 selects libzmq's proxy.
        io_threads: libzmq's threads.

    Attributes:
        dropped_by: dropped messages, counted by reason.
    """

    def __init__(
        self, inbound: Sequence[str], outbound: str, options: SocketOptions, io_threads: int = 1
    ) -> None:
        self._inbound, self._options = inbound, options
        self._context: zmq.Context[Any] = zmq.Context(io_threads)
        self._bound: list[str] = []
        self._sub: zmq.Socket[bytes] = self._context.socket(zmq.SUB)
        self._out = Outlet(self._context, "relay_outbound", [outbound], options)
        self._control: zmq.Socket[bytes] = self._context.socket(zmq.PAIR)
        self._remote: zmq.Socket[bytes] = self._context.socket(zmq.PAIR)
        self._poller = zmq.Poller()
        self._thread = threading.Thread(target=self._run, name="fedmsg-forwarder", daemon=True)
        self._monitor: AcceptMonitor | None = None
        self._moved = 0
        self._proxied = 0
        self.dropped_by: Counter[str] = Counter()
        self._asking = threading.Lock()
        self._stopping = False
        self._drain_seconds = 0.0
        self.error: BaseException | None = None

    def open(self) -> None:
        """Bind everything.

        Raises:
            NoEndpointAvailable: an inbound address cannot be bound; the text names it.
            zmq.ZMQError: the outbound address cannot be bound.
        """
        try:
            self._sub.setsockopt(zmq.RCVHWM, _INTAKE)
            self._sub.setsockopt(zmq.SUBSCRIBE, b"")
            for option, value in self._options.others:
                self._sub.setsockopt(option, value)
            for target in addresses.literal(self._inbound):
                try:
                    self._sub.setsockopt(zmq.IPV6, int(addresses.is_ipv6(target)))
                    self._sub.bind(target)
                    self._bound.append(self._sub.getsockopt_string(zmq.LAST_ENDPOINT))
                except zmq.ZMQError as error:
                    raise NoEndpointAvailable(
                        f"cannot listen on {target} (relay_inbound): {error}"
                    ) from error
            self._monitor = AcceptMonitor(self._context, self._sub, "relay_inbound")
            self._out.open()
            self._control.bind("inproc://control")
            self._remote.connect("inproc://control")
            self._poller.register(self._sub, zmq.POLLIN)
            self._poller.register(self._control, zmq.POLLIN)
        except BaseException:
            self._close()
            raise

    def start(self) -> None:
        """Begin to forward."""
        self._thread.start()

    @property
    def running(self) -> bool:
        """False once the forwarding has ended, for whatever reason; then see ``error``."""
        return self._thread.is_alive()

    def counts(self) -> Counts:
        """Return the counters; from any thread, but that of the forwarder."""
        with self._asking:
            self._ask_proxy()
        total, dropped = self._proxied + self._moved, sum(self.dropped_by.copy().values())
        return Counts(total, total - dropped, self._out.overflows, dropped)

    @property
    def accept_failures(self) -> int:
        """Attempts to accept a publisher or subscriber that failed."""
        inbound = self._monitor.failures if self._monitor is not None else 0
        return inbound + self._out.accept_failures

    @property
    def pending(self) -> int:
        """Messages in hand; of those in libzmq's queues nobody knows the number."""
        return 0

    def _ask_proxy(self) -> None:
        if self._uses_proxy and self.running and not self._stopping:
            try:
                self._remote.send(b"STATISTICS", _NOBLOCK)
                if self._remote.poll(1000):
                    frames = self._remote.recv_multipart(_NOBLOCK)
                    # libzmq counts frames, two a message: received from publishers first.
                    self._proxied = struct.unpack("=Q", frames[0])[0] // 2
            except zmq.ZMQError:
                _log.debug("the proxy did not answer; counters are older", exc_info=True)

    @property
    def _uses_proxy(self) -> bool:
        return self._options.high_water_mark == 0

    def stop(self, drain: float) -> bool:
        """Forward what has arrived, then close everything.

        Args:
            drain: seconds allowed for that; the outbound queue has its linger on top.

        Returns:
            Whether it ended in time.
        """
        self._drain_seconds = drain
        if self._thread.ident is None:
            self._close()
            return True
        with self._asking:
            if self.running:
                self._ask_proxy()
                self._stopping = True
                self._remote.send(b"TERMINATE", _NOBLOCK)
        self._thread.join(drain + self._options.linger / 1000 + 1.0)
        return not self.running

    # -- in the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            if self._uses_proxy:
                assert self._out.socket is not None
                zmq.proxy_steerable(self._sub, self._out.socket, None, self._control)
            else:
                self._loop()
            self._drain()
        except BaseException as error:
            self.error = error
            _log.exception("forwarding ended with an error")
        finally:
            self._close()

    def _loop(self) -> None:
        """Forward and count, until told to stop."""
        while not self._is_stopped():
            self._move(_BURST)

    def _is_stopped(self) -> bool:
        """Wait until something comes; return whether it is the order to stop."""
        ready = dict(self._poller.poll())
        return self._control in ready and self._control.recv() == b"TERMINATE"

    def _move(self, limit: int) -> int:
        """Forward up to ``limit`` messages that are here; return how many there were."""
        recv, send, send_many = self._sub.recv, self._out.raw_send, self._out.transmit
        moved = 0
        try:
            while moved < limit:
                # A frame object knows whether another one follows; to ask the socket costs as
                # much as to receive.
                first = last = recv(_NOBLOCK, False)
                if first.more:
                    last = recv(_NOBLOCK, False)
                # Counted first, so that who has received a message finds it counted.
                self._moved += 1
                moved += 1
                if last is first or last.more:
                    send_many(self._rest(first, last))
                    continue
                try:
                    # As bytes: a frame object costs more than the copy of a topic.
                    send(first.bytes, _NOBLOCK_MORE)
                except zmq.Again:
                    self._out.refused([first, last])
                else:
                    send(last, _NOBLOCK, False)
        except zmq.Again:
            pass
        return moved

    def _rest(self, first: zmq.Frame, last: zmq.Frame) -> list[zmq.Frame]:
        """Return all frames of a message that has not two of them."""
        frames = [first] if last is first else [first, last]
        while frames[-1].more:
            frames.append(self._sub.recv(_NOBLOCK, copy=False))
        return frames

    def _drain(self) -> None:
        """Forward what is still on its way in, then stop listening, then what that left."""
        deadline = time.monotonic() + self._drain_seconds
        while time.monotonic() < deadline and self._sub.poll(int(_QUIET * 1000)):
            self._move(_BURST)
        if time.monotonic() >= deadline:
            _log.warning("publishers kept sending for %g s; stopping", self._drain_seconds)
        for target in self._bound:
            self._sub.unbind(target)
        while self._move(_BURST):
            pass

    def _close(self) -> None:
        with self._asking:
            for sock in (self._sub, self._control, self._remote):
                sock.close(linger=0)
        self._out.close(self._options.linger / 1000)
        self._context.term()
