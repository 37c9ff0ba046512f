"""The backend ``x509``, under the names of 1.1.7.  M2Crypto is not supported any more."""

from __future__ import annotations

from . import x509_ng
from .x509_ng import check, load_credential, sign, validate

__all__ = ["check", "load_credential", "sign", "validate", "x509_ng"]

_m2crypto = False
_crypto_sign = sign
_crypto_validate = validate
