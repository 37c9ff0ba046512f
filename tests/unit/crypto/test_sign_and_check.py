"""Signing and checking with x509: what is accepted, and the bytes on the wire."""

from __future__ import annotations

import base64
import copy
import sys
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from pki import message, signed_with

from fedmsg import crypto, encoding
from fedmsg.crypto import verdict as v
from fedmsg.crypto.verdict import Verdict
from fedmsg.exceptions import ConfigurationError


@pytest.mark.parametrize("crl", [True, False])
def test_round_trip(pki, crl):
    """What is signed is valid, with and without a revocation list, and after a journey."""
    config = pki.config if crl else {**pki.config, "crl_location": None}
    signed = crypto.sign(message(), **config)
    received = encoding.loads(encoding.dumps(signed))
    assert crypto.check(signed, **config) == crypto.check(received, **config)
    assert crypto.check(received, **config) == Verdict(True, "leaf", "")
    assert crypto.validate(received, **config) is True


def test_wire_form(pki):
    """The golden vector: bytes, algorithm, base64 in lines of 76, the PEM block alone."""
    pki.write("leaf.crt", "Certificate:\n    Data: readable\n" + pki.leaf.pem)
    signed = crypto.sign({"my": "msg"}, **pki.config)
    expected = pki.leaf.key.sign(b'{"crypto":"x509","my":"msg"}', padding.PKCS1v15(), hashes.SHA1())
    assert signed == {
        "my": "msg",
        "crypto": "x509",
        "signature": base64.encodebytes(expected).decode(),
        "certificate": base64.encodebytes(pki.leaf.pem.encode()).decode(),
    }
    lines = signed["certificate"].split("\n")
    assert ({len(line) for line in lines[:-2]}, lines[-1]) == ({76}, "")


def test_arguments_are_not_changed(pki):
    """Neither the signer nor the validator writes into what it is given."""
    given = message()
    signed = crypto.sign(given, **pki.config)
    assert given == message()
    before = copy.deepcopy(signed)
    as_bytes = {**signed, "signature": signed["signature"].encode()}
    crypto.validate(signed, **pki.config)
    crypto.validate(as_bytes, **pki.config)
    assert (signed, type(as_bytes["signature"])) == (before, bytes)


def test_signed_again(pki):
    """Old credentials are replaced, not signed; those inside ``msg`` are data."""
    inner = {"signature": "s", "certificate": "c"}
    once = crypto.sign(message(msg=inner), **pki.config)
    twice = crypto.sign(once, **pki.config)
    assert (twice, twice["msg"]) == (once, inner)
    assert not crypto.validate({**twice, "msg": {}}, **pki.config)


def test_keys_that_are_no_text(pki):
    """The receiver's form is signed, and returned."""
    signed = crypto.sign(message(msg={10: "a", 9: ("b", "c")}), **pki.config)
    assert signed["msg"] == {"10": "a", "9": ["b", "c"]}
    assert crypto.validate(encoding.loads(encoding.dumps(signed)), **pki.config)


def test_bytes_fields(pki, monkeypatch):
    """They validate, and both are reported, by the texts of 1.1.7 and the seam of its tests."""
    reported = []
    logger = type("Log", (), {"error": staticmethod(reported.append)})
    monkeypatch.setattr("fedmsg.crypto.x509_ng._log", logger)
    signed = crypto.sign(message(), **pki.config)
    changed = {name: signed[name].encode() for name in ("signature", "certificate")}
    assert crypto.validate({**signed, **changed}, **pki.config)
    assert reported == [f"msg['{name}'] is not a unicode string" for name in changed]
    for name in changed:
        assert not crypto.validate({**signed, name: b"\xff"}, **pki.config)


def test_sequence_number_added_after_signing(pki):
    """1.1.7 numbers signed messages; only a number may be added so."""
    signed = crypto.sign(message(), **pki.config)
    assert crypto.validate({**signed, "seq_id": 5}, **pki.config)
    for value in (True, "5", 5.0, None, [5]):
        assert not crypto.validate({**signed, "seq_id": value}, **pki.config)
    numbered = crypto.sign(message(seq_id=5), **pki.config)
    assert crypto.validate(numbered, **pki.config)
    assert not crypto.validate({**numbered, "seq_id": 6}, **pki.config)


def test_message_without_the_field_crypto(pki):
    """Publishers before 0.7.2 did not send it, nor sign it."""
    body = message()
    data = encoding.dumps(body).encode()
    signature = pki.leaf.key.sign(data, padding.PKCS1v15(), hashes.SHA1())
    body["signature"] = base64.b64encode(signature).decode()
    body["certificate"] = base64.b64encode(pki.leaf.pem.encode()).decode()
    assert crypto.check(body, **pki.config) == Verdict(True, "leaf")


def test_ca_used_as_leaf(pki):
    """The CA's own certificate is accepted as one that signs."""
    identity = type(pki.leaf)(pki.ca.key, pki.ca.certificate)
    assert crypto.check(signed_with(identity), **pki.config) == Verdict(True, "Test CA")


def test_signed_by(pki):
    """The signer's name is compared, whatever the policy of the configuration says."""
    signed = crypto.sign(message(), **pki.config)
    config = {**pki.config, "routing_policy": {signed["topic"]: ["other"]}}
    assert crypto.validate_signed_by(signed, "leaf", **config)
    assert not crypto.validate_signed_by(signed, "other", **config)
    assert config["routing_policy"] == {signed["topic"]: ["other"]}
    for broken in ({}, [], None, 5, {**signed, "topic": ["x"]}, {"topic": None}):
        assert not crypto.validate_signed_by(broken, "leaf", **config)


