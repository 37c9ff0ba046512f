"""Whether a certificate is one of a CA's, by OpenSSL, remembered for as long as the answer holds.

Nothing is imported here: ``x509_ng`` hands the libraries in.
"""

from __future__ import annotations

import re
import threading
from datetime import datetime, timezone
from typing import Any, NamedTuple

from . import verdict as v
from ._cache import Cache, unlock_in_child
from ._fields import folded, unfolded

#: RSA keys below this many bits can be broken; OpenSSL's store does not mind them.
SHORTEST_KEY = 1024
#: So many seconds before something expires its users are warned.
WARNED_BEFORE = 30 * 86400.0
#: A rejection holds for so many seconds: a certificate may become valid.
_REJECTION_HOLDS = 60.0
#: Longer certificates are not remembered.
_MOST_REMEMBERED = 8192

_PEM = re.compile(rb"-----BEGIN (CERTIFICATE|X509 CRL)-----\r?\n[A-Za-z0-9+/=\s]+-----END \1-----")
#: OpenSSL's codes (x509_vfy.h) of the leaf, depth 0, and of the CA above it.
_REASONS = {
    3: v.CRL_MISMATCH,
    8: v.CRL_MISMATCH,
    9: v.CERTIFICATE_NOT_YET_VALID,
    10: v.CERTIFICATE_EXPIRED,
    11: v.CRL_NOT_YET_VALID,
    12: v.CRL_EXPIRED,
    23: v.CERTIFICATE_REVOKED,
}
_REASONS_OF_CA = {**_REASONS, 9: v.CA_NOT_YET_VALID, 10: v.CA_EXPIRED, 23: v.CA_REVOKED}


#: OpenSSL finds these after it has checked that the CA signed the certificate.
_AFTER_SIGNATURE = (v.CERTIFICATE_EXPIRED, v.CERTIFICATE_NOT_YET_VALID)


