"""Signing and checking whatever hypothesis, or chance, comes up with."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pki import Pki, message

from fedmsg import crypto, encoding, envelope
from fedmsg.crypto import _fields
from fedmsg.exceptions import FrameError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("x509"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = (*message(), "crypto", "signature", "certificate", "seq_id", "headers", "new")
#: How long mutations go on, seconds; ``make soak`` makes it long.
SECONDS = float(os.environ.get("FEDMSG_TRIAL_SECONDS", "10")) / 2


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """One for all examples."""
    return Pki(tmp_path_factory.mktemp("property") / "pki")


@pytest.fixture(scope="module")
def signed(pki: Pki) -> dict[str, Any]:
    """A good message."""
    return crypto.sign(message(), **pki.config)


def content(given: dict[str, Any]) -> bytes:
    """Return what is signed, but for a number that 1.1.7 adds later."""
    body = _fields.without_credentials(given)
    if type(body.get("seq_id")) is int:
        del body["seq_id"]
    return _fields.canonical(body)


@given(field=st.sampled_from(FIELDS), value=JSON)
@settings(deadline=None, max_examples=300)
def test_any_field_replaced_by_anything(
    pki: Pki, signed: dict[str, Any], field: str, value: Any
) -> None:
    """Nothing raises, and nothing is accepted that was not signed."""
    changed = {**signed, field: value}
    verdicts = [
        crypto.check(changed, **pki.config).valid,
        crypto.check_received(signed["topic"], changed, **pki.config).valid,
        crypto.validate_signed_by(changed, "leaf", **pki.config),
    ]
    assert len(set(verdicts)) == 1
    if verdicts[0]:
        assert content(changed) == content(signed)


@given(given=JSON)
@settings(deadline=None, max_examples=100)
def test_anything_is_checked(pki: Pki, given: Any) -> None:
    """Whatever is in the place of a message, it is rejected without an error."""
    for each in (given, {"crypto": given}, {"signature": given, "certificate": given}):
        assert not crypto.check(each, **pki.config).valid
        assert not crypto.validate_signed_by(each, "leaf", **pki.config)


@given(payload=JSON)
@settings(deadline=None, max_examples=100)
def test_what_is_signed_is_valid(pki: Pki, payload: Any) -> None:
    """For every payload that JSON can hold, after the journey too; the payload is kept."""
    signed = crypto.sign(message(msg=payload), **pki.config)
    received = encoding.loads(encoding.dumps(signed))
    assert crypto.validate(signed, **pki.config)
    assert crypto.validate(received, **pki.config)
    assert encoding.dumps(received["msg"]) == encoding.dumps(payload)


def mutated(rng: random.Random, frame: bytes) -> bytes:
    """Return a frame with one to three bytes changed, inserted, removed or moved."""
    data = bytearray(frame)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data))
        kind = rng.randrange(4)
        if kind == 0:
            data[at] = rng.randrange(256)
        elif kind == 1:
            data.insert(at, rng.choice(b'0123456789abcXYZ"{}[],:\\/+=\n '))
        elif kind == 2:
            del data[at]
        else:
            piece = data[at : at + rng.randint(1, 40)]
            to = rng.randrange(len(data))
            data[to:to] = piece
    return bytes(data)


def memory() -> float:
    """Return what this process holds, in MiB; 0 where that cannot be told."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.trial
@pytest.mark.timeout(SECONDS + 120)
def test_mutated_frames(pki: Pki, signed: dict[str, Any], record_property: Any) -> None:
    """Random changes of a frame: none raises, none changes what is signed and is accepted."""
    frame, good = encoding.dumps(signed).encode(), content(signed)
    rng = random.Random()
    state = rng.getstate()
    until, count, accepted, first = time.monotonic() + SECONDS, 0, 0, 0.0
    while time.monotonic() < until or count < 3000:
        count += 1
        if count == 2000:
            first = memory()
        changed = mutated(rng, frame)
        try:
            _, received = envelope.decode([b"t", changed])
        except FrameError:
            continue
        verdict = crypto.check_received(received.get("topic"), received, **pki.config)
        if verdict.valid:
            accepted += 1
            assert content(received) == good, (changed, state)
    record_property("mutations", count)
    # White space and the ignored characters of base64 may change.
    assert accepted < count / 2
    assert memory() - first < 32
