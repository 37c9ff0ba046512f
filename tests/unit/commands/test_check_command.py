"""``fedmsg-check``: texts and exit status (commands.md 6)."""

from __future__ import annotations

import json
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
import zmq

pytest.importorskip("click")
from click.testing import CliRunner, Result

from fedmsg.commands import check, check_script


def record(name: str, initialized: bool = True) -> dict[str, Any]:
    """Return what a daemon says of one consumer."""
    return {"name": name, "initialized": initialized}


REPORT = {
    "consumers": [record("Good"), record("Idle", False)],
    "producers": [record("MonitoringProducer"), record("IdleProducer", False)],
}
ALL = json.dumps(REPORT, indent=2, sort_keys=True)


@contextmanager
def daemon(endpoint: str, frame: bytes) -> Iterator[None]:
    """Publish a report again and again."""
    context: zmq.Context[Any] = zmq.Context()
    stop = threading.Event()
    sock = context.socket(zmq.PUB)
    sock.bind(endpoint)

    def publish() -> None:
        while not stop.wait(0.01):
            sock.send(frame)
        sock.close(linger=0)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
        context.term()


@pytest.fixture
def run(address: Callable[[], str]) -> Callable[..., Result]:
    """A function that runs the command beside a daemon that sends a frame."""

    def start(*arguments: str, frame: bytes = json.dumps(REPORT).encode()) -> Result:
        endpoint = address()
        config = {"moksha.monitoring.socket": endpoint}
        with daemon(endpoint, frame), mock.patch.object(check, "load_config", return_value=config):
            return CliRunner().invoke(check.check, ["--timeout=20", *arguments])

    return start


def test_all_are_shown(run: Callable[..., Result]) -> None:
    """Nothing named: JSON of everything, sorted, status 0."""
    done = run()
    first = "No consumers or producers specified so all will be shown.\n"
    assert (done.exit_code, done.output) == (0, f"{first}{ALL}\n")


def test_named_and_active(run: Callable[..., Result]) -> None:
    """Status 0."""
    done = run("-c", "Good", "--producer", "MonitoringProducer")
    assert (done.exit_code, done.output) == (
        0, f"All consumers and producers are active!\n{ALL}\n",
    )  # fmt: skip


def test_missing(run: Callable[..., Result]) -> None:
    """Each is named; missing wins over not initialised, wherever it is."""
    done = run("-c", "Idle", "-c", "None", "-p", "Nothing")
    assert done.exit_code == 1
    assert done.output == (
        '"None" is not active!\n"Nothing" is not active!\n"Idle" is not initialized!\n'
        "Error: Some consumers and/or producers are missing!\n"
    )


def test_not_initialized(run: Callable[..., Result]) -> None:
    """Each is named."""
    done = run("-c", "Idle", "-p", "IdleProducer", "-c", "Good")
    assert (done.exit_code, done.output) == (
        1,
        '"Idle" is not initialized!\n"IdleProducer" is not initialized!\n'
        "Error: Some consumers and/or producers are uninitialized!\n",
    )


@pytest.mark.parametrize(
    "frame", [b"", b"\xff", b"[]", b"null", b'{"consumers": [1], "producers": []}', b"[" * 100_000]
)
def test_garbage(run: Callable[..., Result], frame: bytes) -> None:
    """Status 1 and a text (KD-14)."""
    done = run(frame=frame)
    assert done.exit_code == 1
    assert "is no report" in done.output


def test_nothing_is_configured() -> None:
    """The key is named."""
    with mock.patch.object(check, "load_config", return_value={}) as load:
        done = CliRunner().invoke(check.check)
    load.assert_called_once_with()
    assert (done.exit_code, done.output) == (
        1,
        "Error: No monitoring endpoint has been configured: please set"
        ' "moksha.monitoring.socket"\n',
    )


def test_nothing_comes(address: Callable[[], str]) -> None:
    """Status 1 after the time-out."""
    config = {"moksha.monitoring.socket": (endpoint := address())}
    with mock.patch.object(check, "load_config", return_value=config):
        done = CliRunner().invoke(check.check, ["--timeout=0"])
    assert (done.exit_code, done.output) == (
        1,
        f"Error: Failed to receive message from the monitoring endpoint ({endpoint}) in 0"
        " seconds.\n",
    )


def test_address_that_is_none() -> None:
    """Status 1."""
    with mock.patch.object(check, "load_config", return_value={"moksha.monitoring.socket": "x"}):
        done = CliRunner().invoke(check.check)
    assert (done.exit_code, "Cannot connect" in done.output) == (1, True)


def test_configuration_file(address: Callable[[], str], config_file: Callable[..., str]) -> None:
    """``--config-filename`` is honoured (KD-14)."""
    endpoint = address()
    path = config_file(endpoints={}, **{"moksha.monitoring.socket": endpoint})
    with daemon(endpoint, json.dumps(REPORT).encode()), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of load_config
        done = CliRunner().invoke(check.check, ["--timeout=20", f"--config-filename={path}"])
    assert done.exit_code == 0


def test_without_click_the_extra_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``fedmsg-check`` on a bare install says in one line what to install."""
    monkeypatch.setitem(sys.modules, "click", None)
    monkeypatch.delitem(sys.modules, "fedmsg.commands.check", raising=False)
    assert check_script.main() == 1
    assert (
        "install this package with its extra: pip install '.[commands]'" in capsys.readouterr().err
    )
