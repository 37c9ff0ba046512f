"""Reading what a daemon tells Prometheus."""

from __future__ import annotations

import re
import urllib.error
import urllib.request


def get(port: int, path: str) -> tuple[int, str]:
    """Return status and text of a page; status 0 if nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def value(port: int, series: str) -> float:
    """Return one value, by its name and labels as they are written; -1 if it is not there."""
    found = re.search(rf"^{re.escape(series)} (\S+)$", get(port, "/metrics")[1], re.MULTILINE)
    return float(found[1]) if found else -1.0
