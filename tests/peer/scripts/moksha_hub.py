"""Run a real Moksha hub whose producer publishes through fedmsg; print what its consumer gets.

Arguments: the address on which the hub publishes, and the configuration of fedmsg as JSON.
"""

import json
import os
import sys

import moksha.hub
import moksha.hub.api

import fedmsg

ENDPOINT, CONFIG = sys.argv[1], json.loads(sys.argv[2])


class Publishing(moksha.hub.api.PollingProducer):
    """Publishes until it is heard."""

    frequency = 0.1
    initialized = False

    def poll(self):
        """Publish one message."""
        if not self.initialized:
            self.initialized = True
            fedmsg.init(**CONFIG)
        fedmsg.publish(topic="thing", msg={"text": "grüße 日本"}, modname="t")


class Hearing(moksha.hub.api.Consumer):
    """Prints one message, and ends."""

    topic = "org.fedoraproject.dev.t.thing"

    def consume(self, message):
        """Print topic and body."""
        print(json.dumps([message["topic"], message["body"], fedmsg.__file__]), flush=True)
        os._exit(0)  # the hub's threads would not end


moksha.hub.main(
    {"zmq_enabled": True, "zmq_publish_endpoints": ENDPOINT, "zmq_subscribe_endpoints": ENDPOINT},
    [Hearing],
    [Publishing],
    framework=False,
)
