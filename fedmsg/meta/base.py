"""What processors and conglomerators derive from.  Specification: meta.md, sections 4 and 6."""

from __future__ import annotations

import abc
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar

from six import add_metaclass

from ..exceptions import MissingKey

__all__ = ["BaseConglomerator", "BaseProcessor", "add_metaclass"]

Message = dict[str, Any]
_MANDATORY = ("__name__", "__description__", "__link__", "__docs__", "__obj__")


class BaseProcessor:
    """Says in words what the messages of one service mean.

    Subclasses set the five mandatory attributes and override the methods that they have an answer
    for.  Every method gets the message and the configuration.

    Attributes:
        __name__: the part of the topic after prefix and environment; letter case is ignored.
        __description__: what the service is, one line.
        __link__: address of the service.
        __docs__: address of its documentation.
        __obj__: what its messages are about, such as ``Wiki Edits``.
        __icon__: address of an image, or None.
        topic_prefix_re: pattern of the first two parts of the topic; default: the configuration's.
        conglomerators: classes that merge messages of this service into one.
        agent: a method that returns who did it; left at NotImplemented, a user of ``usernames``.
        __prefix__: the compiled pattern that topics of the service match.
    """

    __name__: ClassVar[Any] = None
    __description__: ClassVar[Any] = None
    __link__: ClassVar[Any] = None
    __docs__: ClassVar[Any] = None
    __obj__: ClassVar[Any] = None
    __icon__: ClassVar[Any] = None
    __prefix__: Any = None
    topic_prefix_re: Any = None
    conglomerators: Any = None
    agent: Any = NotImplemented

    def __init__(self, internationalization_callable: Callable[[str], str], **config: Any) -> None:
        """Compile the pattern of the topics.

        Args:
            internationalization_callable: translates a text.
            config: the configuration; ``topic_prefix_re`` is read.

        Raises:
            ValueError: a mandatory attribute is missing; the text names it.
            MissingKey: there is no ``topic_prefix_re``; a KeyError.
        """
        self._ = internationalization_callable
        for attribute in _MANDATORY:
            if not getattr(self, attribute):
                raise ValueError(f"Must declare a {attribute}")
        if not self.topic_prefix_re:
            if "topic_prefix_re" not in config:
                raise MissingKey(
                    "topic_prefix_re: processors need it in the configuration; call"
                    " fedmsg.meta.make_processors(**fedmsg.config.load_config())"
                )
            self.topic_prefix_re = config["topic_prefix_re"]
        self.__prefix__ = re.compile(
            rf"^{self.topic_prefix_re}\.({self.__name__.lower()})(\.(.*))?$"
        )
        self.conglomerators = self.conglomerators or []
        self.conglomerator_objects = [cls(self, self._, **config) for cls in self.conglomerators]

    def handle_msg(self, msg: Message, **config: Any) -> str | None:
        """Return the rest of the topic, maybe empty, or None if this is another service's.

        An override is asked for every message; this one, which looks at the topic only, is not.

        Raises:
            KeyError: the message has no topic.
        """
        match = self.__prefix__.match(msg["topic"])
        return None if match is None else match.groups()[-1] or ""

    def title(self, msg: Message, **config: Any) -> str:
        """Return the topic without its first three parts; of ``/topic/...`` all of it."""
        topic: str = msg["topic"]
        return topic if topic.startswith("/topic/") else ".".join(topic.split(".")[3:])

    def subtitle(self, msg: Message, **config: Any) -> str:
        """Return one sentence about what happened."""
        return ""

    def subjective(self, msg: Message, subject: str | None, **config: Any) -> str:
        """Return the sentence as told to ``subject``, such as "you logged ..."."""
        return ""

    def long_form(self, msg: Message, **config: Any) -> str:
        """Return several lines about what happened."""
        return ""

    def lexer(self, msg: Message, **config: Any) -> Any:
        """Return the Pygments lexer for the long form, or None."""
        return None

    def link(self, msg: Message, **config: Any) -> str | None:
        """Return the address of a page about it."""
        return ""

    def icon(self, msg: Message, **config: Any) -> str | None:
        """Return the address of an image of the service."""
        return self.__icon__  # type: ignore[no-any-return]

    def secondary_icon(self, msg: Message, **config: Any) -> str | None:
        """Return the address of an image for this message, such as the user's avatar."""
        return None

    def usernames(self, msg: Message, **config: Any) -> set[str]:
        """Return the users concerned."""
        return set()

    def packages(self, msg: Message, **config: Any) -> set[str]:
        """Return the packages concerned."""
        return set()

    def objects(self, msg: Message, **config: Any) -> set[str]:
        """Return the things concerned, as paths such as ``kernel/f40``."""
        return set()

    def emails(self, msg: Message, **config: Any) -> dict[str, str]:
        """Return the addresses of users by name."""
        return {}

    def avatars(self, msg: Message, **config: Any) -> dict[str, str]:
        """Return the addresses of users' images by name."""
        return {}

    def conglomerate(self, messages: list[Any], **config: Any) -> list[Any]:
        """Let each conglomerator merge what it can; the list is changed and returned."""
        for conglomerator in self.conglomerator_objects:
            messages = conglomerator.conglomerate(messages, **config)
        return messages


