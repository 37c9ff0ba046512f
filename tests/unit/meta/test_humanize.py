"""How long ago something was."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from fedmsg.meta._humanize import UNKNOWN, humanize

NOW = 1_600_000_000
MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "just now"), (9, "just now"), (10, "10 seconds"), (59, "59 seconds"), (60, "a minute"),
        (2 * MINUTE, "2 minutes"), (HOUR - 1, "59 minutes"), (HOUR, "an hour"),
        (2 * HOUR, "2 hours"), (DAY - 1, "23 hours"), (DAY, "a day"), (2 * DAY, "2 days"),
        (7 * DAY, "a week"), (14 * DAY, "2 weeks"), (15 * DAY, "a month"), (46 * DAY, "2 months"),
        (200 * DAY, "7 months"), (364 * DAY, "12 months"), (365 * DAY, "a year"),
        (3000 * DAY, "8 years"),
    ],
)  # fmt: skip
def test_words(seconds: int, expected: str) -> None:
    """The largest unit that fits; "just now" in both directions."""
    past = humanize(NOW - seconds, NOW)
    assert past == (expected if seconds < 10 else f"{expected} ago")
    assert humanize(NOW + seconds, NOW) == (expected if seconds < 10 else f"in {expected}")


@pytest.mark.parametrize("timestamp", [float("nan"), float("inf"), 1e300, -1e300, 10**400])
def test_times_that_are_none(timestamp: float) -> None:
    """They do not raise."""
    assert humanize(timestamp, NOW) == UNKNOWN


@pytest.mark.peer
def test_same_words_as_arrow() -> None:
    """Which 1.1.7 used, and which is installed with it."""
    found = os.environ.get("FEDMSG_PEER", "")
    if not found or not os.path.exists(os.path.join(found, "python")):
        if os.environ.get("CI"):
            pytest.fail("FEDMSG_PEER does not name the commands of fedmsg 1.1.7")
        pytest.skip("fedmsg 1.1.7 is not installed here; see `make peer`")
    steps = [0, 9, 10, 44, 45, 59, 60, 89, 90, 119, 120, 3599, 3600, 7199, 7200, 82800, 86399]
    steps += [DAY * days for days in range(1, 400)] + [DAY * days - 1 for days in (15, 365, 730)]
    nows = [NOW, 1582934400, 1612051200, 1643673599]  # two of them at the end of a month
    pairs = [(now + sign * step, now) for now in nows for step in steps for sign in (1, -1)]
    code = (
        "import arrow, json, sys\n"
        "print(json.dumps([arrow.get(a).humanize(arrow.get(b)) for a, b in json.load(sys.stdin)]))"
    )
    done = subprocess.run(
        [str(Path(found) / "python"), "-c", code], input=json.dumps(pairs), text=True,
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    assert [humanize(*pair) for pair in pairs] == json.loads(done.stdout)
