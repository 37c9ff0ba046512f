"""Publishing through a relay that is late, absent or lost."""

from __future__ import annotations

import logging
import time

import pytest
import zmq
from parts import publish, relayed

from fedmsg.exceptions import RelayUnavailable
from fedmsg.transports import relay as relay_module


def test_publish_right_after_init_is_never_lost(make_context, relay, address):
    """In active mode the first message arrives, fifty times out of fifty."""
    there = relay(address())
    lost = []
    for number in range(50):
        context = make_context(**relayed(there.endpoint, post_init_sleep=0))
        publish(context, [number])
        if there.topics(1) != [str(number)]:
            lost.append(number)
        context.destroy()
    assert lost == []


def test_init_returns_when_the_relay_has_subscribed(make_context, relay, address):
    """post_init_sleep is a limit in active mode, not a pause."""
    there = relay(address())
    began = time.monotonic()
    make_context(**relayed(there.endpoint, post_init_sleep=30))
    assert time.monotonic() - began < 20


def test_init_waits_no_longer_than_post_init_sleep(make_context, address):
    """Without a relay the constructor returns, and the context is there."""
    assert make_context(**relayed(address(), post_init_sleep=0.1)).publisher is not None


def test_late_relay_gets_what_was_held(make_context, relay, address):
    """Messages leave, in order, as soon as a relay comes, without another publish."""
    endpoint = address()
    context = make_context(**relayed(endpoint))
    publish(context, range(100))
    assert relay(endpoint).topics(100) == [str(number) for number in range(100)]


def test_held_messages_are_limited(make_context, address):
    """Before any relay has come 1,000 messages are held; further ones are counted."""
    context = make_context(**relayed(address(), zmq_linger=0))
    publish(context, range(1010))
    assert context.undelivered == 10


def test_drops_are_logged_once(make_context, address, caplog):
    """Of many messages dropped in a row the log tells once, with the address."""
    endpoint = address()
    publish(make_context(**relayed(endpoint, zmq_linger=0)), range(1010))
    errors = [text for text in caplog.messages if endpoint in text and "not delivered" in text]
    assert len(errors) == 1


def test_drops_in_a_row_are_one_overflow(make_context, address):
    """Messages dropped one after the other are one episode."""
    context = make_context(**relayed(address(), zmq_linger=0))
    publish(context, range(1010))
    assert context.overflows == 1


def test_the_oldest_thousand_are_delivered(make_context, relay, address):
    """What was held is not pushed out by what came later."""
    endpoint = address()
    context = make_context(**relayed(endpoint))
    publish(context, range(1010))
    assert relay(endpoint).topics(1000) == [str(number) for number in range(1000)]


def test_destroy_counts_what_nobody_took(make_context, address):
    """destroy without a relay gives held messages up, and says how many."""
    context = make_context(**relayed(address(), zmq_linger=100))
    publish(context, range(3))
    context.destroy()
    assert context.undelivered == 3


def test_flush_reports_what_remains(make_context, address):
    """flush returns the number of messages that still wait."""
    context = make_context(**relayed(address(), zmq_linger=0))
    publish(context, range(3))
    assert context.flush(0.05) == 3


def test_flush_with_a_relay(make_context, relay, address):
    """flush returns zero once a relay has taken everything."""
    there = relay(address())
    context = make_context(**relayed(there.endpoint))
    publish(context, range(3))
    assert context.flush(20) == 0


def test_required_relay_names_both_remedies(make_context, address):
    """Where a relay is required, publish raises and says what to do about it."""
    context = make_context(**relayed(address(), relay_required=True, timeout=1))
    with pytest.raises(RelayUnavailable, match="(?s)fedmsg-relay.*endpoints"):
        publish(context, ["a"])


def test_required_relay_is_waited_for(make_context, address):
    """The first publish gives the relay ``timeout`` seconds."""
    context = make_context(**relayed(address(), relay_required=True, timeout=1))
    began = time.monotonic()
    with pytest.raises(OSError, match="within 1 s"):
        publish(context, ["a"])
    assert time.monotonic() - began >= 1


