"""Hostile inputs from a seed: half well-formed with other values in them, half with other bytes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

#: What parsers have stumbled over.
TOKENS = [
    b"\0", b"\n", b"\r\n", b"\xff", b"\xed\xa0\x80", b"\xc2\x9b", b"\x1b[2J", b'"', b"\\", b"{",
    b"}", b"[", b"]", b":", b",", b"NaN", b"-Infinity", b"1e999", b"-0", b"null", b"true",
    b"\\ud800",
    b"\\u0000", b"%s", b"%2F", b"{0}", b"../", b"[" * 70, b'{"a":' * 70, b"9" * 5000, b"A" * 3000,
    "\u202e".encode(), "\u2028".encode(),
]  # fmt: skip
_VALUES = [
    None, True, False, 0, -1, 1.5, 1e308, float("nan"), float("inf"), 2**31, 2**63, -(2**63),
    2**200, "", "a", "x509", "gpg", "\0", "\ud800", "\u202e", "\x1b]0;x\x07",
    "org.fedoraproject.dev.a", "2026-1", [], [[]], {}, {"a": {}}, {"": None}, "A" * 3000,
]  # fmt: skip


def value(r: random.Random, depth: int = 3) -> Any:
    """Return a JSON value of any kind."""
    kind = r.randrange(10) if depth else 0
    if kind == 8:
        return [value(r, depth - 1) for _ in range(r.randrange(4))]
    if kind == 9:
        return {str(value(r, 0))[:20]: value(r, depth - 1) for _ in range(r.randrange(4))}
    if kind == 7:
        return "".join(chr(r.randrange(0xD800)) for _ in range(r.randrange(8)))
    return r.choice(_VALUES)


def changed(r: random.Random, original: Any) -> Any:
    """Return a copy of a JSON value with some of its parts replaced, removed or added."""
    if isinstance(original, dict) and original and r.random() < 0.9:
        copy = dict(original)
        for _ in range(r.choice([1, 1, 1, 2, 3])):
            key = r.choice(list(copy) or [""])
            act = r.randrange(8)
            if act == 0:
                copy.pop(key, None)
            elif act == 1:
                copy[r.choice(["seq_id", "crypto", "topic", str(value(r, 0))[:20]])] = value(r)
            elif act < 5 and isinstance(copy.get(key), (dict, list, str)):
                copy[key] = changed(r, copy[key])
            else:
                copy[key] = value(r)
        return copy
    if isinstance(original, list) and original and r.random() < 0.8:
        copy_of_list = list(original)
        copy_of_list[r.randrange(len(copy_of_list))] = changed(r, r.choice(original))
        return copy_of_list
    if isinstance(original, str) and original and r.random() < 0.6:
        at = r.randrange(len(original))
        return (
            original[:at] + r.choice(["", "\0", "\n", "\x9b", "é", ".", "A"]) + original[at + 1 :]
        )
    return value(r)


def mutated(r: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    """Return data with some bytes changed, removed, repeated, or from elsewhere."""
    changing = bytearray(data)
    for _ in range(r.choice([1, 1, 2, 3, 5])):
        at = r.randrange(len(changing) + 1)
        end = min(len(changing), at + r.choice([1, 1, 2, 8, 60]))
        act = r.randrange(6)
        if act == 0 and at < len(changing):
            changing[at] ^= 1 << r.randrange(8)
        elif act == 1:
            del changing[at:end]
        elif act == 2:
            changing[at:at] = changing[at:end]
        elif act == 3:
            changing[at:end] = r.randbytes(end - at)
        elif act == 4:
            other = r.choice(corpus)
            changing[at:] = other[min(at, len(other)) :]
        else:
            changing[at:at] = r.choice(TOKENS)
    return bytes(changing)


def inputs(
    seed: int, corpus: Sequence[bytes], well_formed: Callable[[random.Random], bytes]
) -> Callable[[], bytes]:
    """Return a function that makes the next input.

    Args:
        seed: the same one makes the same inputs.
        corpus: good inputs.
        well_formed: makes one that a parser can read at least.
    """
    r = random.Random(seed)

    def make() -> bytes:
        if r.random() < 0.5:
            return well_formed(r)
        return mutated(r, r.choice(corpus), corpus)

    return make


def json_bytes(thing: Any) -> bytes:
    """Return JSON as a publisher writes it; lone surrogates are escaped."""
    return json.dumps(thing).encode()
