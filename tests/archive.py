"""An HTTP server with the interface of datagrepper."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hubs import frames

#: When the first message was sent, seconds since the epoch; one follows every second.
START = 1_000_000


def archived(number: int, topic: str = "org.test.dev.mod.thing", **changes: Any) -> dict[str, Any]:
    """Return a message as datagrepper keeps it."""
    return {
        "topic": topic, "msg": {"n": number}, "msg_id": f"id-{number}", "i": 1, "headers": {},
        "timestamp": START + float(number), "source_name": "datanommer", "source_version": "1.4",
        **changes,
    }  # fmt: skip


def status_of(path: Path) -> tuple[int, str]:
    """Return the number of the message in a status file, and the status."""
    found = json.loads(path.read_text())
    return found["message"]["body"]["msg"]["n"], found["status"]


def live(number: int) -> list[bytes]:
    """Return a message of the archive as it comes over the bus."""
    body = {k: v for k, v in archived(number).items() if not k.startswith("source")}
    return frames(body["topic"], json.dumps(body))


class Archive:
    """Serves messages, and remembers what it was asked.

    Attributes:
        messages: what it has.
        queries: the parameters of every request.
        failures: what it answers instead, first to last: a status, or the text of a page.
        reason: the text of the status.
    """

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.queries: list[dict[str, list[str]]] = []
        self.failures: list[int | str] = []
        self.reason = ""
        archive = self

        class Handler(BaseHTTPRequestHandler):
            """One request."""

            def do_GET(self) -> None:
                """Answer a query."""
                status, text = archive.answer(parse_qs(urlsplit(self.path).query))
                self.send_response(status, archive.reason or None)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/raw"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def answer(self, query: dict[str, list[str]]) -> tuple[int, str]:
        """Return status and text."""
        self.queries.append(query)
        if self.failures:
            failure = self.failures.pop(0)
            return (failure, "no") if isinstance(failure, int) else (200, failure)
        found = [each for each in self.messages if self._matches(each, query)]
        rows, page = int(query["rows_per_page"][0]), int(query["page"][0])
        return 200, json.dumps({
            "pages": -(-len(found) // rows), "count": len(found), "total": len(found),
            "raw_messages": found[rows * (page - 1) : rows * page],
        })  # fmt: skip

    @staticmethod
    def _matches(message: Any, query: dict[str, list[str]]) -> bool:
        if not isinstance(message, dict) or not isinstance(message.get("topic"), str):
            return True  # it may be broken
        topic = message["topic"]
        return (
            float(query["start"][0]) <= message.get("timestamp", START) <= float(query["end"][0])
            and topic in query.get("topic", [topic])
            and ("category" not in query or topic.split(".")[3] in query["category"])
        )

    def pages(self) -> list[int]:
        """Return which pages were asked for."""
        return [int(query["page"][0]) for query in self.queries]

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
