"""``fedmsg-gateway``, and a relay that is a hub, as processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq
from hubs import frames, message
from parts import Publisher, join

Start = Callable[..., Any]
Wait = Callable[..., Any]


def gateway_config(hub_config: dict[str, Any], port: int) -> dict[str, Any]:
    """Return the configuration of a gateway."""
    return {**hub_config, "fedmsg.consumers.gateway.port": port,
            "fedmsg.consumers.gateway.high_water_mark": 1000}  # fmt: skip


def test_gateway(
    command: Start, hub_config: dict[str, Any], source: Publisher, config_file: Wait, port: Wait,
    subscriber: Wait,
) -> None:  # fmt: skip
    """Twenty clients get every byte as it was sent, in order; SIGTERM ends it with status 0."""
    path = config_file(**gateway_config(hub_config, number := port()))
    running = command("fedmsg-gateway", f"--config-filename={path}")
    assert source.joined() == b"\x01"
    clients = [subscriber(f"tcp://127.0.0.1:{number}") for _ in range(20)]
    for client in clients:
        join(lambda body: source.send([b"probe", body]), client)
    for other in clients:
        other.arrived()
    sent = [frames("org.é", f'{{ "b" :1,  "a":{n}}}') for n in range(300)]
    sent.append([b"raw", b"\xff\x00\xfe"])
    source.send(*sent)
    for client in clients:
        found = client.receive()
        while found[0] == b"probe":
            found = client.receive()
        assert [found, *(client.receive() for _ in sent[1:])] == sent
    assert running.stop() == 0
    assert "passed on" in running.stderr


def test_gateway_port_in_use(
    command: Start, hub_config: dict[str, Any], config_file: Wait, port: Wait,
    zmq_context: zmq.Context[Any],
) -> None:  # fmt: skip
    """Status 1, and the port and its key (CD-19)."""
    zmq_context.socket(zmq.PUB).bind(f"tcp://*:{(number := port())}")
    path = config_file(**gateway_config(hub_config, number))
    running = command("fedmsg-gateway", f"--config-filename={path}")
    assert running.wait() == 1
    assert f"port {number} (fedmsg.consumers.gateway.port)" in running.stderr


def test_relay_that_changes_messages(
    hub_config: dict[str, Any], address: Wait, feeder: Wait, subscriber: Wait, eventually: Wait,
    tmp_path: Path,
) -> None:  # fmt: skip
    """A subclass that overrides ``consume`` runs on a hub, through the relay command."""
    inbound, outbound = address(), address()
    config = {**hub_config, "relay_inbound": inbound, "endpoints": {"relay_outbound": [outbound]}}
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
