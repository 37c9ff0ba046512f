"""Messages in words.  Specification: meta.md.

    >>> import fedmsg.config, fedmsg.meta
    >>> config = fedmsg.config.load_config()  # doctest: +SKIP
    >>> fedmsg.meta.make_processors(**config)  # doctest: +SKIP
    >>> fedmsg.meta.msg2subtitle(msg, **config)  # doctest: +SKIP

Processors, which know one service each, come from the entry points of the group ``fedmsg.meta`` of
whatever is installed.  Every ``msg2...`` function takes the message, the processor if it is known,
and the configuration.  A KeyError in a processor, which expected another form of message, is
logged, and the answer is empty; :func:`fedmsg.meta.failures.safely` guards against all errors.
"""

from __future__ import annotations

import functools
import gettext
import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from .._limits import RateLimit
from . import _lookup, base
from .base import BaseConglomerator, BaseProcessor, Message
from .default import DefaultProcessor
from .failures import report

__all__ = [
    "BaseConglomerator",
    "DefaultProcessor",
    "ProcessorsNotInitialized",
    "base",
    "conglomerate",
    "graceful",
    "legacy_condition",
    "make_processors",
    "msg2agent",
    "msg2avatars",
    "msg2emails",
    "msg2icon",
    "msg2lexer",
    "msg2link",
    "msg2long_form",
    "msg2objects",
    "msg2packages",
    "msg2processor",
    "msg2repr",
    "msg2secondary_icon",
    "msg2subjective",
    "msg2subtitle",
    "msg2title",
    "msg2usernames",
    "processors",
    "with_processor",
]

Config = dict[str, Any]
_T = TypeVar("_T")

log = logging.getLogger("fedmsg.meta")

t: gettext.NullTranslations
try:
    t = gettext.translation("fedmsg", "locale", fallback=True)
except (OSError, ValueError) as _error:  # any directory may have a file of that name
    log.warning("cannot read the translations in ./locale: %s", _error)
    t = gettext.NullTranslations()
_ = t.gettext

#: Messages cause these reports: so many a minute are logged.
_reports = RateLimit(60)


class ProcessorsNotInitialized(Exception):
    """Raised by whatever needs processors before :func:`make_processors` was called.

    An instance stands in :data:`processors` until then; it is false, and has no elements.
    """

    _TEXT = "You must first call fedmsg.meta.make_processors(**config)"

    def __init__(self, *args: Any) -> None:
        super().__init__(*(args or (self._TEXT,)))

    def __bool__(self) -> bool:
        return False

    def __iter__(self) -> Iterator[Any]:
        raise ProcessorsNotInitialized

    def __len__(self) -> int:
        raise ProcessorsNotInitialized


#: The processors, in the order in which they are asked; the last one takes what is left.
processors: Any = ProcessorsNotInitialized()


def make_processors(**config: Any) -> None:
    """Make the processors of everything that is installed, unless it was done before.

    To make them anew, set ``fedmsg.meta.processors = []`` first.  A plug-in that cannot be loaded
    or made is logged, and the others work.

    Args:
        config: the configuration; ``topic_prefix_re`` is needed, and handed to every processor.

    Raises:
        KeyError: there is no ``topic_prefix_re``; :data:`processors` is not initialized then.
    """
    global processors
    if processors:
        return
    processors = ProcessorsNotInitialized()
    last = DefaultProcessor(_, **config)

    from ._plugins import load

    plugins = load(_, config)
    if all(type(each).__module__.startswith("fedmsg.meta.") for each in plugins):
        # Tests of applications replace log.warn, which is deprecated, and expect this one call.
        warn = vars(log).get("warn", log.warning)
        warn("No fedmsg.meta plugins found.  fedmsg.meta.msg2* crippled")
    processors = [*plugins, last]


def msg2processor(msg: Message, **config: Any) -> Any:
    """Return the first processor that handles a message, or the last one of all.

    Raises:
        KeyError: the message has no topic.
        TypeError: the message is not a dict, or its topic is not text.
        ProcessorsNotInitialized: :func:`make_processors` was not called.
    """
    return _lookup.find(processors or ProcessorsNotInitialized(), msg, config)


def graceful(cls: Callable[[], Any]) -> Callable[[Callable[..., _T]], Callable[..., _T]]:
    """Decorate a function so that a KeyError is logged and answered with ``cls()``."""

    def decorate(function: Callable[..., _T]) -> Callable[..., _T]:
        @functools.wraps(function)
        def wrapper(msg: Message, *args: Any, **config: Any) -> Any:
            try:
                return function(msg, *args, **config)
            except KeyError as error:
                _log_missing(function, msg, error)
                return cls()

        return wrapper

    return decorate


legacy_condition = graceful


def with_processor() -> Callable[[Callable[..., _T]], Callable[..., _T]]:
    """Decorate a function so that its keyword ``processor`` is looked up if it is not given."""

    def decorate(function: Callable[..., _T]) -> Callable[..., _T]:
        @functools.wraps(function)
        def wrapper(msg: Message, processor: Any = None, **config: Any) -> _T:
            processor = processor or msg2processor(msg, **config)
            return function(msg, processor=processor, **config)

        return wrapper

    return decorate


def _log_missing(function: Any, msg: Any, error: KeyError) -> None:
    if _reports.allow():
        msg_id = msg.get("msg_id") if isinstance(msg, dict) else None
        name = getattr(function, "__qualname__", function)
        log.error("%s failed on %.200a", name, msg_id, exc_info=error)


