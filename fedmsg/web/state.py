"""What the page shows beside the stream, as one JSON text that all browsers get."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

from .. import encoding
from .monitoring import Monitoring
from .window import Window

#: Made at most so often, seconds.
PERIOD = 1.0


class State:
    """Makes the text, at most once a second however many look.

    Args:
        window: what was received.
        monitoring: what daemons say.
        rejected: of the context that receives: messages that had no form, by reason.

    Attributes:
        number: grows with every new text.
    """

    def __init__(self, window: Window, monitoring: Monitoring, rejected: Counter[str]) -> None:
        self._window, self._monitoring, self._rejected = window, monitoring, rejected
        self._began = self._made = time.monotonic()
        self._lock = threading.Lock()
        self._received, self._rate = 0, 0.0
        self._text = ""
        self.number = 0

    def text(self) -> str:
        """Return the state as JSON."""
        with self._lock:
            now = time.monotonic()
            if not self._text or now - self._made >= PERIOD:
                self._text = encoding.dumps(self._report(now))
                self._made = now
                self.number += 1
            return self._text

    def _report(self, now: float) -> dict[str, Any]:
        window = self._window
        with window.lock:
            received = window.received
            found = {
                "chart": window.rates.report(now),
                "publishers": window.publishers.report(now),
                "publishers_forgotten": window.publishers.forgotten,
                "gaps": window.sequences.report(),
            }
        if now > self._made:
            self._rate = (received - self._received) / (now - self._made)
        self._received = received
        return {
            **found,
            **self._monitoring.report(),
            "instance": window.instance,
            "now": time.time(),
            "up": round(now - self._began, 1),
            "rate": round(self._rate, 1),
            "most": window.rate,
            "received": received,
            "kept": window.kept,
            "unsampled": window.unsampled,
            "overrun": window.overrun,
            "viewers": len(window.viewers),
            "skipped": sum(viewer.skipped for viewer in window.viewers),
            "rejected": dict(self._rejected.copy()),
            "verdicts": dict(window.verdicts.copy()),
        }
