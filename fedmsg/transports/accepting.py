"""Connections that a bound socket cannot accept, mostly because no descriptor is left.

libzmq tries again at once, for ever and in silence: a connection that waits to be accepted keeps
its I/O thread busy.  (ZeroMQ manual: zmq_socket_monitor(3).)
"""

from __future__ import annotations

import contextlib
import logging
import os
import struct
import threading
import time
from typing import Any

import zmq

from .._limits import RateLimit

_log = logging.getLogger("fedmsg.transports.accepting")

#: Failures that are read at one go, and the pause after that, seconds.  While libzmq waits for its
#: events to be read it serves nobody: this is how long a message may be held up, and that many
#: rounds are time enough for all that waits.
_AT_ONCE = 500
_PAUSE = 0.05


class AcceptMonitor:
    """Counts and reports such failures, and keeps libzmq from spending a core on them.

    Its thread ends with the context.  The monitoring is never disabled: pyzmq would hold the
    interpreter's lock while it waits for an I/O thread that waits for this thread.

    Args:
        context: of the socket.
        sock: is bound already; a bind could wait in the same way.
        name: of the socket, for the log.

    Attributes:
        failures: attempts that failed; one client makes many.
    """

    def __init__(self, context: zmq.Context[Any], sock: zmq.Socket[bytes], name: str) -> None:
        self._name, self.failures = name, 0
        self._limit = RateLimit()
        address = f"inproc://accepting-{id(self)}"
        sock.monitor(address, int(zmq.EVENT_ACCEPT_FAILED))
        self._events: zmq.Socket[bytes] = context.socket(zmq.PAIR)
        self._events.setsockopt(zmq.RCVHWM, 1)
        self._events.setsockopt(zmq.LINGER, 0)
        self._events.connect(address)
        threading.Thread(target=self._run, name="fedmsg-accepting", daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(zmq.ContextTerminated), self._events:
            while True:
                for _ in range(_AT_ONCE):
                    self._count(self._events.recv_multipart())
                time.sleep(_PAUSE)

    def _count(self, event: list[bytes]) -> None:
        self.failures += 1
        if self._limit.allow():
            _log.error(
                "%r cannot accept a connection: %s; it tries again until others leave; raise the"
                " limit of open descriptors (ulimit -n, LimitNOFILE); failed attempts so far: %d",
                self._name, os.strerror(struct.unpack("=Hi", event[0])[1]), self.failures,
            )  # fmt: skip
