"""The ``msg2...`` functions, on the processors that fedmsg has itself."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from plugins import CONFIG, PREFIX, sample

from fedmsg import meta

READERS: dict[str, Any] = {
    "msg2repr": "", "msg2title": "", "msg2subtitle": "", "msg2long_form": "", "msg2link": "",
    "msg2icon": "", "msg2secondary_icon": "", "msg2usernames": set(), "msg2packages": set(),
    "msg2objects": set(), "msg2emails": {}, "msg2avatars": {}, "msg2lexer": None,
    "msg2agent": None,
}  # fmt: skip
CUSTOM = 'A custom JSON message was logged by ralph::\n\n    "msg": {\n        "foo": "bar"\n    }'


@pytest.fixture(autouse=True)
def processors() -> None:
    """Those that fedmsg has itself, and perhaps others."""
    meta.make_processors(**CONFIG)


def read(name: str, msg: Any, **more: Any) -> Any:
    """Call a function of fedmsg.meta."""
    return getattr(meta, name)(msg, **CONFIG, **more)


@pytest.mark.parametrize(
    ("msg", "expected"),
    [
        (sample("logger.log", log="hello"), "logger.log -- hello (ralph) "),
        (sample("logger.log", None, log="hello"), "logger.log -- hello (none) "),
        (sample("logger.log", foo="bar"), "logger.log -- <custom JSON message> (ralph) "),
        (sample("logger.other"), "logger.other -- <unhandled log message> "),
        (
            sample("announce.announcement", message="hi", link="http://l"),
            "announce.announcement -- hi http://l",
        ),
        (sample("announce.announcement", message="hi", link=None), "announce.announcement -- hi "),
        ({"topic": "zz.a.b.c"}, "c --  "),
        ({"topic": "a.b"}, " --  "),
        ({"topic": "/topic/a.b.c.d"}, "/topic/a.b.c.d --  "),
    ],
)
def test_repr(msg: dict[str, Any], expected: str) -> None:
    """Title, subtitle and link; without a link the text ends with a space."""
    assert read("msg2repr", msg) == expected


def test_long_form_of_a_custom_message() -> None:
    """The message as indented JSON, without the outer braces."""
    assert read("msg2long_form", sample("logger.log", foo="bar")) == CUSTOM


def test_long_form_falls_back_to_the_subtitle() -> None:
    """A line of a log is all there is to say."""
    assert read("msg2long_form", sample("logger.log", log="hello")) == "hello (ralph)"


@pytest.mark.parametrize(
    ("msg", "expected"),
    [
        (sample("logger.log", log="hello"), 'you logged "hello"'),
        (sample("logger.log", "lmacken", log="hello"), "hello (lmacken)"),
        (sample("logger.log", None, log="hello"), "hello (none)"),
        (sample("logger.log", foo="bar"), "<custom JSON message> (ralph)"),
        (sample("announce.announcement", message="hi", link=""), "hi"),
    ],
)
def test_subjective(msg: dict[str, Any], expected: str) -> None:
    """A logger is addressed as "you"; everybody else reads the subtitle."""
    assert read("msg2subjective", msg, subject="ralph") == expected


def test_subjective_needs_a_subject() -> None:
    """As a keyword; there is no default."""
    with pytest.raises(TypeError, match="subject"):
        read("msg2subjective", sample("logger.log", log="hello"))


@pytest.mark.parametrize("body", [None, [], "text", 3, {"log": ["a", 1]}, {"log": None}])
def test_odd_logs_are_shown(body: Any) -> None:
    """What is no line of text does not raise."""
    msg = {**sample("logger.log"), "msg": body}
    assert "ralph" in read("msg2subtitle", msg)
    assert read("msg2subjective", msg, subject="ralph")
    assert read("msg2long_form", msg)


def test_users_and_agent() -> None:
    """Who sent it; nobody, if the envelope has no name."""
    msg, nobody = sample("logger.log", log="x"), sample("logger.log", None, log="x")
    assert (read("msg2usernames", msg), read("msg2agent", msg)) == ({"ralph"}, "ralph")
    assert (read("msg2usernames", nobody), read("msg2agent", nobody)) == (set(), None)
    assert read("msg2usernames", {**msg, "username": ["a"]}) == set()
    assert (read("msg2usernames", msg, legacy=True), read("msg2agent", msg, legacy=True)) == (
        {"ralph"}, "ralph",
    )  # fmt: skip


def test_the_rest_is_empty() -> None:
    """No icons, packages, objects, addresses and images."""
    msg = sample("logger.log", log="x")
    names = ["icon", "secondary_icon", "packages", "objects", "emails", "avatars", "lexer"]
    assert [read(f"msg2{name}", msg) for name in names] == [None, None, set(), set(), {}, {}, None]


def test_unhandled_message_with_a_topic_only() -> None:
    """Its title is the rest of the topic, the rest is empty."""
    msg = {"topic": "org.example.stg.unhandled_service.some_event"}
    assert read("msg2title", msg) == "unhandled_service.some_event"
    assert (read("msg2subtitle", msg), read("msg2link", msg), read("msg2long_form", msg)) == (
        "", "", "",
    )  # fmt: skip


@pytest.mark.parametrize(("name", "default"), READERS.items())
def test_a_message_without_topic(name: str, default: Any) -> None:
    """The answer is the default, not an error."""
    assert read(name, {}) == default


def test_processor_of_a_message_without_topic() -> None:
    """Here it is an error."""
    with pytest.raises(KeyError):
        meta.msg2processor({}, **CONFIG)


@pytest.mark.parametrize("topic", [None, 3, b"org.example.dev.logger.log", [], {}])
def test_topic_must_be_text(topic: Any) -> None:
    """Other errors than KeyError are the caller's to handle."""
    with pytest.raises(TypeError, match="topic"):
        read("msg2title", {"topic": topic})


