"""Gap recovery against a model: a publisher that numbers, a bus that loses, a store that keeps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fedmsg.replay.tracker import Decision, Tracker


class Model:
    """A subscriber with a tracker.  ``store`` answers completely, or not at all."""

    def __init__(self) -> None:
        self.tracker = Tracker()
        self.delivered: list[int] = []

    def arrived(self, number: int, answers: bool) -> None:
        decision = self.tracker.decide(number, f"id{number}")
        if decision is Decision.DROP:
            return
        if decision is Decision.GAP:
            for each in range(self.tracker.last + 1, number) if answers else ():
                if self.tracker.recovered(each, f"id{each}"):
                    self.delivered.append(each)
            self.tracker.pass_gap(number, f"id{number}")
        self.delivered.append(number)


#: For each number: is it lost, how often does it come, and does the store answer at that moment.
FATES = st.lists(
    st.tuples(st.booleans(), st.integers(1, 3), st.booleans()), min_size=1, max_size=60
)


@given(FATES)
def test_complete_and_in_order(fates: list[tuple[bool, int, bool]]) -> None:
    """With a store that answers, every message from first to last is delivered once, in order."""
    model = Model()
    arriving = [number for number, (lost, _, _) in enumerate(fates, 1) if not lost]
    for number in arriving:
        for _ in range(fates[number - 1][1]):
            model.arrived(number, True)
    expected = range(arriving[0], arriving[-1] + 1) if arriving else []
    assert model.delivered == list(expected)


@given(FATES, st.randoms(use_true_random=False))
def test_never_twice_and_never_dropped_for_good(fates, random) -> None:
    """In any order, with a store that fails at times: nothing twice, and what arrives is delivered.

    Only what is older than the first message is not.
    """
    arriving = [number for number, (lost, times, _) in enumerate(fates, 1)
                for _ in range(0 if lost else times)]  # fmt: skip
    random.shuffle(arriving)
    model = Model()
    for number in arriving:
        model.arrived(number, fates[number - 1][2])
    assert len(set(model.delivered)) == len(model.delivered)
    assert set(model.delivered) >= {number for number in arriving if number >= arriving[0]}


@given(st.integers(1, 900), st.integers(1, 40))
def test_new_numbering_is_followed(before: int, after: int) -> None:
    """After the store was made anew, every message is delivered."""
    model = Model()
    for number in range(1, before + 1):
        model.arrived(number, True)
    seen = [model.tracker.decide(n, f"new{n}") for n in range(1, after + 1)]
    assert Decision.DROP not in seen
    assert Decision.GAP not in seen
