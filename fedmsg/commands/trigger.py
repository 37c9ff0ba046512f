"""``fedmsg-trigger``: run a command for messages.  Specification: commands.md, section 4."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import Any

import fedmsg
from fedmsg import encoding
from fedmsg._option import integer, real
from fedmsg.commands import BaseCommand, listening, run_command
from fedmsg.commands.batches import Batches
from fedmsg.commands.filters import TopicFilter

__all__ = ["TriggerCommand", "trigger"]

_SECONDS_TO_DIE = 2.0


class TriggerCommand(BaseCommand):
    """
    Run a command for every message.

    The command runs under /bin/bash and reads the message, one line of JSON, from its standard
    input; no part of a message is in its command line or environment.  One runs after the other.

    Ctrl-C or SIGTERM: what waits is dropped, a running command is waited for, and the exit status
    is 0.  A second signal ends the running command too.

    Examples:

        fedmsg-trigger --topic=org.fedoraproject.prod.git --command='jq .msg.commit.summary'
        fedmsg-trigger --include='wiki' --command=./rebuild --wait-for=30 --max-queue-size=100
    """

    name = "fedmsg-trigger"
    logs_to_stderr = True
    extra_args = [
        *listening.OPTIONS,
        (
            ["--command"],
            {"dest": "command", "metavar": "COMMAND", "default": None, "help": "what to run"},
        ),
        (
            ["--wait-for"],
            {
                "dest": "wait_for",
                "type": real,
                "default": 0,
                "help": "run when no message has come for so many seconds, then for all of them",
            },
        ),
        (
            ["--max-queue-size"],
            {
                "dest": "max_queue_size",
                "type": integer,
                "default": 0,
                "help": "do not wait when more messages than this do; 0 is no limit",
            },
        ),
    ]

    _running: subprocess.Popen[bytes] | None = None
    _killed = False

    def run(self) -> int | None:
        """Run the command for messages until a signal comes.

        Returns:
            1 without ``--command``.
        """
        config = listening.muted(self.config)
        command = config.get("command")
        if not command:
            self.log.error("You must provide a --command to run.")
            return 1
        accept = TopicFilter(config)
        context = fedmsg.init(**config)
        batches = Batches(
            lambda line: self.run_command(command, line),
            config["wait_for"] or 0,
            config["max_queue_size"] or 0,
        )
        with listening.ending(context):
            try:
                for _name, _endpoint, topic, message in listening.messages(config):
                    if accept(topic):
                        self._add(batches, message)
            finally:
                self._close(batches)
        fedmsg.destroy()
        return None

    def run_command(self, command: str, message: dict[str, Any] | bytes) -> int:
        """Run a command, with a message on its standard input.

        Args:
            command: for ``/bin/bash -c``.
            message: or the line of JSON that it is, with the line feed.

        Returns:
            The exit status; 127 if there is no bash.
        """
        line = message if isinstance(message, bytes) else _line(message)
        try:
            # In a session of its own Ctrl-C does not reach it.
            running = subprocess.Popen(
                ["/bin/bash", "-c", command], stdin=subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            self.log.error("cannot run the command: %s", error)
            return 127
        self._running = running
        if self._killed:
            _kill(running)
        with running:
            running.communicate(line)
        self._running = None
        if running.returncode:
            self.log.info("Command returned error code %d", running.returncode)
        return running.returncode

    def _add(self, batches: Batches, message: dict[str, Any]) -> None:
        try:
            line = _line(message)
        except (RecursionError, ValueError, TypeError) as error:
            # Valid JSON that Python cannot write again, such as a million brackets.
            self.log.warning("a message cannot be handed on: %s", error)
            return
        batches.add(line)

    def _close(self, batches: Batches) -> None:
        try:
            batches.stop()
            if batches.busy:
                self.log.info("Waiting for the running command; a second signal ends it.")
            left = batches.close()
        except BaseException:  # a second signal
            # In this order: a command that begins meanwhile sees the mark.
            self._killed = True
            _kill(self._running)
            batches.close(_SECONDS_TO_DIE)
            raise
        if left:
            self.log.info("%d messages were waiting for the command and are dropped", left)


def _kill(running: subprocess.Popen[bytes] | None) -> None:
    """End a command, if it still runs, with all that it has started."""
    if running is not None and running.poll() is None:
        with contextlib.suppress(OSError):
            os.killpg(running.pid, signal.SIGTERM)


def _line(message: dict[str, Any]) -> bytes:
    return encoding.dumps(message).encode("utf-8") + b"\n"


def trigger() -> int | None:
    """Entry point of ``fedmsg-trigger``."""
    return run_command(TriggerCommand)
