"""Endpoints: parsing, rewriting, look-up."""

from __future__ import annotations

import threading

import pytest

from fedmsg.exceptions import ConfigurationError
from fedmsg.transports import addresses


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("tcp://host:1", ("tcp", "host", "1")),
        ("tcp://*:65535", ("tcp", "*", "65535")),
        ("tcp://[::1]:9", ("tcp", "::1", "9")),
        ("tcp://127.0.0.1:*", ("tcp", "127.0.0.1", "*")),
        ("ipc:///run/a:b", ("ipc", "", "")),
        ("inproc://name", ("inproc", "", "")),
    ],
)
def test_parse(text: str, parts: tuple[str, str, str]) -> None:
    """TCP has a host and a port; the others are taken as they are."""
    found = addresses.parse(text)
    assert (found.text, found.scheme, found.host, found.port) == (text, *parts)


@pytest.mark.parametrize(
    "text", ["", "host:1", "tcp://", "tcp://host", "tcp://:1", "tcp://host:", "tcp://h:65536",
             "tcp://h:-1", "://x", "tcp://h:1x"],
)  # fmt: skip
def test_malformed_endpoints_are_named(text: str) -> None:
    """The error has the value and what it should look like."""
    with pytest.raises(ConfigurationError) as caught:
        addresses.parse(text)
    assert repr(text) in str(caught.value) and "tcp://host:port" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "bind", "connect"),
    [
        ("tcp://10.1.2.3:5", "tcp://*:5", "tcp://10.1.2.3:5"),
        ("tcp://*:5", "tcp://*:5", "tcp://127.0.0.1:5"),
        ("tcp://[::1]:5", "tcp://[::]:5", "tcp://[::1]:5"),
        ("ipc://x", "ipc://x", "ipc://x"),
    ],
)
def test_rewriting(text: str, bind: str, connect: str) -> None:
    """Publishers bind all interfaces; the host is for those who connect."""
    address = addresses.parse(text)
    assert (addresses.to_bind(address), addresses.to_connect(address)) == (bind, connect)


@pytest.mark.parametrize(
    ("text", "numeric"),
    [("tcp://h:1", False), ("tcp://1.2.3.4:1", True), ("tcp://[::]:1", True), ("ipc://h", True)],
)
def test_is_numeric(text: str, numeric: bool) -> None:
    """Only names have to be looked up."""
    assert addresses.parse(text).is_numeric is numeric


def test_lookup_finds_this_machine() -> None:
    """The numeric address of a name; IPv4 if there is one."""
    assert addresses.lookup("localhost") == "127.0.0.1"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 300, "a..b", "\udcff"])
def test_lookup_of_nonsense_is_none(host: str) -> None:
    """Nothing is raised, whatever the name is."""
    assert addresses.lookup(host) is None


def test_lookup_within_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that does not answer costs the time-out."""
    answered = threading.Event()
    monkeypatch.setattr(addresses, "lookup", lambda _host: answered.wait(30) and None)
    found = addresses.lookup_within(addresses.parse("tcp://slow.example:1"), 0.05)
    answered.set()
    assert found is None
