"""The parsers: each gets bytes, and fails if it raises what its callers do not expect.

What a target returns is whether the input was accepted; what it asserts holds for every input.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click
import pki
from hubs import FakeHub, Recorder
from parts import settings

import fedmsg.meta
from fedmsg import crypto, encoding, envelope
from fedmsg._files import read_config
from fedmsg.commands import check
from fedmsg.consumers import retry, status
from fedmsg.exceptions import ConfigurationError, FrameError, ReplayUnavailable
from fedmsg.hub import websocket
from fedmsg.hub.dispatch import Dispatcher
from fedmsg.meta.failures import safely
from fedmsg.replay import client
from fedmsg.replay.server import ReplayContext
from fedmsg.transports import stomp, stomp_rules

from . import mutation

Run = Callable[[bytes], bool]
_TOPIC = "org.fedoraproject.dev.test.thing.happened"
_MESSAGE = envelope.build(_TOPIC, {"a": [1, {"b": "c"}]}, 7, 1700000000, "uuid", "alice")


class Target(NamedTuple):
    """A parser, ready to run.

    Attributes:
        run: takes one input; true if it was accepted.
        corpus: good inputs.
        well_formed: makes inputs that are read at least as far as their fields.
    """

    run: Run
    corpus: Sequence[bytes]
    well_formed: Callable[[random.Random], bytes]


def _altering(*originals: Any, before: bytes = b"") -> Callable[[random.Random], bytes]:
    """Return a function that makes JSON of changed originals."""

    def make(r: random.Random) -> bytes:
        return before + mutation.json_bytes(mutation.changed(r, r.choice(originals)))

    return make


def _json_target(run: Run, *originals: Any, before: bytes = b"") -> Target:
    corpus = [before + mutation.json_bytes(each) for each in originals]
    return Target(run, corpus, _altering(*originals, before=before))


@contextmanager
def frames(_folder: Path) -> Generator[Target, None, None]:
    """Topic and body, as the tail decodes them."""

    def run(data: bytes) -> bool:
        topic, _, body = data.partition(b"|")
        try:
            decoded, message = envelope.decode([topic, body], 8000)
        except FrameError as error:
            assert error.reason
            return False
        assert type(message) is dict and not envelope.has_control_characters(decoded)
        return True

    yield _json_target(run, _MESSAGE, before=_TOPIC.encode() + b"|")


@contextmanager
def hub(folder: Path) -> Generator[Target, None, None]:
    """Frames through the dispatcher into a consumer that validates."""
    authority = pki.Pki(folder / "pki")
    config = {"recorder": True, "moksha.blocking_mode": True, **authority.config}
    consumer = Recorder(FakeHub(**config, validate_signatures=True))
    dispatcher = Dispatcher(max_size=8000)
    dispatcher.subscribe("", consumer._consume_json)
    signed = crypto.sign(_MESSAGE, **authority.config)

    def run(data: bytes) -> bool:
        topic, _, body = data.partition(b"|")
        consumer.got.clear()
        before = dispatcher.received + dispatcher.rejected.total()
        dispatcher.dispatch([[topic, body]])
        # Counted as received, and again if it is no text.
        assert 1 <= dispatcher.received + dispatcher.rejected.total() - before <= 2
        for message in consumer.got:
            assert _covered(message["body"]) == _covered(signed), "a forgery was consumed"
        return bool(consumer.got)

    yield _json_target(run, signed, _MESSAGE, before=_TOPIC.encode() + b"|")
    consumer.stop()


def _covered(message: dict[str, Any]) -> str:
    """Return what a signature covers, but for the number that a store adds."""
    body = crypto.strip_credentials(message)
    body.pop("seq_id", None)
    return encoding.dumps(body)


@contextmanager
def credentials(folder: Path) -> Generator[Target, None, None]:
    """Signature and certificate in a message, and the other fields that it has."""
    authority = pki.Pki(folder / "pki")
    signed = crypto.sign(_MESSAGE, **authority.config)
    genuine = _covered(signed)

    def run(data: bytes) -> bool:
        try:
            message = envelope.decode_body(data)
        except FrameError:
            return False
        verdict = crypto.check_received(_TOPIC, message, **authority.config)
        assert verdict.valid != bool(verdict.reason)
        assert not verdict.valid or _covered(message) == genuine, "a forgery is valid"
        return verdict.valid

    unsigned = crypto.strip_credentials(signed)
    old = {key: item for key, item in signed.items() if key != "crypto"}
    yield _json_target(run, signed, signed, signed, old, unsigned)


@contextmanager
def replay_request(folder: Path) -> Generator[Target, None, None]:
    """What a replay server is asked."""
    url = f"sqlite:///{folder}/store.db"
    endpoints = {"me": "tcp://127.0.0.1:*"}
    config = settings(name="me", persistent_store=url, replay_endpoints=endpoints)
    server = ReplayContext(**config)
    for number in range(1, 51):
        server.store.add({**_MESSAGE, "msg_id": f"2026-{number}", "i": number})

    def run(data: bytes) -> bool:
        answer = server._answer(data.split(b"|"))
        refused = answer[0].startswith(b"error: ")
        assert refused or all(type(json.loads(frame)) is dict for frame in answer)
        assert server.counts["failed"] == 0, answer
        return not refused

    queries = (
        {"seq_id_range": [3, 9]}, {"seq_ids": [1, 2, 3]}, {"seq_id": 5}, {"msg_id": "2026-4"},
        {"msg_ids": ["2026-4"]}, {"time": [1600000000, 1800000000]}, {"last": True},
    )  # fmt: skip
    yield _json_target(run, *queries)
    server.close()


@contextmanager
def replay_answer(_folder: Path) -> Generator[Target, None, None]:
    """What a replay server answers, as a subscriber takes it."""
    original, answer = client._ask, [b""]
    client._ask = lambda *_arguments: answer

    def run(data: bytes) -> bool:
        answer[:] = data.split(b"|")
        try:
            found = list(client.missing("me", 2, 3000, {}))
        except (ValueError, ReplayUnavailable):
            return False
        numbers = [message["seq_id"] for message in found]
        assert numbers == sorted(set(numbers)) and all(2 < each < 3000 for each in numbers)
        return bool(found)

    stored = [{**_MESSAGE, "seq_id": number} for number in range(3, 8)]
    good = b"|".join(map(mutation.json_bytes, stored))

    def well_formed(r: random.Random) -> bytes:
        some = [mutation.changed(r, each) if r.random() < 0.5 else each for each in stored]
        return b"|".join(map(mutation.json_bytes, some))

    yield Target(run, [good, b"error: 'There was no match for the given query'"], well_formed)
    client._ask = original


class _Pieces:
    """A stream of a broker that sends some bytes and closes the connection."""

    def __init__(self, data: bytes) -> None:
        self._data, self._r = data, random.Random(len(data))

    def recv(self, size: int) -> bytes:
        """Return the next piece."""
        piece = self._data[: min(size, self._r.choice([1, 7, 100, 9000]))]
        self._data = self._data[len(piece) :]
        return piece

    def shutdown(self) -> None:
        """Nothing is open."""


@contextmanager
def stomp_frames(_folder: Path) -> Generator[Target, None, None]:
    """What a STOMP broker sends, and the headers in it."""
    taken: list[str] = []

    def sink(command: str, headers: dict[str, str], body: bytes) -> None:
        taken.append(command)
        assert type(body) is bytes
        known = stomp_rules.dialect(headers.get("server", ""))
        for each in (known, *stomp_rules.DIALECTS.values()):
            assert type(stomp_rules.topic_of(headers, "/topic/{topic}", each)) is str
        out, back = stomp_rules.heartbeats(10_000, headers.get("heart-beat", "0,0"))
        assert out >= 0 <= back

    broker = ("127.0.0.1", 61613)

    def run(data: bytes) -> bool:
        connection = stomp.Connection(stomp_rules.Settings((broker,)), broker, sink)
        link = stomp._link_class()(_Pieces(data), broker, connection)
        link.override_threading(connection._keep)
        link.start()
        taken.clear()
        try:
            connection.read()
        except AssertionError:
            raise
        except Exception:  # noqa: BLE001  the session's reader ends the connection then
            return False
        return bool(taken)

    connected = b"CONNECTED\nserver:RabbitMQ/3.10\nheart-beat:10000,10000\nversion:1.2\n\n\0\n"
    message = (
        b"MESSAGE\nsubscription:0\ndestination:/topic/a.b\nmessage-id:1\nack:2\n"
        b'content-length:8\n\n{"a": 1}\0\n\n'
    )
    refused = b"ERROR\nmessage:Bad CONNECT\ncontent-type:text/plain\n\nAccess refused\0"
    corpus = [connected, connected + message, connected + message + refused, message * 3]

    def well_formed(r: random.Random) -> bytes:
        lines = []
        for line in r.choice(corpus).split(b"\n"):
            name, colon, text = line.partition(b":")
            if colon and r.random() < 0.3:
                text = mutation.mutated(r, text, corpus).replace(b"\n", b"\\n")
            lines.append(name + colon + text)
        return b"\n".join(lines)

    yield Target(run, corpus, well_formed)


@contextmanager
def monitoring(_folder: Path) -> Generator[Target, None, None]:
    """The report of a daemon, as ``fedmsg-check`` reads it."""

    def run(data: bytes) -> bool:
        try:
            report = check._parsed(data, "tcp://127.0.0.1:1")
        except click.ClickException:
            return False
        for each in report["consumers"] + report["producers"]:
            assert type(each["name"]) is str
        return True

    record = {"name": "A", "initialized": True, "backlog": 0, "times": [1.0], "exceptions": 0}
    yield _json_target(run, {"consumers": [record, record], "producers": [record]})


@contextmanager
def websocket_frames(_folder: Path) -> Generator[Target, None, None]:
    """What a browser sends."""
    published: list[Any] = []

    class Server:
        """What a client asks of its server."""

        hub = FakeHub()

        def complain(self, text: str, *arguments: Any) -> None:
            """Write the text, as logging would."""
            assert text % arguments

        def publish(self, topic: str, body: Any) -> None:
            """Remember a message."""
            assert type(topic) is str
            published.append(body)

    known: Any = websocket._Client(Server(), None)  # type: ignore[arg-type]

    def run(data: bytes) -> bool:
        published.clear()
        before = len(known._patterns)
        try:
            text: Any = data.decode()
        except UnicodeDecodeError:
            text = data
        known.receive(text)
        assert len(known._patterns) <= 100
        return bool(published) or len(known._patterns) > before

    subscribing = {"topic": websocket.SUBSCRIBE, "body": "org.fedoraproject"}
    yield _json_target(run, subscribing, {"topic": "a.b", "body": {"c": 1}})


@contextmanager
def config_file(folder: Path) -> Generator[Target, None, None]:
    """A configuration file."""
    path = folder / "fuzzed.py"
    corpus = [
        b"config = {\n    'endpoints': {'a.host': ['tcp://127.0.0.1:3000']},\n    'x': True,\n}\n",
        b"import socket\nname = 'a'\nconfig = dict(environment='dev', name=name)\n",
        b"# -- coding: utf-8\nconfig = {'topic_prefix': 'org.fedoraproject', 'n': 5,\n"
        b"          'routing_policy': {'a': ['b', 'c']}}\n",
    ]
    # Powers, repetition, shifts and formats would ask the machine for any amount of memory.
    costly = bytes.maketrans(b"*<%", b"   ")

    def run(data: bytes) -> bool:
        path.write_bytes(data.translate(costly))
        try:
            config = read_config(str(path))
        except ConfigurationError as error:
            assert str(path) in str(error)
            return False
        assert type(config) is dict
        return True

    def well_formed(r: random.Random) -> bytes:
        keys = {"endpoints": {"a": ["tcp://127.0.0.1:1"]}, "environment": "dev", "name": "b"}
        return f"config = {mutation.changed(r, keys)!r}\n".encode("utf-8", "surrogatepass")

    yield Target(run, corpus, well_formed)


@contextmanager
def status_file(_folder: Path) -> Generator[Target, None, None]:
    """How far a consumer got, as its next start reads it."""

    def run(data: bytes) -> bool:
        try:
            found = status.parse(data.decode("utf-8", "replace"), 5.0)
        except (ValueError, RecursionError):
            return False
        assert found.msg_id is None or type(found.msg_id) is str
        assert 0 < found.timestamp < 1e11
        return True

    yield _json_target(run, {"message": {"topic": _TOPIC, "body": _MESSAGE}, "status": "pre"})


@contextmanager
def dead_letters(folder: Path) -> Generator[Target, None, None]:
    """A file of messages that could not be consumed."""
    path = folder / "letters"

    def run(data: bytes) -> bool:
        path.write_bytes(data)
        found = list(retry.read(str(path)))
        assert all(type(each) is dict for each in found)
        return bool(found)

    letter = {"topic": _TOPIC, "body": _MESSAGE, "attempts": 3, "consumer": "a", "time": 5}
    yield _json_target(run, letter)


@contextmanager
def words(_folder: Path) -> Generator[Target, None, None]:
    """A message in natural language."""
    config = settings(topic_prefix_re=r"org\.fedoraproject\.(dev|stg|prod)")
    fedmsg.meta.make_processors(**config)
    functions = (
        fedmsg.meta.msg2repr, fedmsg.meta.msg2link, fedmsg.meta.msg2icon, fedmsg.meta.msg2usernames,
        fedmsg.meta.msg2packages, fedmsg.meta.msg2objects,
    )  # fmt: skip

    def run(data: bytes) -> bool:
        try:
            message = envelope.decode_body(data)
        except FrameError:
            return False
        missing = object()
        shown = [safely(function, message, missing, config) for function in functions]
        return missing not in shown

    logged = {**_MESSAGE, "topic": "org.fedoraproject.dev.logger.log", "msg": {"log": "x"}}
    announced = {
        **_MESSAGE, "topic": "org.fedoraproject.dev.announce.announcement",
        "msg": {"message": "x", "link": "https://example.org"},
    }  # fmt: skip
    yield _json_target(run, logged, announced, _MESSAGE)


TARGETS = (
    frames, hub, credentials, replay_request, replay_answer, stomp_frames, monitoring,
    websocket_frames, config_file, status_file, dead_letters, words,
)  # fmt: skip
