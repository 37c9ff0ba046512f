"""Print what arrives, one JSON array a line, with whichever fedmsg runs this.

Argument: the configuration as JSON.
"""

import json
import sys

import fedmsg

for _name, _endpoint, topic, message in fedmsg.tail_messages(**json.loads(sys.argv[1])):
    print(json.dumps([topic, message["msg"]]), flush=True)
