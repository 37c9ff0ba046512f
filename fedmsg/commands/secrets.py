"""Keeping passwords out of what is printed."""

from __future__ import annotations

import re
from typing import Any

_SECRET_KEY = re.compile(r"pass$|passw|secret|token|api_?key", re.IGNORECASE)
_SECRET_IN_URL = re.compile(r"(?<=://)([^/@:\s]*):[^/@\s]*@")
_MASK = "***"


def redacted(value: Any) -> Any:
    """Return a copy of a value without the passwords in it, in keys or in URLs."""
    if isinstance(value, dict):
        return {
            key: _MASK if item and is_secret(key) else redacted(item) for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [redacted(item) for item in value]
    if isinstance(value, str):
        return _SECRET_IN_URL.sub(rf"\1:{_MASK}@", value)
    return value


def is_secret(key: Any) -> bool:
    """Return whether the value of a configuration key is not to be shown."""
    return isinstance(key, str) and _SECRET_KEY.search(key) is not None
