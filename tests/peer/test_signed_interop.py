"""Signatures together with the released 1.1.7: each accepts what the other signs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peer_parts import OURS, Program, script
from pki import Pki, message

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]

HOST = socket.gethostname().split(".", 1)[0]
MESSAGES = [
    message(),
    message(msg={"text": "grüße \u2028 日本 \U0001f600", "list": [1, 2.5, None, True, "x" * 3000]}),
    message(msg={}, topic="org.fedoraproject.dev.test.thé", username=None),
    message(msg={"nested": {"signature": "s", "certificate": {"z": 1, "a": [[]]}}}, extra=1e300),
]


@pytest.fixture(params=["list", "no list"])
def config(request: pytest.FixtureRequest, pki: Pki) -> dict[str, Any]:
    """Settings that both versions understand, with and without a revocation list."""
    return pki.config if request.param == "list" else {**pki.config, "crl_location": None}


def run(where: str, name: str, *lines: str) -> str:
    """Run a script with one of the two versions and return its output."""
    done = subprocess.run(
        script(where, name), input="\n".join(lines), capture_output=True, check=False, timeout=60,
        encoding="utf-8", env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_both_sign_the_same(peer: str, config: dict[str, Any]) -> None:
    """Byte for byte: the signature is deterministic."""
    lines = json.dumps(config), json.dumps(MESSAGES)
    assert run(peer, "sign.py", *lines) == run(OURS, "sign.py", *lines)


@pytest.mark.parametrize("direction", ["old to new", "new to old"])
def test_both_accept_and_reject_the_same(
    peer: str, config: dict[str, Any], pki: Pki, direction: str
) -> None:
    """Signed by one, checked by the other; edited and revoked ones are refused."""
    signer, checker = (peer, OURS) if direction == "old to new" else (OURS, peer)
    listed = pki.ca.issue("revoked")
    pki.install(listed, "revoked")
    pki.write("crl.pem", pki.ca.crl(listed.certificate))
    revoked = {**config, "certname": "revoked"}
    signed = run(signer, "sign.py", json.dumps(config), json.dumps(MESSAGES)).splitlines()
    edited = [json.dumps({**json.loads(line), "i": 99}) for line in signed]
    spaced = [json.dumps(json.loads(line), indent=None) for line in signed]
    other = run(signer, "sign.py", json.dumps(revoked), json.dumps(MESSAGES[:1])).splitlines()
    found = run(checker, "validate.py", json.dumps(config), *signed, *spaced, *edited, *other)
    expected = [True] * 8 + [False] * 4 + [config["crl_location"] is None]
    assert json.loads(found) == expected


@pytest.mark.parametrize("relay", ["old", "new"])
def test_signed_through_a_relay(
    peer: str, start: Callable[..., Program], settings: dict[str, Any], pki: Pki, tmp_path: Path,
    eventually: Callable[..., Any], relay: str,
) -> None:  # fmt: skip
    """Both loggers sign, either relay forwards, and both tails, validating, show both lines."""
    config = {**pki.config, "certnames": {f"shell.{HOST}": "leaf"}}
    del config["certname"]
    settings = {**settings, **config, "sign_messages": True, "validate_signatures": True}
    folder = tmp_path / "cwd" / "fedmsg.d"
    folder.mkdir()
    path = folder / "bus.py"
    path.write_text(f"config = {settings!r}\n")
    where = {"old": peer, "new": OURS}
    start(os.path.join(where[relay], "fedmsg-relay"), f"--config-filename={path}")
    tails = [start(*script(version, "tail.py"), json.dumps({"mute": True})) for version in
             where.values()]  # fmt: skip

    def logged(version: str) -> bool:
        done = subprocess.run(
            [os.path.join(where[version], "fedmsg-logger"), f"--config-filename={path}",
             f"--message={version}"],
            check=False, timeout=60, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return done.returncode == 0 and all(
            {"log": version} in [body for _, body in tail.received()] for tail in tails
        )

    for version in where:
        eventually(lambda version=version: logged(version), f"a line of the {version} logger", 60)
