"""What a hostile review found: floods, stale answers, and forked children."""

from __future__ import annotations

import base64
import threading
import time
import warnings
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Name, NameAttribute
from cryptography.x509.oid import NameOID
from pki import Authority, Pki, certificate, message, name, pem, rsa_key, signed_with

from fedmsg import crypto
from fedmsg.crypto import policy, utils, x509_ng
from fedmsg.crypto import verdict as v


def padded(field: str, number: int) -> str:
    """Spell a certificate in another way."""
    return "!" * (number + 1) + field


def trust(pki: Pki) -> Any:
    """Return what judges certificates for a configuration."""
    utils_pair = utils.load_certificates(pki.config["ca_cert_location"], pki.config["crl_location"])
    return x509_ng._trusts.get(utils_pair)


def test_other_spellings_are_not_remembered(pki: Pki) -> None:
    """A flood of them would push out the certificates in use."""
    good = crypto.sign(message(), **pki.config)
    assert crypto.check(good, **pki.config).valid
    for number in range(10):
        changed = {**good, "certificate": padded(good["certificate"], number)}
        assert crypto.check(changed, **pki.config).valid
    assert len(trust(pki)._accepted) == 1


def test_long_certificate_is_rejected_unread(pki: Pki) -> None:
    """Reading one that anybody made would cost more than a good message."""
    names = [f"n{number}" for number in range(1000)]
    own = Authority("other")
    forged = own.issue(subject=name(*names))
    verdict = crypto.check(signed_with(forged), **pki.config)
    assert verdict == v.rejected(v.BAD_FIELD)


def test_signer_of_a_forgery_is_not_told(pki: Pki) -> None:
    """A revoked serial and the CA's name do not make it the CA's."""
    revoked = pki.ca.issue("gone")
    pki.write("crl.pem", pki.ca.crl(revoked.certificate))
    forger = rsa_key("forger")
    forged = certificate(
        name("anybody"), rsa_key("leaf"), pki.ca.name, forger,
        serial=revoked.certificate.serial_number,
    )  # fmt: skip
    body = signed_with(revoked, text=pem(forged))
    assert crypto.check(body, **pki.config) == v.rejected(v.CERTIFICATE_NOT_TRUSTED)
    # One that names the CA's key, too, is looked up in the list before its signature is checked.
    der = revoked.certificate.public_bytes(Encoding.DER)
    renamed = base64.encodebytes(der.replace(b"gone", b"root")).decode()
    text = f"-----BEGIN CERTIFICATE-----\n{renamed}-----END CERTIFICATE-----\n"
    body = signed_with(revoked, text=text)
    assert crypto.check(body, **pki.config) == v.rejected(v.CERTIFICATE_NOT_TRUSTED)
    own = signed_with(revoked)
    assert crypto.check(own, **pki.config) == v.rejected(v.CERTIFICATE_REVOKED, "gone")


