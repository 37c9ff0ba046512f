"""The decisions of gap recovery, one by one; tests/property/test_tracker.py has the whole."""

from __future__ import annotations

import pytest

from fedmsg.replay.tracker import (
    REMEMBERED,
    RESTART_DISTANCE,
    RESTART_DROPS,
    Decision,
    Holes,
    Tracker,
    seq_id_of,
)

DELIVER, GAP, DROP, RESTART = Decision.DELIVER, Decision.GAP, Decision.DROP, Decision.RESTART


def decisions(tracker: Tracker, *numbers: int) -> list[Decision]:
    found = []
    for number in numbers:
        found.append(tracker.decide(number, f"id{number}"))
        if found[-1] is GAP:
            tracker.pass_gap(number, f"id{number}")
    return found


@pytest.mark.parametrize("value", [None, "5", 5.0, True, -1, [5], 2**63, float("nan")])
def test_what_is_no_number(value):
    """A seq_id that no store gives out counts as none."""
    assert seq_id_of({"seq_id": value}) is None


@pytest.mark.parametrize("value", [0, 1, 2**63 - 1])
def test_what_is_a_number(value):
    """From the lowest to the highest that a store can give out."""
    assert seq_id_of({"seq_id": value}) == value


def test_first_and_next():
    """The first message is delivered whatever its number, and so is the next one."""
    tracker = Tracker()
    assert decisions(tracker, 7, 8) == [DELIVER, DELIVER]
    assert tracker.last == 8


def test_gap_with_nothing_found():
    """A number that is skipped shows a gap; what is missing is delivered if it comes late, once."""
    tracker = Tracker(4)
    assert decisions(tracker, 8, 6, 6, 9) == [GAP, DELIVER, DROP, DELIVER]


def test_recovered_once():
    """What was fetched is delivered once; its live copy is dropped."""
    tracker = Tracker(4)
    assert tracker.decide(7, "id7") is GAP
    assert [tracker.recovered(n, f"id{n}") for n in (5, 5, 4, 6)] == [True, False, False, True]
    tracker.pass_gap(7, "id7")
    assert decisions(tracker, 5, 6, 7, 8) == [DROP, DROP, DROP, DELIVER]


def test_before_the_first_message():
    """What is older than the first message seen is not wanted."""
    assert decisions(Tracker(), 10, 9) == [DELIVER, DROP]


def test_begin_delivers_what_is_on_its_way():
    """After counting begins with the store's last number, its live copy is still delivered."""
    tracker = Tracker()
    tracker.begin(10)
    assert decisions(tracker, 9, 10, 10, 11) == [DELIVER, DELIVER, DROP, DELIVER]


def test_restart_by_distance():
    """A number far below the last one begins a new count."""
    tracker = Tracker(RESTART_DISTANCE + 5)
    assert decisions(tracker, 4, 5, 6) == [RESTART, DELIVER, DELIVER]


def test_restart_by_identity():
    """A known number on another message begins a new count at once."""
    tracker = Tracker()
    decisions(tracker, 1, 2, 3)
    assert tracker.decide(1, "another") is RESTART
    assert tracker.decide(2, "yet another") is DELIVER
    assert tracker.decide(3, "and one more") is DELIVER


def test_restart_by_drops():
    """After a hundred drops in a row nobody is sure any more."""
    tracker = Tracker(500)
    found = decisions(tracker, *range(1, RESTART_DROPS + 2))
    assert found == [DROP] * (RESTART_DROPS - 1) + [RESTART, DELIVER]


def test_duplicates_are_no_restart():
    """Any number of messages may come twice, as from several sockets under one name."""
    tracker = Tracker()
    decisions(tracker, *range(1, 800))
    assert set(decisions(tracker, *range(1, 800))) == {DROP}
    assert tracker.last == 799


def test_without_identities():
    """Messages without a msg_id are told apart by their numbers alone."""
    tracker = Tracker()
    assert [tracker.decide(n, None) for n in (1, 2, 2, 3)] == [DELIVER, DELIVER, DROP, DELIVER]


