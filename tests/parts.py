"""Parts that tests of publishing and subscribing are put together from."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import Any

import zmq

#: Longest wait for something that should happen at once, seconds.
PATIENCE = 20.0


def settings(**changes: Any) -> dict[str, Any]:
    """Return a configuration with which a context binds nothing and waits for nobody."""
    return {
        "io_threads": 1,
        "active": False,
        "post_init_sleep": 0,
        "high_water_mark": 0,
        "zmq_linger": 1000,
        "timeout": 2,
        "topic_prefix": "org.fedoraproject",
        "environment": "dev",
        "endpoints": {},
        **changes,
    }


def relayed(endpoint: str | list[str], **changes: Any) -> dict[str, Any]:
    """Return the configuration of an application that publishes through a relay."""
    return settings(active=True, relay_inbound=endpoint, **changes)


class Relay:
    """The receiving half of a relay: a SUB socket that is bound."""

    def __init__(self, context: zmq.Context[Any], endpoint: str, subscribed: bool = True) -> None:
        self.endpoint = endpoint
        self.socket: zmq.Socket[bytes] = context.socket(zmq.SUB)
        self.socket.setsockopt(zmq.RCVHWM, 0)
        self.socket.setsockopt(zmq.LINGER, 0)
        if subscribed:
            self.socket.setsockopt(zmq.SUBSCRIBE, b"")
        self.socket.bind(endpoint)

    def receive(self, timeout: float = PATIENCE) -> list[bytes]:
        """Return the frames of the next message; fail if none comes in time."""
        assert self.socket.poll(timeout * 1000), f"no message within {timeout} s"
        return self.socket.recv_multipart()

    def topics(self, count: int, timeout: float = PATIENCE) -> list[str]:
        """Return the last part of the topics of the next ``count`` messages."""
        return [
            self.receive(timeout)[0].decode().rpartition(".")[2] for _ in range(count)
        ]

    def is_idle(self, seconds: float = 0.3) -> bool:
        """Return whether nothing arrives for a while."""
        return not self.socket.poll(seconds * 1000)

    def close(self) -> None:
        """Go away, and give the port back."""
        self.socket.close(linger=0)


def run_script(text: str, *arguments: Any, timeout: float = 40.0) -> str:
    """Run Python source in an interpreter of its own and return what it wrote.

    Warnings are errors there too; it has to end with status 0 and an empty standard error.
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(text), *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False, env=os.environ
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout
