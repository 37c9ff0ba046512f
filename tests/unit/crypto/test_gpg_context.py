"""The class Context, which applications of 1.1.7 used for files and keyrings of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from gpg_parts import gpg as run_gpg

from fedmsg.crypto import gpg

DATA = "grüße\n"


@pytest.fixture
def context(gpg_keys):
    """A context with the public keys."""
    return gpg.Context(homedir=str(gpg_keys.public))


@pytest.fixture
def signer(gpg_keys):
    """A context with the secret keys."""
    return gpg.Context(homedir=str(gpg_keys.home))


def test_defaults(monkeypatch):
    """Without arguments: no keyring, and the home directory of the user."""
    context = gpg.Context()
    assert context.keyrings == []
    assert context.homedir == str(Path("~/.gnupg/").expanduser()) + "/"


def test_keyrings_come_in_order():
    """The context's own keyrings come first, then those of the call; a given list is copied."""
    given = ["a"]
    context = gpg.Context(keyrings=given)
    given.append("x")
    assert context._get_keyrings_cl(None) == ["--keyring", "a"]
    assert context._get_keyrings_cl(["b", "c"]) == [
        "--keyring", "a", "--keyring", "b", "--keyring", "c"
    ]  # fmt: skip


@pytest.mark.parametrize("data", [DATA, DATA.encode(), b"\x00\xff\r\n", ""])
def test_detached(context, signer, gpg_keys, data):
    """A detached signature of text or bytes is bytes and verifies."""
    signature = signer.sign(data, gpg_keys.fingerprints["good"])
    assert isinstance(signature, bytes)
    assert context.verify(data, signature) is True


def test_clear_signed(context, signer):
    """A clear-signed document holds the text and verifies by itself."""
    document = signer.clearsign(DATA, "good@x")
    assert DATA.encode() in document
    assert context.verify(document) is True


def test_inline(context, gpg_keys):
    """A document with its signature inside verifies by itself."""
    document = run_gpg(gpg_keys.home, "--local-user", "good@x", "--sign", data=DATA.encode())
    assert context.verify(document) is True


def test_home_of_the_call(gpg_keys):
    """The home directory of a call takes the place of the context's."""
    context = gpg.Context(homedir=str(gpg_keys.public / "none"))
    signature = context.sign(DATA, "good@x", homedir=str(gpg_keys.home))
    assert context.verify(DATA, signature, homedir=str(gpg_keys.public))
    with pytest.raises(gpg.GpgBinaryError):
        context.verify(DATA, signature)


def test_additional_keyring(context, gpg_keys, tmp_path):
    """A key that is only in an additional keyring is known when that is given."""
    ring = tmp_path / "ring.gpg"
    ring.write_bytes(run_gpg(gpg_keys.home, "--export", "stranger@x"))
    signature = gpg_keys.signature(DATA.encode(), "stranger")
    with pytest.raises(gpg.GpgBinaryError, match="No public key"):
        context.verify(DATA, signature)
    assert context.verify(DATA, signature, keyrings=[str(ring)])
    both = gpg.Context([str(ring)], context.homedir)
    assert both.verify(DATA, signature)


@pytest.mark.parametrize("name", ["expired", "revoked", "stranger"])
def test_bad_keys(context, gpg_keys, name):
    """A signature by a key that does not count is an error."""
    options = ["--faked-system-time", "20200101T000000"] if name == "expired" else []
    with pytest.raises(gpg.GpgBinaryError):
        context.verify(DATA, gpg_keys.signature(DATA.encode(), name, *options))


@pytest.mark.parametrize("signature", [b"", b"rubbish", b"\x88\x00"])
def test_corrupt_signature(context, signature):
    """A corrupt detached signature is an error with gpg's words as bytes."""
    with pytest.raises(gpg.GpgBinaryError) as caught:
        context.verify(DATA, signature)
    assert b"gpg: " in caught.value.args[0]


def test_wrong_data(context, signer):
    """Other data, or data that is not signed, is an error."""
    with pytest.raises(gpg.GpgBinaryError, match="BAD signature"):
        context.verify("other", signer.sign(DATA, "good@x"))
    with pytest.raises(gpg.GpgBinaryError):
        context.verify(DATA)


@pytest.mark.parametrize("name", ["plain", "-x", "--output", "-&0", "-", "a b;c"])
def test_files(context, signer, name):
    """Files verify under every name; none is taken for an option or for a descriptor."""
    Path(name).write_bytes(DATA.encode())
    Path(f"{name}.sig").write_bytes(signer.sign(DATA, "good@x"))
    Path(f"{name}.asc").write_bytes(signer.clearsign(DATA, "good@x"))
    assert context.verify_from_file(name, f"{name}.sig") is True
    assert context.verify_from_file(f"{name}.asc") is True
    Path(name).write_bytes(b"other")
    with pytest.raises(gpg.GpgBinaryError):
        context.verify_from_file(name, f"{name}.sig")


def test_missing_file(context):
    """A file that does not exist is an error that names it."""
    with pytest.raises(gpg.GpgBinaryError, match="none"):
        context.verify_from_file("none", "none.sig")
