"""Daemons with metrics, as processes; and a real Prometheus that reads them all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from parts import publish, relayed, settings, stored

from fedmsg.hub.series import SERIES

pytest.importorskip("prometheus_client", reason="pip install '.[metrics]'")
pytest.importorskip("sqlalchemy", reason="pip install '.[sql]'")

Start = Callable[..., Any]
Wait = Callable[..., Any]


def get(port: int, path: str) -> tuple[int, str]:
    """Return status and text of a page; status 0 if nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


@pytest.fixture
def bus(
    command: Start, config_file: Callable[..., str], address: Callable[[], str],
    port: Callable[[], int], hub_config: dict[str, Any], sql_store: Any, tmp_path: Path,
) -> dict[str, Any]:  # fmt: skip
    """A configuration for all daemons, and the function that starts one of them."""
    stored(sql_store(), 5)
    ports = {name: port() for name in ("relay", "gateway", "hub", "replay-server")}
    config = {
        **hub_config,
        **settings(
            endpoints={"relay_outbound": [address()]},
            relay_inbound=address(),
            persistent_store=f"sqlite:///{tmp_path}/store.db",
            replay_endpoints={"relay_outbound": address()},
        ),
        "fedmsg.consumers.gateway.port": port(),
        "fedmsg.consumers.gateway.high_water_mark": 100,
        "expected_topics": {"org.nothing": 3600},
        "metrics_port": ports,
    }
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

    def received() -> float:
        lines = get(bus["ports"]["relay"], "/metrics")[1].splitlines()
        [line] = [each for each in lines if each.startswith("fedmsg_messages_received_total{")]
        return float(line.rpartition(" ")[2])

    eventually(lambda: received() >= 51)
    assert relay.stop() == 0


class Prometheus:
    """A Prometheus that reads some ports every quarter of a second."""

    def __init__(self, program: str, folder: Path, port: int, targets: dict[str, int]) -> None:
        folder.mkdir()
        jobs = [
            {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{number}"]}]}
            for name, number in targets.items()
        ]
        timing = {"scrape_interval": "250ms", "scrape_timeout": "250ms"}
        # JSON is YAML.
        text = json.dumps({"global": timing, "scrape_configs": jobs})
        (folder / "prometheus.yml").write_text(text)
        self._port, self.log = port, folder / "log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, f"--config.file={folder / 'prometheus.yml'}",
                 f"--storage.tsdb.path={folder / 'data'}",
                 f"--web.listen-address=127.0.0.1:{port}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
            )  # fmt: skip

    def ask(self, path: str, **arguments: str) -> Any:
        """Return the data of an answer of its API, None while there is none."""
        query = urllib.parse.urlencode(arguments)
        status, text = get(self._port, f"/api/v1/{path}?{query}")
        return json.loads(text)["data"] if status == 200 else None

    def values(self, query: str) -> list[Any]:
        """Return what a query finds."""
        found = self.ask("query", query=query)
        return list(found["result"]) if found else []

    def healthy(self, count: int) -> bool:
        """Return whether all targets have been read without an error."""
        if self._process.poll() is not None:
            pytest.fail(f"prometheus ended: {self.log.read_text()}")
        targets = (self.ask("targets") or {"activeTargets": []})["activeTargets"]
        return sum(each["health"] == "up" for each in targets) == count

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def prometheus(bus: dict[str, Any], tmp_path: Path, port: Callable[[], int]) -> Iterator[Any]:
    """A Prometheus that reads every daemon; skipped, or failed under CI, if it is not there."""
    program = shutil.which("prometheus")
    if program is None:
        text = "prometheus is not installed here: apt-get install prometheus"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(text)
    running = Prometheus(program, tmp_path / "prometheus", port(), bus["ports"])
    yield running
    running.close()


@pytest.mark.prometheus
@pytest.mark.timeout(120)
def test_prometheus_has_every_series(
    bus: dict[str, Any], prometheus: Prometheus, eventually: Wait
) -> None:
    """A real Prometheus reads all daemons without an error, and has each series with its labels."""
    daemons = [bus["start"](name) for name in bus["ports"]]
    eventually(lambda: prometheus.healthy(len(daemons)), "a scrape of every daemon", 60)
    for name, each in SERIES.items():
        asked = f"{name}_bucket" if each.kind == "histogram" else name
        found = eventually(lambda asked=asked: prometheus.values(asked), asked)
        assert set(each.labels) <= set(found[0]["metric"]), name
        family = name.removesuffix("_total")  # as OpenMetrics has it
        [about] = prometheus.ask("metadata", metric=family)[family]
        assert about["type"] == each.kind, name
    infos = prometheus.values("fedmsg_daemon_info")
    assert {each["metric"]["daemon"] for each in infos} == set(bus["ports"])
    assert [daemon.stop() for daemon in daemons] == [0] * len(daemons)
