"""Daemons with metrics, as processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from parts import publish, relayed
from scraping import get, value

pytest.importorskip("prometheus_client", reason="pip install '.[metrics]'")
pytest.importorskip("sqlalchemy", reason="pip install '.[sql]'")

Start = Callable[..., Any]
Wait = Callable[..., Any]


@pytest.fixture
def bus(
    command: Start, config_file: Callable[..., str], port: Callable[[], int],
    daemons_config: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """A configuration for all daemons, and the function that starts one of them."""
    ports = {name: port() for name in ("relay", "gateway", "hub", "replay-server")}
    config = {**daemons_config, "metrics_port": ports}
    path = f"--config-filename={config_file(**config)}"

    def start(name: str) -> Any:
        more = ["--with-consumers=bus_consumers:Printing"] if name == "hub" else []
        return command(f"fedmsg-{name}", path, *more)

    return {"config": config, "ports": ports, "start": start}


def ready(bus: dict[str, Any], name: str) -> bool:
    """Return whether a daemon says that it is ready."""
    return get(bus["ports"][name], "/ready") == (200, "ready\n")


@pytest.mark.parametrize("name", ["relay", "gateway", "hub", "replay-server"])
def test_daemon(bus: dict[str, Any], name: str, eventually: Wait) -> None:
    """It becomes ready, has metrics, and leaves no port behind when it ends."""
    daemon, number = bus["start"](name), bus["ports"][name]
    eventually(lambda: ready(bus, name) or daemon.process.poll() is not None)
    assert f'fedmsg_daemon_info{{daemon="{name}"}} 1.0' in get(number, "/metrics")[1]
    assert (daemon.stop(), get(number, "/live")) == (0, (0, ""))


def test_port_taken(bus: dict[str, Any], eventually: Wait) -> None:
    """Status 1, and one line that names port and option; the first is not disturbed."""
    first = bus["start"]("relay")
    eventually(lambda: ready(bus, "relay") or first.process.poll() is not None)
    second = bus["start"]("relay")
    assert second.wait() == 1
    assert f"port {bus['ports']['relay']} of 127.0.0.1 (metrics_port" in second.stderr
    assert "Traceback" not in second.stderr
    assert ready(bus, "relay")


def test_relay_counts(
    bus: dict[str, Any], make_context: Any, subscriber: Any, eventually: Wait
) -> None:
    """What has been forwarded is counted, by libzmq's own proxy too, in whatever thread asks."""
    relay, config = bus["start"]("relay"), bus["config"]
    eventually(lambda: ready(bus, "relay") or relay.process.poll() is not None)
    context = make_context(**relayed(config["relay_inbound"], post_init_sleep=20))
    sub = subscriber(config["endpoints"]["relay_outbound"][0])
    eventually(lambda: publish(context, ["probe"]) or sub.socket.poll(20))
    publish(context, range(50))
    while not sub.receive()[0].endswith(b".49"):
        pass

    received = 'fedmsg_messages_received_total{transport="zmq"}'
    eventually(lambda: value(bus["ports"]["relay"], received) >= 51)
    assert relay.stop() == 0
