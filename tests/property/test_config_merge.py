"""Merging and copying of generated configurations."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fedmsg._option import addresses
from fedmsg.config import _recursive_update, copy_config

keys = st.sampled_from("abcd")
leaves = st.integers() | st.lists(st.integers(), max_size=2)
configs = st.dictionaries(
    keys, st.recursive(leaves, lambda inner: st.dictionaries(keys, inner), max_leaves=8)
)


def paths(config, prefix=()):
    """Return every leaf of a configuration by its path; an empty dict is a leaf."""
    found = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            found.update(paths(value, (*prefix, key)))
        else:
            found[(*prefix, key)] = value
    return found


@given(configs)
def test_empty_is_neutral(config):
    """Merging with nothing changes nothing, from either side."""
    assert _recursive_update(copy_config(config), {}) == config
    assert _recursive_update({}, config) == config


@given(configs)
def test_idempotent(config):
    """Merging a configuration with itself changes nothing."""
    assert _recursive_update(copy_config(config), copy_config(config)) == config


@given(configs, configs)
def test_later_wins(first, second):
    """Every leaf of the later configuration is in the result."""
    merged = paths(_recursive_update(copy_config(first), copy_config(second)))
    assert all(merged[path] == value for path, value in paths(second).items() if value != {})


@given(configs, configs)
def test_nothing_is_lost(first, second):
    """A leaf of the earlier one stays unless the later one has something on its path."""
    merged = paths(_recursive_update(copy_config(first), copy_config(second)))
    taken = list(paths(second))
    for path, value in paths(first).items():
        if not any(path[: len(other)] == other[: len(path)] for other in taken):
            assert merged[path] == value


@given(configs, configs, configs)
def test_second_argument_is_not_changed(first, second, third):
    """Merging copies of the files leaves the files' own dicts alone."""
    before = copy_config(second)
    merged = _recursive_update(copy_config(first), copy_config(second))
    _recursive_update(merged, third)
    assert second == before


@given(st.dictionaries(st.text(), st.text() | st.lists(st.text()) | st.tuples(st.text())))
def test_addresses(value):
    """Every value becomes a list, once and for all."""
    once = addresses(value)
    assert all(isinstance(entry, list) for entry in once.values())
    assert addresses(once) == once
