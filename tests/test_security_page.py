"""The commands on the page about security, run as they are printed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from gpg_parts import Keys, gpgconf
from openssl_parts import openssl, verify

import fedmsg.crypto
from fedmsg.crypto import gpg

PAGE = Path(__file__).resolve().parents[1] / "docs" / "security.rst"
NAME = "shell-app01.example.com"


def blocks(language: str) -> list[str]:
    """Return the blocks of the page in a language, in order, without their indentation."""
    pattern = rf"^\.\. code-block:: {language}\n(?:   :.*\n)*\n((?:    .*\n|\n)+)"
    found = re.findall(pattern, PAGE.read_text(), re.MULTILINE)
    return [re.sub("^    ", "", block, flags=re.MULTILINE).strip() + "\n" for block in found]


def run(script: str, folder: Path) -> None:
    """Run a script that must not fail."""
    done = subprocess.run(
        ["sh", "-eu"], input=script, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


class Steps:
    """Copies of the CA's directory, one after each block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        scripts = [block for block in blocks("sh") if "gpg" not in block]
        copies = [f'cp -R . "{folder}/{number}"\n' for number in range(len(scripts))]
        script = "".join(block + copy for block, copy in zip(scripts, copies, strict=True))
        run(script, folder)
        self._scripts = scripts

    def after(self, text: str) -> Path:
        """Return the directory after the only block with a text."""
        [number] = [number for number, block in enumerate(self._scripts) if text in block]
        return self._folder / str(number)


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Steps:
    """What the commands for the CA leave after each block."""
    openssl("version")  # or skip
    return Steps(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def issued(steps: Steps) -> Path:
    """The directory with the first certificate."""
    return steps.after("openssl verify")


def test_certificate_is_accepted(issued):
    """The first certificate verifies, with the list."""
    assert verify(issued, NAME) == f"{issued}/{NAME}.crt: OK\n"


def test_keys_are_private(issued):
    """Nobody else can read a key."""
    modes = {path.stat().st_mode & 0o777 for path in issued.glob("*.key")}
    assert modes == {0o600}


def test_service_cannot_issue(issued):
    """The certificate of a service is not one of a CA, and has no other name in its subject."""
    shown = openssl("x509", "-in", issued / f"{NAME}.crt", "-noout", "-text").stdout
    assert "CA:FALSE" in shown
    assert re.search(rf"Subject: CN ?= ?{NAME}$", shown, re.MULTILINE)


def test_new_key(steps, issued):
    """After the rotation old and new certificate verify, and key and certificate are a pair."""
    folder = steps.after('mv "$name.key.new"')
    assert (folder / f"{NAME}.crt").read_text() != (issued / f"{NAME}.crt").read_text()
    assert (folder / f"{NAME}.crt.old").read_text() == (issued / f"{NAME}.crt").read_text()
    assert verify(folder, NAME).endswith(": OK\n")
    of_key = openssl("pkey", "-in", folder / f"{NAME}.key", "-pubout").stdout
    of_certificate = openssl("x509", "-in", folder / f"{NAME}.crt", "-noout", "-pubkey").stdout
    assert of_key == of_certificate != ""
    folder = steps.after('-revoke "$name.crt.old"')
    assert verify(folder, NAME).endswith(": OK\n")
    trust = ("-CAfile", folder / "ca.crt", "-CRLfile", folder / "crl.pem")
    old = openssl("verify", "-crl_check", *trust, folder / f"{NAME}.crt.old")
    assert "certificate revoked" in old.stderr


def test_revoked(steps):
    """After the revocation the certificate does not verify, and the list has grown by it."""
    folder = steps.after('-revoke "$name.crt"')
    assert "certificate revoked" in verify(folder, NAME)
    shown = openssl("crl", "-in", folder / "crl.pem", "-noout", "-text").stdout
    assert shown.count("Serial Number:") == 2


def test_new_certificate_of_the_ca(steps, issued):
    """A renewed CA still vouches for what it issued, and what is revoked stays so."""
    folder = steps.after("-key ca.key")
    assert (folder / "ca.crt").read_text() != (issued / "ca.crt").read_text()
    assert "certificate revoked" in verify(folder, NAME)
    first = openssl("verify", "-CAfile", folder / "ca.crt", issued / f"{NAME}.crt")
    assert first.stdout.endswith(": OK\n")


def test_fedmsg_accepts_what_the_page_makes(steps, issued):
    """Signed with that key, a message is valid; with a list that revokes it, it is not."""
    message = {"topic": "org.example.dev.a", "msg": {"text": "grüße"}}
    signed = fedmsg.crypto.sign(message, ssldir=str(issued), certname=NAME)
    for folder, expected in (
        (issued, True),
        (steps.after('mv "$name.key.new"'), True),
        (steps.after('-revoke "$name.crt.old"'), False),
        (steps.after("-key ca.key"), False),
    ):
        places = {"ca_cert_location": folder / "ca.crt", "crl_location": folder / "crl.pem"}
        config = {"ssldir": str(folder), **{key: str(path) for key, path in places.items()}}
        valid = fedmsg.crypto.validate(signed, crypto_validate_backends=["x509"], **config)
        assert (folder, valid) == (folder, expected)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A directory with a short path, whose agents are ended."""
    folder = Path(tempfile.mkdtemp(prefix="fg", dir="/tmp"))
    yield folder
    for home in folder.glob("*/"):
        gpgconf(home)
    shutil.rmtree(folder)


def test_gpg_commands(gpg_keys: Keys, short_folder):
    """What the commands for gpg make signs and validates, with the key that the page names."""
    [script] = [block for block in blocks("sh") if "gpg" in block]
    run(script + "exit 0\n", short_folder)
    signing, accepted = str(short_folder / "signing"), str(short_folder / "accepted")
    message = {"topic": "a", "msg": {}}
    key = "fedmsg@app01.example.com"
    signed = gpg.sign(message, gpg_home=signing, gpg_signing_key=key)
    assert gpg.check(signed, gpg_home=accepted)
    assert not gpg.check(signed, gpg_home=str(gpg_keys.public))
    assert f'"{key}"' in PAGE.read_text()


def test_python_is_python():
    """The examples of configuration compile, and set options only."""
    from fedmsg import options

    for block in blocks("python"):
        code = compile(block, str(PAGE), "exec")
        if block.startswith("config = "):
            bound: dict = {}
            exec(code, bound)
            assert set(bound["config"]) <= set(options.TABLE)


def test_every_command_is_tested():
    """No command of openssl or gpg is on the page outside the blocks that are run."""
    outside = [line for block in blocks("console") for line in block.splitlines()]
    assert [line for line in outside if re.search(r"\b(openssl|gpg)\b", line)] == []
    assert os.access(PAGE, os.R_OK)
