"""``fedmsg-dg-replay`` with a real relay, and a real server as datagrepper is."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import zmq

MSG_ID = "2013-4e5e9b3a-6e2a-4b1d-b1d5-0a2f2e6a1c11"
ARCHIVED = {
    "topic": "org.fedoraproject.prod.git.receive.x", "msg": {"n": 1}, "msg_id": MSG_ID, "i": 3,
    "timestamp": 1, "username": "apache", "source_name": "datanommer",
}  # fmt: skip


class Datagrepper(http.server.ThreadingHTTPServer):
    """Answers ``/id?id=...`` as datagrepper does; what is asked for is kept."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, bytes] = {MSG_ID: json.dumps(ARCHIVED).encode()}
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/datagrepper"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Datagrepper

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        parts = urlsplit(self.path)
        answer = self.server.answers.get(parse_qs(parts.query).get("id", [""])[0])
        found = answer is not None and parts.path == "/datagrepper/id"
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(answer if found and answer is not None else b"{}")

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def datagrepper() -> Iterator[Datagrepper]:
    """A running server."""
    with Datagrepper() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Bus:
    """A relay as a process, and a subscriber to it."""

    def __init__(self, command: Any, config_file: Any, address: Any, subscriber: Any) -> None:
        self._command = command
        self.inbound, self.outbound = address(), address()
        self.file = config_file(**self.config())
        command("fedmsg-relay", f"--config-filename={self.file}").says("relaying from")
        self._subscriber = subscriber(self.outbound)
        monitor = self._subscriber.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        # It may have been connected before it was watched.
        self._subscriber.socket.disconnect(self.outbound)
        self._subscriber.socket.connect(self.outbound)
        assert monitor.poll(20_000)
        self._subscriber.socket.disable_monitor()
        monitor.close(0)

    def config(self, **changes: Any) -> dict[str, Any]:
        """Return the configuration of this bus."""
        return {
            "endpoints": {"relay_outbound": [self.outbound]}, "relay_inbound": self.inbound,
            "post_init_sleep": 5, "timeout": 20, "zmq_linger": 20000, **changes,
        }  # fmt: skip

    def received(self) -> dict[str, Any]:
        """Return the next message."""
        return json.loads(self._subscriber.receive()[1])  # type: ignore[no-any-return]

    def start(self, *options: str, file: str = "") -> Any:
        """Start the command."""
        return self._command("fedmsg-dg-replay", f"--config-filename={file or self.file}", *options)

    def replay(self, *options: str, file: str = "") -> Any:
        """Run the command to its end."""
        done = self.start(*options, file=file)
        done.wait(50)
        return done


@pytest.fixture
def bus(command: Any, config_file: Any, address: Any, subscriber: Any) -> Bus:
    """A relay and a subscriber."""
    return Bus(command, config_file, address, subscriber)


@pytest.fixture
def letters(tmp_path: Path) -> Callable[..., str]:
    """A function that writes a dead-letter file with these bodies."""

    def write(*bodies: Any) -> str:
        path = tmp_path / "letters.jsonl"
        path.write_text("".join(json.dumps({"consumer": "C", "body": b}) + "\n" for b in bodies))
        return str(path)

    return write


def numbered(count: int) -> list[Any]:
    """Return messages that were published before."""
    return [{**ARCHIVED, "msg": {"n": n}, "msg_id": str(n)} for n in range(count)]


def test_ok_is_said_when_it_came_back(bus: Bus, datagrepper: Datagrepper) -> None:
    """The payload under the local prefix and environment, with an id of its own."""
    done = bus.replay(f"--msg-id={MSG_ID}", f"--datagrepper-url={datagrepper.url}")
    assert (done.wait(), done.stderr) == (0, "")
    assert done.stdout == f"Retrieving {MSG_ID!r}\nBroadcasting {MSG_ID!r}\nOK.\n"
    message = bus.received()
    assert (message["topic"], message["msg"]) == (
        "org.fedoraproject.dev.git.receive.x",
        {"n": 1},
    )
    assert message["msg_id"] != MSG_ID
    assert message["username"] != "apache"


def test_keep_topic(bus: Bus, datagrepper: Datagrepper) -> None:
    """The topic of the original; the address that consumers use for the backlog works too."""
    done = bus.replay(
        f"--msg-id={MSG_ID}", f"--datagrepper-url={datagrepper.url}/raw", "--keep-topic"
    )
    assert done.wait() == 0, done.stderr
    assert bus.received()["topic"] == ARCHIVED["topic"]


def test_unknown_message(bus: Bus, datagrepper: Datagrepper) -> None:
    """Status 2, with the status of HTTP; what is asked for is one parameter whatever is in it."""
    done = bus.replay("--msg-id=a&b=/../c", f"--datagrepper-url={datagrepper.url}")
    assert done.wait() == 2
    assert done.stderr == "datagrepper request of 'a&b=/../c' failed. Status: 404\n"
    assert datagrepper.asked == ["/datagrepper/id?id=a%26b%3D%2F..%2Fc"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"<html>", "is not JSON: b'<html>'"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", r"no message with a topic: []"),
        (b'{"topic": "a.b.c.d", "msg": {}}', "'a.b.c.d' is too short"),
        (b'{"topic": "a.b.c..e", "msg": {}}', "'a.b.c..e' is too short"),
        (b'{"topic": "a.b.c.d.\\u001b[2J"}', r"'a.b.c.d.\x1b[2J' has no 'msg'"),
    ],
)
def test_what_is_no_message(
    config_file: Any, address: Any, command: Any, datagrepper: Datagrepper, answer: bytes,
    reason: str,
) -> None:  # fmt: skip
    """One line on standard error, status 1, and nothing is opened."""
    datagrepper.answers[MSG_ID] = answer
    file = config_file(endpoints={"relay_outbound": [address()]}, relay_inbound=address())
    done = command(
        "fedmsg-dg-replay", f"--config-filename={file}", f"--msg-id={MSG_ID}",
        f"--datagrepper-url={datagrepper.url}",
    )  # fmt: skip
    assert done.wait() == 1
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Broadcasting" not in done.stdout


