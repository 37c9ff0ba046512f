"""A real Prometheus that reads every daemon, and finds all that is promised of each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prometheus_client", reason="pip install '.[metrics]'")
pytest.importorskip("sqlalchemy", reason="pip install '.[sql]'")
pytest.importorskip("cryptography", reason="pip install '.[crypto]'")
pytest.importorskip("starlette", reason="pip install '.[web]'")
pytest.importorskip("pika", reason="pip install '.[bridge]'")

from pki import Pki
from scraping import get

from fedmsg.hub.series import DAEMONS, SERIES

#: Of every daemon.
COMMON = {"daemon_info", "ready", "validations_total"}
FLOW = {"messages_received_total", "messages_sent_total", "messages_dropped_total"}
OUTLET = {"overflows_total", "accept_failures_total"}
PROMISED = {
    "relay": {*FLOW, *OUTLET, "queue_depth"},
    "signing-relay": {*FLOW, *OUTLET, "queue_depth"},
    "gateway": {*FLOW, *OUTLET, "reconnects_total"},
    "hub": {
        *FLOW, *OUTLET, "reconnects_total", "unconfirmed_messages", "queue_depth",
        "consumer_messages_total", "consumer_failures_total", "consumer_dropped_total",
        "consumer_seconds", "topic_silent", "topic_silence_seconds",
    },
    "replay-server": {"messages_sent_total", "replay_requests_total"},
    "web": {"messages_received_total", "messages_dropped_total", "queue_depth"},
    "bridge": {
        *FLOW, "reconnects_total", "unconfirmed_messages", "queue_depth", "bridge_carried_total",
        "bridge_store_total",
    },
}  # fmt: skip


@pytest.fixture
def daemons(
    command: Callable[..., Any], config_file: Callable[..., str], address: Callable[[], str],
    port: Callable[[], int], daemons_config: dict[str, Any], pki: Pki, tmp_path: Path,
) -> dict[str, int]:  # fmt: skip
    """Every daemon there is, started, with the port of its metrics; the bridge has no broker."""
    ports = {name: port() for name in DAEMONS}
    endpoints = {**daemons_config["endpoints"], "bridge": [address()]}
    common = {**daemons_config, "endpoints": endpoints, "metrics_port": ports}
    own: dict[str, dict[str, Any]] = {
        "signing-relay": {
            **pki.config, "certnames": {"signing_relay": "leaf"}, "relay_inbound": address(),
            "endpoints": {"relay_outbound": [address()]},
        },
        "bridge": {
            "bridge_amqp_url": f"amqp://127.0.0.1:{port()}/", "persistent_store": None,
            "bridge_position_file": str(tmp_path / "position.json"),
        },
        "web": {"web_port": port()},
    }  # fmt: skip
    for name in DAEMONS:
        more = ["--with-consumers=bus_consumers:Printing"] if name == "hub" else []
        path = config_file(**{**common, **own.get(name, {})})
        command(f"fedmsg-{name}", f"--config-filename={path}", *more)
    return ports


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
def prometheus(
    daemons: dict[str, int], tmp_path: Path, port: Callable[[], int]
) -> Iterator[Prometheus]:
    """A Prometheus that reads every daemon; skipped, or failed under CI, if it is not there."""
    program = shutil.which("prometheus")
    if program is None:
        text = "prometheus is not installed here: apt-get install prometheus"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(text)
    running = Prometheus(program, tmp_path / "prometheus", port(), daemons)
    yield running
    running.close()


@pytest.mark.prometheus
@pytest.mark.timeout(180)
def test_prometheus_has_every_series(
    daemons: dict[str, int], prometheus: Prometheus, eventually: Callable[..., Any]
) -> None:
    """It reads all daemons without an error, and has what is promised of each with its labels."""
    eventually(lambda: prometheus.healthy(len(daemons)), "a scrape of every daemon", 90)
    for daemon, names in PROMISED.items():
        for name in sorted(COMMON | names):
            each = SERIES[f"fedmsg_{name}"]
            suffix = "_bucket" if each.kind == "histogram" else ""
            asked = f'fedmsg_{name}{suffix}{{job="{daemon}"}}'
            found = eventually(lambda asked=asked: prometheus.values(asked), asked, 20)
            assert set(each.labels) <= set(found[0]["metric"]), asked
    for name, each in SERIES.items():
        family = name.removesuffix("_total")  # as OpenMetrics has it
        [about] = prometheus.ask("metadata", metric=family)[family]
        assert about["type"] == each.kind, name


def test_every_daemon_and_series_is_promised() -> None:
    """The table above leaves nothing out."""
    assert set(PROMISED) == set(DAEMONS)
    assert {f"fedmsg_{name}" for name in COMMON.union(*PROMISED.values())} == set(SERIES)
