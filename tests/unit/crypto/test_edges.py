"""Limits at their edges, and what a certificate may hold."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from cryptography.x509 import Name, NameAttribute
from cryptography.x509.oid import NameOID
from pki import Pki, message, other_key, rsa_key, signed_with

from fedmsg import crypto
from fedmsg.crypto import _fields
from fedmsg.crypto import verdict as v
from fedmsg.exceptions import ConfigurationError


@pytest.mark.parametrize("field", ["signature", "certificate"])
@pytest.mark.parametrize("kind", [str, str.encode])
def test_a_field_as_long_as_the_limit_is_read(pki: Pki, field: str, kind: Any) -> None:
    """One character more and it is not; line feeds mean nothing in base64."""
    signed = crypto.sign(message(), **pki.config)
    longest = signed[field].ljust(_fields.MOST_CHARACTERS, "\n")
    assert crypto.check({**signed, field: kind(longest)}, **pki.config).valid
    found = crypto.check({**signed, field: kind(longest + "\n")}, **pki.config)
    assert found.reason == v.BAD_FIELD


@pytest.mark.parametrize("empty", ["", b""])
def test_an_empty_field_is_not_read(pki: Pki, empty: Any) -> None:
    """As text or as bytes, which 1.1.7 had."""
    signed = crypto.sign(message(), **pki.config)
    for field in ("signature", "certificate"):
        assert crypto.check({**signed, field: empty}, **pki.config).reason == v.BAD_FIELD


def test_a_certificate_with_an_empty_name(pki: Pki) -> None:
    """It names nobody, so that no policy could tell who that is."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Attribute's length must be", UserWarning)
        subject = Name([NameAttribute(NameOID.COMMON_NAME, "", _validate=False)])
        found = crypto.check(signed_with(pki.ca.issue(subject=subject)), **pki.config)
    assert (found.reason, found.signer) == (v.NO_SINGLE_NAME, None)


@pytest.mark.parametrize("module", ["x509", "x509_ng"])
def test_the_backend_by_itself(pki: Pki, module: str) -> None:
    """Applications call it under its name; ``ssldir`` may be an argument or a setting."""
    backend, config = getattr(crypto, module), dict(pki.config)
    signed = backend.sign(message(), **config)
    ssldir = config.pop("ssldir")
    assert backend.validate(signed, ssldir=ssldir, **config) is True
    assert backend.validate(signed, ssldir, **config) is True
    assert backend.validate({**signed, "i": 99}, ssldir=ssldir, **config) is False
    del config["ca_cert_location"]  # the CA is beside the certificates then
    assert backend.validate(signed, ssldir, **config) is True


def test_the_key_to_sign_with_is_of_rsa(pki: Pki) -> None:
    """Of 1024 bits or more: those are deployed."""
    pki.install(pki.ca.issue(key=rsa_key("short", 1024)))
    assert crypto.validate(crypto.sign(message(), **pki.config), **pki.config)
    for kind in ("ec", "dsa"):
        pki.install(pki.ca.issue(key=other_key(kind)), kind)
        with pytest.raises(ConfigurationError, match="is no RSA key of 1024 bits or more"):
            crypto.sign(message(), **{**pki.config, "certname": kind})
