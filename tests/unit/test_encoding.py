"""The canonical form of JSON, byte by byte."""

from __future__ import annotations

import collections
import json
import json.encoder
import subprocess
import sys
import threading
import time
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from fedmsg import encoding
from fedmsg.encoding import FedMsgEncoder, dumps, loads, nonfinite_path, pretty_dumps, printable


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Processes started by a test find the same package as the test."""
    monkeypatch.setenv("PYTHONPATH", str(Path(encoding.__file__).parents[2]))


Point = collections.namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, False, None]}, '{"a":[true,false,null],"b":1}'),
        ({"\U0001f600": 1, "\uffff": 2}, '{"\\uffff":2,"\\ud83d\\ude00":1}'),
        ("\u00e9\x7f\ud800", '"\\u00e9\\u007f\\ud800"'),
        ('\b\f\n\r\t\x01"\\/', '"\\b\\f\\n\\r\\t\\u0001\\"\\\\/"'),
        ([1.0, 0.1, 1e16, 1e-7, -0.0], "[1.0,0.1,1e+16,1e-07,-0.0]"),
        (10**30, "1" + "0" * 30),
        ([float("nan"), float("inf"), float("-inf")], "[NaN,Infinity,-Infinity]"),
        ({10: "a", 9: "b"}, '{"9":"b","10":"a"}'),
        ((1, Point(2, 3)), "[1,[2,3]]"),
        (collections.OrderedDict(b=1, a=2), '{"a":2,"b":1}'),
        (time.gmtime(0), "[1970,1,1,0,0,0,3,1,0]"),
        ({}, "{}"),
        ([], "[]"),
    ],
)
def test_canonical_form(value, text):
    """Hand-made vectors of the signed bytes."""
    assert dumps(value) == text


@pytest.mark.parametrize(
    "value",
    [b"x", Decimal(1), UUID(int=0), time, timedelta(1), object(), {(1, 2): 3}, {1: 1, "a": 2}],
)
def test_not_serializable(value):
    """Other objects, and keys that cannot be sorted, are a TypeError."""
    with pytest.raises(TypeError):
        dumps(value)


def test_type_error_names_the_type():
    """The error says what could not be encoded."""
    with pytest.raises(TypeError, match="Object of type bytes is not JSON serializable"):
        dumps({"a": b"x"})


def test_cycle():
    """A value that contains itself is a ValueError, and the next call is not affected."""
    value = {"a": []}
    value["a"].append(value)
    for _ in range(2):
        with pytest.raises(ValueError, match="Circular reference"):
            dumps(value)
    value["a"].clear()
    assert dumps(value) == '{"a":[]}'


def test_shared_value_is_no_cycle():
    """One object in two places is encoded twice."""
    shared = {"x": 1}
    assert dumps([shared, shared]) == '[{"x":1},{"x":1}]'


def test_failure_leaves_nothing_behind():
    """An object that failed to encode can be encoded after a change."""
    value = {"a": object()}
    with pytest.raises(TypeError):
        dumps(value)
    value["a"] = 1
    assert dumps(value) == '{"a":1}'


def test_threads_encode_one_object():
    """Several threads may be inside the encoding of the same object."""
    inside = threading.Barrier(4, timeout=10)

    class Slow:
        def __json__(self):
            inside.wait()
            return 1

    value, results = {"a": [Slow()]}, []
    threads = [threading.Thread(target=lambda: results.append(dumps(value))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert results == ['{"a":[1]}'] * 4


def test_without_the_c_encoder():
    """The encoder of a Python without C accelerators gives the same bytes."""
    code = (
        "import json.encoder; json.encoder.c_make_encoder = None;"
        "from fedmsg.encoding import dumps; print(dumps({'b': (1.5, None), 'a': {'\\u00e9'}}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == '{"a":["\\u00e9"],"b":[1.5,null]}\n'


def test_dumps_belongs_to_the_encoder():
    """dumps and pretty_dumps are methods of the two public encoders."""
    assert dumps.__self__ is encoding.encoder
    assert pretty_dumps.__self__ is encoding.pretty_encoder
    assert isinstance(encoding.encoder, FedMsgEncoder)
    assert encoding.__all__ == ["pretty_dumps", "dumps", "loads"]


def test_usable_as_cls():
    """FedMsgEncoder works with the options of json.dumps."""
    assert json.dumps({"b": {3, 1}, "a": 1}, cls=FedMsgEncoder, indent=1) == (
        '{\n "b": [\n  1,\n  3\n ],\n "a": 1\n}'
    )


def test_pretty_dumps():
    """Two blanks of indentation, in the order of insertion."""
    assert pretty_dumps({"b": 1, "a": [1]}) == '{\n  "b": 1,\n  "a": [\n    1\n  ]\n}'


@pytest.mark.parametrize("text", ['{"a": NaN}', b'{"a": NaN}', bytearray(b'{"a": NaN}')])
def test_loads(text):
    """Text and bytes are decoded, NaN included."""
    assert str(loads(text)["a"]) == "nan"


def test_loads_takes_options():
    """The keywords of json.loads work."""
    assert loads("1.5", parse_float=str) == "1.5"


def test_naive_datetime():
    """A time without zone is local time, whole seconds."""
    moment = datetime(2020, 1, 2, 3, 4, 5, 999999)
    assert dumps(moment) == repr(time.mktime((2020, 1, 2, 3, 4, 5, 0, 0, -1)))
    assert dumps(date(2020, 1, 2)) == repr(time.mktime((2020, 1, 2, 0, 0, 0, 0, 0, -1)))


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2020, 1, 2, 3, 4, 5, 900000, timezone.utc), "1577934245.0"),
        (datetime(2020, 1, 2, 5, 4, 5, 0, timezone(timedelta(hours=2))), "1577934245.0"),
        (datetime(1969, 12, 31, 23, 59, 59, 500000, timezone.utc), "-1.0"),
    ],
)
def test_aware_datetime(moment, text):
    """The zone of a time counts; the fraction is cut off downwards."""
    assert dumps(moment) == text


def test_sets_are_sorted():
    """A set has one form if its items can be ordered, and an array of them otherwise."""
    assert dumps({"c", "a", "b"}) == dumps(frozenset("cab")) == '["a","b","c"]'
    assert sorted(loads(dumps({1, "a"})), key=str) == [1, "a"]
    assert sorted(FedMsgEncoder().default({"a", "set"})) == ["a", "set"]


class Own:
    def __json__(self):
        return {"when": {2, 1}}


def test_json_method():
    """An object's own form is used and encoded in turn."""
    assert FedMsgEncoder().default(Own()) == {"when": {1, 2}}
    assert dumps([Own()]) == '[{"when":[1,2]}]'


