"""What is chosen, kept and handed to viewers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from fedmsg.crypto.verdict import Verdict
from fedmsg.web import viewer as viewers
from fedmsg.web import window as windows
from fedmsg.web.viewer import Viewer, wanted


def lines(viewer: Viewer) -> list[dict[str, Any]]:
    """Return what waits for a viewer."""
    return [json.loads(line) for line in viewer.take()[0]]


def test_message_becomes_a_line(served: Callable[..., Any], eventually: Callable[..., Any]) -> None:
    """A line has the verdict, the words and the JSON, without credentials."""
    page = served(
        check=lambda topic, message: Verdict(False, "cn", "signature mismatch"),
        words=lambda message: "something happened",
    )
    page.send("org.test.a", msg_id="2026-x", timestamp=5, signature="S", username="ralph")
    eventually(page.kept)
    [line] = page.kept()
    assert line["topic"] == "org.test.a"
    assert (line["key"], line["sent"], line["user"]) == ("2026-x", 5, "ralph")
    assert (line["valid"], line["reason"], line["signer"]) == (False, "signature mismatch", "cn")
    assert line["words"] == "something happened"
    assert "signature" not in json.loads(line["json"])
    assert page.window.verdicts == {"signature mismatch": 1}


def test_failures_end_nothing(served: Callable[..., Any], eventually: Callable[..., Any]) -> None:
    """A check or words that fail are not the end; the verdict is then not valid."""

    def check(topic: str, message: dict[str, Any]) -> Verdict:
        if message["msg"] == "bad":
            raise RuntimeError("no")
        return Verdict(True, "cn")

    def words(message: dict[str, Any]) -> str:
        if message["msg"] == "worse":
            raise RuntimeError("no")
        return ""

    page = served(check=check, words=words)
    for text in ("bad", "worse", "good"):
        page.send("t", msg=text)
    eventually(lambda: len(page.kept()) == 2)
    assert [each["valid"] for each in page.kept()] == [False, True]
    assert "check failed" in page.kept()[0]["reason"]


@pytest.mark.parametrize(
    ("topic", "text", "found"),
    [
        ("", "", True), ("git", "", True), ("GIT.Rec", "", True), ("*git*", "", True),
        ("wiki", "", False), ("", "Kernel", True), ("", "DÉJÀ", True), ("", "receive", True),
        ("", "nothing", False), ("git", "nothing", False), ("", "words of it", True),
        ("wiki", "words of it", False),
    ],
)  # fmt: skip
def test_filters(
    served: Callable[..., Any], eventually: Callable[..., Any], topic: str, text: str, found: bool
) -> None:
    """A filter means parts of the topic, and of everything; live and in what is kept."""
    page = served(words=lambda message: "Words of it" if message["msg"] else "")
    live = page.window.join(wanted(topic, text))
    page.send("org.test.git.receive", msg={"package": "kernel", "say": "déjà vu"})
    eventually(page.kept)
    later = page.window.join(wanted(topic, text))
    assert len(lines(live)) == len(lines(later)) == int(found)


def test_sample_and_filter(served: Callable[..., Any], eventually: Callable[..., Any]) -> None:
    """Of a flood a sample is shown, and said to be one; a rare topic is not left out of it."""
    page = served(web_rate=10)
    everything, rare = page.window.join(wanted("", "")), page.window.join(wanted("rare", ""))
    for number in range(2000):
        page.send("org.test.often" if number % 1000 else "org.test.rare", msg={"n": number})
    eventually(lambda: rare.sent == 2)
    assert [json.loads(each["json"])["msg"]["n"] for each in lines(rare)] == [0, 1000]
    assert (everything.matched, rare.matched) == (2000, 2)
    assert everything.sent < 200
    assert page.window.unsampled > 1800


def test_kept_messages_are_bounded(
    served: Callable[..., Any], eventually: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By number, and by size."""
    page = served(web_kept=5, web_rate=10**6)
    for number in range(20):
        page.send("t", msg={"n": number})
    eventually(lambda: page.kept() and page.kept()[-1]["serial"] == 20)
    assert [each["serial"] for each in page.kept()] == [16, 17, 18, 19, 20]
    monkeypatch.setattr(windows, "_MOST_KEPT_SIZE", 2000)
    page.send("t", msg={"n": 20})
    eventually(lambda: page.kept()[-1]["serial"] == 21)
    assert 0 < len(page.kept()) < 5


