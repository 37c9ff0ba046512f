"""The WebSocket server: its protocol, its limits, and clients that misbehave."""

from __future__ import annotations

import contextlib
import json
import socket
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from descriptors import EXHAUST
from parts import run_script

from fedmsg.exceptions import ConfigurationError, NoEndpointAvailable
from fedmsg.hub import websocket
from fedmsg.hub.dispatch import Dispatcher
from fedmsg.hub.websocket import WebSocketServer

client = pytest.importorskip("websockets.sync.client", reason="pip install '.[web]'")
errors = pytest.importorskip("websockets.exceptions")


class Hub:
    """A hub that is fed by hand."""

    def __init__(self, **config: Any) -> None:
        self.config = config
        self.sent: list[Any] = []
        self._dispatcher = Dispatcher()
        self.unsubscribe = self._dispatcher.unsubscribe
        self.patterns: list[str] = []

    def subscribe(self, pattern: str, callback: Any) -> None:
        """Remember a subscription."""
        self._dispatcher.subscribe(pattern, callback)
        self.patterns.append(pattern)

    def send_message(self, topic: str, message: Any) -> None:
        """Remember what a client published."""
        self.sent.append((topic, message))

    def receive(self, topic: str, body: str) -> None:
        """Have a message arrive."""
        self._dispatcher.dispatch([[topic.encode(), body.encode()]])


Served = tuple[Hub, WebSocketServer, Callable[..., Any]]


@pytest.fixture
def serve(port: Callable[[], int]) -> Iterator[Callable[..., Served]]:
    """A function that starts a server; returns hub, server, and a function that connects."""
    servers: list[WebSocketServer] = []
    connections = contextlib.ExitStack()

    def start(**changes: Any) -> Served:
        hub = Hub(
            **{
                "moksha.livesocket.websocket.port": port(),
                "moksha.livesocket.websocket.interface": "127.0.0.1",
                **changes,
            }
        )
        servers.append(WebSocketServer(hub))

        def connect(**settings: Any) -> Any:
            url = f"ws://127.0.0.1:{servers[-1].port}"
            return connections.enter_context(client.connect(url, **settings))

        return hub, servers[-1], connect

    yield start
    connections.close()
    for server in servers:
        server.stop()


def ask(connection: Any, pattern: Any, hub: Hub, eventually: Callable[..., Any]) -> None:
    """Subscribe, and wait until that has happened."""
    connection.send(json.dumps({"topic": websocket.SUBSCRIBE, "body": pattern}))
    eventually(lambda: pattern in hub.patterns)


@pytest.mark.parametrize(
    ("body", "expected"), [('{"a": [1]}', {"a": [1]}), ("no json", "no json"), ("null", None)]
)
def test_matching_messages_are_sent(
    serve: Callable[..., Served], eventually: Callable[..., Any], body: str, expected: Any
) -> None:
    """A client gets what begins with the topic it asked for, and nothing else."""
    hub, _, connect = serve()
    browser = connect()
    ask(browser, "org.x", hub, eventually)
    hub.receive("org.other", "{}")
    hub.receive("org.x.y", body)
    assert json.loads(browser.recv(timeout=20)) == {"topic": "org.x.y", "body": expected}


def test_body_nested_too_deeply_is_text(
    serve: Callable[..., Served], eventually: Callable[..., Any]
) -> None:
    """A client gets it as it came, and the connection stays."""
    hub, _, connect = serve()
    browser = connect()
    ask(browser, "", hub, eventually)
    deep = "[" * 100_000 + "]" * 100_000
    hub.receive("t", deep)
    assert json.loads(browser.recv(timeout=20)) == {"topic": "t", "body": deep}


@pytest.mark.parametrize(
    "text", ["", "no json", "[]", "{}", '{"topic": 1, "body": 2}', b"\xff", "[" * 50_000,
             '{"topic": "__topic_subscribe__", "body": {}}'],
)  # fmt: skip
def test_nonsense_is_ignored(
    serve: Callable[..., Served], eventually: Callable[..., Any], text: Any
) -> None:
    """What is no request leaves the connection open and the hub alone."""
    hub, _, connect = serve()
    browser = connect()
    browser.send(text)
    ask(browser, "t", hub, eventually)
    hub.receive("t", "1")
    assert json.loads(browser.recv(timeout=20))["body"] == 1
    assert hub.patterns == ["t"]


@pytest.mark.parametrize(("allowed", "sent"), [(False, []), ("true", [("t", {"a": 1})])])
def test_clients_publish_only_if_allowed(
    serve: Callable[..., Served], eventually: Callable[..., Any], allowed: Any, sent: list[Any]
) -> None:
    """``client2server`` is off by default."""
    hub, _, connect = serve(**{"moksha.livesocket.websocket.client2server": allowed})
    browser = connect()
    browser.send('{"topic": "t", "body": {"a": 1}}')
    ask(browser, "t", hub, eventually)
    assert hub.sent == sent


