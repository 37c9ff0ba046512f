"""fedmsg.aio receives as fedmsg does, as an asynchronous iterator."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
import zmq
from aio_parts import frames, joined, listening, run
from parts import GOOD, PATIENCE, settings, stored

from fedmsg import aio


def test_items(publisher):
    """Items are those of the synchronous iterator, and topics are filtered by prefix."""
    there = publisher()

    async def main():
        async with listening(there.endpoint) as context:
            tail = context.tail_messages(topic="a")
            task = await joined(there, tail)
            there.send(frames("b"), frames("a.1"), frames("a.2"))
            return [await task, await anext(tail)]

    expected = [("me", there.endpoint, topic, {"topic": topic}) for topic in ("a.1", "a.2")]
    assert run(main()) == expected


@pytest.mark.parametrize("validating", [False, True])
def test_hostile_frames(publisher, monkeypatch, validating):
    """What is no message is counted and skipped, in the loop as in the thread."""
    if validating:
        monkeypatch.setattr("fedmsg.core.FedMsgContext._validate", lambda *_: None)
    there = publisher()
    bad = [[b"t"], [b"t", b"x"], [b"\xff", b"{}"], [b"t", b"{}", b"x"], [b"t", b"[]"]]

    async def main():
        async with listening(there.endpoint, validate_signatures=validating) as context:
            context_core = await context.open()
            context_core.on_rejected = lambda text: None
            tail = context.tail_messages()
            task = await joined(there, tail)
            there.send(*bad, GOOD)
            assert (await task)[2] == "end"
            assert (tail._worker is not None) == validating
            return context.rejected.total()

    assert run(main()) == len(bad)


def test_unsigned_messages_are_rejected(publisher):
    """With validate_signatures an unsigned message does not come through."""
    pytest.importorskip("cryptography")
    there = publisher()

    async def main():
        async with listening(there.endpoint, validate_signatures=True) as context:
            core = await context.open()
            rejected = asyncio.Event()
            loop = asyncio.get_running_loop()
            core.on_rejected = lambda text: loop.call_soon_threadsafe(rejected.set)
            task = await joined(there, context.tail_messages())
            there.send(GOOD)
            await rejected.wait()
            assert not task.done()
            task.cancel()

    run(main())


@pytest.mark.parametrize("validating", [False, True])
def test_cancelled_wait_loses_nothing(publisher, monkeypatch, validating):
    """After a time-out the iteration goes on with the next message."""
    if validating:
        monkeypatch.setattr("fedmsg.core.FedMsgContext._validate", lambda *_: None)
    there = publisher()

    async def main():
        async with listening(there.endpoint, validate_signatures=validating) as context:
            tail = context.tail_messages()
            task = await joined(there, tail)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(task, 0.01)
            heard = []
            for number in range(100):
                there.send(frames(str(number)))
                cancelled = asyncio.create_task(anext(tail))
                for _ in range(number % 7):
                    await asyncio.sleep(0)  # noqa: sleep  at each of these turns it is cancelled
                cancelled.cancel()
                heard += await asyncio.gather(cancelled, return_exceptions=True)
            there.send(GOOD)
            heard = [item[2] for item in heard if isinstance(item, tuple)]
            async for _, _, topic, _ in tail:
                heard.append(topic)
                if topic == "end":
                    break
            return heard

    assert run(main()) == [*map(str, range(100)), "end"]


def test_gap_is_recovered(publisher, replay_server, sql_store):
    """What was missed is fetched, and comes in order."""
    there, store = publisher(), sql_store()
    messages = stored(store, 1200)
    config = replay_server(store).config
    wanted = {key: config[key] for key in ("replay_endpoints", "replay_timeout")}

    async def main():
        async with listening(there.endpoint, **wanted) as context:
            tail = context.tail_messages()
            task = await joined(there, tail)
            for message in (messages[0], messages[-1]):
                there.send([message["topic"].encode(), json.dumps(message).encode()])
            heard = [await task]
            while len(heard) < len(messages):
                heard.append(await anext(tail))
            return [item[3]["seq_id"] for item in heard], context.replayed["recovered"]

    assert run(main()) == (list(range(1, 1201)), 1198)


def test_cancelled_while_a_replay_is_asked_for(publisher, zmq_context, address):
    """The loop turns while the service thinks, and a cancelled wait loses none of its answer."""
    there, service = publisher(), zmq_context.socket(zmq.REP)
    endpoint = address()
    service.bind(endpoint)

    async def main():
        config = {"replay_endpoints": {"me": endpoint}, "replay_timeout": PATIENCE}
        async with listening(there.endpoint, **config) as context:
            tail = context.tail_messages()
            task = await joined(there, tail)
            there.send(frames("t1", seq_id=1), frames("t3", seq_id=3))
            first = await task
            waiting = asyncio.create_task(anext(tail))
            await asyncio.to_thread(service.poll, PATIENCE * 1000)
            waiting.cancel()
            service.recv()
            service.send_multipart(frames("t2", seq_id=2)[1:])
            return [item[2] for item in (first, await anext(tail), await anext(tail))]

    assert run(main()) == ["t1", "t2", "t3"]


def test_flood_leaves_the_loop_to_others(publisher):
    """While thousands of messages wait, other tasks get their turn."""
    there = publisher()

    async def main():
        async with listening(there.endpoint) as context:
            tail = context.tail_messages()
            task = await joined(there, tail)
            turns = 0

            async def other():
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)  # noqa: sleep  a turn of the loop

            there.send(*(frames(str(number)) for number in range(3000)), GOOD)
            await task
            counting = asyncio.create_task(other())
            async for _, _, topic, _ in tail:
                if topic == "end":
                    break
            counting.cancel()
            return turns

    assert run(main()) > 10


def test_publisher_that_comes_back(zmq_context, publisher, address):
    """A publisher given by name that goes away and comes back is heard again."""
    there = publisher()
    endpoint = there.endpoint.replace("127.0.0.1", "localhost")

    async def main():
        async with listening(endpoint) as context:
            tail = context.tail_messages()
            task = await joined(there, tail)
            there.send(frames("before"))
            heard = [await task]
            there.socket.close(linger=0)
            task = asyncio.create_task(anext(tail))
            again = await asyncio.to_thread(_bound_again, publisher, there.endpoint)
            await asyncio.to_thread(again.joined)
            again.send(frames("after"))
            return [item[2] for item in (*heard, await task)]

    assert run(main()) == ["before", "after"]


def _bound_again(publisher, endpoint):
    """Return a publisher where another one has just been closed, in the background."""
    while True:
        try:
            return publisher(endpoint)
        except zmq.ZMQError:
            threading.Event().wait(0.01)


def test_passive(zmq_context, address):
    """With passive the endpoint is bound, and publishers connect to it."""
    endpoint = address()
    socket = zmq_context.socket(zmq.XPUB)
    socket.connect(endpoint)

    async def main():
        async with listening(endpoint) as context, context.tail_messages(passive=True) as tail:
            task = asyncio.create_task(anext(tail))
            assert await asyncio.to_thread(socket.poll, PATIENCE * 1000)
            socket.send_multipart(GOOD)
            return (await task)[2]

    assert run(main()) == "end"


def test_errors_while_iterating():
    """Without zeromq and broker, and without endpoints, iterating is an error; then it is over."""

    async def main(config, error):
        async with aio.FedMsgContext(**config) as context:
            tail = context.tail_messages()
            with pytest.raises(error):
                await anext(tail)
            assert [item async for item in tail] == []

    without = settings(mute=True)
    del without["endpoints"]
    run(main(without, KeyError))
    run(main(settings(mute=True, zmq_enabled=False), ValueError))


def test_front_door_tail(publisher):
    """fedmsg.aio.tail_messages uses the context of the loop; destroy ends it."""
    there = publisher()

    async def main():
        await aio.init(**settings(mute=True, endpoints={"me": there.endpoint}))
        tail = aio.tail_messages()
        task = await joined(there, tail)
        there.send(GOOD)
        item = await task
        await aio.destroy()
        assert [each async for each in tail] == []
        return item[2]

    assert run(main()) == "end"
