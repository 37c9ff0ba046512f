"""FedMsgContext with signing and validating switched on."""

from __future__ import annotations

import json

import pytest
from parts import GOOD, settings

from fedmsg import config, crypto
from fedmsg.crypto import verdict as v
from fedmsg.exceptions import ConfigurationError, MissingDependency
from fedmsg.transports.memory import MemoryTransport


class Store:
    """Numbers messages and keeps the newest copy of each."""

    def __init__(self):
        self.rows = {}

    def add(self, message):
        """Number and keep a message."""
        message = {**message, "seq_id": len(self.rows) + 1}
        self.rows[message["seq_id"]] = message
        return message

    def update(self, message):
        """Replace the copy."""
        self.rows[message["seq_id"]] = message


class OldStore(Store):
    """Without ``update``, as with 1.1.7."""

    update = property()


@pytest.fixture
def sent(make_context, pki):
    """A function that makes a signing context and returns it with what it sends."""

    def make(**changes):
        changes = {**pki.config, "sign_messages": True, "certnames": {"me": "leaf"}, **changes}
        context = make_context(**settings(mute=True, name="me", **changes))
        context._transport = MemoryTransport()
        return context, context._transport.sent

    return make


def test_published_message_is_valid(sent, pki):
    """What leaves is signed, topic included."""
    context, messages = sent()
    context.publish(topic="a", msg={1: "é"}, modname="t")
    [(topic, body)] = messages
    assert crypto.check_received(topic.decode(), json.loads(body), **pki.config).signer == "leaf"


@pytest.mark.parametrize("store", [Store(), OldStore()])
def test_stored_and_sent(sent, pki, store):
    """Both orders of numbering and signing are valid; the stored copy has the signature."""
    context, messages = sent(persistent_store=store)
    context.publish(topic="a", msg={}, modname="t")
    body = json.loads(messages[0][1])
    assert body["seq_id"] == 1
    assert crypto.validate(body, **pki.config)
    assert store.rows[1]["signature"] == body["signature"]
    renumbered = crypto.validate({**body, "seq_id": 2}, **pki.config)
    assert renumbered is isinstance(store, OldStore)


@pytest.mark.parametrize("missing", ["leaf.key", "leaf.crt"])
@pytest.mark.parametrize("store", [Store(), OldStore()])
def test_nothing_is_stored_without_key(sent, pki, store, missing):
    """A key or certificate that cannot be read: OSError, and no row."""
    (pki.folder / missing).unlink()
    context, messages = sent(persistent_store=store)
    with pytest.raises(OSError, match=missing):
        context.publish(topic="a", modname="t")
    assert (messages, store.rows) == ([], {})


def test_changed_settings_are_obeyed(sent, pki):
    """What an application writes into ``context.c`` counts for the next message."""
    pki.install(pki.ca.issue("other"), "other")
    context, messages = sent()
    context.publish(topic="a", modname="t")
    context.c["certnames"] = {"me": "other"}
    context.publish(topic="b", modname="t")
    context.c["sign_messages"] = False
    context.publish(topic="c", modname="t")
    verdicts = [crypto.check(json.loads(body), **pki.config) for _, body in messages]
    assert [verdict.signer for verdict in verdicts] == ["leaf", "other", None]


def test_libraries_are_missing(make_context, monkeypatch, address):
    """Found out when the context is made, before anything is bound; a listener may go on."""
    monkeypatch.setattr("fedmsg.crypto.x509_ng._cryptography", False)
    config = settings(name="me", endpoints={"me": [address()]}, sign_messages=True)
    with pytest.raises(MissingDependency, match=r"'sign_messages' is set, .*'\.\[crypto\]'"):
        make_context(**config)
    assert make_context(**config, mute=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"crypto_backend": "pgp"},
        {"crypto_backend": "pgp", "sign_messages": True},
        {"crypto_validate_backends": ["pgp"], "validate_signatures": True},
    ],
)
def test_unknown_backend(make_context, changes):
    """The name of a backend is checked when the context is made."""
    with pytest.raises(ConfigurationError, match="'pgp'"):
        make_context(**settings(mute=True, **changes))


@pytest.mark.filterwarnings("ignore:Using .load_config.:DeprecationWarning")
@pytest.mark.parametrize("policy", [{"t": "me"}, {"t": None}, {"t": [5]}, {5: ["me"]}, ["t"]])
def test_policy_of_a_wrong_shape(config_file, policy):
    """Every way to load a configuration refuses it, and names the key."""
    path = config_file(endpoints={}, routing_policy=policy)
    with pytest.raises(ConfigurationError, match="routing_policy"):
        config.load_config(filenames=[path])
    with pytest.raises(ConfigurationError, match="routing_policy"):
        config.for_init({"active": True, "routing_policy": policy})
    with pytest.raises(ConfigurationError, match="routing_policy"):
        config.conf.load_config({"routing_policy": policy})


@pytest.mark.filterwarnings("ignore:Using .load_config.:DeprecationWarning")
@pytest.mark.parametrize("policy", [None, {}, {"t": ["me"], "u": ("me",), "v": {"me"}, "w": []}])
def test_policy_of_a_right_shape(config_file, policy):
    """Lists, tuples and sets of names."""
    path = config_file(endpoints={}, routing_policy=policy)
    assert config.load_config(filenames=[path])["routing_policy"] == policy


def test_listening(publisher, listen, pki):
    """Tail accepts what is signed, and counts the rest by reason; changed settings are obeyed."""
    there = publisher()
    changes = {**pki.config, "endpoints": {"me": there.endpoint}, "validate_signatures": True}
    endpoints = changes.pop("endpoints")
    context, listening = listen(endpoints, **changes)
    there.joined()
    good = crypto.sign({"topic": "t", "msg": {}}, **pki.config)
    end = crypto.sign(json.loads(GOOD[1]) | {"topic": GOOD[0].decode()}, **pki.config)

    def frames(message, topic=b"t"):
        return [topic, json.dumps(message).encode()]

    with pytest.warns(UserWarning, match="invalid message received"):
        there.send(
            frames(good), frames({**good, "msg": {"forged": 1}}), frames(good, b"forged"),
            frames({"topic": "t"}), frames({**good, "crypto": "gpg"}), frames(end, GOOD[0]),
        )  # fmt: skip
        heard = listening.over()
    assert [item[2] for item in heard] == ["t", GOOD[0].decode()]
    assert dict(context.rejected) == {
        v.SIGNATURE_MISMATCH: 1, v.TOPIC_DIFFERS: 1, v.UNSIGNED: 1, v.BACKEND_NOT_ALLOWED: 1
    }  # fmt: skip
