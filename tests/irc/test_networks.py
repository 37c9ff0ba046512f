"""A hundred messages of twenty-five services, said in two networks at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import town
from irc_parts import Listener, Ngircd, joined, needs_ngircd
from plugins import CONFIG, PREFIX, install  # noqa: F401


@pytest.fixture
def networks(tmp_path: Path, port: Callable[[], int]) -> Iterator[list[Ngircd]]:
    """Two servers that do not know of each other."""
    needs_ngircd()
    servers = []
    try:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            servers.append(Ngircd(tmp_path / name, port()))
            servers[-1].start()
        yield servers
    finally:
        for each in servers:
            each.kill()


def test_a_hundred_messages(
    networks: list[Ngircd], bots: Callable[..., Any], install: Callable[..., None]  # noqa: F811
) -> None:  # fmt: skip
    """Each in its order and in the words of the processors, in colour where it is wanted."""
    install("fedmsg_meta_town", town.source(), town.points())
    there = [Listener(each.port) for each in networks]
    try:
        consumer = bots(
            {"port": networks[0].port, "make_terse": True},
            {"port": networks[1].port, "make_terse": True, "make_pretty": True},
            irc_color_lookup={"forge": "red"}, **CONFIG,
        )  # fmt: skip
        joined(consumer)
        for each in town.MESSAGES:
            topic = PREFIX + each.topic
            consumer.consume({"topic": topic, "body": {"topic": topic, "msg": each.body}})
        expected = [f"{each.topic} -- {each.line}" for each in town.MESSAGES]
        assert said(there[0]) == expected
        coloured = said(there[1])
        assert coloured[0].startswith("\x0304forge.push\x03 -- ann pushed")
        assert coloured[4].startswith("\x0315")
        assert [without(line) for line in coloured] == expected
    finally:
        for listener in there:
            listener.close()


def said(listener: Listener) -> list[str]:
    """Return a hundred lines, without those about the backlog."""
    lines: list[str] = []
    while len(lines) < len(town.MESSAGES):
        lines += [line.rstrip() for line in listener.said() if not line.startswith("* backlogged")]
    return lines


def without(line: str) -> str:
    """Return a line without the colours that the bot of this test uses."""
    for code in ("\x0304", "\x0315", "\x0310", "\x03"):
        line = line.replace(code, "")
    return line
