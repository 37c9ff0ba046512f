"""Serve five messages with whichever fedmsg runs this.  Argument: the configuration as JSON."""

import json
import sys

import fedmsg.replay


class Store:
    """Answers ranges, both ends included, and single numbers."""

    messages = [
        {"seq_id": n, "msg_id": str(n), "topic": "t", "msg": {"text": "gr\u00fc\u00dfe"}}
        for n in range(1, 6)
    ]

    def get(self, query):
        if "seq_id_range" in query:
            first, last = query["seq_id_range"]
            return [each for each in self.messages if first <= each["seq_id"] <= last]
        if "seq_id" in query:
            return [each for each in self.messages if each["seq_id"] == query["seq_id"]]
        raise ValueError("Unsupported field")


context = fedmsg.replay.ReplayContext(persistent_store=Store(), **json.loads(sys.argv[1]))
print("serving", flush=True)
context.listen()
