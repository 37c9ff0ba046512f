"""``fedmsg-irc``: bots that repeat the bus in IRC channels.  Specification: commands.md, 5."""

from __future__ import annotations

from fedmsg.commands import BaseCommand, run_command, subscribe_to_all
from fedmsg.consumers.ircbot import IRCBotConsumer
from fedmsg.hub import main

__all__ = ["IRCCommand", "ircbot", "main"]


class IRCCommand(BaseCommand):
    """
    Repeat the messages of the bus in IRC channels.

    Every entry of 'irc' in the configuration is a bot: its network, channel and nickname, what it
    leaves out ('filters'), and how it says the rest ('make_terse', 'make_pretty', 'make_short').
    It needs the extra 'irc'.

    A bot that loses its server connects again, and what came meanwhile waits, up to 'backlog'
    lines.  SIGTERM or Ctrl-C: the bots leave, and the status is 0.  Status 1 if an entry is wrong.

    Examples:

        fedmsg-irc
        fedmsg-irc --config-filename=/etc/fedmsg.d/ircbot.py
    """

    name = "fedmsg-irc"
    daemonizable = True

    def run(self) -> int | None:
        """Repeat until a signal comes.

        Raises:
            FedmsgError: see :func:`fedmsg.hub.main`.
        """
        config = self.config
        subscribe_to_all(config)
        config[IRCBotConsumer.config_key] = True
        return main(options=config, consumers=[IRCBotConsumer], framework=False)


def ircbot() -> int | None:
    """Entry point of ``fedmsg-irc``."""
    return run_command(IRCCommand)
