"""``fedmsg-dg-replay``: publish again what was published before.

Specification: commands.md, section 3 and KD-10.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import fedmsg
from fedmsg._bounded import bounded
from fedmsg.commands import BaseCommand, run_command
from fedmsg.commands.confirming import Echo
from fedmsg.commands.sending import Given, through_relay
from fedmsg.consumers.retry import read as read_letters
from fedmsg.exceptions import FedmsgError
from fedmsg.transports import as_list

__all__ = ["ReplayCommand", "replay"]

#: Exit status when datagrepper does not have the message.
NOT_FOUND = 2
#: Exit status when something was sent and did not come back.
NOT_CONFIRMED = 3

#: Longest wait for the whole answer of datagrepper, seconds, and its size in bytes.
_HTTP_SECONDS = 30.0
_MOST_BYTES = 16 * 2**20
#: Messages of a file that may be on their way at the same time.
_WINDOW = 100


class ReplayCommand(BaseCommand):
    """
    Publish a message again, through the relay.

    The message is fetched from a datagrepper by its id, or all of a dead-letter file are taken.
    What is sent is new: it has its own msg_id, this user, and the local topic_prefix and
    environment; with --keep-topic it has the topic of the original.

    OK means that the message came back on an address of endpoints['relay_outbound'] within
    --timeout seconds.  Without such an address the command says 'sent, not confirmed'.

    Exit status: 0 done; 1 nothing, or not everything, could be sent; 2 datagrepper does not have
    the message, or the command line is wrong; 3 sent, and not seen again.

    Examples:

        fedmsg-dg-replay --msg-id=2026-1e24ced1-cabd-4b87-9cd3-ae8557289018
        fedmsg-dg-replay --msg-id=... --datagrepper-url=https://dg.example.com --keep-topic
        fedmsg-dg-replay --file=/var/lib/fedmsg/dead-letters.jsonl --timeout=10
    """

    name = "fedmsg-dg-replay"
    logs_to_stderr = True
    extra_args = [
        (["--msg-id"], {"dest": "msg_id", "default": None, "help": "the message to fetch"}),
        (
            ["--datagrepper-url"],
            {
                "dest": "datagrepper_url",
                "default": "https://apps.fedoraproject.org/datagrepper",
                "help": "where to fetch it",
            },
        ),
        (
            ["--file"],
            {
                "dest": "dead_letters",
                "metavar": "FILE",
                "default": None,
                "help": "send every message of this dead_letter_file instead",
            },
        ),
        (
            ["--keep-topic"],
            {
                "dest": "keep_topic",
                "action": "store_true",
                "default": False,
                "help": "keep the prefix and the environment of the original topic",
            },
        ),
    ]

    def run(self) -> int | None:
        """Fetch, publish, and wait for the echo.

        Raises:
            FedmsgError: datagrepper did not answer, or with something else than a message.
            RelayUnavailable: no relay answered.
            OSError: the file cannot be read.
            ImportError: requests is not installed.
        """
        path, msg_id = self.config.get("dead_letters"), self.config.get("msg_id")
        if path:
            return self._replay_file(path)
        if not msg_id:
            print("--msg-id is required", file=sys.stderr)
            return 1
        print(f"Retrieving {msg_id!r}")
        status, answer = fetch(self.config["datagrepper_url"], msg_id)
        if status != 200:
            print(f"datagrepper request of {msg_id!r} failed. Status: {status}", file=sys.stderr)
            return NOT_FOUND
        message = parsed(answer)
        print(f"Broadcasting {msg_id!r}")
        with self._sender() as sender:
            sender.send(message)
            sender.finish()
        print("OK." if sender.confirmed else sender.verdict)
        return NOT_CONFIRMED if sender.missing else None

    def _replay_file(self, path: str) -> int | None:
        records, unusable = 0, 0
        with self._sender() as sender:
            for record in read_letters(path):
                records += 1
                try:
                    sender.send(original(record["body"]))
                except FedmsgError as error:
                    unusable += 1
                    print(f"record {records} cannot be sent: {error}", file=sys.stderr)
                if sender.stuck:
                    break
            sender.finish()
            # Here: if the relay has gone away, the end of this block is an error.
            print(f"{records} records, {sender.sent} sent, {sender.confirmed} confirmed.")
        if sender.missing or not sender.can_confirm:
            print(sender.verdict, file=sys.stderr)
        return 1 if unusable else NOT_CONFIRMED if sender.missing else None

    @contextlib.contextmanager
    def _sender(self) -> Iterator[_Sender]:
        outbound = as_list(self.config["endpoints"].get("relay_outbound"))
        if not self.config.get("zmq_enabled", True):
            outbound = []  # a STOMP broker confirms, and nothing comes back
        timeout = self.config["timeout"]
        with contextlib.ExitStack() as stack:
            echo = stack.enter_context(Echo(self.config, outbound)) if outbound else None
            if echo is not None:
                echo.join(self.config["post_init_sleep"], timeout)
            context = stack.enter_context(through_relay(self.config))
            yield _Sender(context.c, echo, timeout, bool(self.config.get("keep_topic")))


class Original(NamedTuple):
    """A message to be sent again: its topic, in parts, and its payload."""

    prefix: str
    environment: str
    modname: str
    rest: str
    msg: Any


class _Sender:
    """Publishes originals again.

    Args:
        config: of the context; the beginning of topics is set there.
        echo: tells what came back; None if nobody can.
        timeout: seconds to wait for each.
        keep_topic: see ``--keep-topic``.

    Attributes:
        sent: messages published.
        stuck: nothing comes back any more.
    """

    def __init__(
        self, config: dict[str, Any], echo: Echo | None, timeout: float, keep_topic: bool
    ) -> None:
        self._config, self._echo, self._timeout = config, echo, timeout
        self._keep_topic = keep_topic
        self.sent, self.stuck = 0, False

    @property
    def can_confirm(self) -> bool:
        return self._echo is not None

    @property
    def missing(self) -> list[str]:
        """``msg_id`` of what did not come back."""
        return list(self._echo.pending) if self._echo is not None else []

    @property
    def confirmed(self) -> int:
        return self.sent - len(self.missing) if self.can_confirm else 0

    @property
    def verdict(self) -> str:
        if not self.can_confirm:
            return "sent, not confirmed: no relay is known by endpoints['relay_outbound']"
        return (
            f"sent, not confirmed: not seen on endpoints['relay_outbound'] within"
            f" {self._timeout:g} s: {', '.join(self.missing)}"
        )

    def send(self, message: Original) -> None:
        """Publish one message, when not too many are on their way."""
        if self._keep_topic:
            self._config["topic_prefix"] = message.prefix
            self._config["environment"] = message.environment
        fedmsg.publish(
            topic=message.rest,
            msg=message.msg or Given(message.msg),
            modname=message.modname,
            pre_fire_hook=self._note,
        )
        self.sent += 1
        if self._echo is not None:
            self._echo.listen(_WINDOW, self._timeout)
            self.stuck = len(self._echo.pending) > _WINDOW

    def _note(self, message: dict[str, Any]) -> None:
        if self._echo is not None:
            self._echo.pending[message["msg_id"]] = None

    def finish(self) -> None:
        """Wait for what is still on its way."""
        if self._echo is not None:
            self._echo.listen(0, self._timeout)


def fetch(url: str, msg_id: str) -> tuple[int, bytes]:
    """Ask a datagrepper for a message.

    Args:
        url: of the service; ``/raw`` at its end, as consumers want it, is left out.
        msg_id: of the message.

    Returns:
        The HTTP status and the body of the answer.

    Raises:
        FedmsgError: the service cannot be reached, is slower than 30 seconds, or its answer is
            larger than 16 MiB.
        ImportError: requests is not installed.
    """
    import requests

    where = url.rstrip("/").removesuffix("/raw") + "/id"

    def get() -> tuple[int, bytes]:
        with requests.Session() as session:
            if where.startswith("https://"):
                del session.adapters["http://"]  # a redirection must not leave https
            query = {"id": msg_id}
            with session.get(where, params=query, timeout=_HTTP_SECONDS, stream=True) as response:
                return response.status_code, _read(response)

    try:
        # The time-out of requests is for each packet.
        found = bounded(get, _HTTP_SECONDS)
    except Exception as error:
        raise FedmsgError(f"cannot fetch {where}: {error}; see --datagrepper-url") from error
    if len(found[1]) > _MOST_BYTES:
        raise FedmsgError(f"the answer of {where} is larger than {_MOST_BYTES} bytes")
    return found


def _read(response: Any) -> bytes:
    """Return the body, or what is more than :data:`_MOST_BYTES` of it."""
    body = bytearray()
    # In pieces: old versions of urllib3 unpack what they read as a whole, a thousand times as much.
    for piece in response.iter_content(4096):
        body += piece
        if len(body) > _MOST_BYTES:
            break
    return bytes(body)


def parsed(answer: bytes) -> Original:
    """Return the message of an answer.

    Raises:
        FedmsgError: it has none.
    """
    try:
        message = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise FedmsgError(f"the answer of datagrepper is not JSON: {answer[:100]!a}") from error
    return original(message)


def original(message: Any) -> Original:
    """Return the parts of a message that was published before.

    Raises:
        FedmsgError: it is none, or its topic has fewer than five parts.
    """
    if not isinstance(message, dict) or not isinstance(message.get("topic"), str):
        raise FedmsgError(f"this is no message with a topic: {ascii(message)[:100]}")
    if "msg" not in message:
        raise FedmsgError(f"the message on {message['topic']!a} has no 'msg'")
    parts = message["topic"].split(".", 4)
    if len(parts) < 5 or not all(parts):
        raise FedmsgError(
            f"the topic {message['topic']!a} is too short to be sent again: it needs a prefix of"
            " two parts, an environment, a module and a name"
        )
    return Original(".".join(parts[:2]), parts[2], parts[3], parts[4], message["msg"])


def replay() -> int | None:
    """Entry point of ``fedmsg-dg-replay``."""
    return run_command(ReplayCommand)
