"""Forked and spawned children.

Everything happens in scripts: this process has threads, and forking it is deprecated since 3.12.
"""

from __future__ import annotations

import os
import textwrap

import pytest
from parts import run_script

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

START = """
import os, signal, sys, threading, time, warnings
import fedmsg
warnings.filterwarnings("ignore", "This process", DeprecationWarning)

endpoint, other = sys.argv[1:3]
relayed = dict(active=True, relay_inbound=endpoint, endpoints={}, post_init_sleep=20,
               zmq_linger=10000)
bound = dict(name="me", endpoints={"me": [endpoint, other]}, post_init_sleep=0, zmq_linger=1000)

def publish(topic):
    fedmsg.publish(topic=topic, msg={}, modname="t")

def fork(function):
    # Run a function in a forked child, and return its process id.
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        function()
        status = 0
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

def ended_well(pid):
    assert os.waitpid(pid, 0)[1] == 0

def is_free(address):
    # Within a deadline: what was killed takes a moment to be gone.
    deadline = time.monotonic() + 20
    while not can_bind(address) and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    return can_bind(address)

def can_bind(address):
    import socket
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as libzmq does
        try:
            probe.bind(("0.0.0.0", int(address.rpartition(":")[2])))
        except OSError:
            return False
        return True

def idle_child():
    # A forked child that lives until it is told to end.
    told, tell = os.pipe()
    def wait():
        os.close(tell)
        os.read(told, 1)
    pid = fork(wait)
    os.close(told)
    return pid, tell
"""


@pytest.fixture
def run(address):
    """A function that runs a script with the names of START and returns what it wrote."""
    return lambda script, *endpoints: run_script(
        START + textwrap.dedent(script), *(endpoints or (address(),)), address()
    )


def test_child_publishes_by_itself(run, relay, address):
    """After a fork the child publishes on a context of its own, without another init."""
    there = relay(address())
    run(
        """
        fedmsg.init(**relayed)
        publish("before")
        def child():
            publish("child")
            fedmsg.destroy()
        ended_well(fork(child))
        """,
        there.endpoint,
    )
    assert there.topics(2) == ["before", "child"]


def test_parent_keeps_working(run, relay, address):
    """A fork, and the end of the child, do not disturb the parent."""
    there = relay(address())
    run(
        """
        fedmsg.init(**relayed)
        for number in range(5):
            ended_well(fork(lambda: (publish("child"), fedmsg.destroy())))
            publish("parent")
        """,
        there.endpoint,
    )
    assert sorted(there.topics(10)) == ["child"] * 5 + ["parent"] * 5


def test_child_binds_the_next_endpoint(run):
    """A child of a publisher that binds takes the next free endpoint of the same name."""
    script = """
    first = fedmsg.init(**bound)
    def child():
        publish("a")
        context = getattr(getattr(fedmsg, "__local"), "__context")
        print(context._transport.endpoint[-5:] == other[-5:])
    ended_well(fork(child))
    """
    assert run(script) == "True\n"


def test_child_does_not_share_the_context(run):
    """What the child gets is another context."""
    script = """
    parent = fedmsg.init(mute=True, **bound)
    ended_well(fork(lambda: print(fedmsg.init(mute=True, **bound) is parent)))
    """
    assert run(script) == "False\n"


def test_context_of_the_parent_refuses(run):
    """Publishing on the parent's context object in a child is an error that says why."""
    script = """
    context = fedmsg.init(**bound)
    def child():
        try:
            context.publish(topic="a", msg={}, modname="t")
        except AttributeError as error:
            print(error)
    ended_well(fork(child))
    """
    assert "belongs to the parent process" in run(script)


def test_destroy_in_the_child(run, relay, address):
    """Destroying the parent's context in a child returns, and leaves the parent's alone."""
    there = relay(address())
    run(
        """
        context = fedmsg.init(**relayed)
        ended_well(fork(lambda: (context.destroy(), fedmsg.destroy())))
        publish("parent")
        """,
        there.endpoint,
    )
    assert there.topics(1) == ["parent"]


def test_port_is_free_after_destroy(run):
    """After the parent's destroy its port can be bound, although a child lives."""
    script = """
    fedmsg.init(**bound)
    pid, tell = idle_child()
    fedmsg.destroy()
    print(is_free(endpoint))
    os.write(tell, b"x")
    ended_well(pid)
    """
    assert run(script) == "True\n"


