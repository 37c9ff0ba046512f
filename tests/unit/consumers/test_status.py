"""Status files (consumers.md 6, CD-10, CD-11)."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hubs import ON, FakeHub, Recorder, numbered, raising

from fedmsg.consumers import current_proc
from fedmsg.consumers.status import LARGEST, Record, Seen, StatusFile, parse
from fedmsg.exceptions import MissingDependency

Run = Callable[..., Any]
Wait = Callable[..., Any]
BLOCKING = {"moksha.blocking_mode": True}
URL = "http://127.0.0.1:1/raw"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the recorder keeps its status below the directory of the test."""
    return tmp_path / "status" / current_proc() / "Recorder"


@pytest.fixture
def with_status(run: Run, tmp_path: Path) -> Run:
    """A function that makes a consumer with a status file."""
    settings = {"status_directory": str(tmp_path / "status"), "datagrepper_url": URL}
    return lambda cls=Recorder, **config: run(cls, **{**settings, **config})


def deliver(consumer: Any, number: int = 1) -> None:
    """Hand one message to a blocking consumer."""
    consumer.hub.deliver("org.test", numbered(number + 1)[number][1].decode())


def test_before_and_after(with_status: Run, path: Path) -> None:
    """One line, sorted, compact; "pre" while a message is consumed, then "post"."""
    consumer = with_status(**BLOCKING)
    assert (consumer.status_filename, path.exists()) == (str(path), False)
    seen = []
    consumer.act = lambda message: seen.append(path.read_text())
    deliver(consumer)
    text = (
        '{"message":{"body":{"msg":{"n":1},"topic":"org.test"},"topic":"org.test"},"status":"%s"}'
    )
    assert (seen, path.read_text()) == ([text.replace("%s", "pre")], text.replace("%s", "post"))
    assert os.listdir(path.parent) == ["Recorder"]


def test_after_a_failure(with_status: Run, path: Path) -> None:
    """It has been tried: "post"."""
    consumer = with_status(**BLOCKING)
    consumer.act = raising(ValueError("no"))
    deliver(consumer)
    assert json.loads(path.read_text())["status"] == "post"


def test_raw_message(with_status: Run, path: Path) -> None:
    """Its body is text there, and is read all the same."""
    cls = type("Recorder", (Recorder,), {"jsonify": False})
    consumer = with_status(cls, **BLOCKING)
    body = '{"topic": "org.test", "msg_id": "x", "timestamp": 5}'
    consumer.hub.deliver("org.test", body)
    text = path.read_text()
    assert json.loads(text)["message"]["body"] == body
    assert parse(text, 9.0) == Record("x", 5, True)


@pytest.mark.parametrize("missing", ["status_directory", "datagrepper_url"])
def test_without_both_nothing_is_written(with_status: Run, tmp_path: Path, missing: str) -> None:
    """The directory is made as soon as there is a name for it."""
    consumer = with_status(**BLOCKING, **{missing: None})
    deliver(consumer)
    files = [each for each in (tmp_path / "status").rglob("*") if each.is_file()]
    assert (consumer.status_lock, files) == (None, [])
    assert (consumer.status_filename is None) is (missing == "status_directory")


def test_lock_is_held(with_status: Run) -> None:
    """While the file is written."""
    consumer = with_status(**BLOCKING)
    held = []
    with mock.patch("os.replace", lambda *_: held.append(consumer.status_lock.locked())):
        deliver(consumer)
    assert held == [True, True]


def test_overriding_the_hooks_switches_it_off(with_status: Run, path: Path) -> None:
    """Unless they call the parent."""
    nothing = {name: lambda self, message: None for name in ("pre_consume", "post_consume")}
    deliver(with_status(type("Recorder", (Recorder,), nothing), **BLOCKING))
    assert not path.exists()


