"""The store: numbering, queries, and what happens when the database fails."""

from __future__ import annotations

import datetime
import json
import logging
import sqlite3
import time
from types import SimpleNamespace

import pytest

sqlalchemy = pytest.importorskip("sqlalchemy")

from fedmsg import encoding  # noqa: E402
from fedmsg.exceptions import ConfigurationError, StoreError  # noqa: E402
from fedmsg.replay import sqlstore  # noqa: E402
from fedmsg.replay.sqlstore import SqlMessage, SqlStore, from_url  # noqa: E402


def message(number: int, **changes: object) -> dict[str, object]:
    return {
        "topic": f"org.fedoraproject.dev.t.{number}", "msg_id": f"2026-{number}",
        "timestamp": number, "msg": {"n": 9 - number}, **changes,
    }  # fmt: skip


@pytest.fixture
def store(database_url, sql_store):
    """A store with five messages, in each kind of database."""
    made = sql_store(database_url)
    for number in range(1, 6):
        made.add(message(number))
    return made


@pytest.fixture
def memory_store():
    """An empty store on an engine of the caller's."""
    engine = sqlalchemy.create_engine("sqlite://")
    yield SqlStore(engine)
    engine.dispose()


def ids(messages):
    return [each["seq_id"] for each in messages]


@pytest.fixture
def other(tmp_path):
    """The connection of another process to the database that is about to be opened."""
    connection = sqlite3.connect(tmp_path / "store.db", isolation_level=None, timeout=0)
    yield connection
    connection.close()


def test_tables_are_made_by_one_process(other, sql_store, tmp_path, monkeypatch):
    """Between the look for tables and their making nobody else can make them."""
    create_all = sqlstore.Base.metadata.create_all
    found = []

    def create(bind):
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("CREATE TABLE fedmsg_messages (a)")
        found.append(bind)
        create_all(bind)

    monkeypatch.setattr(sqlstore.Base.metadata, "create_all", create)
    sql_store(f"sqlite:///{tmp_path}/store.db").add(message(1))
    assert len(found) == 1


def test_mode_waits_for_the_writer(other, sql_store, tmp_path, monkeypatch):
    """A new database that another process is writing to: it is opened when that is done."""
    other.execute("BEGIN IMMEDIATE")
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: other.execute("COMMIT"))
    monkeypatch.setattr(sqlstore, "time", clock)
    sql_store(f"sqlite:///{tmp_path}/store.db").add(message(1))
    assert not other.in_transaction


def test_mode_waits_not_for_ever(other, tmp_path, monkeypatch):
    """The other process goes on and on: the error names the store."""
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(sqlstore, "_WAL_WAIT", 0)
    with pytest.raises(StoreError, match="store.db: database is locked"):
        from_url(f"sqlite:///{tmp_path}/store.db")


def test_add_numbers_and_returns_the_same_dict(store):
    """The dict that was given gets the next number, and the stored text is the whole of it."""
    given = message(6)
    assert store.add(given) is given
    assert given["seq_id"] == 6
    assert store.get({"seq_id": 6}) == [given]


def test_a_message_of_publish_fits(store):
    """A msg_id of 41 characters, longer than the column of 1.1.7, is stored."""
    long = message(1, msg_id="2017-138990ab-f93d-49e6-8c38-fad10d43a556")
    assert store.get({"msg_id": store.add(long)["msg_id"]}) == [long]


def test_update_replaces_the_text(store):
    """The final form, with its signature, takes the place of the first one."""
    final = {**store.get({"seq_id": 3})[0], "signature": "s"}
    store.update(final)
    assert store.get({"seq_id_range": [2, 4]})[1] == final


def test_update_of_nothing(store):
    """A message that is not there is an error that names it."""
    with pytest.raises(StoreError, match="no message 77"):
        store.update(message(1, seq_id=77))


