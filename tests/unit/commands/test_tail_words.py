"""``fedmsg-tail`` with processors: messages in words, chosen by users and packages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import town
from plugins import CONFIG, PREFIX, install, sample  # noqa: F401

from fedmsg import meta, utils
from fedmsg.commands import rendering

Run = Callable[..., str]

HOSTILE = [
    "\x1b[2J\x1b]0;title\x07", "\x9b31m", "\x00", "\x08\x7f", "\x0304red\x03\x02\x1d\x1f\x0f",
    "$(touch /tmp/fedmsg-pwned)", "`touch /tmp/fedmsg-pwned`", "'; touch /tmp/fedmsg-pwned; '",
    '" | touch /tmp/fedmsg-pwned', "-f tux", "--help", "a\nb\r\nc", "\u2028\u2029\u202e\u2066",
    "\ud800", "{0.__class__}", "%s%n", "\x85", "é" * 10,
]  # fmt: skip
#: What a terminal would obey, or what would begin a line of its own.
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


@pytest.fixture
def words(run: Run) -> Run:
    """The function ``run`` with the topics of the test bus."""
    return lambda messages, *options: run(messages, *options, **CONFIG)


@pytest.fixture
def cowsay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program cowsay, where Debian installs it."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/games"])
    if shutil.which("cowsay", path=path) is None:
        if os.environ.get("CI"):
            pytest.fail("cowsay is not installed: apt-get install cowsay")
        pytest.skip("cowsay is not installed")
    monkeypatch.setenv("PATH", path)


@pytest.fixture
def failing(install: Callable[..., None]) -> None:  # noqa: F811
    """A package whose processor always fails, and one that works."""
    install(
        "fm_failing",
        """
class Failing(Processor):
    __name__ = "failing"
    def fail(self, msg, **config):
        raise {"key": KeyError, "value": ValueError, "os": OSError}[msg["msg"]["how"]]("\\x1b[2J")
    title = subtitle = link = usernames = packages = fail
class Good(Processor):
    __name__ = "good"
    def usernames(self, msg, **config):
        return {"ann"}
class Lost(Processor):
    __name__ = "lost"
    def handle_msg(self, msg, **config):
        raise RuntimeError("lost")
""",
        "a = fm_failing:Lost\nb = fm_failing:Failing\nc = fm_failing:Good",
    )


def shown(output: str) -> list[str]:
    """Return the second line of every record."""
    return output.splitlines()[1::2]


def test_terse(words: Run) -> None:
    """A line as logging writes it, and one in words."""
    output = words([sample("logger.log", log="hello"), sample("logger.log", log="again")],
                   "--terse")  # fmt: skip
    assert shown(output) == ["logger.log -- hello (ralph) ", "logger.log -- again (ralph) "]
    assert re.match(r"\[[-0-9]+ [:0-9]+\]\[fedmsg.commands    INFO\] \n", output)


def test_terse_on_a_hundred_messages(words: Run, install: Callable[..., None]) -> None:  # noqa: F811
    """In the words of the installed processors."""
    install("fedmsg_meta_town", town.source(), town.points())
    output = words([{"topic": PREFIX + each.topic, "msg": each.body} for each in town.MESSAGES],
                   "--terse")  # fmt: skip
    lines = [line.rstrip() for line in shown(output)]
    assert lines == [f"{each.topic} -- {each.line}" for each in town.MESSAGES]


def test_users_and_packages(words: Run, install: Callable[..., None]) -> None:  # noqa: F811
    """Comma lists; with both options a message must have one of each."""
    install("fedmsg_meta_town", town.source(), town.points())
    messages = [{"topic": PREFIX + each.topic, "msg": each.body} for each in town.MESSAGES]

    def topics(*options: str) -> list[str]:
        output = words(messages, "--query=topic", *options)
        return [line.partition("] ")[2].removeprefix(PREFIX) for line in output.splitlines()]

    def expected(**wanted: set[str]) -> list[str]:
        return [
            each.topic for each in town.MESSAGES
            if all(each.body.get(key) in values for key, values in wanted.items())
        ]  # fmt: skip

    assert topics("--users=zoe") == expected(user={"zoe"}) != []
    assert topics("--users= zoe ,mia,") == expected(user={"zoe", "mia"})
    assert topics("--packages=salt") == expected(package={"salt"}) != []
    assert topics("--packages=bread", "--users=bob") == ["gate.vote"]
    assert topics("--users=nobody") == topics("--packages=nothing") == []


def test_topics_are_filtered_first(words: Run) -> None:
    """Then users."""
    messages = [sample("logger.log", log="1"), sample("logger.x", log="2"),
                sample("logger.log", "ann", log="3")]  # fmt: skip
    output = words(messages, "--terse", "--users=ralph", r"--exclude=\.x$")
    assert shown(output) == ["logger.log -- 1 (ralph) "]


def test_empty_lists_of_users_choose_nothing_out(words: Run) -> None:
    """As if the option was not given."""
    assert shown(words([sample("logger.log", log="1")], "--terse", "--users=", "--packages= , "))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_words(words: Run, text: str) -> None:
    """No control character gets through, and no line of its own begins."""
    messages = [sample("logger.log", text, log=text), sample(f"logger.log.{text}", log="x")]
    output = words(messages, "--terse", "--include=")
    assert OBEYED.search(output) is None
    assert len(output.splitlines()) == 4


@pytest.mark.usefixtures("cowsay")
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_of_a_cow(words: Run, text: str) -> None:
    """Nothing is executed, nothing is taken as an option, no control character gets through."""
    output = words([sample("logger.log", log=text + " END")], "--cowsay")
    assert OBEYED.search(output) is None
    assert "END" in output
    assert "^__^" in output
    assert not os.path.exists("/tmp/fedmsg-pwned")


@pytest.mark.usefixtures("cowsay")
def test_cow_of_a_novel(words: Run) -> None:
    """A very long text is cut."""
    output = words([sample("logger.log", log="moo " * 100_000)], "--cowsay")
    assert 1000 < len(output) < 10_000


def test_plain_text_without_cowsay(
    words: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The words alone, on one line."""
    monkeypatch.setenv("PATH", "/nowhere")
    output = words([sample("logger.log", log="a\n\x1b[2J$(id)")] * 2, "--cowsay")
    assert shown(output) == [r"a\n\x1b[2J$(id) (ralph)"] * 2


