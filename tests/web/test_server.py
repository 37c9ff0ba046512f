"""What the server answers, and to whom."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fedmsg.exceptions import NoEndpointAvailable
from fedmsg.web import app, server
from fedmsg.web.guard import host_of

FILES = ["/", "/style.css", "/page.js", "/stream.js", "/panels.js"]


#: Ways to make markup out of text.
_SINKS = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function")


def test_files(served: Callable[..., Any]) -> None:
    """Every file of the page is there; none refers to another site, or makes markup of text."""
    page = served()
    for path in FILES:
        status, text, headers = page.get(path)
        assert status == 200
        assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == []
        assert _SINKS.search(text) is None
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"


def test_nothing_else(served: Callable[..., Any]) -> None:
    """Other paths are free, or nothing."""
    page = served()
    for path in ("/live", "/ready", "/metrics", "/static/", "/../setup.py", "/x"):
        assert page.get(path)[0] == 404


def test_read_only(served: Callable[..., Any]) -> None:
    """Nothing can be sent."""
    page = served()
    for path in (*FILES, "/events", "/messages/x"):
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            assert page.get(path, method)[0] == 405


def test_host_header(served: Callable[..., Any]) -> None:
    """Only names that are known to be this page's are answered (DNS rebinding)."""
    page = served(hosts=["Bus.example.com", "2001:db8::1"])
    known = [
        "[2001:DB8::1]:80",
        "localhost",
        "localhost:1234",
        "127.0.0.1:80",
        "[::1]:80",
        "LOCALHOST.",
    ]
    strange = [
        "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:8844",
        "", "192.0.2.1", "localhost:x", "\xe9",
    ]  # fmt: skip
    for host in (*known, "bus.example.com:443", *strange):
        for path in ("/", "/messages/x"):
            status, text, headers = page.get(path, Host=host)
            assert status == (421 if host in strange else 200), host
            assert "content-security-policy" in headers
            assert status == 200 or "web_hosts" in text


def test_host_of() -> None:
    """A port is no part of a name."""
    assert host_of("[::1]") == "[::1]"
    assert host_of("a:80") == host_of("A.") == "a"


def test_scripts_of_other_sites(served: Callable[..., Any]) -> None:
    """A link from elsewhere leads here; a script from elsewhere gets nothing."""
    page = served()
    for site, mode, status in [
        ("cross-site", "cors", 403), ("same-site", "no-cors", 403), ("cross-site", "navigate", 200),
        ("same-origin", "cors", 200), ("none", "navigate", 200),
    ]:  # fmt: skip
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
        assert page.get("/messages/x", **headers)[0] == status


def test_stream(served: Callable[..., Any]) -> None:
    """A browser gets what is kept, what comes, and the state."""
    page = served()
    page.send("org.test.a", msg_id="first")
    events = page.events("?topic=test")
    page.send("org.other.a", msg_id="other")
    page.send("org.test.a", msg_id="second")
    assert [each["key"] for each in events.messages(2)] == ["first", "second"]
    assert events.last_id == f"{page.window.instance}-3"
    state = events.next("state")
    assert state["received"] >= 1
    assert {"chart", "publishers", "consumers", "gaps", "rejected", "verdicts", "rate"} <= set(
        state
    )


def test_stream_goes_on(served: Callable[..., Any], eventually: Callable[..., Any]) -> None:
    """A browser that comes back gets what it has not had; of another instance, everything."""
    page = served()
    for number in range(3):
        page.send("t", msg_id=str(number))
    eventually(lambda: len(page.kept()) == 3)
    for position, keys in [
        (f"{page.window.instance}-2", ["2"]),
        ("00000000-2", ["0", "1", "2"]),
        ("x" * 5000, ["0", "1", "2"]),
    ]:
        events = page.events(**{"Last-Event-ID": position})
        assert [each["key"] for each in events.messages(len(keys))] == keys


