"""A connection to one of several STOMP brokers that is kept up: two threads, and nothing else.

The owner connects, writes, and minds the heart-beats; the reader takes in frames.  What the
session is for is in the hooks of its subclasses.
"""

from __future__ import annotations

import logging
import queue
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from .._limits import RateLimit
from ..exceptions import BrokerRefused
from . import stomp
from .stomp_rules import UNKNOWN, Backoff, Dialect, Settings, dialect, heartbeats
from .streams import tls_context

_log = logging.getLogger("fedmsg.transports.stomp")

#: A connection that has lasted so long was of use, seconds.
_USEFUL_SECONDS = 10.0
#: Longest wait for the broker to close after DISCONNECT; for threads to end; seconds.
_PARTING_SECONDS = 0.5
_END_SECONDS = 1.0
#: Silence of so many heart-beats is the end of a connection.
_SILENT_BEATS = 2.0
_SHOWN = 300


class Session:
    """Keeps one connection; every hook is called by the owner unless it says otherwise.

    Args:
        settings: what to connect with.

    Attributes:
        condition: guards the state here and in subclasses; notified at every change.
        endpoint: ``host:port`` of the broker connected to, else empty.
        problem: why there is no connection, for people; empty if there is one.
        connections: how often a broker let us in.
        refusal: the same as an error, if a broker said no and none has said yes since.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.condition = threading.Condition()
        self.endpoint, self.problem = "", ""
        self.connections = 0
        self.refusal: BrokerRefused | None = None
        self.dialect: Dialect = UNKNOWN
        self.stopping = False
        self._connection: stomp.Connection | None = None
        self._answer: Mapping[str, str] | None = None
        self._error: BrokerRefused | None = None
        self._over = self._useful = False
        self._log_limit = RateLimit(3)
        self._unread: queue.SimpleQueue[stomp.Connection | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name="fedmsg-stomp", daemon=True),
            threading.Thread(target=self._read, name="fedmsg-stomp-reader", daemon=True),
        ]

    # -- hooks -------------------------------------------------------------------------------

    def connected(self, connection: stomp.Connection) -> None:
        """A broker let us in."""

    def has_work(self) -> bool:
        """True if :meth:`work` has something to do; the condition is held."""
        return False

    def work(self, connection: stomp.Connection) -> bool:
        """Queue frames on the connection; return whether there were any."""
        return False

    def received(self, command: str, headers: Mapping[str, str], body: bytes) -> None:
        """A RECEIPT or MESSAGE; called by the reader."""

    def refused(self, error: BrokerRefused, receipt: str) -> bool:
        """An ERROR on a connection that was up, by the reader; return whether it may go on."""
        return False

    def lost(self) -> None:
        """The connection is gone; the condition is held."""

    # -- for other threads -------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect.

        Raises:
            MissingDependency: stomp.py is not installed.
            ConfigurationError: a file for TLS is wrong.
        """
        stomp.library()
        if self.settings.tls:
            tls_context(self.settings.tls)
        for thread in self._threads:
            thread.start()

    def await_outcome(self, seconds: float) -> None:
        """Wait for the first connection, or the first failure."""
        with self.condition:
            self.condition.wait_for(lambda: self.endpoint or self.problem, seconds)

    def stop(self, wait: float = _END_SECONDS) -> None:
        """End: what is queued is written first.  Returns after ``wait`` seconds at most."""
        deadline = time.monotonic() + wait
        with self.condition:
            self.stopping = True
            connection = self._connection
            self.condition.notify_all()
            if connection is not None and not self.endpoint:
                connection.abort()
            self.condition.wait_for(lambda: self._connection is None, wait / 2)
        if connection is not None:
            connection.abort()
        for thread in self._threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    # -- the reader --------------------------------------------------------------------------

    def _read(self) -> None:
        while (connection := self._unread.get()) is not None:
            try:
                connection.read()
            except Exception as error:  # whatever a broker sends ends its connection only
                _log.warning("STOMP broker at %s: what it sends is wrong: %r", connection, error)
            with self.condition:
                self._over = True
                self.condition.notify_all()

    def _sink(self, command: str, headers: Mapping[str, str], body: bytes) -> None:
        if command == "CONNECTED":
            with self.condition:
                self._answer = headers
                self.condition.notify_all()
        elif command == "ERROR":
            self._got_error(headers, body)
        else:
            self._useful = True
            self.received(command, headers, body)

    def _got_error(self, headers: Mapping[str, str], body: bytes) -> None:
        if self._error is not None:  # one cause may have several of them
            return
        error = BrokerRefused(self._shown(headers.get("message", ""), body))
        goes_on = self._answer is not None and self.refused(error, headers.get("receipt-id", ""))
        if not goes_on:
            with self.condition:
                self._error = error
                self.condition.notify_all()

    def _shown(self, message: str, body: bytes) -> str:
        """Return the text of an ERROR: on one line, short, without our password."""
        text = body[:_SHOWN].decode("utf-8", "replace")
        text = text if text.startswith(message) else f"{message}: {text}"
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        password = self.settings.password
        return (text.replace(password, "********") if password else text)[:_SHOWN].strip(": ")

    # -- the owner ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._keep_connected()
        except Exception:
            _log.exception("the thread of the STOMP connection ends")
            raise
        finally:
            self._unread.put(None)

    def _keep_connected(self) -> None:
        backoff, turn, brokers = Backoff(self.settings.delay), 0, self.settings.brokers
        while not self.stopping:
            connection = stomp.Connection(self.settings, brokers[turn % len(brokers)], self._sink)
            turn += 1
            began, was_up = time.monotonic(), self._use(connection)
            if self._useful or (was_up and time.monotonic() - began > _USEFUL_SECONDS):
                backoff.reset()
            if was_up or turn % len(brokers) == 0:
                with self.condition:
                    self.condition.wait_for(lambda: self.stopping, backoff.pause())

    def _use(self, connection: stomp.Connection) -> bool:
        """Connect, and stay until the connection ends; return whether it had been up."""
        with self.condition:
            self._connection, self._answer, self._error = connection, None, None
            self._over = self._useful = False
        was_up = False
        try:
            if self.stopping:
                return False
            connection.open()
            self._unread.put(connection)
            try:
                self._await_connected(connection)
                was_up = True
                self.connections += 1
                self._serve(connection)
            finally:
                with self.condition:
                    connection.abort()
                    self.condition.notify_all()
                self._await(lambda: False, None)
        except Exception as error:
            # Whatever it was, the next attempt may be better than none.
            if not isinstance(error, (OSError, ValueError)):
                _log.exception("STOMP broker at %s", connection)
            self._fail(connection, error)
        finally:
            connection.close()
            with self.condition:
                self._connection, self.endpoint = None, ""
                if was_up:
                    self.lost()
                self.condition.notify_all()
        return was_up

    def _await(self, happened: Callable[[], Any], seconds: float | None) -> bool:
        """Wait for something, or the end of the connection; return whether it is not at its end."""
        with self.condition:
            self.condition.wait_for(lambda: happened() or self._over, seconds)
            return not self._over

    def _await_connected(self, connection: stomp.Connection) -> None:
        timeout = self.settings.timeout
        self._await(lambda: self._answer is not None or self._error or self.stopping, timeout)
        with self.condition:
            if self._error:
                raise self._error
            if self._answer is None:
                raise (
                    ConnectionError("it closed the connection instead of answering")
                    if self._over
                    else TimeoutError(f"no answer to CONNECT within {timeout:g} s")
                )
            self.dialect = dialect(self._answer.get("server", ""))
            level = logging.INFO if self.problem else logging.DEBUG
            self.endpoint, self.problem, self.refusal = str(connection), "", None
            self.condition.notify_all()
        _log.log(level, "connected to the STOMP broker at %s", connection)

    def _fail(self, connection: stomp.Connection, error: Exception) -> None:
        """Remember why there is no connection, and say so at a bounded rate."""
        text = f"STOMP broker at {connection}: {error or type(error).__name__}"
        refused = isinstance(error, (BrokerRefused, ssl.SSLCertVerificationError))
        with self.condition:
            self.problem = text
            if refused and not self.endpoint:
                self.refusal = BrokerRefused(text)
            self.condition.notify_all()
        if not self.stopping and self._log_limit.allow():
            _log.warning("%s; connecting again", text)

    def _serve(self, connection: stomp.Connection) -> None:
        """Write what there is to write until the connection ends or the session does.

        Raises:
            OSError: it ended by itself.
        """
        assert self._answer is not None
        out, back = heartbeats(self.settings.heartbeat, self._answer.get("heart-beat", "0,0"))
        silence = back * _SILENT_BEATS
        self.connected(connection)
        pause = min([each / 2 for each in (out, back) if each], default=None)
        next_beat = time.monotonic()

        def goes_on(stalled: float) -> bool:
            # A broker that blocks its publishers, as when its disk is full, still beats.
            alive = silence and time.monotonic() - connection.heard < silence
            return not self.stopping and bool(stalled < self.settings.timeout or alive)

        while True:
            self._await(lambda: self.stopping or self._error or self.has_work(), pause)
            self._check(connection, silence)
            wrote, now = self.work(connection), time.monotonic()
            if not wrote and out and now >= next_beat:
                connection.beat()
            connection.flush(goes_on)
            if wrote or now >= next_beat:
                next_beat = now + out / 2
            if self.stopping:
                connection.protocol.send_frame("DISCONNECT", {})
                connection.flush(goes_on)
                self._await(lambda: False, _PARTING_SECONDS)
                return

    def _check(self, connection: stomp.Connection, silence: float) -> None:
        """Raise if the connection has ended, or the broker has been silent for too long."""
        with self.condition:
            if self._error:
                raise self._error
            if self._over and not self.stopping:
                raise ConnectionError("the connection was lost")
        quiet = time.monotonic() - connection.heard
        if silence and connection.is_reading and quiet > silence:
            raise TimeoutError(f"nothing was heard for {quiet:.1f} s, no heart-beat either")
