"""Certificates made for one test run."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import Any


class Authority:
    """A certificate authority in a directory.

    Attributes:
        file: its certificate.
    """

    def __init__(self, folder: Path) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec

        self._folder, self.file = folder, folder / "ca.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = self._named(f"fedmsg test authority {folder.name}")
        self._certificate = self._sign(self._name, self._key.public_key(), 1, None)
        self._write(self.file, self._certificate)

    def certify(self, name: str, hosts: list[str], days: int = 1) -> tuple[Path, Path]:
        """Return the files of a new certificate and its key.

        Args:
            name: of the files.
            hosts: names and addresses that it is for.
            days: how long it is valid; negative: it was, until yesterday.
        """
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        stem = "".join(char if char.isalnum() else "-" for char in name)
        certificate, private = self._folder / f"{stem}.pem", self._folder / f"{stem}.key"
        self._write(certificate, self._sign(self._named(name), key.public_key(), days, hosts))
        private.write_bytes(
            key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        )
        return certificate, private

    @staticmethod
    def _named(name: str) -> Any:
        from cryptography import x509
        from cryptography.x509.oid import NameOID

        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    @staticmethod
    def _write(path: Path, certificate: Any) -> None:
        from cryptography.hazmat.primitives.serialization import Encoding

        path.write_bytes(certificate.public_bytes(Encoding.PEM))

    def _sign(self, name: Any, key: Any, days: int, hosts: list[str] | None) -> Any:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 3 * day)
            .not_valid_after(now + days * day)
            .add_extension(x509.BasicConstraints(ca=hosts is None, path_length=None), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False
            )
        )
        if hosts is None:
            usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, True)
        else:
            names = [_general_name(host) for host in hosts]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        return builder.sign(self._key, hashes.SHA256())


def _general_name(host: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
