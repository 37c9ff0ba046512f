"""The openssl command, which judges what we make."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def openssl(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run openssl; without it, skip on a laptop and fail in CI."""
    if shutil.which("openssl") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("openssl is not installed: apt-get install openssl")
        pytest.skip("openssl is not installed")
    words = ["openssl", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=50, cwd=cwd)


def verify(folder: Path, name: str) -> str:
    """Return what ``openssl verify -crl_check`` says of a certificate in a directory."""
    trust = ("-CAfile", folder / "ca.crt", "-CRLfile", folder / "crl.pem")
    done = openssl("verify", "-crl_check", *trust, folder / f"{name}.crt")
    return done.stdout + done.stderr
