"""Hub, relay and replay server are killed at random moments, and every message is consumed."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chain import Chain

pytest.importorskip("sqlalchemy", reason="pip install '.[sql]'")

SECONDS = int(os.environ.get("FEDMSG_TRIAL_SECONDS", "10"))
#: Beside it there is the time to start, and to catch up.
LENGTH = SECONDS / 8
#: Messages a second.
RATE = 500

pytestmark = [pytest.mark.trial, pytest.mark.timeout(180 + SECONDS)]


class Publishing:
    """A thread that publishes until it is told to end."""

    def __init__(self, context: Any) -> None:
        self._context, self.count = context, 0
        self.error: BaseException | None = None
        self.ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self.ending.wait(1 / RATE):
                self._context.publish(topic="trial", msg={"n": self.count}, modname="trial")
                self.count += 1
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        """End it, and raise what went wrong."""
        self.ending.set()
        self._thread.join()
        if self.error is not None:
            raise self.error


@pytest.fixture
def publishing(make_context: Callable[..., Any]) -> Iterator[Callable[[Chain], Publishing]]:
    """A function that starts to publish on a chain."""
    made: list[Publishing] = []

    def start(chain: Chain) -> Publishing:
        made.append(Publishing(make_context(**chain.publishing())))
        return made[-1]

    yield start
    for each in made:
        each.ending.set()
        each._thread.join()


def test_at_least_once(
    begun: Callable[..., tuple[Chain, Any, int]], publishing: Callable[[Chain], Publishing]
) -> None:
    """For so many seconds one process after another is killed and started again."""
    chain, _, base = begun("hub", **{"moksha.workers_per_consumer": 3})
    publisher, generator, kills = publishing(chain), random.SystemRandom(), 0
    while publisher.error is None and (kills < 3 or publisher.count < RATE * LENGTH):
        publisher.ending.wait(generator.uniform(0.1, 1.0))
        name = generator.choice(["hub", "hub", "relay", "replay-server"])
        chain.kill(name)
        chain.start(name)
        kills += 1
    publisher.end()
    last = base + publisher.count
    consumed = chain.all_until(last)
    assert chain.end("hub") == 0
    repeated = len(consumed) - len(set(consumed))
    print(f"{publisher.count} messages, {kills} kills, {repeated} consumed again")
