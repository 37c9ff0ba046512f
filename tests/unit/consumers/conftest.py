"""Consumers that run, and are stopped again."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from archive import START, Archive, archived
from hubs import ON, FakeHub, Gate, Recorder

from fedmsg.consumers import backlog, current_proc


@pytest.fixture
def run() -> Iterator[Callable[..., Any]]:
    """A function that makes a consumer and starts its workers; it is stopped with the test."""
    made: list[Any] = []

    def start(cls: type = Recorder, start: bool = True, **config: Any) -> Any:
        consumer = cls(FakeHub(**{**ON, **config}))
        made.append(consumer)
        if start:
            consumer.start_workers()
        return consumer

    yield start
    for consumer in made:
        consumer.stop()
        consumer.wait_stopped(time.monotonic() + 10)


@pytest.fixture
def gate(run: Callable[..., Any]) -> Iterator[Gate]:
    """A gate, which is opened before the consumers are stopped."""
    made = Gate()
    yield made
    made.open()


@pytest.fixture
def archive() -> Iterator[Archive]:
    """A datagrepper."""
    made = Archive()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between attempts."""
    monkeypatch.setattr(backlog, "FIRST_PAUSE", 0.001)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The status file of the recorder."""
    found = tmp_path / "status" / current_proc() / "Recorder"
    found.parent.mkdir(parents=True)
    return found


@pytest.fixture
def restart(
    run: Callable[..., Any], archive: Archive, path: Path, tmp_path: Path
) -> Callable[..., Any]:
    """A function that starts a consumer behind a message that it has had."""

    def start(
        last: int = 0, status: str = "post", cls: type = Recorder, text: str = "", **config: Any
    ) -> Any:
        message = {"topic": "org.test", "body": archived(last)}
        path.write_text(text or json.dumps({"message": message, "status": status}))
        os.utime(path, (START, START))
        settings = {
            "status_directory": str(tmp_path / "status"), "datagrepper_url": archive.url,
            "backlog_max_age": 10**10,
        }  # fmt: skip
        return run(cls, **{**settings, **config})

    return start


@pytest.fixture
def store(sql_store: Callable[..., Any]) -> Any:
    """An SQLite store."""
    return sql_store()


@pytest.fixture
def config(store: Any, replay_server: Callable[..., Any], tmp_path: Path) -> dict[str, Any]:
    """The configuration of a consumer that can ask for what is in the store.

    The server is closed before the store: its thread would open another connection.
    """
    served = replay_server(store).config
    return {**served, "status_directory": str(tmp_path / "status")}


@pytest.fixture
def hanging(zmq_context: zmq.Context[Any], address: Callable[[], str]) -> tuple[str, Any]:
    """A replay service that takes requests and does not answer, and its socket."""
    endpoint = address()
    sock = zmq_context.socket(zmq.ROUTER)
    sock.bind(endpoint)
    return endpoint, sock
