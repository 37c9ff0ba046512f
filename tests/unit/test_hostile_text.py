"""Text from strangers, on its way to a terminal or a log."""

from __future__ import annotations

import io
import logging
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from archive import Archive
from hubs import ON, FakeHub

from fedmsg._visible import one_line, without_control
from fedmsg.commands import guarded, rendering
from fedmsg.consumers import FedmsgConsumer, backlog
from fedmsg.consumers.message import BusMessage
from fedmsg.consumers.status import Record, replace_file
from fedmsg.exceptions import FedmsgError
from fedmsg.replay import watch

#: A second line that looks like the daemon's own, an escape, C1, a change of direction.
EVIL = "x\n2026-01-01 root CRITICAL all is lost\x1b[2J\x9b2J\u202e"


def is_harmless(text: str) -> bool:
    """Whether a log has none of that as it is."""
    return not any(each in text for each in ("\n2026", "\x1b", "\x9b", "\u202e"))


@pytest.mark.parametrize("text", ["\udcc2\udc9b31m", "\ud800", "a\udcff"])
def test_halves_of_characters(text: str) -> None:
    """In the locales C and C.UTF-8 Python would write them as bytes that terminals obey."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, "utf-8", errors="surrogateescape")
    rendering.write(stream, without_control(text))
    assert raw.getvalue().isascii()


def test_one_line() -> None:
    """Cut off, and without a line feed."""
    assert one_line("a\nb\t\x1b") == r"a\nb\t\x1b"
    assert one_line(b"\n") == r"b'\n'"
    assert len(one_line("x" * 10_000_000)) == 500


class Failing(FedmsgConsumer):
    """Fails on every message."""

    config_key = "recorder"

    def consume(self, message: Any) -> None:
        """Fail."""
        raise KeyError("k")


class FailingRaw(Failing):
    """Gets messages as they are."""

    jsonify = False


@pytest.mark.parametrize("cls", [Failing, FailingRaw])
def test_message_that_a_consumer_fails_on(cls: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Neither its topic nor its id begins a line of the log."""
    hub = FakeHub(**{**ON, "moksha.blocking_mode": True})
    body = {"topic": EVIL, "msg_id": EVIL, "msg": {}}
    consumer = cls(hub)
    raw = BusMessage(EVIL, backlog.encoding.dumps(body).replace("\\u202e", "\u202e"))
    (consumer._consume_json if consumer.jsonify else consumer._consume)(raw)
    assert "failed on" in caplog.text
    assert is_harmless(caplog.text)
    assert is_harmless(repr(raw))


def test_topic_that_cannot_be_sent(caplog: pytest.LogCaptureFixture) -> None:
    """A consumer that answers on the topic of a message."""

    class Hub(FakeHub):
        def send_message(self, topic: str, message: Any) -> None:
            raise ValueError(topic)

    hub = Hub(**{**ON, "moksha.blocking_mode": True})
    Failing(hub).send_message(EVIL, {})
    assert "Cannot send message" in caplog.text
    assert is_harmless(caplog.text)


@pytest.mark.parametrize("done", [True, False])
def test_last_message_of_a_status_file(done: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Its id comes from a message."""
    caplog.set_level(logging.INFO)

    class Consumer:
        log, hub, topic, skip_last_message = logging.getLogger("x"), FakeHub(), "", True

    given = {"topic": "t", "msg_id": EVIL}
    found = backlog.Backlog(Consumer(), backlog.Seen(), 0.0)
    assert not found._is_wanted(given, Record(EVIL, 1.0, done))
    assert "backlog:" in caplog.text
    assert is_harmless(caplog.text)


def test_status_line_of_an_archive(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a server calls its failure is in the log and the error, but no escape."""
    requests = pytest.importorskip("requests")
    monkeypatch.setattr(backlog, "FIRST_PAUSE", 0.0)
    archive = Archive()
    try:
        archive.reason = "bad\x1b[2J"
        archive.failures = [500] * 5
        with requests.Session() as session, pytest.raises(backlog.BacklogError) as caught:
            backlog._page(session, archive.url, [], threading.Event(), logging.getLogger("x"))
    finally:
        archive.close()
    assert r"bad\x1b[2J" in caplog.text
    assert is_harmless(caplog.text)
    assert is_harmless(str(caught.getrepr(chain=True)).replace("\n", " "))


def test_long_answer_of_a_replay_service(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal of any size is cut off in the log."""

    def refuse(*_arguments: Any, **_keywords: Any) -> Any:
        raise ValueError(b"\x1b" * 5_000_000)

    monkeypatch.setattr(watch, "missing", refuse)
    monkeypatch.setattr(watch, "newest", lambda *_arguments: 1)
    followed = watch.Watched("me", {}, last=1)
    assert list(followed.arrived({"seq_id": 9})) == [{"seq_id": 9}]
    followed._late_again = 0.0
    assert list(followed.late()) == []
    assert caplog.text.count("are asked for again") == caplog.text.count("still missing") == 1
    assert len(caplog.text) < 5000


def test_error_of_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    """What a server or a broker says reaches the terminal without escapes."""

    def fail() -> None:
        raise FedmsgError(f"it says {EVIL}")

    assert guarded(fail) == 1
    assert is_harmless(capsys.readouterr().err.replace("\n", " "))


def test_no_link_is_followed(tmp_path: Path) -> None:
    """A link under the name of the temporary file is replaced, and what it points to left alone."""
    precious, path = tmp_path / "precious", tmp_path / "status"
    precious.write_text("as it was")
    Path(f"{path}.{os.getpid()}.tmp").symlink_to(precious)
    replace_file(str(path), "new")
    assert (precious.read_text(), path.read_text()) == ("as it was", "new")
    assert not path.is_symlink()
