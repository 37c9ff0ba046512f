"""high_water_mark: a subscriber that stalls, and one that does not."""

from __future__ import annotations

import time

import pytest
from parts import publish, settings

from fedmsg import _limits as limits

#: Enough, at 10 kB each, to fill the buffers of the kernel and a small queue.
MANY = 2000
PAYLOAD = {"x": "x" * 10_000}


@pytest.fixture(params=[0, 1], ids=["PUB", "XPUB"])
def crowd(make_context, listener, stalled, address, eventually, request):
    """A function: a context with a healthy and a stalled subscriber, and the healthy one."""

    def gather(**changes):
        endpoint = address()
        context = make_context(
            **settings(
                name="me", endpoints={"me": endpoint}, zmq_linger=0,
                wait_for_subscriptions=request.param, **changes,
            )
        )  # fmt: skip
        healthy, stalling = listener(endpoint), stalled(endpoint)
        heard = []

        def both_hear():
            context.publish(topic="hello", modname="t")
            heard.extend(healthy.arrived())
            return heard and stalling.hears(b"hello")

        eventually(both_hear)
        context.publish(topic="begin", modname="t")
        while not healthy.receive()[0].endswith(b"begin"):
            pass
        return context, healthy

    return gather


def pour(context, healthy, count=MANY):
    """Publish, at the pace of the healthy subscriber; return the numbers that it received."""
    heard = []
    for number in range(count):
        context.publish(topic=str(number), msg=PAYLOAD, modname="t")
        heard.append(int(healthy.receive()[0].rpartition(b".")[2]))
    return heard


def test_healthy_subscriber_loses_nothing(crowd):
    """Including the very message that found the other one's queue full."""
    context, healthy = crowd(high_water_mark=20)
    heard = pour(context, healthy)
    assert (heard == list(range(MANY)), context.overflows > 0) == (True, True)


def test_episodes_are_counted_not_messages(crowd):
    """A subscriber that stays stalled adds no episode, however much it misses.

    The first ones depend on the kernel: some enlarge a full send buffer once more.
    """
    context, healthy = crowd(high_water_mark=20)
    pour(context, healthy)
    episodes = context.overflows
    pour(context, healthy)
    assert (episodes > 0, context.overflows) == (True, episodes)


def test_overflow_is_logged_once(crowd, caplog):
    """The log says it once a minute, with the name and the limit."""
    context, healthy = crowd(high_water_mark=20)
    pour(context, healthy)
    told = [text for text in caplog.messages if "too slow" in text]
    assert (len(told), "'me'" in told[0], "20 messages" in told[0]) == (1, True, True)


def test_overflow_is_logged_again_after_a_minute(crowd, caplog, monkeypatch):
    """An episode a minute later is told again."""
    context, _ = crowd(high_water_mark=20)
    transport = context._transport
    now = time.monotonic()
    monkeypatch.setattr(limits, "time", type("Clock", (), {"monotonic": lambda: now}))
    transport._overflow((b"t", b"{}"))
    now += 61
    transport._overflow((b"t", b"{}"))
    assert caplog.text.count("too slow") == 2


def test_publishing_never_waits(crowd):
    """With every queue full publish still returns at once."""
    context, _ = crowd(high_water_mark=5)
    slowest = 0.0
    for number in range(MANY):
        began = time.monotonic()
        context.publish(topic=str(number), msg=PAYLOAD, modname="t")
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 5


def test_fast_reader_is_not_taken_for_a_slow_one(make_context, subscriber, address):
    """Who has read everything misses nothing, although libzmq hears of it only now and then."""
    endpoint = address()
    reader = subscriber(endpoint)
    context = make_context(
        **settings(name="me", endpoints={"me": endpoint}, high_water_mark=20,
                   post_init_sleep=20, wait_for_subscriptions=1)
    )  # fmt: skip
    for number in range(MANY):
        context.publish(topic=str(number), modname="t")
        assert reader.receive()[0].endswith(b".%d" % number)
    assert context.overflows == 0


def test_zero_is_no_limit(make_context, listener, address):
    """With 0 a subscriber that is far behind still gets everything."""
    endpoint = address()
    listening = listener(endpoint)
    context = make_context(
        **settings(name="me", endpoints={"me": endpoint}, post_init_sleep=20,
                   wait_for_subscriptions=1, zmq_linger=20_000)
    )  # fmt: skip
    publish(context, range(20_000))
    context.destroy()
    assert listening.topics(20_000) == [str(number) for number in range(20_000)]


def test_zero_never_overflows(crowd):
    """Without a limit nothing is counted, for nothing is lost."""
    context, healthy = crowd(high_water_mark=0)
    pour(context, healthy)
    assert context.overflows == 0
