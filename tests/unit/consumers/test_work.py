"""Workers and the queue in front of them: failures, limits, retries (CD-6, CD-13)."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hubs import Gate, Recorder, numbered, numbers, raising

from fedmsg.consumers import retry
from fedmsg.consumers.message import BusMessage

Run = Callable[..., Any]
Wait = Callable[..., Any]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
def test_failures_lose_nothing(
    run: Run, eventually: Wait, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    """Whatever every second message raises: logged with its id, counted, the others consumed."""
    consumer = run()
    consumer.act = lambda m: raising(error)(m) if m["body"]["msg"]["n"] % 2 else None
    consumer.take([[topic, body[:-1] + b', "msg_id": "id-7"}'] for topic, body in numbered(20)])
    eventually(lambda: len(consumer.got) == 20)
    eventually(lambda: len(consumer._times) == 20)
    assert (numbers(consumer), consumer.__json__()["exceptions"]) == (list(range(20)), 10)
    assert caplog.text.count("consume of Recorder failed on id-7: {") == 10


@pytest.mark.parametrize("hook", ["pre_consume", "post_consume", "validate"])
@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)])
def test_failing_hooks(run: Run, eventually: Wait, hook: str, error: BaseException) -> None:
    """A message whose hook fails is consumed all the same, but for validate; so are the others."""
    consumer = run(type("Own", (Recorder,), {hook: lambda self, message: raising(error)(message)}))
    consumer.take(numbered(3))
    eventually(lambda: consumer.headcount_out == 3)
    consumer.stop()
    consumer.wait_stopped(time.monotonic() + 20)
    assert numbers(consumer) == ([] if hook == "validate" else [0, 1, 2])
    assert consumer._exception_count == 0


def test_worker_that_dies_is_replaced(run: Run, eventually: Wait) -> None:
    """Also where the work loop is the class's own."""

    class Dying(Recorder):
        """Its loop ends with every message."""

        def _work_loop(self) -> None:
            item = self.incoming.get()
            if item is not StopIteration:
                self.got.append(item)
                raise SystemExit

    consumer = run(Dying)
    for number in range(3):
        consumer.incoming.put(number)
    eventually(lambda: consumer.got == [0, 1, 2])
    assert consumer.__json__()["exceptions"] >= 2


def test_overridden_do_work_loses_nothing(run: Run, eventually: Wait) -> None:
    """What it raises concerns one message of a batch."""
    seen = []

    def work(self: Any, message: Any) -> None:
        seen.append(message)
        raise ValueError

    consumer = run(type("Own", (Recorder,), {"_do_work": work}))
    consumer.take(numbered(5))
    eventually(lambda: len(seen) == 5 and not consumer.backlog)


def test_text_that_is_none(run: Run, eventually: Wait) -> None:
    """A body that is not UTF-8 is counted, and those behind it are consumed."""
    consumer = run()
    consumer.take([[b"org.test", b"\xff"], *numbered(1)])
    eventually(lambda: consumer.got)
    record = consumer.__json__()
    assert (record["headcount_in"], record["headcount_out"], record["exceptions"]) == (2, 2, 0)


