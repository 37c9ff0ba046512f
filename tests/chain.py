"""A bus with a store behind its relay, all of it processes: relay, replay server, tail or hub."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parts import relayed, settings, stored

#: Numbers what it consumes in a file, which outlives the process whatever ends it.
MODULE = """
import os
from fedmsg.consumers import FedmsgConsumer

class Noting(FedmsgConsumer):
    config_key = "noting"
    topic = "*"
    validate_signatures = False
    replay_name = "relay_outbound"

    def __init__(self, hub):
        self.file = os.open(hub.config["notes"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        super().__init__(hub)

    def consume(self, message):
        os.write(self.file, b"%d\\n" % message["body"]["seq_id"])
"""
LOGGING = {"version": 1, "disable_existing_loggers": False, "root": {"level": "INFO",
           "handlers": ["e"]}, "handlers": {"e": {"class": "logging.StreamHandler"}}}  # fmt: skip


class Chain:
    """The processes, each under the name of its command without ``fedmsg-``.

    Args:
        command, config_file, address, eventually: the fixtures.
        folder: for the store and everything else.
        store: an open one.
        changes: of the configuration.
    """

    def __init__(
        self, command: Any, config_file: Any, address: Callable[[], str], eventually: Any,
        folder: Path, store: Any, **changes: Any,
    ) -> None:  # fmt: skip
        Path("noting.py").write_text(MODULE)
        self._command, self._eventually, self.store = command, eventually, store
        self.notes = folder / "notes"
        self.inbound, self._running = address(), {}
        self.config = settings(
            endpoints={"relay_outbound": [address()]}, relay_inbound=self.inbound,
            persistent_store=f"sqlite:///{folder}/store.db",
            replay_endpoints={"relay_outbound": address()}, replay_idle_check=0.5,
            status_directory=str(folder / "status"), noting=True, notes=str(self.notes),
            validate_signatures=False, logging=LOGGING, **{"replay_timeout": 2, **changes},
        )  # fmt: skip
        self._file = config_file(**self.config)

    def start(self, name: str) -> Any:
        """Start one of them, and wait until it works."""
        options = {"hub": ["--with-consumers=noting:Noting"], "tail": ["--json"]}.get(name, [])
        path = f"--config-filename={self._file}"
        running = self._command(f"fedmsg-{name}", path, *options)
        self._running[name] = running
        if name == "relay":
            running.says("relaying from")
        elif name == "replay-server":
            running.says("serving the store")
        return running

    def kill(self, name: str) -> None:
        """Kill one of them."""
        self._running[name].stop(signal.SIGKILL)

    def end(self, name: str) -> int:
        """Have one of them end, and return its status."""
        return int(self._running[name].stop())

    def signal(self, name: str, number: int) -> None:
        """Send a signal to one of them."""
        self._running[name].process.send_signal(number)

    def output(self, name: str) -> str:
        """Return what one of them has written."""
        return str(self._running[name].stdout + self._running[name].stderr)

    def begin(self, name: str) -> int:
        """Start a tail or a hub, and return the number of a message that it got in the silence.

        From then on it watches.
        """
        self.start(name)
        lost = []

        def watches() -> bool:
            assert self._running[name].process.poll() is None, self.output(name)
            lost.extend(self.lose(1))
            return bool(self.heard(name))

        self._eventually(watches, "the first idle check")
        self.wait_for(name, lost[-1]["seq_id"])
        return int(lost[-1]["seq_id"])

    def publishing(self) -> dict[str, Any]:
        """Return the configuration of an application that publishes there."""
        return relayed(self.inbound, persistent_store=self.config["persistent_store"])

    def lose(self, count: int) -> list[dict[str, Any]]:
        """Have so many messages published that nobody hears."""
        known = [each["seq_id"] for each in self.store.stream({"last": True})]
        return stored(self.store, count, first=max(known, default=0) + 1)

    def noted(self) -> list[int]:
        """Return the numbers of what has been consumed, by all hubs."""
        if not self.notes.exists():
            return []
        return [int(line) for line in self.notes.read_text().splitlines()]

    def tailed(self) -> list[int]:
        """Return the numbers of what the tail has shown."""
        return [int(found) for found in re.findall(r'"seq_id": ?(\d+)', self.output("tail"))]

    def heard(self, name: str) -> list[int]:
        """Return the numbers that a tail or the hubs got."""
        return self.tailed() if name == "tail" else self.noted()

    def wait_for(self, name: str, number: int) -> list[int]:
        """Wait until a number has come through, and return all that have."""
        grown = self._grown(name)
        self._eventually(lambda: grown() and number in self.heard(name), f"message {number}", 40)
        return self.heard(name)

    def _grown(self, name: str) -> Callable[[], bool]:
        """Return what tells whether there is more than at its last call: reading is slow."""
        path, known = Path(self._running["tail"].out.name) if name == "tail" else self.notes, -1

        def grown() -> bool:
            nonlocal known
            before, known = known, path.stat().st_size if path.exists() else -1
            return known != before

        return grown

    def all_until(self, last: int) -> list[int]:
        """Wait until the hubs have consumed every number up to one, and return what they have."""

        def complete() -> bool:
            found = set(self.noted() if grown() else ())
            return bool(found) and len(found) == last - min(found) + 1 and max(found) == last

        grown = self._grown("hub")
        self._eventually(complete, f"all messages up to {last}", 40)
        return self.noted()

    def position(self, least: int) -> None:
        """Wait until the hub has written down a number that is not below one."""
        path = Path(self.config["status_directory"]) / "fedmsg-hub" / "Noting.replay"
        self._eventually(
            lambda: path.exists() and json.loads(path.read_text())["seq_id"] >= least,
            f"the position {least}",
        )
