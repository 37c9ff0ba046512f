"""The number up to which everything is done, in memory and in its file."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path

import pytest

from fedmsg.consumers.position import Position


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the position is kept."""
    return tmp_path / "status" / "hub" / "Noting.replay"


def test_any_order(file: Path) -> None:
    """What is done above a message that is not does not count, whoever finishes first."""
    position = Position(str(file), "me")
    receipts = {number: position.begin(number, number) for number in range(11, 111)}
    finished: set[int] = set()
    order = list(receipts)
    random.shuffle(order)
    for number in order:
        receipts[number].done(random.random() < 0.5)
        finished.add(number)
        expected = min(set(receipts) - finished, default=111) - 1
        assert position.value == expected
    position.save(wait=True)
    assert Position(str(file), "me").read() == 110


def test_late_message(file: Path) -> None:
    """One that is fetched late holds the number back until it is done."""
    position = Position(str(file), "me")
    position.passed(4)  # five could not be fetched
    position.begin(6, 4).done(True)
    assert position.value == 4
    receipt = position.begin(5, 6)
    assert position.value == 4
    receipt.done(True)
    assert position.value == 6


def test_written_at_once_then_at_intervals(file: Path) -> None:
    """A worker writes the file, and not for every message."""
    position = Position(str(file), "me")
    for number in range(1, 500):
        position.begin(number, number).done(True)
    assert json.loads(file.read_text()) == {"name": "me", "seq_id": 1}
    position._due = 0
    position.begin(500, 500).done(True)
    assert Position(str(file), "me").read() == 500
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_without_a_file() -> None:
    """It counts, and keeps nothing."""
    position = Position(None, "me")
    position.begin(7, 7).done(True)
    position.save(wait=True)
    assert (position.value, position.read()) == (7, None)


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[]", '{"seq_id": 5}', '{"name": "you", "seq_id": 5}',
     '{"name": "me", "seq_id": -5}', '{"name": "me", "seq_id": true}', "[" * 100_000, "\udc80"],
)  # fmt: skip
def test_unusable_file(file: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is as if there was none; the log says what can be written there."""
    position = Position(str(file), "me")
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with caplog.at_level(logging.ERROR):
        assert position.read() is None
    assert f"{file} is not usable" in caplog.text
    assert '{"name": "me", "seq_id": N}' in caplog.text


def test_full_disk(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be written is logged once; the next attempt is the next one."""
    position = Position(str(file), "me")
    position.passed(5)
    file.mkdir()
    for _ in range(3):
        position.save()
    assert len(caplog.records) == 1
    assert "the next start fetches again" in caplog.text
    file.rmdir()
    position.save()
    assert position.read() == 5
