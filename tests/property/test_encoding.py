"""The canonical form of generated values."""

from __future__ import annotations

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from fedmsg.encoding import dumps, loads, nonfinite_path

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
)


def nested(leaves):
    """Return values of any depth, with text keys."""
    return st.recursive(
        leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
    )


values = nested(scalars)
finite = nested(st.none() | st.booleans() | st.integers() | st.text())


@given(values)
def test_same_as_json(value):
    """dumps is json.dumps with sorted keys and no blanks."""
    assert dumps(value) == json.dumps(value, sort_keys=True, separators=(",", ":"))


@given(values)
def test_idempotent(value):
    """Decoding and encoding again gives the same bytes."""
    text = dumps(value)
    assert dumps(loads(text)) == text


@given(values)
def test_ascii(value):
    """The form is pure ASCII without control characters."""
    assert all(" " <= letter <= "~" for letter in dumps(value))


@given(finite)
def test_round_trip(value):
    """What JSON can hold comes back equal."""
    assert loads(dumps(value)) == value


@given(st.dictionaries(st.text(), finite, min_size=2))
def test_order_does_not_matter(value):
    """The order of insertion has no influence."""
    assert dumps(dict(reversed(value.items()))) == dumps(value)


@given(st.sets(st.integers()) | st.sets(st.text()))
def test_sets_are_sorted_arrays(value):
    """A set is encoded as its sorted list."""
    assert dumps(value) == dumps(frozenset(value)) == dumps(sorted(value))


def _numbers(value):
    if isinstance(value, dict):
        value = list(value.values())
    return [x for item in value for x in _numbers(item)] if isinstance(value, list) else [value]


@given(values)
def test_nonfinite_path(value):
    """A path is returned exactly when a number is not finite."""
    bad = [x for x in _numbers(value) if isinstance(x, float) and not math.isfinite(x)]
    assert (nonfinite_path(value) is None) == (not bad)
