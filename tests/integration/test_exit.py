"""The end of the interpreter, with contexts that nobody destroyed."""

from __future__ import annotations

import textwrap

import pytest
from parts import run_script

EXIT = """
import sys, fedmsg
endpoint = sys.argv[1]
config = dict(active=True, relay_inbound=endpoint, endpoints={}, post_init_sleep=0,
              zmq_linger=20000, modname="t")
"""


def run(script, endpoint, before=""):
    """Run a script that has the names of EXIT; return what it wrote."""
    return run_script(textwrap.dedent(before) + EXIT + textwrap.dedent(script), endpoint)


def test_exit_delivers(relay, address):
    """An interpreter that ends without destroy delivers what was published."""
    there = relay(address())
    run("for n in range(500): fedmsg.publish(topic=str(n), msg={}, **config)", there.endpoint)
    assert there.topics(500) == [str(number) for number in range(500)]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_exit_while_a_thread_publishes(relay, address, host):
    """A thread that outlives the main one, when no thread can be started, delivers too."""
    there = relay(address())
    script = """
    import threading
    over = threading.main_thread().join
    def work():
        over()
        threading.Event().wait(0.3)
        fedmsg.publish(topic="late", msg={}, **config)
    threading.Thread(target=work).start()
    """
    run(script, there.endpoint.replace("127.0.0.1", host))
    assert there.topics(1) == ["late"]


def test_exit_hook_that_publishes(relay, address):
    """A function that runs at exit can publish; after fedmsg's own, with another init."""
    there = relay(address())
    early = """
    import atexit
    def late():
        fedmsg.init(**config)
        fedmsg.publish(topic="late", msg={}, modname="t")
        fedmsg.destroy()
    atexit.register(late)
    """
    script = """
    atexit.register(lambda: fedmsg.publish(topic="early", msg={}, **config))
    atexit.register(fedmsg.destroy)
    fedmsg.publish(topic="usual", msg={}, **config)
    """
    run(script, there.endpoint, early)
    assert there.topics(3) == ["usual", "early", "late"]


def test_daemon_thread_that_publishes_at_exit(relay, address):
    """A daemon thread in the middle of publishing neither hangs nor crashes the interpreter."""
    there = relay(address())
    # It waits for the relay: 1,000 messages at most would be held for one that is slow to answer.
    script = """
    import threading
    config["post_init_sleep"] = 20
    enough = threading.Event()
    def work():
        n = 0
        try:
            while True:
                fedmsg.publish(topic=str(n), msg={}, **config)
                n += 1
                if n == 200:
                    enough.set()
        except AttributeError:
            pass  # the context has been destroyed
    threading.Thread(target=work, daemon=True).start()
    enough.wait()
    """
    run(script, there.endpoint)
    assert there.topics(200)[-1] == "199"


def test_exit_with_a_tail_in_a_daemon_thread(address):
    """A blocked generator in a daemon thread does not keep the interpreter."""
    script = """
    import threading
    begun = threading.Event()
    def work():
        config.update(endpoints={"a": endpoint}, active=False, mute=True)
        tail = fedmsg.tail_messages(**config)
        begun.set()
        for _ in tail:
            pass
    threading.Thread(target=work, daemon=True).start()
    begun.wait()
    """
    assert run(script, address()) == ""


def test_exit_without_relay_is_bounded(address):
    """Without a relay the interpreter ends after zmq_linger, and says what was lost."""
    script = """
    import logging
    logging.basicConfig(stream=sys.stdout)
    config["zmq_linger"] = 100
    fedmsg.publish(topic="a", msg={}, **config)
    """
    assert "1 messages were not delivered" in run(script, address())
