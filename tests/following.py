"""Consumers that recover gaps, as tests talk to them."""

from __future__ import annotations

import json
import time
from typing import Any

from hubs import Recorder


class Following(Recorder):
    """Fetches what it misses of one publisher."""

    replay_name = "me"
    topic = "*"


def deliver(consumer: Any, *messages: dict[str, Any]) -> None:
    """Have messages arrive."""
    for message in messages:
        consumer.hub.deliver(message["topic"], json.dumps(message))


def got(consumer: Any) -> list[int]:
    """Return the numbers of what a consumer got."""
    return [each["body"]["seq_id"] for each in list(consumer.got)]


def end(consumer: Any) -> None:
    """Stop a consumer, and wait for its threads."""
    consumer.stop()
    assert consumer.wait_stopped(time.monotonic() + 20) == 0


def watching(consumer: Any) -> bool:
    """Whether the store has been asked for its last number."""
    return consumer._recovery._watched.looked
