"""FedMsgContext.publish with a store, with signing, with odd content, and where it cannot send."""

from __future__ import annotations

import json

import pytest
from parts import relayed, settings

from fedmsg.exceptions import NoPublisher
from fedmsg.transports.memory import MemoryTransport


@pytest.fixture
def sent(make_context):
    """A function that makes a context and returns it with the list of what it sends."""

    def make(**config):
        context = make_context(**settings(mute=True, **config))
        context._transport = MemoryTransport()
        return context, context._transport.sent

    return make


@pytest.fixture
def signing(monkeypatch):
    """Signing adds a field; returns the configurations that the signer was given."""
    given = []

    def sign(message, **config):
        given.append(config)
        return {**message, "signature": "s"}

    monkeypatch.setattr("fedmsg.crypto.sign", sign)
    monkeypatch.setattr("fedmsg.crypto.prepare", lambda **config: None)
    return given


class OldStore:
    """A persistent store as 1.1.7 knows it."""

    def __init__(self):
        self.calls = []

    def add(self, message):
        """Number a message."""
        self.calls.append(("add", "signature" in message))
        return {**message, "seq_id": 7}


class Store(OldStore):
    """One that can change what it has stored."""

    def update(self, message):
        """Store it again."""
        self.calls.append(("update", "signature" in message))


@pytest.mark.usefixtures("signing")
@pytest.mark.parametrize(
    ("store", "calls"),
    [(Store(), [("add", False), ("update", True)]), (OldStore(), [("add", True)])],
)
def test_order_of_storing_and_signing(sent, store, calls):
    """A store with update numbers first and keeps the signed copy; one without stores last."""
    store.calls.clear()
    context, _ = sent(persistent_store=store, sign_messages=True, certnames={"me": "c"}, name="me")
    context.publish(topic="a", modname="t")
    assert store.calls == calls


@pytest.mark.parametrize("store", [Store(), OldStore()])
def test_sequence_number_is_sent(sent, store):
    """What the store adds is sent."""
    context, messages = sent(persistent_store=store)
    context.publish(topic="a", modname="t")
    assert json.loads(messages[0][1])["seq_id"] == 7


def test_store_that_returns_nothing(sent):
    """Never a body that is no object: a store that returns None is a TypeError."""
    store = OldStore()
    store.add = lambda message: None
    context, messages = sent(persistent_store=store)
    with pytest.raises(TypeError, match="persistent_store"):
        context.publish(topic="a", modname="t")
    assert messages == []


def test_signature_is_sent(sent, signing):
    """What the signer returns is sent."""
    context, messages = sent(sign_messages=True, certnames={"me": "c"}, name="me")
    context.publish(topic="a", modname="t")
    assert json.loads(messages[0][1])["signature"] == "s"


@pytest.mark.parametrize(
    ("changes", "index"),
    [
        ({"name": "me"}, "me"),
        ({"name": "relay_inbound"}, "shell.{host}"),
        ({"name": "me", "cert_prefix": "p"}, "p.{host}"),
    ],
)
def test_certificate(sent, signing, changes, index):
    """The certificate is looked up by name, shell.<host> or <cert_prefix>.<host>."""
    context, _ = sent(sign_messages=True, **changes)
    context.c["certnames"] = {index.format(host=context.hostname): "stem"}
    context.publish(topic="a", modname="t")
    assert signing[0]["certname"] == "stem"


def test_certificate_of_an_active_context(make_context, address, signing):
    """An active context without a name signs with the certificate of the shell."""
    context = make_context(**relayed(address(), sign_messages=True, zmq_linger=0))
    context.c["certnames"] = {f"shell.{context.hostname}": "stem"}
    context.publish(topic="a", modname="t")
    assert signing[0]["certname"] == "stem"


def test_gpg_key(sent, signing):
    """For gpg the key of the host is used if none is named."""
    context, _ = sent(sign_messages=True, crypto_backend="gpg")
    context.c["gpg_keys"] = {context.hostname: "key"}
    context.publish(topic="a", modname="t")
    assert signing[0]["gpg_signing_key"] == "key"


def test_key_called_message(sent, signing):
    """A configuration key ``message`` does not collide with the signer's argument."""
    context, _ = sent(sign_messages=True, certnames={"me": "c"}, name="me", message="x")
    context.publish(topic="a", modname="t")
    assert "message" not in signing[0]


