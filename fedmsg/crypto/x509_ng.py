"""Signing and checking with X.509 certificates, by cryptography and pyOpenSSL.

The only module that imports them, and only when they are needed.  Paths are validated by OpenSSL
(RFC 5280, with the revocation list); the signature is RSA, PKCS#1 v1.5, SHA-1, which is fixed by
what is deployed.  Specification: crypto.md 1, 3 and 7.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import time
from collections.abc import Mapping
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from .. import options
from .._limits import RateLimit
from .._visible import one_line
from ..exceptions import ConfigurationError, MissingDependency
from . import _credential, utils
from . import verdict as v
from ._cache import Cache
from ._fields import (
    MOST_CHARACTERS,
    canonical,
    folded,
    normalised,
    unfolded,
    without_credentials,
)
from ._trust import WARNED_BEFORE, Leaf, Trust, Unusable

_log = logging.getLogger("fedmsg.crypto")

#: Whether the libraries are installed.
_cryptography = all(importlib.util.find_spec(name) for name in ("cryptography", "OpenSSL"))

_ABSENT: Any = object()
_DAY = 86400.0
#: What may be cured by loading the CA and the list again.
_CURABLE = {
    v.CA_UNAVAILABLE, v.CA_EXPIRED, v.CA_NOT_YET_VALID, v.CA_REVOKED, v.CRL_EXPIRED,
    v.CRL_NOT_YET_VALID, v.CRL_MISMATCH, v.CERTIFICATE_NOT_TRUSTED, v.CERTIFICATE_REVOKED,
    v.CERTIFICATE_EXPIRED, v.CERTIFICATE_NOT_YET_VALID,
}  # fmt: skip

_EXPIRIES = (("crl_cache_expiry", "crl_expiry"), ("ca_cert_cache_expiry", "ca_expiry"))
_NONE: Mapping[str, Any] = {}
_UNAVAILABLE = Leaf(v.CA_UNAVAILABLE)

_trusts = Cache(4)
#: What was used last: CA, list, their row in the memo of ``utils``, and what was made of it.
_latest: tuple[Any, Any, Any, Trust | None] = (_ABSENT, None, None, None)
_announced = Cache(1000)
_complaints = RateLimit()
_told: set[str] = set()


@lru_cache(maxsize=1)
def _imported() -> SimpleNamespace:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from OpenSSL import crypto

    return SimpleNamespace(
        x509=x509,
        openssl=crypto,
        rsa=rsa,
        serialization=serialization,
        InvalidSignature=InvalidSignature,
        UnsupportedAlgorithm=UnsupportedAlgorithm,
        scheme=(padding.PKCS1v15(), hashes.SHA1()),  # noqa: S303  fixed by interoperability
    )


def libraries() -> SimpleNamespace:
    """Return what is used of cryptography and pyOpenSSL.

    Raises:
        MissingDependency: they are not installed.
    """
    text = "signatures need cryptography and pyOpenSSL: pip install '.[crypto]'"
    if not _cryptography:
        raise MissingDependency(text)
    try:
        return _imported()
    except ImportError as error:
        raise MissingDependency(f"{text} ({error})") from error


# -- signing ---------------------------------------------------------------------------------------


def load_credential(
    ssldir: str | None = None, certname: str | None = None, **config: Any
) -> _credential.Credential:
    """Return the key and the certificate to sign with; keywords and errors as in :func:`sign`."""
    if not ssldir or not certname:
        raise ConfigurationError("You must set the ssldir and certname keyword arguments.")
    credential = _credential.load(libraries(), ssldir, certname)
    moment = utils.now()
    if credential.until - moment <= WARNED_BEFORE:
        _announce(f"the certificate {credential.path}", credential.until, moment)
    return credential


def sign(
    message: dict[str, Any],
    ssldir: str | None = None,
    certname: str | None = None,
    _received: bool = False,
    **config: Any,
) -> dict[str, Any]:
    """Return a message with ``crypto``, ``signature`` and ``certificate``.

    Args:
        message: is not changed; credentials that it has are replaced.
        ssldir: directory of the key and the certificate.
        certname: their names without ``.key`` and ``.crt``.
        _received: the message comes from ``encoding.loads``: what a receiver will make of it is
            known.
        config: ignored.

    Raises:
        ConfigurationError: an argument is missing (a ValueError), or the files are not what they
            should be.
        OSError: a file cannot be read.
        TypeError: the message cannot be expressed in JSON.
        MissingDependency: the extra ``crypto`` is not installed.
    """
    credential = load_credential(ssldir, certname)
    body = {**without_credentials(message), "crypto": "x509"}
    body, signed = (body, canonical(body)) if _received else normalised(body)
    body["signature"] = folded(credential.key.sign(signed, *libraries().scheme))
    body["certificate"] = credential.field
    return body


# -- checking --------------------------------------------------------------------------------------


def validate(message: dict[str, Any], ssldir: str | None = None, **config: Any) -> bool:
    """Return whether :func:`check` finds nothing wrong."""
    return check(message, ssldir, **config).valid


def check(message: dict[str, Any], ssldir: str | None = None, **config: Any) -> v.Verdict:
    """Check certificate, signature and policy of a message.

    Args:
        message: from the network; it is not changed.
        ssldir: where the CA is if ``ca_cert_location`` is not given.
        config: ``ca_cert_location`` and ``crl_location``, paths or https URLs, the list may be
            None; ``crl_cache_expiry`` and ``ca_cert_cache_expiry``, in seconds;
            ``routing_policy`` and ``routing_nitpicky``.

    Raises:
        ConfigurationError: an expiry is no number.
    """
    return verdict(message, config if ssldir is None else {**config, "ssldir": ssldir})


def verdict(message: dict[str, Any], config: Mapping[str, Any]) -> v.Verdict:
    """Do what :func:`check` does, without a copy of the configuration."""
    try:
        libs = libraries()
    except MissingDependency as error:
        _tell("missing", logging.ERROR, "no message can be validated: %s", error)
        return v.rejected(v.BACKEND_MISSING)
    try:
        text, certificate = _text(message, "signature"), _text(message, "certificate")
        signature = unfolded(text)
    except Unusable as error:
        return v.rejected(error.reason)
    except ValueError:
        return v.rejected(v.BAD_FIELD)
    leaf = _leaf(certificate, config)
    if leaf.reason:
        return v.rejected(leaf.reason, leaf.name)
    if not _is_signed(message, signature, leaf.key, libs):
        return v.rejected(v.SIGNATURE_MISMATCH, leaf.name)
    policy, nitpicky = config.get("routing_policy"), config.get("routing_nitpicky")
    if not utils.validate_policy(message.get("topic"), leaf.name, policy, nitpicky):
        return v.rejected(v.NOT_ALLOWED, leaf.name)
    return leaf.verdict


def _text(message: dict[str, Any], name: str) -> str:
    """Return a credential as text.

    Raises:
        Unusable: it is missing, or nothing that can be read.
    """
    value = message.get(name, _ABSENT)
    if type(value) is str and 0 < len(value) <= MOST_CHARACTERS:
        return value
    if value is _ABSENT:
        raise Unusable(v.MISSING_FIELD)
    if not isinstance(value, bytes) or not 0 < len(value) <= MOST_CHARACTERS:
        raise Unusable(v.BAD_FIELD)
    _log.error(f"msg['{name}'] is not a unicode string")  # noqa: G004  a text of 1.1.7
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise Unusable(v.BAD_FIELD) from None


def _is_signed(message: dict[str, Any], signature: bytes, key: Any, libs: Any) -> bool:
    """Return whether the signature covers the message, or all of it but ``seq_id``.

    1.1.7 signs before its store numbers a message (crypto.md D2).
    """
    body = without_credentials(message)
    padding, digest = libs.scheme
    while True:
        try:
            key.verify(signature, canonical(body), padding, digest)
            return True
        except libs.InvalidSignature:
            if type(body.pop("seq_id", None)) is not int:
                return False
        except (TypeError, ValueError, RecursionError):  # a caller's object that is no JSON
            return False


def _leaf(certificate: str, config: Mapping[str, Any]) -> Leaf:
    """Judge a certificate; if it is rejected, once more by the newest CA and list."""
    ca, crl = config.get("ca_cert_location", _ABSENT), config.get("crl_location")
    if ca is _ABSENT:
        ca = _default_ca(config.get("ssldir"))
    expiries = _NONE
    if config.get("crl_cache_expiry") is not None or config.get("ca_cert_cache_expiry"):
        expiries = _expiries(config)
    moment = utils.now()
    known_ca, known_crl, row, trust = _latest
    if ca != known_ca or crl != known_crl or not utils.is_current(row):
        trust = _loaded(ca, crl, expiries)
    leaf = _UNAVAILABLE if trust is None else trust.leaf(certificate, moment)
    if leaf.reason and leaf.reason in _CURABLE:
        again = _loaded(ca, crl, {**expiries, "invalidate_cache": True})
        if again is not trust:
            trust = again
            leaf = _UNAVAILABLE if trust is None else trust.leaf(certificate, moment)
    if trust is not None and moment >= trust.warn_from:
        _announce(f"the CA {trust.ca_name}", trust.ca_until, moment)
        _announce(f"the revocation list of {trust.ca_name}", trust.crl_until, moment)
    return leaf


def _loaded(ca: str | None, crl: str | None, how: Mapping[str, Any]) -> Trust | None:
    """Return what a CA and a list amount to, None with an error in the log if they are no good."""
    global _latest
    try:
        if not ca or not isinstance(ca, str) or not isinstance(crl, (str, type(None))):
            raise ValueError(
                f"'ca_cert_location' is {ca!r}, and 'crl_location' {crl!r}: set them to the file of"
                " the CA, and of its revocation list or None"
            )
        pair = utils.load_certificates(ca, crl, **how)
        trust = _trusts.get(pair)
        if trust is None:
            trust = Trust(libraries(), *pair)
            _trusts.put(pair, trust)
    except (OSError, ValueError, Unusable) as error:
        if _complaints.allow():
            text = "no message can be validated with CA %s and CRL %s: %s"
            _log.error(text, ca, crl, one_line(error))
        return None
    row = utils.row_of(ca, crl)
    if row is not None and row.pair is pair:
        _latest = (ca, crl, row, trust)
    return trust


def _expiries(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of ``load_certificates`` that are not its defaults."""
    found = {}
    for name, keyword in _EXPIRIES:
        value, row = config.get(name), options.TABLE[name]
        try:
            if value is not None and row.check(value) != row.default:
                found[keyword] = row.check(value)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"{name} must be a number of seconds: {error}") from error
    return found


def _default_ca(ssldir: str | None) -> str:
    path = os.path.join(ssldir or options.TABLE["ssldir"].default, "ca.crt")
    _tell("ca", logging.WARNING, "'ca_cert_location' is not set: using %s and no CRL", path)
    return path


# -- telling ---------------------------------------------------------------------------------------


def _tell(key: str, level: int, text: str, *arguments: Any) -> None:
    """Log something once."""
    if key not in _told:
        _told.add(key)
        _log.log(level, text, *arguments)


def _announce(what: str, until: float, moment: float) -> None:
    """Log once a day that something expires within 30 days."""
    if until - moment > WARNED_BEFORE:
        return
    last = _announced.get(what)
    if last is not None and abs(moment - last) < _DAY:
        return
    _announced.put(what, moment)
    date = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(until))
    _log.warning("%s %s %s", what, "expires on" if until > moment else "expired on", date)
