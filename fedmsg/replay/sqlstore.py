"""A store of published messages in an SQL database: SQLite or PostgreSQL, SQLAlchemy 1.4 or 2.x.

Specification: replay.md, section 5.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from .. import encoding
from ..exceptions import ConfigurationError, StoreError

__all__ = ["Base", "SqlMessage", "SqlStore", "from_url"]

_log = logging.getLogger("fedmsg.replay")

Base: Any = orm.declarative_base()

#: Rows that are in memory at a time while a query is answered.
_ROWS = 500
_LARGEST_ID = 2**63 - 1
#: Ids in one ``seq_ids`` or ``msg_ids``: SQLite takes so many parameters at least.
_MOST_IDS = 30_000
#: Of a field's name that is not known, so many characters are repeated.
_SHOWN = 100
#: PostgreSQL gives ids out before commit, and here they must become visible in order: whoever
#: asks for what precedes an id gets all of it.  The key of the lock is arbitrary.
_PG_LOCK = sa.text("SELECT pg_advisory_xact_lock(7235417366)")
#: Seconds for other processes to let this one change the mode of an SQLite database.
_WAL_WAIT = 5.0
#: What keeps other processes from making the tables between the look and the deed.
_CREATION_LOCKS = {"postgresql": _PG_LOCK, "sqlite": sa.text("BEGIN IMMEDIATE")}

#: Pools of the parent process, which must not be collected in a child: that would close them.
_inherited: list[Any] = []


class SqlMessage(Base):  # type: ignore[misc]
    """One published message; the columns are those of 1.1.7, ``uuid`` is longer."""

    __tablename__ = "fedmsg_messages"
    # An id that has been given out once is never given out again.
    __table_args__ = {"sqlite_autoincrement": True}

    seq_id = sa.Column(sa.Integer, primary_key=True, autoincrement=True)
    uuid = sa.Column(sa.String(64), index=True)
    topic = sa.Column(sa.String)
    timestamp = sa.Column(sa.DateTime, index=True)
    msg = sa.Column(sa.Text)


_TABLE: Any = SqlMessage.__table__


class SqlStore:
    """Numbers messages and keeps them.  For threads, for forked children and for processes.

    Args:
        engine: an SQLAlchemy engine.  The tables are made if they are missing.

    Attributes:
        engine: the engine.
        session_class: a ``sessionmaker`` bound to it.

    Raises:
        StoreError: the database cannot be used.
    """

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.session_class = orm.sessionmaker(bind=engine)
        self._pid = os.getpid()
        try:
            self._create_tables()
        except SQLAlchemyError as error:
            raise self._failure("open", error) from error

    def _create_tables(self) -> None:
        with self.engine.begin() as connection:
            if self.engine.dialect.name in _CREATION_LOCKS:
                connection.execute(_CREATION_LOCKS[self.engine.dialect.name])
            Base.metadata.create_all(connection)

    def _failure(self, deed: str, error: Exception) -> StoreError:
        reason = str(getattr(error, "orig", None) or error).strip()
        return StoreError(f"cannot {deed} the persistent store {self.engine.url!r}: {reason}")

    def _leave_parent(self) -> None:
        """In a forked child: the connections of the parent are not ours."""
        if self._pid != os.getpid():
            _inherited.append(self.engine.pool)
            self.engine.pool = self.engine.pool.recreate()
            self._pid = os.getpid()

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        """Give a connection; commit at the end, or roll back if anything fails.

        Raises:
            StoreError: the database failed, or is locked by others for too long.
        """
        self._leave_parent()
        try:
            with self.engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise self._failure("write to", error) from error

    # -- publishing --------------------------------------------------------------------------

    def add(self, msg: dict[str, Any]) -> dict[str, Any]:
        """Store a message under the next id.

        Args:
            msg: a message; it gets ``seq_id``, unless this fails.

        Returns:
            The same dict.

        Raises:
            KeyError: ``msg_id``, ``timestamp`` or ``topic`` is missing.
            TypeError: JSON cannot express the message.
            ValueError: the timestamp is none.
            StoreError: the database failed; nothing was stored.
        """
        row = {
            "uuid": msg["msg_id"], "topic": msg["topic"], "timestamp": _local(msg["timestamp"]),
        }  # fmt: skip
        with self._transaction() as connection:
            if self.engine.dialect.name == "postgresql":
                connection.execute(_PG_LOCK)
            seq_id = connection.execute(_TABLE.insert().values(row)).inserted_primary_key[0]
            connection.execute(_text_of(seq_id, {**msg, "seq_id": seq_id}))
        msg["seq_id"] = seq_id
        return msg

    def update(self, msg: Mapping[str, Any]) -> None:
        """Keep the final form of a message that :meth:`add` has numbered.

        Raises:
            KeyError: it has no ``seq_id``.
            TypeError: JSON cannot express the message.
            StoreError: the database failed, or has no such message.
        """
        change = _text_of(msg["seq_id"], msg)
        with self._transaction() as connection:
            if connection.execute(change).rowcount != 1:
                raise StoreError(
                    f"the persistent store {self.engine.url!r} has no message {msg['seq_id']!r}"
                )

    def discard(self, msg: Mapping[str, Any]) -> None:
        """Remove a message that :meth:`add` has numbered and that will not be sent.

        Raises:
            KeyError: it has no ``seq_id``.
            StoreError: the database failed.
        """
        with self._transaction() as connection:
            connection.execute(_TABLE.delete().where(_TABLE.c.seq_id == msg["seq_id"]))

    # -- queries -----------------------------------------------------------------------------

    def get(self, query: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the messages that a query selects (replay.md 1), in the order of their ids.

        Raises:
            ValueError: the query is malformed, or selects nothing.
            StoreError: the database failed.
        """
        found = list(self.stream(query))
        if not found:
            raise ValueError("There was no match for the given query")
        return found

    def stream(self, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield what :meth:`get` returns, from a bounded number of rows in memory.

        Raises:
            ValueError: the query is malformed; at the call.
            StoreError: the database failed; while iterating.
        """
        return self._rows(_condition(query))

    def _rows(self, condition: Any) -> Iterator[dict[str, Any]]:
        columns = _TABLE.c
        select = sa.select(columns.seq_id, columns.msg).where(condition).order_by(columns.seq_id)
        self._leave_parent()
        try:
            with self.engine.connect() as connection:
                streaming = connection.execution_options(stream_results=True)
                for seq_id, text in streaming.execute(select).yield_per(_ROWS):
                    message = _readable(seq_id, text)
                    if message is not None:
                        yield message
        except SQLAlchemyError as error:
            raise self._failure("read", error) from error


def from_url(url: str) -> SqlStore:
    """Return a store on the database of an SQLAlchemy URL, as ``persistent_store`` may be one.

    An SQLite database is put into WAL mode, in which readers and the writer do not wait for one
    another, and a message costs no wait for the disk: it outlives every process, but the latest may
    be lost in a power failure.  Make the engine yourself for another mode.

    Raises:
        ConfigurationError: it is no URL of a database, or its driver is not installed.
        StoreError: the database cannot be used.
    """
    try:
        engine = sa.create_engine(url, pool_pre_ping=True)
    except (ArgumentError, ImportError, ValueError) as error:
        # The URL is not shown, nor an error that repeats it: it may hold a password.
        reason = "it cannot be parsed" if url in str(error) else str(error)
        raise ConfigurationError(
            "persistent_store must be an SQLAlchemy URL such as"
            f" 'sqlite:////var/lib/fedmsg/store.db', and its driver installed: {reason}"
        ) from None
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _use_wal)
    return SqlStore(engine)


def _use_wal(connection: Any, _record: Any) -> None:
    deadline = time.monotonic() + _WAL_WAIT
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            break
        except sqlite3.OperationalError:
            # Here SQLite does not wait for a process that writes: it fails at once.
            if time.monotonic() > deadline:
                connection.close()  # SQLAlchemy leaves that to the collector
                raise
            time.sleep(0.01)
    connection.execute("PRAGMA synchronous=NORMAL").close()


def _text_of(seq_id: int, msg: Mapping[str, Any]) -> Any:
    """Return the statement that writes the text of a message."""
    return _TABLE.update().where(_TABLE.c.seq_id == seq_id).values(msg=encoding.dumps(msg))


def _local(seconds: Any) -> datetime:
    """Return naive local time, the form that 1.1.7 stored.

    Raises:
        ValueError: no such time.
    """
    try:
        return datetime.fromtimestamp(float(seconds))
    except (OverflowError, OSError, TypeError, ValueError) as error:
        raise ValueError(f"{seconds!r} is not a time in seconds since the epoch") from error


def _readable(seq_id: int, text: str | None) -> dict[str, Any] | None:
    """Return the message of a row; None, with a log entry, if it holds none."""
    try:
        message = encoding.loads(text or "")
    except (ValueError, RecursionError):
        message = None
    if isinstance(message, dict):
        return message
    _log.error("row %d of %s holds no message; it is skipped", seq_id, _TABLE.name)
    return None


def _condition(query: Mapping[str, Any]) -> Any:
    """Return the WHERE clause of a query.

    Raises:
        ValueError: an unknown field, or a value of the wrong form.
    """
    if not isinstance(query, Mapping) or not query:
        raise ValueError("The query must be an object with at least one field")
    clauses = []
    for field, value in query.items():
        clause = _CLAUSES.get(field)
        if clause is None:
            raise ValueError(f'Unsupported field: "{str(field)[:_SHOWN]}"')
        try:
            clauses.append(clause(_TABLE.c, value))
        except TypeError:
            raise ValueError(f'Something went wrong when processing the field "{field}"') from None
    return sa.or_(*clauses)


def _id(value: Any) -> int:
    if type(value) is not int or abs(value) > _LARGEST_ID:
        raise TypeError("not an id")
    return value


def _text(value: Any) -> str:
    # PostgreSQL has no NUL, and no database has lone surrogates.
    if not isinstance(value, str) or "\0" in value or not value.isascii():
        raise TypeError("not an id of a message")
    return value


def _pair(name: str, convert: Callable[[Any], Any], value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise ValueError(f'Ill-format "{name}" field')
    return [convert(item) for item in value]


def _several(convert: Callable[[Any], Any], value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)) or len(value) > _MOST_IDS:
        raise TypeError("not a list of ids")
    return [convert(item) for item in value]


def _moment(value: Any) -> datetime:
    if type(value) not in (int, float):
        raise TypeError("not a number")
    try:
        return _local(value)
    except ValueError as error:
        raise TypeError(str(error)) from None


def _is_last(columns: Any, value: Any) -> Any:
    if value is not True:
        raise TypeError("not true")
    return columns.seq_id == sa.select(sa.func.max(columns.seq_id)).scalar_subquery()


_CLAUSES: dict[Any, Callable[[Any, Any], Any]] = {
    "seq_id": lambda c, value: c.seq_id == _id(value),
    "seq_ids": lambda c, value: c.seq_id.in_(_several(_id, value)),
    "seq_id_range": lambda c, value: c.seq_id.between(*_pair("seq_id_range", _id, value)),
    "msg_id": lambda c, value: c.uuid == _text(value),
    "msg_ids": lambda c, value: c.uuid.in_(_several(_text, value)),
    "time": lambda c, value: c.timestamp.between(*_pair("time", _moment, value)),
    # Not in 1.1.7, which answers it with an error.
    "last": _is_last,
}
