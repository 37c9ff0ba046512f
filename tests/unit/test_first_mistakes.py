"""The ten most likely mistakes: each error names the thing, its value and what to do."""

from __future__ import annotations

import pytest
from parts import relayed, run_script, settings

import fedmsg
from fedmsg import exceptions
from fedmsg.crypto import authority


def says(error, *parts):
    """Fail unless every part is in the text of an error."""
    text = str(error)
    assert [part for part in parts if part not in text] == [], text


def publish(msg=None):
    fedmsg.publish(topic="a", modname="m", msg=msg or {})


def test_no_relay(address):
    """Nobody listens at relay_inbound: address, time, and both ways out."""
    endpoint = address()
    fedmsg.init(**relayed(endpoint, relay_required=True, timeout=0.1))
    with pytest.raises(exceptions.RelayUnavailable) as caught:
        publish()
    says(caught.value, endpoint, "0.1 s", "not sent", "'fedmsg-relay'", "'relay_inbound'")


def test_no_relay_where_none_is_required(address, caplog):
    """Messages that waited in vain: how many, for which address, and both ways out."""
    endpoint = address()
    fedmsg.init(**relayed(endpoint, zmq_linger=0))
    publish()
    fedmsg.destroy()
    says(caplog.text, "1 messages were not delivered", endpoint, "'fedmsg-relay'", "relay_inbound")


@pytest.mark.parametrize("port", ["", ":x", ":99999", ":-1"])
def test_no_port(port):
    """An address without a possible port: the address, and the form."""
    endpoint = f"tcp://127.0.0.1{port}"
    with pytest.raises(exceptions.ConfigurationError) as caught:
        fedmsg.init(**relayed(endpoint))
    says(caught.value, repr(endpoint), "'tcp://host:port'", "65535")


def test_wrong_port(publisher):
    """Something else than a relay is there: as if no relay was, with the address to correct."""
    there = publisher()
    fedmsg.init(**relayed(there.endpoint, relay_required=True, timeout=0.1))
    with pytest.raises(exceptions.RelayUnavailable) as caught:
        publish()
    says(caught.value, there.endpoint, "if that is its address", "'relay_inbound'")


def test_name_is_not_in_endpoints(address):
    """No address for the name: the name, the names that there are, and two ways out."""
    with pytest.warns(UserWarning, match="for name 'me'"):
        fedmsg.init(**settings(name="me", endpoints={"you": address(), "they": []}))
    with pytest.raises(exceptions.NoPublisher) as caught:
        publish()
    says(caught.value, "endpoints['me']", "'you', 'they'", "add an address", "active=True")


def test_endpoints_are_used_up(address, make_context):
    """Every address is taken: the name, each address with its reason, and two ways out."""
    endpoints = [address(), address()]
    config = settings(name="me", endpoints={"me": endpoints})
    for _ in endpoints:
        make_context(**config)
    with pytest.raises(exceptions.NoEndpointAvailable) as caught:
        fedmsg.init(**config)
    says(caught.value, *endpoints, "Address already in use", "endpoints['me']", "active=True")


def test_two_inits():
    """init twice in a thread: what to call instead."""
    fedmsg.init(**settings(mute=True))
    with pytest.raises(exceptions.AlreadyInitialized) as caught:
        fedmsg.init(**settings(mute=True))
    says(caught.value, "already initialized in this thread", "fedmsg.destroy()", "leave the second")


@pytest.mark.parametrize(
    ("msg", "error", "parts"),
    [
        ({"data": [b"x"]}, TypeError, ["Object of type bytes", "msg.data[0] is b'x'", ".decode()"]),
        ({"who": {"me": object}}, TypeError, ["msg.who.me is <class", "__json__", "lists and"]),
        ({"k": {(1, 2): 3}}, TypeError, ["msg.k has the key (1, 2)", "use text for keys"]),
        ({"set": {b"x"}}, TypeError, ["msg.set is {b'x'}", "__json__"]),
    ],
)
def test_payloads_that_json_cannot_express(fedmsg_sent, msg, error, parts):
    """Bytes, objects and keys: where they are, what they are, and what to publish instead."""
    with pytest.raises(error) as caught:
        publish(msg)
    says(caught.value, *parts)
    assert fedmsg_sent == []