def test_no_datagrepper(config_file: Any, address: Any, command: Any) -> None:
    """The error names the address and the option."""
    file = config_file(endpoints={})
    url = address().replace("tcp", "http")
    done = command(
        "fedmsg-dg-replay", f"--config-filename={file}", "--msg-id=x", f"--datagrepper-url={url}"
    )
    assert done.wait() == 1
    assert f"cannot fetch {url}/id: " in done.stderr
    assert "--datagrepper-url" in done.stderr


def test_arguments_come_first(config_file: Any, command: Any) -> None:
    """Without an id the status is 1, before anything is tried."""
    done = command("fedmsg-dg-replay", f"--config-filename={config_file(endpoints={})}")
    assert done.wait() == 1
    assert done.stderr == "--msg-id is required\n"


def test_no_relay(config_file: Any, address: Any, command: Any, datagrepper: Datagrepper) -> None:
    """Nothing is sent, and the status is 1."""
    file = config_file(endpoints={"relay_outbound": [address()]}, relay_inbound=address())
    done = command(
        "fedmsg-dg-replay", f"--config-filename={file}", f"--msg-id={MSG_ID}",
        f"--datagrepper-url={datagrepper.url}", "--timeout=0.2", "--post-init-sleep=0",
    )  # fmt: skip
    assert done.wait() == 1
    assert "nothing was sent; start 'fedmsg-relay'" in done.stderr
    assert "OK" not in done.stdout


def test_without_outbound_address(bus: Bus, config_file: Any, datagrepper: Datagrepper) -> None:
    """It is sent, and the command says that it does not know more."""
    file = config_file(**bus.config(endpoints={}))
    done = bus.replay(f"--msg-id={MSG_ID}", f"--datagrepper-url={datagrepper.url}", file=file)
    assert done.wait() == 0, done.stderr
    assert "sent, not confirmed: no relay is known by endpoints['relay_outbound']" in done.stdout
    assert "OK" not in done.stdout
    assert bus.received()["msg"] == {"n": 1}


def test_what_does_not_come_back(
    bus: Bus, config_file: Any, publisher: Any, datagrepper: Datagrepper
) -> None:
    """Status 3, with the id of what was sent; what others say is no echo, whatever it is."""
    elsewhere = publisher()
    outbound = {"relay_outbound": [elsewhere.endpoint, "tcp://no-such-host.invalid:1"]}
    file = config_file(**bus.config(endpoints=outbound, timeout=2, post_init_sleep=0))
    done = bus.start(f"--msg-id={MSG_ID}", f"--datagrepper-url={datagrepper.url}", file=file)
    elsewhere.joined()
    sent = bus.received()
    noise: list[Any] = [ARCHIVED, {"msg_id": [sent["msg_id"]]}, {"msg": sent}, [sent["msg_id"]]]
    elsewhere.send(
        [b"t", b"["], [b"t", b"\xff"], [b"t", b"[" * 100_000], [b"t"],
        *([b"t", json.dumps(each).encode()] for each in noise),
    )  # fmt: skip
    assert done.wait() == 3
    assert "OK" not in done.stdout
    assert f"within 2 s: {sent['msg_id']}" in done.stdout


def test_dead_letters(bus: Bus, letters: Callable[..., str]) -> None:
    """Every message of the file, in order, and counted."""
    done = bus.replay(f"--file={letters(*numbered(250))}")
    assert done.wait() == 0, done.stderr
    assert done.stdout == "250 records, 250 sent, 250 confirmed.\n"
    assert [bus.received()["msg"]["n"] for _ in range(250)] == list(range(250))


def test_false_payloads_are_kept(bus: Bus, letters: Callable[..., str]) -> None:
    """An empty list is not turned into a dict."""
    done = bus.replay(f"--file={letters({**ARCHIVED, 'msg': []})}")
    assert done.wait() == 0, done.stderr
    assert bus.received()["msg"] == []


def test_bad_letters(bus: Bus, letters: Callable[..., str]) -> None:
    """What cannot be sent is named, the rest is sent, and the status is 1."""
    done = bus.replay(f"--file={letters('text', *numbered(2))}")
    assert done.wait() == 1
    assert "record 1 cannot be sent: this is no message with a topic" in done.stderr
    assert done.stdout == "3 records, 2 sent, 2 confirmed.\n"


def test_no_such_file(bus: Bus) -> None:
    """One line that names it."""
    done = bus.replay("--file=/nonexistent")
    assert done.wait() == 1
    assert "/nonexistent" in done.stderr
    assert done.stderr.count("\n") == 1
