"""STOMP without sockets: addresses, settings, destinations, back-off.

Sources: STOMP 1.2; RabbitMQ's and ActiveMQ's STOMP pages for destinations and wildcards.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from ..exceptions import ConfigurationError
from .addresses import host_and_port

DEFAULT_PORT = 61613
#: Longest pause between two attempts to connect, seconds.
LONGEST_DELAY = 60.0
#: What begins a part of a pattern that only a wildcard of the broker covers.
_PATTERN = re.compile(r"[*?\[]")

Broker = tuple[str, int]


class Secret(str):
    """A password: text that does not show itself in a log or a traceback."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'********'"


class Tls(NamedTuple):
    """How a connection is encrypted.

    Attributes:
        ca: file with the certificates of the authorities trusted; empty: the system's.
        certificate: file with the client's certificate, or empty.
        key: file with its key, or empty.
        verify: check the broker's certificate and that it is for the host connected to.
    """

    ca: str = ""
    certificate: str = ""
    key: str = ""
    verify: bool = True


class Settings(NamedTuple):
    """What a connection is made from; equal settings share one.

    Attributes:
        brokers: tried in turn.
        user: login.
        password: passcode.
        vhost: virtual host.
        tls: None for plain text.
        heartbeat: offered both ways, milliseconds; 0 is off.
        delay: first pause before connecting again, seconds.
        timeout: longest wait for a connection, for CONNECTED, and for a send to move on, seconds.
        destination: template with ``{topic}``.
        window: messages sent and not confirmed, at most.
        client_id: header ``client-id`` of CONNECT, which durable subscriptions of ActiveMQ need.
    """

    brokers: tuple[Broker, ...]
    user: str = "guest"
    password: str = Secret("guest")
    vhost: str = "/"
    tls: Tls | None = None
    heartbeat: int = 10_000
    delay: float = 0.1
    timeout: float = 10.0
    destination: str = "/topic/{topic}"
    window: int = 1000
    client_id: str = ""


def parse_brokers(text: str) -> tuple[Broker, ...]:
    """Return the brokers of ``host:port[,host:port...]``; IPv6 hosts are in brackets.

    Raises:
        ConfigurationError: an entry has another form; the text names it.
    """
    brokers = tuple(_parse_broker(entry.strip(), text) for entry in text.split(","))
    return tuple(dict.fromkeys(brokers))


def _parse_broker(entry: str, text: str) -> Broker:
    host, found, port = entry.rpartition(":")
    if entry.endswith("]") or not found:
        host, port = entry, str(DEFAULT_PORT)
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    wrong = not bare or any(char in "/@[]" or char.isspace() for char in bare)
    if bare == host and ":" in host:
        wrong = True
    number = port.isascii() and port.isdigit() and len(port) < 6
    if wrong or not number or not 0 < int(port) < 65536:
        # An entry with a login in it is not shown: that would be a password in a log.
        shown = "an entry of it" if "@" in text else repr(entry)
        raise ConfigurationError(
            f"Invalid configuration value for 'stomp_uri': {shown} is not of the form 'host:port';"
            " separate several by commas, put IPv6 addresses in brackets, and give the login in"
            " 'stomp_user' and 'stomp_pass'"
        )
    return bare, int(port)


def where(broker: Broker) -> str:
    """Return a broker's address as text."""
    return host_and_port(*broker)


def check_template(template: str) -> str:
    """Return a destination template.

    Raises:
        ConfigurationError: it does not have ``{topic}`` exactly once, or does not begin with
            ``/``.
    """
    if template.count("{topic}") != 1 or not template.startswith("/") or "\0" in template:
        raise ConfigurationError(
            f"Invalid configuration value for 'stomp_destination': {template!r} must begin with '/'"
            " and contain '{topic}' once, such as '/topic/{topic}'"
        )
    return template


class Dialect(NamedTuple):
    """What one kind of broker understands.

    Attributes:
        name: of the product.
        wildcard: the last part of a destination that stands for any number of parts.
        quotes: a ``/`` of the topic has to be written ``%2F``, and what is received is
            percent-encoded.
        special: what a topic cannot contain, for the broker gives it a meaning.
    """

    name: str
    wildcard: str
    quotes: bool
    special: tuple[str, ...]


#: Why there is no connection, before the first attempt has ended.
NOT_YET = "not connected yet"
#: Texts of ERROR frames that give no reason.
VAGUE_ERRORS = ("", "Processing error")

#: By the beginning of the ``server`` header of CONNECTED.
DIALECTS = {
    "RabbitMQ/": Dialect("RabbitMQ", "#", True, ("%2F",)),
    "ActiveMQ/": Dialect("ActiveMQ", ">", False, (",", "*", ">", "?")),
}
UNKNOWN = Dialect("an unknown broker", "", False, ())


