"""Which processor a message belongs to: as if all were asked in turn, but quicker."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugins import CONFIG, PREFIX, sample

from fedmsg import meta
from fedmsg.meta import _lookup, failures
from fedmsg.meta.base import BaseProcessor
from fedmsg.meta.default import DefaultProcessor

NAMES = ["git", "bodhi", "wiki"]


def processor(name: str, handle: Callable[..., Any] | None = None, **body: Any) -> BaseProcessor:
    """Return a processor of a class of its own."""
    given = dict.fromkeys(["__description__", "__link__", "__docs__", "__obj__"], "x")
    if handle is not None:
        body["handle_msg"] = handle
    made: BaseProcessor = type("Made", (BaseProcessor,), {**given, "__name__": name, **body})(
        str, **CONFIG
    )
    return made


def found(processors: list[Any], msg: dict[str, Any]) -> Any:
    """Return the processor of a message."""
    return _lookup.find(processors, msg, CONFIG)


@st.composite
def buses(draw: st.DrawFn) -> tuple[list[Any], list[dict[str, Any]]]:
    """Processors of both kinds, and messages."""
    made: list[Any] = []
    for name, picky in draw(st.lists(st.tuples(st.sampled_from(NAMES), st.booleans()), max_size=6)):
        handle = (lambda self, msg, **config: msg["msg"].get("mine")) if picky else None
        made.append(processor(name, handle))
    topics = st.sampled_from(["git.push", "git", "gitx.a", "bodhi.x", "wiki", "other.a", ""])
    bodies = st.fixed_dictionaries({}, optional={"mine": st.just("")})
    pairs = draw(st.lists(st.tuples(topics, bodies), max_size=20))
    made.append(DefaultProcessor(str, **CONFIG))
    return made, [sample(topic, **body) for topic, body in pairs]


@given(buses())
def test_same_as_asking_all_in_turn(bus: tuple[list[Any], list[dict[str, Any]]]) -> None:
    """The first whose ``handle_msg`` is not None, else the last."""
    processors, messages = bus
    for msg in messages:
        asked = (each for each in processors if each.handle_msg(msg, **CONFIG) is not None)
        assert found(processors, msg) is next(asked, processors[-1])


def test_list_that_changes() -> None:
    """Another list, or another element of the same list, is seen at once."""
    first, second, last = processor("git"), processor("git"), processor("x")
    processors = [first, last]
    assert found(processors, sample("git.push")) is first
    processors[0] = second
    assert found(processors, sample("git.push")) is second
    assert found([first, last], sample("git.push")) is first
    processors.insert(0, first)
    assert found(processors, sample("git.push")) is first


def test_pattern_made_by_the_constructor() -> None:
    """A processor may set its pattern after the constructor of the base class."""
    odd = processor("x")
    odd.__prefix__ = re.compile(r"^odd\.(.*)$")
    assert found([odd, processor("git")], {"topic": "odd.thing"}) is odd


def test_replaced_method_of_an_object() -> None:
    """An instance with a ``handle_msg`` of its own is asked every time."""
    odd, last = processor("git"), processor("x")
    odd.handle_msg = lambda msg, **config: msg.get("mine")  # type: ignore[method-assign]
    assert found([odd, last], {"topic": "a", "mine": 1}) is odd
    assert found([odd, last], {"topic": "a"}) is last


def test_nothing_is_remembered_without_bound() -> None:
    """Topics come from the network: many, and long ones."""
    processors = [processor("git")]
    for number in range(3000):
        found(processors, {"topic": f"{PREFIX}t{number}"})
    found(processors, {"topic": PREFIX + "x" * 100_000})
    chains = _lookup._table.chains
    assert 0 < len(chains) <= 1024
    assert max(map(len, chains)) <= 512


class Failing:
    """Raises whatever it is told, from every method."""

    __name__ = "failing"
    agent = NotImplemented
    usernames = packages = title = subtitle = link = None

    def __init__(self, error: Exception, topic: str = "") -> None:
        self._error, self._topic = error, topic

    def _fail(self, *_args: Any, **_config: Any) -> Any:
        raise self._error

    def handle_msg(self, msg: dict[str, Any], **_config: Any) -> str | None:
        if not self._topic:
            raise self._error
        return "" if self._topic in msg["topic"] else None

    def __getattribute__(self, name: str) -> Any:
        if name in ("title", "subtitle", "link", "usernames", "packages"):
            return self._fail
        return super().__getattribute__(name)


ERRORS = [
    KeyError("x"), TypeError(), AttributeError(), IndexError(), RuntimeError(), OSError(),
    RecursionError(), MemoryError(), StopIteration(), UnicodeDecodeError("a", b"", 0, 1, ""),
]  # fmt: skip


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_failure_at_saying_whose_it_is(error: Exception) -> None:
    """The others are asked."""
    git = processor("git")
    assert found([Failing(error), git], sample("git.push")) is git


def test_broken_pattern() -> None:
    """A processor whose pattern is none does not hide the others."""
    broken, git = processor("git"), processor("git")
    broken.__prefix__ = None
    assert found([broken, git], sample("git.push")) is git


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_safely(error: Exception) -> None:
    """Whatever a processor raises, the answer is the default, and others answer as before."""
    meta.processors = [Failing(error, "git"), DefaultProcessor(str, **CONFIG)]
    empty = "" if isinstance(error, KeyError) else "raw"
    assert failures.safely(meta.msg2subtitle, sample("git.push"), "raw", CONFIG) == empty
    assert failures.safely(meta.msg2title, sample("wiki.edit"), "raw", CONFIG) == "wiki.edit"
    assert failures.safely(meta.msg2title, [], "raw", CONFIG) == "raw"  # type: ignore[arg-type]


def test_failures_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Once a minute for each class of processors, without the control characters in the error."""

    class Hostile(ValueError):
        def __repr__(self) -> str:
            raise self

    with caplog.at_level(logging.WARNING, "fedmsg.meta"):
        for _ in range(100):
            failures.report(Failing(OSError()), ValueError("\x1b[2J\n" + "x" * 10_000))
        failures.report(processor("git"), Hostile())
    first, second = (record.getMessage() for record in caplog.records)
    assert r"Failing: ValueError('\x1b[2J\n" in first
    assert len(first) < 500
    assert "Made: Hostile at" in second