def test_permalink(served: Callable[..., Any], eventually: Callable[..., Any]) -> None:
    """What is kept is found by its id; nothing else is."""
    page = served()
    page.send("t", msg_id="2026-a.b")
    eventually(page.kept)
    assert [each["key"] for each in json.loads(page.get("/messages/2026-a.b")[1])] == ["2026-a.b"]
    for key in ("x", "%00", "..%2f..%2fetc%2fpasswd", "%ff", "a" * 3000):
        status, text, _ = page.get(f"/messages/{key}")
        assert (status, text) in [(200, "[]"), (404, "Not Found")]


def test_long_filter_is_refused(served: Callable[..., Any]) -> None:
    """With the reason."""
    status, text, _ = served().get(f"/events?topic={'x' * 201}")
    assert status == 400
    assert "200 characters" in text


def test_too_many_browsers(served: Callable[..., Any], eventually: Callable[..., Any]) -> None:
    """The server says so, and lets the next one in as soon as one has gone."""
    page = served()
    joined = [page.events() for _ in range(50)]
    eventually(lambda: len(page.window.viewers) == 50)
    status, text, _ = page.get("/events")
    assert status == 503
    assert "too many" in text
    joined[0].close()
    eventually(lambda: len(page.window.viewers) == 49)
    page.events().next("state")


@contextlib.contextmanager
def stalling(page: Any) -> Iterator[None]:
    """Have somebody ask for the stream who then reads nothing."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", page.port))
        sock.sendall(b"GET /events?text=x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        yield


def send_many(page: Any, first: int) -> list[str]:
    """Let a hundred messages of five kilobytes arrive and return their ids."""
    keys = [str(number) for number in range(first, first + 100)]
    for key in keys:
        page.send("t", msg=["x", *["y" * 900] * 5], msg_id=key)
    return keys


def send_until(page: Any, events: Any, happened: Callable[[], bool]) -> None:
    """Let messages arrive until something happens; a browser that reads gets all of them."""
    first = 0
    while not happened():
        keys = send_many(page, first)
        assert [each["key"] for each in events.messages(100)] == keys
        first += 100


def test_stalled_browser_loses(
    served: Callable[..., Any], eventually: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that does not read loses messages, which are counted; the other gets all of them."""
    monkeypatch.setattr(app, "_TICK", 0.01)
    page = served(web_rate=10**6)
    events = page.events("?text=x")
    with stalling(page):
        eventually(lambda: len(page.window.viewers) == 2)
        send_until(page, events, lambda: any(each.skipped for each in page.window.viewers))
        assert sum(viewer.skipped == 0 for viewer in page.window.viewers) == 1


def test_stalled_browser_is_dropped(
    served: Callable[..., Any], eventually: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection of one that takes nothing for some time ends; the other one's does not."""
    monkeypatch.setattr(server, "_STALLED", 500)
    monkeypatch.setattr(app, "_TICK", 0.01)
    page = served(web_rate=10**6)
    events = page.events("?text=x")
    with stalling(page):
        eventually(lambda: len(page.window.viewers) == 2)
        send_until(page, events, lambda: len(page.window.viewers) != 2)
    page.send("t", msg="x", msg_id="last")
    assert events.messages(1)[0]["key"] == "last"


def test_nonsense_is_answered_or_ignored(served: Callable[..., Any]) -> None:
    """What is no request ends its own connection only."""
    page = served()
    for nonsense in (b"\x00" * 100, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000, b"GET\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", page.port), timeout=20) as sock:
            sock.sendall(nonsense)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
    assert page.get("/")[0] == 200


def test_port_is_taken(served: Callable[..., Any]) -> None:
    """The error names the options."""
    with pytest.raises(NoEndpointAvailable, match="web_host, web_port"):
        server.bind("127.0.0.1", served().port)
    with pytest.raises(NoEndpointAvailable, match="192.0.2.1"):
        server.bind("192.0.2.1", 0)
    with pytest.raises(NoEndpointAvailable, match="99999"):
        server.bind("127.0.0.1", 99999)
