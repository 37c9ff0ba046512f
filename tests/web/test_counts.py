"""Rates, publishers and gaps; the clock is moved by hand."""

from __future__ import annotations

import pytest

from fedmsg.web.counts import Publishers, Rates, Sequences


def test_rates_by_topic() -> None:
    """Each part of the window has its own counts, the busiest topic comes first."""
    rates = Rates(60, 100.0)
    for topic, now in [("a", 100.0), ("b", 100.5), ("b", 101.0), ("a", 103.9), ("b", 103.9)]:
        rates.add(topic, now)
    report = rates.report(104.0)
    assert [each["topic"] for each in report["series"]] == ["b", "a"]
    assert [each["counts"] for each in report["series"]] == [[1, 1, 0, 1, 0], [1, 0, 0, 1, 0]]
    assert report["topics"] == [{"topic": "b", "count": 3}, {"topic": "a", "count": 2}]


def test_rates_forget() -> None:
    """What the window has left behind is gone, also after a long silence."""
    rates = Rates(60, 0.0)
    rates.add("a", 1.0)
    assert rates.report(60.0)["topics"] == [{"topic": "a", "count": 1}]
    assert rates.report(61.5)["topics"] == []
    rates.add("b", 1e9)
    report = rates.report(1e9)
    assert (report["topics"], len(report["rest"])) == ([{"topic": "b", "count": 1}], 60)


def test_rates_are_complete() -> None:
    """However many topics there are, the sum over the series and the rest is that of all."""
    rates = Rates(60, 0.0)
    for number in range(1000):
        rates.add(f"t{number}", 0.5)
    report = rates.report(0.5)
    assert report["not_told_apart"] == 700
    assert report["unlisted"] == 270
    assert sum(report["rest"]) + sum(sum(each["counts"]) for each in report["series"]) == 1000


@pytest.mark.parametrize(
    ("topic", "service"),
    [
        ("org.test.dev.git.receive", "git"),
        ("org.test.dev.git", "git"),
        ("org.test.dev", "org.test.dev"),
        ("com.other.dev.git.receive", "com.other.dev.git.receive"),
        ("", ""),
    ],
)
def test_service_of_a_topic(topic: str, service: str) -> None:
    """The service is the part behind prefix and environment; of other topics, all."""
    publishers = Publishers("org.test")
    publishers.add("me", topic, "ralph", 1.0)
    [found] = publishers.report(3.5)
    assert found == {"name": "me", "service": service, "user": "ralph", "count": 1, "age": 2.5}


def test_publishers_are_bounded() -> None:
    """The latest ones are remembered; the others are counted."""
    publishers = Publishers("org.test")
    for number in range(10_000):
        publishers.add("me", f"org.test.dev.s{number}.x", {"no": "text"}, float(number))
        publishers.add("me", "org.test.dev.always.x", "ralph", float(number))
    report = publishers.report(10_000.0)
    assert report[0]["service"] == "always"
    assert report[0]["count"] == 10_000
    assert len(report) == 100
    assert publishers.forgotten == 10_001 - 500


def sequences(*numbers: object) -> dict[str, object]:
    """Return what is found of messages with these numbers."""
    found = Sequences(["me"])
    for index, number in enumerate(numbers):
        found.add("me", {"seq_id": number, "msg_id": str(index)})
    [report] = found.report()
    return report


@pytest.mark.parametrize(
    ("numbers", "missing", "restarts"),
    [
        ([5, 6, 7], 0, 0),
        ([5, 8], 2, 0),
        ([5, 8, 6], 1, 0),
        ([5, 8, 7, 6], 0, 0),
        ([5000, 1], 0, 1),
        (["x", None, True, -1], 0, 0),
        ([5, 2**63 - 1], 2**53 - 1, 0),
    ],
)
def test_gaps(numbers: list[object], missing: int, restarts: int) -> None:
    """Numbers that are left out are missing until they come late."""
    report = sequences(*numbers)
    assert (report["missing"], report["restarts"]) == (missing, restarts)


def test_duplicates() -> None:
    """A message that comes twice is counted, and those of other names are not."""
    found = Sequences(["me"])
    for name in ("me", "me", "other"):
        found.add(name, {"seq_id": 1, "msg_id": "a"})
    assert found.report() == [
        {"name": "me", "last": 1, "missing": 0, "duplicates": 1, "restarts": 0}
    ]
