"""The page in a real browser."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from chromium import Tab
from parts import Publisher

from fedmsg.crypto.verdict import Verdict

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

ROWS = "document.querySelectorAll('#messages li').length"
TOPICS = "[...document.querySelectorAll('#messages .topic')].map(each => each.textContent)"
SCRIPT = "<script>window.owned = 1</script><img src=x onerror='window.owned = 1'>"
HOSTILE = {
    "script": SCRIPT,
    "terminal": "\x1b[2J\x1b]0;owned\x07 \x9b31m text",
    "direction": "abc\u202egnp.exe\u2066\u2069",
    "huge": "H" * 10_000_000,
    "surrogate": "\ud800 text \udfff",
    "stacked": "Z" + "\u0300" * 5000,
    "url": "javascript:window.owned=1//data:text/html," + SCRIPT,
}


def text(tab: Tab, selector: str) -> str:
    """Return the text of an element."""
    found: str = tab.run(f"document.querySelector({json.dumps(selector)}).textContent")
    return found


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_in_every_column(
    served: Callable[..., Any], tab: Callable[..., Tab], publisher: Callable[..., Publisher],
    kind: str,
) -> None:  # fmt: skip
    """It is text wherever it is shown; nothing runs, no element is made, and the page lives on."""
    bad = HOSTILE[kind]
    monitored = publisher()
    page = served(
        check=lambda topic, message: Verdict(False, bad, bad[:200]), words=lambda message: bad,
        web_monitoring=[monitored.endpoint], numbered=[bad],
    )  # fmt: skip
    row = {"name": bad[:90_000], "module": bad[:90_000], "backlog": bad[:90_000]}
    monitored.joined()
    monitored.send([b"", json.dumps({"consumers": [row]}).encode()])
    everything = {
        "msg": {bad: [bad], "plain": bad}, "msg_id": bad, "username": bad, "timestamp": bad,
        "i": bad, "crypto": bad, bad: bad,
    }  # fmt: skip
    page.window.arrived(bad, bad, {"topic": bad, **everything})
    seen = tab(page.url)
    seen.until(f"{ROWS} === 1")
    seen.press("j")
    seen.press("Enter")
    seen.until("document.querySelector('#messages pre')")
    seen.until("document.querySelector('#consumer-rows td')")
    seen.until("document.querySelector('#publisher-rows td')")
    assert seen.run("window.owned") is None
    made = "document.querySelectorAll('main script, main img, main iframe, [style], [onerror]')"
    assert seen.run(f"{made}.length") == 0
    shown = seen.run("document.body.textContent")
    assert not set("\x1b\x07\x9b\u202e\u2066\u2069") & set(shown)
    assert len(shown) < 100_000
    if kind == "script":
        for selector in ("#messages .topic", "#messages .words", "#messages .verdict",
                         "#messages pre", "#topic-rows button", "#publisher-rows td",
                         "#consumer-rows td", "#loss-rows", "#gap-rows td"):  # fmt: skip
            assert "<script>" in text(seen, selector), selector
    if kind == "direction":
        assert r"abc\u202egnp.exe" in text(seen, "#messages .topic")
    if kind == "huge":
        assert "[cut: 10,000,000 characters]" in text(seen, "#messages pre")
        assert "parts are cut" in text(seen, "#messages .body dl")
    page.send("org.test.next")
    seen.until(f"{ROWS} === 2")


def test_filter_and_search(served: Callable[..., Any], tab: Callable[..., Tab]) -> None:
    """Both fields filter what comes and what is there, and are in the address of the page."""
    page = served()
    for name in ("git", "wiki"):
        page.send(f"org.test.dev.{name}.x", msg={"package": f"kernel-{name}"})
    seen = tab(page.url)
    seen.until(f"{ROWS} === 2")
    seen.press("t")
    seen.type("GIT")
    seen.until(f"{TOPICS}.join() === 'org.test.dev.git.x'")
    page.send("org.test.dev.wiki.y")
    page.send("org.test.dev.git.y")
    seen.until(f"{TOPICS}.join() === 'org.test.dev.git.y,org.test.dev.git.x'")
    assert seen.run("location.search") == "?topic=GIT"
    seen.press("Escape")
    seen.press("/")
    seen.type("kernel-git")
    seen.until(f"{TOPICS}.join() === 'org.test.dev.git.x'")
    assert seen.run("location.search") == "?topic=GIT&text=kernel-git"
    again = tab(page.url + "?topic=GIT&text=kernel-git")
    again.until(f"{TOPICS}.join() === 'org.test.dev.git.x'")
    again.press("Escape")
    again.until(f"{ROWS} === 4")


def test_pause(served: Callable[..., Any], tab: Callable[..., Tab]) -> None:
    """Paused, nothing moves, and what comes is counted; then it is shown."""
    page = served()
    page.send("org.test.a")
    seen = tab(page.url)
    seen.until(f"{ROWS} === 1")
    seen.press("p")
    for _ in range(3):
        page.send("org.test.b")
    seen.until("document.getElementById('status').textContent === 'paused, 3 new'")
    assert seen.run(ROWS) == 1
    seen.run("document.getElementById('pause').click()")
    seen.until(f"{ROWS} === 4")
    assert text(seen, "#status") == "live"


def test_permalink(served: Callable[..., Any], tab: Callable[..., Tab]) -> None:
    """A message's link shows it, open; the link of one that is not kept any more says so."""
    page = served()
    page.send("org.test.a", msg={"say": "hello"}, msg_id="2026-a")
    seen = tab(page.url)
    seen.until(f"{ROWS} === 1")
    seen.press("j")
    seen.press("o")
    assert seen.run("document.querySelector('.permalink').href") == f"{page.url}?message=2026-a"
    seen.press("l")
    seen.until("location.search === '?message=2026-a' && document.querySelector('#linked pre')")
    assert '"say": "hello"' in text(seen, "#linked pre")
    gone = tab(page.url + "?message=" + "%3Cb%3Egone")
    gone.until("document.querySelector('#linked-messages p')")
    assert "<b>gone is kept here" in text(gone, "#linked-messages")


