"""Messages signed with gpg: signed, checked, and refused with a reason."""

from __future__ import annotations

import base64
import copy
import json
import logging

import pytest
from gpg_parts import LATER, Keys

from fedmsg import encoding
from fedmsg._limits import RateLimit
from fedmsg.crypto import _gpg, gpg, policy, verdict
from fedmsg.exceptions import ConfigurationError

MESSAGE = {"topic": "org.example.dev.a", "msg": {"b": 1, "a": "grüße"}, "i": 1}
TOPIC = MESSAGE["topic"]


@pytest.fixture
def signed(gpg_keys: Keys) -> dict:
    """A message signed by the good key."""
    home, key = str(gpg_keys.home), gpg_keys.fingerprints["good"]
    return gpg.sign(MESSAGE, gpg_home=home, gpg_signing_key=key, name="unused")


def check(gpg_keys: Keys, message: object, **config: object) -> verdict.Verdict:
    return gpg.check(message, gpg_home=str(gpg_keys.public), ssldir="unused", **config)


def test_round_trip(gpg_keys, signed):
    """What sign returns is valid, and the signer is the full fingerprint."""
    assert check(gpg_keys, signed) == verdict.Verdict(True, gpg_keys.fingerprints["good"], "")
    assert gpg.validate(signed, gpg_home=str(gpg_keys.public)) is True


def test_signed_message_survives_the_wire(gpg_keys, signed):
    """Both fields are text, and the message is valid after it was encoded and decoded."""
    assert signed["crypto"] == "gpg"
    assert isinstance(signed["signature"], str)
    assert "\n" not in signed["signature"]
    received = json.loads(encoding.dumps(signed))
    assert received == signed
    assert check(gpg_keys, received)


def test_only_msg_is_signed(gpg_keys, signed):
    """The rest of the envelope is not covered, as the manual says."""
    assert check(gpg_keys, {**signed, "topic": "org.example.dev.b", "i": 2, "new": None})


def test_sign_leaves_its_argument_alone(gpg_keys):
    """The dict that is signed gets no field, and old credentials are not signed over."""
    message = {**copy.deepcopy(MESSAGE), "certificate": "old", "signature": "old"}
    before = copy.deepcopy(message)
    signed = gpg.sign(message, gpg_home=str(gpg_keys.home), gpg_signing_key="good@x")
    assert message == before
    assert "certificate" not in signed
    assert check(gpg_keys, signed)


def test_sign_normalises(gpg_keys):
    """Keys that are not strings are signed as the receiver will have them."""
    message = {"msg": {10: 1, 9: (1, 2)}}
    signed = gpg.sign(message, gpg_home=str(gpg_keys.home), gpg_signing_key="good@x")
    assert signed["msg"] == {"10": 1, "9": [1, 2]}
    assert check(gpg_keys, json.loads(encoding.dumps(signed)))


def test_short_key_ids_sign(gpg_keys):
    """The last half of a fingerprint is enough to name the key to sign with."""
    short = gpg_keys.fingerprints["other"][-16:]
    signed = gpg.sign(MESSAGE, gpg_home=str(gpg_keys.home), gpg_signing_key=short)
    assert check(gpg_keys, signed).signer == gpg_keys.fingerprints["other"]


@pytest.mark.parametrize("given", [{}, {"gpg_home": "x"}, {"gpg_signing_key": "x"}])
def test_sign_needs_home_and_key(given):
    """Without either, sign raises a ValueError that names them."""
    with pytest.raises(ValueError, match="gpg_home and gpg_signing_key"):
        gpg.sign(MESSAGE, **given)


def test_sign_needs_msg(gpg_keys):
    """A message without msg is a KeyError."""
    with pytest.raises(KeyError):
        gpg.sign({"topic": "x"}, gpg_home=str(gpg_keys.home), gpg_signing_key="good@x")


@pytest.mark.parametrize("name", ["nobody@x", "locked@x", "expired@x", "--version", "$(id)", ";ls"])
def test_sign_with_an_unusable_key(gpg_keys, name):
    """A key that is not there, expired, or behind a passphrase: an error with gpg's words."""
    with pytest.raises(gpg.GpgBinaryError, match="gpg: "):
        gpg.sign(MESSAGE, gpg_home=str(gpg_keys.home), gpg_signing_key=name)


@pytest.mark.parametrize("function", [gpg.check, gpg.validate])
def test_home_must_be_configured(function):
    """gpg_home=None is an error of the configuration, not of the message."""
    with pytest.raises(ConfigurationError, match="gpg_home"):
        function({"msg": {}, "signature": "x"})


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("stranger", [], verdict.KEY_UNKNOWN),
        ("expired", ["--faked-system-time", LATER], verdict.KEY_EXPIRED),
        ("revoked", [], verdict.KEY_REVOKED),
        (
            "good",
            ["--faked-system-time", LATER, "--default-sig-expire", "1d"],
            verdict.SIGNATURE_EXPIRED,
        ),
    ],
)
def test_key_that_does_not_count(gpg_keys, name, options, reason):
    """A good signature by an unknown, expired or revoked key, or one that expired itself."""
    found = check(gpg_keys, gpg_keys.message(name, *options))
    assert (found.valid, found.reason) == (False, reason)