def test_what_cannot_be_written(
    with_status: Run, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The last one that could be stays; messages are consumed; it is logged once."""
    consumer = with_status(**BLOCKING)
    deliver(consumer)
    before = path.read_text()
    for _ in range(3):
        consumer._do_work({"topic": "t", "body": {"topic": "t", "msg": object()}})
    assert (path.read_text(), len(consumer.got)) == (before, 4)
    assert caplog.text.count("cannot write the status file") == 1
    assert os.listdir(path.parent) == ["Recorder"]


def test_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """An error at the start."""
    (tmp_path / "file").touch()
    config = {**ON, "status_directory": str(tmp_path / "file"), "datagrepper_url": URL}
    with pytest.raises(OSError, match="file"):
        Recorder(FakeHub(**config))


def test_without_requests(with_status: Run) -> None:
    """An error at the start that names the extra."""
    with (
        mock.patch("importlib.util.find_spec", return_value=None),
        pytest.raises(MissingDependency, match=r"pip install '\.\[datagrepper\]'"),
    ):
        with_status()


def test_oldest_of_several_workers(with_status: Run, path: Path, eventually: Wait) -> None:
    """A crash must not skip what one of them has in its hands."""
    consumer = with_status(**{"moksha.workers_per_consumer": 2})
    first, second = threading.Event(), threading.Event()
    gates = {0: first, 1: second}
    consumer.act = lambda message: gates[message["body"]["msg"]["n"]].wait(20)

    def status() -> tuple[int, str]:
        found = json.loads(path.read_text())
        return found["message"]["body"]["msg"]["n"], found["status"]

    consumer.take(numbered(1))
    eventually(lambda: consumer.got)
    consumer.take(numbered(2)[1:])
    eventually(lambda: len(consumer.got) == 2)
    assert status() == (0, "pre")
    second.set()
    eventually(lambda: len(consumer._times) == 1)
    assert status() == (0, "pre")
    first.set()
    eventually(lambda: status() == (0, "post"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"message":{"body":{"msg_id":"a","timestamp":5},"topic":"t"},"status":"pre"}',
         Record("a", 5, False)),
        ('{"message":{"body":{"timestamp":5.5}},"status":"post"}', Record(None, 5.5, True)),
        ('{"message":{"body":{"msg_id":["a"],"timestamp":true}}}', Record(None, 9.0, True)),
        ('{"message":{"body":{"timestamp":1e300}}}', Record(None, 9.0, True)),
        ('{"message":{"body":"text"}}', Record(None, 9.0, True)),
        ('{"message":5}', Record(None, 9.0, True)), ("[]", Record(None, 9.0, True)),
    ],
)  # fmt: skip
def test_parsing(text: str, found: Record) -> None:
    """What is missing or of another kind is replaced by the time of the file."""
    assert parse(text, 9.0) == found


def test_ids_are_bounded() -> None:
    """The newest 10,000 of the live ones."""
    seen = Seen()
    for number in range(10_500):
        assert seen.take(str(number))
    assert (seen.offer("499"), seen.offer("500"), seen.offer("10499")) == (True, False, False)


def test_disk_full(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Logged; the old status stays, and no temporary file does."""
    status = StatusFile(str(tmp_path / "s" / "C"))
    message = {"n": 1}
    status.begin(message)
    with mock.patch("os.replace", side_effect=OSError(28, "No space left on device")):
        status.end(message)
    assert "No space left" in caplog.text
    assert os.listdir(tmp_path / "s") == ["C"]
    assert status.read()[0] == '{"message":{"n":1},"status":"pre"}'


def test_fast_path(run: Run) -> None:
    """Without a directory nothing is kept, asked or looked up."""
    consumer = run(**BLOCKING)
    with mock.patch("fedmsg.consumers.id_of", side_effect=AssertionError):
        deliver(consumer)
    assert (consumer._status, consumer._seen, len(consumer.got)) == (None, None, 1)


def test_huge_file(tmp_path: Path) -> None:
    """It is not read whole: it is none of ours."""
    status = StatusFile(str(tmp_path / "status"))
    with open(status.path, "wb") as file:
        file.truncate(10 * LARGEST)
    text, _ = status.read()
    assert len(text) == LARGEST
    with pytest.raises(ValueError):
        parse(text, 1.0)
