"""``fedmsg-logger``: publish lines of text.  Specification: commands.md, section 3."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import fedmsg
from fedmsg.commands import BaseCommand, run_command
from fedmsg.commands.sending import Given, through_relay
from fedmsg.exceptions import FedmsgError

__all__ = ["LoggerCommand", "logger"]


class LoggerCommand(BaseCommand):
    """
    Publish what you type, through the relay.

    Every line of standard input becomes a message; or give one with --message.  The command fails
    (exit status 1) if no relay answers within --timeout seconds.

    Examples:

        echo "a message for everyone" | fedmsg-logger
        fedmsg-logger --message="deployed" --modname=ops --topic=deploy
        echo '{"a": 1}' | fedmsg-logger --json-input
        tail -f /var/log/syslog | fedmsg-logger --modname=syslog
    """

    name = "fedmsg-logger"
    logs_to_stderr = True
    extra_args = [
        (["--message"], {"dest": "logger_message", "help": "the message, instead of input"}),
        (
            ["--json-input"],
            {
                "dest": "json_input",
                "action": "store_true",
                "default": False,
                "help": "the input is one JSON document",
            },
        ),
        (
            ["--json-lines"],
            {
                "dest": "json_lines",
                "action": "store_true",
                "default": False,
                "help": "every line of the input is a JSON document",
            },
        ),
        (
            ["--topic"],
            {"dest": "topic", "default": "log", "metavar": "TOPIC", "help": "last part of topic"},
        ),
        (
            ["--modname"],
            {
                "dest": "modname",
                "default": "logger",
                "metavar": "MODNAME",
                "help": "module part of the topic",
            },
        ),
        (
            ["--print-id"],
            {
                "dest": "print_id",
                "action": "store_true",
                "default": False,
                "help": "print the msg_id of every message sent",
            },
        ),
        (
            ["--cert-prefix"],
            {
                "dest": "cert_prefix",
                "default": "shell",
                "metavar": "CERT_PREFIX",
                "help": "service name of the certificate that signs",
            },
        ),
    ]

    def run(self) -> int | None:
        """Publish, and see to it that the relay has taken everything.

        Raises:
            RelayUnavailable: no relay answered, or it went away and did not come back.
            NotConfirmed: messages are sent through STOMP, and no broker confirmed them.
            FedmsgError: the input is not JSON; nothing of that document was sent.
        """
        hook = {"pre_fire_hook": _print_id} if self.config.get("print_id") else {}
        with through_relay(self.config):
            for msg in self._messages():
                fedmsg.publish(
                    topic=self.config["topic"], msg=msg, modname=self.config["modname"], **hook
                )
        return None

    def _messages(self) -> Iterator[Any]:
        given = self.config.get("logger_message")
        if self.config.get("json_lines"):
            texts = [given] if given else sys.stdin
            for number, text in enumerate(texts, 1):
                yield _parse(text, f"line {number}")
        elif self.config.get("json_input"):
            yield _parse(given or sys.stdin.read(), "input")
        elif given:
            yield {"log": given}
        else:
            for line in sys.stdin:
                yield {"log": line.strip()}


def _print_id(message: dict[str, Any]) -> None:
    print(message["msg_id"])


def _parse(text: str, where: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise FedmsgError(f"the {where} is not a JSON document: {error}") from error
    return value or Given(value)


def logger() -> int | None:
    """Entry point of ``fedmsg-logger``."""
    return run_command(LoggerCommand)