def dialect(server: str) -> Dialect:
    """Return the dialect of a broker that names itself ``server``."""
    for beginning, found in DIALECTS.items():
        if server.startswith(beginning):
            return found
    return UNKNOWN


def destination(topic: str, template: str, of: Dialect) -> str:
    """Return where a message of this topic goes.

    Raises:
        ValueError: the broker would take the topic for something else.
    """
    if topic.startswith("/"):
        return topic
    for text in of.special:
        if text in topic:
            raise ValueError(f"{of.name} gives {text!r} in a topic a meaning of its own")
    return template.replace("{topic}", _quoted(topic, of))


def _quoted(topic: str, of: Dialect) -> str:
    # RabbitMQ undoes this escape and no other.
    return topic.replace("/", "%2F") if of.quotes else topic


def subscription(pattern: str, template: str, of: Dialect) -> str:
    """Return the destination that covers every topic which may match a pattern or prefix.

    The pattern is cut back to its last dot; what the broker sends is filtered afterwards.

    Raises:
        ConfigurationError: the broker's wildcards are not known.
    """
    if pattern.startswith("/"):
        return pattern
    if not of.wildcard:
        raise ConfigurationError(
            "the wildcards of this broker are not known (its CONNECTED has no 'server' of RabbitMQ"
            " or ActiveMQ): set 'stomp_queue' to the destination to subscribe to"
        )
    head = _PATTERN.split(pattern, maxsplit=1)[0]
    head = head[: head.rfind(".") + 1]
    if any(text in head for text in of.special):
        head = ""  # such topics are not sent through this broker
    return template.replace("{topic}", _quoted(head, of) + of.wildcard)


def subscriptions(patterns: Iterable[str], template: str, of: Dialect) -> list[str]:
    """Return the destinations that cover all patterns, without one inside another.

    Raises:
        ConfigurationError: the broker's wildcards are not known.
    """
    found = sorted({subscription(pattern, template, of) for pattern in patterns}, key=len)
    kept: list[str] = []
    for each in found:
        if not any(each.startswith(_head(wider, of)) for wider in kept):
            kept.append(each)
    return kept


def _head(target: str, of: Dialect) -> str:
    """Return what all destinations inside a subscription begin with; itself if it is for one."""
    head, found, _ = target.partition(of.wildcard) if of.wildcard else (target, "", "")
    return head if found else f"{target}\0"


def topic_of(headers: Mapping[str, str], template: str, of: Dialect) -> str:
    """Return the topic of a received message; the template is undone.

    What came through a destination that is not one of topics, such as a queue, has the topic
    that its publisher put into the header; without one, the destination.

    Returns:
        The topic, empty if the message has no destination at all.
    """
    found = headers.get("original-destination")
    if not found:
        found = headers.get("destination", "")
        found = unquote(found) if of.quotes else found
    stated = headers.get("topic", "")
    before, _, after = template.partition("{topic}")
    inside = found.startswith(before) and found.endswith(after) and found != before + after
    if not inside or stated == found:
        return stated or found
    return found[len(before) : len(found) - len(after)]


class Backoff:
    """Pauses between attempts to connect: they double, with jitter, up to a minute.

    Args:
        first: the first pause, seconds.
        dice: returns a number from 0 to 1.
    """

    def __init__(self, first: float, dice: Callable[[], float] = random.random) -> None:
        self._first, self._dice = first, dice
        self._next = first

    def pause(self) -> float:
        """Return the next pause in seconds: between half and all of what is due."""
        due, self._next = self._next, min(max(self._next, 0.01) * 2, LONGEST_DELAY)
        return min(due, LONGEST_DELAY) * (0.5 + self._dice() / 2)

    def reset(self) -> None:
        """A connection was of use: begin anew."""
        self._next = self._first


def heartbeats(offered: int, answer: str) -> tuple[float, float]:
    """Return seconds between two heart-beats to send, and to receive; 0 for none.

    Args:
        offered: what CONNECT offered both ways, milliseconds.
        answer: header ``heart-beat`` of CONNECTED (STOMP 1.2, "Heart-beating").
    """
    sends, _, wants = answer.replace(" ", "").partition(",")
    # Of other scripts, isdigit() is true of what int() does not take.
    numbers = answer.isascii() and sends.isdigit() and wants.isdigit()
    if not (numbers and len(sends) < 10 and len(wants) < 10):
        return 0.0, 0.0
    out = max(offered, int(wants)) if offered and int(wants) else 0
    back = max(offered, int(sends)) if offered and int(sends) else 0
    return out / 1000, back / 1000
