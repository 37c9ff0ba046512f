"""Consumers that recover gaps: slow ones, and services that hang, die, lie or begin anew."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from following import Following, deliver, got, watching
from hubs import Gate
from parts import stored

from fedmsg.consumers import recovery

pytest.importorskip("sqlalchemy", reason="pip install '.[sql]'")


def test_service_that_hangs(
    run: Callable[..., Any], store: Any, config: Any, hanging: Any, eventually: Any
) -> None:
    """Arrival never waits; messages wait behind the gap, and end with the consumer."""
    messages = stored(store, 50)
    endpoint, sock = hanging
    config = {**config, "replay_endpoints": {"me": endpoint}, "replay_timeout": 600}
    consumer = run(Following, **{**config, "status_directory": None})
    deliver(consumer, messages[0], *messages[9:])
    assert sock.poll(20_000)
    assert got(consumer) == [1]
    eventually(lambda: consumer.__json__()["backlog"] == 40)
    consumer.stop()
    assert consumer.wait_stopped(time.monotonic() + 20) == 0
    assert got(consumer) == [1, *range(10, 51)]


def test_service_that_dies(
    run: Callable[..., Any], store: Any, config: Any, hanging: Any, eventually: Any,
    replay_server: Callable[..., Any], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """What could not be fetched comes late, and holds the position until then."""
    messages = stored(store, 9)
    endpoint, sock = hanging
    config = {**config, "replay_endpoints": {"me": endpoint}, "replay_timeout": 0.1}
    consumer = run(Following, **config)
    deliver(consumer, messages[0], messages[4])
    eventually(lambda: got(consumer) == [1, 5])
    eventually(lambda: consumer._recovery.position.value == 1)
    assert "3 messages of 'me' between 1 and 5 are missing" in caplog.text
    assert "is fedmsg-replay-server running" in caplog.text
    sock.close(linger=0)
    eventually(lambda: _bindable(replay_server, store, endpoint))
    eventually(lambda: got(consumer)[:5] == [1, 5, 2, 3, 4])
    eventually(lambda: got(consumer)[5:] == [6, 7, 8, 9])  # by the look that was still to come
    eventually(lambda: consumer._recovery.position.value == 9)


def _bindable(replay_server: Callable[..., Any], store: Any, endpoint: str) -> Any:
    """Return a server, None if the port is not free yet."""
    try:
        return replay_server(store, endpoint=endpoint)
    except OSError:
        return None


def test_full_room(
    run: Callable[..., Any], config: Any, store: Any, eventually: Any, gate: Gate,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """A consumer that is too slow gets everything all the same, and holds up nobody."""
    monkeypatch.setattr(recovery, "ROOM", 10)
    consumer = run(Following, queue_limit=5, queue_wait=600, **config)
    eventually(lambda: watching(consumer))
    messages = stored(store, 100)
    consumer.act = gate
    deliver(consumer, *messages)
    assert consumer._recovery.left >= 80
    assert "were left to the store of me" in caplog.text
    gate.open()
    eventually(lambda: len(consumer.got) >= 100)
    assert got(consumer) == list(range(1, 101))
    assert consumer.dropped == 0


def test_full_room_while_the_service_is_away(
    run: Callable[..., Any], config: Any, store: Any, eventually: Any, gate: Gate, address: Any,
    replay_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """What was left to the store comes when the service does, though nothing else arrives."""
    monkeypatch.setattr(recovery, "ROOM", 5)
    endpoint = address()
    changes = {"replay_endpoints": {"me": endpoint}, "replay_timeout": 0.3}
    consumer = run(Following, queue_limit=5, **{**config, "status_directory": None, **changes})
    consumer.act = gate
    deliver(consumer, *stored(store, 100))
    assert consumer._recovery.left >= 80
    gate.open()
    eventually(lambda: consumer._recovery._watched._failures > 0)
    eventually(lambda: _bindable(replay_server, store, endpoint))
    eventually(lambda: len(consumer.got) >= 100)
    assert sorted(got(consumer)) == list(range(1, 101))


def test_queue_without_a_limit(
    run: Callable[..., Any], config: Any, store: Any, eventually: Any, gate: Gate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """It does not take in all of a store at once."""
    monkeypatch.setattr(recovery, "ROOM", 10)
    consumer = run(Following, queue_limit=0, **config)
    eventually(lambda: watching(consumer))
    consumer.act = gate
    deliver(consumer, stored(store, 100)[-1])
    assert gate.reached.wait(20)
    eventually(lambda: consumer.incoming.qsize() == 10)
    # In hand, queued, and in its turn.
    eventually(lambda: consumer._recovery._watched.tracker.last == 12)
    assert consumer.incoming.qsize() == 10
    gate.open()
    eventually(lambda: got(consumer) == list(range(1, 101)))


@pytest.mark.parametrize("ends", [3, 4990])
def test_store_that_was_reset(
    run: Callable[..., Any], config: Any, store: Any, eventually: Any, tmp_path: Path,
    caplog: pytest.LogCaptureFixture, ends: int,
) -> None:  # fmt: skip
    """It ends below the position: what it has is taken, of a large one the last thousand."""
    first = run(Following, start=False, **config)
    path = Path(first._recovery.position.path)
    path.write_text('{"name": "me", "seq_id": 5000}')
    first.stop()
    stored(store, 2, first=ends - 1)
    consumer = run(Following, **config)
    eventually(lambda: got(consumer) == [ends - 1, ends])
    assert "its numbering has begun again" in caplog.text
    eventually(lambda: json.loads(path.read_text())["seq_id"] == ends)
    messages = stored(store, 2, first=ends + 1)
    deliver(consumer, messages[1])
    eventually(lambda: got(consumer)[2:] == [ends + 1, ends + 2])


def test_hostile_answers(
    run: Callable[..., Any], config: Any, hanging: Any, eventually: Any, caplog: Any
) -> None:
    """Whatever a service says, the consumer goes on."""
    endpoint, sock = hanging
    answers: list[list[bytes]] = [
        [b"\xff"], [b"{}"], [b"[1]", b"null"], [b'{"seq_id": "x"}'] * 3, [b"[" * 10_000] * 2,
        [b'{"seq_id": 3, "topic": 5}', b'{"seq_id": 4, "topic": {}}'], [b"error: 'narrower'"],
        [b'{"seq_id": 9223372036854775807}'], [b'{"seq_id": 3, "topic": "\\ud800"}'], [b"", b""],
    ]  # fmt: skip
    config = {**config, "replay_endpoints": {"me": endpoint}, "replay_timeout": 0.2}
    consumer = run(Following, replay_idle_check=0.01, **config)
    stopping = threading.Event()

    def answer() -> None:
        count = 0
        while not stopping.is_set():
            if sock.poll(20):
                peer, empty, _ = sock.recv_multipart()
                sock.send_multipart([peer, empty, *answers[count % len(answers)]])
                count += 1

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        for number in range(10, 200, 10):
            deliver(consumer, {"topic": "t", "seq_id": number, "msg_id": str(number)})
        eventually(lambda: set(range(10, 200, 10)) <= set(got(consumer)))
    finally:
        stopping.set()
        thread.join()
    assert "failed on a message" not in caplog.text
