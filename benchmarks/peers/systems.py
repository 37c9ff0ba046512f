"""The systems: what each is, what it promises, and what has to run for it."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ..measure import DEADLINE, free_address, free_port, process
from ..stomp import brokers

ROOT = Path(__file__).resolve().parents[2]
_ENVIRONMENTS = ROOT / ".venv-bench"
_RELEASED = ROOT / ".venv-peer" / "bin"
_OURS = Path(sys.executable).parent
OUR_PYTHON = _OURS / "python"
_COMMON = {"environment": "dev", "topic_prefix": "org.fedoraproject", "sign_messages": False,
           "validate_signatures": False, "high_water_mark": 0, "io_threads": 1,
           "post_init_sleep": 0.5, "zmq_linger": 2000, "active": False}  # fmt: skip

#: Starts what a system needs; returns what its programs are given.
Start = Callable[[ExitStack, Path], dict[str, Any]]


@dataclass(frozen=True)
class System:
    """One row of the table.

    Attributes:
        name: of the system.
        promise: what is known of a message when ``publish`` has returned.
        program: of ``programs/``, without ``with_`` and ``.py``.
        start: see :data:`Start`.
        python: runs the programs.
        packages: distributions in that Python whose versions are of interest.
        server: its name -> a command that prints its version.
        needs: what has to be installed -> whether it is.
    """

    name: str
    promise: str
    program: str
    start: Start
    python: Path = OUR_PYTHON
    packages: tuple[str, ...] = ("pyzmq",)
    server: Mapping[str, Sequence[str]] = field(default_factory=dict)
    needs: Callable[[], dict[str, bool]] = dict

    def missing(self) -> str:
        """Return what is not installed, empty if everything is."""
        needs = {f"{self.python} (`make peer bench-peers`)": self.python.exists(), **self.needs()}
        return ", ".join(name for name, found in needs.items() if not found)

    def versions(self) -> dict[str, str]:
        """Return the versions of its packages and of its server."""
        code = (
            "import json, platform, sys; from importlib.metadata import version; "
            "found = {name: version(name) for name in sys.argv[1:]}; "
            "print(json.dumps({**found, 'Python': platform.python_version()}))"
        )
        output = self._output(str(self.python), "-c", code, *self.packages)
        found: dict[str, str] = json.loads(output)
        for name, command in self.server.items():
            words = re.findall(r"(?<![\w.])v?=?(\d+(?:\.\d+)+)", self._output(*command))
            found[name] = words[0]
        return found

    def _output(self, *command: str) -> str:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True,
            timeout=DEADLINE, env=self.environment,
        )  # fmt: skip
        return done.stdout.decode()

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its programs."""
        environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
        if self.python != OUR_PYTHON:
            environment.pop("PYTHONPATH", None)  # it leads to our fedmsg
        return environment


# -- what runs beside the programs -----------------------------------------------------------------


def _no_server(_stack: ExitStack, _folder: Path) -> dict[str, Any]:
    return {"address": free_address()}


def _configured(folder: Path, publisher: dict[str, Any], **config: Any) -> dict[str, Any]:
    path = folder / "fedmsg.d" / "bus.py"
    path.parent.mkdir()
    settings = {**_COMMON, **config}
    path.write_text(f"config = {settings!r}\n")
    return {"publisher": publisher}


def _direct(_stack: ExitStack, folder: Path) -> dict[str, Any]:
    return _configured(folder, {"name": "bench"}, endpoints={"bench": [free_address()]})


def _relayed(commands: Path, stack: ExitStack, folder: Path) -> dict[str, Any]:
    inbound, outbound = free_address(), free_address()
    given = _configured(
        folder, {"active": True}, relay_inbound=inbound, endpoints={"relay_outbound": [outbound]}
    )
    command = [commands / "fedmsg-relay", "--config-filename", folder / "fedmsg.d" / "bus.py"]
    _serve(stack, folder, command, inbound)
    return given


def _rabbitmq(stack: ExitStack, folder: Path) -> Any:
    node = brokers().RabbitMQ(folder / "rabbitmq", free_port)
    stack.callback(node.close)
    node.start()
    return node


