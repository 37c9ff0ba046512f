"""5,000 messages a second; two browsers, one of which stalls."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import Browser, Tab
from parts import Publisher

SECONDS = float(os.environ.get("FEDMSG_TRIAL_SECONDS", "10"))
pytestmark = [pytest.mark.browser, pytest.mark.trial, pytest.mark.timeout(180 + SECONDS)]

RATE = 5000
MIB = 1 << 20
RECEIVED = "Number(document.querySelector('#loss-rows .n').textContent.replaceAll(',', ''))"
SHOWN = "document.querySelectorAll('#messages li').length"


class Feed:
    """Publishes 5,000 messages a second on a hundred topics, in a thread."""

    def __init__(self, source: Publisher) -> None:
        self.sent = 0
        self._source, self._stopping = source, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        frames = []
        for number in range(1000):
            topic = f"org.fedoraproject.dev.service{number % 10}.topic{number % 100}"
            body = {"topic": topic, "msg": {"n": number, "text": "y" * 500}, "username": "u"}
            frames.append([topic.encode(), json.dumps(body).encode()])
        began = time.monotonic()
        while not self._stopping.wait(0.01):
            due = int((time.monotonic() - began) * RATE) - self.sent
            # What this thread has no time for is left out: the rate is never higher.
            for _ in range(min(due, RATE // 10)):
                self._source.send(frames[self.sent % 1000])
                self.sent += 1

    def stop(self) -> None:
        """End, before the socket is closed."""
        self._stopping.set()
        self._thread.join(20)


@pytest.fixture
def flood(
    command: Callable[..., Any],
    config_file: Callable[..., str],
    publisher: Callable[..., Publisher],
) -> Iterator[tuple[Any, str]]:
    """The command under load: its process, and the address of its page.  The hour is a minute."""
    source = publisher()
    path = config_file(
        endpoints={"me": [source.endpoint]}, web_chart_seconds=60, web_kept=500,
        validate_signatures=False,
    )  # fmt: skip
    started = command("fedmsg-web", f"--config-filename={path}", "--port=0")
    started.says("serving the page on http://")
    source.joined()
    feed = Feed(source)
    yield started, started.stdout.partition("page on ")[2].split()[0]
    feed.stop()
    assert started.stop() == 0
    assert "Traceback" not in started.stdout + started.stderr


def resident(process: Any) -> int:
    """Return the memory of a process, bytes."""
    pages = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def is_alive(tab: Tab) -> None:
    """See a key do something: the page is not frozen."""
    for state in ("paused", "live"):
        tab.press("p")
        tab.until(f"document.getElementById('status').dataset.state === '{state}'")


def measured(process: Any, browser: Browser, seen: Tab) -> dict[str, int]:
    """Return what server and browser use: bytes, and nodes of documents."""
    heap, nodes = seen.memory()
    sizes = {"server": resident(process), "browser": browser.resident()}
    return {**sizes, "heap": heap, "nodes": nodes}


def test_flat_at_5000_a_second(
    flood: tuple[Any, str], tab: Callable[..., Tab], shared_browser: Browser
) -> None:
    """A sample is shown and said to be one; memory of server and browser does not grow."""
    started, url = flood
    seen = tab(url)
    seen.until(f"{SHOWN} === 300")
    assert "messages a second are left out" in seen.until(
        "document.getElementById('notice').textContent"
    )
    # A first part of the trial fills what is bounded.
    seen.until(f"{RECEIVED} > 10000", 60)
    before, count = measured(started.process, shared_browser, seen), seen.run(RECEIVED)
    began, slowest = time.monotonic(), 0.0
    while (now := time.monotonic()) - began < SECONDS * 0.8:
        is_alive(seen)
        slowest = max(slowest, time.monotonic() - now)
    rate = (seen.run(RECEIVED) - count) / (time.monotonic() - began)
    after = measured(started.process, shared_browser, seen)
    print(f"{rate:.0f} a second; two keys within {slowest:.2f} s; {before} -> {after}")
    assert rate > 0
    assert seen.run(SHOWN) == 300
    grown = {name: after[name] - size for name, size in before.items()}
    assert grown["server"] < 30 * MIB
    assert grown["heap"] < 10 * MIB
    assert grown["browser"] < 100 * MIB
    assert grown["nodes"] < 5000


def test_one_browser_stalls(
    flood: tuple[Any, str], tab: Callable[..., Tab], chromium: Callable[[], Browser]
) -> None:
    """The other goes on; the one that comes back goes on, too."""
    started, url = flood
    stalling = chromium()
    stalled, seen = stalling.tab(url), tab(url)
    for each in (stalled, seen):
        each.until(f"{SHOWN} === 300")
    stalling.stall()
    size = resident(started.process)
    top = "document.querySelector('#messages li').message.serial"
    began, latest = time.monotonic(), seen.run(top)
    while time.monotonic() - began < SECONDS / 5:
        # Every second brings what was published in it.
        latest = seen.until(f"{top} > {latest} && {top}")
    is_alive(seen)
    assert resident(started.process) - size < 30 * MIB
    stalling.resume()
    stalled.until(f"{top} > {latest}")
