"""Bots that repeat the messages of the bus in IRC channels.

Specification: consumers.md 10, CD-20 to CD-22; config.md 6 for an entry of ``irc``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import fedmsg.meta

from .. import crypto, options
from .._bounded import bounded
from .._visible import without_control
from ..exceptions import ConfigurationError
from ..meta.failures import safely
from . import FedmsgConsumer
from .irc_client import Client, Settings
from .irc_text import ircprettify, mirc_colors, plain
from .values import body_of

if TYPE_CHECKING:
    import ssl

__all__ = [
    "Fedmsg2IRCFactory",
    "IRCBotConsumer",
    "ircprettify",
    "make_irc_client",
    "mirc_colors",
]

log = logging.getLogger("fedmsg.consumers.ircbot")

_SHORTENER = "https://da.gd/s"
_SHORTENER_SECONDS = 3.0
_KEYS = {
    "network", "port", "ssl", "ssl_verify", "ssl_ca", "timeout", "nickname", "channel", "password",
    "nickserv_password", "make_pretty", "make_terse", "make_short", "line_rate", "backlog",
    "filters",
}  # fmt: skip

Filters = Mapping[str, list[re.Pattern[str]]]


def _default_link_shortener(url: str) -> str:
    """Return a short address for a long one; the long one if that does not work."""
    try:
        import requests

        def ask() -> str:
            query, seconds = {"url": url}, _SHORTENER_SECONDS
            response = requests.get(_SHORTENER, params=query, timeout=seconds)
            response.raise_for_status()
            return str(response.text[:200].strip())

        # The time-out of requests is for each packet.
        return bounded(ask, 2 * _SHORTENER_SECONDS) or url
    except Exception as error:  # noqa: BLE001  the line is shown in any case
        log.debug("%s cannot be shortened: %s", url, error)
        return url


class Fedmsg2IRCFactory:
    """What a bot in a channel is made from; no longer a class of Twisted.

    Args:
        channel: with its ``#``.
        nickname: of the bot.
        filters: what :meth:`IRCBotConsumer.compile_filters` returns.
        pretty, terse, short: see ``make_pretty`` and so on.
        rate: least time between two lines, seconds.
        parent_consumer: gets the client when it has joined for the first time.
        ready: called with the client whenever it has joined; None for nothing.

    Attributes:
        settings: of the connection.
    """

    def __init__(
        self, channel: str, nickname: str, filters: Filters, pretty: bool, terse: bool, short: Any,
        rate: float, parent_consumer: Any, ready: Callable[[Any], Any] | None,
    ) -> None:  # fmt: skip
        self.channel, self.nickname, self.filters = channel, nickname, filters
        self.pretty, self.terse, self.short, self.rate = pretty, terse, short, rate
        self.parent_consumer, self._ready = parent_consumer, ready
        self.settings = Settings(channel=channel, nickname=nickname, rate=rate)

    def ready(self, client: Any) -> None:
        """The client is in the channel."""
        self.parent_consumer.add_irc_client(client)
        if self._ready is not None:
            self._ready(client)


def make_irc_client(factory: Fedmsg2IRCFactory) -> Client:
    """Return a bot that connects when it is started.

    Raises:
        MissingDependency: the extra ``irc`` is not installed.
    """
    return Client(factory)


class IRCBotConsumer(FedmsgConsumer):
    """Says every message in the channels of ``irc``, unless a filter matches it.

    Attributes:
        irc_clients: the bots, once they are started; what comes while one is not in its channel
            waits, up to its ``backlog``.

    Raises:
        ConfigurationError: ``irc`` has no usable entry, or one with a wrong value.
        MissingDependency: the extra ``irc`` is not installed.
        KeyError: the configuration has no ``topic_prefix_re``; unless it is disabled.
    """

    validate_signatures = False
    config_key = "fedmsg.consumers.ircbot.enabled"
    topic = "*"

    def __init__(self, hub: Any) -> None:
        enabled = hub.config.get(self.config_key)
        if enabled or "topic_prefix_re" in hub.config:
            fedmsg.meta.make_processors(**hub.config)
        self.irc_clients: list[Any] = []
        self._bots: list[Client] = []
        if enabled:
            # Before anything is subscribed to: a wrong entry must not leave a consumer behind.
            self._bots = [make_irc_client(each) for each in self._factories(hub.config)]
        super().__init__(hub)

    def _prepare(self) -> None:
        super()._prepare()
        # Like workers: nobody is connected to before the hub runs.
        self._threads.add("irc", self._connect)

    def _connect(self) -> None:
        for bot in self._bots:
            # Before it has joined, so that what comes meanwhile waits.
            self.add_irc_client(bot)
            bot.start()

    # -- settings ------------------------------------------------------------------------------

    def _factories(self, config: Mapping[str, Any]) -> list[Fedmsg2IRCFactory]:
        entries = config.get("irc")
        if not isinstance(entries, (list, tuple)):
            raise ConfigurationError(f"'irc' is {entries!r}: it must be a list of entries")
        _checked(config)
        factories = []
        for entry in entries:
            if not isinstance(entry, dict):
                raise ConfigurationError(f"an entry of 'irc' is {entry!r}: it must be a dict")
            if entry.get("channel"):
                factories.append(self._factory(entry, config))
            else:
                log.error("an entry of 'irc' has no 'channel': %a", _shown(entry))
        if not factories:
            raise ConfigurationError(
                "'irc' has no entry with a 'channel': set one, such as '#bots'"
            )
        return factories

    def _factory(self, entry: Mapping[str, Any], config: Mapping[str, Any]) -> Fedmsg2IRCFactory:
        unknown = sorted(set(entry) - _KEYS)
        if unknown:
            log.warning("an entry of 'irc' has unknown keys: %s", ", ".join(unknown))
        channel = str(entry["channel"])
        channel = channel if channel[:1] in "#&+!" else f"#{channel}"
        nickname = str(entry.get("nickname", Settings().nickname))
        for name, value in (("channel", channel), ("nickname", nickname)):
            if not re.fullmatch(r"[^\s,\x00-\x20\x7f]{1,64}", value):
                raise ConfigurationError(f"'{name}' of an entry of 'irc' is {value!r}: no {name}")
        factory = Fedmsg2IRCFactory(
            channel, nickname, self.compile_filters(entry.get("filters")),
            bool(entry.get("make_pretty", False)), bool(entry.get("make_terse", False)),
            entry.get("make_short", False), _number(entry, "line_rate", 1.0), self, None,
        )  # fmt: skip
        network = str(entry.get("network", Settings().network))
        factory.settings = factory.settings._replace(
            network=network, port=int(_number(entry, "port", 6667)),
            timeout=_number(entry, "timeout", 120.0), tls=_tls(entry),
            password=str(entry.get("password") or ""), method=options.get(config, "irc_method"),
            nickserv_password=str(entry.get("nickserv_password") or ""),
            backlog=int(_number(entry, "backlog", Settings().backlog)),
        )  # fmt: skip
        return factory

    def compile_filters(self, filters: Mapping[str, Any] | None) -> Filters:
        """Return the patterns of an entry's ``filters``.

        Raises:
            ConfigurationError: a key other than ``topic`` and ``body``, or a pattern that is none.
        """
        compiled: dict[str, list[re.Pattern[str]]] = {"topic": [], "body": []}
        for key, patterns in (filters or {}).items():
            if key not in compiled:
                raise ConfigurationError(f"'filters' of 'irc' has {key!r}: use 'topic' and 'body'")
            for pattern in [patterns] if isinstance(patterns, str) else patterns or ():
                try:
                    compiled[key].append(re.compile(pattern))
                except (re.error, TypeError) as error:
                    raise ConfigurationError(
                        f"'filters' of 'irc' has {pattern!r}: no regular expression ({error})"
                    ) from error
        return compiled

    # -- clients -------------------------------------------------------------------------------

    def add_irc_client(self, client: Any) -> None:
        """Have what comes said by a client, too."""
        if client not in self.irc_clients:
            self.irc_clients = [*self.irc_clients, client]

    def del_irc_clients(self, client: Any = None, factory: Any = None) -> None:
        """Forget one client, or all of a factory."""
        self.irc_clients = [
            each
            for each in self.irc_clients
            if each is not client and (factory is None or each.factory is not factory)
        ]

    # -- messages ------------------------------------------------------------------------------

    def apply_filters(self, filters: Filters | None, topic: str, msg: Any) -> bool:
        """Return whether a filter matches, so that the message is not said."""
        texts = {"topic": topic, "body": str(msg)}
        return any(
            pattern.search(texts[key])
            for key, patterns in (filters or {}).items()
            for pattern in patterns
        )

    def prettify(
        self, topic: str, msg: Any, pretty: bool = False, terse: bool = False, short: Any = False
    ) -> str:
        """Return the line for a message.

        Args:
            topic: of the message.
            msg: the message.
            pretty: with colours.
            terse: in words.
            short: shorten the link: True, or a function that does it.
        """
        config = self.hub.config
        doubt = crypto.doubt(topic, msg, config) if config.get("validate_signatures") else ""
        if not terse:
            return plain(topic, msg, pretty, doubt)
        if doubt:
            return ircprettify(topic, doubt, "", config, pretty)
        if not pretty:
            words = str(safely(fedmsg.meta.msg2repr, msg, "", config) or "")
            return without_control(words, keep="") or plain(topic, msg)
        title = safely(fedmsg.meta.msg2title, msg, topic, config)
        subtitle = safely(fedmsg.meta.msg2subtitle, msg, "", config)
        link = safely(fedmsg.meta.msg2link, msg, "", config) or ""
        if link and short:
            link = (short if callable(short) else _default_link_shortener)(link)
        return ircprettify(str(title), str(subtitle or ""), str(link), config)

    def consume(self, msg: Any) -> None:
        """Have one message said in every channel that wants it."""
        topic, body = msg["topic"], body_of(msg)
        if not isinstance(body, dict):
            return
        method = options.get(self.hub.config, "irc_method")
        for client in self.irc_clients:
            factory = client.factory
            if self.apply_filters(factory.filters, topic, body):
                continue
            line = self.prettify(
                topic=topic, msg=body, pretty=factory.pretty, terse=factory.terse,
                short=factory.short,
            )  # fmt: skip
            getattr(client, method)(factory.channel, line)

    def _worked_off(self) -> None:
        for bot in self._bots:
            bot.stop()

    def stop(self) -> None:
        """Leave the channels."""
        super().stop()
        self._worked_off()


def _checked(config: Mapping[str, Any]) -> None:
    """Check the settings that all entries share."""
    method = options.get(config, "irc_method")
    if method not in ("notice", "msg"):
        raise ConfigurationError(f"'irc_method' is {method!r}: it must be 'notice' or 'msg'")
    colours = dict(config.get("irc_color_lookup") or {})
    colours["irc_default_color"] = options.get(config, "irc_default_color")
    for name, colour in colours.items():
        if colour not in mirc_colors:
            raise ConfigurationError(
                f"the colour of {name!r} is {colour!r}: it must be one of {', '.join(mirc_colors)}"
            )


def _number(entry: Mapping[str, Any], key: str, default: float) -> float:
    value = entry.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise ConfigurationError(f"{key!r} of an entry of 'irc' is {value!r}: it must be a number")
    return value


def _tls(entry: Mapping[str, Any]) -> ssl.SSLContext | None:
    if not entry.get("ssl"):
        return None
    import ssl  # every hub imports this module, and few have bots

    try:
        context = ssl.create_default_context(cafile=entry.get("ssl_ca") or None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(
            f"'ssl_ca' of an entry of 'irc' is {entry.get('ssl_ca')!r}: {error}"
        ) from error
    if not entry.get("ssl_verify", True):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _shown(entry: Mapping[str, Any]) -> str:
    return repr({key: value for key, value in entry.items() if "password" not in str(key)})[:300]
