"""redis-py, PUBLISH and PSUBSCRIBE: JSON on a channel, as its documentation shows it."""

import json

import orders
import redis

client = redis.Redis(host="127.0.0.1", port=orders.GIVEN["port"])
if orders.IS_PUBLISHER:
    channel = "org.fedoraproject.dev.bench.thing.happened"
    orders.publish(lambda message: client.publish(channel, json.dumps(message)))
    client.close()
else:
    inbox = orders.Inbox()
    messages = client.pubsub(ignore_subscribe_messages=True)
    messages.psubscribe("org.fedoraproject.dev.*")
    for message in messages.listen():
        inbox.take(json.loads(message["data"]))
