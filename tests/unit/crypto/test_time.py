"""Clocks, caches and rotation: what holds for how long."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from pki import PEM, Authority, days, message, rsa_key, signed_with

from fedmsg import crypto
from fedmsg.crypto import _trust, x509_ng
from fedmsg.crypto import verdict as v
from fedmsg.exceptions import ConfigurationError

DAY = 86400


def reason(given, config):
    """Return why a message is rejected; empty if it is not."""
    return crypto.check(given, **config).reason


@pytest.mark.parametrize(
    ("what", "expected"),
    [("leaf", v.CERTIFICATE_EXPIRED), ("ca", v.CA_EXPIRED), ("crl", v.CRL_EXPIRED)],
)
def test_an_accepted_certificate_expires(pki, clock, what, expected):
    """The remembered verdict ends with notAfter of leaf or CA, and with nextUpdate."""
    until = {"leaf": 300, "ca": 300, "crl": 300, what: 10}
    pki.ca = Authority(until=until["ca"])
    pki.write("ca.crt", pki.ca.pem)
    pki.write("crl.pem", pki.ca.crl(until=until["crl"]))
    given = signed_with(pki.ca.issue(until=until["leaf"]))
    clock.fixed = days(10).timestamp() - 1
    assert reason(given, pki.config) == ""
    clock.ahead = 2
    assert reason(given, pki.config) == expected


def test_a_clock_that_goes_back(pki, clock):
    """A remembered verdict does not hold before the certificate does."""
    given = signed_with(pki.leaf)
    assert reason(given, pki.config) == ""
    clock.fixed = days(-2).timestamp()
    assert reason(given, {**pki.config, "crl_location": None}).endswith("not yet valid")
    assert reason(given, pki.config) == v.CRL_NOT_YET_VALID


@pytest.mark.parametrize(
    ("what", "expected"),
    [("leaf", v.CERTIFICATE_NOT_YET_VALID), ("ca", v.CA_NOT_YET_VALID),
     ("crl", v.CRL_NOT_YET_VALID)],
)  # fmt: skip
def test_a_remembered_verdict_does_not_hold_before_the_youngest(pki, clock, what, expected):
    """Leaf, CA and list each have a beginning; a clock that goes back may be before it."""
    since = {"leaf": -9, "ca": -9, "crl": -9, what: -3}
    pki.ca = Authority(since=since["ca"])
    pki.write("ca.crt", pki.ca.pem)
    pki.write("crl.pem", pki.ca.crl(since=since["crl"]))
    given = signed_with(pki.ca.issue(since=since["leaf"]))
    assert reason(given, pki.config) == ""
    clock.fixed = days(-5).timestamp()
    assert reason(given, pki.config) == expected


def test_a_rejection_is_reconsidered(pki, clock):
    """A certificate that was not yet valid is accepted when it is."""
    given = signed_with(pki.ca.issue(since=0.01))
    assert reason(given, pki.config) == v.CERTIFICATE_NOT_YET_VALID
    clock.ahead = 0.01 * DAY + 1
    assert reason(given, pki.config) == ""


def test_bad_certificates_do_not_push_out_good_ones(pki, monkeypatch):
    """After a flood of forged certificates the good one is still known; memory is bounded."""
    good = signed_with(pki.leaf)
    assert reason(good, pki.config) == ""
    trust = next(iter(x509_ng._trusts._entries.values()))
    for number in range(600):
        assert reason({**good, "certificate": f"QUFB{number:04}"}, pki.config) == v.BAD_FIELD
    assert (len(trust._accepted), len(trust._rejected)) == (1, 256)
    monkeypatch.setattr(_trust.Trust, "_verify", lambda *args: pytest.fail("validated again"))
    assert reason(good, pki.config) == ""


def test_rotated_key(pki):
    """A new key and certificate sign the very next message."""
    first = crypto.sign(message(), **pki.config)
    pki.install(pki.ca.issue("second", rsa_key("second")))
    second = crypto.sign(message(), **pki.config)
    assert [crypto.check(each, **pki.config).signer for each in (first, second)] == [
        "leaf", "second"
    ]  # fmt: skip


@pytest.mark.parametrize("half", ["leaf.key", "leaf.crt"])
def test_rotation_caught_half_way(pki, caplog, half):
    """The old pair signs on, and the log says so; then the new one does."""
    crypto.sign(message(), **pki.config)
    new = pki.ca.issue("second", rsa_key("second"))
    pki.write(half, new.key_pem if half == "leaf.key" else new.pem)
    for _ in range(3):
        signed = crypto.sign(message(), **pki.config)
        assert crypto.check(signed, **pki.config) == v.Verdict(True, "leaf")
    assert caplog.text.count("do not belong together") == 1
    pki.install(new)
    assert crypto.check(crypto.sign(message(), **pki.config), **pki.config).signer == "second"


def test_half_written_file(pki):
    """A file that cannot be parsed leaves the old pair in use."""
    crypto.sign(message(), **pki.config)
    pki.write("leaf.key", pki.leaf.key_pem[:500])
    assert crypto.validate(crypto.sign(message(), **pki.config), **pki.config)


def test_deleted_key(pki):
    """A key that is gone does not sign any more."""
    crypto.sign(message(), **pki.config)
    (pki.folder / "leaf.key").unlink()
    with pytest.raises(FileNotFoundError, match=r"leaf\.key"):
        crypto.sign(message(), **pki.config)


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("leaf.key", "", r"leaf\.key is no unencrypted private key"),
        ("leaf.crt", "", r"leaf\.crt has no certificate"),
        ("leaf.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
         r"leaf\.crt has a damaged certificate"),
        ("leaf.key", rsa_key("other"), r"leaf\.key and .*leaf\.crt do not belong together"),
    ],
)  # fmt: skip
def test_bad_files(pki, file, text, expected):
    """Without an old pair the error names the file, or both."""
    if not isinstance(text, str):
        text = pki.ca.issue(key=text).key_pem
    pki.write(file, text)
    with pytest.raises(ConfigurationError, match=expected):
        crypto.sign(message(), **pki.config)


def test_encrypted_key(pki):
    """A key with a password is no use to a daemon; the error says so."""
    pki.write(
        "leaf.key",
        pki.leaf.key.private_bytes(
            PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        ),
    )
    with pytest.raises(ConfigurationError, match="no unencrypted private key"):
        crypto.sign(message(), **pki.config)


def test_expired_certificate_signs(pki, caplog):
    """Its validity is for the receiver to judge; the log says that it has ended."""
    pki.install(pki.ca.issue(until=-0.1))
    crypto.sign(message(), **pki.config)
    assert "leaf.crt expired on" in caplog.text


def test_warning_before_expiry(pki, clock, caplog):
    """Certificate, CA and list: within 30 days, once a day each, and not before."""
    pki.ca = Authority(until=40)
    pki.write("ca.crt", pki.ca.pem)
    pki.write("crl.pem", pki.ca.crl(until=40))
    pki.install(pki.ca.issue(until=40))

    def warnings():
        caplog.clear()
        for _ in range(3):
            crypto.check(crypto.sign(message(), **pki.config), **pki.config)
        texts = [record.getMessage() for record in caplog.records]
        return sorted(text.split(" expires on")[0] for text in texts if "expires on" in text)

    ca = "CN=Test CA,O=Test"
    all_of_them = [
        f"the CA {ca}", f"the certificate {pki.folder / 'leaf.crt'}", f"the revocation list of {ca}"
    ]  # fmt: skip
    clock.fixed = days(9.9).timestamp()
    assert warnings() == []
    clock.ahead = 0.2 * DAY
    assert warnings() == all_of_them
    clock.ahead = 1.1 * DAY
    assert warnings() == []
    clock.ahead = 1.3 * DAY
    assert warnings() == all_of_them