def _stomp(stack: ExitStack, folder: Path) -> dict[str, Any]:
    port = _rabbitmq(stack, folder).port
    return _configured(folder, {}, zmq_enabled=False, stomp_uri=f"127.0.0.1:{port}", endpoints={})


def _fedora_messaging(stack: ExitStack, folder: Path) -> dict[str, Any]:
    port = _rabbitmq(stack, folder).amqp_port
    path = folder / "fedora-messaging.toml"
    path.write_text(f'amqp_url = "amqp://guest:guest@127.0.0.1:{port}/%2F"\n')
    return {"config": str(path)}


def _nats(stack: ExitStack, folder: Path) -> dict[str, Any]:
    port = free_port()
    _serve(stack, folder, ["nats-server", "-a", "127.0.0.1", "-p", port], f"127.0.0.1:{port}")
    return {"address": f"nats://127.0.0.1:{port}"}


def _redis(stack: ExitStack, folder: Path) -> dict[str, Any]:
    port = free_port()
    command = ["redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", folder]
    _serve(stack, folder, command, f"127.0.0.1:{port}")
    return {"port": port}


def _serve(stack: ExitStack, folder: Path, command: Sequence[Any], address: str) -> None:
    """Run a server, and return when it listens.

    Raises:
        RuntimeError: it does not within :data:`~benchmarks.measure.DEADLINE`; says what it printed.
    """
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    log = folder / "server.log"
    with open(log, "wb") as output:
        server = stack.enter_context(process(list(map(str, command)), output=output))
    deadline, pause = time.monotonic() + DEADLINE, threading.Event()
    while server.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), 1).close()
            return
        except OSError:
            pause.wait(0.05)
    raise RuntimeError(f"{command[0]} does not listen:\n{log.read_text(errors='replace')[-2000:]}")


def _found(*names: str) -> dict[str, bool]:
    return {f"{name} (Debian)": shutil.which(name) is not None for name in names}


def _rabbitmq_found() -> dict[str, bool]:
    missing = brokers().RabbitMQ.missing()
    return {missing: False} if missing else {}


def _environment(name: str) -> Path:
    return _ENVIRONMENTS / name / "bin" / "python"


# -- the table -------------------------------------------------------------------------------------

_QUEUED = "queued in the publisher, and nobody confirms it"
_DPKG = ("dpkg-query", "--showformat=${Version}", "--show")
_RABBITMQ = {"rabbitmq-server": (*_DPKG, "rabbitmq-server")}
_NATS = {"nats-server": ("nats-server", "--version")}
_REDIS = {"redis-server": ("redis-server", "--version")}

#: The first is what the others are compared with.
SYSTEMS = (
    System("fedmsg", _QUEUED, "fedmsg", _direct, packages=("fedmsg", "pyzmq")),
    System("fedmsg, through its relay", _QUEUED, "fedmsg", partial(_relayed, _OURS),
           packages=("fedmsg", "pyzmq")),
    System("fedmsg, STOMP to RabbitMQ",
           "on its way; RabbitMQ confirms each, and `flush` waits for that", "fedmsg", _stomp,
           packages=("fedmsg", "stomp.py"), server=_RABBITMQ, needs=_rabbitmq_found),
    System("fedmsg 1.1.7", _QUEUED, "fedmsg", _direct, _RELEASED / "python", ("fedmsg", "pyzmq")),
    System("fedmsg 1.1.7, through its relay", _QUEUED, "fedmsg", partial(_relayed, _RELEASED),
           _RELEASED / "python", ("fedmsg", "moksha.hub", "pyzmq")),
    System("pyzmq by hand", _QUEUED, "pyzmq", _no_server),
    System("nats-py, core NATS", "in the client's buffer, and nobody confirms it", "nats", _nats,
           _environment("nats"), ("nats-py",), _NATS,
           partial(_found, "nats-server")),
    System("redis-py, PUB/SUB", "passed on by the server, which says to how many subscribers",
           "redis", _redis, _environment("redis"), ("redis",), _REDIS,
           partial(_found, "redis-server")),
    System("fedora-messaging, RabbitMQ", "confirmed by RabbitMQ", "fedora_messaging",
           _fedora_messaging, _environment("fedora-messaging"),
           ("fedora-messaging", "pika", "Twisted"), _RABBITMQ, _rabbitmq_found),
)  # fmt: skip
