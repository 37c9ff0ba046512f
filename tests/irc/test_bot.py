"""Bots in channels of a real server (consumers.md 10, CD-20 to CD-22)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from irc_parts import OPEN, STRICT, Listener, Ngircd
from openssl_parts import openssl

from fedmsg import crypto
from fedmsg.consumers import irc_client

Bots = Callable[..., Any]
Listen = Callable[..., Listener]
TOPIC = "org.fedoraproject.dev.logger.log"


def message(text: str = "hello", topic: str = TOPIC, **changes: Any) -> dict[str, Any]:
    """Return a message as a consumer gets it."""
    body = {
        "topic": topic, "msg": {"log": text}, "timestamp": 1700000000, "msg_id": "2023-1", "i": 1,
        "username": "alice", **changes,
    }  # fmt: skip
    return {"topic": topic, "body": body}


def joined(consumer: Any, server: Ngircd) -> None:
    """Wait for all bots."""
    for bot in consumer._bots:
        assert bot.joined.wait(20)


@pytest.fixture
def words() -> Any:
    """Words of a processor for every message."""
    with (
        mock.patch("fedmsg.meta.msg2title", lambda msg, **_: "logger.log"),
        mock.patch("fedmsg.meta.msg2subtitle", lambda msg, **_: msg["msg"]["log"]),
        mock.patch("fedmsg.meta.msg2link", lambda msg, **_: "http://long"),
    ):
        yield


def test_pretty_and_terse(server: Ngircd, listen: Listen, bots: Bots, words: None) -> None:
    """Title in its colour, words, and a link that is shortened once."""
    there, shorten = listen(), mock.Mock(return_value="http://s")
    consumer = bots(
        {"port": server.port, "make_pretty": True, "make_terse": True, "make_short": shorten},
        irc_color_lookup={"logger": "orange"},
    )
    joined(consumer, server)
    consumer.consume(message("it runs"))
    assert there.said() == ["\x0307logger.log\x03 -- it runs \x0310http://s\x03"]
    shorten.assert_called_once_with("http://long")


def test_plain(server: Ngircd, listen: Listen, bots: Bots) -> None:
    """Topic and body; as a message, if `irc_method` says so."""
    there = listen()
    consumer = bots({"port": server.port}, irc_method="msg")
    joined(consumer, server)
    consumer.consume(message("x", topic="org.short"))
    line = there.until(lambda line: b" :org.short" in line)
    assert b" PRIVMSG #open :org.short                      {'msg': {'log': 'x'}, 'timest" in line


def test_no_colours_where_the_channel_does_not_want_them(
    server: Ngircd, listen: Listen, bots: Bots, words: None
) -> None:
    """Mode +c is noticed at the start, and what was coloured is sent without."""
    there = listen(STRICT)
    entry = {"port": server.port, "channel": STRICT, "make_pretty": True, "make_terse": True}
    consumer = bots(entry)
    joined(consumer, server)
    bot = consumer._bots[0]
    for _ in range(100):
        consumer.consume(message("1 of 2"))
        if there.said() == ["logger.log -- 1 of 2 http://long"]:
            break
    assert bot.factory.pretty is False


def test_filters(server: Ngircd, listen: Listen, bots: Bots) -> None:
    """What matches is not said."""
    there = listen()
    filters = {"topic": [r"\.git\."], "body": ["lub-dub"]}
    consumer = bots({"port": server.port, "filters": filters})
    joined(consumer, server)
    consumer.consume(message("lub-dub"))
    consumer.consume(message("x", topic="org.fedoraproject.dev.git.receive"))
    consumer.consume(message("last"))
    assert "'last'" in there.said()[0]


HOSTILE = [
    "a\r\nQUIT :gone", "a\nPRIVMSG #open :injected", "nul\0nul", "\x03" + "04,05red\x1b[2J\x07",
    "\u202egnp\u2028", "ü" * 4000, "$(reboot) `reboot` %s {0}", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("terse", [False, True])
@pytest.mark.parametrize("pretty", [False, True])
def test_hostile_messages(
    server: Ngircd, listen: Listen, bots: Bots, words: None, terse: bool, pretty: bool
) -> None:
    """Each is one line of text, short enough, and the bot stays."""
    there = listen()
    consumer = bots({"port": server.port, "make_terse": terse, "make_pretty": pretty})
    joined(consumer, server)
    for text in HOSTILE:
        consumer.consume(message(text))
    lines = there.said(len(HOSTILE))
    for line in lines:
        plain = line.replace("\x03", "")
        assert plain.isprintable(), line
        assert len(line.encode()) < 480
    assert [bot.joined.is_set() for bot in consumer._bots] == [True]


def test_comes_back(
    server: Ngircd, listen: Listen, bots: Bots, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """When its server dies it connects again; what came meanwhile waits, bounded, and is said."""
    monkeypatch.setattr(irc_client, "FIRST_PAUSE", 0.05)
    consumer = bots({"port": server.port, "backlog": 45})
    joined(consumer, server)
    bot = consumer._bots[0]
    server.kill()
    while bot.joined.is_set():
        assert bot._thread.is_alive()
    for number in range(50):
        consumer.consume(message(f"number {number}"))
    assert (bot.dropped, len(bot._waiting)) == (5, 45)
    assert "more than 45 lines wait" in caplog.text
    # It must not be quicker than the listener: nobody hears what is said before.
    bot._settings = bot._settings._replace(rate=60.0)
    server.start()
    there = listen()
    there.sees("bot")
    bot._settings = bot._settings._replace(rate=0.0)
    bot._last_line = 0.0
    lines = there.said(47)
    assert [line for line in lines if line.startswith("*")] == [
        "* backlogged by 40 messages", "* backlogged by 20 messages",
    ]  # fmt: skip
    assert "number 44" in lines[-1]
    assert "backlogged by 40" in caplog.text


def test_nickname_in_use(server: Ngircd, listen: Listen, bots: Bots) -> None:
    """It takes another one."""
    there = listen(nickname="bot")
    consumer = bots({"port": server.port})
    there.sees("bot_")
    joined(consumer, server)
    consumer.consume(message("taken"))
    assert "'taken'" in there.said()[0]


def test_several_channels(server: Ngircd, listen: Listen, bots: Bots) -> None:
    """A bot for each entry; a channel without # gets it, an entry without channel is left out."""
    first, second = listen(), listen("#other", "second")
    consumer = bots(
        {"port": server.port}, {"port": server.port, "channel": "other", "nickname": "two"},
        {"channel": None},
    )  # fmt: skip
    joined(consumer, server)
    assert [bot.factory.channel for bot in consumer._bots] == [OPEN, "#other"]
    consumer.consume(message("both"))
    assert "'both'" in first.said()[0]
    assert "'both'" in second.said()[0]


