"""Who may ask for the page, and what a browser may do with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

#: Nothing but this site's own files, and none of them may make markup out of text.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
_FOREIGN = "Only this page's own scripts may ask.\n"
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def host_of(header: str) -> str:
    """Return the host of a Host header, without the port and in lower case (RFC 9110, 7.2)."""
    host, colon, port = header.rpartition(":")
    return (host if colon and port.isdecimal() else header).lower().rstrip(".")


def bracketed(host: str) -> str:
    """Return a host as it is in an address of a page: IPv6 in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


class Guard:
    """Lets through what was asked for under a known name, and from this site.

    A page of another site can have its own name point to this machine (DNS rebinding): the Host
    header then has that name.

    Args:
        app: what is behind.
        hosts: names, besides those of the loopback interface.
    """

    def __init__(self, app: Any, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = {*_LOOPBACK, *(bracketed(host).lower() for host in hosts)}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return

        async def guarded(event: Any) -> None:
            if event["type"] == "http.response.start":
                event = {**event, "headers": [*event.get("headers", []), *_HEADERS]}
            await send(event)

        status, text = self._refusal(scope)
        if not status:
            await self._app(scope, receive, guarded)
            return
        body = text.encode("utf-8", "backslashreplace")
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
        ]
        await guarded({"type": "http.response.start", "status": status, "headers": headers})
        await guarded({"type": "http.response.body", "body": body})

    def _refusal(self, scope: Any) -> tuple[int, str]:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = host_of(headers.get(b"host", ""))
        if host not in self._hosts:
            return 421, f"{host[:100]!a} is not a name of this page: add it to 'web_hosts'.\n"
        # Only what another site's script asks for has an origin, also where nothing else says so.
        origin = headers.get(b"origin")
        if origin is not None and host_of(origin.partition("://")[2]) not in self._hosts:
            return 403, _FOREIGN
        # A link may lead here from anywhere; another page's script may not.
        foreign = headers.get(b"sec-fetch-site", "none") in ("cross-site", "same-site")
        if foreign and headers.get(b"sec-fetch-mode") != "navigate":
            return 403, _FOREIGN
        return 0, ""