def test_parts_of_a_line_degrade(caplog: pytest.LogCaptureFixture) -> None:
    """A KeyError in one of title, subtitle and link leaves the other two."""

    def missing(*_args: Any, **_config: Any) -> str:
        raise KeyError("x")

    body: dict[str, Any] = {
        "title": lambda *_a, **_k: "t", "subtitle": lambda *_a, **_k: "s",
        "link": lambda *_a, **_k: "l",
    }  # fmt: skip
    lines = []
    for part in body:
        meta.processors = [processor("git", **{**body, part: missing})]
        lines.append(meta.msg2repr(sample("git.x"), **CONFIG))
    assert lines == [" -- s l", "t --  l", "t -- s "]


def test_agent_is_the_first_user() -> None:
    """Of the alphabet, so that it is the same every time; a method wins over that."""
    users = {"usernames": lambda *_a, **_k: {"zoe", "ann", "mia"}}
    meta.processors = [processor("git", **users)]
    assert meta.msg2agent(sample("git.x"), **CONFIG) == "ann"
    meta.processors = [processor("git", **users, agent=lambda *_a, **_k: "zoe")]
    assert meta.msg2agent(sample("git.x"), **CONFIG) == "zoe"


def test_keywords_of_the_caller() -> None:
    """Reach the processor; ``legacy``, where it means something no longer, does not."""

    def told(self: Any, msg: Any, **config: Any) -> set[str]:
        return set(config) - set(CONFIG)

    meta.processors = [processor("git", usernames=told, packages=told)]
    more = {**CONFIG, "legacy": True, "other": 1}
    assert meta.msg2packages(sample("git.x"), **more) == {"legacy", "other"}
    assert meta.msg2usernames(sample("git.x"), **more) == {"other"}
    assert meta.msg2agent(sample("git.x"), **more) == "other"
