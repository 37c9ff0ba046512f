"""Private RabbitMQ and ActiveMQ nodes: own ports, data, logs and home; ended with their starter."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

#: Longest wait for a node to listen or to end, seconds.
START_SECONDS = 90.0
_RABBIT_BIN = Path("/usr/lib/rabbitmq/bin")
_ACTIVEMQ_HOME = Path("/usr/share/activemq")
_HASHED_SALT = b"salt"
#: In the log of RabbitMQ.
_STARTED = "Server startup complete"
#: The queue behind the topics that begin with ``org.fedoraproject.dev.kept.``
KEPT = "/amq/queue/kept"


class Node:
    """One broker process and what belongs to it.

    Args:
        folder: an empty directory for everything that it writes.
        free_port: returns a port that nothing uses.

    Attributes:
        port: of the STOMP listener.
    """

    program = ""

    def __init__(self, folder: Path, free_port: Callable[[], int]) -> None:
        self.folder, self.port = folder, free_port()
        folder.mkdir(parents=True)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._starts = 0

    @classmethod
    def missing(cls) -> str:
        """Return what is not installed, empty if everything is."""
        raise NotImplementedError

    @property
    def uri(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and return when it is ready."""
        self._starts += 1
        self._launch()
        deadline = time.monotonic() + START_SECONDS
        pause = threading.Event()
        while not self._is_ready():
            if self._processes[-1].poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.program} did not start:\n{self.output()[-4000:]}")
            pause.wait(0.05)

    def _is_ready(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def _launch(self) -> None:
        raise NotImplementedError

    def _spawn(self, *command: Any, environment: dict[str, str]) -> None:
        with open(self.folder / "output", "ab") as output:
            self._processes.append(
                subprocess.Popen(
                    list(map(str, command)), cwd=self.folder, env=environment, stdout=output,
                    stderr=output, stdin=subprocess.DEVNULL, start_new_session=True,
                )
            )  # fmt: skip

    def output(self) -> str:
        """Return what it has printed."""
        return (self.folder / "output").read_text(errors="replace")

    def kill(self) -> None:
        """End it as a power cut would."""
        self._signal(self._processes[-1], signal.SIGKILL)
        self._processes.pop().wait(START_SECONDS)

    def close(self) -> None:
        """End everything that was started."""
        for process in reversed(self._processes):
            self._signal(process, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                self._signal(process, signal.SIGKILL)
                process.wait(START_SECONDS)
        self._processes.clear()

    @staticmethod
    def _signal(process: subprocess.Popen[bytes], number: int) -> None:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)


class RabbitMQ(Node):
    """Debian's RabbitMQ with its STOMP plug-in, an epmd of its own, and a few users.

    Users: ``guest`` may do everything; ``reader`` (password ``reader``) may not write.

    Args:
        folder: see :class:`Node`.
        free_port: see :class:`Node`.
        certificates: directory with ``ca.pem``, ``server.pem`` and ``server.key``; None: no TLS.

    Attributes:
        tls_port: of the encrypted listener.
    """

    program = "rabbitmq"

    def __init__(
        self, folder: Path, free_port: Callable[[], int], certificates: Path | None = None
    ) -> None:
        super().__init__(folder, free_port)
        self.tls_port = free_port()
        epmd, distribution = free_port(), free_port()
        home = folder / "home"
        home.mkdir()
        cookie = home / ".erlang.cookie"
        cookie.write_text("fedmsg-tests")
        cookie.chmod(0o400)
        (folder / "enabled_plugins").write_text("[rabbitmq_stomp].\n")
        (folder / "definitions.json").write_text(json.dumps(_definitions()))
        (folder / "rabbitmq.conf").write_text(self._settings(certificates))
        self._epmd = epmd
        self._environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"fedmsg-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-start_epmd false +S 2:2 +sbwt none"
            " -kernel inet_dist_use_interface {127,0,0,1}",
        }

    @classmethod
    def missing(cls) -> str:
        found = (_RABBIT_BIN / "rabbitmq-server").exists() and shutil.which("epmd")
        return "" if found else "RabbitMQ (Debian: rabbitmq-server)"

    def _settings(self, certificates: Path | None) -> str:
        lines = [
            "listeners.tcp = none",
            f"stomp.listeners.tcp.1 = 127.0.0.1:{self.port}",
            f"load_definitions = {self.folder / 'definitions.json'}",
            "disk_free_limit.absolute = 1MB",
            "log.console = false",
        ]
        if certificates:
            lines += [
                f"stomp.listeners.ssl.1 = 127.0.0.1:{self.tls_port}",
                f"ssl_options.cacertfile = {certificates / 'ca.pem'}",
                f"ssl_options.certfile = {certificates / 'server.pem'}",
                f"ssl_options.keyfile = {certificates / 'server.key'}",
                "ssl_options.verify = verify_peer",
                "ssl_options.fail_if_no_peer_cert = false",
            ]
        return "\n".join(lines) + "\n"

    def _launch(self) -> None:
        if not self._processes:
            command = ("epmd", "-port", self._epmd, "-address", "127.0.0.1")
            self._spawn(*command, environment=self._environment)
        self._spawn(_RABBIT_BIN / "rabbitmq-server", environment=self._environment)

    def log(self) -> str:
        """Return the log of the node."""
        node = self._environment["RABBITMQ_NODENAME"]
        return (self.folder / "log" / f"{node}.log").read_text(errors="replace")

    def _is_ready(self) -> bool:
        # It listens before it can work.
        return super()._is_ready() and self.log().count(_STARTED) >= self._starts

    def control(self, *arguments: str) -> None:
        """Run ``rabbitmqctl``."""
        node = self._environment["RABBITMQ_NODENAME"]
        subprocess.run(
            [_RABBIT_BIN / "rabbitmqctl", "-n", node, *arguments], check=True, timeout=60,
            env=self._environment, capture_output=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip


def _definitions() -> dict[str, Any]:
    def user(name: str, tags: str = "") -> dict[str, Any]:
        digest = hashlib.sha256(_HASHED_SALT + name.encode()).digest()
        return {
            "name": name,
            "password_hash": base64.b64encode(_HASHED_SALT + digest).decode(),
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": tags,
        }

    everything = {"configure": ".*", "write": ".*", "read": ".*", "vhost": "/"}
    return {
        "vhosts": [{"name": "/"}],
        "users": [user("guest", "administrator"), user("reader")],
        "permissions": [
            {"user": "guest", **everything},
            {"user": "reader", **everything, "write": "^stomp-.*"},
        ],
        "queues": [
            {
                "name": "kept", "vhost": "/", "durable": True, "auto_delete": False,
                "arguments": {},
            }
        ],
        "bindings": [
            {
                "source": "amq.topic", "vhost": "/", "destination": "kept",
                "destination_type": "queue", "routing_key": "org.fedoraproject.dev.kept.#",
                "arguments": {},
            }
        ],
    }  # fmt: skip


class ActiveMQ(Node):
    """Debian's ActiveMQ with a STOMP connector.

    Users: ``guest`` may do everything; ``reader`` (password ``reader``) may not write.
    """

    program = "activemq"

    def __init__(self, folder: Path, free_port: Callable[[], int]) -> None:
        super().__init__(folder, free_port)
        template = Path(__file__).with_name("activemq.xml").read_text(encoding="utf-8")
        text = template.replace("@FOLDER@", str(folder)).replace("@PORT@", str(self.port))
        (folder / "activemq.xml").write_text(text, encoding="utf-8")

    @classmethod
    def missing(cls) -> str:
        found = (_ACTIVEMQ_HOME / "bin" / "activemq.jar").exists() and shutil.which("java")
        return "" if found else "ActiveMQ (Debian: activemq)"

    def _launch(self) -> None:
        self._spawn(
            "java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
            f"-Dactivemq.home={_ACTIVEMQ_HOME}", f"-Dactivemq.base={self.folder}",
            f"-Djava.io.tmpdir={self.folder}", "-jar", _ACTIVEMQ_HOME / "bin" / "activemq.jar",
            "start", f"xbean:file:{self.folder / 'activemq.xml'}",
            environment={"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8"},
        )  # fmt: skip


def running(kind: type[Node], folder: Path, port: Callable[[], int], *more: Any) -> Iterator[Any]:
    """Run a broker; where it is not installed skip, or fail under CI."""
    if missing := kind.missing():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{missing} is not installed here")
    node = kind(folder / kind.program, port, *more)
    try:
        node.start()
        yield node
    finally:
        node.close()