@pytest.mark.parametrize(
    ("change", "doubt"),
    [({}, ""), ({"msg": {"log": "forged"}}, "(invalid signature!)"), (None, "(unsigned)")],
)
def test_doubts(
    server: Ngircd, listen: Listen, bots: Bots, words: None, pki: Any, change: Any, doubt: str
) -> None:
    """With `validate_signatures` what is not properly signed is marked, and not put into words."""
    there = listen()
    entry = {"port": server.port, "make_pretty": True, "make_terse": True}
    consumer = bots(entry, **{**pki.config, "validate_signatures": True})
    joined(consumer, server)
    body = message("words")["body"]
    if change is not None:
        body = {**crypto.sign(body, **pki.config), **change}
    consumer.consume({"topic": TOPIC, "body": body})
    expected = f"\x0315{TOPIC}\x03 -- {doubt}" if doubt else "\x0315logger.log\x03 -- words "
    assert there.said()[0].startswith(expected)


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
        joined(good, server)
        bad = bots({**entry, "ssl_ca": other[1], "nickname": "bad"})
        eventually(lambda: "CERTIFICATE_VERIFY_FAILED" in caplog.text)
        assert not bad._bots[0].joined.is_set()
        lax = bots({**entry, "ssl_verify": False, "nickname": "lax"})
        joined(lax, server)
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


def test_only_what_concerns_it_is_logged_without_passwords(
    bots: Bots, caplog: pytest.LogCaptureFixture
) -> None:
    """An entry without a channel is named, and its password is not."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ValueError, match="no entry with a 'channel'"):
        bots({"channel": "", "password": "pssst", "nickserv_password": "pssst"})
    assert "has no 'channel'" in caplog.text
    assert "pssst" not in caplog.text