def test_topics_are_not_remembered_whole(pki: Pki, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in memory nor in the log."""
    topic = "t" * 100_000
    signed = crypto.sign(message(topic=topic), **pki.config)
    assert crypto.check(signed, **pki.config).valid
    assert all(isinstance(each, int) for each in policy._reported)
    assert max(map(len, caplog.messages)) < 1000


def test_a_long_name_is_not_logged_whole(pki: Pki, caplog: pytest.LogCaptureFixture) -> None:
    """Of a signer whose message was changed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Attribute's length must be", UserWarning)
        subject = Name([NameAttribute(NameOID.COMMON_NAME, "n" * 5000, _validate=False)])
        signed = signed_with(pki.ca.issue(subject=subject))
        assert not crypto.validate({**signed, "i": 99}, **pki.config)
    assert [len(text) < 1000 for text in caplog.messages if "signature mismatch" in text] == [True]


@pytest.mark.parametrize("signers", [None, "leaf", {"leaf": 1}, 5])
def test_listed_topic_without_a_list_admits_nobody(pki: Pki, signers: Any) -> None:
    """A policy that makes no sense is not one that allows everything."""
    signed = crypto.sign(message(), **pki.config)
    config = {**pki.config, "routing_policy": {signed["topic"]: signers}}
    assert crypto.check(signed, **config).reason == v.NOT_ALLOWED


@pytest.mark.parametrize("location", [5, ["a"], b"x", ""])
def test_location_of_another_type(
    pki: Pki, location: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is valid, and nothing raises; the log says which setting it is."""
    signed = crypto.sign(message(), **pki.config)
    for key in ("ca_cert_location", "crl_location"):
        verdict = crypto.check(signed, **{**pki.config, key: location})
        assert verdict.reason == v.CA_UNAVAILABLE
    assert f"'ca_cert_location' is {location!r}" in caplog.text


def test_damaged_ca(pki: Pki) -> None:
    """One that cryptography refuses with an error of its own is no CA."""
    der = bytearray(base64.b64decode("".join(pki.ca.pem.splitlines()[1:-1])))
    version = der.index(b"\xa0\x03\x02\x01\x02") + 4
    der[version] = 7
    text = base64.encodebytes(der).decode()
    pki.write("ca.crt", f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n")
    verdict = crypto.check(signed_with(pki.leaf), **pki.config)
    assert verdict.reason == v.CA_UNAVAILABLE


def test_explicit_validators_hold(pki: Pki) -> None:
    """A ``crypto_backend`` of None is the same as none."""
    crypto.init(crypto_validate_backends=["gpg"])
    config = {key: value for key, value in pki.config.items() if not key.startswith("crypto_")}
    verdict = crypto.check(signed_with(pki.leaf), crypto_backend=None, **config)
    assert verdict.reason == v.BACKEND_NOT_ALLOWED


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is at each https URL; an exception there is raised."""
    found: dict[str, Any] = {}

    def fetch(url: str) -> bytes:
        if isinstance(found[url], Exception):
            raise found[url]
        return found[url]  # type: ignore[no-any-return]

    monkeypatch.setattr(utils, "_download", fetch)
    return found


CA, CRL = "https://ca.example/ca", "https://ca.example/crl"


def test_short_expiry_is_obeyed(pki: Pki, server: dict[str, Any], clock: Any) -> None:
    """A list is loaded again after ten seconds if that is what is configured."""
    server.update({CA: pki.ca.pem.encode(), CRL: pki.ca.crl().encode()})
    config = {"ca_cert_location": CA, "crl_location": CRL, "crl_cache_expiry": 10}
    signed = signed_with(pki.leaf)
    assert crypto.check(signed, **config).valid
    server[CRL] = pki.ca.crl(pki.leaf.certificate).encode()
    clock.ahead += 11
    assert crypto.check(signed, **config).reason == v.CERTIFICATE_REVOKED


def test_another_configuration_takes_nothing_away(
    pki: Pki, server: dict[str, Any], clock: Any
) -> None:
    """A new one that shares the CA, while the server is down, leaves the old one at work."""
    server.update({CA: pki.ca.pem.encode(), CRL: pki.ca.crl().encode()})
    config = {"ca_cert_location": CA, "crl_location": CRL}
    signed = signed_with(pki.leaf)
    assert crypto.check(signed, **config).valid
    server.update({CA: OSError("down"), CRL: OSError("down"), f"{CRL}2": OSError("down")})
    clock.ahead += 70
    assert not crypto.check(signed, **{**config, "crl_location": f"{CRL}2"}).valid
    assert crypto.check(signed, **config).valid


@pytest.mark.parametrize(("text", "shown"), [("down", "down"), ("", "OSError")])
def test_why_there_is_still_no_ca(server: dict[str, Any], text: str, shown: str) -> None:
    """The reason of the first failure is told until the download is tried again."""
    server[CA] = OSError(text)
    with pytest.raises(OSError, match=f"^{text}$"):
        utils.load_certificates(CA)
    server[CA] = b"text"
    with pytest.raises(OSError, match=rf"^{CA}: {shown} \(tried again after a minute\)$"):
        utils.load_certificates(CA)


def test_what_is_being_loaded_is_not_there_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another configuration with the same CA, while it is loaded for the first time, has no CA."""
    errors = []

    def fetch(url: str) -> bytes:
        with pytest.raises(OSError, match="tried again after a minute") as caught:
            utils.load_certificates(CA, f"{CRL}2")
        errors.append(caught.value)
        return b"text"

    monkeypatch.setattr(utils, "_download", fetch)
    assert utils.load_certificates(CA) == ("text", None)
    assert len(errors) == 1


def test_download_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slowly a server sends."""
    over = threading.Event()
    monkeypatch.setattr(utils, "_DOWNLOAD_TIMEOUT", 0.05)
    monkeypatch.setattr(utils, "_fetch", lambda url: over.wait(20))
    began = time.monotonic()
    with pytest.raises(OSError, match="took longer"):
        utils._download(CA)
    over.set()
    assert time.monotonic() - began < 15


def test_locks_are_free_in_a_child(pki: Pki) -> None:
    """Whatever another thread was doing when the process forked."""
    from parts import run_script

    text = run_script(
        """
        import os, pathlib, sys, warnings
        warnings.filterwarnings("ignore", "This process", DeprecationWarning)
        from fedmsg import crypto
        from fedmsg.crypto import _cache, _trust, x509_ng
        cache = _cache.Cache(1)
        ca = pathlib.Path(sys.argv[1]).read_text()
        trust = _trust.Trust(x509_ng.libraries(), ca, None)
        owners = cache, crypto._counts, trust
        with cache._lock, crypto._counts._lock, trust._lock:
            pid = os.fork()
            if not pid:
                os._exit(sum(owner._lock.locked() for owner in owners))
        print(os.waitpid(pid, 0)[1])
        """,
        pki.config["ca_cert_location"],
    )
    assert text == "0\n"
