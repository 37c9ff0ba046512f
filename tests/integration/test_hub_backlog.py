"""A hub that is killed and started again gets what it missed, from an archive."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from archive import Archive, archived, live
from parts import Publisher

MODULE = """
from fedmsg.consumers import FedmsgConsumer

class Noting(FedmsgConsumer):
    config_key = "noting"
    topic = "org.test.dev.mod.*"
    validate_signatures = False

    def consume(self, message):
        print("got", message["body"]["msg"]["n"], flush=True)
"""


@pytest.fixture
def archive() -> Iterator[Archive]:
    """A datagrepper."""
    made = Archive()
    yield made
    made.close()


@pytest.fixture
def start(
    command: Callable[..., Any], config_file: Callable[..., str], archive: Archive, tmp_path: Path
) -> Callable[..., Any]:
    """A function that starts a hub with a status directory."""
    Path("noting.py").write_text(MODULE)

    def run(source: Publisher, *options: str) -> Any:
        path = config_file(
            endpoints={"test": [source.endpoint]}, noting=True, datagrepper_url=archive.url,
            status_directory=str(tmp_path / "status"), backlog_max_age=int(time.time()),
        )  # fmt: skip
        names = "--with-consumers=noting:Noting"
        return command("fedmsg-hub", f"--config-filename={path}", names, *options)

    return run


def got(running: Any) -> list[int]:
    """Return the numbers that a hub has printed."""
    return [int(line[4:]) for line in running.stdout.splitlines() if line.startswith("got ")]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_missed(
    start: Callable[..., Any], archive: Archive, publisher: Callable[..., Publisher],
    eventually: Callable[..., Any], number: int,
) -> None:  # fmt: skip
    """Neither what was in its hands, nor what was sent while it was down; in order."""
    source = publisher()
    first = start(source)
    source.joined()
    archive.messages = [archived(n) for n in range(400)]
    source.send(*(live(n) for n in range(200)))
    eventually(lambda: len(got(first)) > 20)
    first.stop(number)
    seen = got(first)
    assert source.socket.poll(20_000)  # it is gone
    source.joined()
    second = start(source)
    source.joined()
    archive.messages.append(archived(400))
    source.send(live(400))
    eventually(lambda: 400 in got(second) and 399 in got(second))
    again = got(second)
    assert seen == list(range(len(seen)))
    assert sorted({*seen, *again}) == list(range(401))
    assert len(again) == len(set(again))
    assert min(again) >= len(seen) - 1
    assert second.stop() == 0


def test_no_backlog(
    start: Callable[..., Any], archive: Archive, publisher: Callable[..., Publisher],
    eventually: Callable[..., Any],
) -> None:  # fmt: skip
    """``--no-backlog``: only what comes."""
    source = publisher()
    first = start(source)
    source.joined()
    source.send(live(1))
    eventually(lambda: got(first) == [1])
    first.stop()
    source.joined()
    archive.messages = [archived(2)]
    second = start(source, "--no-backlog")
    source.joined()
    source.send(live(3))
    eventually(lambda: got(second) == [3])
    assert (second.stop(), archive.queries) == (0, [])
