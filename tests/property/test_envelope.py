"""Decoding for arbitrary bytes, and for every message that can be published."""

from __future__ import annotations

import contextlib

from hypothesis import example, given
from hypothesis import strategies as st

from fedmsg import encoding, envelope
from fedmsg.exceptions import FrameError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
LETTERS = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), min_size=1, max_size=12)


@given(st.lists(st.binary(max_size=60), max_size=4))
@example([b"t", b"{" * 5000])
def test_decode_raises_nothing_but_frame_errors(frames: list[bytes]) -> None:
    """Whatever the bytes, the loop of a subscriber goes on."""
    with contextlib.suppress(FrameError):
        envelope.decode(frames)


@given(LETTERS, JSON)
def test_what_is_published_is_received(topic: str, payload: object) -> None:
    """A message survives the way through frames."""
    message = envelope.build(topic, payload, 1, 0, "u", "me")
    frames = [topic.encode("utf-8"), encoding.dumps(message).encode("ascii")]
    assert envelope.decode(frames) == (topic, message)


@given(LETTERS, LETTERS)
def test_topics_always_begin_with_the_prefix(topic: str, modname: str) -> None:
    """Up to a dot."""
    assert envelope.build_topic(topic, modname, "org.example", "dev").startswith("org.example.")