def _reader(
    default: Callable[[], Any],
) -> Callable[[Callable[[Message, Any, Config], _T]], Callable[..., _T]]:
    """Do what :func:`graceful` and :func:`with_processor` do, at once.

    The configuration is a hundred keys, and every call that unpacks it copies it.
    """

    def decorate(function: Callable[[Message, Any, Config], _T]) -> Callable[..., _T]:
        def wrapper(msg: Message, processor: Any = None, **config: Any) -> Any:
            try:
                if not processor:
                    found = processors or ProcessorsNotInitialized()
                    processor = _lookup.find(found, msg, config)
                return function(msg, processor, config)
            except KeyError as error:
                _log_missing(function, msg, error)
                return default()

        wrapper.__name__, wrapper.__qualname__ = function.__name__, function.__qualname__
        wrapper.__doc__ = function.__doc__
        return wrapper

    return decorate


@_reader(str)
def msg2repr(msg: Message, processor: BaseProcessor, config: Config) -> str:
    """Return the message as one line: title, subtitle and link.

    A part in which a KeyError is raised is empty.
    """
    parts: list[str | None] = []
    for part in (processor.title, processor.subtitle, processor.link):
        try:
            parts.append(part(msg, **config))
        except KeyError as error:
            _log_missing(part, msg, error)
            parts.append("")
    title, subtitle, link = parts
    return f"{title} -- {subtitle} {'' if link is None else link}"


@_reader(str)
def msg2title(msg: Message, processor: BaseProcessor, config: Config) -> str:
    """Return the title, such as ``git.receive``."""
    return processor.title(msg, **config)


@_reader(str)
def msg2subtitle(msg: Message, processor: BaseProcessor, config: Config) -> str:
    """Return one sentence about what happened."""
    return processor.subtitle(msg, **config)


@_reader(str)
def msg2long_form(msg: Message, processor: BaseProcessor, config: Config) -> str:
    """Return several lines about what happened; the subtitle, if there is no more to say."""
    return processor.long_form(msg, **config) or processor.subtitle(msg, **config)


@_reader(str)
def msg2subjective(msg: Message, processor: BaseProcessor, config: Config) -> str:
    """Return the sentence as told to the user ``subject``, which is a mandatory keyword.

    Raises:
        TypeError: there is no ``subject``.
    """
    if "subject" not in config:
        raise TypeError("msg2subjective() missing 1 required keyword-only argument: 'subject'")
    subject = config.pop("subject")
    return processor.subjective(msg, subject, **config) or processor.subtitle(msg, **config)


@_reader(lambda: None)
def msg2lexer(msg: Message, processor: BaseProcessor, config: Config) -> Any:
    """Return the Pygments lexer for the long form, or None."""
    return processor.lexer(msg, **config)


@_reader(str)
def msg2link(msg: Message, processor: BaseProcessor, config: Config) -> str | None:
    """Return the address of a page about it; empty or None if there is none."""
    return processor.link(msg, **config)


@_reader(str)
def msg2icon(msg: Message, processor: BaseProcessor, config: Config) -> str | None:
    """Return the address of an image of the service, or None."""
    return processor.icon(msg, **config)


@_reader(str)
def msg2secondary_icon(msg: Message, processor: BaseProcessor, config: Config) -> str | None:
    """Return the address of an image for this message, or None."""
    return processor.secondary_icon(msg, **config)


@_reader(set)
def msg2usernames(msg: Message, processor: BaseProcessor, config: Config) -> set[str]:
    """Return the users concerned; the keyword ``legacy`` is accepted and ignored."""
    config.pop("legacy", None)
    return processor.usernames(msg, **config)


@_reader(lambda: None)
def msg2agent(msg: Message, processor: BaseProcessor, config: Config) -> str | None:
    """Return the user who did it: the processor's answer, else the first in the alphabet.

    The keyword ``legacy`` is accepted and ignored.
    """
    config.pop("legacy", None)
    if processor.agent is not NotImplemented:
        return processor.agent(msg, **config)  # type: ignore[no-any-return]
    return next(iter(sorted(processor.usernames(msg, **config))), None)


@_reader(set)
def msg2packages(msg: Message, processor: BaseProcessor, config: Config) -> set[str]:
    """Return the packages concerned."""
    return processor.packages(msg, **config)


@_reader(set)
def msg2objects(msg: Message, processor: BaseProcessor, config: Config) -> set[str]:
    """Return the things concerned, as paths."""
    return processor.objects(msg, **config)


@_reader(dict)
def msg2emails(msg: Message, processor: BaseProcessor, config: Config) -> dict[str, str]:
    """Return the addresses of the users by name."""
    return processor.emails(msg, **config)


@_reader(dict)
def msg2avatars(msg: Message, processor: BaseProcessor, config: Config) -> dict[str, str]:
    """Return the addresses of the users' images by name."""
    return processor.avatars(msg, **config)


def conglomerate(
    messages: list[Any], subject: str | None = None, lexers: bool = False, **config: Any
) -> list[Any]:
    """Merge messages that belong together.

    Args:
        messages: changed in place: every element becomes an entry with the field ``msg_ids``.
        subject: the user whom the texts address, if any.
        lexers: whether entries carry Pygments lexers.
        config: the configuration.

    Returns:
        The same list.

    Raises:
        ProcessorsNotInitialized: :func:`make_processors` was not called.
    """
    from ._template import single

    for processor in processors or ProcessorsNotInitialized():
        before = list(messages)
        try:
            merged = processor.conglomerate(messages, subject=subject, lexers=lexers, **config)
            messages[:] = messages if merged is None else merged
        except Exception as error:
            report(processor, error)
            messages[:] = before
    for index, message in enumerate(messages):
        if "msg_ids" not in message:
            messages[index] = single(message, subject, lexers, config)
    return messages
