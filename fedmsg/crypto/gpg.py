"""Signatures with GnuPG.  Specification: crypto.md 1 and 5, D3, D4, D9-D11, D17.

A signature covers ``msg`` only; topic, timestamp, id and user are not authenticated.  One check is
one ``gpg`` process.
"""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from .. import encoding
from .._limits import RateLimit
from ..exceptions import ConfigurationError, MissingDependency
from . import verdict as reasons
from ._gpg import GpgBinaryError, Result, is_one_signature, judge, run, verify
from .policy import allowed
from .verdict import Verdict, rejected

__all__ = ["Context", "GpgBinaryError", "check", "sign", "validate"]

_log = logging.getLogger("fedmsg.crypto")

#: Longest signature accepted, bytes; those of the largest keys have less than 3000.
_LONGEST = 65536

#: Failures of gpg may be caused from outside: so many a minute are logged.
_failures = RateLimit(60)
#: A missing binary is said once.
_missing = RateLimit(1, float("inf"))


class Context:
    """A keyring to sign and verify with.

    Attributes:
        keyrings: names of keyrings used besides the one of ``homedir``.
        homedir: home directory of gpg.
    """

    def __init__(self, keyrings: Sequence[str] | None = None, homedir: str | None = None) -> None:
        """Remember the keyrings.

        Args:
            keyrings: names of additional keyrings; default none.
            homedir: home directory of gpg; default ``~/.gnupg/``.
        """
        self.keyrings = list(keyrings or [])
        self.homedir = homedir or os.path.expanduser("~/.gnupg/")

    def _get_keyrings_cl(self, keyrings: Sequence[str] | None) -> list[str]:
        """Return the arguments for our keyrings, then for additional ones."""
        names = [*self.keyrings, *(keyrings or [])]
        return [word for name in names for word in ("--keyring", name)]

    def _run(
        self,
        arguments: Sequence[str],
        data: bytes,
        keyrings: Sequence[str] | None,
        homedir: str | None,
    ) -> Result:
        command = [*self._get_keyrings_cl(keyrings), *arguments]
        return run(homedir or self.homedir, command, data)

    def verify(
        self,
        data: str | bytes,
        signature: bytes | None = None,
        keyrings: Sequence[str] | None = None,
        homedir: str | None = None,
    ) -> bool:
        """Verify signed data, or a detached signature.

        Args:
            data: what was signed; without ``signature``, a signed or clear-signed document.
            signature: a detached signature, binary or armoured.
            keyrings: keyrings used besides those of the context.
            homedir: home directory in place of the context's.

        Returns:
            True.

        Raises:
            GpgBinaryError: there is not exactly one signature, or it is not good, or its key is
                unknown, expired or revoked, or gpg failed.
            MissingDependency: gpg is not installed.
        """
        arguments = self._get_keyrings_cl(keyrings)
        return _true(verify(homedir or self.homedir, _bytes(data), signature, arguments))

    def verify_from_file(
        self,
        data_path: str,
        sig_path: str | None = None,
        keyrings: Sequence[str] | None = None,
        homedir: str | None = None,
    ) -> bool:
        """Do :meth:`verify` for files, with the same results and errors.

        Args:
            data_path: file that was signed, or a signed document.
            sig_path: file of the detached signature.
            keyrings: keyrings used besides those of the context.
            homedir: home directory in place of the context's.
        """
        paths = [os.path.abspath(path) for path in (sig_path, data_path) if path]
        arguments = ["--status-fd", "1", "--verify", "--", *paths]
        return _true(self._run(arguments, b"", keyrings, homedir))

    def sign(
        self,
        data: str | bytes,
        fingerprint: str,
        keyrings: Sequence[str] | None = None,
        homedir: str | None = None,
    ) -> bytes:
        """Return a detached binary signature.

        Args:
            data: what to sign; text is encoded as UTF-8.
            fingerprint: any name of the key that gpg knows, short key ids too.
            keyrings: keyrings used besides those of the context.
            homedir: home directory in place of the context's.

        Raises:
            GpgBinaryError: gpg failed: no such key, or one that needs a passphrase.
            MissingDependency: gpg is not installed.
        """
        arguments = ["--local-user", fingerprint, "--no-armor", "--detach-sign"]
        return _signed(self._run(arguments, _bytes(data), keyrings, homedir))

    def clearsign(
        self,
        data: str | bytes,
        fingerprint: str,
        keyrings: Sequence[str] | None = None,
        homedir: str | None = None,
    ) -> bytes:
        """Return the data clear-signed; arguments and errors are those of :meth:`sign`."""
        arguments = ["--local-user", fingerprint, "--clearsign"]
        return _signed(self._run(arguments, _bytes(data), keyrings, homedir))


