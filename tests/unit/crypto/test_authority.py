"""The authority for development: what it writes, and what it refuses."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from openssl_parts import openssl, verify

from fedmsg.crypto import authority
from fedmsg.exceptions import ConfigurationError, FedmsgError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A directory with the certificates a and b; copy it before you change it."""
    folder = tmp_path_factory.mktemp("authority")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(authority, "KEY_SIZE", 1024)
        old = os.umask(0o022)
        authority.create(folder, ["a", "b"], days=3)
        os.umask(old)
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    """A copy of that directory, in which keys are made fast."""
    monkeypatch.setattr(authority, "KEY_SIZE", 1024)
    shutil.copytree(made, tmp_path / "keys")
    return tmp_path / "keys"


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def crl(folder: Path) -> x509.CertificateRevocationList:
    return x509.load_pem_x509_crl((folder / "crl.pem").read_bytes())


def test_layout(made):
    """The directory has the files that ssldir has, and the authority's key; nothing else."""
    names = {"ca.crt", "ca.key", "crl.pem", "a.crt", "a.key", "b.crt", "b.key"}
    assert set(snapshot(made)) == names
    assert authority.issued(made) == ["a", "b"]


def test_openssl_accepts_it(made):
    """The certificates verify, with the revocation list."""
    assert verify(made, "a").endswith("a.crt: OK\n")
    assert verify(made, "b").endswith("b.crt: OK\n")


def test_key_and_certificate_belong_together(made):
    """Key and certificate of a name have the same public key, and the name is the only one."""
    for name in ("a", "b", "ca"):
        of_key = openssl("pkey", "-in", made / f"{name}.key", "-pubout").stdout
        of_certificate = openssl("x509", "-in", made / f"{name}.crt", "-noout", "-pubkey").stdout
        assert of_key == of_certificate != ""
    subject = certificate(made / "a.crt").subject
    assert [(each.oid, each.value) for each in subject] == [(x509.NameOID.COMMON_NAME, "a")]


def test_a_service_cannot_issue(made):
    """The authority may sign certificates, one level deep; a service may not."""
    limits = x509.BasicConstraints
    [ca, a] = [certificate(made / name).extensions for name in ("ca.crt", "a.crt")]
    assert ca.get_extension_for_class(limits).value == limits(ca=True, path_length=0)
    assert a.get_extension_for_class(limits).value == limits(ca=False, path_length=None)
    assert ca.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    assert not a.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_validity(made):
    """Everything is valid for the days asked for, the list included, and for late clocks."""
    for name in ("ca.crt", "a.crt"):
        found = certificate(made / name)
        span = found.not_valid_after_utc - found.not_valid_before_utc
        assert timedelta(days=3, minutes=59) <= span <= timedelta(days=3, minutes=61)
    assert crl(made).next_update_utc == certificate(made / "ca.crt").not_valid_after_utc


def test_keys_are_private(made):
    """Nobody else can read the keys, whatever the umask; everybody can read the rest."""
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in made.iterdir()}
    assert {modes[name] for name in modes if name.endswith(".key")} == {0o600}
    assert {modes[name] for name in modes if not name.endswith(".key")} == {0o644}


def test_a_power_cut_leaves_one_list_or_the_other(folder, monkeypatch):
    """The new revocation list is on the disk before it takes the place of the old one."""
    steps = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (steps.append("fsync"), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *paths: (steps.append("replace"), replace(*paths)))
    authority.revoke(folder, ["a"])
    assert steps == ["fsync", "replace"]


def test_keys_are_private_from_the_first_byte(folder, monkeypatch):
    """A key's file is made with its mode; it is not readable in between."""
    seen = {}
    open_file = os.open

    def spy(path, flags, mode=0o777, **more):
        descriptor = open_file(path, flags, mode, **more)
        seen[Path(path).name] = (os.fstat(descriptor).st_mode & 0o777, bool(flags & os.O_EXCL))
        return descriptor

    old = os.umask(0)
    try:
        monkeypatch.setattr(os, "open", spy)
        authority.add(folder, ["c"])
    finally:
        os.umask(old)
    assert seen["c.key"] == (0o600, True)
    assert seen["c.crt"] == (0o644, True)


def test_default_size_of_keys(tmp_path):
    """Keys have 2048 bits unless something else is asked for, which only tests do."""
    authority.create(tmp_path / "new" / "deep", [])
    assert certificate(tmp_path / "new" / "deep" / "ca.crt").public_key().key_size == 2048


@pytest.mark.parametrize("name", ["ca.crt", "ca.key", "crl.pem", "new.crt", "new.key"])
@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_create_overwrites_nothing(folder, tmp_path, name, kind):
    """Any file of that name, or a link, is an error; nothing is written."""
    place = tmp_path / "other"
    place.mkdir()
    if kind == "file":
        (place / name).write_text("mine")
    else:
        (place / name).symlink_to("nowhere")
    with pytest.raises(FedmsgError, match=f"{name} exists"):
        authority.create(place, ["new"])
    assert [path.name for path in place.iterdir()] == [name]
    assert kind == "dangling link" or (place / name).read_text() == "mine"


