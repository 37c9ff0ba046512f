"""A real IRC server, and somebody in a channel of it."""

from __future__ import annotations

import contextlib
import importlib
import os
import pwd
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from parts import settings

PROGRAM = "/usr/sbin/ngircd"
PATIENCE = 20.0
#: Channels, and the mode of the second one, which lets no colours in.
OPEN, STRICT = "#open", "#strict"
TOPIC = "org.fedoraproject.dev.logger.log"


def message(text: Any = "hello", topic: str = TOPIC, **changes: Any) -> dict[str, Any]:
    """Return a message as a consumer gets it."""
    body = {
        "topic": topic, "msg": {"log": text}, "timestamp": 1700000000, "msg_id": "2023-1", "i": 1,
        "username": "alice", **changes,
    }  # fmt: skip
    return {"topic": topic, "body": body}


def configuration(*entries: dict[str, Any], **config: Any) -> dict[str, Any]:
    """Return what a consumer needs, with quick bots."""
    usual = {"network": "127.0.0.1", "channel": OPEN, "nickname": "bot", "line_rate": 0.0}
    return {
        **settings(topic_prefix_re=r"org\.fedoraproject\.(dev|stg|prod)"),
        "fedmsg.consumers.ircbot.enabled": True, "irc": [{**usual, **each} for each in entries],
        "validate_signatures": False, **config,
    }  # fmt: skip


def joined(consumer: Any) -> None:
    """Wait until all bots of a consumer are in their channels."""
    for bot in consumer._bots:
        assert bot.joined.wait(PATIENCE)


def needs_ngircd() -> None:
    """Skip where there is no ngircd, and fail where CI says that there must be."""
    if not Path(PROGRAM).exists():
        _missing("ngircd is not installed here: apt-get install ngircd")


def needs_library() -> None:
    """The same for the library irc."""
    try:
        # Not find_spec("irc"), which would find the directory tests/irc.
        importlib.import_module("irc.client")
    except ImportError:
        _missing("the library irc is not installed here: pip install '.[irc]'")


def _missing(text: str) -> None:
    (pytest.fail if os.environ.get("CI") else pytest.skip)(text)


class Ngircd:
    """Debian's ngircd on a port and in a directory of its own.

    Args:
        folder: for its configuration.
        port: where it listens; with TLS on ``tls_port``, if a key is given.
        key: files of key and certificate.
        password: without which nobody is let in.
    """

    def __init__(
        self, folder: Path, port: int, tls_port: int = 0, key: tuple[str, str] | None = None,
        password: str = "",
    ) -> None:  # fmt: skip
        self.port, self.tls_port = port, tls_port
        user = pwd.getpwuid(os.getuid()).pw_name
        lines = [
            "[Global]", "Name = irc.test.invalid", "Info = tests", f"Ports = {port}",
            "Listen = 127.0.0.1", "AdminEMail = a@example.org", f"ServerUID = {user}",
            "ServerGID = 0" if user == "root" else "", "MotdPhrase = hello",
            f"Password = {password}" if password else "",
            "[Limits]", "MaxConnectionsIP = 0", "MaxPenaltyTime = 0", "PingTimeout = 20",
            "MaxNickLength = 30",
            "[Options]", "DNS = no", "Ident = no", "PAM = no", "CloakHost = c",
            "SyslogFacility = local0",
        ]  # fmt: skip
        if key:
            lines += ["[SSL]", f"KeyFile = {key[0]}", f"CertFile = {key[1]}", f"Ports = {tls_port}"]
        lines += ["[Channel]", f"Name = {STRICT}", "Modes = +c"]
        self._path = folder / "ngircd.conf"
        self._path.write_text("\n".join(lines) + "\n")
        self._path.chmod(0o644)
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [shutil.which("ngircd") or PROGRAM, "-n", "-f", str(self._path)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self._process.poll() is None:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), 1),
            ):
                return
            threading.Event().wait(0.02)
        self.kill()
        raise AssertionError(f"ngircd does not listen: {self._log.read_text()}")

    def kill(self) -> None:
        """End it at once; idempotent."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(PATIENCE)


class Listener:
    """A user in a channel, who reads.

    Args:
        port: of the server.
        channel: is joined before this returns.
        nickname: ours.
    """

    def __init__(self, port: int, channel: str = OPEN, nickname: str = "listener") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._file = self._socket.makefile("rb")
        self.channel = channel
        self.send(f"NICK {nickname}", f"USER {nickname} 0 * :{nickname}", f"JOIN {channel}")
        self.until(lambda line: b" 366 " in line)

    def send(self, *lines: str) -> None:
        """Send lines."""
        self._socket.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def until(self, found: Callable[[bytes], Any]) -> bytes:
        """Return the first line for which a function is true; the deadline is the socket's."""
        while True:
            line = self._file.readline()
            assert line, "the server closed the connection"
            if line.startswith(b"PING"):
                self.send("PONG " + line.split()[1].decode())
            if found(line):
                return line

    def said(self, count: int = 1) -> list[str]:
        """Return what is said next in the channel."""
        mark = f" {self.channel} :".encode()

        def is_said(line: bytes) -> bool:
            return mark in line and line.split(b" ")[1] in (b"NOTICE", b"PRIVMSG")

        return [
            self.until(is_said).partition(mark)[2].removesuffix(b"\r\n").decode()
            for _ in range(count)
        ]

    def sees(self, nickname: str) -> None:
        """Wait until somebody joins."""
        self.until(lambda line: line.startswith(f":{nickname}!".encode()) and b" JOIN " in line)

    def close(self) -> None:
        """Go away."""
        self._file.close()
        self._socket.close()
