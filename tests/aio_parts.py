"""What tests of fedmsg.aio share."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from parts import PATIENCE

_T = TypeVar("_T")


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Return what a coroutine returns, in a loop of its own; it has a deadline."""

    async def bounded() -> _T:
        return await asyncio.wait_for(main, PATIENCE)

    return asyncio.run(bounded())
