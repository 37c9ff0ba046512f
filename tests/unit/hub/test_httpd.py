"""The HTTP server beside a daemon, and clients that mean no good."""

from __future__ import annotations

import contextlib
import socket
import textwrap
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from descriptors import EXHAUST
from parts import run_script

from fedmsg.hub import httpd

Wait = Callable[..., Any]


def page(path: str, _accept: str) -> tuple[int, str | bytes, str]:
    """Answer every request."""
    return 200, f"you asked for {path}\n", "text/plain"


@pytest.fixture
def server(port: Callable[[], int]) -> Iterator[httpd.Server]:
    """A server that answers every request."""
    running = httpd.Server("127.0.0.1", port(), page)
    running.start()
    yield running
    running.close()


@pytest.fixture
def connect(server: httpd.Server) -> Iterator[Callable[[], socket.socket]]:
    """A function that opens a connection; all are closed at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(
            socket.create_connection(server.server_address[:2], timeout=20)  # type: ignore[arg-type]
        )


def ask(server: httpd.Server, path: str = "/x") -> str:
    """Return what a well-behaved client gets."""
    url = f"http://127.0.0.1:{server.server_address[1]}{path}"
    with urllib.request.urlopen(url, timeout=20) as answer:
        return str(answer.read().decode())


def threads() -> int:
    """Return how many connections are served."""
    return sum(thread.name == "fedmsg-metrics-client" for thread in threading.enumerate())


def test_answers(server: httpd.Server) -> None:
    """A path comes to the pages without its query."""
    assert ask(server, "/metrics?name=x") == "you asked for /metrics\n"


def test_silent_clients_make_room(
    server: httpd.Server, connect: Callable[[], socket.socket], eventually: Wait
) -> None:
    """Forty that connect and say nothing: eight stay, and who asks is answered."""
    idle = [connect() for _ in range(40)]
    eventually(lambda: server.refused >= 32, "the end of the oldest")
    assert len(server._open) <= 8
    assert ask(server) == "you asked for /x\n"
    assert idle[0].recv(1) == b""


def test_slow_clients_end(
    server: httpd.Server, connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that sends its request a byte at a time has so many seconds in all."""
    monkeypatch.setattr(httpd, "_LONGEST", 0.5)
    slow, pause = connect(), threading.Event()
    try:
        for _ in range(1000):
            slow.sendall(b"G")
            slow.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                assert slow.recv(1) == b""
                return
            pause.wait(0.01)
    except ConnectionError:
        return
    pytest.fail("the connection was never closed")


def test_a_client_that_does_not_read(
    port: Callable[[], int], monkeypatch: pytest.MonkeyPatch, eventually: Wait
) -> None:
    """Its thread ends, though the answer never leaves."""
    monkeypatch.setattr(httpd, "_LONGEST", 0.5)
    asked = threading.Event()

    def large(*_: str) -> tuple[int, str | bytes, str]:
        asked.set()
        return 200, b"x" * 50_000_000, "text/plain"

    server = httpd.Server("127.0.0.1", port(), large)
    server.start()
    address: Any = server.server_address
    try:
        with socket.create_connection(address, timeout=20) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert asked.wait(20)
            eventually(lambda: threads() == 0)
    finally:
        server.close()


def test_flood(server: httpd.Server) -> None:
    """Of twenty clients that ask without a pause eight are served at once, and none is lost."""
    now, most, answers, failures = 0, 0, 0, 0
    lock = threading.Lock()

    def counting(*_: str) -> tuple[int, str | bytes, str]:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        with lock:
            now -= 1
        return 200, "", "text/plain"

    server.pages = counting

    def client() -> None:
        nonlocal answers, failures
        for _ in range(20):
            try:
                ask(server)
            except OSError:  # closed to make room: it can ask again
                with lock:
                    failures += 1
                continue
            with lock:
                answers += 1

    clients = [threading.Thread(target=client) for _ in range(20)]
    for each in clients:
        each.start()
    for each in clients:
        each.join(40)
    assert (answers + failures, most <= 8) == (400, True)
    assert answers > 0


@pytest.mark.parametrize(
    "text",
    [
        b"\0\xff\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST / HTTP/1.0\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.0\r\n" + b"a: b\r\n" * 200 + b"\r\n",
    ],
)  # fmt: skip
def test_nonsense(
    server: httpd.Server, connect: Callable[[], socket.socket], text: bytes, capfd: Any
) -> None:
    """What is no request ends its connection, in silence, and nothing else."""
    client = connect()
    with contextlib.suppress(ConnectionError):  # it may not read to the end
        client.sendall(text)
        while client.recv(4096):
            pass
    assert ask(server) == "you asked for /x\n"
    assert capfd.readouterr().err == ""


def test_end(port: Callable[[], int], eventually: Wait) -> None:
    """No thread and no socket is left, whatever clients do."""
    number = port()
    server = httpd.Server("127.0.0.1", number, page)
    server.start()
    with socket.create_connection(("127.0.0.1", number), timeout=20) as client:
        eventually(lambda: threads() == 1)
        server.close()
        assert client.recv(1) == b""
        eventually(lambda: threads() == 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", number), timeout=20)


def test_ipv6(port: Callable[[], int]) -> None:
    """An IPv6 address can be listened on."""
    try:
        server = httpd.Server("::1", port(), page)
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    server.start()
    server.close()


def test_no_descriptor_left(port: Callable[[], int]) -> None:
    """There is a pause between two attempts, one line in the log, and service when one is free."""
    script = """
    import logging, socket, sys, threading, time
    from fedmsg.hub import httpd

    class Server(httpd.Server):
        attempts, enough = [], threading.Event()

        def get_request(self):
            self.attempts.append(time.monotonic())
            if len(self.attempts) == 4:
                self.enough.set()
            return super().get_request()

    records = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())
    logging.getLogger().addHandler(handler)
    server = Server("127.0.0.1", int(sys.argv[1]), lambda path, accept: (200, "here", "text/plain"))
    server.start()
    client = socket.socket()
    fill = exhaust()
    client.connect(("127.0.0.1", int(sys.argv[1])))
    client.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    server.enough.wait(20)
    took = server.attempts[3] - server.attempts[0]
    for each in fill:
        os.close(each)
    client.settimeout(20)
    answer = b""
    while data := client.recv(4096):
        answer += data
    client.close()
    server.close()
    print(took >= 3 * httpd._LOOK, answer.endswith(b"here"), len(records), records[0])
    """
    assert run_script(EXHAUST + textwrap.dedent(script), port()).startswith(
        "True True 1 the server of the metrics cannot accept a connection: [Errno 24]"
    )
