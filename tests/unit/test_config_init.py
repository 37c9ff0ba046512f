"""What fedmsg.init gets: the built-in set-up, copies, and addresses from DNS."""

from __future__ import annotations

import logging
import sys
import threading
import types

import pytest

import fedmsg.config as config_module
from fedmsg import _derive, _loopback
from fedmsg.config import for_init, loopback, tell_loopback
from fedmsg.exceptions import MissingDependency, MissingEndpoints


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty home and current directory, and nothing remembered."""
    for name in ("FEDMSG_CONFIG", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(vars(config_module), "__cache", {})
    monkeypatch.setattr(_loopback, "_told", False)
    return tmp_path


def write(place, text):
    """Write the one configuration file."""
    (place / "fedmsg-config.py").write_text(text)
    (place / "fedmsg-config.py").chmod(0o644)


def test_loopback():
    """The defaults of conf, through a relay that must answer."""
    partial = {"x": [1]}
    assert loopback(partial) == {
        "x": [1],
        "endpoints": {"relay_outbound": ["tcp://127.0.0.1:4001"]},
        "relay_inbound": "tcp://127.0.0.1:2001",
        "active": True,
        "relay_required": True,
    }
    assert partial == {"x": [1]}


def test_loopback_keeps_the_relay():
    """An address of the relay that was configured stays."""
    assert loopback({"relay_inbound": "tcp://h:1"})["relay_inbound"] == "tcp://h:1"


def test_loopback_is_told_once(caplog, monkeypatch):
    """One line in the log of a process names the addresses."""
    caplog.set_level(logging.INFO, "fedmsg.config")
    monkeypatch.setenv("FEDMSG_CONFIG", "/x")
    loopback({}, tell=False)
    assert not caplog.records
    config = loopback({})
    tell_loopback(config)
    (text,) = caplog.messages
    assert "tcp://127.0.0.1:2001" in text
    assert "tcp://127.0.0.1:4001" in text
    assert text.endswith("FEDMSG_CONFIG is for fedmsg.config.conf only.")


def test_nothing_configured():
    """Without files and keywords, init uses the built-in set-up."""
    config = for_init({"name": "n"})
    assert (config["active"], config["relay_required"], config["name"]) == (True, True, "n")
    assert config["topic_prefix_re"] == r"org\.fedoraproject\.[^\W\d_]+"


@pytest.mark.parametrize(
    ("kw", "endpoints"),
    [({"endpoints": {"a": "x"}}, {"a": "x"}), ({"active": True, "relay_inbound": "x"}, {})],
)
def test_keywords_say_it(kw, endpoints):
    """With endpoints or active in the keywords nothing is assumed."""
    config = for_init(kw)
    assert config["endpoints"] == endpoints
    assert "relay_required" not in config
    assert config["io_threads"] == 1


def test_files_without_endpoints(place):
    """A configuration that forgot the endpoints is an error, not the built-in set-up."""
    write(place, "config = {'x': 1}")
    with pytest.raises(MissingEndpoints):
        for_init({})
    assert for_init({"active": True})["x"] == 1


def test_memo_and_keywords_are_not_changed(place):
    """Containers are copied from both sides; locks and stores are shared."""
    write(place, "config = {'endpoints': {'a': ['x']}}")
    for_init({})
    memo = vars(config_module)["__cache"]
    lock, mine = threading.Lock(), {"b": ["y"]}
    memo["lock"] = lock
    config = for_init({"more": mine})
    config["endpoints"]["a"].append("z")
    config["more"]["b"].append("z")
    assert memo["endpoints"] == {"a": ["x"]}
    assert mine == {"b": ["y"]}
    assert config["lock"] is lock


def test_load_config_is_looked_up(monkeypatch):
    """A replaced load_config is used, and called as init does."""
    calls = []
    monkeypatch.setattr(
        config_module, "load_config", lambda *args: calls.append(args) or {"a": 1, "b": 2}
    )
    assert for_init({"b": 3}) == {"a": 1, "b": 3}
    assert calls == [([], None)]


# -- DNS -----------------------------------------------------------------------------------------


class Record:
    """An SRV record."""

    def __init__(self, priority, weight, host, port):
        self.priority, self.weight, self.port = priority, weight, port
        self.target = types.SimpleNamespace(to_text=lambda omit_final_dot: host)


@pytest.fixture
def dns(monkeypatch):
    """A stand-in for dnspython: a dict of query name to answer or exception."""
    answers: dict = {}

    def resolve(name, kind):
        answer = answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer

    names = ("NXDOMAIN", "NoAnswer", "NoNameservers")
    errors = {name: type(name, (Exception,), {}) for name in names}
    timeout = type("Timeout", (Exception,), {})
    resolver = types.SimpleNamespace(resolve=resolve, **errors)
    exception = types.SimpleNamespace(Timeout=timeout)
    package = types.SimpleNamespace(resolver=resolver, exception=exception)
    monkeypatch.setitem(sys.modules, "dns", package)
    monkeypatch.setitem(sys.modules, "dns.resolver", resolver)
    monkeypatch.setitem(sys.modules, "dns.exception", exception)
    answers["errors"] = {**errors, "Timeout": timeout}
    return answers


def test_srv_records(dns, place):
    """Records are added in order of priority, then of weight; endpoints are not required."""
    dns["_fedmsg._tcp.example.com"] = [
        Record(20, 0, "c.example.com", 3),
        Record(10, 1, "b.example.com", 2),
        Record(10, 5, "a.example.com", 1),
    ]
    write(place, "config = {'srv_endpoints': ['example.com']}")
    assert for_init({})["endpoints"] == {
        "example.com": ["tcp://a.example.com:1", "tcp://b.example.com:2", "tcp://c.example.com:3"]
    }


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("NXDOMAIN", "There is no appropriate SRV records for bad"),
        ("NoAnswer", "There is no appropriate SRV records for bad"),
        ("Timeout", "The DNS query for the SRV records of bad timed out."),
    ],
)
def test_srv_next_domain(dns, error, text):
    """A domain without answer is a warning, and the next one is asked."""
    dns["_fedmsg._tcp.bad"] = dns["errors"][error]()
    dns["_fedmsg._tcp.good"] = [Record(0, 0, "h", 1)]
    with pytest.warns(UserWarning) as caught:
        assert _derive.srv_records(["bad", "good"]) == {"good": ["tcp://h:1"]}
    assert [str(item.message) for item in caught] == [text]


def test_srv_no_name_server(dns):
    """Without a name server the other domains are not asked."""
    dns["_fedmsg._tcp.a"] = dns["errors"]["NoNameservers"]()
    with pytest.warns(UserWarning) as caught:
        assert _derive.srv_records(["a", "unknown"]) == {}
    assert [str(item.message) for item in caught] == [
        "No name server is available, please check the configuration"
    ]


def test_srv_without_dnspython(monkeypatch):
    """The error names the extra."""
    monkeypatch.setitem(sys.modules, "dns", None)
    with pytest.raises(MissingDependency, match=r"pip install '\.\[srv\]'"):
        _derive.srv_records(["a"])


def test_srv_with_the_real_package():
    """The real dnspython has the names that are used, and removes the final dot."""
    resolver = pytest.importorskip("dns.resolver", reason="dnspython is not installed")
    from dns.rdata import from_text

    record = from_text("IN", "SRV", "10 5 9940 hub.example.com.")
    assert _derive._address(record) == "tcp://hub.example.com:9940"
    assert _derive._preference(record) == (10, -5)
    assert all(hasattr(resolver, name) for name in ("NXDOMAIN", "NoAnswer", "NoNameservers"))
