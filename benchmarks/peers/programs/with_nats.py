"""nats-py and core NATS: JSON on a subject, as its documentation shows it."""

import asyncio
import json
import sys

import nats
import orders

SUBJECT = "org.fedoraproject.dev.bench.thing.happened"


async def main() -> None:
    client = await nats.connect(orders.GIVEN["address"])
    if orders.IS_PUBLISHER:
        await orders.publish_async(
            lambda: asyncio.to_thread(sys.stdin.readline),
            lambda message: client.publish(SUBJECT, json.dumps(message).encode()),
            client.flush,
            asyncio.sleep,
        )
        await client.close()
    else:
        inbox = orders.Inbox()
        subscription = await client.subscribe("org.fedoraproject.dev.>")
        async for message in subscription.messages:
            inbox.take(json.loads(message.data))


asyncio.run(main())
