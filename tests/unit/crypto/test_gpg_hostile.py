"""What a hostile message can do to a check with gpg: nothing."""

from __future__ import annotations

import base64
import bz2
import os
import re
import struct

import pytest
from gpg_parts import Keys, gpgconf, text
from gpg_parts import gpg as run_gpg
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fedmsg import encoding
from fedmsg.crypto import _gpg, gpg, verdict

DATA = encoding.dumps({"text": "grüße"}).encode()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["topic", "msg", "crypto", "signature", "certificate", "i", "timestamp"]
FEW = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def check(gpg_keys: Keys, message: object, **config: object) -> verdict.Verdict:
    return gpg.check(message, gpg_home=str(gpg_keys.public), **config)


@pytest.fixture(scope="module")
def signed(gpg_keys: Keys) -> dict:
    return gpg_keys.message()


@FEW
@given(st.sampled_from(FIELDS), JSON)
@example("msg", "\ud800")
@example("signature", "\ud800")
@example("signature", "é")
@example("topic", "\ud800")
@example("topic", {})
def test_any_field_may_be_anything(gpg_keys, signed, name, value):
    """Whatever JSON a field is, the result is a verdict; never valid with another msg."""
    found = check(gpg_keys, {**signed, name: value}, routing_policy={"x": []})
    assert bool(found.reason) is not found.valid
    if name in ("msg", "signature"):
        assert not found


@FEW
@given(JSON)
def test_any_message(gpg_keys, message):
    """Whatever JSON a message is, the result is a refusal."""
    assert not check(gpg_keys, message)


@FEW
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_changed_byte(gpg_keys, signed, place, change):
    """A signature with one byte changed is refused, or is the same signature to gpg."""
    blob = bytearray(base64.b64decode(signed["signature"]))
    blob[place % len(blob)] ^= change
    found = check(gpg_keys, {**signed, "signature": text(blob)})
    # What is not hashed, such as the hint at the key, may change without harm.
    assert not found or found.signer == gpg_keys.fingerprints["good"]


@FEW
@given(st.binary(max_size=300))
@example(b"\xc2\xff\xff\xff\xff\xff")
def test_any_bytes(gpg_keys, signed, blob):
    """Bytes that are no signature are refused."""
    assert not check(gpg_keys, {**signed, "signature": text(blob)})


LONG = text(b"\xc2\xff" + struct.pack(">I", 70000) + bytes(70000))


@pytest.mark.parametrize(
    "signature", ["", " ", "=", "thisisnotmysignature", "A===", "€", "x" * 10**7, LONG]
)
def test_unreadable_signature(signature, monkeypatch, tmp_path):
    """An empty, a meaningless, and a huge text are refused without starting gpg."""
    monkeypatch.setenv("PATH", str(tmp_path))
    found = gpg.check({"msg": {}, "signature": signature}, gpg_home="x")
    assert found.reason == verdict.BAD_FIELD


def nested(depth: int) -> list:
    inner: list = []
    for _ in range(depth):
        inner = [inner]
    return inner


@pytest.mark.parametrize("msg", [object(), nested(50_000), {1: 1, "1": 2}, "\ud800"])
def test_msg_without_canonical_form(gpg_keys, signed, msg):
    """What cannot be encoded, or has another form than what was signed, is refused."""
    assert check(gpg_keys, {**signed, "msg": msg}).reason in (
        verdict.NOT_A_MESSAGE, verdict.SIGNATURE_MISMATCH
    )  # fmt: skip


def forms(keys: Keys) -> dict[str, bytes]:
    """Return what gpg itself would verify, and what it would unpack, but is no single signature."""
    user = ("--local-user", "good@x")
    good = keys.signature(DATA, "good")
    inline = run_gpg(keys.home, *user, "--sign", data=DATA)
    packet = b"\xc8\xff" + struct.pack(">I", len(bz2.compress(good)) + 1) + b"\x03"
    return {
        "clear-signed": run_gpg(keys.home, *user, "--clearsign", data=DATA),
        "inline": inline,
        "inline, not compressed": run_gpg(keys.home, *user, "-z0", "--sign", data=DATA),
        "armoured": run_gpg(keys.home, *user, "--armor", "--detach-sign", data=DATA),
        "twice": good + good,
        "two signers": good + keys.signature(DATA, "other"),
        "known and unknown signer": good + keys.signature(DATA, "stranger"),
        "signature and document": good + inline,
        "signature and rubbish": good + b"x",
        "compressed": packet + bz2.compress(good),
        "cut off": good[:-1],
        "key": run_gpg(keys.home, "--export", "good@x"),
        "secret key": b"\x95" + good[1:],
    }


