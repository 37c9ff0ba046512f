"""What a row of the option table is made of, and the checks of values.

A check returns the value to store, or raises ValueError or TypeError.  Texts: config.md 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

Check = Callable[[Any], Any]


def integer(value: Any) -> int:
    """Accept what ``int()`` takes and is not negative; every error is a ValueError or TypeError."""
    try:
        number = int(value)
    except OverflowError as error:
        raise ValueError(str(error)) from error
    if number < 0:
        raise ValueError("Integer must be greater than or equal to zero")
    return number


def positive(value: Any) -> int:
    """Accept what ``int()`` takes and is above zero."""
    number = integer(value)
    if number == 0:
        raise ValueError("Integer must be greater than zero")
    return number


def real(value: Any) -> float:
    """Accept what ``float()`` takes, is finite and is not negative."""
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError(str(error)) from error
    if not math.isfinite(number):
        raise ValueError("Floating point number must be finite")
    if number < 0:
        raise ValueError("Floating point number must be greater than or equal to zero")
    return number


def boolean(value: Any) -> bool:
    """Accept a bool, or the words ``true`` and ``false`` in any case; ValueError otherwise."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise ValueError(f'"{value}" is not a boolean value.')  # noqa: TRY004
    word = value.strip().lower()
    if word not in ("true", "false"):
        raise ValueError(f'"{value}" must be a boolean ("True" or "False")')
    return word == "true"


def _instance_of(kind: type) -> Check:
    def check(value: Any) -> Any:
        if value is None or isinstance(value, kind):
            return value
        raise ValueError(f'"{value}" is not "{kind}"')

    check.__name__ = kind.__name__
    return check


text, array, mapping = _instance_of(str), _instance_of(list), _instance_of(dict)


def text_or_list(value: Any) -> Any:
    """Accept a string, a list of strings or None."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    return text(value)


def anything(value: Any) -> Any:
    """Accept every value as it is."""
    return value


def addresses(value: Any) -> dict[str, list[str]]:
    """Accept a dict of name to one address or a list of them; every value becomes a list.

    Raises:
        ValueError: the value has another form; the text names the entry.
    """
    if not isinstance(value, dict):
        raise ValueError(f'"{value}" is not a dict of name to list of addresses')  # noqa: TRY004
    return {name: _address_list(name, entry) for name, entry in value.items()}


_SEQUENCES = (list, tuple, set, frozenset)


def policy(value: Any) -> Any:
    """Accept a dict of topic to a list, tuple or set of names, or None.

    Raises:
        ValueError: the value has another form; the text names the entry.
    """
    for topic, names in (mapping(value) or {}).items():
        if not isinstance(topic, str):
            raise ValueError(f"the topic {topic!r} must be a string")  # noqa: TRY004
        # A string would contain every part of itself.
        if not isinstance(names, _SEQUENCES) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"the value of {topic!r} must be a list of names, not {names!r}")
    return value


def ports(value: Any) -> Any:
    """Accept a port number, or a dict of name to port number; 0 is none.

    Raises:
        ValueError: the value has another form; the text names the entry.
    """
    if isinstance(value, dict):
        return {name: _port(each, f"the value of {name!r}") for name, each in value.items()}
    return _port(value, "it")


def _port(value: Any, what: str) -> int:
    number = integer(value)
    if number > 65535:
        raise ValueError(f"{what} must be a port, at most 65535, not {number}")
    return number


def durations(value: Any) -> dict[str, float]:
    """Accept a dict of name to a number of seconds above zero.

    Raises:
        ValueError: the value has another form; the text names the entry.
    """
    found = {}
    for name, seconds in (mapping(value) or {}).items():
        if not isinstance(name, str):
            raise ValueError(f"the name {name!r} must be a string")  # noqa: TRY004
        try:
            found[name] = real(seconds)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"the value of {name!r} must be a number of seconds: {error}"
            ) from error
        if not found[name]:
            raise ValueError(f"the value of {name!r} must be more than 0 seconds")
    return found


def _address_list(name: Any, entry: Any) -> list[str]:
    if not isinstance(name, str):
        raise ValueError(f"the name {name!r} must be a string")  # noqa: TRY004
    if entry is None:
        return []
    if isinstance(entry, str):
        return [entry]
    if isinstance(entry, _SEQUENCES) and all(isinstance(item, str) for item in entry):
        return list(entry)
    raise ValueError(f"the value of {name!r} must be an address or a list of them, not {entry!r}")


ABSENT: Any = type("Absent", (), {"__repr__": lambda self: "ABSENT"})()
"""Stands for "no value": None is a value that many options accept."""


class Option:
    """One row of the table, read only.

    A plain class: a dataclass or a NamedTuple would make ``import fedmsg`` slower by milliseconds.

    Attributes:
        name: the key in a configuration file.
        doc: one line for the manual.
        default: value in ``conf``; ABSENT if it is not one of conf's keys.
        loaded: value in the result of ``load_config``; ABSENT if only a file sets it.
        fallback: what the code uses when the key is missing; ABSENT: ``loaded`` or ``default``.
        check: returns the value to store, or raises ValueError or TypeError.
        unit: what a number counts, or an empty text.
        section: heading in the manual.
    """

    __slots__ = ("check", "default", "doc", "fallback", "loaded", "name", "section", "unit")

    def __init__(
        self,
        name: str,
        doc: str,
        default: Any = ABSENT,
        loaded: Any = ABSENT,
        fallback: Any = ABSENT,
        check: Check = anything,
        unit: str = "",
    ) -> None:
        self.name = name
        self.doc = doc
        self.default = default
        self.loaded = loaded
        self.fallback = fallback
        self.check = check
        self.unit = unit
        self.section = ""

    @property
    def in_conf(self) -> bool:
        """Whether the option is one of the 48 keys of ``fedmsg.config.conf``."""
        return self.default is not ABSENT

    @property
    def otherwise(self) -> Any:
        """The value in use when the configuration has none; None if there is no such value."""
        for value in (self.fallback, self.loaded, self.default):
            if value is not ABSENT:
                return value
        return None
