"""Memory that is bounded."""

from __future__ import annotations

from fedmsg.crypto._cache import Cache


def test_the_oldest_is_forgotten() -> None:
    """As many are kept as it was made for, and no more."""
    cache = Cache(3)
    for number in range(5):
        cache.put(number, f"value {number}")
        assert len(cache) == min(number + 1, 3)
    assert [cache.get(number) for number in range(5)] == [
        None, None, "value 2", "value 3", "value 4",
    ]  # fmt: skip


def test_what_is_stored_again_is_the_newest() -> None:
    """It takes no second place, pushes nothing out, and outlives what was stored before it."""
    cache = Cache(2)
    for key, value in (("a", 1), ("b", 2), ("b", 3)):
        cache.put(key, value)
    assert (len(cache), cache.get("a"), cache.get("b")) == (2, 1, 3)
    cache.put("a", 4)
    cache.put("c", 5)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (4, None, 5)


def test_everything_can_be_forgotten() -> None:
    """The bound holds afterwards as before."""
    cache = Cache(1)
    cache.put("a", 1)
    cache.clear()
    assert (len(cache), cache.get("a")) == (0, None)
    cache.put("b", 2)
    assert cache.get("b") == 2
