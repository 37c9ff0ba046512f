"""mock_sends and captured: what an application published."""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal

import pytest
from parts import PATIENCE, relayed, settings

import fedmsg
from fedmsg import aio
from fedmsg.testing import captured, mock_sends


def say(topic="a.b", **msg):
    fedmsg.publish(topic=topic, modname="m", msg=msg)


def test_nothing_has_to_be_initialised(fedmsg_sent):
    """Without configuration, relay and init the message is there, and no context stays."""
    say(x=1)
    [sent] = fedmsg_sent
    assert (sent.topic, sent.msg) == ("org.fedoraproject.dev.m.a.b", {"x": 1})
    assert sent.message["topic"] == sent.topic


def test_no_context_stays():
    """What the thread was given for the block is destroyed with it."""
    with captured():
        say()
        assert fedmsg._context() is not None
    assert fedmsg._context() is None


@pytest.mark.parametrize(
    "expected",
    [
        "org.fedoraproject.dev.m.a.b", "m.a.b", "a.b", {"x": 1}, lambda sent: sent.msg["x"] == 1,
        lambda sent: None, ("a.b", {"x": 1}, lambda sent: True),
    ],
)  # fmt: skip
def test_expectations_that_hold(expected):
    """Topics, their ends, payloads, callables and tuples of these."""
    with mock_sends(expected) as sent:
        say(x=1)
    assert len(sent) == 1


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("x.b", "message 1 has the topic 'org.fedoraproject.dev.m.a.b', not 'x.b'"),
        (".b", "has the topic"),
        ({"x": 2}, "message 1 has the payload {'x': 1}, not {'x': 2}"),
        (lambda sent: False, "message 1 does not satisfy"),
        (("a.b", {"x": 2}), "has the payload"),
    ],
)
def test_expectations_that_do_not_hold(expected, text):
    """The error names the message, what it is and what it should be, and shows both lists."""
    with pytest.raises(AssertionError) as caught, mock_sends(expected):
        say(x=1)
    assert text in str(caught.value)
    assert "published 1:\n  org.fedoraproject.dev.m.a.b {'x': 1}" in str(caught.value)


@pytest.mark.parametrize(
    ("expected", "text"), [(["a", "b", "c"], "1 missing"), (["a"], "1 not expected"), ([None], "2")]
)
def test_number_of_messages(expected, text):
    """Too few and too many fail."""
    with pytest.raises(AssertionError, match=f"mock_sends: {text}"), mock_sends(*expected):
        say("a")
        say("b")


@pytest.mark.parametrize("expected", [(), (None,)])
def test_no_message(expected):
    """Nothing, or None alone, expects that nothing is published."""
    with mock_sends(*expected):
        pass
    with pytest.raises(AssertionError, match="1 not expected"), mock_sends(*expected):
        say()


@pytest.mark.parametrize("expected", [3, b"topic", None, ("a", 3)])
def test_impossible_expectations(expected):
    """What cannot be an expectation is a TypeError that names the value, before the block runs."""
    with pytest.raises(TypeError, match="cannot expect"), mock_sends("a", expected):
        pytest.fail("the block ran")


def test_errors_of_the_block_win():
    """An error inside the block is not hidden by what was missing."""
    with pytest.raises(ZeroDivisionError), mock_sends("a"):
        raise ZeroDivisionError


def test_payload_is_what_subscribers_get(fedmsg_sent):
    """The payload went through JSON; what JSON cannot express is an error as ever."""
    say(pair=(1, 2))
    assert fedmsg_sent[0].msg == {"pair": [1, 2]}
    with pytest.raises(TypeError):
        say(x=Decimal(1), y=object())


def test_neither_keys_nor_store():
    """Signing and storing have no effect, for contexts old and new."""

    class Store:
        def add(self, message):
            raise AssertionError("stored")

    unsignable = settings(sign_messages=True, persistent_store=Store(), name="me")
    with mock_sends("a") as sent:
        fedmsg.init(**unsignable)
        say("a")
    assert "signature" not in sent[0].message


def test_context_of_before(relay, address):
    """A context that exists is captured too, and afterwards sends as before."""
    there = relay(address())
    fedmsg.init(**relayed(there.endpoint))
    say("1")
    with mock_sends("2"):
        say("2")
    say("3")
    assert there.topics(2) == ["1", "3"]


def test_context_of_another_thread(relay, address):
    """A thread that outlives the block sends for real afterwards, and is captured again."""
    there = relay(address())
    fedmsg._remember(relayed(there.endpoint))
    todo, done = threading.Semaphore(0), threading.Semaphore(0)

    def work():
        for topic in ("1", "2", "3"):
            assert todo.acquire(timeout=PATIENCE)
            say(topic)
            done.release()
        fedmsg.destroy()

    def step():
        todo.release()
        assert done.acquire(timeout=PATIENCE)

    thread = threading.Thread(target=work)
    thread.start()
    with mock_sends("1"):
        step()
    step()
    with mock_sends("3"):
        step()
    thread.join(PATIENCE)
    assert there.topics(1) == ["2"]
    assert there.is_idle(0.05)


def test_nested_blocks():
    """The innermost block gets the message."""
    with mock_sends("outer", "again"):
        say("outer")
        with mock_sends("inner"):
            say("inner")
        say("again")


def test_muted_contexts_stay_muted():
    """A context that cannot publish by its configuration cannot here."""
    with captured(), pytest.raises(AttributeError, match="mute"):
        fedmsg.init(**settings(mute=True))
        say()


def test_asyncio_is_captured(fedmsg_sent):
    """fedmsg.aio publishes into the list as well."""

    async def main():
        await asyncio.gather(*(aio.publish(topic="a", msg={"n": n}) for n in range(3)))
        await aio.destroy()

    asyncio.run(main())
    assert sorted(sent.msg["n"] for sent in fedmsg_sent) == [0, 1, 2]


def test_as_a_decorator():
    """mock_sends decorates functions."""

    @mock_sends("a")
    def publishes():
        say("a")

    publishes()
    publishes()
