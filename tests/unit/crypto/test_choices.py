"""What the package decides before a backend is asked."""

from __future__ import annotations

from typing import Any

import pytest
from pki import Pki, message

from fedmsg import crypto
from fedmsg.exceptions import MissingDependency

CHOICES = ["_implementation", "_validate_implementations"]
POLICY = {"routing_policy": {"org.test.a": ["A" * 40]}}


@pytest.mark.parametrize(
    ("credentials", "topic", "authorised"),
    [
        ({"crypto": "gpg"}, "org.test.a", True),
        ({"crypto": "gpg"}, "org.test.b", False),
        ({"crypto": "gpg"}, ["org.test.a"], False),
        ({"signature": "x"}, "org.test.b", False),
        ({"crypto": "x509"}, "org.test.b", True),
        ({"signature": "x", "certificate": "x"}, "org.test.b", True),
    ],
)
def test_the_topic_of_a_gpg_message_must_be_listed(
    credentials: dict[str, str], topic: Any, authorised: bool
) -> None:
    """It is not signed; that of an x509 message is."""
    given = {**message(), **credentials}
    assert crypto.is_authorised(topic, given, POLICY) is authorised


@pytest.mark.parametrize("config", [{}, {"routing_policy": None}])
def test_without_a_policy_no_topic_is_listed(config: dict[str, Any]) -> None:
    """The default refuses gpg messages."""
    assert crypto.is_authorised("org.test.a", message(crypto="gpg"), config) is False


def test_only_who_signs_with_x509_needs_its_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A publisher that signs with gpg, or not at all, starts without them."""
    monkeypatch.setattr("fedmsg.crypto.x509_ng._cryptography", False)
    crypto.require({"crypto_backend": "gpg"}, signing=True)
    crypto.require({"crypto_backend": "x509"}, signing=False)
    with pytest.raises(MissingDependency, match="sign_messages"):
        crypto.require({"crypto_backend": "x509"}, signing=True)


def test_a_rejection_is_logged_whoever_asks(pki: Pki, caplog: pytest.LogCaptureFixture) -> None:
    """With its reason; a valid message is not."""
    signed = crypto.sign(message(), **pki.config)
    forged = {**signed, "i": 99}
    assert crypto.validate(signed, **pki.config)
    caplog.clear()
    assert not crypto.validate(forged, **pki.config)
    assert not crypto.check(forged, **pki.config)
    assert not crypto.validate_signed_by(forged, "leaf", **pki.config)
    found = [record.getMessage() for record in caplog.records]
    assert len([text for text in found if "signature mismatch" in text]) == 3
    caplog.clear()
    assert crypto.validate(signed, **pki.config)
    assert not [record for record in caplog.records if "rejected" in record.getMessage()]


def test_an_explicit_choice_holds_whatever_was_asked_before(pki: Pki) -> None:
    """For each call that names no backend; without it one call decides nothing for the next."""
    config = {name: each for name, each in pki.config.items() if "backend" not in name}
    assert not crypto.validate(message(), crypto_backend="gpg", **config)
    signed = crypto.sign(message(), **pki.config)
    assert crypto.validate(signed, **config)
    crypto.init(crypto_backend="gpg")
    assert [crypto.validate(signed, **config) for _ in range(3)] == [False] * 3


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("names", [CHOICES[:1], CHOICES[1:], CHOICES])
def test_tests_of_applications_may_forget_either_choice(
    pki: Pki, names: list[str], explicit: bool
) -> None:
    """They set the modules in use to None, one or both; the next call chooses again."""
    signed = crypto.sign(message(), **pki.config)
    config = {name: each for name, each in pki.config.items() if "backend" not in name}
    if explicit:
        crypto.init(crypto_backend="x509", crypto_validate_backends=["x509"])
    else:
        assert crypto.validate(signed, **config)
    for name in names:
        setattr(crypto, name, None)
    assert crypto.validate(signed, **config)
    assert crypto._implementation is crypto.x509
    assert crypto._validate_implementations == [crypto.x509]
