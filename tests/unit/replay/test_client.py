"""Asking a replay service: what is yielded, what is an error, and that nothing stays open."""

from __future__ import annotations

import threading

import pytest
import zmq
from parts import settings, stored

import fedmsg.replay
from fedmsg.exceptions import ReplayUnavailable
from fedmsg.replay import get_replay
from fedmsg.replay.client import WINDOW, missing, newest


class Answers:
    """A service that gives prepared answers, and remembers the requests."""

    def __init__(self, context, endpoint, answers):
        self.requests = []
        self._socket = context.socket(zmq.REP)
        self._socket.bind(endpoint)
        self._answers = answers
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        for answer in self._answers:
            if not self._socket.poll(20_000):
                return
            self.requests.append(self._socket.recv())
            self._socket.send_multipart(answer)

    def close(self):
        self._thread.join(20)


@pytest.fixture
def answering(zmq_context, address):
    """A function that starts a service with prepared answers; returns it and the configuration."""
    made = []

    def start(*answers):
        config = settings(replay_endpoints={"me": address()}, replay_timeout=20)
        made.append(Answers(zmq_context, config["replay_endpoints"]["me"], answers))
        return made[-1], config

    yield start
    for each in made:
        each.close()


def ids(messages):
    return [each["seq_id"] for each in messages]


def test_yields_what_is_answered(answering):
    """Each frame is a message; the request is the query in canonical JSON."""
    service, config = answering([b'{"seq_id":5}', b'{"seq_id":7}'])
    assert ids(get_replay("me", {"seq_ids": [5, 7]}, config)) == [5, 7]
    assert service.requests == [b'{"seq_ids":[5,7]}']


def test_error_frame(answering):
    """An error frame is a ValueError with its bytes."""
    _, config = answering([b"error: 'No luck!'"])
    with pytest.raises(ValueError, match="No luck") as caught:
        list(get_replay("me", {}, config))
    assert caught.value.args == (b"error: 'No luck!'",)


def test_what_is_no_message_is_left_out(answering):
    """Frames that are no JSON objects among others are skipped."""
    _, config = answering([b'{"seq_id":1}', b"nonsense", b"[2]", b"\xff", b'{"seq_id":3}'])
    assert ids(get_replay("me", {}, config)) == [1, 3]


@pytest.mark.parametrize("endpoints", [None, {}, {"you": "tcp://127.0.0.1:1"}, {"me": ""}])
def test_unknown_name(endpoints):
    """A name without address is both an OSError and a ValueError, at the first iteration."""
    answer = get_replay("me", {}, settings(replay_endpoints=endpoints))
    with pytest.raises(OSError, match="No appropriate replay endpoint found for me") as caught:
        next(answer)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("endpoint", ["127.0.0.1:1", "tcp://host", "tcp://nowhere.invalid:1",
                                      "nonsense://127.0.0.1:1"])  # fmt: skip
def test_bad_address(endpoint):
    """An address that cannot be used is an OSError."""
    config = settings(replay_endpoints={"me": endpoint}, replay_timeout=1)
    with pytest.raises(ReplayUnavailable, match="Error when connecting to the replay endpoint: '"):
        list(get_replay("me", {}, config))


def test_nobody_answers(address, zmq_context):
    """The wait is bounded by ``replay_timeout``, and every socket is closed."""
    config = settings(replay_endpoints={"me": address()}, replay_timeout=0.05)
    with pytest.raises(ReplayUnavailable, match=r"did not answer within 0\.05 s"):
        list(get_replay("me", {}, config, context=zmq_context))
    with pytest.raises(ReplayUnavailable):
        list(get_replay("me", {}, config))
    assert all(sock.closed for sock in zmq_context.kept)


def test_the_context_ends_meanwhile(zmq_context, address):
    """Who ends it finds no socket open, and whoever waits hears of it by its own name."""
    config = settings(replay_endpoints={"me": address()}, replay_timeout=20)
    service = zmq_context.socket(zmq.REP)
    service.bind(config["replay_endpoints"]["me"])
    used, raised = zmq.Context(), []

    def ask():
        try:
            list(get_replay("me", {}, config, context=used))
        except zmq.ZMQError as error:
            raised.append(type(error))

    thread = threading.Thread(target=ask)
    thread.start()
    assert service.poll(20_000)
    used.term()
    thread.join(20)
    assert raised == [zmq.ContextTerminated]


def test_abandoned(answering, zmq_context):
    """While the caller works nothing is open, so that it may stop at any message."""
    _, config = answering([b'{"seq_id":1}', b'{"seq_id":2}'])
    answer = get_replay("me", {}, config, context=zmq_context)
    next(answer)
    assert [sock.closed for sock in zmq_context.kept] == [False, True]


