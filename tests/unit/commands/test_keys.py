"""fedmsg-keys."""

from __future__ import annotations

import shutil
import socket
import sys
from pathlib import Path

import pytest
from openssl_parts import verify

import fedmsg.config
from fedmsg.commands.keys import keys
from fedmsg.crypto import authority

HOST = socket.gethostname().partition(".")[0]
SHELL = f"shell.{HOST}"


@pytest.fixture(autouse=True)
def small_keys(monkeypatch):
    """Keys are made fast, and the command has its name."""
    monkeypatch.setattr(authority, "KEY_SIZE", 1024)
    monkeypatch.setattr(sys, "argv", ["/usr/bin/fedmsg-keys"])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A directory as the command makes it, with the certificate a."""
    folder = tmp_path_factory.mktemp("keys")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(authority, "KEY_SIZE", 1024)
        authority.create(folder, ["a"])
    return folder


@pytest.fixture
def existing(made):
    """A copy of it, named keys."""
    shutil.copytree(made, "keys")
    return Path("keys")


def snapshot() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def test_one_step(capsys):
    """Without options: an authority, and the certificate that the commands sign with."""
    assert keys(["keys"]) is None
    assert authority.issued("keys") == [SHELL]
    assert verify(Path("keys"), SHELL).endswith(": OK\n")
    assert "for development only" in capsys.readouterr().err


@pytest.mark.filterwarnings('ignore:Using "load_config":DeprecationWarning')
def test_printed_lines_are_a_configuration_file(capsys):
    """Standard output is a file for fedmsg.d that names what was made, and is valid."""
    keys(["keys", "--name", SHELL, "--name", "it"])
    Path("ssl.py").write_text(capsys.readouterr().out)
    Path("ssl.py").chmod(0o644)
    Path("bus.py").write_text("config = {'endpoints': {}}")
    Path("bus.py").chmod(0o644)
    loaded = fedmsg.config.load_config(filenames=["ssl.py", "bus.py"])
    assert loaded["sign_messages"] is loaded["validate_signatures"] is True
    assert loaded["certnames"] == {SHELL: SHELL, "it": "it"}
    for key in ("ssldir", "ca_cert_location", "crl_location"):
        assert Path(loaded[key]).is_absolute()
        assert Path(loaded[key]).exists()
    assert Path(loaded["ssldir"], f"{loaded['certnames'][SHELL]}.key").exists()
    settings = fedmsg.config.FedmsgConfig()
    settings.load_config(settings={key: loaded[key] for key in ("ssldir", "certnames")})


def test_names_and_a_revoked_one(capsys):
    """Good and bad certificates are made in one step."""
    assert keys(["keys", "--name", "good", "--name", "bad", "--revoke", "bad"]) is None
    assert verify(Path("keys"), "good").endswith(": OK\n")
    assert "certificate revoked" in verify(Path("keys"), "bad")
    assert "revoked: bad\n" in capsys.readouterr().err


def test_add_and_revoke(existing, capsys):
    """A certificate is added to what is there, another revoked; the printed lines name both."""
    assert keys(["keys", "--add", "b", "--revoke", "a", "--days", "2"]) is None
    assert verify(existing, "b").endswith(": OK\n")
    assert "certificate revoked" in verify(existing, "a")
    assert "'a': 'a',\n        'b': 'b',\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "has an authority: use --add NAME or --revoke NAME"),
        (["--name", "b"], "has an authority: use --add NAME or --revoke NAME"),
        (["--name", "b", "--add", "c"], "has an authority"),
        (["--add", "a"], "a.key exists, nothing was written"),
        (["--add", "b", "--add", "a"], "a.key exists, nothing was written"),
        (["--revoke", "b"], "has no certificate for --revoke b"),
        (["--add", "b", "--revoke", "c"], "has no certificate for --revoke c"),
        (["--add", "../x"], "'../x' cannot be the name of a certificate"),
        (["--add", "b", "--days", "0"], "0 days is not possible"),
    ],
)
def test_refused(existing, capsys, arguments, text):
    """One line on standard error, status 1, nothing printed to paste, and no file changed."""
    before = snapshot()
    assert keys(["keys", *arguments]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("fedmsg-keys: ")
    assert output.err.count("\n") == 1
    assert text in output.err
    assert snapshot() == before


def test_add_without_authority(capsys):
    """There must be an authority to add to."""
    assert keys(["keys", "--add", "b"]) == 1
    assert "keys has no ca.key and ca.crt" in capsys.readouterr().err
    assert not Path("keys").exists()


def test_revoke_without_authority(capsys):
    """What is to be revoked must be made, or be there; else nothing is made."""
    assert keys(["keys", "--revoke", "b"]) == 1
    assert "has no certificate for --revoke b" in capsys.readouterr().err
    assert not Path("keys").exists()


def test_directory_that_cannot_be_made(capsys):
    """A file in its place is one line on standard error."""
    Path("keys").write_text("")
    assert keys(["keys"]) == 1
    assert "File exists: '" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["keys", "--days", "x"], ["keys", "more"], ["--zzz"]])
def test_usage(arguments):
    """A wrong command line is status 2."""
    with pytest.raises(SystemExit) as caught:
        keys(arguments)
    assert caught.value.code == 2


def test_without_cryptography(monkeypatch, capsys):
    """The extra is named where cryptography is not installed."""
    monkeypatch.setitem(sys.modules, "cryptography", None)
    assert keys(["keys"]) == 1
    assert "pip install '.[crypto]'" in capsys.readouterr().err
    assert not Path("keys").exists()


def test_console_script(command):
    """The installed command does it, and explains itself."""
    done = command("fedmsg-keys", "keys", "--name", "a")
    assert done.wait() == 0, done.stderr
    assert done.stdout.startswith('"""Signatures, for development only')
    assert authority.issued("keys") == ["a"]
    shown = command("fedmsg-keys", "--help")
    assert shown.wait() == 0
    assert "for development" in shown.stdout
