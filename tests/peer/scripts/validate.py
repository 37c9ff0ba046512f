"""Print whether messages are valid for whichever fedmsg runs this, as a JSON array.

Standard input: the configuration, then one message a line.
"""

import json
import sys

import fedmsg.crypto

config = json.loads(sys.stdin.readline())
print(json.dumps([fedmsg.crypto.validate(json.loads(line), **config) for line in sys.stdin]))