def test_json_method_of_an_instance():
    """A callable attribute of the instance counts too."""
    thing = type("Thing", (), {})()
    thing.__json__ = lambda: "mine"
    assert dumps(thing) == '"mine"'


class Proxy:
    """Answers to every name."""

    def __getattr__(self, name):
        return lambda: "anything"


class NotCallable:
    __json__ = None


class Slots:
    __slots__ = ()


@pytest.mark.parametrize("value", [Own, Proxy(), NotCallable(), Slots()])
def test_no_json_method(value):
    """Classes, proxies and attributes that cannot be called have no form of their own."""
    with pytest.raises(TypeError, match="not JSON serializable"):
        dumps(value)


def test_own_form_of_a_dict_is_ignored():
    """A subclass of a JSON type is encoded as its base."""
    assert dumps(type("D", (dict,), {"__json__": lambda self: 1})(a=2)) == '{"a":2}'


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"msg": {"a": [1, {"b": float("nan")}]}}, "msg.a[1].b"),
        ([1, (2.0, float("-inf"))], "[1][1]"),
        ({"a": float("inf"), "b": float("nan")}, "a"),
        (float("nan"), ""),
        ({"a": [1.0, "NaN", None, True]}, None),
    ],
)
def test_nonfinite_path(value, path):
    """The first value that JSON does not have is found by its path."""
    assert nonfinite_path(value) == path


def test_nonfinite_path_of_a_deep_value():
    """Depth is no limit."""
    value: list = [float("nan")]
    for _ in range(5000):
        value = [value]
    assert nonfinite_path(value) == "[0]" * 5001


def test_printable():
    """What JSON cannot hold is shown by its repr, keys and failing objects too."""

    class Broken:
        def __json__(self):
            raise RuntimeError

        def __repr__(self):
            return "<broken>"

    assert loads(printable({"a": len, (1, 2): [Broken(), b"x"], None: 1})) == {
        "a": repr(len),
        "(1, 2)": ["<broken>", "b'x'"],
        "null": 1,
    }
