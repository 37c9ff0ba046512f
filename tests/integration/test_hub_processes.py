"""``fedmsg-hub`` as a process; its consumers are in tests/integration/conftest.py."""

from __future__ import annotations

import json
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from hubs import message
from parts import Publisher

Start = Callable[..., Any]
Wait = Callable[..., Any]


@pytest.fixture
def hub(command: Start, hub_config: dict[str, Any], config_file: Callable[..., str]) -> Start:
    """A function that starts a hub with some consumers of the module."""

    def start(*names: str, **changes: Any) -> Any:
        path = config_file(**hub_config, **changes)
        classes = ", ".join(f"bus_consumers:{name}" for name in names)
        options = [f"--with-consumers={classes}"] if names else []
        return command("fedmsg-hub", f"--config-filename={path}", *options)

    return start


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket like that on which systemd hears what daemons say of themselves."""
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.settimeout(20)
        yield listener


def test_named_consumers(hub: Start, source: Publisher) -> None:
    """Exactly those, from the current directory; SIGTERM ends it with status 0 (K-7)."""
    running = hub("Printing")
    assert source.joined() == b"\x01org.test"
    source.send(message("one"), message("two", "org.other"), message("three"))
    running.says("got three")
    assert running.stop() == 0
    assert ("got one" in running.stdout, "got two" in running.stdout) == (True, False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_end_drains_the_queue(hub: Start, source: Publisher, number: int) -> None:
    """What has been taken in is consumed, in order; then the status is 0."""
    running = hub("Slow")
    source.joined()
    source.send(*(message(n) for n in range(500)))
    running.says("got 0")
    assert running.stop(number) == 0
    got = [line for line in running.stdout.splitlines() if line.startswith("got")]
    assert got == [f"got {n}" for n in range(len(got))]
    assert "messages were left" not in running.stderr


def test_end_has_a_limit(hub: Start, source: Publisher) -> None:
    """A consumer that blocks for ever: what is left is logged."""
    running = hub("Slow", stop_timeout=0.2)
    source.joined()
    source.send(message("block"), message("lost"))
    running.says("blocked")
    assert running.stop() == 0
    assert "Slow did not finish: 2 messages were left" in running.stderr


def test_second_signal_ends_at_once(hub: Start, source: Publisher) -> None:
    """Without waiting for consumers."""
    running = hub("Slow", stop_timeout=600)
    source.joined()
    source.send(message("block"))
    running.says("blocked")
    running.process.send_signal(signal.SIGTERM)
    source.socket.setsockopt(zmq.XPUB_VERBOSE, 1)
    assert source.joined() == b"\x00org.test"  # it has begun to stop
    assert running.stop() == -signal.SIGTERM


def test_consumer_that_closes_the_hub(hub: Start, source: Publisher) -> None:
    """The process ends with status 0 behind what is queued."""
    running = hub("Closing")
    source.joined()
    source.send(message(1), message(2))
    assert running.wait() == 0


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["Failing", "Printing"], "Failing could not start: no database"),
        (
            ["Nothing"],
            "--with-consumers=bus_consumers:Nothing: 'Nothing' not found in 'bus_consumers'\n",
        ),
    ],
)
def test_named_consumers_that_cannot_start(
    hub: Start, source: Publisher, names: list[str], text: str
) -> None:
    """Status 1, and which it is (KD-15, HD-19), in the last line."""
    running = hub(*names)
    assert running.wait() == 1
    assert text in running.stderr.splitlines(keepends=True)[-1]


def test_outbound_port_in_use(
    hub: Start, source: Publisher, address: Wait, zmq_context: zmq.Context[Any]
) -> None:
    """Status 1, with the address and its key (HD-11)."""
    zmq_context.socket(zmq.PUB).bind(taken := address())
    running = hub("Printing", zmq_publish_endpoints=taken)
    assert running.wait() == 1
    assert f"cannot publish on {taken} (zmq_publish_endpoints)" in running.stderr
    assert "Traceback" not in running.stderr


def test_wrong_name(command: Start, hub_config: dict[str, Any], config_file: Wait) -> None:
    """Without a colon: status 1."""
    path = config_file(**hub_config)
    running = command("fedmsg-hub", f"--config-filename={path}", "--with-consumers=nonsense")
    assert running.wait() == 1
    assert "'package.module:Name'" in running.stderr
    assert "Traceback" not in running.stderr


def test_installed_consumers(hub: Start, source: Publisher) -> None:
    """Without names those of installed packages run, each by its key."""
    running = hub(**{"fedmsg.consumers.dummy.enabled": True, "topic_prefix": "org.test"})
    assert source.joined() == b"\x01org.test"
    running.says("enabled by config  - fedmsg.consumers.dummy:DummyConsumer")
    running.says("disabled by config - fedmsg.consumers.relay:RelayConsumer")
    assert running.stop() == 0


def test_nothing_heavy_is_imported(hub_config: dict[str, Any], config_file: Wait) -> None:
    """Neither Moksha, Twisted nor pkg_resources; requests and SQLAlchemy only when needed."""
    code = """
