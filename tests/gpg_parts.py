"""Real gpg keys for tests: made once, gone with their agent afterwards."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fedmsg import encoding

#: When the keys were made, and when something was signed with them: gpg refuses to sign with a key
#: that was made a second later, and while one is made the clock may go on by one.
PAST, LATER = "20200101T000000", "20200101T010000"
NAMES = ("good", "other", "expired", "revoked", "stranger")


def gpg(home: Path, *arguments: str, data: bytes = b"") -> bytes:
    """Run gpg without questions and return its output."""
    command = ["gpg", "--homedir", str(home), "--batch", "--no-tty", "--quiet", *arguments]
    done = subprocess.run(command, input=data, capture_output=True, timeout=50)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Keys:
    """Two home directories: one with secret keys, one with the public keys that are accepted.

    Attributes:
        home: has the secret keys; of ``locked`` with a passphrase.
        public: has the public keys, but not the stranger's, and knows which are revoked.
        fingerprints: name -> fingerprint.
    """

    def __init__(self, folder: Path) -> None:
        self.home, self.public = folder / "h", folder / "p"
        self.home.mkdir(0o700)
        self.public.mkdir(0o700)
        for name in NAMES:
            self._make(name, "1d" if name == "expired" else "never", "")
        self._make("locked", "never", "passphrase")
        self.restart()  # the agent forgets the passphrase
        listed = gpg(self.home, "--with-colons", "--list-keys").decode()
        found = re.findall(r"^fpr:+([0-9A-F]{40}):\nuid:(?:[^:]*:){8}(\w+) ", listed, re.M)
        self.fingerprints = {name: fingerprint for fingerprint, name in found}
        accepted = [f"{name}@x" for name in NAMES if name != "stranger"]
        gpg(self.public, "--import", data=gpg(self.home, "--export", *accepted))
        self._revoke()

    def _make(self, name: str, until: str, passphrase: str) -> None:
        protection = ("--pinentry-mode", "loopback", "--passphrase", passphrase)
        key = ("--quick-gen-key", f"{name} <{name}@x>", "ed25519", "sign", until)
        gpg(self.home, *protection, "--faked-system-time", PAST, *key)

    def _revoke(self) -> None:
        path = self.home / "openpgp-revocs.d" / f"{self.fingerprints['revoked']}.rev"
        gpg(self.public, "--import", data=path.read_bytes().replace(b"\n:---", b"\n---"))

    def signature(self, data: bytes, name: str, *options: str) -> bytes:
        """Return a detached signature; options such as ``--faked-system-time`` come first."""
        return gpg(self.home, *options, "--local-user", f"{name}@x", "--detach-sign", data=data)

    def message(self, name: str = "good", *options: str, **fields: Any) -> dict[str, Any]:
        """Return a signed message."""
        message = {"topic": "org.example.dev.a", "msg": {"text": "grüße"}, **fields}
        signature = self.signature(encoding.dumps(message["msg"]).encode(), name, *options)
        return {**message, "crypto": "gpg", "signature": text(signature)}

    def restart(self) -> None:
        """End the agent; the next signature starts one that reads its configuration again."""
        gpgconf(self.home)

    def agents(self) -> list[str]:
        """Return the command lines of the processes that run in one of the directories."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:  # it has ended
                continue
            if str(self.home).encode() in words or str(self.public).encode() in words:
                found.append(b" ".join(words).decode())
        return found


def gpgconf(home: Path) -> None:
    """End the agent of a home directory."""
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=True, timeout=50)


def text(signature: bytes) -> str:
    """Return a signature as it is in a message."""
    return base64.b64encode(signature).decode()


@pytest.fixture(scope="session")
def gpg_keys() -> Iterator[Keys]:
    """Keys in a directory with a short path, for the socket of the agent has a limit."""
    if shutil.which("gpg") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("gpg is not installed: apt-get install gnupg")
        pytest.skip("gpg is not installed")
    folder = Path(tempfile.mkdtemp(prefix="fg", dir="/tmp"))
    try:
        yield Keys(folder)
    finally:
        for home in folder.iterdir():
            gpgconf(home)
        shutil.rmtree(folder)
