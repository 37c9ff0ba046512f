"""The main job, as users run it: relay, logger and tail as processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import zmq

import fedmsg

Start = Callable[..., Any]


@pytest.fixture
def bus(config_file: Callable[..., str], address: Callable[[], str]) -> str:
    """A configuration file for a relay on free ports."""
    return config_file(endpoints={"relay_outbound": [address()]}, relay_inbound=address())


@pytest.fixture
def relay(command: Start, bus: str) -> Any:
    """A relay that is ready."""
    running = command("fedmsg-relay", f"--config-filename={bus}")
    running.says("relaying from")
    return running


def settings(bus: str) -> dict[str, Any]:
    """Return what a configuration file says, with defaults."""
    with pytest.warns(DeprecationWarning):
        return fedmsg.config.load_config(filenames=[bus], invalidate_cache=True)


@pytest.fixture
def tailing(command: Start, bus: str, relay: Any, eventually: Callable[..., Any]) -> Start:
    """A function that starts a tail and returns when it is connected."""

    def start(*options: str, **kw: Any) -> Any:
        running = command("fedmsg-tail", f"--config-filename={bus}", *options, **kw)
        join(bus, running, eventually)
        return running

    return start


def join(bus: str, running: Any, eventually: Callable[..., Any]) -> None:
    """Publish probes until the tail shows one."""
    context = fedmsg.init(**{**settings(bus), "active": True, "name": "relay_inbound"})
    eventually(
        lambda: context.publish("probe", {}, "test") or "test.probe" in running.stdout,
        "a probe on the tail's output",
    )
    fedmsg.destroy()


def bodies(running: Any) -> list[Any]:
    """Return the payloads that a tail with --json printed, without probes."""
    lines = [json.loads(line) for line in running.stdout.splitlines()]
    return [line["msg"] for line in lines if not line["topic"].endswith("probe")]


def log(bus: str, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run fedmsg-logger on some input."""
    path = os.path.join(os.path.dirname(sys.executable), "fedmsg-logger")
    return subprocess.run(
        [path, f"--config-filename={bus}", *options],
        input=text, text=True, capture_output=True, timeout=30, encoding="utf-8",
    )  # fmt: skip


def test_logger_to_tail(bus: str, tailing: Start, eventually: Callable[..., Any]) -> None:
    """Every line arrives, in order, empty and non-ASCII ones too; the logger prints nothing."""
    tail = tailing("--json")
    done = log(bus, "one\n\nthré\n")
    eventually(lambda: len(bodies(tail)) == 3, "three messages")
    assert (done.stdout, done.returncode, bodies(tail)) == (
        "", 0, [{"log": "one"}, {"log": ""}, {"log": "thré"}],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "options", "sent"),
    [
        ('{"a": [1]}', ["--json-input"], [{"a": [1]}]),
        ("0", ["--json-input"], [0]),
        ("null", ["--json-input"], [None]),
        ("", ["--message=hello"], [{"log": "hello"}]),
        ('{"a": 1}\n[]\n', ["--json-lines"], [{"a": 1}, []]),
    ],
)
def test_logger_input(
    bus: str, tailing: Start, eventually: Callable[..., Any], text: str, options: list[str],
    sent: list[Any],
) -> None:  # fmt: skip
    """Text, one document, or a document a line; the value given is the value sent."""
    tail = tailing("--json")
    assert log(bus, text, *options).returncode == 0
    eventually(lambda: len(bodies(tail)) == len(sent), "the messages")
    assert bodies(tail) == sent


def test_logger_topic_and_module(bus: str, tailing: Start, eventually: Callable[..., Any]) -> None:
    """--topic and --modname are the last two parts."""
    tail = tailing("--json")
    log(bus, "x\n", "--topic=deploy.done", "--modname=ops")
    eventually(lambda: bodies(tail), "a message")
    assert "org.fedoraproject.dev.ops.deploy.done" in tail.stdout


def test_logger_without_relay(bus: str) -> None:
    """Exit status 1 and one line that names the address; no traceback."""
    done = log(bus, "lost?\n", "--timeout=0.5")
    address = settings(bus)["relay_inbound"]
    assert (done.returncode, address in done.stderr, "Traceback" in done.stderr) == (1, True, False)


def test_logger_with_bad_json(bus: str, relay: Any) -> None:
    """Exit status 1, and the text says what is wrong."""
    done = log(bus, "{", "--json-input")
    assert (done.returncode, "is not a JSON document" in done.stderr) == (1, True)


def test_logger_prints_ids_when_asked(bus: str, relay: Any) -> None:
    """--print-id gives scripts one id a message."""
    assert len(log(bus, "a\nb\n", "--print-id").stdout.split()) == 2


def test_tail_count_and_for(bus: str, tailing: Start) -> None:
    """--count ends it with status 0 when there were enough, --for with 1 when not."""
    tail = tailing("--json", "--count=100", "--for=1")
    assert tail.wait() == 1


