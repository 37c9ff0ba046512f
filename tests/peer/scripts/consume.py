"""Run consumers of the fedmsg on the path, under the hub that the first argument names.

Arguments: ``moksha`` or ``fedmsg``; the configuration as JSON.
"""

import json
import os
import sys

import fedmsg
from fedmsg.consumers import FedmsgConsumer


def say(*values):
    """Print a line at one go: there are several threads."""
    os.write(1, json.dumps(values).encode() + b"\n")


class Printing(FedmsgConsumer):
    config_key = "printing"
    topic = ["org.test", "org.test.*"]
    validate_signatures = False

    def consume(self, message):
        if message["body"]["msg"] == "fail":
            raise SystemExit(3)
        say(message["topic"], message["body"]["msg"])


class Raw(FedmsgConsumer):
    config_key = "raw"
    topic = "org.test"
    jsonify = False
    validate_signatures = False

    def consume(self, message):
        say("raw", json.loads(message.body)["msg"])


class Strict(Printing):
    config_key = "strict"
    validate_signatures = True

    def consume(self, message):
        say("unsigned", "believed")


class StrictRaw(Raw):
    config_key = "raw"
    validate_signatures = True

    def consume(self, message):
        say("unsigned", "believed")


class Following(FedmsgConsumer):
    config_key = "following"
    topic = "org.fedoraproject"
    validate_signatures = False
    replay_name = "me"

    def consume(self, message):
        say("seq_id", message["body"]["seq_id"])


class Off(Printing):
    config_key = "off"


print("fedmsg is", fedmsg.__file__, flush=True)
if sys.argv[1] == "moksha":
    import moksha.hub as hub
else:
    import fedmsg.hub as hub
classes = [Printing, Raw, Strict, StrictRaw, Following, Off]
sys.exit(hub.main(json.loads(sys.argv[2]), classes, [], framework=True))