def test_blobs_that_are_not_one_signature(gpg_keys, signed):
    """Signed documents, several signatures and packed ones are refused before gpg sees them."""
    for name, blob in forms(gpg_keys).items():
        found = check(gpg_keys, {**signed, "signature": text(blob)})
        assert (name, found.reason) == (name, verdict.BAD_FIELD)


def test_gpg_says_no_without_our_look_at_the_packets(gpg_keys, signed, monkeypatch):
    """Were the look at the packets missing, none of them would be valid for another message."""
    monkeypatch.setattr(gpg, "is_one_signature", bool)
    for name, blob in forms(gpg_keys).items():
        other = {**signed, "msg": {"text": "other"}, "signature": text(blob)}
        assert (name, check(gpg_keys, other).valid) == (name, False)
        if name not in ("armoured", "compressed", "signature and rubbish"):  # one, in another dress
            same = check(gpg_keys, {**signed, "signature": text(blob)})
            assert (name, same.valid) == (name, False)


@pytest.mark.parametrize("size", [10, 191, 192, 500, 8383, 8384, 70000])
def test_packet_lengths(size):
    """Every form of a packet's length is understood, and must fit the bytes that are there."""
    body = bytes(size)
    headers = [b"\x8a" + struct.pack(">I", size), b"\xc2\xff" + struct.pack(">I", size)]
    if size < 65536:
        headers.append(b"\x89" + struct.pack(">H", size))
    if size < 256:
        headers.append(b"\x88" + bytes([size]))
    if size < 192:
        headers.append(b"\xc2" + bytes([size]))
    elif size < 8384:
        headers.append(b"\xc2" + bytes([192 + ((size - 192) >> 8), (size - 192) & 255]))
    for header in headers:
        assert _gpg.is_one_signature(header + body)
        assert not _gpg.is_one_signature(header + body + b"\0")
        assert not _gpg.is_one_signature(header + body[1:])


def test_key_in_the_signature_is_not_taken(gpg_keys, signed):
    """A stranger's signature that brings its key along does not get it into the keyring."""
    blob = gpg_keys.signature(DATA, "stranger", "--include-key-block")
    conf = gpg_keys.public / "gpg.conf"
    conf.write_text("auto-key-import\nauto-key-retrieve\n")
    try:
        for _ in range(2):
            found = check(gpg_keys, {**signed, "signature": text(blob)})
            assert found.reason == verdict.KEY_UNKNOWN
    finally:
        conf.unlink()


def test_names_in_messages_are_never_arguments(gpg_keys, signed, monkeypatch, tmp_path):
    """The arguments of gpg are the same whatever the message is."""
    script = tmp_path / "gpg"
    script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {tmp_path}/arguments\n')
    script.chmod(0o755)
    blob = gpg_keys.signature(b"x", "other")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    check(gpg_keys, signed)
    hostile = dict.fromkeys(signed, "--output=/etc/passwd")
    check(gpg_keys, {**hostile, "signature": text(blob)})
    seen = re.sub(r"-&\d+", "-&N", (tmp_path / "arguments").read_text())
    half = len(seen) // 2
    assert seen[:half] == seen[half:]
    assert seen.endswith("--verify\n--\n-&N\n-\n")


def test_checking_leaves_the_directory_alone(gpg_keys, signed):
    """A check writes nothing, starts no agent and no other server."""
    gpgconf(gpg_keys.public)
    before = {path: path.stat().st_mtime_ns for path in gpg_keys.public.rglob("*")}
    assert check(gpg_keys, signed)
    assert not check(gpg_keys, gpg_keys.message("stranger"))
    assert {path: path.stat().st_mtime_ns for path in gpg_keys.public.rglob("*")} == before
    assert [line for line in gpg_keys.agents() if str(gpg_keys.public) in line] == []
