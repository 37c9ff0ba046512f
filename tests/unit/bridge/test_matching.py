"""What is missing or double between two sides: decisions by the clock that is handed in."""

from __future__ import annotations

from fedmsg.bridge.matching import Matcher


def test_what_is_on_both_sides_is_matched() -> None:
    """Nothing is missing, and the lag is the time between the two."""
    matcher = Matcher(10, 100)
    matcher.heard(0, "a", 1.0)
    matcher.heard(1, "a", 3.5)
    matcher.judge(100)
    assert (matcher.matched, matcher.missing, matcher.double) == (1, 0, 0)
    assert matcher.report()["largest_lag"] == 2.5


def test_missing_when_the_window_is_over() -> None:
    """Not before, and on the side that has not heard of it."""
    matcher = Matcher(10, 100)
    matcher.heard(1, "a", 1.0)
    matcher.judge(10.9)
    assert matcher.missing == 0
    assert matcher.report()["undecided"] == 1
    matcher.judge(11.0)
    report = matcher.report()
    assert (report["bus"]["missing"], report["broker"]["missing"]) == (1, 0)
    assert report["bus"]["examples"]["missing"] == ["a"]
    assert report["undecided"] == 0


def test_late_is_missing_too() -> None:
    """What comes after the window stays missing, and is counted as late."""
    matcher = Matcher(10, 100)
    matcher.heard(0, "a", 0.0)
    matcher.judge(12.0)
    matcher.heard(1, "a", 13.0)
    broker = matcher.report()["broker"]
    assert (broker["missing"], broker["late"], broker["double"]) == (1, 1, 0)
    assert matcher.matched == 0


def test_double_on_one_side() -> None:
    """Each time after the first counts, also after the id was judged."""
    matcher = Matcher(10, 100)
    for now in (0.0, 1.0, 15.0):
        matcher.judge(now)
        matcher.heard(1, "a", now)
    matcher.heard(0, "a", 16.0)
    assert matcher.report()["broker"]["double"] == matcher.double == 2


def test_memory_is_bounded() -> None:
    """For one id too many the oldest is judged early, and said to be."""
    matcher = Matcher(10, 2)
    for number in range(5):
        matcher.heard(0, str(number), 0.0)
    assert len(matcher._entries) == len(matcher._unjudged) == 2
    assert (matcher.hurried, matcher.missing) == (3, 3)


def test_everything_is_forgotten() -> None:
    """After twice the window an id is as unknown as before, and few examples are kept."""
    matcher = Matcher(10, 1000)
    for number in range(100):
        matcher.heard(0, str(number), float(number))
    matcher.judge(1000.0)
    assert not matcher._entries
    assert not matcher._unjudged
    assert len(matcher.report()["broker"]["examples"]["missing"]) == 20
