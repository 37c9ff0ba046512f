"""Publishing with a ``persistent_store``: numbers, order of steps, many publishers, and a kill."""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import sys
import textwrap
import threading

import pytest
import zmq
from storing import COUNT, publish, publishing

import fedmsg
from fedmsg import crypto
from fedmsg.exceptions import ConfigurationError, StoreError

sqlstore = pytest.importorskip("fedmsg.replay.sqlstore")


def check(store, publishers):
    """Every message is there once, in an order that is that of each publisher."""
    found = store.get({"seq_id_range": [0, 10**6]})
    total = publishers * COUNT
    assert [message["seq_id"] for message in found] == list(range(1, total + 1))
    assert len({message["msg_id"] for message in found}) == total


@pytest.fixture
def running():
    """A function that runs calls in threads or processes, and waits for their success."""
    started = []

    def run(parts):
        for part in parts:
            part.start()
            started.append(part)
        for part in parts:
            part.join(50)
            assert getattr(part, "exitcode", 0) == 0

    yield run
    for part in started:
        if getattr(part, "exitcode", 0) is None:
            part.kill()
            part.join()


def test_number_is_sent(make_context, subscriber, sql_store, tmp_path, eventually):
    """What subscribers get is what the store has, with its number."""
    context = make_context(**publishing(f"sqlite:///{tmp_path}/store.db"))
    bound = context.publisher.getsockopt_string(zmq.LAST_ENDPOINT)
    there = subscriber(bound.replace("0.0.0.0", "127.0.0.1"))

    def arrived():
        context.publish(topic="t", msg={"a": 1}, modname="m")
        return there.socket.poll(20)

    eventually(arrived)
    message = fedmsg.encoding.loads(there.receive()[1])
    assert sql_store().get({"seq_id": message["seq_id"]}) == [message]


def test_threads(database_url, sql_store, running):
    """Threads with a context each, and one store: no number twice, none lost."""
    store = sql_store(database_url)
    running([threading.Thread(target=publish, args=(database_url,)) for _ in range(4)])
    check(store, 4)


def test_forked_children(database_url, sql_store, running):
    """Children of a process that has used the store: their connections are their own."""
    store = sql_store(database_url)
    publish(database_url)
    method = multiprocessing.get_context("fork")
    running([method.Process(target=publish, args=(database_url,)) for _ in range(2)])
    publish(database_url)
    check(store, 4)


def test_processes(sql_store, tmp_path, running):
    """Processes that have nothing in common, and that make the tables at the same time."""
    url = f"sqlite:///{tmp_path}/store.db"
    method = multiprocessing.get_context("forkserver")
    running([method.Process(target=publish, args=(url,)) for _ in range(2)])
    check(sql_store(url), 2)


def test_numbers_become_visible_in_order(postgres, sql_store, eventually):
    """Whoever sees a number sees all below it: PostgreSQL alone does not promise that."""
    import sqlalchemy

    store = sql_store(postgres.url)
    waiting = sqlalchemy.text(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    )
    message = {"topic": "t", "msg_id": "m", "timestamp": 1}
    second = threading.Thread(target=store.add, args=(message,))
    with store.engine.connect() as looking, store._transaction() as first:
        first.execute(sqlstore._PG_LOCK)
        second.start()
        eventually(lambda: looking.execute(waiting).scalar(), "the second publisher's wait")
        row = sqlstore._TABLE.insert().values(uuid="first", msg="{}")
        number = first.execute(row).inserted_primary_key[0]
    second.join(20)
    assert message["seq_id"] == number + 1
    sqlstore.Base.metadata.drop_all(store.engine)


def test_one_store_for_all_threads(tmp_path):
    """A URL is opened once in a process."""
    url = f"sqlite:///{tmp_path}/store.db"
    assert fedmsg.replay.open_store(url) is fedmsg.replay.open_store(url)


def test_one_store_for_threads_that_open_it_at_once(tmp_path, monkeypatch):
    """The second uses what the first has opened, and closes its own."""
    import sqlalchemy

    really_open, opened, closed = fedmsg.replay._open_url, [], []

    def open_slowly(url):
        store = really_open(url)
        sqlalchemy.event.listen(store.engine, "engine_disposed", closed.append)
        opened.append(store)
        if len(opened) == 1:
            assert fedmsg.replay.open_store(url) is opened[1]
        return store

    monkeypatch.setattr(fedmsg.replay, "_open_url", open_slowly)
    assert fedmsg.replay.open_store(f"sqlite:///{tmp_path}/store.db") is opened[1]
    assert closed == [opened[0].engine]


