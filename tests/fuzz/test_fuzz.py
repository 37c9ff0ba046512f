"""Every parser of foreign bytes, for a while; ``make fuzz`` does it long."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

import fedmsg.meta

pytest.importorskip("cryptography")
pytest.importorskip("stomp")
pytest.importorskip("click")
pytest.importorskip("sqlalchemy")

from fuzz import mutation, running, targets

SECONDS = float(os.environ.get("FEDMSG_TRIAL_SECONDS", "10")) / 20
SEED = int(os.environ.get("FEDMSG_FUZZ_SEED", "1"))


@pytest.mark.trial
@pytest.mark.timeout(300)
@pytest.mark.parametrize("make", targets.TARGETS, ids=lambda make: make.__name__)
def test_hostile_input(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but what callers expect is raised, and some of the input is read to its end."""
    monkeypatch.setattr(fedmsg.meta, "processors", fedmsg.meta.ProcessorsNotInitialized())
    outcome = running.fuzz(make, tmp_path, SEED, executions=300, seconds=SECONDS)
    assert outcome.executions >= 300
    assert 0 < outcome.accepted < outcome.executions, "the inputs are all good, or all bad"


def test_a_crash_shows_its_input(tmp_path: Path) -> None:
    """What a parser raises comes with the bytes that made it do so."""

    def broken(folder: Path) -> Any:
        return targets.frames(folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(targets.envelope, "_parse", lambda text: {}[text])
        with pytest.raises(running.Crash, match=r"broken, input \d+ of seed 3: b'"):
            running.fuzz(broken, tmp_path, 3, executions=100)


def test_inputs_follow_from_the_seed() -> None:
    """The same seed makes the same inputs; half of them are well-formed."""
    corpus = [mutation.json_bytes({"topic": "a", "msg": {"b": 1}})]

    def make(seed: int) -> list[bytes]:
        well_formed = targets._altering({"topic": "a", "msg": {"b": 1}})
        following = mutation.inputs(seed, corpus, well_formed)
        return [following() for _ in range(200)]

    assert make(5) == make(5) != make(6)
    readable = [data for data in make(5) if _is_json(data)]
    assert 100 <= len(readable) < 200
    assert len(set(make(5))) > 150
    assert random.Random(5).random() != random.Random(6).random()


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True
