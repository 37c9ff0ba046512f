"""Messages made to do harm, through a real server: each is one line of text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from irc_parts import TOPIC, Listener, Ngircd, joined, message

from fedmsg.consumers.irc_text import fitting, ircprettify, plain, without_colours

HOSTILE = [
    "a\r\nQUIT :gone", "a\nPRIVMSG #open :injected", "nul\0nul", "\x0304,05red\x1b[2J\x07",
    "\x01ACTION waves\x01", "\x02\x1d\x1f\x16\x0f\x11\x1e", "\x85\x9b31m", "\u202egnp\u2028",
    "$(touch pwned) `touch pwned` ; touch pwned", "%s%n {0.__class__}", "\ud800 \udcff",
    "ü" * 4000, "x" * 10_000, "\U0001f600" * 300,
]  # fmt: skip


@pytest.mark.parametrize("terse", [False, True])
@pytest.mark.parametrize("pretty", [False, True])
def test_hostile_messages(
    server: Ngircd, listen: Callable[..., Listener], bots: Callable[..., Any], words: None,
    terse: bool, pretty: bool,
) -> None:  # fmt: skip
    """Neither in the text nor in the topic; the bot stays, and nobody else says anything."""
    there = listen()
    entry = {"port": server.port, "make_terse": terse, "make_pretty": pretty}
    consumer = bots(entry, irc_method="msg")
    joined(consumer)
    messages = [message(text) for text in HOSTILE]
    messages += [message("x", topic=f"org.{text}") for text in HOSTILE]
    lines = []
    for each in [*messages, message("the last")]:
        consumer.consume(each)
        lines += there.said()
    # What was injected would stand in the place of another.
    assert "the last" in lines[-1]
    for line in lines:
        assert line.replace("\x03", "").isprintable(), line
        assert len(line.encode()) < 480
    assert [bot.joined.is_set() for bot in consumer._bots] == [True]


@pytest.mark.parametrize("text", HOSTILE)
def test_colours_are_ours(text: str) -> None:
    """Two, each with its end, whatever stands between them; none where they are not wanted."""
    for line in (ircprettify(text, text, text), plain(TOPIC, {"msg": text}, pretty=True)):
        assert line.count("\x03") == 2 * (1 + (" -- " in line))
        assert "\x03" not in without_colours(line)
    assert "\x03" not in ircprettify(text, text, text, colours=False)


@pytest.mark.parametrize("line", ["a\rb\nc\0d", "é" * 600, "\ud800"])
def test_what_is_sent(line: str) -> None:
    """No line end, and not too long with the address that a server puts in front."""
    sent = fitting(line, "PRIVMSG", "#channel", "nickname")
    assert not set("\r\n\0") & set(sent)
    assert len(f":nickname!fedmsg@{'h' * 63} PRIVMSG #channel :{sent}\r\n".encode()) <= 512
