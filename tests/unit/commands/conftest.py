"""What tests of commands share."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import fedmsg
from fedmsg.commands import tail

Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, config_file: Callable[..., str]) -> Run:
    """A function that runs the command on given messages and returns its output."""

    def call(messages: list[Any], *options: str, **config: Any) -> str:
        def arriving(self: Any, **_kw: Any) -> Iterator[tuple[str, str, str, Any]]:
            for message in messages:
                yield "name", "endpoint", str(message.get("topic", "t")), message

        output = io.StringIO()
        monkeypatch.setattr(sys, "stdout", output)
        monkeypatch.setattr(fedmsg.FedMsgContext, "tail_messages", arriving)
        file = config_file(endpoints={}, **config)
        monkeypatch.setattr(
            sys, "argv", ["fedmsg-tail", f"--config-filename={file}", "--post-init-sleep=0",
                          *options],
        )  # fmt: skip
        tail.TailCommand().execute()
        return output.getvalue()

    return call
