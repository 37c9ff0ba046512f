"""The same consumer classes under the real Moksha hub, and under ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hubs import frames
from parts import Publisher, stored

import fedmsg

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]

SCRIPT = Path(__file__).parent / "scripts" / "consume.py"
ROOT = Path(fedmsg.__file__).resolve().parents[1]
CONFIG = {
    "printing": True, "raw": True, "strict": True, "off": False, "zmq_enabled": True,
    "high_water_mark": 0, "zmq_publish_endpoints": "", "validate_signatures": False,
}  # fmt: skip


@pytest.fixture
def peer_python() -> str:
    """The interpreter that has the real Moksha hub; made by ``make peer``."""
    found = os.path.join(os.environ.get("FEDMSG_PEER", ""), "python")
    if not os.path.isabs(found) or not os.path.exists(found):
        if os.environ.get("CI"):
            pytest.fail("FEDMSG_PEER does not name the commands of fedmsg 1.1.7")
        pytest.skip("moksha.hub is not installed here; see `make peer`")
    return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """A function that runs the script under a hub, and returns the file with its output."""
    started: list[subprocess.Popen[bytes]] = []

    def run(python: str, hub: str, **config: Any) -> Path:
        output = tmp_path / "output"
        with open(output, "wb") as file:
            started.append(
                subprocess.Popen(
                    [python, str(SCRIPT), hub, json.dumps({**CONFIG, **config})],
                    stdout=file, stderr=file, stdin=subprocess.DEVNULL,
                    env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
                )
            )  # fmt: skip
        return output

    yield run
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("hub", ["moksha", "fedmsg"])
@pytest.mark.parametrize("mode", [{}, {"moksha.workers_per_consumer": 3}])
def test_consumers_run_unchanged(
    peer_python: str, start: Callable[..., Path], publisher: Callable[..., Publisher],
    eventually: Callable[..., Any], hub: str, mode: dict[str, Any],
) -> None:  # fmt: skip
    """All messages arrive; failures end nothing; what is not signed is believed by nobody strict.

    The hub of Moksha hands one object to every consumer, whatever each asks of it.
    """
    source = publisher()
    python = peer_python if hub == "moksha" else sys.executable
    output = start(python, hub, zmq_subscribe_endpoints=source.endpoint, **mode)

    def printed() -> list[Any]:
        lines = output.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("[") and line[-1] == "]"]

    def joined() -> bool:
        source.send(frames("org.test.probe", '{"topic": "org.test.probe", "msg": "probe"}'))
        return ["raw", "probe"] in printed() and ["org.test.probe", "probe"] in printed()

    eventually(joined, "a probe", 60)
    bodies = ["fail", *range(100), "end"]
    source.send(
        *(frames("org.test", json.dumps({"topic": "org.test", "msg": body})) for body in bodies)
    )
    eventually(
        lambda: sum(line[1] != "probe" for line in printed()) >= 2 * len(bodies) - 1, "all", 60
    )
    found = printed()
    assert f"fedmsg is {ROOT}" in output.read_text()
    # Moksha delivers a message once for each pattern that matches.
    plain = [body for topic, body in found if topic == "org.test"]
    raw = [body for topic, body in found if topic == "raw" and body != "probe"]
    expected = sorted(map(str, bodies))
    assert sorted(map(str, raw)) == expected
    assert sorted(set(map(str, plain))) == sorted(set(expected) - {"fail"})
    assert ["unsigned", "believed"] not in found


@pytest.mark.parametrize("blocking", [False, True])
def test_gaps_under_moksha(
    peer_python: str, start: Callable[..., Path], publisher: Callable[..., Publisher],
    eventually: Callable[..., Any], sql_store: Callable[..., Any], blocking: bool,
    replay_server: Callable[..., Any], tmp_path: Path,
) -> None:  # fmt: skip
    """What a consumer missed is fetched there, too, and where it got to is written down."""
    store, source = sql_store(), publisher()
    stored(store, 9)
    config = {
        **replay_server(store).config, **CONFIG, "following": True, "replay_idle_check": 0.1,
        "zmq_subscribe_endpoints": source.endpoint, "status_directory": str(tmp_path / "status"),
        "moksha.blocking_mode": blocking, "printing": False, "raw": False, "strict": False,
    }  # fmt: skip
    output = start(peer_python, "moksha", **config)
    source.joined()
    files = tmp_path / "status"
    eventually(lambda: any('"seq_id":9' in each.read_text() for each in files.rglob("*.replay")))
    late = stored(store, 3, first=10)
    source.send(frames(late[2]["topic"], json.dumps(late[2])))
    eventually(lambda: '["seq_id", 12]' in output.read_text())
    assert [line for line in output.read_text().splitlines() if "seq_id" in line] == [
        f'["seq_id", {number}]' for number in (10, 11, 12)
    ]
