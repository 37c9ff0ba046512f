"""Consumers with a ``replay_name`` under a hub: what they fetch, when, and where they go on."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq
from hubs import FakeHub, Gate, Recorder
from parts import stored

from fedmsg.consumers import recovery

pytest.importorskip("sqlalchemy", reason="pip install '.[sql]'")


class Following(Recorder):
    """Fetches what it misses of one publisher."""

    replay_name = "me"
    topic = "*"


@pytest.fixture
def store(sql_store: Callable[..., Any]) -> Any:
    """An SQLite store."""
    return sql_store()


@pytest.fixture
def config(replay_server: Callable[..., Any], store: Any, tmp_path: Path) -> dict[str, Any]:
    """The configuration of a consumer that can ask for what is in the store."""
    served = replay_server(store).config
    return {**served, "status_directory": str(tmp_path / "status")}


@pytest.fixture
def hanging(zmq_context: zmq.Context[Any], address: Callable[[], str]) -> tuple[str, Any]:
    """A replay service that takes requests and does not answer, and its socket."""
    endpoint = address()
    sock = zmq_context.socket(zmq.ROUTER)
    sock.bind(endpoint)
    return endpoint, sock


def deliver(consumer: Any, *messages: dict[str, Any]) -> None:
    """Have messages arrive."""
    for message in messages:
        consumer.hub.deliver(message["topic"], json.dumps(message))


def got(consumer: Any) -> list[int]:
    """Return the numbers of what a consumer got."""
    return [each["body"]["seq_id"] for each in list(consumer.got)]


def end(consumer: Any) -> None:
    """Stop a consumer, and wait for its threads."""
    consumer.stop()
    assert consumer.wait_stopped(time.monotonic() + 20) == 0


def watching(consumer: Any) -> bool:
    """Whether the store has been asked for its last number."""
    return consumer._recovery._watched.looked


@pytest.mark.parametrize("blocking", [False, True])
def test_next_start(
    run: Callable[..., Any], config: Any, store: Any, eventually: Any, blocking: bool
) -> None:
    """It asks for what came since, before anything that arrives passes; once."""
    config = {**config, "moksha.blocking_mode": blocking}
    messages = stored(store, 5)
    first = run(Following, **config)
    eventually(lambda: watching(first))
    deliver(first, *messages[2:])
    eventually(lambda: got(first) == [3, 4, 5])
    end(first)
    messages += stored(store, 2500, first=6)
    second = run(Following, **config)
    deliver(second, messages[-1])
    eventually(lambda: len(second.got) >= 2500)
    assert got(second) == list(range(6, 2506))
    assert second.name_to_seq_id == {"me": 2505}


def test_first_start(run: Callable[..., Any], config: Any, store: Any, eventually: Any) -> None:
    """What was in the store before is not fetched; what is lost from then on is, by the next."""
    stored(store, 5)
    first = run(Following, **config)
    eventually(lambda: watching(first))
    end(first)
    stored(store, 2, first=6)
    second = run(Following, **config)
    eventually(lambda: got(second) == [6, 7])
    assert first.got == []


def test_no_backlog(run: Callable[..., Any], config: Any, store: Any, eventually: Any) -> None:
    """With ``backlog`` off it begins with what comes."""
    messages = stored(store, 9)
    first = run(Following, **config)
    deliver(first, *messages[:3])
    eventually(lambda: got(first) == [1, 2, 3])
    end(first)
    second = run(Following, backlog=False, **config)
    eventually(lambda: watching(second))
    deliver(second, messages[8])
    eventually(lambda: got(second) == [9])


def test_only_what_is_done_counts(
    run: Callable[..., Any], config: Any, store: Any, eventually: Any, gate: Gate
) -> None:
    """A message in the hands of one worker holds the position, whatever the others have done."""
    messages = stored(store, 4)
    first = run(Following, **{**config, "moksha.workers_per_consumer": 2})
    eventually(lambda: watching(first))
    first.act = lambda message: gate() if message["body"]["seq_id"] == 2 else None
    deliver(first, *messages)
    eventually(lambda: sorted(got(first)) == [1, 2, 3, 4])
    eventually(lambda: first._recovery.position.value == 1)
    first._recovery.position.save(wait=True)
    second = run(Following, **config)  # as if the first had been killed
    eventually(lambda: got(second) == [2, 3, 4])


def test_topics(run: Callable[..., Any], config: Any, store: Any, eventually: Any) -> None:
    """What the store has of other topics is passed over, and counts as done."""
    narrow = type("Narrow", (Following,), {"topic": ["org.fedoraproject.dev.t.1", "x"]})
    stored(store, 1)
    first = run(narrow, **config)
    eventually(lambda: watching(first))
    stored(store, 20, first=2)
    first._recovery._interval = 0.01
    eventually(lambda: first.name_to_seq_id == {"me": 21})
    end(first)
    assert got(first) == list(range(10, 20))
    assert first._recovery.position.value == 21


def test_idle_check(run: Callable[..., Any], config: Any, store: Any, eventually: Any) -> None:
    """A lost last message is found in the silence."""
    messages = stored(store, 1)
    consumer = run(Following, **{**config, "status_directory": None}, replay_idle_check=0.05)
    deliver(consumer, *messages)
    eventually(lambda: got(consumer) == [1])
    stored(store, 2, first=2)
    eventually(lambda: got(consumer) == [1, 2, 3])


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


def test_numbers_of_others(
    run: Callable[..., Any], config: Any, store: Any, eventually: Any
) -> None:
    """A number counts only on a message that came from the publisher's own endpoint, if known."""
    endpoints = {"me": ["tcp://127.0.0.1:1"], "you": ["tcp://127.0.0.1:2"]}
    messages = stored(store, 3)
    consumer = run(Following, **{**config, "endpoints": endpoints})
    eventually(lambda: watching(consumer))
    hub: Any = consumer.hub
    hub.origin = "tcp://127.0.0.1:2"
    deliver(consumer, *({"topic": "t", "seq_id": n, "msg_id": f"y{n}"} for n in (900, 2, 2)))
    hub.origin = "tcp://127.0.0.1:1"
    deliver(consumer, *messages)
    eventually(lambda: len(consumer.got) == 6)
    assert sorted(got(consumer)) == [1, 2, 2, 2, 3, 900]
    assert consumer.name_to_seq_id == {"me": 3}


def test_messages_without_number(run: Callable[..., Any], config: Any, eventually: Any) -> None:
    """They do not wait for anything."""
    consumer = run(Following, **{**config, "status_directory": None})
    deliver(consumer, {"topic": "t", "msg": 1}, {"topic": "t", "seq_id": "x"})
    consumer.hub.deliver("t", "no JSON")
    eventually(lambda: len(consumer.got) == 3)
    assert consumer.name_to_seq_id == {"me": -1}


def test_consumer_that_is_never_started(config: Any) -> None:
    """Stopping it leaves nothing open."""
    consumer = Following(FakeHub(recorder=True, **config, validate_signatures=False))
    consumer.stop()
    assert consumer.wait_stopped(time.monotonic()) == 0


def test_another_publisher(
    run: Callable[..., Any], config: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """What was written down for another ``replay_name`` does not count."""
    first = run(Following, start=False, **config)
    Path(first._recovery.position.path).write_text('{"name": "you", "seq_id": 5000}')
    with caplog.at_level(logging.ERROR):
        first.start_workers()
    assert "it is about 'you'" in caplog.text