def test_what_waits_for_the_check_is_bounded(
    served: Callable[..., Any], eventually: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that takes its time loses messages, which are counted; it holds up nobody."""
    monkeypatch.setattr(windows, "_MOST_PENDING_SIZE", 5000)
    going, free = threading.Event(), threading.Event()

    def check(topic: str, message: dict[str, Any]) -> Verdict:
        going.set()
        assert free.wait(20)
        return Verdict(True)

    page = served(check=check, web_rate=10**6)
    page.send("t", msg="x" * 10_000)
    assert going.wait(20)
    page.send("t", msg="x")
    assert page.window.overrun == 1
    free.set()
    eventually(lambda: page.window._pending_size == 0)
    page.send("t", msg="y")
    eventually(lambda: len(page.kept()) == 2)


def test_what_waits_for_a_viewer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest messages make room and are counted, by number and by size."""
    viewer = Viewer(wanted("", ""), 50)
    for number in range(1000):
        viewer.put(number, "x")
    assert viewer.skipped == 700
    assert viewer.take()[1] == 999
    assert viewer.take() == ([], 0)
    monkeypatch.setattr(viewers, "_MOST_WAITING_SIZE", 100)
    for number in range(10):
        viewer.put(number, "x" * 30)
    found, last = viewer.take()
    assert (len(found), last, viewer.skipped) == (3, 9, 707)


def test_viewer_that_comes_during_the_check(
    served: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    """It gets what is not kept yet, once, if it wants it."""
    going, free = threading.Event(), threading.Event()

    def check(topic: str, message: dict[str, Any]) -> Verdict:
        going.set()
        assert free.wait(20)
        return Verdict(True)

    page = served(check=check)
    page.send("org.test.git", msg_id="a")
    assert going.wait(20)
    joined = [page.window.join(wanted(topic, "")) for topic in ("", "git", "wiki")]
    free.set()
    eventually(page.kept)
    assert [[each["key"] for each in lines(viewer)] for viewer in joined] == [["a"], ["a"], []]
    assert [viewer.matched for viewer in joined] == [1, 1, 0]


def test_viewers_are_bounded(served: Callable[..., Any]) -> None:
    """The fifty-first has to wait until another leaves."""
    window = served().window
    joined = [window.join(wanted("", "")) for _ in range(50)]
    assert window.join(wanted("", "")) is None
    window.leave(joined[0])
    assert window.join(wanted("", "")) is not None


def test_permalinks(served: Callable[..., Any], eventually: Callable[..., Any]) -> None:
    """An id finds every message that has it; one that is none is replaced by a number."""
    page = served()
    for msg_id in ("same", "same", "<b>", None, 5, "y" * 1000):
        page.send("t", msg_id=msg_id)
    eventually(lambda: len(page.kept()) == 6)
    assert len(page.window.find("same")) == 2
    instance = page.window.instance
    assert [each["key"] for each in page.kept()[2:]] == [f"{instance}-{n}" for n in range(3, 7)]


def test_close_with_a_full_queue(served: Callable[..., Any]) -> None:
    """The end does not wait for what waits."""
    started, free = threading.Event(), threading.Event()

    def check(topic: str, message: dict[str, Any]) -> Verdict:
        started.set()
        free.wait(20)
        return Verdict(True)

    page = served(check=check, web_rate=10**6)
    for _ in range(1000):
        page.send("t")
    assert started.wait(20)
    assert page.window.overrun >= 1000 - windows._MOST_PENDING - 1
    threading.Timer(0.2, free.set).start()
    page.window.close()
    assert not page.window._thread.is_alive()
