"""The helpers of fedmsg.utils."""

from __future__ import annotations

import getpass
import os
import shelve
import stat
import sys
import types
from collections import OrderedDict

import pytest
import zmq

from fedmsg import utils


@pytest.fixture
def sock():
    """A PUB socket of its own context."""
    with zmq.Context() as context, context.socket(zmq.PUB) as made:
        made.linger = 0
        yield made


@pytest.mark.parametrize("limit", [0, 7])
def test_high_water_mark(sock, limit):
    """Both queues get the limit; zero too, which zmq would not have by default."""
    utils.set_high_water_mark(sock, {"high_water_mark": limit})
    assert (sock.getsockopt(zmq.SNDHWM), sock.getsockopt(zmq.RCVHWM)) == (limit, limit)


def test_high_water_mark_is_required(sock):
    """A configuration without the key is a KeyError."""
    with pytest.raises(KeyError, match="high_water_mark"):
        utils.set_high_water_mark(sock, {})


def test_tcp_keepalive(sock):
    """Each configured option is set, the others keep their value."""
    utils.set_tcp_keepalive(sock, {"zmq_tcp_keepalive": 1, "zmq_tcp_keepalive_idle": 60})
    assert sock.getsockopt(zmq.TCP_KEEPALIVE) == 1
    assert sock.getsockopt(zmq.TCP_KEEPALIVE_IDLE) == 60
    assert sock.getsockopt(zmq.TCP_KEEPALIVE_CNT) == -1


def test_tcp_reconnect(sock):
    """The two intervals are set."""
    utils.set_tcp_reconnect(sock, {"zmq_reconnect_ivl": 50, "zmq_reconnect_ivl_max": 500})
    assert (sock.getsockopt(zmq.RECONNECT_IVL), sock.getsockopt(zmq.RECONNECT_IVL_MAX)) == (50, 500)


def test_missing_constants_are_skipped(sock, monkeypatch):
    """A pyzmq without a constant is no error."""
    monkeypatch.delattr(zmq, "TCP_KEEPALIVE_CNT")
    utils.set_tcp_keepalive(sock, {"zmq_tcp_keepalive_cnt": 3})


def _call_from(*names):
    """Call guess_calling_module through modules of these names, the first one outermost."""
    function = utils.guess_calling_module
    for name in reversed(names):
        scope = {"inner": function} if name is None else {"inner": function, "__name__": name}
        exec("def outer(*args, **kw):\n    return inner(*args, **kw)\n", scope)  # noqa: S102
        function = scope["outer"]
    return function(default="nobody")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["app.views", "fedmsg", "fedmsg.core"], "app"),
        (["fedmsg_foo", "fedmsg.core"], "fedmsg_foo"),
        (["outer", "inner.x"], "inner"),
        (["__main__", "fedmsg"], "__main__"),
        (["app", None, "fedmsg"], "app"),
    ],
)
def test_guess_calling_module(names, found):
    """The nearest top-level module that is not fedmsg itself; frames without a name are skipped."""
    assert _call_from(*names) == found


def test_guess_calling_module_default(monkeypatch):
    """The default is the answer when all callers belong to fedmsg."""
    frame = types.SimpleNamespace(f_globals={"__name__": "fedmsg.core"}, f_back=None)
    monkeypatch.setattr(sys, "_getframe", lambda depth: frame)
    assert utils.guess_calling_module(default="fedmsg") == "fedmsg"
    assert utils.guess_calling_module() is None


def test_load_class():
    """A module and a name, blanks allowed."""
    assert utils.load_class(" shelve:Shelf ") is shelve.Shelf
    assert utils.load_class("os.path:join") is os.path.join


@pytest.mark.parametrize("location", ["shelve", "shelve:Shelf:x", ""])
def test_load_class_form(location):
    """Anything but one colon is a ValueError."""
    with pytest.raises(ValueError, match=r"package\.module:Name"):
        utils.load_class(location)


def test_load_class_missing_module():
    """A module that does not exist is an ImportError."""
    with pytest.raises(ImportError):
        utils.load_class("no_such_module_here:Name")


def test_load_class_missing_name():
    """A name that the module lacks is an ImportError that says so."""
    with pytest.raises(ImportError, match="'Nothing' not found in 'shelve'"):
        utils.load_class("shelve:Nothing")


DIC = {"foo": {"bar": 1, "list": [{"x": 1}]}, "top": None}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("foo.bar", {"foo.bar": 1}),
        (" top , foo.bar ", {"top": None, "foo.bar": 1}),
        ("foo.bar.zomg", {"foo.bar.zomg": None}),
        ("foo.list.0", {"foo.list.0": None}),
        ("top,top", {"top": None}),
        ("", {"": None}),
    ],
)
def test_dict_query(query, found):
    """Paths go through dicts only; what is not there is None."""
    result = utils.dict_query(DIC, query)
    assert isinstance(result, OrderedDict)
    assert result == found


@pytest.mark.parametrize("query", [None, b"foo"])
def test_dict_query_wants_text(query):
    """A query that is not text is a ValueError that names its type."""
    with pytest.raises(ValueError) as caught:
        utils.dict_query(DIC, query)
    assert str(caught.value) == f"query must be a string, not {type(query)!r}"


@pytest.fixture
def cowsay(tmp_path, monkeypatch):
    """A program cowsay that shows its arguments and its input."""
    program = tmp_path / "cowsay"
    program.write_text('#!/bin/sh\necho "args:$#"\n/bin/cat\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.parametrize("message", ["it's; `touch x` $(id)", "-f/etc/passwd", "\udcff \u2603"])
def test_cowsay_output_is_safe(cowsay, message):
    """The message is neither a shell command nor an option."""
    out, err = utils.cowsay_output(message)
    assert (out, err) == (b"args:0\n" + message.encode("utf-8", "replace"), b"")


def test_cowsay_output_takes_bytes(cowsay):
    """Bytes pass unchanged."""
    assert utils.cowsay_output(b"\xff")[0] == b"args:0\n\xff"


def test_cowsay_output_without_program(tmp_path, monkeypatch):
    """A missing program gives its reason in place of an error output."""
    monkeypatch.setenv("PATH", str(tmp_path))
    out, err = utils.cowsay_output("moo")
    assert out == b""
    assert b"cowsay" in err


@pytest.fixture
def fresh_username():
    """Forget the cached name before and after."""
    utils.get_username.cache_clear()
    yield
    utils.get_username.cache_clear()


def test_get_username(fresh_username, monkeypatch):
    """The login name, asked for once."""
    answers = iter(["alice", "bob"])
    monkeypatch.setattr(getpass, "getuser", lambda: next(answers))
    assert [utils.get_username(), utils.get_username()] == ["alice", "alice"]


@pytest.mark.parametrize("error", [KeyError, ImportError, OSError])
def test_get_username_without_entry(fresh_username, monkeypatch, error):
    """A user without a name is its number."""

    def fail():
        raise error("no entry")

    monkeypatch.setattr(getpass, "getuser", fail)
    monkeypatch.setattr(os, "getuid", lambda: 4711, raising=False)
    assert utils.get_username() == "4711"
