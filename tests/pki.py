"""Certificate authorities, certificates and revocation lists, made for each test."""

from __future__ import annotations

import functools
import ipaddress
import itertools
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import NameOID

PEM = serialization.Encoding.PEM
NOW = datetime.now(timezone.utc).replace(microsecond=0)
_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
    "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip
_serials = itertools.count(1000)


@functools.cache
def rsa_key(label: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return the key with a label; every label has its own, for the whole session."""
    return rsa.generate_private_key(65537, bits)


@functools.cache
def other_key(kind: str) -> Any:
    """Return a key that is not RSA: ``ec``, ``dsa``."""
    return (
        ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else dsa.generate_private_key(2048)
    )


def days(number: float) -> datetime:
    """Return the moment so many days from now."""
    return NOW + timedelta(days=number)


def name(*common_names: str) -> x509.Name:
    """Return a distinguished name with these common names."""
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test")
    return x509.Name(
        [organisation, *(x509.NameAttribute(NameOID.COMMON_NAME, text) for text in common_names)]
    )


def certificate(
    subject: x509.Name, key: Any, issuer: x509.Name, issuer_key: Any, *, ca: bool = False,
    since: float = -1, until: float = 365, serial: int | None = None, host: str | None = None,
) -> x509.Certificate:  # fmt: skip
    """Return a certificate; ``since`` and ``until`` are in days from now."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial or next(_serials))
        .not_valid_before(days(since))
        .not_valid_after(days(until))
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
    )
    if host is not None:
        address = x509.IPAddress(ipaddress.ip_address(host))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    # Python 3.13 wants what follows of a server's certificate and of its CA.
    if ca:
        usage = dict.fromkeys(_USAGES, False) | {"key_cert_sign": True, "crl_sign": True}
        subject_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
        builder = builder.add_extension(subject_id, critical=False)
    else:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        builder = builder.add_extension(identifier, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


class Authority:
    """A CA that is a name and a key.

    Args:
        label: of its key.
        common_name: several authorities may have the same.
        since: days from now; also ``until``.
    """

    def __init__(
        self, label: str = "ca", common_name: str = "Test CA", since: float = -1, until: float = 365
    ) -> None:
        self.key, self.name = rsa_key(label), name(common_name)
        self.certificate = certificate(
            self.name, self.key, self.name, self.key, ca=True, since=since, until=until
        )

    @property
    def pem(self) -> str:
        return pem(self.certificate)

    def issue(self, common_name: str = "leaf", key: Any = None, **settings: Any) -> Identity:
        """Return a key with a certificate of this authority."""
        key = key or rsa_key("leaf")
        subject = settings.pop("subject", None) or name(common_name)
        return Identity(key, certificate(subject, key, self.name, self.key, **settings))

    def crl(self, *revoked: x509.Certificate, since: float = -1, until: float = 90) -> str:
        """Return the PEM text of a list of revoked certificates."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.name)
            .last_update(days(since))
            .next_update(days(until))
        )
        for each in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(each.serial_number)
                .revocation_date(days(-0.5))
                .build()
            )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(PEM).decode()


class Identity:
    """A private key and its certificate."""

    def __init__(self, key: Any, certificate: x509.Certificate) -> None:
        self.key, self.certificate = key, certificate

    @property
    def pem(self) -> str:
        return pem(self.certificate)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(  # type: ignore[no-any-return]
            PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def pem(certificate: x509.Certificate) -> str:
    """Return a certificate as text."""
    return certificate.public_bytes(PEM).decode()


class Pki:
    """A directory as ``ssldir`` is: ``ca.crt``, ``crl.pem``, ``leaf.key``, ``leaf.crt``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.ca = Authority()
        self.write("ca.crt", self.ca.pem)
        self.write("crl.pem", self.ca.crl())
        self.leaf = self.ca.issue()
        self.install(self.leaf)

    def write(self, file: str, text: str | bytes) -> str:
        """Write a file, as a new one in the place of the old, and return its path."""
        path, new = self.folder / file, self.folder / f"{file}.new"
        new.write_bytes(text if isinstance(text, bytes) else text.encode())
        new.replace(path)
        return str(path)

    def install(self, identity: Identity, stem: str = "leaf") -> None:
        """Write a key and its certificate."""
        self.write(f"{stem}.key", identity.key_pem)
        self.write(f"{stem}.crt", identity.pem)

    @property
    def config(self) -> dict[str, Any]:
        """Settings that sign and validate with what is here."""
        return {
            "ssldir": str(self.folder),
            "certname": "leaf",
            "ca_cert_location": str(self.folder / "ca.crt"),
            "crl_location": str(self.folder / "crl.pem"),
            "crypto_backend": "x509",
            "crypto_validate_backends": ["x509"],
            "routing_policy": {},
            "routing_nitpicky": False,
        }


def message(**changes: Any) -> dict[str, Any]:
    """Return an unsigned message."""
    return {
        "topic": "org.fedoraproject.dev.test.a", "msg": {"text": "grüße", "n": [1, 2.5, None]},
        "timestamp": 1795435120, "msg_id": "2026-1e24ced1-cabd-4b87-9cd3-ae8557289018", "i": 1,
        "username": "me", **changes,
    }  # fmt: skip


def signed_with(identity: Identity, text: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return a message signed by hand, without fedmsg's signer."""
    import base64

    from cryptography.hazmat.primitives.asymmetric import padding

    from fedmsg import encoding

    body = message(crypto="x509", **changes)
    data = encoding.dumps(body).encode()
    if isinstance(identity.key, rsa.RSAPrivateKey):
        signature = identity.key.sign(data, padding.PKCS1v15(), hashes.SHA1())
    elif isinstance(identity.key, ec.EllipticCurvePrivateKey):
        signature = identity.key.sign(data, ec.ECDSA(hashes.SHA256()))
    else:
        signature = identity.key.sign(data, hashes.SHA256())
    body["signature"] = base64.encodebytes(signature).decode()
    body["certificate"] = base64.encodebytes((text or identity.pem).encode()).decode()
    return body
