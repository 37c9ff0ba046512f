"""How bots come, come back, and keep what they could not say yet, on a real server."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from irc_parts import OPEN, Listener, Ngircd, joined, message
from openssl_parts import openssl

from fedmsg.consumers import irc_client

Bots = Callable[..., Any]
Listen = Callable[..., Listener]
Wait = Callable[..., Any]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bots that try again soon."""
    monkeypatch.setattr(irc_client, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(irc_client, "_LONGEST_PAUSE", 0.2)


def test_comes_back(
    server: Ngircd, listen: Listen, bots: Bots, caplog: pytest.LogCaptureFixture,
    quick: None,
) -> None:  # fmt: skip
    """When its server dies it connects again; what came meanwhile waits, bounded, and is said."""
    consumer = bots({"port": server.port, "backlog": 45})
    joined(consumer)
    bot = consumer._bots[0]
    server.kill()
    while bot.joined.is_set():
        assert bot._thread.is_alive()
    for number in range(50):
        consumer.consume(message(f"number {number}"))
    assert (bot.dropped, len(bot._waiting)) == (5, 45)
    assert "more than 45 lines wait" in caplog.text
    # It must not be quicker than the listener: nobody hears what is said before.
    bot._settings = bot._settings._replace(rate=3600.0)
    bot._last_line = irc_client.time.monotonic()
    server.start()
    there = listen()
    joined(consumer)
    bot._settings = bot._settings._replace(rate=0.0)
    lines = there.said(47)
    assert [line for line in lines if line.startswith("*")] == [
        "* backlogged by 40 messages", "* backlogged by 20 messages",
    ]  # fmt: skip
    assert "number 44" in lines[-1]
    assert "backlogged by 40" in caplog.text


def test_what_comes_before_the_first_join(
    server: Ngircd, listen: Listen, bots: Bots, quick: None
) -> None:
    """A bot whose server is down when it starts says later what came since."""
    server.kill()
    consumer = bots({"port": server.port})
    consumer.consume(message("early"))
    assert [len(bot._waiting) for bot in consumer.irc_clients] == [1]
    # It must not be quicker than the listener: nobody hears what is said before.
    [bot] = consumer._bots
    bot._settings = bot._settings._replace(rate=3600.0)
    bot._last_line = irc_client.time.monotonic()
    server.start()
    there = listen()
    joined(consumer)
    bot._settings = bot._settings._replace(rate=0.0)
    assert "'early'" in there.said()[0]


def test_backlog(
    server: Ngircd, listen: Listen, bots: Bots, eventually: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    """What waits is bounded: the rest is dropped, counted and told; so is how many wait."""
    there = listen()
    consumer = bots({"port": server.port, "backlog": 41})
    joined(consumer)
    [bot] = consumer._bots
    consumer.consume(message("first"))
    assert "'first'" in there.said()[0]
    eventually(lambda: bot.sent == 1)
    bot._settings = bot._settings._replace(rate=3600.0)
    for number in range(50):
        consumer.consume(message(f"number {number}"))
    assert (bot.dropped, len(bot._waiting)) == (9, 41)
    errors = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert errors == [f"{bot}: more than 41 lines wait, 1 have been dropped"]
    bot._settings = bot._settings._replace(rate=0.0)
    lines = there.said(43)
    assert [n for n, line in enumerate(lines) if line.startswith("* backlogged by")] == [1, 22]
    assert lines[1], lines[22] == ("* backlogged by 40 messages", "* backlogged by 20 messages")
    assert "number 40" in lines[-1]
    warned = [each for each in caplog.messages if "backlogged by" in each]
    assert warned == [f"{bot}: {lines[1]}", f"{bot}: {lines[22]}"]


def test_line_rate(server: Ngircd, listen: Listen, bots: Bots, eventually: Wait) -> None:
    """The second of two lines waits for its time."""
    there = listen()
    consumer = bots({"port": server.port, "line_rate": 3600})
    joined(consumer)
    [bot] = consumer._bots
    bot._last_line = -3600.0
    consumer.consume(message("one"))
    consumer.consume(message("two"))
    assert "'one'" in there.said()[0]
    eventually(lambda: len(bot._waiting) == 1)
    assert 3500 < bot._last_line + 3600 - irc_client.time.monotonic() <= 3600
    assert bot.sent == 1


def test_nickname_in_use(server: Ngircd, listen: Listen, bots: Bots) -> None:
    """It takes another one."""
    there = listen(nickname="bot")
    consumer = bots({"port": server.port})
    there.sees("bot_")
    joined(consumer)
    consumer.consume(message("taken"))
    assert "'taken'" in there.said()[0]


def test_kicked(
    server: Ngircd, listen: Listen, bots: Bots, quick: None, eventually: Wait, caplog: Any
) -> None:
    """It comes again, and says what was to be said meanwhile."""
    there = listen()
    consumer = bots({"port": server.port})
    joined(consumer)
    there.send(f"KICK {OPEN} bot :out")
    eventually(lambda: "kicked by 'listener!" in caplog.text)
    consumer.consume(message("meanwhile"))
    there.sees("bot")
    assert "'meanwhile'" in there.said()[0]


def test_not_let_in(
    server: Ngircd, listen: Listen, bots: Bots, quick: None, eventually: Wait, caplog: Any
) -> None:
    """A channel that is for invited users: it tries again."""
    there = listen()
    there.send(f"MODE {OPEN} +i")
    there.until(lambda line: b" +i" in line)
    consumer = bots({"port": server.port})
    eventually(lambda: "inviteonlychan" in caplog.text)
    assert not consumer._bots[0].joined.is_set()
    there.send(f"MODE {OPEN} -i")
    joined(consumer)


def test_refused_lines_are_counted(
    server: Ngircd, listen: Listen, bots: Bots, quick: None, eventually: Wait, caplog: Any
) -> None:
    """A channel in which the bot may not speak."""
    there = listen()
    there.send(f"MODE {OPEN} +m")
    there.until(lambda line: b" +m" in line)
    consumer = bots({"port": server.port}, irc_method="msg")
    joined(consumer)
    consumer.consume(message("unheard"))
    eventually(lambda: consumer._bots[0].dropped == 1)
    assert "cannotsendtochan" in caplog.text


def test_back_off(
    port: Callable[[], int], bots: Bots, eventually: Wait, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Each pause is twice the one before, up to the longest."""
    monkeypatch.setattr(irc_client, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(irc_client, "_LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(irc_client.random, "uniform", lambda least, most: most)
    bots({"port": port()})

    def pauses() -> list[float]:
        return [each.args[-1] for each in caplog.records if "connecting again" in each.msg]

    eventually(lambda: len(pauses()) >= 4)
    assert pauses()[:4] == [0.02, 0.04, 0.05, 0.05]


def test_silent_server(
    silent: socket.socket, bots: Bots, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    """One that takes the connection and says nothing is left, and tried again."""
    bots({"port": silent.getsockname()[1], "timeout": 0.2})
    for _ in range(2):
        connection, _address = silent.accept()
        with connection, connection.makefile("rb") as sent:
            assert sent.readline() == b"NICK bot\r\n"
            assert b"PING" in sent.read()
    assert "no sign of life for 0.2 s" in caplog.text


def test_endless_line(
    silent: socket.socket, bots: Bots, quick: None, eventually: Wait, caplog: Any
) -> None:
    """A server that never ends its line does not fill the memory."""
    bots({"port": silent.getsockname()[1]})
    connection, _address = silent.accept()
    with connection, pytest.raises(OSError):  # noqa: PT011  reset, or a broken pipe
        while True:
            connection.sendall(bytes(65536))
    eventually(lambda: "a line of more than" in caplog.text)


def test_nickserv(server: Ngircd, listen: Listen, bots: Bots) -> None:
    """The password goes to NickServ, and to nobody else."""
    service = listen(nickname="NickServ")
    bots({"port": server.port, "nickserv_password": "pssst"})
    line = service.until(lambda line: b"pssst" in line)
    assert line.partition(b" ")[2] == b"PRIVMSG NickServ :IDENTIFY pssst\r\n"


@pytest.mark.parametrize("password", ["pssst", "wrong"])
def test_password(
    tmp_path: Path, address: Callable[[], str], bots: Bots, eventually: Wait, quick: None,
    password: str, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """A server that wants a password gets it."""
    server = Ngircd(tmp_path, int(address().rpartition(":")[2]), password="pssst")
    server.start()
    try:
        consumer = bots({"port": server.port, "password": password})
        if password == "pssst":
            joined(consumer)
        else:
            eventually(lambda: "connecting again" in caplog.text)
            assert not consumer._bots[0].joined.is_set()
    finally:
        server.kill()
    assert password not in caplog.text


def test_tls(
    tmp_path: Path, address: Callable[[], str], bots: Bots, caplog: pytest.LogCaptureFixture,
    eventually: Callable[..., Any],
) -> None:  # fmt: skip
    """A server whose certificate is of the CA given is accepted, and no other."""
    ca, other = (_certificate(tmp_path, name) for name in ("ca", "other"))
    port, tls = (int(address().rpartition(":")[2]) for _ in range(2))
    server = Ngircd(tmp_path, port, tls, key=ca)
    server.start()
    try:
        entry = {"port": tls, "ssl": True, "network": "localhost"}
        good = bots({**entry, "ssl_ca": ca[1]})
        joined(good)
        bad = bots({**entry, "ssl_ca": other[1], "nickname": "bad"})
        eventually(lambda: "CERTIFICATE_VERIFY_FAILED" in caplog.text)
        assert not bad._bots[0].joined.is_set()
        lax = bots({**entry, "ssl_verify": False, "nickname": "lax"})
        joined(lax)
    finally:
        server.kill()


def _certificate(folder: Path, name: str) -> tuple[str, str]:
    key, certificate = str(folder / f"{name}.key"), str(folder / f"{name}.crt")
    done = openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return key, certificate
