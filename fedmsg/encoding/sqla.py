"""Plain dicts from SQLAlchemy models, 1.4 and 2.x.

SQLAlchemy is optional and imported on use.  Specification: encoding.md, section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def is_mapped(obj: Any) -> bool:
    """Return whether an object is an instance of a mapped class.

    Other objects that SQLAlchemy could inspect are left alone: inspecting an engine connects it.
    """
    return _state(obj) is not None


def to_json(obj: Any, seen: Sequence[type] | None = None) -> dict[str, Any]:
    """Return a model's mapped attributes, with what they relate to.

    Args:
        obj: an instance of a mapped class.
        seen: the classes on the way here; their instances appear as primary keys only.

    Returns:
        Columns with their values, relationships as :func:`expand` shows them.

    Raises:
        TypeError: the object is not an instance of a mapped class.
    """
    state = _state(obj)
    if state is None:
        raise TypeError(f"Object of type {type(obj).__name__} is not mapped by SQLAlchemy")
    relationships = state.mapper.relationships
    result = {}
    for attribute in state.mapper.attrs:
        value = getattr(obj, attribute.key)
        if attribute.key in relationships:
            value = expand(obj, value, seen or [])
        result[attribute.key] = value
    return result


def expand(obj: Any, relation: Any, seen: Sequence[type] | None) -> Any:
    """Return the value of a relationship.

    Args:
        obj: the instance that has the relationship.
        relation: what the attribute holds: None, an instance, a collection or a dynamic query.
        seen: the classes on the way to ``obj``.

    Returns:
        None; a dict for an instance, or its primary key if its class is on the way already (a list
        if it has several columns); a list or a dict of these for a collection.

    Raises:
        TypeError: a related object is not an instance of a mapped class.
    """
    if relation is None:
        return None
    if is_mapped(relation):
        path = list(seen or [])
        if type(relation) in path:
            return _identity(relation)
        return to_json(relation, [*path, type(obj)])
    if hasattr(relation, "all"):
        relation = relation.all()
    if isinstance(relation, dict):
        return {key: expand(obj, item, seen) for key, item in relation.items()}
    if hasattr(relation, "__iter__"):
        return [expand(obj, item, seen) for item in relation]
    return to_json(relation, seen)


def _state(obj: Any) -> Any:
    if not hasattr(type(obj), "_sa_class_manager"):
        return None
    from sqlalchemy import inspect

    return inspect(obj, raiseerr=False)


def _identity(obj: Any) -> Any:
    key = _state(obj).mapper.primary_key_from_instance(obj)
    return key[0] if len(key) == 1 else key


def connect(url: str) -> tuple[Any, Any]:
    """Return an SQLAlchemy engine for a database, and one session of it.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the URL is wrong.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.orm import sessionmaker

    engine = create_engine(url)
    return engine, sessionmaker(bind=engine)()
