"""How the iteration of fedmsg.aio ends."""

from __future__ import annotations

import asyncio

import pytest
import zmq
from aio_parts import frames, joined, listening, run
from parts import GOOD, PATIENCE, settings

from fedmsg import aio
from fedmsg.exceptions import NoPublisher


@pytest.mark.parametrize("how", ["destroy", "aclose"])
def test_whoever_waits_sees_the_end(publisher, how):
    """destroy and aclose end the iteration of other tasks; both are idempotent."""
    there = publisher()

    async def main():
        context = await listening(there.endpoint)
        tail = context.tail_messages()
        tasks = [await joined(there, tail), asyncio.create_task(anext(tail, "over"))]
        end = context.destroy if how == "destroy" else tail.aclose
        await asyncio.gather(end(), end())
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [item async for item in tail] == []
        await context.destroy()
        return [type(results[0]), results[1]]

    # A task cannot raise StopAsyncIteration as it is in every version of Python.
    kind, second = run(main())
    assert issubclass(kind, (StopAsyncIteration, RuntimeError))
    assert second == "over"


def test_end_of_a_replay_that_hangs(publisher, zmq_context, address):
    """destroy ends a tail whose replay service does not answer."""
    there, service = publisher(), zmq_context.socket(zmq.REP)
    endpoint = address()
    service.bind(endpoint)

    async def main():
        config = {"replay_endpoints": {"me": endpoint}, "replay_timeout": 0.5}
        context = await listening(there.endpoint, **config)
        tail = context.tail_messages()
        task = await joined(there, tail)
        there.send(frames("t1", seq_id=1), frames("t3", seq_id=3))
        await task
        waiting = asyncio.create_task(anext(tail, "over"))
        await asyncio.to_thread(service.poll, PATIENCE * 1000)
        destroying = asyncio.create_task(context.destroy())
        await asyncio.sleep(0)  # noqa: sleep  a turn of the loop
        destroying.cancel()
        await asyncio.gather(destroying, return_exceptions=True)
        await context.destroy()
        return await waiting

    assert run(main()) == "over"


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("validating", [False, True])
def test_destroy_cancelled_anywhere(address, make_context, turns, validating):
    """Wherever destroy is cancelled, it can be repeated, and then everything is closed."""
    endpoint = address()
    config = settings(
        name="me", endpoints={"me": endpoint}, wait_for_subscriptions=1, post_init_sleep=PATIENCE,
        validate_signatures=validating,
    )  # fmt: skip

    async def main():
        listener = await aio.FedMsgContext(**{**config, "mute": True})
        tail = listener.tail_messages()
        task = asyncio.create_task(anext(tail, "over"))
        publisher = await aio.FedMsgContext(**config)
        for context in (listener, publisher):
            destroying = asyncio.create_task(context.destroy())
            for _ in range(turns):
                await asyncio.sleep(0)  # noqa: sleep  a turn of the loop
            destroying.cancel()
            await asyncio.gather(destroying, return_exceptions=True)
            await context.destroy()
        return await task, tail._tailing.subscriber.wait_closed(0)

    assert run(main()) == ("over", True)
    assert make_context(**{**config, "wait_for_subscriptions": 0, "post_init_sleep": 0}).publisher


def test_tail_of_a_destroyed_context(address):
    """A context destroyed before it was opened says so; one destroyed later has no messages."""

    async def main():
        context = listening(address())
        await context.destroy()
        with pytest.raises(NoPublisher, match="destroyed"):
            await anext(context.tail_messages())
        opened = await listening(address())
        await opened.destroy()
        assert [item async for item in opened.tail_messages()] == []

    run(main())


def test_tail_left_open(publisher):
    """A loop that ends with a tail half-way leaves nothing open once that is collected."""
    there = publisher()

    async def main():
        context = await listening(there.endpoint)
        tail = context.tail_messages()
        task = await joined(there, tail)
        there.send(GOOD)
        await task
        return tail._tailing.subscriber

    subscriber = run(main())
    assert subscriber.wait_closed(PATIENCE)