def test_client_that_never_reads(
    serve: Callable[..., Served], eventually: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """It loses messages, which is counted and logged; the other client gets everything."""
    hub, server, connect = serve()
    stalled, healthy = connect(max_queue=1, close_timeout=0.1), connect()
    ask(stalled, "big", hub, eventually)
    ask(healthy, "t", hub, eventually)
    body = json.dumps("x" * 50_000)

    def overflows() -> bool:
        for _ in range(200):
            hub.receive("big", body)
        return server.dropped > 0

    eventually(overflows)
    for number in range(100):
        hub.receive("t", str(number))
    assert [json.loads(healthy.recv(timeout=20))["body"] for _ in range(100)] == list(range(100))
    assert "too slow" in caplog.text


def test_origins_can_be_limited(serve: Callable[..., Served]) -> None:
    """A page of another site is refused."""
    _, _, connect = serve(**{"moksha.livesocket.websocket.origins": ["https://good.example"]})
    connect(origin="https://good.example")
    with pytest.raises(Exception, match="403"):
        connect(origin="https://evil.example")


def test_subscriptions_end_with_the_connection(
    serve: Callable[..., Served], eventually: Callable[..., Any]
) -> None:
    """After a client has gone the hub delivers nothing for it."""
    hub, _, connect = serve()
    browser = connect()
    ask(browser, "t", hub, eventually)
    browser.close()
    eventually(lambda: hub._dispatcher.prefixes() == [])


def test_number_of_subscriptions_is_bounded(
    serve: Callable[..., Served], eventually: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A client cannot fill the memory with patterns."""
    hub, _, connect = serve()
    browser = connect()
    for number in range(websocket._MOST_PATTERNS + 10):
        browser.send(json.dumps({"topic": websocket.SUBSCRIBE, "body": str(number)}))
    eventually(lambda: caplog.text.count("cannot subscribe") == 10)
    assert len(hub.patterns) == websocket._MOST_PATTERNS


@pytest.mark.parametrize("port", [None, 0, "", "many", 70000, -1])
def test_port_is_needed(port: Any) -> None:
    """A missing or impossible port is one clear error."""
    config = {"moksha.livesocket.websocket.port": port}
    with pytest.raises(ConfigurationError, match="--websocket-server-port"):
        websocket.port_of(config)


def test_port_in_use_is_an_error(port: Callable[[], int]) -> None:
    """It names the port."""
    number = port()
    with socket.create_server(("127.0.0.1", number)):
        config = {
            "moksha.livesocket.websocket.port": number,
            "moksha.livesocket.websocket.interface": "127.0.0.1",
        }
        with pytest.raises(NoEndpointAvailable, match=str(number)):
            WebSocketServer(Hub(**config))


def test_library_is_quiet(
    serve: Callable[..., Served], capfd: pytest.CaptureFixture[str], caplog: Any
) -> None:
    """Clients cannot fill the log through the library."""
    _, server, connect = serve()
    for _ in range(10):
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.sendall(b"GET / nonsense\r\n\r\n")
            raw.recv(1000)
    connect()
    assert (caplog.messages, capfd.readouterr().err) == ([], "")


@pytest.mark.parametrize("topic", [websocket.SUBSCRIBE, "\ud800"])
def test_half_a_character_harms_nobody(
    serve: Callable[..., Served], eventually: Callable[..., Any], topic: str
) -> None:
    """A topic that UTF-8 cannot express is no request; others can still come, and go."""
    hub, _, connect = serve(**{"moksha.livesocket.websocket.client2server": True})
    hub.send_message = lambda topic, body: topic.encode()  # type: ignore[method-assign]
    evil, good = connect(), connect()
    evil.send(json.dumps({"topic": topic, "body": "\ud800"}))
    for each in (evil, good):
        ask(each, f"t{id(each)}", hub, eventually)
        hub.receive(f"t{id(each)}", "1")
        assert json.loads(each.recv(timeout=20))["body"] == 1
        each.close()
    eventually(lambda: hub._dispatcher.callbacks() == [])


def test_number_of_clients_is_bounded(
    serve: Callable[..., Served], eventually: Callable[..., Any], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """One too many is sent away; when another has gone there is room again."""
    monkeypatch.setattr(websocket, "_MOST_CLIENTS", 2)
    _, server, connect = serve()
    first, _ = connect(), connect()
    with pytest.raises((OSError, EOFError, errors.WebSocketException)):
        connect()
    assert "there are 2 others" in caplog.text
    first.close()
    eventually(lambda: server.clients == 1)
    assert connect().ping().wait(20)


def test_no_descriptor_left(port: Callable[[], int]) -> None:
    """It is logged once a minute, and not a hundred times a second, as by asyncio."""
    script = """
    import logging, socket, sys, threading
    from fedmsg.hub.websocket import WebSocketServer

    class Hub:
        prefix = "moksha.livesocket.websocket."
        config = {prefix + "port": int(sys.argv[1]), prefix + "interface": "127.0.0.1"}

    said, records = threading.Event(), []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: (records.append(record.getMessage()), said.set())
    logging.getLogger().addHandler(handler)
    server, client = WebSocketServer(Hub()), socket.socket()
    fill = exhaust()
    client.connect(("127.0.0.1", server.port))
    said.wait(20)
    through = threading.Event()
    server.call(through.set)
    through.wait(20)
    client.close()
    for each in fill:
        os.close(each)
    server.stop()
    print(len(records), records[0])
    """
    said = run_script(EXHAUST + textwrap.dedent(script), port())
    assert said.startswith("1 the websocket server: socket.accept() out of system resource")
