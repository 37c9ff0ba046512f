"""Print the answers to two queries, with whichever fedmsg runs this.

Argument: the configuration as JSON.
"""

import json
import sys

import fedmsg.replay

config = json.loads(sys.argv[1])
print(json.dumps(list(fedmsg.replay.get_replay("me", {"seq_id_range": [2, 4]}, config))))
try:
    list(fedmsg.replay.get_replay("me", {"colour": 1}, config))
except ValueError as error:
    print(json.dumps(str(error)))
