"""The window of unconfirmed messages."""

from __future__ import annotations

import random

from fedmsg.transports.stomp_outbox import Outbox, Outgoing


def message(name: object, source: object = None, size: int = 1) -> Outgoing:
    """Return a message."""
    return Outgoing("topic", b"x" * size, str(name), source)


def filled(count: int, limit: int = 100) -> Outbox:
    """Return an outbox with messages."""
    outbox = Outbox(limit)
    for number in range(count):
        outbox.add(message(number))
    return outbox


def send_all(outbox: Outbox) -> dict[str, str]:
    """Take what can be taken; return receipt by id."""
    taken = {}
    while outbox.ready:
        receipt, taken_message = outbox.take()
        taken[taken_message.msg_id] = receipt
    return taken


def test_full_by_number() -> None:
    """Sent and unsent messages count; a confirmation makes room."""
    outbox = filled(3, limit=3)
    sent = send_all(outbox)
    assert (outbox.full, len(outbox)) == (True, 3)
    outbox.confirm(sent["1"])
    assert (outbox.full, len(outbox)) == (False, 2)


def test_full_by_size() -> None:
    """Bodies count too; a single large one is let in."""
    outbox = Outbox(100, limit_bytes=10)
    outbox.add(message("a", size=50))
    assert outbox.full
    outbox.confirm(send_all(outbox)["a"])
    assert not outbox.full
    outbox.add(message("b", size=9))
    assert not outbox.full
    outbox.add(message("c", size=1))
    assert outbox.full


def test_resent_in_order() -> None:
    """After a loss what is not confirmed comes again, first, in order, under other receipts."""
    outbox = filled(4)
    first = send_all(outbox)
    outbox.confirm(first["1"])
    outbox.add(message("4"))
    outbox.resend()
    again = send_all(outbox)
    assert list(again) == ["0", "2", "3", "4"]
    assert not set(again.values()) & set(first.values())


def test_late_receipts_count_for_nothing() -> None:
    """A receipt of an earlier connection confirms nothing."""
    outbox = filled(1)
    first = send_all(outbox)
    outbox.resend()
    assert (outbox.confirm(first["0"]), len(outbox)) == (None, 1)


def test_refused_by_name() -> None:
    """An ERROR that names a receipt gives that message up, and nothing else."""
    outbox = filled(3)
    refused = outbox.refuse(send_all(outbox)["1"])
    assert refused is not None and refused.msg_id == "1" and len(outbox) == 2


def test_refused_without_a_name() -> None:
    """An ERROR without a receipt: one at a time, until one is alone with two of them."""
    outbox = filled(5)
    send_all(outbox)
    given_up = []
    confirmed = []
    while len(outbox):
        outbox.resend()
        while outbox.ready:
            receipt, each = outbox.take()
            if each.msg_id != "2":
                outbox.confirm(receipt)
                confirmed.append(each.msg_id)
            elif (refused := outbox.refuse()) is not None:
                given_up.append(refused.msg_id)
            else:
                break
    assert (given_up, confirmed) == (["2"], ["0", "1", "3", "4"])


def test_refused_without_a_reason() -> None:
    """An ERROR that gives no reason, as of a broker that is starting, is not soon blamed on it."""
    outbox = filled(1)
    outcomes = []
    for _ in range(10):
        send_all(outbox)
        outcomes.append(outbox.refuse(vague=True))
        outbox.resend()
    assert outcomes[:9] == [None] * 9 and outcomes[9] is not None


def test_only_the_suspects_go_singly() -> None:
    """When as many have been confirmed as were unconfirmed at the ERROR, the window opens again."""
    outbox = filled(2)
    send_all(outbox)
    assert outbox.refuse() is None
    outbox.resend()
    for _ in range(2):
        receipt, _each = outbox.take()
        assert not outbox.ready
        outbox.confirm(receipt)
    for name in "abc":
        outbox.add(message(name))
    assert len(send_all(outbox)) == 3


def test_withdrawn() -> None:
    """Messages of one source are forgotten, sent or not; those of others stay."""
    outbox, mine, theirs = Outbox(10, limit_bytes=100), object(), object()
    for number in range(2):
        outbox.add(message(f"mine {number}", mine, 40))
    outbox.take()
    outbox.add(message("theirs", theirs, 10))
    assert (outbox.withdraw(mine), len(outbox), outbox.full) == (2, 1, False)
    assert list(send_all(outbox)) == ["theirs"]


def test_nothing_is_lost_whatever_happens() -> None:
    """Through random losses and refusals every message is confirmed or given up, once."""
    dice = random.Random(4)
    outbox = filled(200, limit=1000)
    bad = {str(number) for number in range(0, 200, 17)}
    confirmed: list[str] = []
    given_up: list[str] = []
    while len(outbox):
        outbox.resend()
        flight: list[tuple[str, Outgoing]] = []
        broken = False
        while not broken:
            while outbox.ready and len(flight) < dice.randrange(1, 30):
                flight.append(outbox.take())
            receipt, each = flight.pop(0)
            if dice.random() < 0.05:
                broken = True
            elif each.msg_id in bad:
                refused = outbox.refuse()
                given_up += [refused.msg_id] if refused else []
                broken = True
            else:
                outbox.confirm(receipt)
                confirmed.append(each.msg_id)
            broken = broken or not (flight or outbox.ready)
    assert set(given_up) == bad
    assert sorted(confirmed + given_up) == sorted(map(str, range(200)))