def sign(
    message: dict[str, Any],
    gpg_home: str | None = None,
    gpg_signing_key: str | None = None,
    **config: Any,
) -> dict[str, Any]:
    """Sign the ``msg`` of a message.

    Args:
        message: what to sign; it is not modified.
        gpg_home: home directory of gpg, with the secret key.
        gpg_signing_key: any name of that key that gpg knows; it must not need a passphrase.
        config: the rest of the configuration, unused.

    Returns:
        The message as receivers will decode it, with ``crypto`` and ``signature``.

    Raises:
        ConfigurationError: ``gpg_home`` or ``gpg_signing_key`` is missing.
        KeyError: the message has no ``msg``.
        TypeError: the message cannot be serialised.
        GpgBinaryError: gpg failed, or its gpg.conf names more signers.
        MissingDependency: gpg is not installed.
    """
    if not gpg_home or not gpg_signing_key:
        raise ConfigurationError("You must set the gpg_home and gpg_signing_key keyword arguments.")
    signed = encoding.loads(encoding.dumps(message))
    signed.pop("certificate", None)
    data = encoding.dumps(signed["msg"])
    signature = Context(homedir=gpg_home).sign(data, gpg_signing_key)
    if not is_one_signature(signature):
        raise GpgBinaryError(b"gpg made several signatures: remove 'local-user' from gpg.conf")
    return {**signed, "crypto": "gpg", "signature": base64.b64encode(signature).decode()}


def validate(message: dict[str, Any], gpg_home: str | None = None, **config: Any) -> bool:
    """Return whether :func:`check` finds a message valid; same arguments and errors."""
    return check(message, gpg_home=gpg_home, **config).valid


def check(
    message: Any,
    gpg_home: str | None = None,
    routing_policy: Mapping[str, Any] | None = None,
    routing_nitpicky: Any = False,
    signer: str | None = None,
    **config: Any,
) -> Verdict:
    """Verify the signature of a message, and that its key may send on the topic.

    Args:
        message: a decoded message, of any type and content.
        gpg_home: home directory of gpg, whose keyring holds the keys that are accepted.
        routing_policy: full topic -> fingerprints of primary keys; case and blanks do not matter.
        routing_nitpicky: refuse topics that the policy does not list.
        signer: the only fingerprint that is accepted, in place of the policy.
        config: the rest of the configuration, unused.

    Returns:
        The verdict; its signer is the fingerprint of the primary key.

    Raises:
        ConfigurationError: ``gpg_home`` is None.
    """
    if gpg_home is None:
        raise ConfigurationError("You must set the gpg_home keyword argument.")
    found = _check_signature(message, gpg_home)
    if not found:
        return found
    if signer is None:
        topic = message.get("topic")
        known_as = _as_in_policy(found.signer, topic, routing_policy)
        permitted = allowed(topic, known_as, routing_policy, routing_nitpicky)
    else:
        permitted = _plain(signer) == found.signer
    return found if permitted else rejected(reasons.NOT_ALLOWED, found.signer)


def _check_signature(message: Any, gpg_home: str) -> Verdict:
    if not isinstance(message, dict) or "msg" not in message:
        return rejected(reasons.NOT_A_MESSAGE)
    if "signature" not in message:
        return rejected(reasons.MISSING_FIELD)
    signature = _decoded(message["signature"])
    if signature is None:
        return rejected(reasons.BAD_FIELD)
    try:
        data = encoding.dumps(message["msg"]).encode("utf-8")
    except (TypeError, ValueError, RecursionError):
        return rejected(reasons.NOT_A_MESSAGE)
    try:
        result = verify(gpg_home, data, signature)
    except MissingDependency as error:
        if _missing.allow():
            _log.error("no gpg signature is accepted: %s", error)
        return rejected(reasons.BACKEND_MISSING)
    except (GpgBinaryError, OSError) as error:
        return _failed(error)
    found = judge(result)
    return _failed(result.errors) if found.reason == reasons.GPG_FAILED else found


def _failed(why: bytes | Exception) -> Verdict:
    if _failures.allow():
        # What gpg prints may hold a long notation of the signature.
        _log.error("gpg could not check a signature: %s", ascii(why)[:500])
    return rejected(reasons.GPG_FAILED)


def _decoded(signature: Any) -> bytes | None:
    """Return the bytes of a signature field; None unless they are one detached signature."""
    # 1.1.7 returned bytes from sign().
    if not isinstance(signature, (str, bytes)) or len(signature) > _LONGEST * 4 // 3:
        return None
    try:
        decoded = base64.b64decode(signature)
    except ValueError:
        return None
    return decoded if is_one_signature(decoded) else None


def _plain(fingerprint: Any) -> str:
    return "".join(fingerprint.split()).upper() if isinstance(fingerprint, str) else ""


def _as_in_policy(fingerprint: str | None, topic: Any, policy: Any) -> str | None:
    """Return a fingerprint as the policy of a topic spells it."""
    signers = policy.get(topic) if policy and isinstance(topic, str) else None
    if isinstance(signers, (list, tuple, set, frozenset)):
        return next((each for each in signers if _plain(each) == fingerprint), fingerprint)
    return fingerprint


def _bytes(data: str | bytes) -> bytes:
    return data.encode("utf-8") if isinstance(data, str) else data


def _true(result: Result) -> bool:
    if not judge(result):
        raise GpgBinaryError(result.errors)
    return True


def _signed(result: Result) -> bytes:
    if result.code or not result.output:
        raise GpgBinaryError(result.errors)
    return result.output
