"""Topics, envelopes and decoding."""

from __future__ import annotations

import json
import uuid

import pytest

from fedmsg import envelope
from fedmsg.exceptions import FrameError

PREFIX, ENVIRONMENT = "org.fedoraproject", "dev"
NEW_YEAR = 1798761600  # 2027-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("modname", "topic", "full"),
    [
        ("mod", "a.b", "org.fedoraproject.dev.mod.a.b"),
        (
            "mod",
            "org.fedoraproject.dev.q.z",
            "org.fedoraproject.dev.mod.org.fedoraproject.dev.q.z",
        ),
        ("org.fedoraproject.prod.q", "z", "org.fedoraproject.prod.q.z"),
        ("org.fedoraprojectX", "z", "org.fedoraproject.dev.org.fedoraprojectX.z"),
        ("org.fedoraproject", "z", "org.fedoraproject.z"),
        ("mod", "unspecified", "org.fedoraproject.dev.mod.unspecified"),
        ("mód", "日本", "org.fedoraproject.dev.mód.日本"),
    ],
)
def test_topic(modname: str, topic: str, full: str) -> None:
    """The prefix is put before what does not begin with it, up to a dot."""
    assert envelope.build_topic(topic, modname, PREFIX, ENVIRONMENT) == full


def test_envelope_has_exactly_these_fields() -> None:
    """What every receiver of the bus expects (wire.md 2)."""
    assert envelope.build("t", {"a": 1}, 7, 1795435120, "uuid", "me") == {
        "topic": "t",
        "msg": {"a": 1},
        "timestamp": 1795435120,
        "msg_id": "2026-uuid",
        "i": 7,
        "username": "me",
    }


@pytest.mark.parametrize(("now", "year"), [(NEW_YEAR - 1, "2026"), (NEW_YEAR, "2027"), (0, "1970")])
def test_year_is_that_of_utc(now: int, year: str) -> None:
    """In any order of calls, so that the one kept from before does not matter."""
    assert envelope.build("t", {}, 1, now, "u", "me")["msg_id"] == f"{year}-u"


@pytest.mark.parametrize("hours", [-24, -12, -1, 0, 1, 12])
@pytest.mark.parametrize("step", [-1, 1])
def test_year_turns_at_midnight(hours: int, step: int) -> None:
    """The last second of a year and the first of the next, whatever was published before."""
    seconds = [(NEW_YEAR - 1, "2026"), (NEW_YEAR, "2027")][::step]
    for now, year in [(NEW_YEAR + hours * 3600, "2026" if hours < 0 else "2027"), *seconds]:
        assert envelope.build("t", {}, 1, now, "u", "me")["msg_id"] == f"{year}-u"


@pytest.mark.parametrize("raw", [bytes(16), b"\xff" * 16, bytes(range(16))])
def test_uuid_is_of_version_4(raw: bytes) -> None:
    """Lower case, hyphens, version and variant bits set (RFC 9562)."""
    text = envelope.uuid4(raw)
    assert text == str(uuid.UUID(bytes=raw, version=4))


def test_decode_accepts_any_spelling_of_json() -> None:
    """Relays of 1.1.7 re-encode bodies with blanks and in their own order."""
    body = b' { "topic" : "t", "b" : 1, "a" : "\xc3\xbc" } \n'
    assert envelope.decode([b"t", body]) == ("t", {"topic": "t", "b": 1, "a": "ü"})


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], envelope.FRAME_COUNT),
        ([b"t"], envelope.FRAME_COUNT),
        ([b"t", b"{}", b""], envelope.FRAME_COUNT),
        ([b"\xff", b"{}"], envelope.BAD_TOPIC_UTF8),
        ([b"t\n", b"{}"], envelope.CONTROL_CHARACTERS),
        ([b"\x1b[2J", b"{}"], envelope.CONTROL_CHARACTERS),
        (["t\x85".encode(), b"{}"], envelope.CONTROL_CHARACTERS),
        ([b"t", b'{"a": "\xff"}'], envelope.BAD_BODY_UTF8),
        ([b"t", b""], envelope.BAD_JSON),
        ([b"t", b"{"], envelope.BAD_JSON),
        ([b"t", b'{"a": 1} {}'], envelope.BAD_JSON),
        ([b"t", b'{"a": 1' + b"1" * 5000 + b"}"], envelope.BAD_JSON),
        ([b"t", "{}".encode("utf-16")], envelope.BAD_BODY_UTF8),
        ([b"t", b"[" * 200_000], envelope.TOO_DEEP),
        ([b"t", b'{"a":' * 200_000], envelope.TOO_DEEP),
        *(([b"t", json.dumps(value).encode()], envelope.NOT_AN_OBJECT) for value in
          ([], 1, "x", None, True)),
    ],
)  # fmt: skip
def test_rejection_has_a_reason(frames: list[bytes], reason: str) -> None:
    """Each is counted under its own."""
    with pytest.raises(FrameError) as caught:
        envelope.decode(frames)
    assert caught.value.reason == reason


@pytest.mark.parametrize("frames", [[b"t", b'{"a": 1}'], [b"t" * 9, b"{}"]])
def test_size_is_checked_before_anything_is_decoded(frames: list[bytes]) -> None:
    """Of both frames."""
    with pytest.raises(FrameError) as caught:
        envelope.decode(frames, max_size=7)
    assert caught.value.reason == envelope.TOO_LARGE


def test_a_frame_as_large_as_the_limit_is_accepted() -> None:
    """Either of them: the limit is the largest accepted size."""
    assert envelope.decode([b"t" * 8, b'{"a": 1}'], max_size=8) == ("t" * 8, {"a": 1})


@pytest.mark.parametrize("topic", ["a\u00a0b", "a\u200bb", "a\ue000b", "\U000e0001"])
def test_topic_may_have_blanks_and_marks(topic: str) -> None:
    """Only C0 and C1 control characters are refused, not all that has no glyph."""
    assert envelope.decode([topic.encode(), b"{}"]) == (topic, {})


def test_size_zero_is_any() -> None:
    """As everywhere in the configuration."""
    assert envelope.decode([b"t", b'{"a": 1}'], max_size=0)[0] == "t"