@pytest.mark.parametrize(
    "msg", [{"b": 2, "a": "grüße"}, {}, None, [], "x", {"msg": MESSAGE["msg"]}]
)
def test_changed_msg(gpg_keys, signed, msg):
    """Any other msg does not fit the signature."""
    assert check(gpg_keys, {**signed, "msg": msg}).reason == verdict.SIGNATURE_MISMATCH


def test_signature_of_another_message(gpg_keys, signed):
    """A signature does not fit another message of the same signer."""
    other = gpg_keys.message(msg={"text": "other"})
    assert check(gpg_keys, {**signed, "signature": other["signature"]}).reason == (
        verdict.SIGNATURE_MISMATCH
    )


def test_missing_fields(gpg_keys, signed):
    """No message, no msg, no signature: refused for that."""
    without = {key: value for key, value in signed.items() if key != "signature"}
    assert check(gpg_keys, without).reason == verdict.MISSING_FIELD
    without = {key: value for key, value in signed.items() if key != "msg"}
    assert check(gpg_keys, without).reason == verdict.NOT_A_MESSAGE
    assert {check(gpg_keys, each).reason for each in ([], "x", None, 1)} == {verdict.NOT_A_MESSAGE}


def test_bytes_signature(gpg_keys, signed):
    """The field as 1.1.7 returned it, bytes, is valid before it has been on the wire."""
    assert check(gpg_keys, {**signed, "signature": signed["signature"].encode()})


def test_policy(gpg_keys, signed):
    """A topic in the policy is for its signers only; their spelling does not matter."""
    good, other = gpg_keys.fingerprints["good"], gpg_keys.fingerprints["other"]
    spaced = " ".join(good[i : i + 4] for i in range(0, 40, 4)).lower()
    for signers in ([good], (other, good), {good}, [spaced]):
        assert check(gpg_keys, signed, routing_policy={TOPIC: signers})
    for signers in ([], [other], good, [good[-16:]], [None, 1], {good: 1}, 5):
        found = check(gpg_keys, signed, routing_policy={TOPIC: signers})
        assert found == verdict.rejected(verdict.NOT_ALLOWED, good)


def test_nitpicky(gpg_keys, signed):
    """A topic that is not in the policy is refused if routing_nitpicky says so."""
    policies = {"routing_policy": {"another": []}}
    assert check(gpg_keys, signed, **policies)
    assert check(gpg_keys, signed, **policies, routing_nitpicky=True).reason == verdict.NOT_ALLOWED
    assert check(gpg_keys, signed, routing_nitpicky=True).reason == verdict.NOT_ALLOWED


def test_signer(gpg_keys, signed):
    """A given signer is compared in full, and the policy does not matter."""
    good, other = gpg_keys.fingerprints["good"], gpg_keys.fingerprints["other"]
    policies = {"routing_policy": {TOPIC: [other]}, "routing_nitpicky": True}
    for signer in (good, f" {good[:20].lower()}  {good[20:]}\n"):
        assert check(gpg_keys, signed, signer=signer, **policies)
    for signer in (other, good[-16:], good[:-1], good + "0", "", "good", 5, [good]):
        assert check(gpg_keys, signed, signer=signer).reason == verdict.NOT_ALLOWED


def test_failures_are_logged_at_a_bounded_rate(gpg_keys, signed, caplog, monkeypatch):
    """A home directory that is not there refuses everything, with gpg's words in the log."""
    monkeypatch.setattr(gpg, "_failures", RateLimit(2))
    for _ in range(3):
        found = gpg.check(signed, gpg_home=str(gpg_keys.home / "none"))
        assert found.reason == verdict.GPG_FAILED
    errors = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert len(errors) == 2
    assert "No such file or directory" in errors[0].getMessage()


def test_more_than_one_signer_is_an_error(gpg_keys, tmp_path):
    """A gpg.conf that adds signers makes sign fail: nobody would accept the result."""
    conf = gpg_keys.home / "gpg.conf"
    conf.write_text("local-user other@x\n")
    try:
        with pytest.raises(gpg.GpgBinaryError, match="several signatures"):
            gpg.sign(MESSAGE, gpg_home=str(gpg_keys.home), gpg_signing_key="good@x")
    finally:
        conf.unlink()


def test_gpg_conf_with_armor(gpg_keys):
    """A gpg.conf that asks for armour does not change what is on the wire."""
    conf = gpg_keys.home / "gpg.conf"
    conf.write_text("armor\n")
    try:
        signed = gpg.sign(MESSAGE, gpg_home=str(gpg_keys.home), gpg_signing_key="good@x")
    finally:
        conf.unlink()
    assert _gpg.is_one_signature(base64.b64decode(signed["signature"]))
    assert check(gpg_keys, signed)


def test_policy_module_is_the_common_one():
    """Both backends refuse and report through the same function."""
    assert gpg.allowed is policy.allowed
