"""fedmsg.aio publishes as fedmsg does, without blocking its loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading

import pytest
from aio_parts import begun, run
from parts import PATIENCE, relayed, settings

import fedmsg
from fedmsg import aio
from fedmsg.exceptions import AlreadyInitialized, NoEndpointAvailable, NoPublisher


class Blocking:
    """A persistent store that waits until it is told to go on."""

    def __init__(self):
        self.entered, self.release = threading.Event(), threading.Event()

    def add(self, message):
        self.entered.set()
        assert self.release.wait(PATIENCE)
        return message

    async def is_entered(self):
        """Wait, in a thread, until there is something to store."""
        assert await asyncio.to_thread(self.entered.wait, PATIENCE)


def test_message_is_the_same(relay, address):
    """Topic, module and envelope are those of the synchronous publish."""
    there = relay(address())

    async def main():
        async with aio.FedMsgContext(**relayed(there.endpoint)) as context:
            await context.publish(topic="a.b", msg={"x": 1}, modname="m")

    run(main())
    topic, body = there.receive()
    message = json.loads(body)
    assert topic == b"org.fedoraproject.dev.m.a.b"
    assert (message["topic"], message["msg"], message["i"]) == (topic.decode(), {"x": 1}, 1)


def test_module_is_the_callers_even_in_a_task(relay, address):
    """The module is found out when publish is called, not when its task runs."""
    there = relay(address())

    async def main():
        async with aio.FedMsgContext(**relayed(there.endpoint)) as context:
            await asyncio.gather(context.publish(topic="a"))

    run(main())
    assert there.receive()[0].decode().split(".")[3] == __name__.partition(".")[0]


@pytest.mark.parametrize("kind", ["relay", "bind"])
def test_a_hundred_publishers_at_once(relay, listener, address, kind):
    """Each of 100 gathered messages arrives once, with a number of its own."""
    endpoint = address()
    if kind == "relay":
        there, config = relay(endpoint), relayed(endpoint)
    else:
        there = listener(endpoint)
        config = settings(
            name="me", endpoints={"me": endpoint}, wait_for_subscriptions=1,
            post_init_sleep=PATIENCE,
        )  # fmt: skip

    async def main():
        async with aio.FedMsgContext(**config) as context:
            await asyncio.gather(*(context.publish(topic=str(n)) for n in range(100)))

    run(main())
    numbers = sorted(json.loads(there.receive()[1])["i"] for _ in range(100))
    assert (numbers, there.arrived()) == (list(range(1, 101)), [])


def test_the_loop_turns_while_publish_waits(relay, address):
    """A store that waits for something the loop does later is no dead-lock."""
    there, store = relay(address()), Blocking()

    async def main():
        config = relayed(there.endpoint, persistent_store=store)
        async with aio.FedMsgContext(**config) as context:
            publishing = asyncio.create_task(context.publish(topic="a"))
            await store.is_entered()
            store.release.set()
            await publishing

    run(main())
    assert there.topics(1) == ["a"]


def test_cancelled_publish_is_withdrawn(relay, address):
    """Of two that wait for the thread, the one that is cancelled is not sent."""
    there, store = relay(address()), Blocking()

    async def main():
        config = relayed(there.endpoint, persistent_store=store)
        async with aio.FedMsgContext(**config) as context:
            first = asyncio.create_task(context.publish(topic="first"))
            await store.is_entered()
            second = await begun(context.publish(topic="second"))
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            store.release.set()
            await first
            await context.publish(topic="end")

    run(main())
    assert there.topics(2) == ["first", "end"]


def test_publish_cancelled_at_its_turn(address, listener):
    """Where nothing waits, a publish that is cancelled before its turn is not sent."""
    endpoint = address()
    there = listener(endpoint)
    config = settings(
        name="me", endpoints={"me": endpoint}, wait_for_subscriptions=1, post_init_sleep=PATIENCE
    )

    async def main():
        async with aio.FedMsgContext(**config) as context:
            first = await begun(context.publish(topic="first"))
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            await context.publish(topic="end")

    run(main())
    assert there.topics(1) == ["end"]


def test_more_than_the_thread_may_hold(relay, address, monkeypatch):
    """Publishers beyond the limit wait in the loop, and are served, but for those cancelled."""
    monkeypatch.setattr("fedmsg.aio._worker._LIMIT", 2)
    there, store = relay(address()), Blocking()

    async def main():
        config = relayed(there.endpoint, persistent_store=store)
        async with aio.FedMsgContext(**config) as context:
            tasks = [asyncio.create_task(context.publish(topic=str(n))) for n in range(10)]
            await store.is_entered()
            assert context._worker._calls.qsize() <= 2
            tasks[-1].cancel()
            store.release.set()
            return await asyncio.gather(*tasks, return_exceptions=True)

    results = run(main())
    assert [type(each) for each in results] == [type(None)] * 9 + [asyncio.CancelledError]
    assert there.topics(9) == list("012345678")


def test_destroy_while_publishers_wait(relay, address, monkeypatch):
    """What the thread was given is sent; who still waited for room is told."""
    monkeypatch.setattr("fedmsg.aio._worker._LIMIT", 2)
    there, store = relay(address()), Blocking()

    async def main():
        context = await aio.FedMsgContext(**relayed(there.endpoint, persistent_store=store))
        tasks = [asyncio.create_task(context.publish(topic=str(n))) for n in range(4)]
        await store.is_entered()
        ended = await begun(context.destroy())
        store.release.set()
        await ended
        assert await context.flush() == 0
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = run(main())
    assert [type(each) for each in results] == [type(None)] * 2 + [NoPublisher] * 2
    assert there.topics(2) == ["0", "1"]


def test_errors_reach_the_caller(relay, address):
    """An unserialisable payload is a TypeError, and the context goes on."""
    there = relay(address())

    async def main():
        async with aio.FedMsgContext(**relayed(there.endpoint)) as context:
            with pytest.raises(TypeError):
                await context.publish(topic="a", msg={"x": object()})
            await context.publish(topic="end")

    run(main())
    assert there.topics(1) == ["end"]


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
    assert there.topics(2) == ["a", "b"]
    eventually(lambda: len(aio._contexts) == 0, "the release")
