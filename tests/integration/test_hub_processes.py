"""``fedmsg-hub``, ``fedmsg-gateway`` and ``fedmsg-check`` as processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq
from hubs import frames
from parts import Publisher, join

Start = Callable[..., Any]
Wait = Callable[..., Any]

#: A module of consumers, in the current directory.
MODULE = """
import os, sys, threading, time
import fedmsg
from fedmsg.consumers import FedmsgConsumer
from fedmsg.consumers.relay import RelayConsumer

class Printing(FedmsgConsumer):
    config_key = "printing"
    topic = "org.test"
    validate_signatures = False

    def consume(self, message):
        print("got", message["body"]["msg"], flush=True)

class Slow(Printing):
    config_key = "slow"

    def consume(self, message):
        if message["body"]["msg"] == "block":
            print("blocked", flush=True)
            while True:
                time.sleep(1)
        time.sleep(0.002)
        super().consume(message)

class Closing(Printing):
    config_key = "closing"

    def consume(self, message):
        super().consume(message)
        self.hub.close()

class Failing(Printing):
    config_key = "failing"

    def __init__(self, hub):
        raise OSError("no database")

class Heading(RelayConsumer):
    def consume(self, msg):
        super().consume({**msg, "body": {"heading": msg["body"]}})
"""
QUIET = {"version": 1, "disable_existing_loggers": False, "root": {"level": "INFO",
         "handlers": ["e"]}, "handlers": {"e": {"class": "logging.StreamHandler"}}}  # fmt: skip


@pytest.fixture
def settings(publisher: Callable[..., Publisher]) -> dict[str, Any]:
    """The configuration of a hub with a publisher, and consumers that are on."""
    Path("bus_consumers.py").write_text(MODULE)
    return {
        "endpoints": {"test": [publisher().endpoint]}, "logging": QUIET, "printing": True,
        "slow": True, "closing": True, "failing": True, "validate_signatures": False,
    }  # fmt: skip


@pytest.fixture
def bus(publisher: Callable[..., Publisher], settings: dict[str, Any]) -> Publisher:
    """The publisher that a hub connects to."""
    source = publisher()
    settings["endpoints"] = {"test": [source.endpoint]}
    return source


@pytest.fixture
def hub(command: Start, settings: dict[str, Any], config_file: Callable[..., str]) -> Start:
    """A function that starts a hub with some consumers of the module."""

    def start(*names: str, **changes: Any) -> Any:
        path = config_file(**settings, **changes)
        classes = ", ".join(f"bus_consumers:{name}" for name in names)
        options = [f"--with-consumers={classes}"] if names else []
        return command("fedmsg-hub", f"--config-filename={path}", *options)

    return start


def message(text: Any, topic: str = "org.test") -> list[bytes]:
    """Return the frames of one message."""
    return frames(topic, json.dumps({"topic": topic, "msg": text}))


def test_named_consumers(hub: Start, bus: Publisher) -> None:
    """Exactly those, from the current directory; SIGTERM ends it with status 0 (K-7)."""
    running = hub("Printing")
    assert bus.joined() == b"\x01org.test"
    bus.send(message("one"), message("two", "org.other"), message("three"))
    running.says("got three")
    assert running.stop() == 0
    assert ("got one" in running.stdout, "got two" in running.stdout) == (True, False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_end_drains_the_queue(hub: Start, bus: Publisher, number: int) -> None:
    """What has been taken in is consumed, in order; then the status is 0."""
    running = hub("Slow")
    bus.joined()
    bus.send(*(message(n) for n in range(500)))
    running.says("got 0")
    assert running.stop(number) == 0
    got = [line for line in running.stdout.splitlines() if line.startswith("got")]
    assert got == [f"got {n}" for n in range(len(got))]
    assert "messages were left" not in running.stderr


def test_end_has_a_limit(hub: Start, bus: Publisher) -> None:
    """A consumer that blocks for ever: what is left is logged."""
    running = hub("Slow", stop_timeout=0.2)
    bus.joined()
    bus.send(message("block"), message("lost"))
    running.says("blocked")
    assert running.stop() == 0
    assert "Slow did not finish: 2 messages were left" in running.stderr


def test_second_signal_ends_at_once(hub: Start, bus: Publisher) -> None:
    """Without waiting for consumers."""
    running = hub("Slow", stop_timeout=600)
    bus.joined()
    bus.send(message("block"))
    running.says("blocked")
    running.process.send_signal(signal.SIGTERM)
    bus.socket.setsockopt(zmq.XPUB_VERBOSE, 1)
    assert bus.joined() == b"\x00org.test"  # it has begun to stop
    assert running.stop() == -signal.SIGTERM


def test_consumer_that_closes_the_hub(hub: Start, bus: Publisher) -> None:
    """The process ends with status 0 behind what is queued."""
    running = hub("Closing")
    bus.joined()
    bus.send(message(1), message(2))
    assert running.wait() == 0


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["Failing", "Printing"], "Failing could not start: no database"),
        (["Nothing"], "'Nothing' not found in 'bus_consumers'"),
    ],
)
def test_named_consumers_that_cannot_start(
    hub: Start, bus: Publisher, names: list[str], text: str
) -> None:
    """Status 1, and which it is (KD-15, HD-19)."""
    running = hub(*names)
    assert running.wait() == 1
    assert text in running.stderr


def test_wrong_name(command: Start, settings: dict[str, Any], config_file: Wait) -> None:
    """Without a colon: status 1."""
    path = config_file(**settings)
    running = command("fedmsg-hub", f"--config-filename={path}", "--with-consumers=nonsense")
    assert running.wait() == 1
    assert "'package.module:Name'" in running.stderr


def test_installed_consumers(hub: Start, bus: Publisher) -> None:
    """Without names those of installed packages run, each by its key."""
    running = hub(**{"fedmsg.consumers.dummy.enabled": True, "topic_prefix": "org.test"})
    assert bus.joined() == b"\x01org.test"
    running.says("enabled by config  - fedmsg.consumers.dummy:DummyConsumer")
    running.says("disabled by config - fedmsg.consumers.relay:RelayConsumer")
    assert running.stop() == 0


def test_nothing_heavy_is_imported(settings: dict[str, Any], config_file: Wait) -> None:
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
        [sys.executable, "-c", code, config_file(**settings)], capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "set()", done.stderr


def test_monitoring(
    hub: Start, bus: Publisher, command: Start, config_file: Wait, tmp_path: Path
) -> None:
    """``fedmsg-check`` sees the consumers of a running hub."""
    endpoint = f"ipc://{tmp_path}/m.socket"
    running = hub("Printing", **{"moksha.monitoring.socket": endpoint})
    bus.joined()
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


def gateway_config(settings: dict[str, Any], port: int) -> dict[str, Any]:
    """Return the configuration of a gateway."""
    return {**settings, "fedmsg.consumers.gateway.port": port,
            "fedmsg.consumers.gateway.high_water_mark": 1000}  # fmt: skip


def test_gateway(
    command: Start, settings: dict[str, Any], bus: Publisher, config_file: Wait, port: Wait,
    subscriber: Wait,
) -> None:  # fmt: skip
    """Twenty clients get every byte as it was sent, in order; SIGTERM ends it with status 0."""
    path = config_file(**gateway_config(settings, number := port()))
    running = command("fedmsg-gateway", f"--config-filename={path}")
    assert bus.joined() == b"\x01"
    clients = [subscriber(f"tcp://127.0.0.1:{number}") for _ in range(20)]
    for client in clients:
        join(lambda body: bus.send([b"probe", body]), client)
    for other in clients:
        other.arrived()
    sent = [frames("org.é", f'{{ "b" :1,  "a":{n}}}') for n in range(300)]
    sent.append([b"raw", b"\xff\x00\xfe"])
    bus.send(*sent)
    for client in clients:
        found = client.receive()
        while found[0] == b"probe":
            found = client.receive()
        assert [found, *(client.receive() for _ in sent[1:])] == sent
    assert running.stop() == 0
    assert "passed on" in running.stderr


def test_gateway_port_in_use(
    command: Start, settings: dict[str, Any], config_file: Wait, port: Wait,
    zmq_context: zmq.Context[Any],
) -> None:  # fmt: skip
    """Status 1, and the port and its key (CD-19)."""
    zmq_context.socket(zmq.PUB).bind(f"tcp://*:{(number := port())}")
    path = config_file(**gateway_config(settings, number))
    running = command("fedmsg-gateway", f"--config-filename={path}")
    assert running.wait() == 1
    assert f"port {number} (fedmsg.consumers.gateway.port)" in running.stderr


def test_relay_that_changes_messages(
    settings: dict[str, Any], address: Wait, feeder: Wait, subscriber: Wait, eventually: Wait,
    tmp_path: Path,
) -> None:  # fmt: skip
    """A subclass that overrides ``consume`` runs on a hub, through the relay command."""
    inbound, outbound = address(), address()
    config = {**settings, "relay_inbound": inbound, "endpoints": {"relay_outbound": [outbound]}}
    path = tmp_path / "relay.py"
    path.write_text(f"config = {config!r}\n")
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from bus_consumers import Heading\n"
        "from fedmsg.commands import relay, run_command\n"
        "cls = type('Own', (relay.RelayCommand,), {'relay_consumer': Heading, '__doc__': 'x'})\n"
        "sys.exit(run_command(cls))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, f"--config-filename={path}"])
    try:
        source, sub = feeder(inbound), subscriber(outbound)
        eventually(
            lambda: [source.send_multipart(message("x")), sub.socket.poll(20)][1], "a message", 30
        )
        topic, body = sub.receive()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    assert (topic, json.loads(body)) == (
        b"org.test", {"heading": {"topic": "org.test", "msg": "x"}},
    )  # fmt: skip


def test_ready_when_connected(hub: Start, bus: Publisher, tmp_path: Path, monkeypatch: Any) -> None:
    """systemd hears READY=1, then STOPPING=1."""
    import socket

    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.settimeout(20)
        running = hub("Printing")
        assert listener.recv(100) == b"READY=1"
        running.process.terminate()
        assert listener.recv(100) == b"STOPPING=1"
        assert running.wait() == 0