def test_discard_leaves_a_number_unused(store):
    """A removed message is gone, and its number is not given out again."""
    store.discard({"seq_id": 5})
    assert store.add(message(6))["seq_id"] == 6
    assert ids(store.get({"seq_id_range": [1, 9]})) == [1, 2, 3, 4, 6]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"seq_id": 2}, [2]),
        ({"seq_id": 2, "seq_ids": [5, 4, 99]}, [2, 4, 5]),
        ({"seq_id_range": (2, 4)}, [2, 3, 4]),
        ({"seq_id_range": [4, 2**62]}, [4, 5]),
        ({"msg_id": "2026-3"}, [3]),
        ({"msg_ids": ["2026-5", "2026-1", "no"]}, [1, 5]),
        ({"time": [0, 2.5]}, [1, 2]),
        ({"time": [4, 4], "last": True}, [4, 5]),
    ],
)
def test_queries(store, query, expected):
    """Fields are a union, ends are included, and the order is that of the numbers."""
    assert ids(store.get(query)) == expected


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({}, "at least one field"),
        ([], "must be an object"),
        ({"colour": 1}, 'Unsupported field: "colour"'),
        ({"time": [1, 2, 3]}, 'Ill-format "time" field'),
        ({"seq_id_range": 4}, 'Ill-format "seq_id_range" field'),
        ({"seq_id_range": ["a", "b"]}, 'processing the field "seq_id_range"'),
        ({"seq_id": [1]}, 'processing the field "seq_id"'),
        ({"seq_id": True}, 'processing the field "seq_id"'),
        ({"seq_id": 2**70}, 'processing the field "seq_id"'),
        ({"seq_ids": {"a": 1}}, 'processing the field "seq_ids"'),
        ({"seq_ids": [1] * 40_000}, 'processing the field "seq_ids"'),
        ({"msg_id": "\0"}, 'processing the field "msg_id"'),
        ({"msg_ids": [None]}, 'processing the field "msg_ids"'),
        ({"msg_id": "\ud800"}, 'processing the field "msg_id"'),
        ({"time": [0, 1e300]}, 'processing the field "time"'),
        ({"time": [float("nan"), 1]}, 'processing the field "time"'),
        ({"last": 1}, 'processing the field "last"'),
        ({"seq_id": 99}, "no match"),
    ],
)
def test_malformed_queries(memory_store, query, text):
    """Whatever is wrong with a query is a ValueError that names the field."""
    with pytest.raises(ValueError, match=text):
        memory_store.get(query)


@pytest.mark.parametrize("key", ["msg_id", "timestamp", "topic"])
def test_add_needs_the_envelope(store, key):
    """A message without one of the columns is a KeyError, and leaves no row."""
    incomplete = message(6)
    del incomplete[key]
    with pytest.raises(KeyError, match=key):
        store.add(incomplete)
    assert ids(store.get({"last": True})) == [5]


def test_add_leaves_nothing_behind(store):
    """What JSON cannot express is stored not even in part, and the dict is unchanged."""
    wrong = message(6, msg=object())
    with pytest.raises(TypeError):
        store.add(wrong)
    assert "seq_id" not in wrong
    assert ids(store.get({"seq_id_range": [1, 99]})) == [1, 2, 3, 4, 5]


def test_dates_are_stored_as_they_are_sent(store):
    """Content that fedmsg's JSON knows, and json does not, is stored."""
    number = store.add(message(6, msg={"day": datetime.date(2026, 1, 2)}))["seq_id"]
    [found] = store.get({"seq_id": number})
    assert found["msg"] == json.loads(encoding.dumps({"day": datetime.date(2026, 1, 2)}))


def test_rows_of_others_are_readable(store, caplog):
    """Rows written by hand are read; those without a message are skipped, with a log entry."""
    with store.session_class() as session:
        session.add(SqlMessage(seq_id=8, uuid="8", topic="t", msg='{"seq_id": 8}'))
        session.add(SqlMessage(seq_id=9, uuid="9", topic="t", msg=""))
        session.add(SqlMessage(seq_id=10, uuid="10", topic="t", msg=None))
        session.commit()
    with caplog.at_level(logging.ERROR, "fedmsg.replay"):
        assert store.get({"seq_id_range": [8, 10]}) == [{"seq_id": 8}]
    assert "row 9" in caplog.text
    assert "row 10" in caplog.text


def test_in_memory_store(memory_store):
    """An engine in memory serves, as the tests of 1.1.7 use it."""
    assert [memory_store.add(message(n))["seq_id"] for n in (1, 2)] == [1, 2]


def test_locked_database_is_named(sql_store, tmp_path):
    """A database that somebody else keeps locked is an error that says so, not a hang."""
    store = sql_store(f"sqlite:///{tmp_path}/locked.db?timeout=0.1")
    other = sqlite3.connect(tmp_path / "locked.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StoreError, match=r"cannot write to.*locked\.db.*database is locked"):
            store.add(message(1))
    finally:
        other.close()


def test_directory_that_does_not_exist():
    """A database that cannot be opened is an error that names it."""
    with pytest.raises(StoreError, match=r"cannot open .*nowhere"):
        from_url("sqlite:////nowhere/store.db")


@pytest.mark.parametrize("url", ["nonsense:secret", "nosuchdatabase://user:secret@host/db"])
def test_wrong_url_is_not_shown(url):
    """A URL that is none is an error that names the option, and not the password."""
    with pytest.raises(ConfigurationError, match="persistent_store") as caught:
        from_url(url)
    assert "secret" not in str(caught.value)
