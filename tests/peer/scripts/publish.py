"""Publish with whichever fedmsg runs this: probes until told to go, then numbered messages.

Arguments: the configuration as JSON, the number of messages, the topic, the payload's text.
"""

import json
import sys
import threading

import fedmsg

config, count = json.loads(sys.argv[1]), int(sys.argv[2])
go = threading.Event()
done = threading.Event()


def listen():
    sys.stdin.readline()
    go.set()
    sys.stdin.readline()
    done.set()


threading.Thread(target=listen, daemon=True).start()
fedmsg.init(**config)
while not go.wait(0.02):
    fedmsg.publish(topic="probe", msg={}, modname="test")
for number in range(count):
    fedmsg.publish(topic=sys.argv[3], msg={"n": number, "text": sys.argv[4]}, modname="test")
print("published", flush=True)
done.wait(60)
fedmsg.destroy()