def test_windows(replay_server, sql_store):
    """A large range is asked for in windows, and comes complete and in order."""
    store = sql_store()
    stored(store, 2 * WINDOW + 300)
    server = replay_server(store)
    found = missing("me", 0, 10**15, server.config)
    assert next(found)["seq_id"] == 1
    assert server.context.counts["messages"] == WINDOW + 1 + 1  # the last one, and a window
    assert ids(found) == list(range(2, 2 * WINDOW + 301))
    assert server.context.counts["requests"] == 4


def test_unused_regions_of_numbers(replay_server, sql_store):
    """A region without messages, however large, costs few requests."""
    store = sql_store()
    stored(store, 3)
    stored(store, 3, first=10**9)
    server = replay_server(store)
    assert ids(missing("me", 1, 10**9 + 2, server.config)) == [2, 3, 10**9, 10**9 + 1]
    assert server.context.counts["requests"] < 60


def test_server_with_a_small_limit(replay_server, sql_store):
    """A server that asks for a narrower range gets one."""
    store = sql_store()
    stored(store, 100)
    server = replay_server(store, replay_limit=30)
    assert ids(missing("me", 0, 101, server.config)) == list(range(1, 101))
    assert server.context.counts["refused"] < 8


def test_answers_are_filtered(answering):
    """Of what a server sends, only what is missing counts: in order, each once."""
    frames = [b'{"seq_id":%d}' % n for n in (7, 4, 5, 5, 8, 6, 99, -1)]
    service, config = answering([*frames, b"{}", b'{"seq_id":"6"}', b'{"seq_id":true}'])
    assert ids(missing("me", 4, 8, config)) == [5, 6, 7]
    assert service.requests == [b'{"seq_id_range":[4,8]}']


def test_store_of_1_1_7(answering):
    """Where ranges are an error of the server, single numbers are asked for."""
    service, config = answering(
        [b"error: 'Something went wrong when processing the field \"seq_id_range\"'"],
        [b'{"seq_id":5}', b'{"seq_id":6}'],
    )
    assert ids(missing("me", 4, 7, config)) == [5, 6]
    assert service.requests[1] == b'{"seq_ids":[5,6]}'


def test_newest(replay_server, sql_store, answering):
    """The store's last number, 0 if it is empty; None if the server does not say."""
    store = sql_store()
    server = replay_server(store)
    assert newest("me", server.config) == 0
    stored(store, 5)
    assert newest("me", server.config) == 5
    _, old = answering([b"error: 'Unsupported field: \"key\"'"])
    assert newest("me", old) is None


def test_names_of_the_package():
    """What applications import from fedmsg.replay is there, and nothing else is invented."""
    assert {"ReplayContext", "check_for_replay", "get_replay"} <= set(fedmsg.replay.__all__)
    assert all(hasattr(fedmsg.replay, name) for name in fedmsg.replay.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = fedmsg.replay.nonsense


def test_context_that_has_ended(address):
    """It is said as such, and not as a service that cannot be reached."""
    context = zmq.Context()
    keeping = context.socket(zmq.PUB)
    ending = threading.Thread(target=context.term)
    ending.start()
    with pytest.raises(zmq.ContextTerminated):
        while True:
            keeping.poll(10, zmq.POLLIN)
    config = settings(replay_endpoints={"me": address()})
    try:
        with pytest.raises(zmq.ContextTerminated):
            next(get_replay("me", {"last": True}, config, context))
    finally:
        keeping.close()
        ending.join(20)


def test_newest_of_a_service_that_fails(answering, address):
    """That its store fails, or that it is away, is not taken for an answer."""
    _, failing = answering([b"error: 'internal error'"])
    with pytest.raises(ReplayUnavailable, match="the replay service of me failed"):
        newest("me", failing)
    away = settings(replay_endpoints={"me": address()}, replay_timeout=0.05)
    with pytest.raises(ReplayUnavailable, match="did not answer"):
        newest("me", away)


def test_what_fits_a_window_is_asked_for_at_once(answering):
    """Only of more than that is the store's last number asked for first."""
    found = [b'{"seq_id":5000}']
    service, config = answering(found, found, found)
    for number in (WINDOW, WINDOW + 1):
        assert ids(missing("me", 4999, 5000 + number, config)) == [5000]
    ranges = [b'{"seq_id_range":[4999,%d]}' % end for end in (5000 + WINDOW, 5001)]
    assert service.requests == [ranges[0], b'{"last":true}', ranges[1]]