import sys
sys.argv = ["fedmsg-hub", "--config-filename=" + sys.argv[1]]
import fedmsg.commands.hub as command
from fedmsg.hub.central import Hub
hub = command.HubCommand()
command.main = lambda options, **kw: Hub({**options, "high_water_mark": 0}).close()
hub.run()
print({"moksha", "twisted", "pkg_resources", "requests", "sqlalchemy"} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, config_file(**hub_config)], capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "set()", done.stderr


def test_monitoring(
    hub: Start, source: Publisher, command: Start, config_file: Wait, tmp_path: Path
) -> None:
    """``fedmsg-check`` sees the consumers of a running hub."""
    endpoint = f"ipc://{tmp_path}/m.socket"
    running = hub("Printing", **{"moksha.monitoring.socket": endpoint})
    source.joined()
    check = config_file(endpoints={}, **{"moksha.monitoring.socket": endpoint})
    good = command(
        "fedmsg-check", f"--config-filename={check}", "-c", "Printing", "-p", "MonitoringProducer"
    )
    bad = command("fedmsg-check", f"--config-filename={check}", "-c", "Nobody")
    assert (good.wait(), bad.wait()) == (0, 1)
    first, _, report = good.stdout.partition("\n")
    assert first == "All consumers and producers are active!"
    (record,) = json.loads(report)["consumers"]
    assert (record["name"], record["topic"], record["initialized"]) == (
        "Printing",
        "org.test",
        True,
    )
    assert '"Nobody" is not active!' in bad.stderr
    assert running.stop() == 0


def test_ready_when_connected(hub: Start, source: Publisher, systemd: socket.socket) -> None:
    """systemd hears READY=1, then STOPPING=1."""
    running = hub("Printing")
    assert systemd.recv(100) == b"READY=1"
    running.process.terminate()
    assert systemd.recv(100) == b"STOPPING=1"
    assert running.wait() == 0


def test_signal_ends_a_child_of_a_consumer(hub: Start, source: Publisher) -> None:
    """One that was forked, as by multiprocessing: it does not take the signal for a hub's."""
    running = hub("Forking")
    source.joined()
    source.send(message("one"))
    running.says("the child ended by 15")
    assert running.stop() == 0


def test_end_without_descriptors(hub: Start, source: Publisher, systemd: socket.socket) -> None:
    """systemd cannot be told, and what is queued is consumed all the same."""
    running = hub("Greedy")
    assert systemd.recv(100) == b"READY=1"
    resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (60, 60))
    source.joined()
    source.send(*(message(n) for n in range(100)))
    running.says("got 0")
    assert running.stop() == 0
    got = [line for line in running.stdout.splitlines() if line.startswith("got")]
    assert (got, running.stderr.count("Errno")) == ([f"got {n}" for n in range(len(got))], 0)