def test_memory_is_bounded():
    """Of any number of messages, only the latest are remembered."""
    tracker = Tracker()
    for number in range(REMEMBERED + 500):
        assert tracker.decide(number, None) is DELIVER
    assert len(tracker._delivered) == REMEMBERED


def test_begin_at_the_lowest_numbers():
    """Nothing is below the first number that a store may give out."""
    for last, number in ((0, 0), (5, 0), (5, 1)):
        tracker = Tracker()
        tracker.begin(last)
        assert decisions(tracker, last + 1, number) == [DELIVER, DELIVER]


def test_a_position_of_zero():
    """It is one: what comes next shows a gap, unless it is the first."""
    assert decisions(Tracker(0), 5) == [GAP]
    assert decisions(Tracker(0), 1, 2) == [DELIVER, DELIVER]


def test_what_was_handled_before():
    """The position itself, and what is not far below it, was delivered by somebody."""
    tracker = Tracker(RESTART_DISTANCE + 600)
    for number in (600, 1500, RESTART_DISTANCE + 600):
        assert tracker.decide(number, "any") is DROP
    assert not tracker.recovered(RESTART_DISTANCE + 600, "any")
    assert tracker.decide(599, "any") is RESTART


def test_one_of_two_has_no_identity():
    """Then the numbers alone decide."""
    tracker = Tracker()
    assert [tracker.decide(1, "a"), tracker.decide(1, None)] == [DELIVER, DROP]
    assert [tracker.decide(2, None), tracker.decide(2, "a")] == [DELIVER, DROP]


@pytest.mark.parametrize(
    "end", [lambda tracker: tracker.decide(2, "id2"), lambda tracker: tracker.restart(1)]
)
def test_drops_in_a_row(end):
    """A delivery, or a new numbering, ends the row."""
    tracker, many = Tracker(1), [1] * (RESTART_DROPS - 1)
    assert set(decisions(tracker, *many)) == {DROP}
    end(tracker)
    assert set(decisions(tracker, *many)) == {DROP}
    assert decisions(tracker, 1) == [RESTART]


def test_late_once():
    """A message of an old gap is delivered once."""
    tracker = Tracker(4)
    decisions(tracker, 8)
    assert [tracker.late(6, "id6"), tracker.late(6, "id6")] == [True, False]


def test_new_numbering_forgets_the_old_one():
    """After ``restart`` old identities say nothing; after a restart by distance they still do."""
    tracker = Tracker()
    decisions(tracker, 1, 2, 3)
    tracker.restart(0)
    assert decisions(tracker, 1, 2) == [DELIVER, DELIVER]
    tracker = Tracker(RESTART_DISTANCE + 4)
    assert decisions(tracker, RESTART_DISTANCE + 5, 4) == [DELIVER, RESTART]
    assert not tracker.recovered(RESTART_DISTANCE + 5, f"id{RESTART_DISTANCE + 5}")
    assert tracker.recovered(RESTART_DISTANCE + 5, "another")


def test_what_is_forgotten_counts_as_delivered(monkeypatch):
    """The oldest is forgotten first; what is remembered is known by its identity."""
    monkeypatch.setattr("fedmsg.replay.tracker.REMEMBERED", 5)
    tracker = Tracker()
    decisions(tracker, *range(1, 11))
    assert decisions(tracker, 3, 5, 6, 10) == [DROP] * 4
    assert tracker.decide(10, "another") is RESTART


def test_neighbouring_holes_are_one():
    """Ranges are told from one another by what is between them."""
    holes = Holes()
    for first, last in ((1, 2), (3, 4), (6, 7)):
        holes.add(first, last)
    assert holes.lowest == (1, 4)
    holes.forget(4)
    assert holes.lowest == (6, 7)


def test_highest_number_is_forgotten_first(monkeypatch):
    """So it is when it showed the gap; what of the gap comes late is delivered nevertheless."""
    monkeypatch.setattr("fedmsg.replay.tracker.REMEMBERED", 2)
    assert decisions(Tracker(4), 8, 5, 6, 7) == [GAP, DELIVER, DELIVER, DELIVER]
