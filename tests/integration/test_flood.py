"""A hostile peer that sends to a publisher as fast as it can."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading

import pytest
import zmq
from parts import Stalled, settings

from fedmsg.transports.forwarder import Forwarder
from fedmsg.transports.zeromq import SocketOptions

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")

MIB = 1 << 20
#: What the flooded process may grow by: 1,000 messages of 64 KiB wait for each of 3 peers.
BOUND = 300 * MIB
#: What a relay may grow by; it was 172 MiB when it kept what subscribers sent.
RELAY_BOUND = 60 * MIB
FRAMES = {
    "small junk": "[b'j' * 10]",
    "junk": "[b'j' * 60_000] * 5",
    "subscriptions": "[b'\\1' + str(n).encode() * 4 for n in range(500)]",
    "subscribe-unsubscribe": "[b'\\1topic', b'\\0topic']",
}

FLOOD = """
import select, sys, time
from parts import Stalled
frames = eval(sys.argv[2]) * 20
blob = b"".join(
    (bytes([2]) + len(f).to_bytes(8, "big") if len(f) > 255 else bytes([0, len(f)])) + f
    for f in frames)
peers = [Stalled(sys.argv[1]).socket for _ in range(3)]
rest = {}
for sock in peers:
    sock.setblocking(False)
    rest[sock] = memoryview(blob)
print("flooding", flush=True)
told = False
end = time.monotonic() + 60  # should the test die
while time.monotonic() < end:
    _, writable, _ = select.select([], peers, [], 0.5)
    for sock in writable:
        rest[sock] = rest[sock][sock.send(rest[sock]):] or memoryview(blob)
    if not writable and not told:
        told = True
        print("blocked", flush=True)
"""


def resident():
    """Return the memory of this process, bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def victim(make_context, address):
    """A publisher that binds, and its endpoint."""
    endpoint = address()
    context = make_context(**settings(name="me", endpoints={"me": endpoint}, zmq_linger=0))
    context.publish(topic="warm", modname="t")
    return context, endpoint


@contextlib.contextmanager
def flooding(endpoint, frames):
    """A process whose three connections send as much as they can."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", FLOOD, endpoint, frames]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        try:
            assert process.stdout.readline() == b"flooding\n"
            yield process
        finally:
            process.kill()


@pytest.fixture(params=FRAMES)
def flood(request, victim):
    """A flood of one kind, sent to the victim."""
    with flooding(victim[1], FRAMES[request.param]) as process:
        yield process


def test_idle_publisher(victim, flood):
    """The flood is pushed back; the memory of a publisher that does nothing is bounded."""
    before = resident()
    assert flood.stdout.readline() == b"blocked\n"
    assert resident() - before < BOUND


@pytest.mark.parametrize("pause", [0, 0.01, 0.3], ids=["busy", "slow", "rare"])
def test_publishing_goes_on(victim, flood, listener, pause, eventually):
    """Under a flood messages are published and arrive, and the memory is bounded."""
    context, endpoint = victim
    healthy = listener(endpoint)
    before, wait, arrived = resident(), threading.Event(), []
    for number in range({0: 3000, 0.01: 200, 0.3: 10}[pause]):
        context.publish(topic=str(number), modname="t")
        wait.wait(pause)

    def last_arrives():
        context.publish(topic="last", modname="t")
        arrived.extend(frames[0] for frames in healthy.arrived())
        return any(topic.endswith(b"last") for topic in arrived)

    eventually(last_arrives)
    assert resident() - before < BOUND


def test_large_subscription_is_refused(victim):
    """A peer that sends more than 64 KiB at once is cut off."""
    peer = Stalled(victim[1])
    with contextlib.suppress(ConnectionError):
        peer.send(b"\x01" + b"x" * 70_000)
        while peer.socket.recv(4096):
            pass
    peer.close()


@pytest.mark.parametrize("limit", [0, 1000], ids=["proxy", "loop"])
@pytest.mark.parametrize("frames", ["junk", "subscribe-unsubscribe"])
def test_relay(limit, frames, address, zmq_context, listener, eventually):
    """Subscribers that flood a relay neither stop it nor make it grow."""
    inbound, outbound = address(), address()
    relay = Forwarder([inbound], outbound, SocketOptions(high_water_mark=limit))
    relay.open()
    relay.start()
    publisher = zmq_context.socket(zmq.XPUB)
    publisher.connect(inbound)
    healthy, before, arrived = listener(outbound), resident(), []

    def last_arrives():
        publisher.send(b"last")
        arrived.extend(frames[0] for frames in healthy.arrived())
        return b"last" in arrived

    try:
        assert publisher.poll(10_000), "the relay did not subscribe"
        with flooding(outbound, FRAMES[frames]):
            for number in range(3000):
                publisher.send(b"%d" % number)
            eventually(last_arrives)
            assert resident() - before < RELAY_BOUND
    finally:
        assert relay.stop(0.0)
