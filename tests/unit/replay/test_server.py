"""ReplayContext: it answers every request, and survives it."""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path

import pytest
import zmq
from parts import Stalled, settings, stored

from fedmsg.exceptions import ConfigurationError
from fedmsg.replay import ReplayContext


class Store:
    """A store that answers as it is told, and remembers what it was asked."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def get(self, query):
        self.asked.append(query)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def serve(address):
    """A function that returns a ReplayContext for an answer of the store."""
    made = []

    def make(answer, **changes):
        config = settings(name="me", replay_endpoints={"me": address()}, **changes)
        made.append(ReplayContext(persistent_store=Store(answer), **config))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def ask(zmq_context):
    """A function that sends frames to a server, lets it do one cycle, and returns the answer."""

    def send(server, *frames):
        sock = zmq_context.socket(zmq.REQ)
        sock.connect(f"tcp://127.0.0.1:{server.endpoint.rpartition(':')[2]}")
        sock.send_multipart(frames)
        assert server._req_rep_cycle() is None
        assert sock.poll(20_000), "no answer"
        return sock.recv_multipart()

    return send


def resident():
    """Return the memory of this process that is in use, bytes; 0 where it is not known."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        return 0


@pytest.mark.parametrize("messages", [[{"a": 1}], [{"z": [1, 2], "a": "ü"}, {"seq_id": 2}]])
def test_one_frame_a_message(serve, ask, messages):
    """Each message is a frame of canonical JSON, and the store is given the query as it is."""
    server = serve(messages)
    frames = ask(server, b'{"anything": ["at", "all"]}')
    assert [json.loads(frame) for frame in frames] == messages
    assert server.store.asked == [{"anything": ["at", "all"]}]
    assert frames[0] == json.dumps(messages[0], sort_keys=True, separators=(",", ":")).encode()


def test_refusal_of_the_store(serve, ask):
    """A ValueError of the store becomes an error frame with its text."""
    assert ask(serve(ValueError("No luck!")), b"{}") == [b"error: 'No luck!'"]


@pytest.mark.parametrize(
    "frames",
    [
        [b""], [b"{"], [b"\xff\xfe"], [b"[1]"], [b"null"], [b"3"], [b'"text"'], [b"{}", b"{}"],
        [b"[" * 200_000],
    ],
)  # fmt: skip
def test_malformed_requests(serve, ask, frames):
    """Whatever is no JSON object in one frame is answered with an error, and the next one too."""
    server = serve([{"seq_id": 1}])
    [answer] = ask(server, *frames)
    assert answer.startswith(b"error: '")
    assert server.store.asked == []
    assert ask(server, b'{"seq_id": 1}') == [b'{"seq_id":1}']


def test_failure_of_the_store(serve, ask, caplog):
    """Another error of the store is logged, and the peer learns no detail."""
    server = serve(RuntimeError("password"))
    with caplog.at_level(logging.ERROR, "fedmsg.replay"):
        assert ask(server, b'{"seq_id": 1}') == [b"error: 'internal error'"]
    assert "password" in caplog.text


def test_what_json_cannot_hold(serve, ask):
    """A store that returns what cannot be encoded is an internal error."""
    assert ask(serve([{"a": object()}]), b"{}") == [b"error: 'internal error'"]


def test_nothing_found(serve, ask):
    """An empty answer of the store is an error frame: a reply has a frame at least."""
    [answer] = ask(serve([]), b'{"seq_id": 1}')
    assert answer.startswith(b"error: ")


def test_answer_is_limited(serve, ask):
    """More than ``replay_limit`` messages are refused, and a narrower range is asked for."""
    messages = [{"seq_id": number} for number in range(4)]
    [answer] = ask(serve(messages, replay_limit=3), b"{}")
    assert b"narrower" in answer
    assert len(ask(serve(messages, replay_limit=4), b"{}")) == 4


