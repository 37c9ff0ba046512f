"""What ``fedmsg-tail`` prints, and which messages it chooses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

import fedmsg
from fedmsg import crypto

Run = Callable[..., str]


def test_default_is_the_repr(run: Run) -> None:
    """The output ends with the message as Python shows it."""
    assert run([{"topic": "topic"}]).endswith("{'topic': 'topic'}\n")


def test_json_is_one_document_a_line(run: Run) -> None:
    """And nothing else is on standard output."""
    messages = [{"topic": "a", "msg": {"text": "\x1b[31m\u2028é\n"}}, {"topic": "b"}]
    assert [json.loads(line) for line in run(messages, "--json").split("\n")[:-1]] == messages


def test_pretty_has_a_readable_time_and_no_credentials(run: Run) -> None:
    """Several lines through pprint."""
    output = run([{"timestamp": 0, "signature": "S3CRET", "certificate": "C"}], "--pretty")
    assert ("1970" in output, "S3CRET" in output) == (True, False)


@pytest.mark.parametrize("stamp", ["text", None, 10**400, {}, float("nan")])
def test_pretty_survives_any_timestamp(run: Run, stamp: Any) -> None:
    """A timestamp that is no time is shown as it is."""
    assert "after" in run([{"timestamp": stamp}, {"msg": "after"}], "--pretty")


def test_query_prints_values(run: Run) -> None:
    """Joined with commas; what is missing is None; an empty record prints nothing."""
    output = run([{"msg": {"a": 1}, "i": 2}, {"msg": {"a": ""}}], "--query=msg.a, x")
    assert [line.partition("] ")[2] for line in output.splitlines()] == ["1, None", ", None"]


def test_query_shows_control_characters_as_escapes(run: Run) -> None:
    """A message cannot move the cursor."""
    assert "\\x1b[2J" in run([{"msg": "\x1b[2J"}], "--query=msg")


def test_empty_query_result_prints_nothing(run: Run) -> None:
    """As if the message had not come."""
    assert run([{"msg": ""}], "--query=msg") == ""


def test_really_pretty_has_colours(run: Run) -> None:
    """The colours of Pygments' terminal formatter."""
    pytest.importorskip("pygments")
    assert '\x1b[33m"hello"\x1b[39;49;00m' in run([{"msg": "hello"}], "--really-pretty")


def test_really_pretty_without_colours(run: Run) -> None:
    """--color=never."""
    assert '"msg":"hello"' in run([{"msg": "hello"}], "--really-pretty", "--color=never").replace(
        ": ", ":"
    )


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ([], ["a.b", "c"]),
        (["--exclude=^a"], ["c", "x._heartbeat"]),
        (["--include=b$", "--exclude=nothing"], ["a.b"]),
        (["--exclude="], []),
    ],
)
def test_topics_are_filtered(run: Run, options: list[str], shown: list[str]) -> None:
    """First --exclude, then --include; heart-beats are left out by default."""
    messages = [{"topic": topic} for topic in ("a.b", "c", "x._heartbeat")]
    if options and "exclude=^a" in options[0]:
        options = [*options, "--include="]
    output = run(messages, "--query=topic", *options)
    assert [line.partition("] ")[2] for line in output.splitlines()] == shown


def test_star_of_a_topic_is_cut(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--topic=a.*`` subscribes to ``a.``."""
    seen = []
    monkeypatch.setattr(fedmsg, "tail_messages", lambda **kw: seen.append(kw["topic"]) or [])
    run([], "--topic=a.*")
    assert seen == ["a."]


def test_deep_nesting_does_not_end_it(run: Run) -> None:
    """What Python cannot write again is reported, and the next message shown."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    output = run([{"msg": deep}, {"msg": "after"}])
    while deep:
        deep = deep.pop()  # freed one by one
    assert "after" in output


@pytest.mark.parametrize("options", [["--exclude=("], ["--count=0"], ["--count=x"], ["--for=x"]])
def test_bad_options_are_usage_errors(
    run: Run, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2."""
    with pytest.raises(SystemExit) as stopped:
        run([], *options)
    assert stopped.value.code == 2


def test_bad_pattern_in_a_file_is_named(run: Run) -> None:
    """A pattern of a configuration file is an option's default: a usage error too."""
    with pytest.raises(SystemExit) as stopped:
        run([], exclusive_regexp="(")
    assert stopped.value.code == 2


def test_pretty_takes_no_minutes(run: Run) -> None:
    """A large message is on one line, for what is nested is written anew for each level."""
    large = {"a": [["x " * 30_000]]}
    output = run([{"msg": {"a": ["x" * 50] * 3}}, {"msg": large}], "--pretty")
    assert repr({"msg": large}) in output
    assert "'x" + "x" * 49 + "',\n" in output


def test_long_topics_are_looked_at_from_the_beginning(run: Run) -> None:
    """The default of --include takes a multiple of what it looks at as memory."""
    topic = "a" * 70_000
    messages = [{"topic": f"{topic}_heartbeat"}, {"topic": f"_heartbeat{topic}"}]
    assert run(messages, "--query=topic").count("_heartbeat") == 1


#: Where the text of a message begins.
START = re.compile(r"(\([a-z !]+\) )?\[\d{4}-\d\d-\d\d [\d:]{8}\]\[fedmsg\.commands")


@pytest.mark.parametrize("option", ["--terse", "--pretty", "--query=msg.log", "--cowsay"])
def test_marks(run: Run, pki: Any, option: str) -> None:
    """What is not properly signed is shown with a mark in front, in every form for people."""
    fake = "x\n[2026-11-25 00:00:00][fedmsg.commands    INFO] forged"
    body = {"topic": "org.fedoraproject.dev.logger.log", "msg": {"log": fake}, "timestamp": 1}
    signed = crypto.sign(body, **pki.config)
    elsewhere = {**signed, "topic": "org.fedoraproject.dev.logger.other"}
    config = {**pki.config, "topic_prefix_re": r"org\.fedoraproject\.dev"}
    output = run([body, signed, elsewhere], "--mark", option, "--validate", **config)
    firsts = [line.partition("[")[0] for line in output.splitlines() if START.match(line)]
    assert firsts == ["(unsigned) ", "", "(invalid signature!) "]


def test_marks_are_not_for_json(run: Run) -> None:
    """They would make it something else."""
    with pytest.raises(ValueError, match="use --validate"):
        run([], "--mark", "--json")