def test_full_queue(
    run: Run, gate: Gate, eventually: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    """It is waited for once; then messages are dropped and counted until it takes again."""
    consumer = run(queue_limit=2, queue_wait=0.2)
    consumer.act = gate
    consumer.take(numbered(1))
    assert gate.reached.wait(20)
    for batch in ([0, 2], [2, 3], [3, 4], [4, 5]):
        consumer.take(numbered(6)[slice(*batch)])
    assert (consumer.dropped, consumer.backlog) == (3, 2)
    assert consumer.__json__()["dropped_total"] == 3
    assert caplog.text.count("Recorder is stalled: its queue of 2 messages") == 1
    gate.open()
    eventually(lambda: len(consumer.got) == 3)
    consumer.take(numbered(1))
    eventually(lambda: len(consumer.got) == 4)
    assert "Recorder takes messages again; dropped so far: 3" in caplog.text


def test_stalled_queue_is_not_waited_for(run: Run, gate: Gate) -> None:
    """Else one consumer would hold up the others for every message."""
    consumer = run(queue_limit=1, queue_wait=1)
    consumer.act = gate
    consumer.take(numbered(1))
    assert gate.reached.wait(20)
    for _ in range(3):
        consumer.take(numbered(1))  # one has room, one waits
    began = time.monotonic()
    for _ in range(100):
        consumer.take(numbered(1))
    assert (time.monotonic() - began < 20, consumer.dropped) == (True, 102)


def test_worker_can_put_on_its_own_full_queue(run: Run, eventually: Wait) -> None:
    """It would wait for itself for ever."""
    consumer = run(queue_limit=1)
    consumer.act = lambda m: (
        m["body"]["msg"]["n"]
        or [consumer.incoming.put({"body": {"topic": "t", "msg": {"n": n}}}) for n in range(1, 10)]
    )
    consumer.take(numbered(1))
    eventually(lambda: numbers(consumer) == list(range(10)))


def test_unlimited_queue(run: Run, gate: Gate) -> None:
    """``queue_limit`` 0, as in 1.1.7."""
    consumer = run(queue_limit=0)
    consumer.act = gate
    consumer.take(numbered(20_000))
    assert consumer.dropped == 0


def test_what_a_worker_did_not_finish_is_counted(run: Run, gate: Gate) -> None:
    """Those in its hands, and those in the queue."""
    consumer = run()
    consumer.act = gate
    consumer.take(numbered(5))
    consumer.take(numbered(3))
    assert gate.reached.wait(20)
    consumer.stop()
    assert consumer.wait_stopped(time.monotonic() + 0.05) == 8


def test_retries(run: Run, eventually: Wait, tmp_path: Path) -> None:
    """The second attempt succeeds: nothing is given up."""
    failures = iter([ValueError("no")])
    consumer = run(retries=2, retry_delay=0.01, dead_letter_file=str(tmp_path / "dead"))
    consumer.act = lambda m: next((raising(error)(m) for error in failures), None)
    consumer.take(numbered(2))
    eventually(lambda: numbers(consumer) == [0, 0, 1])
    assert not (tmp_path / "dead").exists()


@pytest.mark.parametrize("raw", [False, True])
def test_dead_letters(run: Run, eventually: Wait, tmp_path: Path, raw: bool) -> None:
    """What fails for good is kept, in a form that can be sent again."""
    path = tmp_path / "dead"
    consumer = run(
        type("Failing", (Recorder,), {"jsonify": not raw}),
        retries=2, retry_delay=0.01, dead_letter_file=str(path),
    )  # fmt: skip
    consumer.act = raising(ValueError("no"))
    consumer.take(numbered(2))
    eventually(lambda: path.exists() and len(path.read_text().splitlines()) == 2)
    found = [{**record, "time": 0} for record in retry.read(str(path))]
    assert found == [
        {
            "consumer": "Failing", "time": 0, "attempts": 3, "topic": "org.test",
            "body": {"topic": "org.test", "msg": {"n": n}},
        }
        for n in range(2)
    ]  # fmt: skip
    assert path.stat().st_mode & 0o007 == 0


def test_stopping_ends_the_waiting(run: Run, eventually: Wait, tmp_path: Path) -> None:
    """No further attempt: it is a dead letter after the first."""
    consumer = run(retries=5, retry_delay=60, dead_letter_file=str(tmp_path / "dead"))
    consumer.act = raising(ValueError("no"))
    consumer.take(numbered(1))
    eventually(lambda: consumer.got)
    consumer.stop()
    assert consumer.wait_stopped(time.monotonic() + 20) == 0
    assert [letter["attempts"] for letter in retry.read(str(tmp_path / "dead"))] == [1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_no_room_for_dead_letters(
    run: Run, eventually: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    """Counted, logged, and the consumer goes on."""
    consumer = run(dead_letter_file="/dev/full")
    consumer.act = lambda m: m["body"]["msg"]["n"] < 2 and raising(ValueError("no"))(m)
    consumer.take(numbered(3))
    eventually(lambda: numbers(consumer) == [0, 1, 2])
    eventually(lambda: consumer._retry._letters.lost == 2)
    assert "cannot be written to the dead_letter_file /dev/full" in caplog.text


def test_what_json_cannot_express_is_lost_and_counted(tmp_path: Path) -> None:
    """A foreign object on the queue is kept as its text; a body that is none is counted."""
    letters = retry.DeadLetters(str(tmp_path / "dead"), "C")
    letters.add(object(), 1)
    letters.add({"topic": "t", "body": object()}, 1)
    (record,) = retry.read(letters.path)
    assert (record["topic"], record["body"].startswith("None: <object"), letters.lost) == (
        None, True, 1,
    )  # fmt: skip


@pytest.mark.parametrize("torn", [b'{"topic": "a", "bo', b"\xff", b"[1]", b"[" * 100_000])
def test_torn_letters(tmp_path: Path, caplog: pytest.LogCaptureFixture, torn: bytes) -> None:
    """What a crash left is passed over, and does not spoil what follows."""
    path = tmp_path / "dead"
    letters = retry.DeadLetters(str(path), "C")
    letters.add({"topic": "a", "body": {}}, 1)
    path.write_bytes(path.read_bytes() + torn)
    letters.add({"topic": "b", "body": {}}, 1)
    assert [record["topic"] for record in retry.read(str(path))] == ["a", "b"]
    assert "line 2 is no dead letter" in caplog.text


def test_letters_of_several_writers(tmp_path: Path) -> None:
    """Each line is whole."""
    path = str(tmp_path / "dead")
    body = {"text": "x" * 5000}

    def write(name: str) -> None:
        letters = retry.DeadLetters(path, name)
        for _ in range(50):
            letters.add({"topic": name, "body": body}, 1)

    writers = [threading.Thread(target=write, args=(str(n),)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = sorted(record["topic"] for record in retry.read(path) if record["body"] == body)
    assert found == sorted(str(n) for n in range(4) for _ in range(50))


@pytest.mark.parametrize(
    ("option", "value"), [("retries", -1), ("retry_delay", "x"), ("queue_limit", "x")]
)
def test_wrong_options_are_named(run: Run, option: str, value: Any) -> None:
    """At the start, and not when the first message comes."""
    with pytest.raises(ValueError, match=option):
        run(**{"retries": 1, option: value})


@pytest.mark.parametrize("error", [ValueError("never"), SystemExit(1)])
def test_hostile_repr_in_an_error_path(
    run: Run, eventually: Wait, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    """The log line says that there is no text; what comes behind it is consumed."""

    class Hostile(BusMessage):
        """Cannot be shown."""

        def __repr__(self) -> str:
            raise error

    caplog.set_level(logging.ERROR)
    consumer = run()
    consumer.act = raising(ValueError("no"))
    for _ in range(2):
        consumer.incoming.put(Hostile("t", json.dumps({"topic": "t"})))
    eventually(lambda: caplog.text.count("a message whose repr fails") == 2)
    assert "died" not in caplog.text