def test_cowsay_gets_no_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text is on its standard input."""
    calls: list[Any] = []
    real = subprocess.run

    def run(command: list[str], **kw: Any) -> Any:
        calls.append((command, kw))
        return real([sys.executable, "-c", "import sys; print(sys.stdin.read())"], **kw)

    monkeypatch.setattr(subprocess, "run", run)
    assert utils.cowsay_output("-f $(id)")[0] == b"-f $(id)\n"
    [(command, settings)] = calls
    assert command == ["cowsay"]
    assert not settings.get("shell")


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize("how", ["key", "value", "os"])
@pytest.mark.parametrize("option", ["--terse", "--cowsay"])
def test_failing_processor(
    words: Run, how: str, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its message is shown raw, without credentials; the others in words."""
    monkeypatch.setenv("PATH", "/nowhere")
    bad = {**sample("failing.x", how=how), "signature": "S3CRET"}
    output = words([bad, sample("logger.log", log="after")], option)
    raw = {key: value for key, value in bad.items() if key != "signature"}
    assert shown(output)[0] == repr(raw)
    assert shown(output)[1].strip().endswith("after (ralph)")


@pytest.mark.usefixtures("failing")
def test_failing_processor_chooses_nothing(words: Run, caplog: pytest.LogCaptureFixture) -> None:
    """A message whose users cannot be told is not the wanted one's; the next ones are shown."""
    messages = [sample("failing.x", how="value") for _ in range(20)] + [sample("good.x")]
    output = words(messages, "--users=ann", "--query=topic")
    assert output.splitlines()[-1].endswith("good.x")
    assert len(output.splitlines()) == 1


@pytest.mark.usefixtures("failing")
def test_failures_are_told_once(words: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each processor, on standard error, without control characters."""
    words([sample("failing.x", how="value") for _ in range(20)], "--terse")
    lines = [line for line in capsys.readouterr().err.splitlines() if "fm_failing." in line]
    assert len(lines) == 2
    assert any(r"ValueError('\x1b[2J')" in line for line in lines)
    assert any("RuntimeError('lost')" in line for line in lines)


def test_processors_are_made_only_when_needed(words: Run) -> None:
    """They may be many."""
    words([{"topic": "t"}], "--pretty")
    assert not meta.processors
    words([{"topic": "t"}], "--terse")
    assert meta.processors


@pytest.mark.parametrize(
    "message", [{"topic": "t", "msg": []}, {"msg": 1}, {}, {"topic": 7}, {"topic": []}]
)
def test_odd_messages_in_words(words: Run, message: dict[str, Any]) -> None:
    """What has no words is shown raw."""
    assert shown(words([message], "--terse")) == [repr(message)]
    assert repr(message) in words([message], "--cowsay", "--users=")


def test_later_options_win(words: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """cowsay, terse, query, in this order."""
    monkeypatch.setenv("PATH", "/nowhere")
    msg = sample("logger.log", log="x")
    every = ["--pretty", "--json", "--query=i", "--terse", "--cowsay"]
    assert shown(words([msg], *every)) == ["x (ralph)"]
    assert shown(words([msg], *every[:-1])) == ["logger.log -- x (ralph) "]
    assert words([msg], *every[:-2]).endswith("] 1\n")


def test_without_control_keeps_text() -> None:
    """Line feed and tab stay unless told otherwise; letters of any script do."""
    text = "a\tb\nc é \u0645 \u65e5"
    assert rendering.without_control(text) == text
    assert rendering.without_control("a\tb\n", keep="") == r"a\tb\n"
    assert rendering.without_control("\x1b\x9b\u202e") == r"\x1b\x9b\u202e"
