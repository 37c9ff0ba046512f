"""A consumer and a publisher that write down what they did; for processes that may be killed.

A line is written with one system call at the end of a file, so that SIGKILL leaves whole lines.
"""

from __future__ import annotations

import json
import logging
import os
import select
import sys
import time
from typing import Any

import fedmsg
from fedmsg.consumers import FedmsgConsumer
from fedmsg.exceptions import StoreError

#: Messages that a publisher sends at once; the pace is kept between them.
_BURST = 5


def _opened(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


class Recording(FedmsgConsumer):
    """Writes down the ``msg_id`` of everything that it consumes."""

    config_key = "recording"
    validate_signatures = False
    topic = ""

    def __init__(self, hub: Any) -> None:
        if "replay_endpoints" in hub.config:
            (self.replay_name,) = hub.config["replay_endpoints"]
        self._file = _opened(hub.config["recording"])
        super().__init__(hub)

    def consume(self, message: Any) -> None:
        """Write one line."""
        os.write(self._file, f"{message['body']['msg_id']}\n".encode())


def publish(config: dict[str, Any], path: str, rate: float) -> None:
    """Publish until standard input ends; write down what ``publish`` accepted.

    At the end one JSON line on standard output says what was not delivered.

    Args:
        config: of the context, with ``modname``.
        path: where to write the ``msg_id`` of each message.
        rate: messages a second; what was held up is caught up with.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    modname = config.pop("modname", "trial")
    file, refused, due = _opened(path), 0, time.monotonic()
    context = fedmsg.FedMsgContext(**config)
    while not select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
        for _ in range(_BURST):
            ids: list[str] = []
            try:
                context.publish(
                    topic="trial", msg={}, modname=modname,
                    pre_fire_hook=lambda message, ids=ids: ids.append(message["msg_id"]),
                )  # fmt: skip
            except StoreError:
                refused += 1
                continue
            os.write(file, f"{ids[0]}\n".encode())
        due += _BURST / rate
    remain = context.flush(60)
    context.destroy()
    print(json.dumps({"remain": remain, "undelivered": context.undelivered,
                      "overflows": context.overflows, "refused": refused}))  # fmt: skip


if __name__ == "__main__":
    publish(json.loads(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