def test_given_processor_is_used() -> None:
    """Without looking at the topic."""
    last = meta.processors[-1]
    msg = sample("logger.log", log="hello")
    assert read("msg2subtitle", msg, processor=last) == ""
    assert meta.msg2subtitle(msg, last, **CONFIG) == ""


@pytest.mark.parametrize("name", [*READERS, "msg2subjective", "msg2processor", "conglomerate"])
def test_names_and_documentation(name: str) -> None:
    """Decorated functions keep both."""
    function = getattr(meta, name)
    assert (function.__name__, bool(function.__doc__)) == (name, True)


def test_graceful_answers_a_key_error_only(caplog: pytest.LogCaptureFixture) -> None:
    """And logs the id of the message; other errors propagate."""
    calls: list[BaseException] = [KeyError("x"), ValueError("y")]

    @meta.graceful(lambda: "fallback")
    def fail(msg: Any) -> str:
        raise calls.pop(0)

    meta._reports = type(meta._reports)(60)
    with caplog.at_level(logging.ERROR, "fedmsg.meta"):
        assert fail({"msg_id": "2020-1"}) == "fallback"
    assert "2020-1" in caplog.text
    with pytest.raises(ValueError, match="y"):
        fail({})
    assert meta.legacy_condition is meta.graceful


def test_with_processor_looks_it_up() -> None:
    """Unless it is given."""

    @meta.with_processor()
    def name(msg: Any, processor: Any, **config: Any) -> str:
        return str(processor.__name__)

    msg = {"topic": PREFIX + "logger.log"}
    assert name(msg, **CONFIG) == "logger"
    assert name(msg, processor=meta.processors[-1], **CONFIG) == "unhandled"


def test_reports_of_missing_keys_are_limited(caplog: pytest.LogCaptureFixture) -> None:
    """A flood of odd messages is no flood of tracebacks."""
    for _ in range(200):
        read("msg2title", {})
    assert len([each for each in caplog.records if "failed on" in each.message]) <= 60
