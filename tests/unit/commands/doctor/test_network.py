"""What the doctor says of addresses."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from fedmsg.commands.checks import ports

NOWHERE = "tcp://no-such-host.invalid:4000"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which this process listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_names_that_do_not_resolve(diagnose: Any) -> None:
    """Each is named with its address."""
    report = diagnose("--as=subscriber", endpoints={"a": [NOWHERE]})
    assert report.status == 2
    assert report.having("error", f"{NOWHERE}: 'no-such-host.invalid' does not resolve")


@pytest.mark.parametrize("text", ["tcp://host", "host:1", "tcp://h:99999"])
def test_malformed_addresses(diagnose: Any, text: str) -> None:
    """The address and the form that it should have."""
    report = diagnose("--as=subscriber", endpoints={"a": [text]})
    [finding] = [each for each in report.findings if each["level"] == "error"]
    assert text in finding["text"]
    assert finding["remedy"] == "write it as 'tcp://host:port'"


def test_subscriber(diagnose: Any, publisher: Any, address: Any) -> None:
    """One that answers is enough for a name; nobody at all is a warning."""
    source, silent, other = publisher(), address(), address()
    report = diagnose("--as=subscriber", endpoints={"a": [silent, source.endpoint], "b": [other]})
    assert report.status == 1
    assert report.having("ok", f"a: {source.endpoint} answers")
    assert report.having("warning") == [f"b: nobody answers at {other}"]


def test_publisher_without_relay(diagnose: Any, address: Any) -> None:
    """Within a second."""
    inbound = address()
    report = diagnose("--as=publisher", relay_inbound=inbound)
    assert report.having("error", f"no relay answers within 1 s at {inbound}")


def test_publisher_with_relay(diagnose: Any, relay: Any, address: Any) -> None:
    """One of several addresses answers; nothing is sent to it."""
    there = relay(address())
    report = diagnose("--as=publisher", relay_inbound=[address(), there.endpoint])
    assert (report.status, report.problems) == (0, [])
    assert report.having("ok", f"a relay answers at {there.endpoint}")
    assert there.arrived() == []


def test_publisher_without_relay_inbound(diagnose: Any) -> None:
    """Where an address is needed, its absence is an error."""
    report = diagnose("--as=publisher", active=True)
    assert report.having("error", "'relay_inbound' is not configured")


def test_publisher_that_binds(diagnose: Any, taken: int, address: Any) -> None:
    """A port that is taken is a warning as long as another one is free; the process is named."""
    here = f"tcp://127.0.0.1:{taken}"
    report = diagnose("--as=publisher", "--name=me", endpoints={"me": [here, address()]})
    assert report.status == 1
    assert report.having("warning", f"endpoints['me']: {here} is taken by ")
    assert report.having("warning", f"({os.getpid()})")
    report = diagnose("--as=publisher", "--name=me", endpoints={"me": [here]})
    assert report.status == 2


def test_publisher_that_nobody_knows(diagnose: Any) -> None:
    """A name without addresses cannot publish."""
    report = diagnose("--as=publisher", "--name=me", endpoints={})
    assert report.having("error", "endpoints['me'] is not configured")


def test_relay_with_free_ports(diagnose: Any, address: Any) -> None:
    """Nothing is wrong."""
    report = diagnose(
        "--as=relay", relay_inbound="tcp://*:" + address().rpartition(":")[2],
        endpoints={"relay_outbound": [address()]},
    )  # fmt: skip
    assert (report.status, report.problems) == (0, [])


def test_relay_with_taken_ports(diagnose: Any, taken: int, address: Any) -> None:
    """The inbound port has to be free; of the outbound ports one is enough."""
    here = f"tcp://127.0.0.1:{taken}"
    report = diagnose(
        "--as=relay", relay_inbound=f"tcp://*:{taken}",
        endpoints={"relay_outbound": [here, address()]},
    )  # fmt: skip
    assert report.having("error", f"relay_inbound: tcp://*:{taken} is taken by ")
    assert report.having("warning", f"endpoints['relay_outbound']: {here} is taken by ")


def test_relay_elsewhere(diagnose: Any, address: Any) -> None:
    """Addresses of another machine cannot be bound; the word localhost is refused."""
    report = diagnose(
        "--as=relay", relay_inbound="tcp://192.0.2.1:2001",
        endpoints={"relay_outbound": [address().replace("127.0.0.1", "localhost")]},
    )  # fmt: skip
    assert report.having("error", "tcp://192.0.2.1:2001 is no address of this machine")
    assert not report.having("ok", "192.0.2.1")
    assert report.having("error", "'localhost' in endpoints['relay_outbound'] is not allowed")


def test_relay_without_addresses(diagnose: Any) -> None:
    """Both keys are needed."""
    report = diagnose("--as=relay", endpoints={})
    assert report.having("error", "relay_inbound is not configured")
    assert report.having("error", "endpoints['relay_outbound'] is not configured")


def test_relay_that_runs(diagnose: Any, command: Any, config_file: Any, address: Any) -> None:
    """It has its ports, and that is in order; a publisher finds it."""
    config: dict[str, Any] = {
        "relay_inbound": address(), "endpoints": {"relay_outbound": [address()]},
    }  # fmt: skip
    running = command("fedmsg-relay", f"--config-filename={config_file(**config)}")
    running.says("relaying from")
    report = diagnose("--as=relay", **config)
    assert (report.status, report.problems) == (0, [])
    assert len(report.having("ok", f"a relay runs, fedmsg-relay ({running.process.pid})")) == 2
    assert diagnose(**config).problems == []


def test_unix_sockets(diagnose: Any, publisher: Any, tmp_path: Any) -> None:
    """They have no port, and may be taken or answer all the same."""
    path = f"ipc://{tmp_path}/s"
    publisher(path)
    endpoints = {"me": [path]}
    assert diagnose("--as=subscriber", endpoints=endpoints).having("ok", f"me: {path} answers")
    report = diagnose("--as=publisher", "--name=me", endpoints=endpoints)
    assert report.having("error", f"{path} is taken by another process")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_proc_says_what_psutil_says(host: str) -> None:
    """Without psutil the same is read from /proc."""
    psutil = pytest.importorskip("psutil")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        server = socket.create_server((host, 0), family=family)
    except OSError as error:
        pytest.skip(f"no {host} on this machine: {error}")
    with server:
        port = server.getsockname()[1]
        for found in (ports._from_proc("/proc"), ports._from_psutil(psutil)):
            [mine] = [each for each in found if each.port == port
                      and each.owner.endswith(f"({os.getpid()})")]  # fmt: skip
            assert mine.host == host


def test_brokers(diagnose: Any, taken: int, address: Any) -> None:
    """With STOMP one broker has to be reachable, and zeromq's addresses do not count."""
    there, away = f"127.0.0.1:{taken}", address().removeprefix("tcp://")
    config = {"zmq_enabled": False, "relay_inbound": address(), "endpoints": {"a": [NOWHERE]}}
    report = diagnose("--as=subscriber", stomp_uri=f"{away},{there}", **config)
    assert report.having("ok", f"{there} accepts connections")
    assert report.having("warning", f"{away} is not reachable")
    assert not [text for text in report.problems if "no-such-host" in text]
    report = diagnose(stomp_uri=f"{away}, nonsense", **config)
    assert report.having("error", "nonsense is not reachable")
    assert diagnose(**config).having("error", "'stomp_uri' is not set")
