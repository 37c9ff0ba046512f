"""What a bridge remembers."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedmsg.bridge.memory import Positions, Seen
from fedmsg.exceptions import ConfigurationError


def test_the_oldest_id_is_forgotten() -> None:
    """An id that is heard again is young again."""
    seen = Seen(2)
    for msg_id in ("a", "b", "a", "c"):
        seen.add(msg_id)
    assert ["a" in seen, "b" in seen, "c" in seen] == [True, False, True]


def test_positions_outlive_the_process(tmp_path: Path) -> None:
    """What was saved is there for the next, and names that it does not mention stay."""
    path = str(tmp_path / "position")
    first = Positions(path)
    assert first.get("app") is None
    first.save({"app": 7, "other": 1})
    first.save({"app": 8})
    first.close()
    second = Positions(path)
    assert (second.get("app"), second.get("other")) == (8, 1)
    second.close()
    assert sorted(each.name for each in tmp_path.glob("position*")) == ["position", "position.lock"]


def test_one_bridge_for_one_file(tmp_path: Path) -> None:
    """A second bridge is told that the file is in use."""
    path = str(tmp_path / "position")
    first = Positions(path)
    with pytest.raises(ConfigurationError, match="another bridge uses the position file"):
        Positions(path)
    first.close()
    Positions(path).close()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"app": -1}', '{"app": "1"}', '{"app": true}'])
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    """It is not taken for an empty one, which would pass over what is missing."""
    path = tmp_path / "position"
    path.write_text(text)
    for _ in range(2):  # the lock is given back
        with pytest.raises(ConfigurationError, match="is damaged"):
            Positions(str(path))


def test_no_file() -> None:
    """Without a path, positions are kept in memory only."""
    positions = Positions("")
    positions.save({"app": 1})
    assert positions.get("app") == 1
    positions.close()
