"""A backlog that cannot be fetched, or not all of it (CD-7, CD-11)."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from archive import START, Archive, archived, live, status_of
from hubs import Gate, numbers

from fedmsg.consumers import backlog

Run = Callable[..., Any]
Wait = Callable[..., Any]


@pytest.mark.parametrize("failure", [503, 429, "not json", "[]", '{"pages": "x"}', "[" * 100_000])
def test_failures_are_tried_again(
    restart: Run, archive: Archive, eventually: Wait, failure: Any
) -> None:
    """A page at a time."""
    archive.messages = [archived(n) for n in range(3)]
    archive.failures = [failure, failure]
    consumer = restart()
    eventually(lambda: numbers(consumer) == [1, 2])
    assert archive.pages() == [1, 1, 1]


@pytest.mark.parametrize(("failures", "asked"), [([500] * 5, 5), ([404], 1)])
def test_giving_up(
    restart: Run, archive: Archive, eventually: Wait, path: Path, failures: list[Any], asked: int,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Logged; live messages are consumed, and the next start begins where this one did."""
    archive.messages = [archived(n) for n in range(3)]
    archive.failures = failures
    consumer = restart()
    eventually(lambda: "the backlog is not complete" in caplog.text)
    consumer.take([live(9)])
    eventually(lambda: len(consumer._times) == 1)
    assert (numbers(consumer), status_of(path)) == ([9], (0, "post"))
    assert len(archive.queries) == asked


def test_nobody_listens(restart: Run, eventually: Wait, caplog: Any) -> None:
    """A refused connection is a failure like others."""
    restart(datagrepper_url="http://127.0.0.1:9/raw")
    eventually(lambda: "the backlog is not complete" in caplog.text)


def test_limits(
    restart: Run, archive: Archive, eventually: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    """In number; what is beyond is reported."""
    archive.messages = [archived(n) for n in range(50)]
    consumer = restart(backlog_limit=10)
    eventually(lambda: consumer._status.only is None)
    eventually(lambda: numbers(consumer) == list(range(1, 11)))
    assert "more than backlog_limit (10) allows" in caplog.text


def test_age(restart: Run, archive: Archive, eventually: Wait, caplog: Any) -> None:
    """What is too old is not asked for, and that is said."""
    consumer = restart(backlog_max_age=60)
    eventually(lambda: consumer._seen.filled)
    (query,) = archive.queries
    assert int(query["end"][0]) - int(query["start"][0]) == 60
    assert "nothing older than backlog_max_age" in caplog.text


def test_queue_limit(restart: Run, archive: Archive, eventually: Wait, gate: Gate) -> None:
    """It waits for room, and drops nothing."""
    archive.messages = [archived(n) for n in range(20)]
    consumer = restart(queue_limit=3)
    consumer.act = gate
    assert gate.reached.wait(20)
    eventually(lambda: consumer.incoming.qsize() == 3)
    gate.open()
    eventually(lambda: numbers(consumer) == list(range(1, 20)))
    assert consumer.dropped == 0


@pytest.mark.parametrize("broken", [None, 5, {}, {"topic": 5}, {"topic": "org.test", "msg_id": []}])
def test_what_is_no_message(restart: Run, archive: Archive, eventually: Wait, broken: Any) -> None:
    """It is passed over."""
    archive.messages = [broken, archived(1)]
    consumer = restart()
    eventually(lambda: numbers(consumer) == [1])


def test_garbage_in_the_status_file(
    restart: Run, archive: Archive, eventually: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the time of the file stands for that of the message (CD-11)."""
    caplog.set_level(logging.INFO)
    archive.messages = [archived(-1), archived(10)]
    consumer = restart(text="{torn")
    eventually(lambda: numbers(consumer) == [10])
    assert "the status file is not JSON: {torn" in caplog.text
    assert archive.queries[0]["start"] == [f"{START}.0"]


def test_stop_ends_it(restart: Run, archive: Archive, eventually: Wait, path: Path) -> None:
    """In the middle of a page; the status is that of what has been consumed."""
    archive.messages = [archived(n) for n in range(150)]
    consumer = restart(queue_limit=1)
    consumer.act = lambda message: message["body"]["msg"]["n"] == 5 and consumer._stopping.set()
    eventually(lambda: not consumer._threads._running[-1].is_alive())
    assert (archive.pages(), consumer._seen.filled) == ([1], False)
    consumer._stopping.clear()


@pytest.mark.parametrize("per_page", [100, 0])
def test_pages_without_end(
    restart: Run, archive: Archive, eventually: Wait, caplog: Any, per_page: int
) -> None:
    """Their number grows with every answer, or they are empty: given up; what came is consumed."""

    def answer(query: dict[str, list[str]]) -> tuple[int, str]:
        archive.queries.append(query)
        page = int(query["page"][0])
        found = [archived(100 * page + n, topic="other") for n in range(per_page)]
        pages = page + 1 if per_page else 10**9
        return 200, json.dumps(
            {"pages": pages, "raw_messages": [archived(page), *found][:per_page]}
        )

    archive.answer = answer  # type: ignore[method-assign]
    consumer = restart()
    eventually(lambda: "the backlog is not complete" in caplog.text)
    assert f"{archive.url} has no end" in caplog.text
    asked = len(archive.queries)
    assert 1 <= asked < 100
    eventually(lambda: numbers(consumer) == list(range(1, asked) if per_page else []))


def test_slow_drip(
    restart: Run, eventually: Wait, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of which one byte comes after the other is given up, although some always come."""
    monkeypatch.setattr(backlog, "_LONGEST", 0.3)
    monkeypatch.setattr(backlog, "_ATTEMPTS", 2)
    stop, threads = threading.Event(), []

    def drip(near: socket.socket) -> None:
        with near, contextlib.suppress(OSError):
            near.recv(65536)
            near.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
            while not stop.wait(0.02):
                near.sendall(b" ")

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threads.append(threading.Thread(target=drip, args=(listener.accept()[0],)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        restart(datagrepper_url=f"http://127.0.0.1:{listener.getsockname()[1]}/raw")
        try:
            eventually(lambda: "the backlog is not complete" in caplog.text)
            assert "no answer within 0.3 s" in caplog.text
        finally:
            stop.set()
            listener.shutdown(socket.SHUT_RDWR)
            for each in threads:
                each.join(20)


def test_redirects_out_of_http(restart: Run, eventually: Wait, caplog: Any, tmp_path: Path) -> None:
    """A file is not read."""
    (tmp_path / "page").write_text('{"pages": 1, "raw_messages": []}')

    class Handler(BaseHTTPRequestHandler):
        """Sends everybody there."""

        def do_GET(self) -> None:
            """Redirect."""
            self.send_response(302)
            self.send_header("Location", f"file://{tmp_path}/page")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        restart(datagrepper_url=f"http://127.0.0.1:{server.server_address[1]}/raw")
        try:
            eventually(lambda: "the backlog is not complete" in caplog.text)
        finally:
            server.shutdown()
            thread.join()
    assert "No connection adapters were found for 'file://" in caplog.text


def test_reports_of_what_is_no_message_are_bounded(
    restart: Run, archive: Archive, eventually: Wait, caplog: Any
) -> None:
    """A page may be full of it."""
    archive.answer = lambda query: (  # type: ignore[method-assign]
        200, json.dumps({"pages": 1, "raw_messages": [1] * 10_000})
    )  # fmt: skip
    consumer = restart()
    eventually(lambda: consumer._seen.filled)
    assert caplog.text.count("what is no message is dropped") == 60