class BaseConglomerator(abc.ABC):
    """Merges several messages into one, such as six commits into a push.

    Attributes:
        processor: the processor that it belongs to.
    """

    def __init__(
        self,
        processor: BaseProcessor,
        internationalization_callable: Callable[[str], str],
        **conf: Any,
    ) -> None:
        self.processor = processor
        self._ = internationalization_callable

    @abc.abstractmethod
    def can_handle(self, msg: Message, **config: Any) -> bool:
        """Return whether this message is of a kind that is merged here."""

    @abc.abstractmethod
    def matches(self, a: Message, b: Message, **config: Any) -> bool:
        """Return whether ``b``, which comes later, is to be merged with ``a``."""

    @abc.abstractmethod
    def merge(self, constituents: Sequence[Message], subject: str | None, **config: Any) -> Any:
        """Return the merged entry: :meth:`produce_template` and at least ``subtitle``,
        ``subjective``, ``link`` and ``secondary_icon``."""

    def conglomerate(
        self, messages: list[Any], subject: str | None = None, lexers: bool = False, **conf: Any
    ) -> list[Any]:
        """Replace what belongs together by one entry in the place of its first message.

        Args:
            messages: messages and entries that are merged already; changed in place.
            subject: whom the texts address.
            lexers: whether entries carry lexers.
            conf: the configuration.

        Returns:
            The same list.
        """
        groups = self._own_groups if self._selects_itself() else self._groups
        for indices, constituents in groups(messages, conf):
            entry = self.merge(constituents, subject, lexers=lexers, **conf)
            for index in sorted(indices, reverse=True):
                del messages[index]
            messages.insert(indices[0], entry)
        return messages

    def skip(self, message: Message, **config: Any) -> bool:
        """Return whether a message is merged already, or of no kind that is merged here."""
        return "msg_ids" in message or not self.can_handle(message, **config)

    def select_constituents(
        self, messages: list[Any], **config: Any
    ) -> tuple[tuple[int, ...], tuple[Message, ...]] | tuple[None, None]:
        """Return the places and the messages of the first group, None twice if there is none."""
        return next(self._groups(messages, config), (None, None))

    def _selects_itself(self) -> bool:
        return type(self).select_constituents is not BaseConglomerator.select_constituents

    def _groups(
        self, messages: list[Any], config: dict[str, Any]
    ) -> Iterator[tuple[tuple[int, ...], tuple[Message, ...]]]:
        """Yield one group after the other; the caller merges each before it asks for the next.

        What was no beginning of a group before a merge is none after it, so that nothing is
        compared twice.
        """
        left = list(range(len(messages)))
        waiting = [
            (number, message)
            for number, message in enumerate(messages)
            if not self.skip(message, **config)
        ]
        while waiting:
            (number, first), *later = waiting
            group = [pair for pair in later if self.matches(first, pair[1], **config)]
            if not group:
                waiting = later
                continue
            grouped = {other for other, _ in group}
            waiting = [pair for pair in later if pair[0] not in grouped]
            places = [at for at, each in enumerate(left) if each == number or each in grouped]
            left = [each for each in left if each not in grouped]
            yield tuple(places), (first, *(message for _, message in group))

    def _own_groups(
        self, messages: list[Any], config: dict[str, Any]
    ) -> Iterator[tuple[tuple[int, ...], tuple[Message, ...]]]:
        """Yield the groups that the subclass selects, at most one a message."""
        for _turn in range(len(messages)):
            indices, constituents = self.select_constituents(messages, **config)
            if not indices or constituents is None:
                return
            yield indices, constituents

    @classmethod
    def produce_template(
        cls,
        constituents: Sequence[Message],
        subject: str | None,
        lexers: bool = False,
        **config: Any,
    ) -> dict[str, Any]:
        """Return the beginning of a merged entry, which :meth:`merge` completes.

        What a message lacks is left out: no message, and no processor that fails, spoils the rest.

        Args:
            constituents: the messages, at least one.
            subject: whom the texts address.
            lexers: whether to add the Pygments lexer of each message.
            config: the configuration.
        """
        from ._template import described

        return described(constituents, subject, lexers, config)

    @staticmethod
    def list_to_series(items: Iterable[Any], N: int = 3, oxford_comma: bool = True) -> str:
        """Return the items as a phrase, such as ``a, b, and 2 others``.

        Args:
            items: named once each, in alphabetical order.
            N: how many parts the phrase may have, at least two.
            oxford_comma: a comma before the last of three parts or more.
        """
        names = sorted({str(item) for item in items})
        if not names:
            return "(nothing)"
        if len(names) == 1:
            return names[0]
        N = max(N, 2)
        if len(names) > N:
            names[N - 1 :] = [f"{len(names) - N + 1} others"]
        comma = "," if oxford_comma and len(names) > 2 else ""
        return f"{', '.join(names[:-1])}{comma} and {names[-1]}"
