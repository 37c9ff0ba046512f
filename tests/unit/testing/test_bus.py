"""loopback_bus, and a signing authority on it."""

from __future__ import annotations

import threading

import pytest
from parts import PATIENCE, settings

import fedmsg
from fedmsg.testing import Authority, captured, loopback_bus


def test_round_trip(fedmsg_bus):
    """The first message arrives, without a pause, at a real subscriber."""
    fedmsg_bus.publish(topic="a", modname="m", msg={"x": 1})
    item = fedmsg_bus.receive()
    assert (item.topic, item.message["msg"]) == ("org.fedoraproject.dev.m.a", {"x": 1})
    assert (item.name, item.endpoint) == (fedmsg_bus.config["name"], fedmsg_bus.endpoint)


def test_application_publishes_there(fedmsg_bus):
    """fedmsg.publish goes to the bus: of this thread, of another one, with an init of its own."""
    fedmsg.publish(topic="1", modname="m", msg={})
    thread = threading.Thread(target=lambda: fedmsg.publish(topic="2", modname="m", msg={}))
    thread.start()
    thread.join(PATIENCE)
    fedmsg.destroy()
    fedmsg.init(**settings(topic_prefix="org.example", name="x", endpoints={}))
    fedmsg.publish(topic="3", modname="m", msg={})
    topics = [fedmsg_bus.receive().topic for _ in range(3)]
    assert [topic[-1] for topic in topics] == ["1", "2", "3"]
    assert topics[2].startswith("org.example.")


def test_further_subscribers(fedmsg_bus, make_context):
    """The configuration serves more subscribers."""
    context = make_context(**{**fedmsg_bus.config, "mute": True})
    tail = context.tail_messages()
    thread = threading.Thread(target=next, args=(tail,))
    thread.start()
    assert fedmsg_bus.publisher._transport.wait_for_subscriptions(2, PATIENCE)
    fedmsg_bus.publish(topic="a")
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_nothing_arrives(fedmsg_bus):
    """Waiting in vain is an error that says for how long."""
    with pytest.raises(TimeoutError, match=r"within 0.01 s"):
        fedmsg_bus.receive(timeout=0.01)


def test_signed(fedmsg_authority, eventually):
    """A signed message passes; one by a revoked certificate does not, and is counted."""
    with loopback_bus(**fedmsg_authority.signing("me")) as bus:
        bus.publish(topic="a")
        assert bus.receive().message["certificate"]
        fedmsg_authority.revoke("me")
        bus.publish(topic="b")
        with pytest.raises(TimeoutError, match="revoked"):
            bus.receive(timeout=1)


def test_names_of_publishers(fedmsg_authority):
    """The name of the context may differ from that of the certificate, which is made once."""
    fedmsg_authority.issue("cert")
    config = fedmsg_authority.signing("cert", publisher="me")
    assert (config["name"], config["certnames"]) == ("me", {"me": "cert"})
    assert config == fedmsg_authority.signing("cert", publisher="me")


def test_authority_with_names(tmp_path):
    """The first certificates can be given at once."""
    Authority(tmp_path, "a", "b")
    assert {path.name for path in tmp_path.glob("*.crt")} == {"ca.crt", "a.crt", "b.crt"}


def test_no_bus_inside_a_capture():
    """Where messages are captured nothing would reach the bus: that is an error."""
    with captured(), pytest.raises(RuntimeError, match="make the bus first"), loopback_bus():
        pass


def test_capture_inside_a_bus(fedmsg_bus):
    """What is captured does not reach the bus."""
    with captured() as sent:
        fedmsg.publish(topic="a")
    fedmsg.publish(topic="b")
    assert len(sent) == 1
    assert fedmsg_bus.receive().topic.endswith(".b")


def test_everything_is_put_back():
    """Afterwards neither the context of the thread nor the remembered keywords are the bus's."""
    with loopback_bus():
        fedmsg.publish(topic="a")
    assert (fedmsg._context(), fedmsg._remembered[0]) == (None, {})
