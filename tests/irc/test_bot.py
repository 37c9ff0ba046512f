"""Bots in channels of a real server (consumers.md 10, CD-20 to CD-22)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from irc_parts import OPEN, STRICT, TOPIC, Listener, Ngircd, configuration, joined, message

from fedmsg import crypto
from fedmsg.consumers import ircbot

Bots = Callable[..., Any]
Listen = Callable[..., Listener]
KEY = ircbot.IRCBotConsumer.config_key


def test_pretty_and_terse(server: Ngircd, listen: Listen, bots: Bots, words: None) -> None:
    """Title in its colour, words, and a link that is shortened once."""
    there, shorten = listen(), mock.Mock(return_value="http://s")
    consumer = bots(
        {"port": server.port, "make_pretty": True, "make_terse": True, "make_short": shorten},
        irc_color_lookup={"logger": "orange"},
    )
    joined(consumer)
    consumer.consume(message("it runs"))
    assert there.said() == ["\x0307logger.log\x03 -- it runs \x0310http://s\x03"]
    shorten.assert_called_once_with("http://long")


def test_plain(server: Ngircd, listen: Listen, bots: Bots) -> None:
    """Topic and body; as a message, if `irc_method` says so."""
    there = listen()
    consumer = bots({"port": server.port}, irc_method="msg")
    joined(consumer)
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
    joined(consumer)
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
    joined(consumer)
    consumer.consume(message("lub-dub"))
    consumer.consume(message("x", topic="org.fedoraproject.dev.git.receive"))
    consumer.consume(message("last"))
    assert "'last'" in there.said()[0]


def test_several_channels(server: Ngircd, listen: Listen, bots: Bots) -> None:
    """A bot for each entry; a channel without # gets it, an entry without channel is left out."""
    first, second = listen(), listen("#other", "second")
    consumer = bots(
        {"port": server.port}, {"port": server.port, "channel": "other", "nickname": "two"},
        {"channel": None},
    )  # fmt: skip
    joined(consumer)
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
    joined(consumer)
    body = message("words")["body"]
    if change is not None:
        body = {**crypto.sign(body, **pki.config), **change}
    consumer.consume({"topic": TOPIC, "body": body})
    expected = f"\x0315{TOPIC}\x03 -- {doubt}" if doubt else "\x0315logger.log\x03 -- words "
    assert there.said()[0].startswith(expected)


@pytest.mark.parametrize(
    ("form", "start"),
    [
        ({"terse": True, "pretty": True}, f"\x0315{TOPIC}\x03 -- (DOUBT) "),
        ({"terse": True}, f"{TOPIC} -- (DOUBT) "),
        ({}, f"{TOPIC} (DOUBT) {{'"),
        ({"pretty": True}, f"\x0315{TOPIC}\x03 (DOUBT) {{"),
    ],
)
def test_doubts_in_every_form(
    bots: Bots, port: Callable[[], int], pki: Any, form: dict[str, bool], start: str
) -> None:
    """The mark is in front of what the sender chose; another topic outside is a doubt, too."""
    consumer = bots({"port": port()}, **{**pki.config, "validate_signatures": True})
    body = message("(fine)")["body"]
    line = consumer.prettify(topic=TOPIC, msg=body, **form)
    assert line.startswith(start.replace("DOUBT", "unsigned"))
    signed = crypto.sign({**body, "topic": "org.other"}, **pki.config)
    line = consumer.prettify(topic=TOPIC, msg=signed, **form)
    assert line.startswith(start.replace("DOUBT", "invalid signature!"))
    signed = crypto.sign(body, **pki.config)
    for headers in ({}, {"headers": {"broker": "a"}}):
        assert "(invalid" not in consumer.prettify(topic=TOPIC, msg={**signed, **headers}, **form)


def test_names_of_1_1_7() -> None:
    """The factory is made with the old arguments, and the client of it has the old methods."""
    consumer = mock.Mock()
    factory = ircbot.Fedmsg2IRCFactory("#c", "nick", {}, True, False, None, 0.5, consumer, None)
    client = ircbot.make_irc_client(factory)
    client.notice("#c", "a")
    client.msg("#c", "b")
    assert list(client._waiting) == [("NOTICE", "a"), ("PRIVMSG", "b")]
    factory.ready(client)
    consumer.add_irc_client.assert_called_once_with(client)


def test_constructor_connects_nobody(port: Callable[[], int]) -> None:
    """That is begun with the hub; clients come and go by the old names."""
    hub = mock.Mock(config=configuration({"port": port()}))
    consumer = ircbot.IRCBotConsumer(hub)
    [bot] = consumer._bots
    assert not bot._thread.is_alive()
    assert consumer.irc_clients == []
    consumer.add_irc_client(bot)
    consumer.add_irc_client(bot)
    assert consumer.irc_clients == [bot]
    consumer.del_irc_clients(factory=mock.Mock())
    assert consumer.irc_clients == [bot]
    consumer.del_irc_clients(client=bot)
    consumer.add_irc_client(bot)
    consumer.del_irc_clients(factory=bot.factory)
    assert consumer.irc_clients == []
    consumer.stop()


def test_disabled() -> None:
    """Without its key it makes no bots, whatever the entries say, and can be stopped."""
    config = {**configuration(), KEY: False, "irc": 3}
    del config["topic_prefix_re"]
    consumer = ircbot.IRCBotConsumer(mock.Mock(config=config))
    assert consumer._bots == []
    consumer.stop()


def test_only_what_concerns_it_is_logged_without_passwords(
    bots: Bots, caplog: pytest.LogCaptureFixture
) -> None:
    """An entry without a channel is named, and its password is not."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ValueError, match="no entry with a 'channel'"):
        bots({"channel": "", "password": "pssst", "nickserv_password": "pssst"})
    assert "has no 'channel'" in caplog.text
    assert "pssst" not in caplog.text
