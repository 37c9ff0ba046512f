"""Gap recovery: publishers number and keep their messages, subscribers fetch what they missed.

The parts are loaded when they are first used.  Specification: replay.md.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..exceptions import MissingDependency

if TYPE_CHECKING:
    from .client import get_replay
    from .server import ReplayContext
    from .watch import check_for_replay

__all__ = ["ReplayContext", "check_for_replay", "get_replay", "open_store"]

_log = logging.getLogger("fedmsg.replay")

#: URL -> store, of this process.
_stores: dict[str, Any] = {}
_HOMES = {"ReplayContext": "server", "check_for_replay": "watch", "get_replay": "client"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def open_store(value: Any) -> Any:
    """Return what the option ``persistent_store`` stands for.

    Args:
        value: a store, returned as it is; or the SQLAlchemy URL of a database, for which a
            process has one :class:`~fedmsg.replay.sqlstore.SqlStore`.

    Raises:
        MissingDependency: SQLAlchemy, the extra ``sql``, is not installed.
        ConfigurationError: the text is no URL of a database.
        StoreError: the database cannot be used.
    """
    if not isinstance(value, str):
        return value
    if value not in _stores:
        opened = _open_url(value)
        # Two threads may do so at the same time; a lock could be held while this process forks.
        if _stores.setdefault(value, opened) is not opened:
            opened.engine.dispose()
    return _stores[value]


@contextlib.contextmanager
def discarded_unless_signed(store: Any, message: dict[str, Any]) -> Iterator[None]:
    """Take a message out of the store again if the block fails: it is not going to be sent.

    Args:
        store: one that cannot, or None, is left alone.
        message: what the store has numbered.
    """
    try:
        yield
    except BaseException:
        if hasattr(store, "discard"):
            try:
                store.discard(message)
            except Exception:
                # Not in place of the error that matters.
                _log.exception("a message that is not sent stays in the persistent_store")
        raise


def _open_url(url: str) -> Any:
    try:
        from .sqlstore import from_url
    except ImportError as error:
        raise MissingDependency(
            "'persistent_store' is a URL and needs SQLAlchemy: pip install '.[sql]' in a checkout"
            f" of fedmsg ({error})"
        ) from error
    return from_url(url)