def test_answer_is_limited_in_bytes(serve, ask, monkeypatch):
    """So are too many bytes; one message always fits."""
    monkeypatch.setattr("fedmsg.replay.server._ANSWER_BYTES", 100)
    [answer] = ask(serve([{"text": "x" * 80}] * 2), b"{}")
    assert b"narrower" in answer
    assert len(ask(serve([{"text": "x" * 200}]), b"{}")[0]) > 200


def test_large_store_is_not_read_at_once(sql_store, address, ask):
    """A range that selects everything is refused after ``replay_limit`` rows."""
    store = sql_store()
    stored(store, 50)
    config = settings(name="me", replay_endpoints={"me": address()}, replay_limit=10)
    server = ReplayContext(persistent_store=store, **config)
    try:
        assert b"narrower" in ask(server, b'{"seq_id_range": [1, 50]}')[0]
        assert len(ask(server, b'{"seq_id_range": [41, 50]}')) == 10
    finally:
        server.close()


def test_oversized_request(serve, ask, zmq_context):
    """A huge request is not taken, and others are answered."""
    server = serve([{"seq_id": 1}])
    sock = zmq_context.socket(zmq.REQ)
    sock.connect(f"tcp://127.0.0.1:{server.endpoint.rpartition(':')[2]}")
    sock.send(b"x" * (2 * 1024 * 1024))
    assert ask(server, b'{"seq_id": 1}') == [b'{"seq_id":1}']
    assert server.store.asked == [{"seq_id": 1}]


def test_peer_that_never_reads(replay_server, zmq_context, eventually):
    """Answers to a peer that only sends are not kept without limit, and others are answered."""
    server = replay_server(Store([{"text": "x" * 1_000_000}]))
    before = resident()
    endpoint = server.config["replay_endpoints"]["me"]
    peer = Stalled(endpoint, kind=b"DEALER")
    sock = zmq_context.socket(zmq.REQ)
    sock.connect(endpoint)
    try:
        for _ in range(200):
            peer.send(b"", more=True)
            peer.send(b'{"seq_id": 1}')
        eventually(lambda: server.context.counts["answered"] >= 200, "200 answers")
        sock.send(b"{}")
        assert sock.poll(20_000), "another peer has to wait"
        assert resident() - before < 100_000_000
    finally:
        peer.close()


def test_no_store():
    """Without a store there is nothing to serve."""
    with pytest.raises(ValueError, match="No valid persistent_store config value found"):
        ReplayContext(**settings(persistent_store=None, name="me", replay_endpoints={"me": "x"}))


def test_name_without_address():
    """A name that replay_endpoints does not have is a KeyError."""
    with pytest.raises(KeyError):
        ReplayContext(**settings(persistent_store=Store([]), name="you", replay_endpoints={}))


def test_malformed_address():
    """An address without a port is an error that names it."""
    config = settings(name="me", replay_endpoints={"me": "tcp://host"})
    with pytest.raises(ConfigurationError, match="tcp://host"):
        ReplayContext(persistent_store=Store([]), **config)


def test_port_taken(serve):
    """A port in use is an OSError with the text of 1.1.7 and the address."""
    taken = serve([]).config["replay_endpoints"]
    config = settings(name="me", replay_endpoints=taken)
    with pytest.raises(OSError, match=r"The replay endpoint cannot be bound\. " + taken["me"]):
        ReplayContext(persistent_store=Store([]), **config)


def test_limit_of_queues_comes_before_bind(serve):
    """A small high_water_mark is set, and the keepalive options are."""
    server = serve([], high_water_mark=3, zmq_tcp_keepalive=1)
    assert server.publisher.getsockopt(zmq.SNDHWM) == server.publisher.getsockopt(zmq.RCVHWM) == 3
    assert server.publisher.getsockopt(zmq.TCP_KEEPALIVE) == 1


def test_listen_ends(serve):
    """``stop`` ends ``listen``, which closes the socket."""
    server = serve([])
    thread = threading.Thread(target=server.listen)
    thread.start()
    server.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert server.publisher.closed
