"""The credentials of a message, and the bytes that its signature covers (crypto.md 1)."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from .. import encoding

BACKENDS = ("x509", "gpg")

#: Longer fields are rejected unread: a certificate has some thousand characters, and reading a long
#: one that anybody made costs more than a good message.
MOST_CHARACTERS = 16384


def backend_of(message: dict[str, Any]) -> str | None:
    """Return the name of the backend that a message is for, None for none that we know."""
    if "crypto" in message:
        name = message["crypto"]
        return name if isinstance(name, str) and name in BACKENDS else None
    # Before 0.7.2 the field was not there.
    if "certificate" in message:
        return "x509"
    return "gpg" if "signature" in message else None


def without_credentials(message: dict[str, Any]) -> dict[str, Any]:
    """Return a shallow copy without the signature and the certificate."""
    body = dict(message)
    body.pop("signature", None)
    body.pop("certificate", None)
    return body


def canonical(body: Any) -> bytes:
    """Return the bytes that are signed.

    Raises:
        TypeError, ValueError, RecursionError: it cannot be expressed in JSON.
    """
    return encoding.dumps(body).encode("ascii")


def normalised(body: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Return what a receiver will make of a message, and the bytes to sign (crypto.md D11).

    Keys that are no text are sorted differently before and after they have travelled.

    Raises:
        TypeError, ValueError, RecursionError: it cannot be expressed in JSON.
    """
    text = encoding.dumps(body)
    received = encoding.loads(text)
    # Equal only if every key is text: in all other cases one more round decides.
    if received != body:
        text = encoding.dumps(received)
    return received, text.encode("ascii")


def folded(data: bytes) -> str:
    """Return base64 in lines of 76 characters, each ended by a line feed (RFC 2045, 6.8)."""
    return base64.encodebytes(data).decode("ascii")


#: Return what base64 stands for; characters outside its alphabet are ignored.  Raise ValueError for
#: what is no base64, and for characters outside ASCII.
unfolded = binascii.a2b_base64
