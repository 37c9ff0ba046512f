"""``LoggerCommand``: what it publishes, and how packages extend it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any

import pytest

import fedmsg
from fedmsg.commands.logger import LoggerCommand
from fedmsg.exceptions import FedmsgError


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, config_file: Callable[..., str],
              address: Callable[[], str]) -> Callable[..., list[Any]]:  # fmt: skip
    """A function that runs the command on some input and returns what it published."""

    def run(text: str, *options: str, cls: type[LoggerCommand] = LoggerCommand) -> list[Any]:
        seen: list[Any] = []

        def publish(context: Any, topic: Any = None, msg: Any = None, modname: Any = None) -> None:
            seen.append((topic, msg, modname))

        file = config_file(endpoints={}, relay_inbound=address())
        monkeypatch.setattr(fedmsg.FedMsgContext, "publish", publish)
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        monkeypatch.setattr(
            sys, "argv",
            ["fedmsg-logger", f"--config-filename={file}", "--post-init-sleep=0", *options],
        )  # fmt: skip
        cls().execute()
        return seen

    return run


def test_a_line_is_a_message(published: Callable[..., list[Any]]) -> None:
    """Stripped, under the key log."""
    assert published("a message for you\n") == [("log", {"log": "a message for you"}, "logger")]


def test_message_is_sent_as_given(published: Callable[..., list[Any]]) -> None:
    """--message is not stripped, and standard input not read."""
    assert published("unread", "--message= x ") == [("log", {"log": " x "}, "logger")]


def test_json_is_passed_through(published: Callable[..., list[Any]]) -> None:
    """--json-input takes the whole input as one document."""
    assert published('{"a":\n "b"}', "--json-input") == [("log", {"a": "b"}, "logger")]


def test_bad_json_sends_nothing(published: Callable[..., list[Any]]) -> None:
    """The error says that it is the input."""
    with pytest.raises(FedmsgError, match="the input is not a JSON document"):
        published("{", "--json-input")


def test_subclasses_add_options(published: Callable[..., list[Any]]) -> None:
    """Other packages extend extra_args."""

    class Extended(LoggerCommand):
        """Help of another package."""

        extra_args = [*LoggerCommand.extra_args, (["--more"], {"dest": "more"})]

    assert published("x", "--more=1", cls=Extended) == [("log", {"log": "x"}, "logger")]
