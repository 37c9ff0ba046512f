"""SIGKILL of every daemon at random moments under load: what is lost, and that it is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from brokers import KEPT, RabbitMQ
from chaos_parts import (
    LOGGING,
    PATIENCE,
    RECORDING,
    SECONDS,
    Daemon,
    Ledger,
    Tape,
    finish,
    kill_at_random,
)
from parts import relayed
from stomp_parts import configuration

import fedmsg.encoding

pytestmark = [
    pytest.mark.trial,
    pytest.mark.timeout(600 + SECONDS),
]
Start = Callable[..., Any]


@pytest.fixture
def bus(address: Callable[[], str], port: Callable[[], int], tmp_path: Path) -> dict[str, Any]:
    """The configuration of a relay, a hub and a gateway."""
    return relayed(
        address(), endpoints={"relay_outbound": [address()]}, logging=LOGGING, post_init_sleep=20,
        recording=str(tmp_path / "consumed"), validate_signatures=False, zmq_linger=5000,
        **{"fedmsg.consumers.gateway.port": port(),
           "fedmsg.consumers.gateway.high_water_mark": 0},
    )  # fmt: skip


def join(context: Any, ready: Callable[[], bool], wait: Start) -> None:
    """Publish until everybody receives."""

    def heard() -> bool:
        context.publish(topic="probe", msg={}, modname="trial")
        return ready()

    wait(heard, "the subscriptions", PATIENCE)


def test_without_replay(
    command: Start, config_file: Start, bus: dict[str, Any], tmp_path: Path, listener: Start,
    make_context: Start, publishing: Start, eventually: Start,
) -> None:  # fmt: skip
    """Each kill costs only those behind it what was sent meanwhile, and the publishers tell."""
    path = f"--config-filename={config_file(**bus)}"
    daemons = {
        "relay": Daemon(command, "fedmsg-relay", path),
        "hub": Daemon(command, "fedmsg-hub", RECORDING, path),
        "gateway": Daemon(command, "fedmsg-gateway", path),
    }
    client = listener(f"tcp://127.0.0.1:{bus['fedmsg.consumers.gateway.port']}")
    tape, outside = Tape(Path(bus["recording"])), []

    def received() -> list[str]:
        outside.extend(fedmsg.encoding.loads(frames[1])["msg_id"] for frames in client.arrived())
        return outside

    join(make_context(**bus), lambda: bool(tape.read() and received()), eventually)
    publishers = publishing(bus)
    ledger = Ledger(publishers, {"hub": tape.read, "client": received})
    kills = {name: daemon.restart for name, daemon in daemons.items()}
    kill_at_random(ledger, kills, eventually, seed=1)
    said = finish(ledger, eventually)
    # A receiver loses by what stands between it and the publishers, and by nothing else.
    assert set(ledger.losses("hub")) <= {"relay", "hub"}, ledger.statement()
    assert set(ledger.losses("client")) <= {"relay", "gateway"}, ledger.statement()
    # Publishers noticed; what they had to give up they would have counted.
    for each in publishers:
        assert "lost the relay" in each.log and "is back" in each.log
    assert all(not any(each.values()) for each in said)


@pytest.mark.broker
def test_durable_queue(
    command: Start, config_file: Start, tmp_path: Path, rabbitmq: RabbitMQ, publishing: Start,
    eventually: Start,
) -> None:  # fmt: skip
    """Broker and hub are killed: every message is consumed at least once."""
    config = configuration(
        rabbitmq.port, stomp_queue=KEPT, stomp_ack_mode="client-individual", modname="kept",
        stomp_window_timeout=120, stomp_delay=0.1, logging=LOGGING, validate_signatures=False,
        recording=str(tmp_path / "consumed"),
    )  # fmt: skip
    hub = Daemon(command, "fedmsg-hub", RECORDING, f"--config-filename={config_file(**config)}")
    tape = Tape(Path(config["recording"]))
    ledger = Ledger(publishing(config), {"hub": tape.read})

    def broker() -> None:
        rabbitmq.kill()
        rabbitmq.start()

    kill_at_random(ledger, {"broker": broker, "hub": hub.restart}, eventually, seed=2)
    said = finish(ledger, eventually)
    eventually(lambda: not ledger.lost("hub"), "the rest", PATIENCE)
    assert ledger.lost("hub") == [], ledger.statement()
    assert all(not any(each.values()) for each in said)
