"""What a daemon tells Prometheus, and whether it is ready."""

from __future__ import annotations

import logging
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from hubs import EMPTY, Gate, Recorder, frames, numbered, raising

from fedmsg import crypto
from fedmsg.consumers.record import Durations
from fedmsg.exceptions import ConfigurationError, MissingDependency, NoEndpointAvailable
from fedmsg.hub import metrics, series
from fedmsg.hub.central import Hub

pytest.importorskip("prometheus_client", reason="pip install '.[metrics]'")

Wait = Callable[..., Any]


class Watched:
    """A hub and its metrics."""

    def __init__(self, hub: Hub, view: series.View, port: int) -> None:
        self.hub, self.view, self._url = hub, view, f"http://127.0.0.1:{port}"

    def get(self, path: str) -> tuple[int, str]:
        """Return status and text of a page."""
        try:
            with urllib.request.urlopen(self._url + path, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def value(self, series_and_labels: str) -> float:
        """Return one value, as it is written in the page."""
        page = self.get("/metrics")[1]
        [found] = re.findall(rf"^{re.escape(series_and_labels)} (\S+)$", page, re.MULTILINE)
        return float(found)

    def begin(self) -> None:
        """The hub works now."""
        self.hub.start()
        self.view.begin(series.of_hub(self.hub), lambda: series.stalled(self.hub))


@pytest.fixture
def watched(port: Callable[[], int]) -> Iterator[Callable[..., Watched]]:
    """A function that makes a hub with metrics, not started yet."""
    ends: list[Callable[[], Any]] = []

    def run(*consumers: Any, **changes: Any) -> Watched:
        number = port()
        config = {**EMPTY, "metrics_port": number, **changes}
        serving = metrics.serving(config, "hub")
        view = serving.__enter__()
        ends.append(lambda: serving.__exit__(None, None, None))
        hub = Hub(config, consumers or [Recorder], [])
        ends.append(hub.close)
        return Watched(hub, view, number)

    yield run
    for end in reversed(ends):
        end()


def test_ready(watched: Callable[..., Watched]) -> None:
    """Before the hub has started, and from the moment it stops, it is alive but not ready."""
    daemon = watched()
    assert daemon.get("/ready") == (503, "starting\n")
    daemon.begin()
    assert daemon.get("/ready") == (200, "ready\n")
    assert daemon.value("fedmsg_ready") == 1
    daemon.view.end()
    assert daemon.get("/ready") == (503, "stopping\n")
    assert daemon.value("fedmsg_ready") == 0
    assert daemon.get("/live") == (200, "alive\n")
    assert daemon.get("/etc/passwd")[0] == 404


def test_stalled(watched: Callable[..., Watched], eventually: Wait) -> None:
    """A consumer whose queue is full is named, until it takes again."""
    daemon, gate = watched(queue_limit=2, queue_wait=0.0), Gate()
    [consumer] = daemon.hub.consumers
    consumer.act = gate
    daemon.begin()
    for each in numbered(10):
        daemon.hub.dispatcher.dispatch([each])
        assert gate.reached.wait(20)
    stalled = daemon.get("/ready")
    gate.open()
    assert stalled == (503, "stalled: Recorder\n")
    eventually(lambda: daemon.get("/ready") == (200, "ready\n"))
    dropped = daemon.value('fedmsg_consumer_dropped_total{consumer="Recorder",reason="queue full"}')
    assert dropped == consumer.dropped > 0


def test_receiving_that_ended(watched: Callable[..., Watched]) -> None:
    """A hub whose source died says so."""
    daemon = watched()
    daemon.begin()
    daemon.hub._links.stop(5)
    assert daemon.get("/ready") == (503, "receiving has ended\n")


def test_consumers(watched: Callable[..., Watched], eventually: Wait) -> None:
    """Messages, failures and times are counted, and monitoring records do not restart them."""
    daemon = watched()
    [consumer] = daemon.hub.consumers
    daemon.begin()
    daemon.hub.dispatcher.dispatch(numbered(3))
    eventually(lambda: len(consumer.got) == 3 and not consumer.backlog)
    consumer.__json__()
    consumer.act = raising(ValueError("of the test"))
    daemon.hub.dispatcher.dispatch([*numbered(2), frames("org.test", "\x00")])
    eventually(lambda: daemon.value('fedmsg_consumer_seconds_count{consumer="Recorder"}') == 6)
    assert daemon.value('fedmsg_consumer_messages_total{consumer="Recorder"}') == 6
    assert daemon.value('fedmsg_consumer_failures_total{consumer="Recorder"}') == 3
    assert daemon.value('fedmsg_queue_depth{queue="Recorder"}') == 0
    assert daemon.value('fedmsg_messages_received_total{transport="zmq"}') == 6


def test_stopped_hub_keeps_its_counters(watched: Callable[..., Watched]) -> None:
    """What consumers did can be read until the process ends."""
    daemon = watched()
    daemon.begin()
    daemon.hub.dispatcher.dispatch(numbered(3))
    daemon.hub.close()
    assert daemon.value('fedmsg_consumer_messages_total{consumer="Recorder"}') == 3


def test_verdicts(watched: Callable[..., Watched], eventually: Wait) -> None:
    """Rejections are there by reason; for a consumer, what was not valid."""
    daemon = watched(validate_signatures=True)
    daemon.begin()
    daemon.hub.dispatcher.dispatch(numbered(4))
    eventually(lambda: crypto.rejections["unsigned"] == 4)
    assert daemon.value('fedmsg_validations_total{verdict="unsigned"}') == 4
    invalid = 'fedmsg_consumer_dropped_total{consumer="Recorder",reason="invalid"}'
    eventually(lambda: daemon.value(invalid) == 4)


def test_hostile_messages_make_no_series(watched: Callable[..., Watched], eventually: Wait) -> None:
    """However many topics and ids arrive, the series stay the same, and the page is readable."""
    from prometheus_client.parser import text_string_to_metric_families as parse

    daemon = watched(expected_topics={"org": 60}, validate_signatures=True, max_message_size=500)
    daemon.begin()

    def names() -> set[Any]:
        families = parse(daemon.get("/metrics")[1])
        return {(s.name, *sorted(s.labels.items())) for f in families for s in f.samples}

    def flood(count: int) -> None:
        for n in range(count):
            topic = f'org.test."}} {n} 1\\'
            body = f'{{"topic": {n}, "crypto": "x{n}", "msg_id": "{n}", "signature": "{n}"}}'
            daemon.hub.dispatcher.dispatch(
                [frames(topic, body), [b"\xff" * 9, b"%d" % n], [b"%d" % n] * 3,
                 [b"org.test", b"x" * 600], [topic.encode(), b"\xff\xfe"],
                 frames(f"{topic}\n", body)]
            )  # fmt: skip
        eventually(lambda: not daemon.hub.consumers[0].backlog)

    flood(10)
    [consumer] = daemon.hub.consumers
    eventually(lambda: consumer.rejected == 20)
    before = names()
    flood(200)
    eventually(lambda: consumer.rejected == 420)
    assert names() == before
    assert len(before) < 100


def test_two_consumers_of_one_name(watched: Callable[..., Watched]) -> None:
    """Both have series: Prometheus takes no page with two values for one name."""
    daemon = watched(Recorder, Recorder)
    daemon.begin()
    assert daemon.value('fedmsg_queue_depth{queue="Recorder"}') == 0
    assert daemon.value('fedmsg_queue_depth{queue="Recorder-2"}') == 0


def test_a_failure_is_said(
    watched: Callable[..., Watched], caplog: pytest.LogCaptureFixture
) -> None:
    """A page that cannot be made is status 500, and the reason is in the log, once."""
    daemon = watched()
    daemon.view.begin(lambda: [series.Sample("fedmsg_nothing", 1)])
    assert daemon.get("/metrics") == (500, "failed; see the log of the daemon\n")
    assert daemon.get("/metrics")[0] == 500
    assert [r.levelno for r in caplog.records].count(logging.ERROR) == 1
    assert daemon.get("/live")[0] == 200


def test_reconnects(
    watched: Callable[..., Watched], publisher: Callable[..., Any], eventually: Wait
) -> None:
    """A publisher that goes and comes back is a connection made again, at a numeric address too."""
    first = publisher()
    daemon = watched(zmq_subscribe_endpoints=first.endpoint, zmq_reconnect_ivl=10)
    daemon.begin()
    first.joined()
    name = 'fedmsg_reconnects_total{transport="zmq"}'
    assert daemon.value(name) == 0
    first.socket.close(linger=0)
    second = eventually(lambda: bound(publisher, first.endpoint))
    second.joined()
    eventually(lambda: daemon.value(name) == 1)


def bound(publisher: Callable[..., Any], endpoint: str) -> Any:
    """Return a publisher there, None while the address is not free yet."""
    try:
        return publisher(endpoint)
    except zmq.ZMQError:
        return None


def test_off_by_default() -> None:
    """Without a port nothing is served, or measured."""
    with metrics.serving({}, "hub") as view:
        view.begin(tuple)
    with metrics.serving({"metrics_port": {"relay": 9464}}, "hub"):
        pass
    hub = Hub(EMPTY, [Recorder], [])
    hub.close()
    assert not any(isinstance(each._times, Durations) for each in hub._stopped)


def test_port_taken(port: Callable[[], int]) -> None:
    """The error names port, option, and what to do."""
    config = {"metrics_port": port()}
    with metrics.serving(config, "relay"), pytest.raises(NoEndpointAvailable) as caught:
        metrics.serving(config, "gateway").__enter__()
    for part in (str(config["metrics_port"]), "metrics_port", "{'gateway': 9464}"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"metrics_port": {"rely": 9464}}, "metrics_port names 'rely'; .*relay"),
        ({"metrics_port": 65536}, "'metrics_port': it must be a port"),
        ({"metrics_port": "http"}, "'metrics_port'"),
        ({"metrics_port": 9464, "metrics_host": "localhost"}, "metrics_host must be an IP address"),
    ],
)
def test_wrong_options(config: dict[str, Any], text: str) -> None:
    """The error names the option and the value."""
    with pytest.raises(ConfigurationError, match=text):
        metrics.serving(config, "hub").__enter__()


def test_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without prometheus_client the error names the extra."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingDependency, match=re.escape("pip install '.[metrics]'")):
        metrics.serving({"metrics_port": 9464}, "hub").__enter__()


def test_not_loopback(port: Callable[[], int], caplog: pytest.LogCaptureFixture) -> None:
    """An address that others reach is warned of."""
    config = {"metrics_port": port(), "metrics_host": "0.0.0.0"}
    with metrics.serving(config, "hub"):
        assert "whoever reaches it can read" in caplog.text


def test_histogram() -> None:
    """Times are counted up to each bound, and the latest are kept as before."""
    times = Durations()
    for seconds in (0.00005, 0.001, 0.3, 100.0):
        times.append(seconds)
    buckets, total = times.histogram()
    assert dict(buckets) == {
        "0.0001": 1, "0.001": 2, "0.005": 2, "0.01": 2, "0.05": 2, "0.1": 2, "0.5": 3, "1.0": 3,
        "5.0": 3, "10.0": 3, "60.0": 3, "+Inf": 4,
    }  # fmt: skip
    assert (total, list(times)) == (pytest.approx(100.30105), [0.00005, 0.001, 0.3, 100.0])
