"""``fedmsg-irc`` as a process."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from irc_parts import OPEN, TOPIC, Listener, Ngircd, message
from parts import Publisher

Start = Callable[..., Any]


@pytest.fixture
def source(publisher: Callable[..., Publisher]) -> Publisher:
    """What the bots listen to."""
    return publisher()


@pytest.fixture
def run(source: Publisher, command: Start, config_file: Callable[..., str]) -> Start:
    """A function that starts the command with entries of ``irc``."""

    def start(*entries: dict[str, Any], env: dict[str, str] | None = None, **config: Any) -> Any:
        path = config_file(endpoints={"test": [source.endpoint]}, irc=list(entries), **config)
        environment = {**os.environ, **(env or {})}
        return command("fedmsg-irc", f"--config-filename={path}", env=environment)

    return start


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_from_the_bus_to_the_channel(
    server: Ngircd, listen: Callable[..., Listener], source: Publisher, run: Start, number: int
) -> None:
    """What is published is said; a signal has the bot leave, with status 0."""
    there = listen()
    running = run({"network": "127.0.0.1", "port": server.port, "channel": OPEN,
                   "nickname": "bot", "line_rate": 0, "make_terse": True})  # fmt: skip
    assert source.joined() == b"\x01"
    running.says("joined as bot")
    source.send([TOPIC.encode(), json.dumps(message("it works")["body"]).encode()])
    # The server takes the blank away that 1.1.7 put in the place of a link.
    assert there.said() == ["logger.log -- it works (alice)"]
    assert running.stop(number) == 0
    there.until(lambda line: line.startswith(b":bot!") and b"fedmsg ends" in line)


@pytest.mark.parametrize(
    ("entry", "config", "text"),
    [
        ({}, {}, "'irc' has no entry with a 'channel'"),
        ({"channel": "x", "port": "6667"}, {}, "'port' of an entry of 'irc' is '6667'"),
        ({"channel": "x", "line_rate": -1}, {}, "'line_rate' of an entry of 'irc' is -1"),
        ({"channel": "x y"}, {}, "'channel' of an entry of 'irc' is '#x y'"),
        ({"channel": "x", "nickname": "a\nb"}, {}, "'nickname' of an entry of 'irc' is 'a\\nb'"),
        ({"channel": "x", "filters": {"topics": []}}, {}, "has 'topics': use 'topic' and 'body'"),
        ({"channel": "x", "filters": {"body": ["("]}}, {}, "'(': no regular expression"),
        ({"channel": "x", "ssl": True, "ssl_ca": "/none"}, {}, "'ssl_ca' of an entry of 'irc'"),
        ({"channel": "x"}, {"irc_method": "shout"}, "'irc_method' is 'shout'"),
        ({"channel": "x"}, {"irc_color_lookup": {"git": "mauve"}}, "the colour of 'git' is"),
        ({"channel": "x"}, {"irc_default_color": "mauve"}, "'irc_default_color' is 'mauve'"),
    ],
)  # fmt: skip
def test_wrong_settings(
    bots: Callable[..., Any], entry: dict[str, Any], config: dict[str, Any], text: str
) -> None:
    """Nothing is made, and the error names the key, its value, and what would be right."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is compared
        bots({"channel": None, **entry}, **config)
    assert text in str(caught.value)


def test_wrong_entry_ends_it(run: Start) -> None:
    """Status 1, with the reason (KD-15, CD-21)."""
    running = run({"channel": "x", "irc": True}, irc_method="shout")
    assert running.wait() == 1
    assert "'irc_method' is 'shout': it must be 'notice' or 'msg'" in running.stderr
    assert "Traceback" not in running.stderr


def test_without_the_library(run: Start, tmp_path: Path) -> None:
    """Status 1, with the extra that has it."""
    package = tmp_path / "path" / "irc"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('not installed')\n")
    running = run({"channel": "x"}, env={"PYTHONPATH": str(tmp_path / "path")})
    assert running.wait() == 1
    assert "pip install '.[irc]'" in running.stderr
    assert "Traceback" not in running.stderr


def test_hung_server_does_not_hold_up_the_end(silent: Any, source: Publisher, run: Start) -> None:
    """A server that answers nothing: SIGTERM ends it all the same, within its bound."""
    running = run({"network": "127.0.0.1", "port": silent.getsockname()[1], "channel": "x"})
    connection, _address = silent.accept()
    with connection:
        source.joined()
        assert running.stop() == 0
