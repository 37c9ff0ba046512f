"""Plug-ins written for Moksha, under our hub.  Arguments: an address, how to end, consumers."""

import json
import sys
import threading

import moksha.hub
from moksha.hub.api import PollingProducer
from moksha.hub.api.consumer import Consumer
from moksha.hub.reactor import reactor

import fedmsg.hub

address, end, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
lock = threading.Lock()


def say(*values):
    with lock:
        print(json.dumps(values), flush=True)


class Listener(Consumer):
    topic = "org.x"

    def __init__(self, hub):
        say("adopted", moksha.hub._hub is hub)
        super().__init__(hub)

    def consume(self, message):
        say("consumed", type(self).__name__, message["topic"], message["body"])
        if end == "plug-in" and message["topic"] == "org.x.end":
            reactor.callFromThread(reactor.stop)


class Ticker(PollingProducer):
    frequency = 0.1
    polls = 0

    def poll(self):
        self.polls += 1
        # Not before the hub listens to itself: it says so by a tick that arrives.
        topic = "org.x.end" if self.polls > 20 else "org.x.tick"
        self.send_message(topic, {"topic": topic, "msg": {}})


def later():
    say("later", threading.current_thread() is threading.main_thread())


options = {
    "zmq_enabled": True,
    "zmq_subscribe_endpoints": address,
    "zmq_publish_endpoints": address,
    "high_water_mark": 0,
}
consumers = [type(f"Listener{number}", (Listener,), {}) for number in range(count)]
reactor.callWhenRunning(later)
fedmsg.hub.main(options, consumers, [Ticker], framework=False)
say("ended", moksha.hub._hub is None)
