"""``fedmsg-web``, as a process."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from parts import Publisher
from pki import Pki, message

from fedmsg import crypto


@pytest.fixture
def start(
    command: Callable[..., Any], config_file: Callable[..., str]
) -> Callable[..., tuple[Any, str]]:
    """A function that starts the command; returns it and the address of its page."""

    def run(*arguments: str, env: dict[str, str] | None = None, **config: Any) -> tuple[Any, str]:
        path = f"--config-filename={config_file(**config)}"
        started = command("fedmsg-web", path, *arguments, env={**os.environ, **(env or {})})
        started.says("serving the page on http://")
        found = re.search(r"http://[^/]+/", started.stdout)
        assert found
        return started, found[0]

    return run


def events(url: str, wanted: str, filter_: str = "") -> Any:
    """Return the data of the first event of a kind."""
    with urllib.request.urlopen(f"{url}events{filter_}", timeout=20) as answer:
        kind = b""
        for line in answer:
            if line.startswith(b"event: "):
                kind = line[7:].strip()
            elif line.startswith(b"data: ") and kind == wanted.encode():
                return json.loads(line[6:])
    raise AssertionError("the stream ended")


def test_metrics(start: Callable[..., Any], address: Callable[[], str]) -> None:
    """They are on a port of their own, as those of the other daemons."""
    pytest.importorskip("prometheus_client")
    port = int(address().rpartition(":")[2])
    started, _ = start("--port=0", endpoints={}, metrics_port={"web": port})
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    assert 'fedmsg_daemon_info{daemon="web"} 1.0' in text
    assert 'fedmsg_messages_received_total{transport="zmq"} 0.0' in text
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=20) as answer:
        assert answer.status == 200
    started.process.send_signal(signal.SIGTERM)
    assert started.process.wait(20) == 0


def test_shows_signed_and_other_messages(
    start: Callable[..., Any], publisher: Callable[..., Publisher], pki: Pki,
    address: Callable[[], str],
) -> None:  # fmt: skip
    """Verdicts, words, gaps and rejections of what is on the bus."""
    source = publisher()
    started, url = start(
        "--port=0", endpoints={"me": [source.endpoint]}, replay_endpoints={"me": address()},
        validate_signatures=True, **pki.config,
    )  # fmt: skip
    source.joined()
    topic = "org.fedoraproject.dev.logger.log"
    signed = crypto.sign(message(topic=topic, msg={"log": "it runs"}, seq_id=1), **pki.config)
    forged = {**signed, "msg": {"log": "it burns"}}
    plain = message(topic=topic, msg={"log": "it walks"}, seq_id=5)
    frames = [[topic.encode(), json.dumps(each).encode()] for each in (signed, forged, plain)]
    source.send([b"bad", b"{"], *frames)
    found = events(url, "messages")["messages"]
    while len(found) < 3:
        found = events(url, "messages")["messages"]
    assert [each["reason"] for each in found] == ["", "signature mismatch", "unsigned"]
    assert found[0]["valid"]
    assert found[0]["signer"] == "leaf"
    assert "it runs" in found[0]["words"]
    state = events(url, "state")
    while not state["verdicts"].get("unsigned"):
        state = events(url, "state")
    assert state["rejected"] == {"body is not JSON": 1}
    assert state["gaps"][0]["missing"] == 3
    assert started.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_at_a_signal(
    start: Callable[..., Any], address: Callable[[], str], number: int, tmp_path: Any
) -> None:
    """With status 0, also while a browser looks; and systemd is told of both."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "n"))
        told.settimeout(20)
        started, url = start(
            "--port=0", endpoints={"me": [address()]}, env={"NOTIFY_SOCKET": str(tmp_path / "n")}
        )
        assert told.recv(100) == b"READY=1"
        with urllib.request.urlopen(f"{url}events", timeout=20) as answer:
            assert answer.readline()
            assert started.stop(number) == 0
        assert told.recv(100) == b"STOPPING=1"
    assert "Traceback" not in started.stdout + started.stderr


def test_port_is_taken(
    command: Callable[..., Any], config_file: Callable[..., str], address: Callable[[], str]
) -> None:
    """One line names it; the status is 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        path = config_file(endpoints={"me": [address()]}, web_port=taken.getsockname()[1])
        done = command("fedmsg-web", f"--config-filename={path}")
        assert done.wait() == 1
    assert "web_port" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("web_rate", 0), ("web_chart_seconds", "x"), ("web_kept", -1), ("web_hosts", "a"),
        ("crypto_backend", "none"), ("web_monitoring", ["nonsense"]),
    ],
)  # fmt: skip
def test_wrong_options(
    command: Callable[..., Any], config_file: Callable[..., str], address: Callable[[], str],
    option: str, value: Any,
) -> None:  # fmt: skip
    """Each is named in one line; the status is 1."""
    path = config_file(endpoints={"me": [address()]}, web_port=0, **{option: value})
    done = command("fedmsg-web", f"--config-filename={path}")
    assert done.wait() == 1
    assert option in done.stderr


def test_without_the_extra(config_file: Callable[..., str], address: Callable[[], str]) -> None:
    """The extra is named; the status is 1."""
    script = (
        "import sys; sys.modules['uvicorn'] = None; from fedmsg.commands.web import web;"
        " sys.argv[1:] = [sys.argv[1]]; sys.exit(web())"
    )
    path = f"--config-filename={config_file(endpoints={'me': [address()]})}"
    done = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 1
    assert "pip install '.[web]'" in done.stderr
