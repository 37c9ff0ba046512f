"""What a check of a message found: valid or not, by whom, and why not."""

from __future__ import annotations

from typing import NamedTuple

#: Reasons for which a message is rejected; each is a key of ``fedmsg.crypto.rejections``.
NOT_A_MESSAGE = "not a message"
UNSIGNED = "unsigned"
UNKNOWN_BACKEND = "unknown backend"
BACKEND_NOT_ALLOWED = "backend not allowed"
BACKEND_MISSING = "backend not installed"
MISSING_FIELD = "signature or certificate missing"
BAD_FIELD = "signature or certificate unreadable"
NOT_RSA = "not an RSA key"
KEY_TOO_SHORT = "key too short"
NO_SINGLE_NAME = "certificate without exactly one common name"
CERTIFICATE_NOT_TRUSTED = "certificate not issued by the CA"
CERTIFICATE_EXPIRED = "certificate expired"
CERTIFICATE_NOT_YET_VALID = "certificate not yet valid"
CERTIFICATE_REVOKED = "certificate revoked"
CA_UNAVAILABLE = "CA or CRL unavailable"
CA_EXPIRED = "CA expired"
CA_NOT_YET_VALID = "CA not yet valid"
CA_REVOKED = "CA revoked"
CRL_EXPIRED = "CRL expired"
CRL_NOT_YET_VALID = "CRL not yet valid"
CRL_MISMATCH = "CRL not issued by the CA"
SIGNATURE_MISMATCH = "signature mismatch"
NOT_ALLOWED = "topic not allowed for signer"
TOPIC_DIFFERS = "envelope topic differs"
KEY_UNKNOWN = "key unknown"
KEY_EXPIRED = "key expired"
KEY_REVOKED = "key revoked"
SIGNATURE_EXPIRED = "signature expired"
GPG_FAILED = "gpg failed"


class Verdict(NamedTuple):
    """The outcome of a check; true if the message is valid.

    Attributes:
        valid: whether the message may be believed.
        signer: common name of the certificate, or full fingerprint of the gpg key; None if it is
            not known.
        reason: why not, one of this module's constants; empty for a valid message.
    """

    valid: bool
    signer: str | None = None
    reason: str = ""

    def __bool__(self) -> bool:
        return self.valid


def rejected(reason: str, signer: str | None = None) -> Verdict:
    """Return the verdict on a message that is not valid."""
    return Verdict(False, signer, reason)
