"""Where x509 and gpg meet: the facade decides by the message and the configuration."""

from __future__ import annotations

import os

import pytest
from gpg_parts import Keys
from pki import Pki, message

from fedmsg import crypto, encoding
from fedmsg.crypto import verdict as v

TOPIC = message()["topic"]


@pytest.fixture
def config(gpg_keys: Keys, pki: Pki) -> dict:
    """Settings that accept both backends, and sign with gpg."""
    return {
        **pki.config,
        "crypto_backend": "gpg",
        "crypto_validate_backends": ["x509", "gpg"],
        "gpg_home": str(gpg_keys.home),
        "gpg_signing_key": gpg_keys.fingerprints["good"],
    }


@pytest.fixture
def signed(config: dict) -> dict:
    """A message signed with gpg, as it arrives."""
    return encoding.loads(encoding.dumps(crypto.sign(message(), **config)))


def test_each_message_has_its_backend(gpg_keys, config, signed):
    """One configuration accepts both, and knows the signers."""
    by_x509 = crypto.sign(message(), **{**config, "crypto_backend": "x509"})
    signers = [crypto.check(each, **config).signer for each in (signed, by_x509)]
    assert signers == [gpg_keys.fingerprints["good"], "leaf"]
    without_name = {key: value for key, value in signed.items() if key != "crypto"}
    assert crypto.validate(without_name, **config)


def test_swapped_names(config, signed):
    """The field ``crypto`` of the other backend makes a message invalid."""
    by_x509 = crypto.sign(message(), **{**config, "crypto_backend": "x509"})
    assert crypto.check({**by_x509, "crypto": "gpg"}, **config).reason == v.BAD_FIELD
    assert crypto.check({**signed, "crypto": "x509"}, **config).reason == v.MISSING_FIELD


def test_received_only_on_listed_topics(gpg_keys, config, signed):
    """The topic of a gpg message is not signed: without a row in the policy it is refused."""
    listed = {**config, "routing_policy": {TOPIC: [gpg_keys.fingerprints["good"]]}}
    assert crypto.check_received(TOPIC, signed, **listed).valid
    moved = {**signed, "topic": "org.fedoraproject.dev.other"}
    assert crypto.check(moved, **listed).valid
    assert crypto.check_received(moved["topic"], moved, **listed).reason == v.NOT_ALLOWED
    assert crypto.check_received(TOPIC, signed, **config).reason == v.NOT_ALLOWED
    for_others = {**config, "routing_policy": {TOPIC: [gpg_keys.fingerprints["other"]]}}
    assert crypto.check_received(TOPIC, signed, **for_others).reason == v.NOT_ALLOWED


def test_signed_by(gpg_keys, config, signed):
    """The full fingerprint, and no other, whatever the policy says."""
    good, other = (gpg_keys.fingerprints[name] for name in ("good", "other"))
    policy = {**config, "routing_policy": {TOPIC: [other]}}
    assert crypto.validate_signed_by(signed, good.lower(), **policy)
    assert not crypto.validate_signed_by(signed, other, **policy)
    assert not crypto.validate_signed_by(signed, good[-16:], **policy)
    assert not crypto.validate_signed_by(signed, "leaf", **policy)


def test_not_allowed_backend(pki, signed):
    """A configuration for x509 alone does not start gpg."""
    assert crypto.check(signed, **pki.config).reason == v.BACKEND_NOT_ALLOWED


def test_default_home(config, signed, monkeypatch):
    """Without the key gpg_home it is the user's own keyring; None is an error."""
    del config["gpg_home"]
    monkeypatch.setattr(
        crypto.gpg, "check", lambda message, gpg_home, **kw: v.Verdict(True, gpg_home)
    )
    assert crypto.check(signed, **config).signer == f"{os.environ['HOME']}/.gnupg/"
    monkeypatch.undo()
    with pytest.raises(ValueError, match="gpg_home"):
        crypto.validate(signed, **{**config, "gpg_home": None})