def test_store_before_signing(make_context, sql_store, pki):
    """The signature covers the number, and the stored row has the signature."""
    store = sql_store()
    config = publishing(store, sign_messages=True, certnames={"me": "leaf"}, ssldir=pki.folder)
    make_context(**config).publish(topic="t", modname="m")
    [message] = store.get({"seq_id": 1})
    assert crypto.validate(message, **pki.config)
    assert not crypto.validate({**message, "seq_id": 2}, **pki.config)


def test_signing_that_fails(make_context, sql_store, pki, monkeypatch):
    """What cannot be signed is not sent, and leaves no row."""
    store = sql_store()
    monkeypatch.setattr(crypto, "sign", lambda msg, **_: [][0])
    config = publishing(store, sign_messages=True, certnames={"me": "leaf"}, ssldir=pki.folder)
    context = make_context(**config)
    with pytest.raises(IndexError):
        context.publish(topic="t", modname="m")
    with pytest.raises(ValueError, match="no match"):
        store.get({"last": True})


def test_update_that_fails(make_context, sql_store, pki, monkeypatch):
    """A row that could not be given its signature is taken out again."""
    store = sql_store()
    monkeypatch.setattr(store, "update", lambda msg: [][0])
    config = publishing(store, sign_messages=True, certnames={"me": "leaf"}, ssldir=pki.folder)
    with pytest.raises(IndexError):
        make_context(**config).publish(topic="t", modname="m")
    with pytest.raises(ValueError, match="no match"):
        store.get({"last": True})


def test_store_without_update(make_context, monkeypatch):
    """A store as 1.1.7 had them is given the signed message, once."""

    class Old:
        added = None

        def add(self, msg):
            self.added = msg
            return {**msg, "seq_id": 1}

    store = Old()
    monkeypatch.setattr(crypto, "sign", lambda msg, **_: {**msg, "signature": "s"})
    config = publishing(store, sign_messages=True, certnames={"me": "c"})
    make_context(**config).publish(topic="t", modname="m")
    assert store.added["signature"] == "s"
    assert "seq_id" not in store.added


def test_locked_store(make_context, tmp_path):
    """A store that is locked makes publish fail with a word, and nothing is sent."""
    import sqlite3

    context = make_context(**publishing(f"sqlite:///{tmp_path}/store.db?timeout=0.1"))
    context.publish(topic="t", modname="m")
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StoreError, match=r"store\.db.*database is locked"):
            context.publish(topic="t", modname="m")
    finally:
        other.close()


def test_wrong_store(make_context):
    """A URL that is none is an error of the configuration when something is published."""
    with pytest.raises(ConfigurationError, match="persistent_store"):
        make_context(**publishing("nonsense")).publish(topic="t", modname="m")


def test_killed_between_store_and_send(
    listen, replay_server, sql_store, tmp_path, publisher, eventually
):
    """A publisher killed before it could send has stored the message: subscribers fetch it."""
    store = sql_store()
    there = publisher()
    config = replay_server(store).config
    wanted = {key: config[key] for key in ("replay_endpoints", "replay_timeout")}
    _, tail = listen({"me": there.endpoint}, **wanted)
    there.joined()
    code = """
        import os, signal, sys
        import fedmsg
        def die(message):
            os.kill(os.getpid(), signal.SIGKILL)
        context = fedmsg.FedMsgContext(
            io_threads=1, active=False, post_init_sleep=0, high_water_mark=0, name="me",
            topic_prefix="p", environment="e", endpoints={"me": ["tcp://127.0.0.1:*"]},
            persistent_store=sys.argv[1],
        )
        context.publish(topic="first", modname="m")
        context.publish(topic="killed", modname="m", pre_fire_hook=die)
    """
    url = f"sqlite:///{tmp_path}/store.db"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), url], check=False, timeout=50
    )
    assert done.returncode == -signal.SIGKILL
    [first] = store.get({"seq_id": 1})
    last = store.add({**first, "topic": "p.e.m.end", "msg_id": "last"})
    for message in (first, last):
        there.send([message["topic"].encode(), fedmsg.encoding.dumps(message).encode()])
    assert [item[2] for item in tail.over()] == ["p.e.m.first", "p.e.m.killed", "p.e.m.end"]
