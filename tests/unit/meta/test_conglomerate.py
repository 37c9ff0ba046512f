"""Merging messages that belong together."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugins import CONFIG, sample

from fedmsg import meta
from fedmsg.meta.base import BaseConglomerator, BaseProcessor
from fedmsg.meta.default import DefaultProcessor

SERIES = [
    ([], {}, "(nothing)"),
    (["a"], {}, "a"),
    (["a", "a", "a"], {}, "a"),
    (["b", "a"], {}, "a and b"),
    (["a", "b", "b", "b"], {}, "a and b"),
    (["a", "b", "c"], {}, "a, b, and c"),
    (["a", "b", "c"], {"oxford_comma": False}, "a, b and c"),
    (["a", "b", "c", "d"], {}, "a, b, and 2 others"),
    (["a", "b", "c", "d"], {"N": 4}, "a, b, c, and d"),
    (["a", "b", "c", "d"], {"N": 2}, "a and 3 others"),
    (["a", "b", "c"], {"N": 1}, "a and 2 others"),
    (["a", "b", "c"], {"N": -5}, "a and 2 others"),
    ([3, None, "x"], {}, "3, None, and x"),
]


class ByUser(BaseConglomerator):
    """Merges the messages of one user."""

    def can_handle(self, msg: Any, **config: Any) -> bool:
        return ".git." in msg["topic"]

    def matches(self, a: Any, b: Any, **config: Any) -> bool:
        return bool(a["username"] == b["username"])

    def merge(self, constituents: Sequence[Any], subject: Any, **config: Any) -> Any:
        entry = self.produce_template(constituents, subject, **config)
        entry["subtitle"] = self.list_to_series(each["i"] for each in constituents)
        return entry


class Git(BaseProcessor):
    """A service."""

    __name__ = "git"
    __description__ = __link__ = __docs__ = __obj__ = "x"
    __icon__ = "http://icon"
    conglomerators = [ByUser]

    def usernames(self, msg: Any, **config: Any) -> set[str]:
        return {msg["username"]}

    def packages(self, msg: Any, **config: Any) -> set[str]:
        return set(msg["msg"]["packages"])

    def subjective(self, msg: Any, subject: Any, **config: Any) -> str:
        return f"told to {subject}"

    def lexer(self, msg: Any, **config: Any) -> str:
        return "a lexer"


def merged(messages: list[Any], *processors: Any, **more: Any) -> list[Any]:
    """Conglomerate, with these classes of processors."""
    meta.processors = [
        *(cls(str, **CONFIG) for cls in processors or (Git,)),
        DefaultProcessor(str, **CONFIG),
    ]
    return meta.conglomerate(messages, **more, **CONFIG)


def push(number: int, user: str, **more: Any) -> dict[str, Any]:
    """Return a message of the service."""
    msg = sample("git.push", user, packages=[f"p{number}"])
    return {**msg, "msg_id": f"id-{number}", "i": number, "timestamp": 1000.0 + number, **more}


@pytest.mark.parametrize(("items", "options", "expected"), SERIES)
def test_series(items: list[Any], options: dict[str, Any], expected: str) -> None:
    """Every item once, in alphabetical order, no more parts than N."""
    assert BaseConglomerator.list_to_series(items, **options) == expected


def test_six_messages_of_three_users() -> None:
    """Each group stands where its first message stood; the list itself is changed."""
    users = ["ann", "bob", "ann", "bob", "eve", "ann"]
    messages = [push(number, user) for number, user in enumerate(users, 1)]
    result = merged(messages)
    assert result is messages
    assert [sorted(entry["msg_ids"]) for entry in result] == [
        ["id-1", "id-3", "id-6"], ["id-2", "id-4"], ["id-5"],
    ]  # fmt: skip
    assert [entry["subtitle"] for entry in result] == ["1, 3, and 6", "2 and 4", ""]


def test_template() -> None:
    """The common fields of an entry."""
    entry = merged([push(1, "ann"), push(3, "ann")], subject="ann")[0]
    assert (entry["start_time"], entry["end_time"], entry["timestamp"]) == (1001, 1003, 1002)
    assert "years ago" in entry["human_time"]
    assert (entry["usernames"], entry["packages"]) == ({"ann"}, {"p1", "p3"})
    assert (entry["topics"], entry["categories"]) == ({"org.example.dev.git.push"}, {"git"})
    assert entry["icon"] == "http://icon"
    assert entry["msg_ids"]["id-1"] == {
        "title": "git.push", "subtitle": "", "subjective": "told to ann", "link": "",
        "icon": "http://icon", "__icon__": "http://icon", "secondary_icon": None,
        "usernames": {"ann"}, "packages": {"p1"}, "objects": set(), "long_form": "",
    }  # fmt: skip


def test_single_message_is_complete() -> None:
    """One that is merged with no other gets the fields that a merge would add."""
    [entry] = merged([push(1, "ann")], subject="ann")
    fields = ["link", "subtitle", "subjective", "secondary_icon"]
    assert [entry[field] for field in fields] == ["", "", "told to ann", None]


def test_lexers_of_merged_and_single_messages() -> None:
    """Only if they are asked for, for both."""
    messages = [push(1, "ann"), push(2, "ann"), push(3, "bob")]
    with_lexers = merged(list(messages), lexers=True)
    assert {
        each["lexer"] for entry in with_lexers for each in entry["msg_ids"].values()
    } == {"a lexer"}  # fmt: skip
    assert "lexer" not in str(merged(list(messages)))


def test_times_as_objects() -> None:
    """A datetime is local time."""
    stamp = datetime.datetime(2020, 5, 17, 12, 0, 0)
    [entry] = merged([push(1, "ann", timestamp=stamp)])
    assert entry["timestamp"] == time.mktime(stamp.timetuple())


@pytest.mark.parametrize(
    "bad",
    [
        {"topic": "a.b", "username": "ann", "msg": {}},
        {"topic": "org.example.dev.git.push", "username": "ann", "msg": {}, "timestamp": "soon"},
        {"topic": "org.example.dev.git.push", "username": "ann", "timestamp": 10**400, "i": 0},
        {"topic": "org.example.dev.git.push", "username": "ann", "msg_id": [], "i": 0},
        {"topic": 3, "msg_id": None, "msg": None},
        {"topic": "a.b.c.d", "msg_id": ["unhashable"], "timestamp": True},
        {"msg": {}},
        {},
    ],
)
def test_bad_message_spoils_no_other(bad: dict[str, Any]) -> None:
    """It gets an entry, and the others theirs."""
    messages = [push(1, "ann"), bad, push(2, "ann"), {**bad}]
    result = merged(messages)
    ids = [msg_id for entry in result for msg_id in entry["msg_ids"]]
    assert {"id-1", "id-2"} <= set(ids)
    assert all(isinstance(entry["human_time"], str) for entry in result)


def test_failing_conglomerator_changes_nothing() -> None:
    """Its messages stay as they were, and the next processor gets all of them."""

    class Failing(ByUser):
        def merge(self, constituents: Any, subject: Any, **config: Any) -> Any:
            raise RuntimeError

    failing = type("Other", (Git,), {"conglomerators": [Failing]})
    messages = [push(1, "ann"), push(2, "ann")]
    assert [len(entry["msg_ids"]) for entry in merged(list(messages), failing)] == [1, 1]
    assert [len(entry["msg_ids"]) for entry in merged(list(messages), failing, Git)] == [2]


def test_processor_that_fails_half_way() -> None:
    """The list is what it was before, whatever an override did to it."""

    def conglomerate(self: Any, messages: list[Any], **config: Any) -> list[Any]:
        messages.clear()
        raise RuntimeError

    failing = type("Other", (Git,), {"conglomerate": conglomerate})
    assert len(merged([push(1, "ann"), push(2, "bob")], failing)) == 2


def test_selection_of_a_subclass() -> None:
    """An override of ``select_constituents`` is asked until it has no more."""

    class Pairs(ByUser):
        def select_constituents(self, messages: list[Any], **config: Any) -> Any:
            open_ = [at for at, each in enumerate(messages) if "msg_ids" not in each][:2]
            return (open_, [messages[at] for at in open_]) if len(open_) == 2 else (None, None)

    paired = type("Paired", (Git,), {"conglomerators": [Pairs]})
    messages = [push(number, f"user{number}") for number in range(5)]
    assert [len(entry["msg_ids"]) for entry in merged(messages, paired)] == [2, 2, 1]


def test_selection_that_never_ends_is_ended() -> None:
    """An override that yields the same for ever does not hang the caller."""

    class Stubborn(ByUser):
        def select_constituents(self, messages: list[Any], **config: Any) -> Any:
            return (0,), (messages[0],)

        def merge(self, constituents: Sequence[Any], subject: Any, **config: Any) -> Any:
            return constituents[0]

    stubborn = type("Stubborn", (Git,), {"conglomerators": [Stubborn]})
    assert len(merged([push(1, "ann"), push(2, "bob")], stubborn)) == 2


def test_select_constituents() -> None:
    """Places and messages as tuples, the first message first; None twice without a group."""
    by_user = ByUser(Git(str, **CONFIG), str)
    messages = [push(1, "bob"), push(2, "ann"), push(3, "ann")]
    assert by_user.select_constituents(messages) == ((1, 2), (messages[1], messages[2]))
    assert by_user.select_constituents(messages[:2]) == (None, None)
    assert by_user.skip({"msg_ids": {}}) is True
    assert by_user.skip(messages[0]) is False


def test_base_class_is_abstract() -> None:
    """The three methods must be written."""
    with pytest.raises(TypeError, match="abstract"):
        BaseConglomerator(Git(str, **CONFIG), str)  # type: ignore[abstract]


@given(st.lists(st.sampled_from("abc"), max_size=12))
def test_same_as_merging_one_group_after_the_other(users: list[str]) -> None:
    """The quick way gives what starting again from the beginning after each merge gives."""
    by_user = ByUser(Git(str, **CONFIG), str)
    slow: list[Any] = [push(number, user) for number, user in enumerate(users)]
    # The same message twice in one list is two messages.
    slow += slow[:2]
    quick = list(slow)
    meta.processors = [Git(str, **CONFIG)]
    while True:
        places, constituents = by_user.select_constituents(slow)
        if places is None or constituents is None:
            break
        entry = by_user.merge(constituents, None)
        slow = [each for at, each in enumerate(slow) if at not in places]
        slow.insert(places[0], entry)
    by_user.conglomerate(quick)
    assert quick == slow
