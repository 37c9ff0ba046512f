"""One connection to an IRC network, in a thread of its own, on the library ``irc``.

The one module that imports it.  Specification: consumers.md 10, CD-20 to CD-22.
"""

from __future__ import annotations

import logging
import random
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from .._limits import RateLimit
from ..exceptions import MissingDependency
from .irc_text import fitting, without_colours

if TYPE_CHECKING:
    import ssl

_log = logging.getLogger("fedmsg.consumers.ircbot")

#: Seconds: to connect, between two looks at what to do, the first and the longest pause before
#: connecting or joining again, and how long what was said last may take to leave at the end.
_CONNECT = 20.0
_LOOK = 0.1
FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_PARTING = 2.0
#: Every so many lines that wait, the channel is told.
_MARK = 20
#: A line of a server that is longer ends the connection; bytes.
_LONGEST_LINE = 65536
#: A channel may let us in later.
_CLOSED = (
    "bannedfromchan", "inviteonlychan", "channelisfull", "badchannelkey", "nosuchchannel",
    "toomanychannels", "needreggednick", "cannotsendtochan",
)  # fmt: skip


class Settings(NamedTuple):
    """An entry of ``irc``.

    Attributes:
        network: host.
        port: its port.
        channel: with its ``#``.
        nickname: the one wanted; if it is taken, with underscores.
        timeout: seconds without a sign of life before the connection is made anew.
        rate: least time between two lines, seconds.
        tls: None for plain text.
        password: for the server, or empty.
        nickserv_password: for the service NickServ, or empty.
        backlog: lines that may wait.
        method: ``notice`` or ``msg``.
    """

    network: str = "irc.freenode.net"
    port: int = 6667
    channel: str = "#fedmsg"
    nickname: str = "fedmsg-bot"
    timeout: float = 120.0
    rate: float = 1.0
    tls: ssl.SSLContext | None = None
    password: str = ""
    nickserv_password: str = ""
    backlog: int = 1000
    method: str = "notice"


def library() -> Any:
    """Return the library.

    Raises:
        MissingDependency: the extra ``irc`` is not installed.
    """
    try:
        import irc.client
    except ImportError as error:
        raise MissingDependency(
            "the IRC bot needs the library irc: pip install '.[irc]'"
        ) from error
    return irc.client


