"""What becomes of a message from the broker whose store or signer fails: it is tried again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from parts import settings

from fedmsg import crypto, encoding
from fedmsg.bridge import inward
from fedmsg.bridge.memory import Seen
from fedmsg.exceptions import MissingKey, StoreError

Make = Callable[..., inward.Inward]

MESSAGE = {
    "topic": "org.fedoraproject.dev.a.b", "msg_id": "2026-1", "msg": {"a": 1}, "i": 1,
    "timestamp": 1764600000, "seq_id": 99, "signature": "foreign",
}  # fmt: skip


class Store:
    """A store that keeps messages by id, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.given = 0
        self.kept: dict[str, dict[str, Any]] = {}
        self.discarded: list[int] = []

    def add(self, message: dict[str, Any]) -> dict[str, Any]:
        if self.failures:
            self.failures -= 1
            raise StoreError("the disk is full")
        self.given += 1
        self.kept[message["msg_id"]] = {**message, "seq_id": self.given}
        return self.kept[message["msg_id"]]

    def update(self, message: dict[str, Any]) -> None:
        self.kept[message["msg_id"]] = message

    def discard(self, message: dict[str, Any]) -> None:
        self.discarded.append(message["seq_id"])
        del self.kept[message["msg_id"]]

    def get(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        if query["msg_id"] not in self.kept:
            raise ValueError("There was no match for the given query")
        return [self.kept[query["msg_id"]]]


@pytest.fixture
def make(address: Callable[[], str]) -> Iterator[Make]:
    """A function that returns one half of a bridge, whose broker is never there."""
    made: list[inward.Inward] = []

    def build(**config: Any) -> inward.Inward:
        given = settings(
            name="bridge", endpoints={"bridge": [address()]}, bridge_bus="here",
            stomp_uri=address().removeprefix("tcp://"), **config,
        )  # fmt: skip
        made.append(inward.Inward(given, Seen(10), Seen(10)))
        return made[-1]

    yield build
    for each in made:
        each.stop(0)
        each.run()


def signing(pki: Any) -> dict[str, Any]:
    """Return the settings of a bridge that signs."""
    return {**pki.config, "sign_messages": True, "certnames": {"bridge": pki.config["certname"]}}


def prepared(half: inward.Inward) -> Any:
    """Return the body that is made of MESSAGE, taken apart."""
    body = half._prepared(None, dict(MESSAGE))
    return None if body is None else encoding.loads(body)


def test_a_store_that_fails_is_asked_again(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """The message is stored under a number of this bus, and without the foreign signature."""
    store = Store(failures=2)
    half = make(persistent_store=store)
    found = prepared(half)
    assert found == {**{key: MESSAGE[key] for key in MESSAGE if key != "signature"}, "seq_id": 1}
    assert store.kept["2026-1"] == found == prepared(half)
    assert "cannot keep or sign a message, trying again: the disk is full" in caplog.text


def test_a_store_that_fails_for_good(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bridge can be stopped, and does not acknowledge the message."""
    half = make(persistent_store=Store(failures=10**6))
    monkeypatch.setattr(half._stopping, "wait", lambda seconds: half._stopping.set())
    assert prepared(half) is None
    assert half.counts == Counter()


def test_what_came_before_keeps_its_number(make: Make, pki: Any) -> None:
    """A message that was stored and signed, and not acknowledged, is that message again."""
    store = Store()
    half = make(persistent_store=store, **signing(pki))
    first = prepared(half)
    assert crypto.validate(first, **pki.config)
    assert prepared(half) == first
    assert (len(store.kept), store.discarded) == (1, [])


def test_what_was_stored_and_not_signed(make: Make, pki: Any) -> None:
    """The process ended between the two: its row is no message of this bus, and made anew."""
    store = Store()
    store.kept["2026-1"] = {**MESSAGE, "seq_id": 7}
    del store.kept["2026-1"]["signature"]
    found = prepared(make(persistent_store=store, **signing(pki)))
    assert store.discarded == [7]
    assert crypto.validate(found, **pki.config)


def test_without_a_certificate(make: Make, pki: Any) -> None:
    """What no trying again mends ends the bridge, and nothing is stored."""
    store = Store()
    half = make(persistent_store=store, **{**signing(pki), "certnames": {}})
    with pytest.raises(MissingKey, match="'certnames' has no entry 'bridge'"):
        prepared(half)
    assert store.kept == {}


def test_a_store_that_cannot_express_it(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that can never be kept is rejected, counted, and not asked for again."""
    store = Store()
    half = make(persistent_store=store)

    def add(message: dict[str, Any]) -> dict[str, Any]:
        raise TypeError("no column for this")

    monkeypatch.setattr(store, "add", add)
    assert prepared(half) is None
    assert half.counts == Counter({inward.NOT_EXPRESSIBLE: 1})
