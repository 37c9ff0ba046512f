"""Sign messages with whichever fedmsg runs this, one JSON document a line.

Standard input: the configuration, then a JSON array of messages.
"""

import json
import sys

import fedmsg.crypto
import fedmsg.encoding

config = json.loads(sys.stdin.readline())
for message in json.loads(sys.stdin.readline()):
    print(fedmsg.encoding.dumps(fedmsg.crypto.sign(message, **config)))