class Client:
    """A bot in one channel; :meth:`notice` and :meth:`msg` return at once.

    Args:
        factory: what it was made by; its ``settings`` say where to, and its ``pretty`` is set to
            False if the channel does not let colours in.

    Attributes:
        joined: set while it is in the channel.
        sent: lines that were sent.
        dropped: lines that were not, because too many waited, or that the channel refused.

    Raises:
        MissingDependency: the extra ``irc`` is not installed.
    """

    def __init__(self, factory: Any) -> None:
        self.factory = factory
        self._settings: Settings = factory.settings
        self._library = library()
        self.joined = threading.Event()
        self.sent = self.dropped = 0
        self._waiting: deque[tuple[str, str]] = deque()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._limit = RateLimit()
        self._last_line = self._heard = self._asked = 0.0
        self._mark: tuple[str, str] | None = None
        self._join_due: float | None = None
        self._thread = threading.Thread(target=self._run, name="fedmsg-irc", daemon=True)

    # -- for the consumer's workers ------------------------------------------------------------

    def start(self) -> None:
        """Connect, and stay connected until :meth:`stop`."""
        self._thread.start()

    def notice(self, channel: str, line: str) -> None:
        """Have a line sent as a notice."""
        self._put("NOTICE", line)

    def msg(self, channel: str, line: str) -> None:
        """Have a line sent as a message."""
        self._put("PRIVMSG", line)

    def _put(self, command: str, line: str) -> None:
        with self._lock:
            if len(self._waiting) < self._settings.backlog:
                self._waiting.append((command, line))
                return
            self.dropped += 1
        if self._limit.allow():
            _log.error(
                "%s: more than %d lines wait, %d have been dropped", self, self._settings.backlog,
                self.dropped,
            )  # fmt: skip

    def stop(self) -> None:
        """Leave, and end the thread; what waits is not sent; idempotent."""
        self._stopping.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(_PARTING)

    def __str__(self) -> str:
        settings = self._settings
        return f"IRC {settings.network}:{settings.port} {settings.channel}"

    # -- the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._stay_connected()
                problem = "the connection was lost"
            except Exception as error:  # noqa: BLE001  whatever a server sends ends its connection only
                problem = f"{error or type(error).__name__}"
            self.joined.clear()
            if self._stopping.is_set():
                return
            # A server that takes us and throws us out at once is not asked at full speed.
            lasted = time.monotonic() - began > _LONGEST_PAUSE
            pause = FIRST_PAUSE if lasted else min(pause * 2, _LONGEST_PAUSE)
            delay = pause * random.uniform(0.5, 1.0)
            _log.warning("%s: %s; connecting again in %.1f s", self, problem, delay)
            self._stopping.wait(delay)

    def _stay_connected(self) -> None:
        reactor = self._library.Reactor()
        connection = reactor.server()
        connection.buffer_class = _buffer_class()
        for name in ("welcome", "join", "kick", "mode", "channelmodeis", "nicknameinuse", *_CLOSED):
            handler = getattr(self, f"_on_{name}", self._on_closed)
            connection.add_global_handler(name, handler)
        connection.add_global_handler("all_raw_messages", self._on_anything)
        settings = self._settings
        self._heard = self._asked = time.monotonic()
        self._join_due = None
        connection.connect(
            settings.network, settings.port, settings.nickname,
            password=settings.password or None, username="fedmsg", ircname="fedmsg",
            connect_factory=self._dial,
        )  # fmt: skip
        try:
            while connection.is_connected() and not self._stopping.is_set():
                # Not by the library's loop, whose select() knows descriptors below 1024 only.
                if _is_readable(connection.socket, self._pause()):
                    connection.process_data()
                if connection.is_connected():
                    self._tend(connection)
            if connection.is_connected():
                connection.quit("fedmsg ends")
        finally:
            connection.close()

    def _dial(self, address: tuple[str, int]) -> socket.socket:
        """Return a connected socket; the library calls this."""
        raw = socket.create_connection(address, _CONNECT)
        if self._settings.tls is None:
            return raw
        try:
            return self._settings.tls.wrap_socket(raw, server_hostname=address[0])
        except BaseException:
            raw.close()
            raise

    def _pause(self) -> float:
        """Return how long to wait for the server at most, seconds."""
        if not self._waiting or not self.joined.is_set():
            return _LOOK
        return max(0.0, min(_LOOK, self._last_line + self._settings.rate - time.monotonic()))

    def _tend(self, connection: Any) -> None:
        """Do what is due: send a line, join, look whether the server lives."""
        now, settings = time.monotonic(), self._settings
        if self._join_due is not None and now >= self._join_due:
            self._join_due = None
            connection.join(settings.channel)
        if now - max(self._heard, self._asked) > settings.timeout / 2:
            if self._asked > self._heard:
                raise TimeoutError(f"no sign of life for {settings.timeout:g} s")
            self._asked = now
            connection.ping(settings.network)
        if self.joined.is_set() and self._waiting and now >= self._last_line + settings.rate:
            self._say(connection)

    def _say(self, connection: Any) -> None:
        """Send the next line; one that could not be sent stays the next."""
        command, line = self._mark or self._waiting[0]
        settings = self._settings
        if not self.factory.pretty:
            line = without_colours(line)
        line = fitting(line, command, settings.channel, connection.get_nickname())
        connection.send_raw(f"{command} {settings.channel} :{line}")
        self._last_line = time.monotonic()
        if self._mark is not None:
            self._mark = None
            return
        with self._lock:
            self._waiting.popleft()
            left = len(self._waiting)
        self.sent += 1
        if left and left % _MARK == 0:
            self._mark = command, f"* backlogged by {left} messages"
            _log.warning("%s: %s", self, self._mark[1])

    # -- what the server says ------------------------------------------------------------------

    def _on_anything(self, _connection: Any, _event: Any) -> None:
        self._heard = time.monotonic()

    def _on_welcome(self, connection: Any, _event: Any) -> None:
        if self._settings.nickserv_password:
            connection.privmsg("NickServ", f"IDENTIFY {self._settings.nickserv_password}")
        connection.join(self._settings.channel)

    def _on_join(self, connection: Any, event: Any) -> None:
        if event.source.nick == connection.get_nickname():
            connection.mode(self._settings.channel, "")
            self.factory.ready(self)
            self.joined.set()
            _log.info("%s: joined as %s", self, event.source.nick)

    def _on_channelmodeis(self, _connection: Any, event: Any) -> None:
        self._look_at_modes(event.arguments[1:2])

    def _on_mode(self, connection: Any, event: Any) -> None:
        if event.target.lower() == self._settings.channel.lower():
            connection.mode(self._settings.channel, "")

    def _look_at_modes(self, modes: list[str]) -> None:
        if modes and "c" in modes[0] and self.factory.pretty:
            _log.info("%s: mode +c, colours are off", self)
            self.factory.pretty = False

    def _on_kick(self, connection: Any, event: Any) -> None:
        if event.arguments[:1] == [connection.get_nickname()]:
            _log.warning("%s: kicked by %a", self, str(event.source)[:100])
            self._join_later()

    def _on_closed(self, _connection: Any, event: Any) -> None:
        if event.type == "cannotsendtochan":  # what we said is gone
            with self._lock:
                self.dropped += 1
        _log.warning("%s: %s %a", self, event.type, str(event.arguments)[:200])
        self._join_later()

    def _join_later(self) -> None:
        self.joined.clear()
        self._join_due = time.monotonic() + _LONGEST_PAUSE

    def _on_nicknameinuse(self, connection: Any, _event: Any) -> None:
        taken = connection.get_nickname()
        if len(taken) - len(self._settings.nickname) >= 5:
            raise ConnectionError(
                f"the nickname {self._settings.nickname} and others like it are taken"
            )
        connection.nick(taken + "_")
        connection.real_nickname = taken + "_"


def _is_readable(sock: socket.socket, seconds: float) -> bool:
    pending = getattr(sock, "pending", None)  # what TLS has read already
    if pending is not None and pending():
        return True
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return bool(poller.poll(seconds * 1000))


def _buffer_class() -> Callable[[], Any]:
    """Return the library's buffer of lines, for a server that may send anything."""
    from irc.client import ServerConnection

    base: Any = ServerConnection.buffer_class

    class Buffer(base):  # type: ignore[misc]
        """Replaces what is no UTF-8, and is bounded."""

        errors = "replace"

        def feed(self, data: bytes) -> None:
            super().feed(data)
            if len(self.buffer) > _LONGEST_LINE:
                raise ConnectionError(f"the server sent a line of more than {_LONGEST_LINE} bytes")

    return Buffer