@pytest.mark.parametrize(
    "changes",
    [{"certnames": {}}, {"certnames": {}, "cert_prefix": "p"}, {"crypto_backend": "gpg",
     "gpg_keys": {}}],
)  # fmt: skip
def test_missing_credential(sent, changes):
    """No certificate or key for this publisher: KeyError, nothing sent and nothing stored."""
    store = Store()
    context, messages = sent(sign_messages=True, name="me", persistent_store=store, **changes)
    with pytest.raises(KeyError):
        context.publish(topic="a", modname="t")
    assert (messages, store.calls) == ([], [])


def test_missing_credential_without_endpoint(make_context):
    """The same on a context that could only warn that it has no endpoint."""
    with pytest.warns(UserWarning, match="not configured to send"):
        context = make_context(**settings(name="me", sign_messages=True, certnames={}))
    with pytest.raises(KeyError, match="me"):
        context.publish(topic="a", modname="t")


class Sized:
    """An object with a form of its own."""

    def __json__(self):
        return {"size": float("nan")}


@pytest.mark.parametrize(
    ("msg", "path"),
    [
        ({"a": [1, float("nan")]}, "msg.a[1]"),
        ({"a": float("-inf")}, "msg.a"),
        ({"a": Sized()}, "msg.a.size"),
    ],
)
def test_nan_is_logged(sent, caplog, msg, path):
    """What is not legal JSON is sent as 1.1.7 did, and its place is logged."""
    context, messages = sent()
    context.publish(topic="a", msg=msg, modname="t")
    assert (len(messages), f"{path} is NaN or infinite" in caplog.text) == (1, True)


def test_nan_in_text(sent, caplog):
    """The word in a text is nothing to warn about."""
    context, _ = sent()
    context.publish(topic="a", msg={"a": "x:NaN,Infinity"}, modname="t")
    assert caplog.text == ""


def test_control_characters_are_logged(sent, caplog):
    """A topic that subscribers reject is sent, and logged without the characters themselves."""
    context, _ = sent()
    context.publish(topic="a\x1b[2J", modname="t")
    assert ("control characters" in caplog.text, "\x1b" in caplog.text) == (True, False)


def test_topic_that_has_no_utf8(sent):
    """A lone surrogate in the topic is a ValueError, and nothing is sent."""
    context, messages = sent()
    with pytest.raises(UnicodeEncodeError):
        context.publish(topic="\ud800", modname="t")
    assert messages == []


@pytest.mark.filterwarnings("ignore:fedmsg is not configured")
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"mute": True, "name": "me"}, "mute=True"),
        ({"name": "me"}, r"endpoints\['me'\] is not configured"),
        ({"zmq_enabled": False}, "^Unable to publish non-zeromq msg without moksha-hub init"),
    ],
)
def test_context_that_cannot_publish(make_context, changes, text):
    """Muted, without an endpoint, without a hub: an AttributeError that says why."""
    context = make_context(**settings(**changes))
    with pytest.raises(AttributeError, match=text) as caught:
        context.publish(topic="a", modname="t")
    assert isinstance(caught.value, NoPublisher)


@pytest.mark.parametrize("mute", [True, False])
def test_destroyed_context(make_context, address, mute):
    """After destroy publishing is an AttributeError that says what to do."""
    context = make_context(**settings(name="me", endpoints={"me": address()}, mute=mute))
    context.destroy()
    with pytest.raises(AttributeError, match=r"fedmsg\.init\(\)"):
        context.publish(topic="a", modname="t")


def test_destroyed_active_context(make_context, address):
    """The same where messages would otherwise be held for a relay."""
    context = make_context(**relayed(address(), zmq_linger=0))
    context.destroy()
    with pytest.raises(AttributeError, match=r"fedmsg\.init\(\)"):
        context.publish(topic="a", modname="t")


def test_publisher_after_destroy(make_context, address):
    """The attribute stays, and is None; so is the zmq context."""
    context = make_context(**settings(name="me", endpoints={"me": address()}))
    context.destroy()
    assert (context.publisher, context.context) == (None, None)


def test_destroy_twice(make_context, address):
    """destroy is idempotent."""
    context = make_context(**settings(name="me", endpoints={"me": address()}))
    context.destroy()
    assert context.destroy() is None