def test_port_is_free_after_destroy_under_a_connection(run):
    """The same where a subscriber was connected at the time of the fork."""
    script = """
    import zmq
    there = zmq.Context()
    sub = there.socket(zmq.SUB)
    sub.subscribe(b"")
    sub.connect(endpoint)
    fedmsg.init(**{**bound, "post_init_sleep": 20, "wait_for_subscriptions": 1})
    pid, tell = idle_child()
    fedmsg.destroy()
    sub.close(linger=0)
    there.term()
    print(is_free(endpoint))
    os.write(tell, b"x")
    ended_well(pid)
    """
    assert run(script) == "True\n"


def test_port_is_free_after_a_kill(run):
    """After kill -9 of the parent its port can be bound, although its child lives."""
    script = """
    report, write = os.pipe()
    def parent():
        fedmsg.init(**bound)
        idle, _ = idle_child()
        os.write(write, str(idle).encode())
        signal.pause()
    victim = fork(parent)
    child = int(os.read(report, 20))
    os.kill(victim, signal.SIGKILL)
    os.waitpid(victim, 0)
    os.kill(child, 0)  # it is there
    print(is_free(endpoint))
    os.kill(child, signal.SIGKILL)
    """
    assert run(script) == "True\n"


@pytest.mark.parametrize("sleep", [20, 0], ids=["known", "not looked at yet"])
def test_relay_sees_the_parent_leave(run, sleep):
    """In active mode the relay sees the end of the connection, although a child lives."""
    script = """
    import socket, zmq
    import zmq.utils.monitor
    there = zmq.Context()
    sub = there.socket(zmq.SUB)
    sub.subscribe(b"")
    events = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
    monitor = sub.get_monitor_socket(events)
    sub.bind(endpoint)
    done = threading.Event()
    def serve():
        while not done.is_set():
            if sub.poll(10):
                sub.recv_multipart()
    server = threading.Thread(target=serve)
    server.start()
    fedmsg.init(**{**relayed, "post_init_sleep": SLEEP})
    assert monitor.poll(20000)
    zmq.utils.monitor.recv_monitor_message(monitor)
    pid, tell = idle_child()
    fedmsg.destroy()
    print(monitor.poll(20000) == zmq.POLLIN)
    done.set()
    server.join()
    sub.disable_monitor()
    monitor.close(linger=0)
    sub.close(linger=0)
    there.term()
    os.write(tell, b"x")
    ended_well(pid)
    """
    assert run(script.replace("SLEEP", str(sleep))) == "True\n"


def test_fork_while_another_thread_publishes(run, relay, address):
    """A child forked in the middle of somebody's publish does not deadlock."""
    there = relay(address())
    script = """
    done = threading.Event()
    def work():
        fedmsg.init(**relayed)
        while not done.is_set():
            publish("thread")
        fedmsg.destroy()
    thread = threading.Thread(target=work)
    fedmsg.init(**relayed)
    thread.start()
    for number in range(20):
        ended_well(fork(lambda: (publish("child"), fedmsg.destroy())))
    done.set()
    thread.join()
    publish("end")
    """
    run(script, there.endpoint)
    names = iter(lambda: there.topics(1)[0], "end")
    assert list(names).count("child") == 20


def test_fork_in_a_tail_loop(run, relay):
    """A child forked while the parent listens can end, and the parent hears on."""
    script = """
    import zmq
    there = zmq.Context()
    pub = there.socket(zmq.XPUB)
    pub.bind(endpoint)
    named = endpoint.replace("127.0.0.1", "localhost")
    tail = fedmsg.tail_messages(endpoints={"a": [named]}, mute=True, post_init_sleep=0)
    heard = []
    listening = threading.Thread(target=lambda: heard.append(next(tail)))
    listening.start()
    assert pub.poll(20000)
    pub.send_multipart([b"t", b"{}"])
    listening.join()
    def child():
        print(list(tail))
        tail.close()
        fedmsg.destroy()
    ended_well(fork(child))
    pub.send_multipart([b"u", b"{}"])
    print(next(tail)[2])
    tail.close()
    fedmsg.destroy()
    pub.close(linger=0)
    there.term()
    """
    assert run(script) == "[]\nu\n"