def test_required_relay_is_waited_for_once(make_context, address):
    """The second publish raises at once."""
    context = make_context(**relayed(address(), relay_required=True, timeout=8))
    context._transport._waited = True
    began = time.monotonic()
    with pytest.raises(RelayUnavailable):
        publish(context, ["a"])
    assert time.monotonic() - began < 8


def test_required_relay_that_comes_later(make_context, relay, address, eventually):
    """After the error, publishing works as soon as a relay runs."""
    endpoint = address()
    context = make_context(**relayed(endpoint, relay_required=True))
    context._transport._waited = True
    there = relay(endpoint)

    def published():
        try:
            publish(context, ["a"])
        except RelayUnavailable:
            return False
        return True

    eventually(published)
    assert there.topics(1) == ["a"]


@pytest.fixture
def lost(make_context, relay, address, eventually):
    """A function: a context whose relay has come and gone, and the address."""

    def lose(**changes):
        there = relay(address())
        context = make_context(**relayed(there.endpoint, post_init_sleep=20, **changes))
        publish(context, ["first"])
        assert there.topics(1) == ["first"]
        there.close()
        eventually(lambda: context.flush(0) or not context._transport.ready)
        return context, there.endpoint

    return lose


def test_loss_is_logged(lost, caplog):
    """The loss of the relay is a warning that names its address."""
    _, endpoint = lost()
    assert [text for text in caplog.messages if "lost the relay" in text and endpoint in text]


def test_messages_wait_for_the_relay(lost, relay):
    """What is published during an outage arrives after it, in order, by itself."""
    context, endpoint = lost()
    publish(context, range(2000))
    assert relay(endpoint).topics(2000) == [str(number) for number in range(2000)]


def test_return_is_logged(lost, relay, caplog, eventually):
    """The log says that the relay is back."""
    context, endpoint = lost()
    publish(context, ["a"])
    relay(endpoint)
    assert eventually(lambda: [text for text in caplog.messages if "is back" in text])


def test_several_outages(lost, relay, eventually):
    """Each outage of many is survived in the same way."""
    context, endpoint = lost()
    arrived = []
    for number in range(3):
        publish(context, [number])
        there = relay(endpoint)
        arrived += there.topics(1)
        there.close()
        eventually(lambda: context.flush(0) or not context._transport.ready)
    assert arrived == ["0", "1", "2"]


def test_unseen_outage_loses_nothing(make_context, relay, address):
    """Messages published between two looks at the connection arrive as well, in order."""
    there = relay(address())
    context = make_context(**relayed(there.endpoint, post_init_sleep=20))
    context._transport._service_at = time.monotonic() + 3600  # the next look is far away
    there.close()
    gone = context._transport._monitor.poll(20_000)
    publish(context, range(300))
    again = relay(there.endpoint)
    assert (gone, again.topics(300)) == (zmq.POLLIN, [str(number) for number in range(300)])


def test_outage_limit(lost):
    """relay_outage_limit bounds what waits; the rest is counted."""
    context, _ = lost(relay_outage_limit=50, zmq_linger=0)
    publish(context, range(60))
    assert context.undelivered == 10


def test_no_outage_limit(lost, relay):
    """A relay_outage_limit of 0 holds everything."""
    context, endpoint = lost(relay_outage_limit=0)
    publish(context, range(3000))
    assert relay(endpoint).topics(3000)[-1] == "2999"


def test_high_water_mark_does_not_lose_what_waited(lost, relay):
    """Held messages enter a limited queue as it drains, not all at once."""
    context, endpoint = lost(high_water_mark=10)
    publish(context, range(3000))
    assert relay(endpoint).topics(3000) == [str(number) for number in range(3000)]


def test_unresolvable_relay_is_logged(make_context, caplog, eventually, monkeypatch):
    """A relay whose name does not resolve is named in the log."""
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(relay_module.addresses, "lookup", lambda host: None)
    make_context(**relayed("tcp://relay.invalid:2001", post_init_sleep=0.1, zmq_linger=0))
    assert eventually(lambda: [text for text in caplog.messages if "relay.invalid" in text])


def test_relay_by_name(make_context, relay, port):
    """The relay may be given by name."""
    number = port()
    there = relay(f"tcp://127.0.0.1:{number}")
    publish(make_context(**relayed(f"tcp://localhost:{number}")), ["a"])
    assert there.topics(1) == ["a"]
