"""A dict that fills itself at the first look.  Specification: config.md 2 and C3."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class LazyDict(dict[str, Any]):
    """Base of ``FedmsgConfig``: everything that reads calls ``load_config`` first, once.

    Writing does not load, and neither do ``==`` and ``repr``: an unread instance equals ``{}``.
    ``keys`` and ``__iter__`` must both stay overridden, or ``f(**conf)`` and ``dict(conf)`` copy
    the underlying table without asking.
    """

    _loaded = False

    def load_config(self, settings: Mapping[str, Any] | None = None) -> None:
        """Fill the dict and set ``_loaded``."""
        raise NotImplementedError

    def _load_once(self) -> None:
        if not self._loaded:
            self.load_config()

    def __getitem__(self, key: str) -> Any:
        self._load_once()
        return super().__getitem__(key)

    def __delitem__(self, key: str) -> None:
        self._load_once()
        super().__delitem__(key)

    def __contains__(self, key: object) -> bool:
        self._load_once()
        return super().__contains__(key)

    def __len__(self) -> int:
        self._load_once()
        return super().__len__()

    def __iter__(self) -> Iterator[str]:
        self._load_once()
        return super().__iter__()

    def __reversed__(self) -> Iterator[str]:
        self._load_once()
        return super().__reversed__()

    def __or__(self, other: Any) -> Any:
        return self.copy() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.copy()

    def get(self, key: str, default: Any = None) -> Any:
        self._load_once()
        return super().get(key, default)

    def keys(self) -> Any:
        self._load_once()
        return super().keys()

    def values(self) -> Any:
        self._load_once()
        return super().values()

    def items(self) -> Any:
        self._load_once()
        return super().items()

    def copy(self) -> dict[str, Any]:
        self._load_once()
        return dict(super().items())

    def pop(self, key: str, *default: Any) -> Any:
        self._load_once()
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, Any]:
        self._load_once()
        return super().popitem()

    def setdefault(self, key: str, default: Any = None) -> Any:
        self._load_once()
        return super().setdefault(key, default)
