"""Publish with whichever fedmsg runs this: probes until told to go, then numbered messages.

Arguments: the configuration as JSON, the number of messages, how many may go before the next empty
line on standard input, the topic, the payload's text.
"""

import json
import sys
import threading

import fedmsg

config, count, window = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
lines = threading.Semaphore(0)


def listen():
    for _ in sys.stdin:
        lines.release()


threading.Thread(target=listen, daemon=True).start()
fedmsg.init(**config)
while not lines.acquire(timeout=0.02):
    fedmsg.publish(topic="probe", msg={}, modname="test")
for number in range(count):
    if number and number % window == 0:
        lines.acquire(timeout=60)
    fedmsg.publish(topic=sys.argv[4], msg={"n": number, "text": sys.argv[5]}, modname="test")
lines.acquire(timeout=60)
fedmsg.destroy()
