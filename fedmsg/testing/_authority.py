"""A certificate authority for one test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..crypto import authority, utils


class Authority:
    """An authority in a directory, as ``fedmsg-keys`` makes it; never for production.

    Args:
        directory: where the files go; it is made if it is missing.
        names: common names of the first certificates.

    Raises:
        ConfigurationError: a name cannot be that of a certificate.
        FedmsgError: there is an authority already.
        MissingDependency, ImportError: the extra ``crypto`` is not installed.
    """

    def __init__(self, directory: str | Path, *names: str) -> None:
        self.directory = Path(directory)
        authority.create(self.directory, names)

    def issue(self, *names: str) -> None:
        """Issue more certificates."""
        authority.add(self.directory, names)

    def revoke(self, *names: str) -> None:
        """Put certificates on the revocation list, which counts at once in this process."""
        authority.revoke(self.directory, names)
        files = self._files()
        # Files are looked at once a second, and a test does not wait.
        utils.load_certificates(
            files["ca_cert_location"], files["crl_location"], invalidate_cache=True
        )

    def signing(self, name: str, publisher: str | None = None) -> dict[str, Any]:
        """Return the configuration of a process that signs with a certificate, and validates.

        Args:
            name: of the certificate; it is issued if it does not exist.
            publisher: the ``name`` of the context; default: the same.
        """
        if name not in authority.issued(self.directory):
            self.issue(name)
        publisher = publisher or name
        return {
            **self.validating(),
            "name": publisher,
            "sign_messages": True,
            "certnames": {publisher: name},
        }

    def validating(self) -> dict[str, Any]:
        """Return the configuration of a subscriber that accepts what this authority vouches for."""
        return {**self._files(), "validate_signatures": True}

    def _files(self) -> dict[str, Any]:
        return {
            "crypto_backend": "x509",
            "ssldir": str(self.directory),
            "ca_cert_location": str(self.directory / "ca.crt"),
            "crl_location": str(self.directory / "crl.pem"),
        }