@pytest.mark.parametrize("missing", ["ssldir", "certname"])
def test_signing_needs_both_arguments(pki, missing):
    """The text of 1.1.7."""
    config = {**pki.config, missing: None}
    with pytest.raises(ValueError, match="You must set the ssldir and certname keyword arguments"):
        crypto.sign(message(), **config)


def test_unknown_backends(pki):
    """A wrong name is an error of the configuration, and leaves no half of an ``init`` behind."""
    with pytest.raises(ConfigurationError, match="'pgp' is not a valid crypto backend"):
        crypto.init(crypto_validate_backends=["x509", "pgp"])
    assert (crypto._implementation, crypto._validate_implementations) == (None, None)
    for call in (crypto.sign, crypto.validate):
        with pytest.raises(ValueError, match="'crypto_backend' is 'pgp'"):
            call(message(), **{**pki.config, "crypto_backend": "pgp"})


def test_init_sets_defaults(pki):
    """An explicit init counts for calls without the keys, until tests reset the two globals."""
    config = {key: pki.config[key] for key in pki.config if not key.startswith("crypto_")}
    signed = crypto.sign(message(), **config)
    assert crypto._implementation is crypto.x509
    crypto.init(crypto_backend="x509", crypto_validate_backends=["x509"])
    assert crypto._validate_implementations == [crypto.x509]
    assert crypto.validate(signed, **config)
    crypto._implementation = crypto._validate_implementations = None
    assert crypto.validate(signed, **config)


def test_each_call_has_its_own_backends(pki):
    """The first configuration does not decide for later ones."""
    signed = crypto.sign(message(), **pki.config)
    strict = {**pki.config, "crypto_validate_backends": ["gpg"]}
    assert crypto.validate(signed, **pki.config)
    assert crypto.check(signed, **strict).reason == v.BACKEND_NOT_ALLOWED
    assert crypto.validate(signed, **pki.config)


def test_a_list_of_backends_that_is_changed(pki):
    """What a list asked for is remembered, and not the list."""
    signed = crypto.sign(message(), **pki.config)
    backends = ["x509"]
    config = {**pki.config, "crypto_validate_backends": backends}
    assert crypto.validate(signed, **config)
    backends[:] = ["gpg"]
    assert crypto.check(signed, **config).reason == v.BACKEND_NOT_ALLOWED
    backends[:] = ["pgp"]
    with pytest.raises(ConfigurationError, match="'pgp' is not a valid crypto backend"):
        crypto.validate(signed, **config)


def test_objects_in_the_configuration(pki):
    """Locks and engines in the configuration are not copied."""
    config = {**pki.config, "persistent_store": threading.Lock(), "endpoints": {}}
    assert crypto.validate(crypto.sign(message(), **config), **config)


def test_names_of_the_backends():
    """What tests of applications look at is there, and nothing heavy is loaded by importing."""
    assert (crypto.x509._m2crypto, crypto.x509_ng._cryptography) == (False, True)
    assert crypto.x509._crypto_sign is crypto.x509.sign is crypto.x509_ng.sign
    assert crypto.x509._crypto_validate is crypto.x509.validate is crypto.x509_ng.validate
    assert not hasattr(crypto, "nothing")


def test_without_the_libraries(pki, monkeypatch, caplog):
    """Signing names the extra to install; validating is False, with one error in the log."""
    signed = crypto.sign(message(), **pki.config)
    monkeypatch.setattr("fedmsg.crypto.x509_ng._cryptography", False)
    with pytest.raises(ImportError, match=r"pip install '\.\[crypto\]'"):
        crypto.sign(message(), **pki.config)
    verdicts = [crypto.check(signed, **pki.config) for _ in range(3)]
    assert {verdict.reason for verdict in verdicts} == {v.BACKEND_MISSING}
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


def test_broken_library(pki, monkeypatch):
    """A library that cannot be imported counts as missing."""
    from fedmsg.crypto import x509_ng

    signed = crypto.sign(message(), **pki.config)
    x509_ng._imported.cache_clear()
    monkeypatch.setitem(sys.modules, "OpenSSL", None)
    assert crypto.check(signed, **pki.config).reason == v.BACKEND_MISSING


def test_threads(pki):
    """Eight threads sign and check at once; all is valid and every rejection is counted."""
    signed = crypto.sign(message(), **pki.config)
    failed = []

    def work():
        for _ in range(25):
            again = crypto.sign(message(), **pki.config)
            if again != signed or not crypto.validate(again, **pki.config):
                failed.append(again)
            crypto.validate({**again, "i": 0}, **pki.config)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failed, dict(crypto.rejections)) == ([], {v.SIGNATURE_MISMATCH: 200})


def test_strip_credentials(pki):
    """A deep copy without signature and certificate; ``crypto`` stays."""
    signed = crypto.sign(message(), **pki.config)
    stripped = crypto.strip_credentials(signed)
    assert stripped == message(crypto="x509")
    stripped["msg"]["n"].append(1)
    assert signed["msg"] == message()["msg"]


def test_certificate_is_parsed_once(pki, monkeypatch):
    """Of 100 messages by one signer, one has its path validated."""
    from fedmsg.crypto import _trust

    calls = []
    verify = _trust.Trust._verify
    monkeypatch.setattr(_trust.Trust, "_verify", lambda *args: (calls.append(1), verify(*args))[1])
    for number in range(100):
        assert crypto.validate(crypto.sign(message(i=number), **pki.config), **pki.config)
    assert len(calls) == 1
    assert isinstance(pki.leaf.certificate, x509.Certificate)