def test_keys(served: Callable[..., Any], tab: Callable[..., Tab]) -> None:
    """Messages, themes, parts and the list of keys are reached without a mouse."""
    page = served()
    for number in range(3):
        page.send(f"org.test.t{number}")
    seen = tab(page.url, width=390, height=800, theme="dark")
    seen.until(f"{ROWS} === 3")
    focused = "document.activeElement.querySelector('.topic').textContent"
    seen.press("j")
    assert seen.run(focused) == "org.test.t2"
    seen.press("j")
    assert seen.run(focused) == "org.test.t1"
    seen.press("k")
    assert seen.run(focused) == "org.test.t2"
    seen.press("Enter")
    assert seen.run("document.querySelectorAll('#messages pre').length") == 1
    seen.press("o")
    assert seen.run("document.querySelectorAll('#messages pre').length") == 0
    for number, name in enumerate(["stream", "topics", "publishers", "consumers", "losses"], 1):
        seen.press(str(number))
        visible = "[...document.querySelectorAll('main section')].filter(e => e.offsetHeight)"
        assert seen.run(f"{visible}.map(each => each.id).join()") == name
    assert seen.run("document.documentElement.dataset.theme") == "dark"
    seen.press("d")
    assert seen.run("document.documentElement.dataset.theme") == "light"
    seen.press("?")
    assert seen.run("document.getElementById('keys').open")
    seen.press("Escape")
    seen.until("!document.getElementById('keys').open")


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_fits_the_window(
    served: Callable[..., Any], tab: Callable[..., Tab], width: int, theme: str
) -> None:
    """Nothing is wider than the window, whatever the messages are."""
    page = served(web_chart_seconds=60, numbered=["me"])
    page.send("org.test." + "long" * 70, msg={"say": "x" * 900}, username="u" * 90)
    seen = tab(page.url, width=width, height=800, theme=theme)
    seen.until(f"{ROWS} === 1")
    seen.press("j")
    seen.press("o")
    for number in range(1, 6):
        seen.press(str(number))
        assert seen.run("document.documentElement.scrollWidth") == width
    assert seen.run("document.documentElement.dataset.theme") == theme


def test_chart(served: Callable[..., Any], tab: Callable[..., Tab]) -> None:
    """The hour, here a minute, is drawn as soon as its first part is over."""
    page = served(web_chart_seconds=60)
    for _ in range(30):
        page.send("org.test.a")
    seen = tab(page.url)
    seen.until("document.querySelectorAll('#chart path').length === 1")
    assert "messages/s" in text(seen, "#chart-most")
    assert text(seen, "#chart-from") == "1 min ago"
    seen.run("document.querySelector('#topic-rows button').click()")
    assert seen.run("document.getElementById('topic').value") == "org.test.a"


def test_server_goes_and_comes_back(served: Callable[..., Any], tab: Callable[..., Tab]) -> None:
    """A page that loses its server says so, keeps what it has, and goes on with the next one."""
    page = served()
    page.send("org.test.a")
    seen = tab(page.url)
    seen.until(f"{ROWS} === 1")
    page.server.close()
    seen.until("document.getElementById('status').dataset.state === 'lost'")
    assert seen.run(ROWS) == 1
    again = served(port=page.port)
    assert again.port == page.port
    again.send("org.test.b")
    seen.until(f"{TOPICS}.join() === 'org.test.b,org.test.a'")
    assert text(seen, "#status") == "live"
