"""A bus and a broker with bridges between them: real processes, each killed when told to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from parts import settings


def seconds() -> int:
    """Return how long a trial may last."""
    return int(os.environ.get("FEDMSG_TRIAL_SECONDS", "10"))


class Process:
    """A command of this installation that is started again, as systemd would, until it is ended.

    Args:
        folder: for its configuration and output.
        arguments: the command line.
        config: its configuration.
    """

    def __init__(self, folder: Path, arguments: list[str], config: dict[str, Any]) -> None:
        name = f"{arguments[0]}-{id(self)}"
        self.path, self._log = folder / f"{name}.py", folder / f"{name}.log"
        self.out = folder / f"{name}.out"
        self.path.write_text(f"config = {config!r}\n")
        program = os.path.join(os.path.dirname(sys.executable), arguments[0])
        self._command = [program, *arguments[1:], f"--config-filename={self.path}"]
        self._ending = False
        self._lock = threading.Lock()
        self.starts = 0
        self._process = self._start()
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    def _start(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        with open(self._log, "ab") as log, open(self.out, "wb") as out:
            return subprocess.Popen(
                self._command,
                stdout=out,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.path.parent,
            )

    def keep(self) -> None:
        """From now on start it again whenever it ends."""
        self._keeper.start()

    def _keep(self) -> None:
        while True:
            self._process.wait()
            with self._lock:
                if self._ending:
                    return
                self._process = self._start()

    def kill(self) -> None:
        """SIGKILL."""
        with self._lock:
            self._process.kill()

    def wait(self, timeout: float) -> int:
        """Return the exit status."""
        return self._process.wait(timeout)

    def stop(self, timeout: float = 20.0) -> int:
        """SIGTERM; return the exit status."""
        with self._lock:
            self._ending = True
            self._process.terminate()
        return self._process.wait(timeout)

    def log(self) -> str:
        """Return everything that it has said."""
        return self._log.read_text() + self.out.read_text()

    def close(self) -> None:
        """End it, whatever it does; idempotent."""
        with self._lock:
            self._ending = True
            if self._process.poll() is None:
                self._process.kill()
        self._process.wait()
        if self._keeper.is_alive():
            self._keeper.join(20)


def logging_to_stderr() -> dict[str, Any]:
    """Return the option ``logging`` for what runs in a test."""
    return {
        "version": 1,
        "formatters": {"bare": {"format": "%(asctime)s %(name)s %(levelname)s %(message)s"}},
        "handlers": {
            "console": {
                "class": "logging.StreamHandler", "formatter": "bare", "level": "INFO",
                "stream": "ext://sys.stderr",
            }
        },
        "loggers": {"fedmsg": {"level": "INFO", "propagate": False, "handlers": ["console"]}},
    }  # fmt: skip


class Town:
    """Addresses, a broker, and what is started around it.

    Args:
        folder: of the test.
        broker: a RabbitMQ with ``port`` and ``amqp_port``.
        kind: ``amqp`` or ``stomp``.
        address: returns a free address.
    """

    def __init__(self, folder: Path, broker: Any, kind: str, address: Callable[[], str]) -> None:
        self.folder, self.broker, self.kind = folder, broker, kind
        self.publisher, self.bridges = address(), [address(), address()]
        self.replay = {"app": address(), "bridge": address()}
        self.started: list[Process] = []

    def config(self, **changes: Any) -> dict[str, Any]:
        """Return a configuration for this bus and broker."""
        endpoints = {"app": [self.publisher], "bridge": self.bridges}
        defaults = {"logging": logging_to_stderr(), "validate_signatures": False}
        found = settings(**{"endpoints": endpoints, **defaults, **changes})
        if self.kind == "amqp":
            url = f"amqp://guest:guest@127.0.0.1:{self.broker.amqp_port}/%2F"
            return {"bridge_amqp_url": url, **found}
        return {"stomp_uri": f"127.0.0.1:{self.broker.port}", **found}

    def start(self, *arguments: str, **changes: Any) -> Process:
        """Start a command."""
        self.started.append(Process(self.folder, list(arguments), self.config(**changes)))
        return self.started[-1]

    def queue(self, name: str = "bridge.verify") -> str:
        """Make a durable queue for everything, and return what subscribers call it."""
        self.declare(name)
        return name if self.kind == "amqp" else f"/amq/queue/{name}"

    def declare(self, name: str) -> str:
        """Make a durable queue for all topics."""
        with self.connection() as connection:
            channel = connection.channel()
            channel.queue_declare(name, durable=True)
            channel.queue_purge(name)
            channel.queue_bind(name, "amq.topic", "#")
        return name

    def connection(self) -> Any:
        """Return a pika connection, for ``with``."""
        import pika

        parameters = pika.ConnectionParameters("127.0.0.1", self.broker.amqp_port)
        return pika.BlockingConnection(parameters)

    def close(self) -> None:
        """End everything that was started."""
        for each in reversed(self.started):
            each.close()


def report_of(process: Process) -> dict[str, Any]:
    """Return what ``fedmsg-verify --json`` has printed."""
    found: dict[str, Any] = json.loads(process.out.read_text())
    return found


def message(number: int, topic: str = "org.fedoraproject.dev.t.x", **more: Any) -> dict[str, Any]:
    """Return a message as it is on the bus."""
    return {
        "topic": topic, "msg": {"n": number}, "msg_id": f"2026-{number:08d}", "i": number,
        "timestamp": 1700000000 + number, "username": "u", **more,
    }  # fmt: skip


def bodies(numbers: Iterable[int]) -> list[bytes]:
    """Return encoded messages."""
    return [json.dumps(message(number), sort_keys=True).encode() for number in numbers]


def joined(app: Any, subscribers: int) -> None:
    """Wait until so many subscriptions are in."""
    for _ in range(subscribers):
        assert app.poll(20_000), "nobody subscribes"
        assert app.recv()[:1] == b"\x01"


def outside(town: Town, channel: Any, number: int) -> None:
    """Publish a message at the broker as somebody there does."""
    import pika

    sent = message(number)
    whole, headers = json.dumps(sent).encode(), {"topic": sent["topic"]}
    if town.kind == "amqp":
        whole, headers = json.dumps(sent["msg"]).encode(), {}
    properties = pika.BasicProperties(message_id=sent["msg_id"], headers=headers, delivery_mode=2)
    channel.basic_publish("amq.topic", sent["topic"], whole, properties)
