"""``fedmsg-announce``: tell everybody something.  Specification: commands.md, section 3."""

from __future__ import annotations

import sys

import fedmsg
from fedmsg.commands import BaseCommand, run_command
from fedmsg.commands.sending import through_relay

__all__ = ["AnnounceCommand", "announce"]


class AnnounceCommand(BaseCommand):
    """
    Publish an announcement, through the relay.

    Standard input is the text of one message.  It is signed, if messages are, with the certificate
    of the service 'announce'; 'routing_policy' tells subscribers who may make announcements.  The
    command fails (exit status 1) if no relay answers within --timeout seconds.

    Example:

        echo "The build system is back." | fedmsg-announce --link=https://status.example.com
    """

    name = "fedmsg-announce"
    logs_to_stderr = True
    extra_args = [
        (
            ["--link"],
            {
                "dest": "link",
                "metavar": "URL",
                "default": None,
                "help": "where there is more to read",
            },
        ),
    ]

    def run(self) -> int | None:
        """Publish standard input.

        Raises:
            RelayUnavailable: no relay answered, or it went away and did not come back.
        """
        self.config["cert_prefix"] = "announce"
        with through_relay(self.config):
            text = "\n".join(line.strip() for line in sys.stdin)
            fedmsg.publish(
                topic="announcement",
                msg={"message": text, "link": self.config["link"]},
                modname="announce",
            )
        return None


def announce() -> int | None:
    """Entry point of ``fedmsg-announce``."""
    return run_command(AnnounceCommand)
