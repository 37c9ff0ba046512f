"""No descriptor is left to accept a connection with."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from parts import run_script

SCRIPT = """
import logging, os, resource, socket, sys, threading
from fedmsg.transports.accepting import AcceptMonitor
from fedmsg.transports.forwarder import Forwarder
from fedmsg.transports.zeromq import SocketOptions

records = []
handler = logging.Handler()
handler.emit = records.append
logging.getLogger("fedmsg").addHandler(handler)
count, enough = AcceptMonitor._count, threading.Event()

def counted(self, event):
    count(self, event)
    if self.failures == 1000:
        enough.set()

AcceptMonitor._count = counted
relay = Forwarder([sys.argv[1]], sys.argv[2], SocketOptions())
relay.open()
relay.start()
print(relay.accept_failures)
# Room for this side of the connection, and for the other not.
used = max(map(int, os.listdir("/proc/self/fd"))) + 1
fill = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
limit = max(fill) + 1
for each in fill[:1]:
    os.close(each)
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
client = socket.create_connection(("127.0.0.1", int(sys.argv[int(sys.argv[3])].rpartition(":")[2])))
enough.wait(20)
print(relay.accept_failures >= 1000, len(records), records[0].getMessage())
print(relay.stop(0.0))
client.close()
"""


@pytest.mark.parametrize(("place", "name"), [(1, "relay_inbound"), (2, "relay_outbound")])
def test_no_descriptor_left(address: Callable[[], str], place: int, name: str) -> None:
    """It is counted and logged, once a minute, and the end is not held up by it."""
    first, second, third = run_script(SCRIPT, address(), address(), place).splitlines()
    assert (first, third) == ("0", "True")
    assert second.startswith(f"True 1 {name!r} cannot accept a connection: Too many open files")
