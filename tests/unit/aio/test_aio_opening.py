"""The contexts of fedmsg.aio: how they are opened, and how they end."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest
from aio_parts import begun, run
from parts import PATIENCE, relayed, settings

import fedmsg
from fedmsg import aio
from fedmsg.exceptions import AlreadyInitialized, NoEndpointAvailable, NoPublisher


def test_publish_after_destroy(address, relay):
    """A destroyed context says so; destroy is idempotent."""
    there = relay(address())

    async def main():
        context = await aio.FedMsgContext(**relayed(there.endpoint))
        await asyncio.gather(context.destroy(), context.destroy())
        await context.destroy()
        with pytest.raises(NoPublisher):
            await context.publish(topic="a")

    run(main())


def test_open_cancelled(address, make_context):
    """A context whose opening is cancelled gives its port back."""
    endpoint = address()
    config = settings(name="me", endpoints={"me": endpoint})

    async def main():
        waiting = {**config, "wait_for_subscriptions": 1, "post_init_sleep": 0.2}
        opening = await begun(aio.FedMsgContext(**waiting))
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening

    run(main())
    assert make_context(**config).publisher is not None


def test_one_of_those_that_wait_for_the_opening_is_cancelled(relay, address):
    """The others get the context."""
    there = relay(address())

    async def main():
        async with contextlib.AsyncExitStack() as stack:
            context = aio.FedMsgContext(**relayed(there.endpoint))
            stack.push_async_callback(context.destroy)
            others = [asyncio.create_task(context.publish(topic=str(n))) for n in (1, 2)]
            # It is the last of them to begin, and the first to go on.
            first = await begun(context.publish(topic="0"))
            first.cancel()
            return await asyncio.gather(first, *others, return_exceptions=True)

    assert isinstance(run(main())[0], asyncio.CancelledError)
    assert there.topics(2) == ["1", "2"]


def test_front_door(relay, address):
    """One context a loop, made once however many ask for it; init again is an error."""
    there = relay(address())

    async def main():
        with pytest.raises(NoEndpointAvailable):
            await aio.init(**settings(name="x", endpoints={"x": "nonsense"}))
        made = await aio.init(**relayed(there.endpoint))
        with pytest.raises(AlreadyInitialized, match="destroy"):
            await aio.init()
        await aio.publish(topic="explicit")
        await aio.destroy()
        await asyncio.gather(*(aio.publish(topic="implicit") for _ in range(100)))
        assert aio._contexts[asyncio.get_running_loop()] is not made
        await aio.destroy()
        await aio.destroy()

    run(main())
    assert there.topics(101) == ["explicit"] + ["implicit"] * 100


def test_opening_in_vain_can_be_repeated(address, make_context):
    """Everybody who waited gets the error, and the next call tries again."""
    endpoint = address()
    config = settings(name="me", endpoints={"me": endpoint})
    other = make_context(**config)
    fedmsg._remember(config)

    async def main():
        errors = await asyncio.gather(
            *(aio.publish(topic="a") for _ in range(3)), return_exceptions=True
        )
        assert [type(error) for error in errors] == [NoEndpointAvailable] * 3
        other.destroy()
        await aio.publish(topic="b")
        await aio.destroy()

    run(main())


def test_two_loops_in_two_threads(address, listener):
    """Each loop has a context of its own."""
    endpoints = [address(), address()]
    there = [listener(endpoint) for endpoint in endpoints]
    fedmsg._remember(
        settings(
            name="me", endpoints={"me": endpoints}, wait_for_subscriptions=1,
            post_init_sleep=PATIENCE,
        )
    )  # fmt: skip
    both = threading.Barrier(2)

    async def main():
        await aio.publish(topic="a")
        both.wait(PATIENCE)
        await aio.destroy()

    threads = [threading.Thread(target=run, args=(main(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert [each.topics(1) for each in there] == [["a"], ["a"]]
    for thread in threads:
        thread.join(PATIENCE)


def test_a_loop_that_ends_without_destroy(relay, address, eventually):
    """The context of a closed loop is released when the next one is made."""
    there = relay(address())
    fedmsg._remember(relayed(there.endpoint))
    run(aio.publish(topic="a"))

    async def again():
        await aio.publish(topic="b")
        await aio.destroy()

    run(again())
    # Of two contexts the second may be the faster one.
    assert sorted(there.topics(2)) == ["a", "b"]
    eventually(lambda: len(aio._contexts) == 0, "the release")
