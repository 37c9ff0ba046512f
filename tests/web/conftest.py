"""A page that is served in this process, and browsers that look at it."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import Browser, program

from fedmsg.crypto.verdict import UNSIGNED, Verdict, rejected
from fedmsg.web import app, server
from fedmsg.web.monitoring import Monitoring
from fedmsg.web.state import State
from fedmsg.web.window import Window

#: Longest wait for something that should happen at once, seconds.
PATIENCE = 20.0


def unsigned(_topic: str, _message: dict[str, Any]) -> Verdict:
    """A check to which nothing is signed."""
    return rejected(UNSIGNED)


class Events:
    """A stream of server-sent events, read by hand."""

    def __init__(self, port: int, query: str = "", **headers: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.connection.request("GET", f"/events{query}", headers=headers)
        self.answer = self.connection.getresponse()
        self.last_id = ""

    def next(self, wanted: str) -> Any:
        """Return the data of the next event of a kind."""
        kind = ""
        while True:
            line = self.answer.readline().decode()
            assert line, "the stream ended"
            name, _, value = line.rstrip("\n").partition(": ")
            if name == "event":
                kind = value
            elif name == "id":
                self.last_id = value
            elif name == "data" and kind == wanted:
                return json.loads(value)

    def messages(self, count: int) -> list[dict[str, Any]]:
        """Return the next messages, at least so many."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            found += self.next("messages")["messages"]
        return found

    def close(self) -> None:
        """Go away."""
        self.answer.close()
        self.connection.close()


class Served:
    """Window, state and server in this process."""

    def __init__(self, stack: contextlib.ExitStack, config: dict[str, Any]) -> None:
        check, words = config.pop("check", unsigned), config.pop("words", lambda message: "")
        self._hosts, numbered = config.pop("hosts", []), config.pop("numbered", [])
        self._port = config.pop("port", 0)
        config.setdefault("topic_prefix", "org.test")
        self._stack = stack
        self.rejected: Counter[str] = Counter()
        self.window = Window(config, check, words, numbered)
        stack.callback(self.window.close)
        self.monitoring = Monitoring(config.get("web_monitoring", []))
        stack.callback(self.monitoring.close)
        self.state = State(self.window, self.monitoring, self.rejected)

    @functools.cached_property
    def server(self) -> server.Server:
        """Started when it is needed."""
        made = server.Server(
            app.make(self.window, self.state, self._hosts), server.bind("127.0.0.1", self._port)
        )
        self._stack.callback(made.close)
        return made

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server.port

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://127.0.0.1:{self.port}/"

    def send(self, topic: str, **message: Any) -> None:
        """Let a message arrive."""
        self.window.arrived("me", topic, {"topic": topic, "msg": {}, **message})

    def kept(self) -> list[dict[str, Any]]:
        """Return the messages that are kept."""
        return [json.loads(each.line) for each in list(self.window._kept)]

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, Any]:
        """Return status, text and headers of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()

    def events(self, query: str = "", **headers: str) -> Events:
        """Return a stream; it is closed with the test."""
        events = Events(self.port, query, **headers)
        self._stack.callback(events.close)
        return events


@pytest.fixture
def served() -> Iterator[Callable[..., Served]]:
    """A function that serves a page, with these settings."""
    with contextlib.ExitStack() as stack:
        yield lambda **config: Served(stack, config)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Browser]]:
    """A function that starts a browser of its own."""
    if program() is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "Chromium is not installed: apt-get install chromium"
        )
    with contextlib.ExitStack() as stack:

        def start() -> Browser:
            browser = Browser(tmp_path_factory.mktemp("chromium"))
            stack.callback(browser.close)
            return browser

        yield start


@pytest.fixture(scope="session")
def shared_browser(chromium: Callable[[], Browser]) -> Browser:
    """One browser for all tests that do not stall it."""
    return chromium()


@pytest.fixture
def tab(shared_browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """A function that opens a page in a tab; at the end no page may have complained."""
    tabs: list[Any] = []

    def open_(*arguments: Any, **settings: Any) -> Any:
        tabs.append(shared_browser.tab(*arguments, **settings))
        return tabs[-1]

    yield open_
    for each in tabs:
        each.run("0")  # reads what it has said
    complaints = [text for each in tabs for text in each.complaints]
    for each in tabs:
        each.call("Page.navigate", url="about:blank")
        each.close()
    assert complaints == []
