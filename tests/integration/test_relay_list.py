"""relay_inbound as a list: one relay after the other, never two at once."""

from __future__ import annotations

import pytest
from parts import SlowLink, publish, relayed

from fedmsg.transports import relay as relay_module


def test_second_address(make_context, relay, address):
    """Of a list the second address is used if the first gives no subscription."""
    there = relay(address())
    context = make_context(**relayed([address(), there.endpoint], post_init_sleep=0.2))
    publish(context, ["a"])
    assert there.topics(1) == ["a"]


def test_deaf_first_address(make_context, relay, address):
    """A first relay that is connected and does not subscribe is left for the second."""
    deaf, there = relay(address(), subscribed=False), relay(address())
    context = make_context(**relayed([deaf.endpoint, there.endpoint], post_init_sleep=0.2))
    publish(context, ["a"])
    assert there.topics(1) == ["a"]


def test_first_address_wins(make_context, relay, address):
    """With both relays up only the first one gets messages, once each."""
    first, second = relay(address()), relay(address())
    context = make_context(**relayed([first.endpoint, second.endpoint], post_init_sleep=20))
    publish(context, range(20))
    assert first.topics(20) and second.is_idle() and first.is_idle()


@pytest.fixture
def short_turns(monkeypatch):
    """Another address is tried soon after a loss."""
    monkeypatch.setattr(relay_module, "_OUTAGE_TURN", 0.3)


def test_lost_first_address(make_context, relay, address, short_turns, eventually):
    """When the relay in use stays away the next address takes what waits."""
    first, second = relay(address()), relay(address())
    context = make_context(**relayed([first.endpoint, second.endpoint], post_init_sleep=20))
    first.close()
    eventually(lambda: context.flush(0) or not context._transport.ready)
    publish(context, range(20))
    assert second.topics(20) == [str(number) for number in range(20)]


def test_switch_after_a_reconnection(make_context, relay, address, short_turns, eventually):
    """A relay counts as ready on its own subscription, not on ones that another one left."""
    first, endpoint = relay(address()), address()
    context = make_context(**relayed([first.endpoint, endpoint], post_init_sleep=20))
    transport = context._transport
    for _ in range(2):
        first.close()
        eventually(lambda: context.flush(0) or not transport.ready)
        first = relay(first.endpoint)
        eventually(lambda: context.flush(0) or transport.ready)
    eventually(lambda: context.flush(0) or transport.subscriptions >= 2)
    relay(endpoint, subscribed=False)
    first.close()
    eventually(lambda: context.flush(0) or not transport.ready)
    publish(context, range(20))
    assert context.flush(2) == 20


def test_far_relay(make_context, relay, address, monkeypatch):
    """A relay is not left again and again before its subscription can arrive."""
    monkeypatch.setattr(relay_module, "_SHORTEST_TURN", 0.1)
    there = relay(address())
    with SlowLink(there.endpoint, seconds=0.5) as link:
        context = make_context(**relayed([address(), link.endpoint]))
        publish(context, ["a"])
        assert there.topics(1) == ["a"]


def test_leaving_a_relay_is_logged(make_context, relay, address, short_turns, eventually, caplog):
    """What zeromq still held for a relay that is given up is lost, and the log says so."""
    first, second = relay(address()), relay(address())
    context = make_context(**relayed([first.endpoint, second.endpoint], post_init_sleep=20))
    first.close()
    eventually(lambda: context.flush(0) or context._transport._connected_to == second.endpoint)
    assert f"leaving the relay at {first.endpoint}" in caplog.text
