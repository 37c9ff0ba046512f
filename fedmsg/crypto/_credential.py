"""The key and the certificate that a publisher signs with, from files.

Nothing is imported here: ``x509_ng`` hands the libraries in.
"""

from __future__ import annotations

import logging
import os
from typing import Any, NamedTuple

from .._limits import RateLimit
from ..exceptions import ConfigurationError
from ._cache import Cache
from ._fields import folded
from ._trust import SHORTEST_KEY, first_block, seconds

_log = logging.getLogger("fedmsg.crypto")

_known = Cache(100)
_complaints = RateLimit()


class Credential(NamedTuple):
    """A key and its certificate.

    Attributes:
        key: the RSA private key.
        field: what messages carry as ``certificate``.
        path: of the certificate.
        until: when it expires, seconds since the epoch.
    """

    key: Any
    field: str
    path: str
    until: float


class _Known(NamedTuple):
    """What was made of two files in a certain state; after a failed reload, of older ones."""

    marks: Any
    credential: Credential


def load(libs: Any, ssldir: str, certname: str) -> Credential:
    """Return the credential in ``<ssldir>/<certname>.key`` and ``.crt``.

    The files are looked at each time and read when they have changed.  A pair that does not fit,
    as a rotation caught half-way, leaves the one before in use.

    Raises:
        OSError: a file cannot be read.
        ConfigurationError: a file is no unencrypted RSA key of 1024 bits or more, or no
            certificate, or they do not belong together, and there is no pair from before.
    """
    stem = os.path.join(ssldir, certname)
    paths = f"{stem}.key", f"{stem}.crt"
    try:
        marks = _mark(paths[0]), _mark(paths[1])
    except FileNotFoundError as error:
        remedy = "it is named by 'ssldir' and 'certnames'; 'fedmsg-keys' makes one for development"
        text = f"{error.strerror} ({remedy})"
        raise FileNotFoundError(error.errno, text, error.filename) from None
    known: _Known | None = _known.get(paths)
    if known is not None and known.marks == marks:
        return known.credential
    try:
        credential = _read(libs, *paths)
    except ConfigurationError as error:
        if known is None:
            raise
        credential = known.credential
        if _complaints.allow():
            _log.error("%s. Signing goes on with the pair from before", error)
    _known.put(paths, _Known(marks, credential))
    return credential


def _mark(path: str) -> Any:
    found = os.stat(path)
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def _read(libs: Any, key_path: str, certificate_path: str) -> Credential:
    key, certificate = _key(libs, key_path), _certificate(libs, certificate_path)
    theirs = certificate.public_key()
    if not isinstance(theirs, libs.rsa.RSAPublicKey) or (
        theirs.public_numbers() != key.public_key().public_numbers()
    ):
        raise ConfigurationError(
            f"{key_path} and {certificate_path} do not belong together: "
            "put the key there that the certificate was made for"
        )
    pem = certificate.public_bytes(libs.serialization.Encoding.PEM)
    until = seconds(certificate.not_valid_after_utc)
    return Credential(key, folded(pem), certificate_path, until)


def _key(libs: Any, path: str) -> Any:
    with open(path, "rb") as file:
        data = file.read()
    try:
        key = libs.serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError, libs.UnsupportedAlgorithm) as error:
        raise ConfigurationError(f"{path} is no unencrypted private key: {error}") from error
    if not isinstance(key, libs.rsa.RSAPrivateKey) or key.key_size < SHORTEST_KEY:
        raise ConfigurationError(f"{path} is no RSA key of {SHORTEST_KEY} bits or more")
    return key


def _certificate(libs: Any, path: str) -> Any:
    with open(path, "rb") as file:
        block = first_block(file.read(), "CERTIFICATE")
    try:
        if block is not None:
            return libs.x509.load_pem_x509_certificate(block)
    except ValueError as error:
        raise ConfigurationError(f"{path} has a damaged certificate: {error}") from error
    raise ConfigurationError(f"{path} has no certificate in PEM form")
