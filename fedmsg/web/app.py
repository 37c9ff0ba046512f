"""The page and what it asks for, as an ASGI application.

``/events`` is a stream of server-sent events (WHATWG HTML, 9.2): ``messages`` with what waits for
this browser, and ``state``, once a second.  ``/live``, ``/ready`` and ``/metrics`` are left free.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from .guard import Guard
from .state import State
from .viewer import Viewer, wanted
from .window import Window

_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "stream.js": "text/javascript; charset=utf-8",
    "panels.js": "text/javascript; charset=utf-8",
}
#: Seconds from one look at what waits for a browser to the next.
_TICK = 0.2
#: After so many milliseconds a browser comes back when it has lost the server.
_RETRY = 2000
#: Characters of a filter.
_LONGEST = 200
_POSITION = re.compile(r"([0-9a-f]{8})-([0-9]{1,15})")


def make(window: Window, state: State, hosts: Iterable[str] = ()) -> Page:
    """Return the application.

    Args:
        window: what it shows.
        state: what it shows beside the stream.
        hosts: names under which it may be asked for, besides the loopback's.
    """
    return Page(window, state, hosts)


class Page:
    """The application; its streams end after :meth:`end`."""

    def __init__(self, window: Window, state: State, hosts: Iterable[str]) -> None:
        self._window = window
        self._events = _Events(window, state)
        routes = [
            Route("/events", self._events),
            Route("/messages/{key}", self._message),
            *(
                Route("/" if name == "index.html" else f"/{name}", _file(name, kind))
                for name, kind in _TYPES.items()
            ),
        ]
        self._app = Guard(Starlette(routes=routes), hosts)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)

    async def _message(self, request: Request) -> Response:
        """What a permalink shows."""
        lines = self._window.find(request.path_params["key"])
        return Response(f"[{','.join(lines)}]", media_type="application/json")

    def end(self) -> None:
        """End the streams soon; from any thread."""
        self._events.ending = True


def _file(name: str, kind: str) -> Any:
    content = resources.files(__package__).joinpath("static").joinpath(name).read_bytes()

    async def respond(_request: Request) -> Response:
        return Response(content, media_type=kind)

    return respond


class _Events:
    """``/events``: one stream for each browser."""

    def __init__(self, window: Window, state: State) -> None:
        self._window, self._state = window, state
        self.ending = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        if request.method != "GET":
            headers = {"allow": "GET"}
            await PlainTextResponse("GET only\n", 405, headers)(scope, receive, send)
            return
        topic, text = (request.query_params.get(name, "") for name in ("topic", "text"))
        if max(len(topic), len(text)) > _LONGEST:
            answer = f"a filter has at most {_LONGEST} characters\n"
            await PlainTextResponse(answer, 400)(scope, receive, send)
            return
        viewer = self._window.join(wanted(topic, text), self._after(request))
        if viewer is None:
            answer = "too many browsers are looking; close one\n"
            await PlainTextResponse(answer, 503)(scope, receive, send)
            return
        try:
            await self._stream(viewer, receive, send)
        finally:
            self._window.leave(viewer)

    def _after(self, request: Request) -> int:
        """Return the number of the last message that the browser has, 0 for none of ours."""
        found = _POSITION.fullmatch(request.headers.get("last-event-id", ""))
        return int(found[2]) if found and found[1] == self._window.instance else 0

    async def _stream(self, viewer: Viewer, receive: Any, send: Any) -> None:
        gone = asyncio.ensure_future(_until_gone(receive))
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            text, number, told = f"retry: {_RETRY}\n\n", 0, (0, 0, 0)
            while not gone.done() and not self.ending:
                lines, last = viewer.take()
                counts = viewer.matched, viewer.sent, viewer.skipped
                if lines or counts != told:
                    text, told = text + self._batch(lines, last, *counts), counts
                state = self._state.text()
                if self._state.number != number:
                    number = self._state.number
                    text += f"event: state\ndata: {state}\n\n"
                if text:
                    # Waits while the browser does not read.
                    body = {"type": "http.response.body", "body": text.encode("ascii")}
                    await send({**body, "more_body": True})
                text = ""
                await asyncio.wait({gone}, timeout=_TICK)
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()

    def _batch(self, lines: list[str], last: int, matched: int, sent: int, skipped: int) -> str:
        position = f"id: {self._window.instance}-{last}\n" if last else ""
        counts = f'"matched":{matched},"sent":{sent},"skipped":{skipped}'
        data = f'{{"messages":[{",".join(lines)}],{counts}}}'
        return f"event: messages\n{position}data: {data}\n\n"


async def _until_gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