def test_tail_count_reached(bus: str, tailing: Start) -> None:
    """The probe that joins it is the one message it waits for."""
    assert tailing("--json", "--count=1").wait() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_tail_ends_cleanly(tailing: Start, number: int) -> None:
    """Ctrl-C and SIGTERM: status 0 and no traceback."""
    tail = tailing()
    assert (tail.stop(number), "Traceback" in tail.stderr) == (0, False)


def test_tail_into_a_closed_pipe(
    bus: str, relay: Any, command: Start, eventually: Callable[..., Any]
) -> None:
    """When the reader goes away, tail goes away quietly."""
    path = os.path.join(os.path.dirname(sys.executable), "fedmsg-tail")
    with subprocess.Popen(
        [path, f"--config-filename={bus}", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as tail:
        assert tail.stdout is not None and tail.stderr is not None
        tail.stdout.close()
        context = fedmsg.init(**{**settings(bus), "active": True, "name": "relay_inbound"})
        try:
            eventually(
                lambda: context.publish("probe", {}, "test") or tail.poll() is not None, "its end"
            )
        finally:
            tail.kill()
        assert (tail.returncode, b"Traceback" in tail.stderr.read()) == (0, False)


def test_tail_default_line(tailing: Start) -> None:
    """The line of 1.1.7: date, logger, level, and the Python repr."""
    line = tailing().stdout.splitlines()[0]
    assert re.match(r"\[20[-\d]+ [:\d]+\]\[fedmsg\.commands    INFO\] \{'i': ", line)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_relay_ends_with_status_0(relay: Any, number: int) -> None:
    """A signal asks it to stop; it says how much it relayed."""
    assert (relay.stop(number), "relayed 0 messages" in relay.stdout) == (0, True)


def test_relay_passes_on_what_it_has_at_the_end(bus: str, relay: Any, subscriber: Any) -> None:
    """20,000 messages on their way when SIGTERM comes: all of them arrive."""
    where = settings(bus)
    sub = subscriber(where["endpoints"]["relay_outbound"][0])
    context = fedmsg.init(**{**where, "active": True, "name": "relay_inbound"})
    while not sub.socket.poll(20):
        context.publish("probe", {}, "test")
    for number in range(20_000):
        context.publish("n", {"n": number}, "test")
    relay.process.send_signal(signal.SIGTERM)
    seen: list[int] = []
    while len(seen) < 20_000:
        message = json.loads(sub.receive()[1])
        if "n" in message["msg"]:
            seen.append(message["msg"]["n"])
    assert (seen, relay.wait()) == (list(range(20_000)), 0)


@pytest.mark.parametrize("which", ["inbound", "outbound"])
def test_relay_with_a_port_taken(
    bus: str, command: Start, zmq_context: zmq.Context[Any], which: str
) -> None:
    """Exit status 1 and the address on standard error: never a deaf daemon."""
    where = settings(bus)
    taken = {"inbound": where["relay_inbound"],
             "outbound": where["endpoints"]["relay_outbound"][0]}[which]  # fmt: skip
    zmq_context.socket(zmq.PUB).bind(taken)
    second = command("fedmsg-relay", f"--config-filename={bus}")
    assert (second.wait(), taken in second.stderr, "Traceback" in second.stderr) == (1, True, False)


def test_relay_uses_the_next_outbound_address(
    command: Start, config_file: Callable[..., str], address: Callable[[], str],
    zmq_context: zmq.Context[Any],
) -> None:  # fmt: skip
    """The first that is free."""
    taken, free = address(), address()
    zmq_context.socket(zmq.PUB).bind(taken)
    file = config_file(endpoints={"relay_outbound": [taken, free]}, relay_inbound=address())
    command("fedmsg-relay", f"--config-filename={file}").says(f"to {free}")


def test_relay_monitoring(
    command: Start, config_file: Callable[..., str], address: Callable[[], str],
    tmp_path: Any, zmq_context: zmq.Context[Any],
) -> None:  # fmt: skip
    """The heart-beat has the record of the relay consumer."""
    socket = f"ipc://{tmp_path / 'relay.socket'}"
    file = config_file(
        **{
            "endpoints": {"relay_outbound": [address()]},
            "relay_inbound": address(),
            "moksha.monitoring.socket": socket,
        }
    )
    command("fedmsg-relay", f"--config-filename={file}").says("relaying from")
    sub = zmq_context.socket(zmq.SUB)
    sub.setsockopt(zmq.SUBSCRIBE, b"")
    sub.connect(socket)
    assert sub.poll(15_000), "no heart-beat"
    report = json.loads(sub.recv())
    assert [record["name"] for records in report.values() for record in records] == [
        "RelayConsumer", "MonitoringProducer",
    ]  # fmt: skip


@pytest.mark.usefixtures("default_ports")
def test_tail_keeps_its_output_clean(command: Start) -> None:
    """What it has to say about its configuration goes to standard error."""
    tail = command("fedmsg-tail", "--json", "--for=0.1")
    assert (tail.wait(), tail.stdout, "Nothing is configured" in tail.stderr) == (0, "", True)