def test_a_race_leaves_nothing(folder, monkeypatch):
    """If a file appears meanwhile, or the disk is full, what was written is taken away again."""
    before = snapshot(folder)
    monkeypatch.setattr(os.path, "lexists", lambda path: False)
    with pytest.raises(FileExistsError):
        authority.add(folder, ["c", "a"])
    assert snapshot(folder) == before


def test_add(folder):
    """A certificate more verifies, ends with the authority, and changes no other file."""
    before = snapshot(folder)
    authority.add(folder, ["c"], days=1000)
    after = snapshot(folder)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"c.crt", "c.key"}
    assert verify(folder, "c").endswith("c.crt: OK\n")
    ends = [certificate(folder / name).not_valid_after_utc for name in ("c.crt", "ca.crt")]
    assert ends[0] == ends[1]


def test_add_overwrites_nothing(folder):
    """A name that is there is an error, and the other names are not made either."""
    before = snapshot(folder)
    with pytest.raises(FedmsgError, match=r"a\.key exists, nothing was written"):
        authority.add(folder, ["c", "a"])
    assert snapshot(folder) == before


def test_revoke(folder):
    """A revoked certificate does not verify, once the list is there; the others do."""
    authority.revoke(folder, ["a"])
    assert "certificate revoked" in verify(folder, "a")
    assert verify(folder, "b").endswith("b.crt: OK\n")
    assert stat.S_IMODE((folder / "crl.pem").stat().st_mode) == 0o644


def test_revoke_keeps_what_is_revoked(folder):
    """Each list has the entries of the one before, each once, and a higher number."""
    authority.revoke(folder, ["a"])
    first = crl(folder)
    authority.revoke(folder, ["b", "a"])
    second = crl(folder)
    serials = {certificate(folder / f"{name}.crt").serial_number for name in "ab"}
    assert [entry.serial_number for entry in second][:1] == [entry.serial_number for entry in first]
    assert {entry.serial_number for entry in second} == serials
    assert len(list(second)) == 2
    numbers = [
        each.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        for each in (first, second)
    ]
    assert numbers == [2, 3]


def test_revoke_replaces_in_one_step(folder, monkeypatch):
    """When the new list cannot be put in place, the old one is whole and nothing is left over."""
    before = snapshot(folder)

    def fail(*_: object) -> None:
        raise OSError("disk")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk"):
        authority.revoke(folder, ["a"])
    assert snapshot(folder) == before


def test_one_revocation_at_a_time(folder):
    """While another process revokes, it is an error to try again, and nothing is lost."""
    before = snapshot(folder)
    with open(folder / "ca.key", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(FedmsgError, match="try again"):
            authority.revoke(folder, ["a"])
    assert snapshot(folder) == before


@pytest.mark.parametrize("name", ["c", "ca", "../keys/a", ""])
def test_revoke_an_unknown_name(folder, name):
    """A name without certificate is an error that lists the names; nothing is changed."""
    before = snapshot(folder)
    with pytest.raises(FedmsgError, match="has no certificate .*; it has a, b"):
        authority.revoke(folder, ["a", name])
    assert snapshot(folder) == before


@pytest.mark.parametrize("call", [authority.add, authority.revoke])
def test_no_authority(tmp_path, call):
    """Where there is no authority the error says so."""
    with pytest.raises(FedmsgError, match="make an authority there"):
        call(tmp_path, ["a"])


@pytest.mark.parametrize("name", ["ca.key", "ca.crt"])
def test_unreadable_authority(folder, name):
    """Files that are no PEM are named."""
    (folder / name).write_text("x")
    with pytest.raises(FedmsgError, match="unreadable"):
        authority.add(folder, ["c"])


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "-x", ".x", "a b", "a\n", "ä", "x" * 65, "ca", "crl", "a\0"]
)
@pytest.mark.parametrize("call", [authority.create, authority.add])
def test_names_that_are_no_file_names(tmp_path, call, name):
    """Such a name is a ValueError that shows it, and nothing is made."""
    with pytest.raises(ConfigurationError, match="cannot be the name") as caught:
        call(tmp_path / "new", ["good", name])
    assert repr(name) in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_longest_name(folder):
    """A common name of 64 characters is possible."""
    authority.add(folder, ["x" * 64])
    assert verify(folder, "x" * 64).endswith(".crt: OK\n")


@pytest.mark.parametrize(
    ("names", "days", "text"),
    [(["a", "a"], 1, "given twice"), (["a"], 0, "0 days"), (["a"], 36501, "36501 days")],
)
def test_other_wrong_input(tmp_path, names, days, text):
    """A name given twice, and days that make no sense."""
    with pytest.raises(ConfigurationError, match=text):
        authority.create(tmp_path / "new", names, days)
