"""Which processor a message belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .base import BaseProcessor
from .failures import report

#: Topics come from the network: no more, and no longer ones, are remembered.
_MOST_TOPICS = 1024
_LONGEST_TOPIC = 512

#: Processors that must see each message with the topic, and the one that is left without them.
_Chain = tuple[tuple[Any, ...], Any]


class _Table:
    """What has been learned about topics, for one list of processors."""

    def __init__(self, processors: Iterable[Any]) -> None:
        self.processors = list(processors)
        self.chains: dict[str, _Chain] = {}

    def learn(self, topic: Any) -> _Chain:
        """Return who may handle the messages of a topic.

        Raises:
            TypeError: the topic is not text.
        """
        if not isinstance(topic, str):
            raise TypeError(f"the topic of a message must be text, not {type(topic).__name__}")
        asked, final = [], self.processors[-1]
        for processor in self.processors:
            if not _decides_by_topic(processor):
                asked.append(processor)
            elif _matches(processor, topic):
                final = processor
                break
        chain = (tuple(asked), final)
        if len(topic) <= _LONGEST_TOPIC:
            if len(self.chains) >= _MOST_TOPICS:
                self.chains.clear()
            self.chains[topic] = chain
        return chain


_table = _Table([])


def find(processors: Any, msg: Mapping[str, Any], config: Mapping[str, Any]) -> Any:
    """Return the first processor that handles a message, the last one if none does.

    A processor that fails at saying so is reported and passed over.

    Args:
        processors: in the order in which they are asked.
        msg: the message.
        config: handed on to ``handle_msg``.

    Raises:
        KeyError: the message has no topic.
        TypeError: the message is not a dict, or its topic is not text.
        IndexError: there are no processors.
        ProcessorsNotInitialized: ``processors`` is the object that stands for none.
    """
    global _table
    table = _table
    # Applications replace the list and change it in place.
    if table.processors != processors:
        table = _table = _Table(processors)
    topic = msg["topic"]
    try:
        asked, final = table.chains[topic]
    except (KeyError, TypeError):
        asked, final = table.learn(topic)
    for processor in asked:
        if _handles(processor, msg, config):
            return processor
    return final


def _decides_by_topic(processor: Any) -> bool:
    """True if ``handle_msg`` is the inherited one, which looks at nothing but the topic."""
    method = getattr(processor, "handle_msg", None)
    return getattr(method, "__func__", None) is BaseProcessor.handle_msg


def _matches(processor: Any, topic: str) -> bool:
    try:
        return processor.__prefix__.match(topic) is not None
    except Exception as error:
        report(processor, error)
        return False


def _handles(processor: Any, msg: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    try:
        return processor.handle_msg(msg, **config) is not None
    except Exception as error:
        report(processor, error)
        return False
