"""``LoggerCommand``: what it publishes, and how packages extend it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any

import pytest

from fedmsg.commands.logger import LoggerCommand
from fedmsg.exceptions import FedmsgError
from fedmsg.testing import Sent

_TOPIC = "org.fedoraproject.dev.logger.log"


@pytest.fixture
def published(
    monkeypatch: pytest.MonkeyPatch,
    config_file: Callable[..., str],
    address: Callable[[], str],
    fedmsg_sent: list[Sent],
) -> Callable[..., list[Any]]:
    """A function that runs the command on some input and returns what it published."""

    def run(text: str, *options: str, cls: type[LoggerCommand] = LoggerCommand) -> list[Any]:
        file = config_file(endpoints={}, relay_inbound=address())
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        monkeypatch.setattr(
            sys, "argv",
            ["fedmsg-logger", f"--config-filename={file}", "--post-init-sleep=0", *options],
        )  # fmt: skip
        cls().execute()
        return [(sent.topic, sent.msg) for sent in fedmsg_sent]

    return run


def test_a_line_is_a_message(published: Callable[..., list[Any]]) -> None:
    """Stripped, under the key log."""
    assert published("a message for you\n") == [(_TOPIC, {"log": "a message for you"})]


def test_message_is_sent_as_given(published: Callable[..., list[Any]]) -> None:
    """--message is not stripped, and standard input not read."""
    assert published("unread", "--message= x ") == [(_TOPIC, {"log": " x "})]


def test_json_is_passed_through(published: Callable[..., list[Any]]) -> None:
    """--json-input takes the whole input as one document."""
    assert published('{"a":\n "b"}', "--json-input") == [(_TOPIC, {"a": "b"})]


def test_bad_json_sends_nothing(published: Callable[..., list[Any]]) -> None:
    """The error says that it is the input."""
    with pytest.raises(FedmsgError, match="the input is not a JSON document"):
        published("{", "--json-input")


def test_subclasses_add_options(published: Callable[..., list[Any]]) -> None:
    """Other packages extend extra_args."""

    class Extended(LoggerCommand):
        """Help of another package."""

        extra_args = [*LoggerCommand.extra_args, (["--more"], {"dest": "more"})]

    assert published("x", "--more=1", cls=Extended) == [(_TOPIC, {"log": "x"})]
