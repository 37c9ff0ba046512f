"""``fedmsg-tail``: show what is on the bus.  Specification: commands.md, section 4."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import fedmsg
from fedmsg import crypto
from fedmsg._visible import without_control
from fedmsg.commands import BaseCommand, listening, rendering, run_command
from fedmsg.commands.filters import TopicFilter, WordFilter, number_above_zero
from fedmsg.exceptions import ConfigurationError

__all__ = ["TailCommand", "tail"]

_NEED_PROCESSORS = ("users", "packages", "terse", "cowsay")


class TailCommand(BaseCommand):
    """
    Show the messages of the bus as they arrive.

    Listens to every address in 'endpoints'.  What is rejected is named on standard error, with the
    reason, and counted at the end.  Ctrl-C or SIGTERM ends it with status 0.

    Examples:

        fedmsg-tail --pretty
        fedmsg-tail --topic=org.fedoraproject.prod.git --query=msg.commit.summary
        fedmsg-tail --terse --users=ralph,lmacken
        fedmsg-tail --cowsay --packages=kernel
        fedmsg-tail --json | jq .topic
        fedmsg-tail --json --count=1 --for=10 || echo "nothing happened within 10 seconds"
    """

    name = "fedmsg-tail"
    logs_to_stderr = True
    extra_args = [
        *listening.OPTIONS,
        (
            ["--query"],
            {
                "dest": "query",
                "type": str,
                "default": None,
                "help": "show these values only: dotted paths separated by commas",
            },
        ),
        (
            ["--pretty"],
            {
                "dest": "pretty",
                "action": "store_true",
                "default": False,
                "help": "several lines, readable time, no credentials",
            },
        ),
        (
            ["--really-pretty"],
            {
                "dest": "really_pretty",
                "action": "store_true",
                "default": False,
                "help": "JSON in colours (extra: commands)",
            },
        ),
        (
            ["--json"],
            {
                "dest": "json",
                "action": "store_true",
                "default": False,
                "help": "one JSON document a line",
            },
        ),
        (
            ["--terse"],
            {
                "dest": "terse",
                "action": "store_true",
                "default": False,
                "help": "one line in words, by the installed processors",
            },
        ),
        (
            ["--cowsay"],
            {
                "dest": "cowsay",
                "action": "store_true",
                "default": False,
                "help": "let a cow say it (needs the program cowsay)",
            },
        ),
        (
            ["--users"],
            {
                "dest": "users",
                "metavar": "USERS",
                "default": None,
                "help": "show only what concerns one of these users, separated by commas",
            },
        ),
        (
            ["--packages"],
            {
                "dest": "packages",
                "metavar": "PACKAGES",
                "default": None,
                "help": "show only what concerns one of these packages, separated by commas",
            },
        ),
        (
            ["--color"],
            {
                "dest": "color",
                "choices": ["auto", "always", "never"],
                "default": "auto",
                "help": "colours of --really-pretty; auto: on a terminal",
            },
        ),
        (
            ["--validate"],
            {
                "dest": "validate_signatures",
                "action": "store_true",
                "default": False,
                "help": "show only messages whose signature is valid",
            },
        ),
        (
            ["--no-validate"],
            {
                "dest": "validate_signatures",
                "action": "store_false",
                "default": False,
                "help": "show all messages, whatever the configuration says",
            },
        ),
        (
            ["--mark"],
            {
                "dest": "mark",
                "action": "store_true",
                "default": False,
                "help": "show all messages, those that are not properly signed with a mark in front"
                " (not with --json)",
            },
        ),
        (
            ["--count"],
            {
                "dest": "count",
                "metavar": "N",
                "type": number_above_zero,
                "default": None,
                "help": "end after N messages",
            },
        ),
        (
            ["--for"],
            {
                "dest": "seconds",
                "metavar": "SECONDS",
                "type": float,
                "default": None,
                "help": "end after SECONDS; exit status 1 if fewer than --count came",
            },
        ),
    ]

    def run(self) -> int | None:
        """Print messages until a signal, ``--count`` or ``--for`` ends it."""
        config = listening.muted(self.config)
        if config.get("mark"):
            _allow_marks(config)
        render = rendering.choose(config)
        accept, concerns = TopicFilter(config), WordFilter(config)
        if any(config.get(option) for option in _NEED_PROCESSORS):
            from fedmsg import meta

            meta.make_processors(**config)
        count = config.get("count")
        shown = 0
        context = fedmsg.init(**config)
        context.on_rejected = _complain
        ending = listening.ending(context, config.get("seconds"))
        with ending, _counting(context.rejected):
            for _name, _endpoint, topic, message in listening.messages(config):
                if not accept(topic) or not concerns(message):
                    continue
                text = self._rendered(render, message)
                if text is None:
                    continue
                mark = crypto.doubt(topic, message, config) if config.get("mark") else ""
                rendering.write(sys.stdout, f"{mark} {text}" if mark else text)
                shown += 1
                if shown == count:
                    break
        fedmsg.destroy()
        return 1 if count and shown < count else None

    def _rendered(self, render: rendering.Render, message: dict[str, Any]) -> str | None:
        try:
            return render(message)
        except (RecursionError, ValueError, TypeError) as error:
            # Valid JSON that Python cannot write again, such as a million brackets.
            self.log.warning("a message cannot be shown: %s", error)
            return None


def _allow_marks(config: dict[str, Any]) -> None:
    """Have what is not properly signed let through.

    Raises:
        ConfigurationError: JSON has no place for marks.
    """
    if config.get("json"):
        raise ConfigurationError("--mark is for people: with --json use --validate")
    config["validate_signatures"] = False


def _complain(text: str) -> None:
    rendering.write(sys.stderr, f"fedmsg-tail: {without_control(text)}")


@contextlib.contextmanager
def _counting(rejected: Counter[str]) -> Iterator[None]:
    """At the end, tell how many messages were rejected, by reason."""
    try:
        yield
    finally:
        if rejected:
            counts = ", ".join(f"{count} {reason}" for reason, count in rejected.most_common())
            _complain(f"rejected: {counts}")


def tail() -> int | None:
    """Entry point of ``fedmsg-tail``."""
    return run_command(TailCommand)