def test_payload_that_contains_itself(fedmsg_sent):
    """A cycle: where it closes."""
    msg = {"list": [1]}
    msg["list"].append(msg)
    with pytest.raises(ValueError) as caught:
        publish(msg)
    says(caught.value, "Circular reference", "msg.list[1] contains itself", "without the reference")


def test_errors_of_an_applications_own_form(fedmsg_sent):
    """What __json__ raises on purpose keeps its type."""

    class Broken:
        def __json__(self):
            raise LookupError("no rows")

        def __repr__(self):
            raise RuntimeError

    with pytest.raises(LookupError, match="^'?no rows"):
        publish({"x": Broken()})
    Broken.__json__ = lambda self: 1 + "1"
    with pytest.raises(TypeError) as caught:
        publish({"x": Broken()})
    says(caught.value, "unsupported operand", "msg.x is an object of type Broken")


def test_certificate_is_not_named(address):
    """certnames has no entry: the option that asks for it, the table, and the key."""
    fedmsg.init(**settings(name="me", endpoints={"me": address()}, sign_messages=True))
    with pytest.raises(exceptions.MissingKey) as caught:
        publish()
    says(caught.value, "'sign_messages' is set", "'certnames'", "'me'", "add one")


@pytest.mark.parametrize("missing", ["key", "crt"])
def test_certificate_is_missing(address, tmp_path, missing):
    """A file is not there: its path, the options that name it, and the command that makes one."""
    authority.create(tmp_path / "keys", ["leaf"])
    path = tmp_path / "keys" / f"leaf.{missing}"
    path.unlink()
    config = {"sign_messages": True, "certnames": {"me": "leaf"}, "ssldir": str(path.parent)}
    fedmsg.init(**settings(name="me", endpoints={"me": address()}, **config))
    with pytest.raises(FileNotFoundError) as caught:
        publish()
    says(caught.value, str(path), "No such file", "'ssldir'", "'certnames'", "'fedmsg-keys'")
    assert caught.value.filename == str(path)


def test_broker_is_down(address):
    """No STOMP broker answers: which one, why, how long we waited, and what to do."""
    pytest.importorskip("stomp")
    host = address().removeprefix("tcp://")
    broker = {"stomp_uri": host, "stomp_window": 1, "stomp_window_timeout": 0.2, "zmq_linger": 0}
    fedmsg.init(**settings(zmq_enabled=False, **broker))
    publish()
    with pytest.raises(exceptions.NotConfirmed) as caught:
        publish()
    says(caught.value, host, "0.2 s", "not sent", "Start the broker", "'stomp_uri'", "refused")


@pytest.mark.parametrize(
    ("package", "extra", "config", "parts"),
    [
        ("stomp", "stomp", "zmq_enabled=False, stomp_uri='localhost:1'", ["stomp.py"]),
        ("cryptography", "crypto", "sign_messages=True", ["'sign_messages' is set"]),
        ("sqlalchemy", "sql", "persistent_store='sqlite://'", ["SQLAlchemy"]),
    ],
)
def test_extra_is_not_installed(package, extra, config, parts):
    """A package is missing: what needs it, its extra, and the line that installs it."""
    script = f"""
        import sys
        sys.modules["{package}"] = None
        import fedmsg
        from fedmsg.exceptions import MissingDependency
        here = {{"me": "tcp://127.0.0.1:*"}}
        try:
            fedmsg.init(name="me", endpoints=here, post_init_sleep=0, zmq_linger=0, {config})
            fedmsg.publish(topic="a")
        except MissingDependency as error:
            print(error)
    """
    says(run_script(script), f"pip install '.[{extra}]'", *parts)
