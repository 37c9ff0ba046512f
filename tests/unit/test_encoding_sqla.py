"""SQLAlchemy models as JSON; skipped where SQLAlchemy is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import fedmsg.encoding
from fedmsg.encoding import dumps, loads
from fedmsg.encoding.sqla import expand, is_mapped, to_json

try:
    import sqlalchemy
    from sqlalchemy import Column, ForeignKey, Integer, String, orm
    from sqlalchemy.orm.collections import attribute_mapped_collection
except ImportError:
    sqlalchemy = None


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Processes started by a test find the same package as the test."""
    monkeypatch.setenv("PYTHONPATH", str(Path(fedmsg.encoding.__file__).parents[2]))


needs_sqlalchemy = pytest.mark.skipif(sqlalchemy is None, reason="SQLAlchemy is not installed")

if sqlalchemy is not None:
    Base = orm.declarative_base()

    class Parent(Base):
        __tablename__ = "parent"
        id = Column(Integer, primary_key=True)
        name = Column(String)
        kids = orm.relationship("Kid", back_populates="par")

    class Kid(Base):
        __tablename__ = "kid"
        id = Column(Integer, primary_key=True)
        pid = Column(ForeignKey("parent.id"))
        par = orm.relationship("Parent", back_populates="kids")

    class Node(Base):
        __tablename__ = "node"
        id = Column(Integer, primary_key=True)
        up = Column(ForeignKey("node.id"))
        subs = orm.relationship("Node")

    class Pair(Base):
        """Two primary key columns, a dict of items, and the items again as a dynamic query."""

        __tablename__ = "pair"
        a = Column(Integer, primary_key=True)
        b = Column(Integer, primary_key=True)
        items = orm.relationship(
            "Item", back_populates="owner", collection_class=attribute_mapped_collection("key")
        )
        query = orm.relationship("Item", lazy="dynamic", viewonly=True)

    class Item(Base):
        __tablename__ = "item"
        key = Column(String, primary_key=True)
        a = Column(Integer)
        b = Column(Integer)
        owner = orm.relationship("Pair", back_populates="items")
        __table_args__ = (sqlalchemy.ForeignKeyConstraint(["a", "b"], ["pair.a", "pair.b"]),)

    class Secret(Base):
        __tablename__ = "secret"
        id = Column(Integer, primary_key=True)
        password = Column(String)

        def __json__(self):
            return {"id": self.id}


@pytest.fixture
def session():
    """A session on an empty database in memory."""
    engine = sqlalchemy.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with orm.Session(engine) as made:
        yield made
    engine.dispose()


@pytest.fixture
def parent(session):
    """A parent with two kids."""
    made = Parent(name="x", kids=[Kid(), Kid()])
    session.add(made)
    session.commit()
    return made


@needs_sqlalchemy
def test_parent_first(parent):
    """Related objects are expanded; the way back is a primary key."""
    assert dumps(parent) == (
        '{"id":1,"kids":[{"id":1,"par":1,"pid":1},{"id":2,"par":1,"pid":1}],"name":"x"}'
    )


@needs_sqlalchemy
def test_child_first(parent):
    """The other direction ends in a list of primary keys."""
    assert dumps(parent.kids[0]) == '{"id":1,"par":{"id":1,"kids":[1,2],"name":"x"},"pid":1}'


@needs_sqlalchemy
def test_self_reference(session):
    """A class related to itself is expanded one step further, as in 1.1.7."""
    node = Node(subs=[Node(subs=[Node()])])
    session.add(node)
    session.commit()
    assert dumps(node) == '{"id":1,"subs":[{"id":2,"subs":[3],"up":1}],"up":null}'


@needs_sqlalchemy
def test_null_relation(session):
    """A relationship without object is null."""
    kid = Kid()
    session.add(kid)
    session.commit()
    assert to_json(kid) == {"id": 1, "pid": None, "par": None}


@needs_sqlalchemy
def test_collections(session):
    """A dict stays a dict, a dynamic query is a list, a composite key is a list."""
    pair = Pair(a=1, b=2, items={"k": Item(key="k")})
    session.add(pair)
    session.commit()
    item = {"key": "k", "a": 1, "b": 2, "owner": [1, 2]}
    assert loads(dumps(pair)) == {"a": 1, "b": 2, "items": {"k": item}, "query": [item]}


@needs_sqlalchemy
def test_own_form_wins():
    """A model with __json__ decides what is shown."""
    assert dumps(Secret(id=1, password="x")) == '{"id":1}'


@needs_sqlalchemy
def test_declarative_base_of_2():
    """Models of SQLAlchemy 2's DeclarativeBase are recognised."""
    if not hasattr(orm, "DeclarativeBase"):
        pytest.skip("this SQLAlchemy has no DeclarativeBase")

    class NewBase(orm.DeclarativeBase):
        pass

    class Thing(NewBase):
        __tablename__ = "thing"
        id = Column(Integer, primary_key=True)

    assert dumps(Thing(id=5)) == '{"id":5}'


@needs_sqlalchemy
def test_engine_is_not_mapped():
    """Other objects of SQLAlchemy, and model classes, are a TypeError; nothing is connected."""
    engine = sqlalchemy.create_engine("sqlite:////no/such/directory/file")
    for value in (engine, Parent, Parent.__table__):
        assert not is_mapped(value)
        with pytest.raises(TypeError, match="not JSON serializable"):
            dumps(value)


def test_unmapped():
    """to_json of something else is a TypeError that names the type."""
    with pytest.raises(TypeError, match="Object of type list is not mapped"):
        to_json([])


def test_expand_without_sqlalchemy_objects():
    """Null and empty collections need no mapper."""
    assert [expand(None, value, None) for value in (None, [], {})] == [None, [], {}]


def test_sqlalchemy_is_not_imported():
    """Neither importing the module nor meeting an unknown object imports SQLAlchemy."""
    code = (
        "import sys, fedmsg.encoding.sqla, fedmsg.encoding\n"
        "try: fedmsg.encoding.dumps(object())\n"
        "except TypeError: print('sqlalchemy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