class Unusable(Exception):
    """Text that is no usable certificate or list.

    Attributes:
        reason: one of :mod:`fedmsg.crypto.verdict`.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason


class Leaf(NamedTuple):
    """The answer about one certificate, which holds from ``since`` until before ``until``.

    Attributes:
        reason: why it is rejected, empty if it is not.
        key: the public key; None if it is rejected.
        name: the common name, if it has exactly one.
        verdict: on a message that it signed, and that nothing else is wrong with.
    """

    reason: str
    key: Any = None
    name: str | None = None
    since: float = 0.0
    until: float = 0.0
    verdict: v.Verdict = v.rejected(v.SIGNATURE_MISMATCH)


def first_block(data: bytes, kind: str) -> bytes | None:
    """Return the first PEM block of a kind, ``CERTIFICATE`` or ``X509 CRL``."""
    for match in _PEM.finditer(data):
        if match[1] == kind.encode("ascii"):
            return match[0] + b"\n"
    return None


def _is_usual(field: str) -> bool:
    """Return whether a certificate is spelled as signers spell it.

    Base64 may be spelled in any number of ways: remembering all would push out what is in use.
    """
    block = first_block(unfolded(field), "CERTIFICATE")
    return block is not None and folded(block) == field


def seconds(moment: datetime | None) -> float:
    """Return seconds since the epoch of a date in UTC; a list without an end never expires."""
    return float("inf") if moment is None else moment.timestamp()


class Trust:
    """A CA and perhaps a revocation list, ready to judge certificates; for any thread.

    Args:
        libs: what ``x509_ng.libraries`` returns.
        ca: PEM text; the first certificate in it is the only trust anchor.
        crl: PEM text of the list, or None.

    Attributes:
        ca_until: when the CA expires, seconds since the epoch.
        crl_until: when the list does; infinite without one.
        warn_from: when the first of them is close.

    Raises:
        Unusable: one of the texts is no certificate or no list.
    """

    def __init__(self, libs: Any, ca: str, crl: str | None) -> None:
        self._libs = libs
        anchor = self._loaded(ca, "CERTIFICATE", libs.x509.load_pem_x509_certificate)
        self._since, self.ca_until = map(
            seconds, (anchor.not_valid_before_utc, anchor.not_valid_after_utc)
        )
        self.ca_name = anchor.subject.rfc4514_string()
        self.crl_until = float("inf")
        self._revoked = False
        self._issuer = anchor
        self._anchor = libs.openssl.X509.from_cryptography(anchor)
        self._crl = None
        if crl is not None:
            self._crl = revocations = self._loaded(crl, "X509 CRL", libs.x509.load_pem_x509_crl)
            self._since = max(self._since, seconds(revocations.last_update_utc))
            self.crl_until = seconds(revocations.next_update_utc)
            # OpenSSL 4 does not look an anchor up in the list.
            own = revocations.get_revoked_certificate_by_serial_number(anchor.serial_number)
            self._revoked = own is not None
        self.warn_from = min(self.ca_until, self.crl_until) - WARNED_BEFORE
        self._lock = threading.Lock()
        unlock_in_child(self)
        self._second, self._store = -1, None
        # Apart, so that a flood of bad certificates does not push out the good ones.
        self._accepted, self._rejected = Cache(1024), Cache(256)

    @staticmethod
    def _loaded(text: str, kind: str, load: Any) -> Any:
        block = first_block(text.encode("ascii", "replace"), kind)
        try:
            if block is not None:
                return load(block)
        except Exception as error:  # noqa: BLE001  InvalidVersion, for one, is no ValueError
            raise Unusable(v.CA_UNAVAILABLE, f"the first {kind} is damaged: {error}") from None
        raise Unusable(v.CA_UNAVAILABLE, f"there is no {kind} in PEM form")

    def leaf(self, field: str, moment: float) -> Leaf:
        """Judge the certificate in a message.

        Args:
            field: base64 of PEM, from the network.
            moment: now, seconds since the epoch.
        """
        known: Leaf | None = self._accepted.get(field)
        if known is None or not known.since <= moment < known.until:
            known = self._rejected.get(field)
        if known is not None and known.since <= moment < known.until:
            return known
        leaf = self._judge(field, moment)
        if len(field) <= _MOST_REMEMBERED:
            if leaf.reason:
                self._rejected.put(field, leaf)
            elif _is_usual(field):
                self._accepted.put(field, leaf)
        return leaf

    def _judge(self, field: str, moment: float) -> Leaf:
        name = None
        try:
            certificate = self._parsed(field)
            key = self._key(certificate)
            try:
                self._verify(certificate, moment)
            except Unusable as error:
                # Only of what the CA has issued is the name more than anybody's text.
                if error.reason in _AFTER_SIGNATURE or self._is_issued(certificate):
                    name = self._name(certificate)
                elif error.reason == v.CERTIFICATE_REVOKED:
                    raise Unusable(v.CERTIFICATE_NOT_TRUSTED) from None
                raise
            name = self._name(certificate)
        except Unusable as error:
            return Leaf(error.reason, None, name, moment, moment + _REJECTION_HOLDS)
        since = max(self._since, seconds(certificate.not_valid_before_utc))
        until = min(self.ca_until, self.crl_until, seconds(certificate.not_valid_after_utc))
        return Leaf("", key, name, since, until, v.Verdict(True, name))

    def _parsed(self, field: str) -> Any:
        try:
            block = first_block(unfolded(field), "CERTIFICATE")
            if block is not None:
                return self._libs.x509.load_pem_x509_certificate(block)
        except Exception:  # noqa: BLE001,S110  a parser that is given anything may raise anything
            pass
        raise Unusable(v.BAD_FIELD)

    def _is_issued(self, certificate: Any) -> bool:
        """Return whether the CA has signed a certificate; OpenSSL looks at its list before."""
        try:
            certificate.verify_directly_issued_by(self._issuer)
        except Exception:  # noqa: BLE001  as above
            return False
        return True

    def _key(self, certificate: Any) -> Any:
        try:
            key = certificate.public_key()
        except Exception:  # noqa: BLE001  as above
            raise Unusable(v.NOT_RSA) from None
        if not isinstance(key, self._libs.rsa.RSAPublicKey):
            raise Unusable(v.NOT_RSA)
        if key.key_size < SHORTEST_KEY:
            raise Unusable(v.KEY_TOO_SHORT)
        return key

    def _name(self, certificate: Any) -> str:
        """Return the common name; several would let a policy see another one than we do."""
        try:
            names = [
                attribute.value
                for attribute in certificate.subject
                if attribute.oid == self._libs.x509.NameOID.COMMON_NAME
            ]
        except Exception:  # noqa: BLE001  as above
            names = []
        if len(names) != 1 or not isinstance(names[0], str) or not names[0]:
            raise Unusable(v.NO_SINGLE_NAME)
        return names[0]

    def _verify(self, certificate: Any, moment: float) -> None:
        """Have OpenSSL validate the path at a moment.

        Raises:
            Unusable: it is not valid.
        """
        openssl = self._libs.openssl
        try:
            leaf = openssl.X509.from_cryptography(certificate)
            with self._lock:
                openssl.X509StoreContext(self._store_at(int(moment)), leaf).verify_certificate()
        except openssl.X509StoreContextError as error:
            code, depth = error.errors[:2]
            reasons = _REASONS_OF_CA if depth else _REASONS
            raise Unusable(reasons.get(code, v.CERTIFICATE_NOT_TRUSTED)) from None
        except openssl.Error:
            raise Unusable(v.CERTIFICATE_NOT_TRUSTED) from None
        if self._revoked:
            raise Unusable(v.CA_REVOKED)

    def _store_at(self, second: int) -> Any:
        """Return a store whose clock shows that second; its time can be set only once."""
        if second != self._second or self._store is None:
            openssl = self._libs.openssl
            self._store = store = openssl.X509Store()
            store.add_cert(self._anchor)
            if self._crl is not None:
                store.add_crl(self._crl)
                flags = openssl.X509StoreFlags
                store.set_flags(flags.CRL_CHECK | flags.CRL_CHECK_ALL)
            store.set_time(datetime.fromtimestamp(second, timezone.utc).replace(tzinfo=None))
            self._second = second
        return self._store
