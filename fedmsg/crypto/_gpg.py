"""Running gpg, and reading what it says of a signature.

Nothing of a message becomes an argument: the signed bytes and the signature travel through
descriptors.  The verdict is read from the status lines, for the exit status is 0 for an expired or
revoked key too.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from typing import NamedTuple

from ..exceptions import FedmsgError, MissingDependency
from . import verdict as reasons
from .verdict import Verdict, rejected

#: Longest run of gpg, seconds.
_TIMEOUT = 10.0

# Never ask, never go to the network, take no key out of a message, leave the trust database alone:
# every key of the keyring counts, as in 1.1.7.  They override gpg.conf.
_OPTIONS = (
    "--batch", "--no-tty", "--pinentry-mode", "error", "--disable-dirmngr",
    "--no-auto-key-retrieve", "--no-auto-key-import", "--trust-model", "always",
    "--no-auto-check-trustdb", "--enable-special-filenames",
)  # fmt: skip

#: Status lines that forbid to believe a signature, the weightiest first.
_REASONS = (
    (b"REVKEYSIG", reasons.KEY_REVOKED),
    (b"EXPKEYSIG", reasons.KEY_EXPIRED),
    (b"EXPSIG", reasons.SIGNATURE_EXPIRED),
    (b"BADSIG", reasons.SIGNATURE_MISMATCH),
    (b"ERROR", reasons.GPG_FAILED),
    (b"NO_PUBKEY", reasons.KEY_UNKNOWN),
    (b"ERRSIG", reasons.BAD_FIELD),
    (b"NODATA", reasons.BAD_FIELD),
    (b"UNEXPECTED", reasons.BAD_FIELD),
)
_FINGERPRINT = re.compile(rb"[0-9A-F]{40}|[0-9A-F]{64}")


class GpgBinaryError(FedmsgError):
    """gpg failed, found no good signature, or did not end in time; ``args`` is its output."""

    def __init__(self, errors: bytes) -> None:
        super().__init__(errors)

    def __str__(self) -> str:
        return self.args[0].decode("utf-8", "backslashreplace").strip()  # type: ignore[no-any-return]


class Result(NamedTuple):
    """What is left of a process."""

    code: int
    output: bytes
    errors: bytes


def is_one_signature(blob: bytes) -> bool:
    """Return whether bytes are one OpenPGP signature packet and nothing else (RFC 4880, 4.2).

    gpg itself would take several signatures, armour, and compressed data of any size.
    """
    if len(blob) < 6:
        return False
    tag, first = blob[0], blob[1]
    if tag in (0x88, 0x89, 0x8A):  # old format, with a length of 1, 2 or 4 bytes
        size = 1 << (tag & 3)
        length = int.from_bytes(blob[1 : 1 + size], "big")
    elif tag != 0xC2 or 224 <= first < 255:  # not a signature, or in pieces
        return False
    elif first < 192:
        size, length = 1, first
    elif first < 224:
        size, length = 2, ((first - 192) << 8) + blob[2] + 192
    else:
        size, length = 5, int.from_bytes(blob[2:6], "big")
    return len(blob) == 1 + size + length


def judge(result: Result) -> Verdict:
    """Return what the status lines of gpg say; valid only for exactly one good signature."""
    # Only a line feed ends a line: user ids in them may have any other separator of Unicode.
    lines = [line.split(b" ") for line in result.output.split(b"\n")]
    status = [words[1:] for words in lines if words[0] == b"[GNUPG:]" and len(words) > 1]
    keywords = [words[0] for words in status]
    valid = [words for words in status if words[0] == b"VALIDSIG"]
    signer = _primary(valid[0]) if len(valid) == 1 else None
    for keyword, reason in _REASONS:
        if keyword in keywords:
            return rejected(reason, signer)
    once = all(keywords.count(keyword) == 1 for keyword in (b"NEWSIG", b"GOODSIG", b"VALIDSIG"))
    if result.code or not once or signer is None:
        return rejected(reasons.GPG_FAILED)
    return Verdict(True, signer)


def _primary(words: Sequence[bytes]) -> str | None:
    """Return the fingerprint of the primary key in a VALIDSIG line (GnuPG, doc/DETAILS)."""
    if len(words) < 11 or words[9] not in (b"00", b"01"):  # of a document, binary or text
        return None
    return words[10].decode() if _FINGERPRINT.fullmatch(words[10]) else None


def verify(
    homedir: str, data: bytes, signature: bytes | None, arguments: Sequence[str] = ()
) -> Result:
    """Run gpg on data and a detached signature of it, or on a signed document; see :func:`run`."""
    arguments = [*arguments, "--status-fd", "1", "--verify"]
    if signature is None:
        return run(homedir, [*arguments, "-"], data)
    with tempfile.TemporaryFile() as file:  # it has no name
        file.write(signature)
        file.seek(0)
        number = file.fileno()
        return run(homedir, [*arguments, "--", f"-&{number}", "-"], data, (number,))


def run(
    homedir: str, arguments: Sequence[str], data: bytes, descriptors: Sequence[int] = ()
) -> Result:
    """Run gpg in a session of its own, so that it has no terminal and ends with what it started.

    Args:
        homedir: home directory of gpg; ``~`` is expanded.
        arguments: what follows the options that every run has.
        data: standard input.
        descriptors: what the process inherits besides its standard streams.

    Raises:
        GpgBinaryError: it did not end in time.
        MissingDependency: it is not installed.
        OSError: the system cannot start a process.
    """
    home = os.path.abspath(os.path.expanduser(homedir))
    try:
        process = subprocess.Popen(
            ["gpg", "--homedir", home, *_OPTIONS, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"}, pass_fds=descriptors, start_new_session=True,
        )  # fmt: skip
    except (FileNotFoundError, PermissionError) as error:
        raise MissingDependency("'gpg' is not on PATH: install GnuPG 2.2.20 or newer") from error
    with process:
        try:
            output, errors = process.communicate(data, timeout=_TIMEOUT)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                text = f"gpg did not end within {_TIMEOUT:g} s"
                raise GpgBinaryError(text.encode()) from error
            raise
    return Result(process.returncode, output, errors)
