"""fedmsg.aio with STOMP brokers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from aio_parts import begun, run
from stomp_parts import FakeBroker, Peer, configuration, good, refusing

from fedmsg import aio
from fedmsg.exceptions import BrokerRefused

Start = Callable[..., FakeBroker]


def serving(*topics: str) -> Callable[[Peer], None]:
    """Return a behaviour: confirm the subscription, and send a message for each topic."""

    def behaviour(peer: Peer) -> None:
        peer.accept()
        frame = peer.read()
        assert frame is not None
        peer.send("RECEIPT", receipt_id=frame[1]["receipt"])
        for number, topic in enumerate(topics):
            body = json.dumps({"topic": topic, "msg": {}})
            peer.send("MESSAGE", body, destination=f"/topic/{topic}", message_id=number,
                      subscription="0", content_length=len(body))  # fmt: skip
        peer.confirm()

    return behaviour


def test_listening(peer: Start) -> None:
    """Messages come one after another, and a cancelled wait loses none."""
    broker = peer(serving("a", "b", "c"))

    async def main() -> list[str]:
        async with aio.FedMsgContext(**configuration(broker.port, mute=True)) as context:
            tail = context.tail_messages()
            first = await begun(anext(tail))
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            return [(await anext(tail))[2] for _ in range(3)]

    assert run(main()) == ["a", "b", "c"]


def test_end_while_a_broker_is_silent(peer: Start) -> None:
    """destroy ends a tail to which nothing comes."""
    broker = peer(serving("a"))

    async def main() -> object:
        context = await aio.FedMsgContext(**configuration(broker.port, mute=True))
        tail = context.tail_messages()
        await anext(tail)
        waiting = await begun(anext(tail, "over"))
        await context.destroy()
        return await waiting

    assert run(main()) == "over"


def test_refused(peer: Start) -> None:
    """A broker that does not let us in is an error while iterating."""
    broker = peer(refusing)

    async def main() -> None:
        async with aio.FedMsgContext(**configuration(broker.port, mute=True)) as context:
            with pytest.raises(BrokerRefused):
                await anext(context.tail_messages())

    run(main())


def test_publishing(peer: Start) -> None:
    """Gathered publishers send each message once, confirmed before the end."""
    broker = peer(good)

    async def main() -> int:
        async with aio.FedMsgContext(**configuration(broker.port)) as context:
            await asyncio.gather(*(context.publish(topic="t", msg={"n": n}) for n in range(100)))
            return await context.flush(10)

    assert run(main()) == 0
    assert sorted(set(broker.ids())) == sorted(broker.ids())
    assert len(broker.ids()) == 100
