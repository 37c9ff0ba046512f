"""Reports of daemons, and of whoever else sends to these addresses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from parts import Publisher

from fedmsg.exceptions import ConfigurationError
from fedmsg.hub.monitoring import MonitoringProducer, Watched
from fedmsg.web.monitoring import Monitoring


@pytest.fixture
def listening() -> Iterator[Callable[..., Monitoring]]:
    """A function that listens to addresses."""
    made: list[Monitoring] = []

    def start(*addresses: str) -> Monitoring:
        made.append(Monitoring(addresses))
        return made[-1]

    yield start
    for each in made:
        each.close()


class Recorded:
    """A consumer's record, with numbers of our choice."""

    def __init__(self, **record: Any) -> None:
        self.record = record

    def __json__(self) -> dict[str, Any]:
        return self.record


def test_reports_of_a_daemon(
    listening: Callable[..., Monitoring], address: Callable[[], str],
    eventually: Callable[..., Any], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Backlog and drops are the latest, errors are added up; a silent address is named."""
    monkeypatch.setattr(MonitoringProducer, "frequency", 0.05)
    endpoint, silent = address(), address()
    record = Recorded(name="Builds", module="m", backlog=5, exceptions=2, dropped_total=7)
    found = listening(endpoint, silent, endpoint)
    producer = MonitoringProducer(Watched({"moksha.monitoring.socket": endpoint}, record))
    try:
        eventually(lambda: (rows := found.report()["consumers"]) and rows[0]["errors"] >= 4)
    finally:
        producer.stop()
    [row] = found.report()["consumers"]
    assert row["errors"] % 2 == 0
    del row["errors"]
    assert row == {
        "address": endpoint, "name": "Builds", "module": "m", "initialized": True,
        "backlog": 5, "dropped": 7,
    }  # fmt: skip
    ages = {each["address"]: each["age"] for each in found.report()["monitored"]}
    assert set(ages) == {endpoint, silent}
    assert ages[endpoint] >= 0
    assert ages[silent] is None


def test_hostile_reports(
    listening: Callable[..., Monitoring], publisher: Callable[..., Publisher],
    eventually: Callable[..., Any],
) -> None:  # fmt: skip
    """What is no report is ignored, and of what is one only so much is kept."""
    source = publisher()
    found = listening(source.endpoint)
    source.joined()
    strange = [
        b"\xff", b"{", b"[]", b'{"consumers": 5}', b'{"consumers": [1, "x", null]}',
        b"[" * 100_000, b"x" * 900_000, b'{"consumers": [{"exceptions": 1e999, "backlog": "x"}]}',
    ]  # fmt: skip
    source.send(*([each] for each in strange))
    row = {"name": "<b>" + "n" * 5000, "module": ["m"], "exceptions": -5, "backlog": 10**400}
    source.send([b"topic", json.dumps({"consumers": [row] * 150}).encode()])
    rows = eventually(lambda: len(found.report()["consumers"]) == 100 and found.report())
    [shown] = {json.dumps(each) for each in rows["consumers"]}
    assert len(shown) < 500
    assert '"backlog": null' in shown
    assert '"errors": 0' in shown


@pytest.mark.parametrize("wrong", ["nonsense", "tcp://", "tcp://127.0.0.1:x"])
def test_no_address(wrong: str) -> None:
    """The error names the option and the value."""
    with pytest.raises(ConfigurationError, match=f"web_monitoring: .*{wrong}"):
        Monitoring(["tcp://127.0.0.1:9", wrong])
