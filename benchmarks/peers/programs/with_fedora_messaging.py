"""fedora-messaging and RabbitMQ, with the library's own defaults."""

import orders
from fedora_messaging import api, config
from fedora_messaging.message import Message

config.conf.load_config(orders.GIVEN["config"])
if orders.IS_PUBLISHER:
    topic = "org.fedoraproject.dev.bench.thing.happened"
    orders.publish(lambda message: api.publish(Message(topic=topic, body=message)))
else:
    inbox = orders.Inbox()
    api.consume(lambda message: inbox.take(message.body))
