"""A certificate authority in a directory, for development and tests only.

The directory has the layout of the option ``ssldir``: ``ca.crt``, ``crl.pem``, and ``<name>.crt``
and ``<name>.key`` for every name.  The key of the authority, ``ca.key``, lies beside them and has
no passphrase: whoever reads it can issue certificates.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..exceptions import ConfigurationError, FedmsgError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

__all__ = ["add", "create", "issued", "revoke"]

#: Length of a new key, bits.
KEY_SIZE = 2048
#: Certificates are valid since this long ago, for clocks that are late.
_EARLIER = timedelta(hours=1)
#: A common name has at most 64 characters (RFC 5280, appendix A.1).
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,63}")
_RESERVED = ("ca", "crl")


def create(directory: str | Path, names: Sequence[str], days: int = 365) -> None:
    """Make an authority, an empty revocation list, and a certificate for each name.

    Args:
        directory: where to; it is made if it is missing.
        names: common names of the certificates, and the stems of their files.
        days: how long everything is valid, days from now.

    Raises:
        ConfigurationError: a name cannot be a file name, or is given twice, or there are no days.
        FedmsgError: one of the files exists; nothing was written.
        OSError: the directory cannot be written; no file is left behind.
        ImportError: cryptography is not installed.
    """
    from cryptography import x509

    _check(names, days)
    key = _new_key()
    name = _subject("fedmsg development CA")
    until = _now() + timedelta(days=days)
    public = key.public_key()
    builder = _builder(name, name, public, until).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    builder = builder.add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
    ca = builder.sign(key, _sha256())
    files = {"ca.key": _pem(key), "ca.crt": _pem(ca), "crl.pem": _pem(_new_crl(ca, key, [], 1))}
    Path(directory).mkdir(parents=True, exist_ok=True)
    _write(Path(directory), {**files, **_issue(ca, key, names, until)})


def add(directory: str | Path, names: Sequence[str], days: int = 365) -> None:
    """Issue more certificates of an authority that :func:`create` made.

    Args:
        directory: of the authority.
        names: common names of the certificates, and the stems of their files.
        days: how long they are valid, days from now; not longer than the authority.

    Raises:
        ConfigurationError: as :func:`create`.
        FedmsgError: there is no authority, or one of the files exists; nothing was written.
        OSError: the directory cannot be read or written; no file is left behind.
        ImportError: cryptography is not installed.
    """
    _check(names, days)
    ca, key = _load(Path(directory))
    until = min(_now() + timedelta(days=days), _end(ca))
    _write(Path(directory), _issue(ca, key, names, until))


def revoke(directory: str | Path, names: Sequence[str]) -> None:
    """Put certificates on the revocation list, which is replaced in one step.

    Args:
        directory: of the authority.
        names: whose certificates; one that is revoked stays so.

    Raises:
        FedmsgError: there is no authority, or no such certificate; nothing was changed.
        OSError: the directory cannot be read or written; the old list is still there.
        ImportError: cryptography is not installed.
    """
    from cryptography import x509

    folder = Path(directory)
    ca, key = _load(folder)
    serials = [_certificate(folder, name).serial_number for name in names]
    with _locked(folder / "ca.key"):
        old = x509.load_pem_x509_crl((folder / "crl.pem").read_bytes())
        number = old.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        entries = list(old)
        known = {entry.serial_number for entry in entries}
        for serial in serials:
            if serial not in known:
                known.add(serial)
                entry = x509.RevokedCertificateBuilder().serial_number(serial)
                entries.append(entry.revocation_date(_now()).build())
        _replace(folder / "crl.pem", _pem(_new_crl(ca, key, entries, number + 1)))


def issued(directory: str | Path) -> list[str]:
    """Return the names that have a certificate and a key in a directory, sorted."""
    stems = (path.stem for path in Path(directory).glob("*.crt"))
    return sorted(
        stem for stem in stems if stem != "ca" and Path(directory, f"{stem}.key").exists()
    )


def _check(names: Sequence[str], days: int) -> None:
    for name in names:
        if not _NAME.fullmatch(name) or name in _RESERVED:
            raise ConfigurationError(
                f"{name!r} cannot be the name of a certificate: use up to 64 letters, digits,"
                " '.', '-', '_' and '@', beginning with a letter or digit, not 'ca' or 'crl'"
            )
        if names.count(name) > 1:
            raise ConfigurationError(f"the name {name!r} is given twice: give it once")
    if not 1 <= days <= 36500:
        raise ConfigurationError(f"{days} days is not possible: give 1 to 36500")


def _load(folder: Path) -> tuple[x509.Certificate, RSAPrivateKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key: Any = load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
        return x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes()), key
    except FileNotFoundError as error:
        raise FedmsgError(f"{folder} has no ca.key and ca.crt: make an authority there") from error
    except ValueError as error:
        raise FedmsgError(f"the ca.key or ca.crt in {folder} is unreadable: {error}") from error


def _certificate(folder: Path, name: str) -> x509.Certificate:
    from cryptography import x509

    known = issued(folder)
    if name not in known:
        listed = ", ".join(known) or "none"
        raise FedmsgError(f"{folder} has no certificate {name!r}; it has {listed}")
    return x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())


def _issue(
    ca: x509.Certificate, key: RSAPrivateKey, names: Sequence[str], until: datetime
) -> dict[str, bytes]:
    """Return the files of new certificates."""
    from cryptography import x509

    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    files = {}
    for name in names:
        own = _new_key()
        builder = _builder(_subject(name), ca.subject, own.public_key(), until)
        builder = builder.add_extension(
            x509.BasicConstraints(ca=False, path_length=None), critical=True
        )
        builder = builder.add_extension(_usage("digital_signature"), critical=True)
        certificate = builder.add_extension(issuer, critical=False).sign(key, _sha256())
        files[f"{name}.key"], files[f"{name}.crt"] = _pem(own), _pem(certificate)
    return files


def _builder(subject: Any, issuer: Any, public: Any, until: datetime) -> x509.CertificateBuilder:
    from cryptography import x509

    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=public)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(_now() - _EARLIER).not_valid_after(until)
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    return builder.add_extension(identifier, critical=False)


def _new_crl(ca: x509.Certificate, key: RSAPrivateKey, entries: Sequence[Any], number: int) -> Any:
    """Return a revocation list that is valid as long as the authority."""
    from cryptography import x509

    builder = x509.CertificateRevocationListBuilder().issuer_name(ca.subject)
    builder = builder.last_update(_now() - _EARLIER).next_update(_end(ca))
    for entry in entries:
        builder = builder.add_revoked_certificate(entry)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    builder = builder.add_extension(issuer, critical=False)
    return builder.add_extension(x509.CRLNumber(number), critical=False).sign(key, _sha256())


def _subject(name: str) -> x509.Name:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _usage(*wanted: str) -> x509.KeyUsage:
    from cryptography import x509

    every = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
        "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: name in wanted for name in every})


def _new_key() -> RSAPrivateKey:
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(public_exponent=65537, key_size=KEY_SIZE)


def _sha256() -> Any:
    from cryptography.hazmat.primitives.hashes import SHA256

    return SHA256()


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _end(certificate: x509.Certificate) -> datetime:
    aware = getattr(certificate, "not_valid_after_utc", None)  # since cryptography 42
    return aware or certificate.not_valid_after.replace(tzinfo=timezone.utc)


def _pem(thing: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization as form

    pem = form.Encoding.PEM
    if hasattr(thing, "private_bytes"):
        plain = form.NoEncryption()
        return bytes(thing.private_bytes(pem, form.PrivateFormat.PKCS8, plain))
    return bytes(thing.public_bytes(pem))


def _mode(name: str) -> int:
    return 0o600 if name.endswith(".key") else 0o644


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write new files, all or none; keys can be read by nobody else, from their first byte."""
    for name in files:
        if os.path.lexists(folder / name):
            raise FedmsgError(f"{folder / name} exists, nothing was written: move it away first")
    written: list[Path] = []
    try:
        for name, data in files.items():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            descriptor = os.open(folder / name, flags, _mode(name))
            written.append(folder / name)
            with open(descriptor, "wb") as file:
                file.write(data)
    except BaseException:
        for path in written:
            path.unlink()
        raise


def _replace(path: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(file.fileno(), _mode(path.name))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock on a file: of two revocations at a time none is lost."""
    import fcntl

    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FedmsgError(f"another process changes {path.parent}: try again") from error
        yield
