"""From configuration to a transport: what is chosen, and what is refused."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
import zmq
from stomp_parts import configuration

from fedmsg import transports
from fedmsg.exceptions import ConfigurationError, MissingDependency
from fedmsg.transports import stomp
from fedmsg.transports.moksha import MokshaTransport
from fedmsg.transports.stomp_publisher import StompPublisher


def test_a_broker_is_chosen(zmq_context: zmq.Context[Any]) -> None:
    """With zeromq off and a broker configured, STOMP it is."""
    assert isinstance(transports.choose(configuration(1), zmq_context), StompPublisher)


def test_a_running_hub_comes_first(
    zmq_context: zmq.Context[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Moksha hub that runs in this process is preferred to a broker."""
    module = types.ModuleType("moksha.hub")
    module._hub = object()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "moksha.hub", module)
    assert isinstance(transports.choose(configuration(1), zmq_context), MokshaTransport)


def test_mute_and_zeromq_come_before(zmq_context: zmq.Context[Any]) -> None:
    """A muted context has no transport, and with zeromq on no broker is used."""
    assert transports.choose(configuration(1, mute=True), zmq_context) is None
    zeromq = configuration(1, zmq_enabled=True, name="x", endpoints={"x": ["tcp://127.0.0.1:1"]})
    assert not isinstance(transports.choose(zeromq, zmq_context), StompPublisher)


def test_without_a_broker_publishing_fails(make_context: Callable[..., Any]) -> None:
    """Without hub and broker it is the AttributeError of always, which names the remedy."""
    context = make_context(**configuration(1, stomp_uri=None))
    with pytest.raises(AttributeError, match=r"without moksha-hub initialization\..*stomp_uri"):
        context.publish(topic="a", msg={}, modname="t")


def test_broker_and_port() -> None:
    """Without stomp_uri the host and port of the old keys count; the port has a default."""
    config = configuration(stomp_uri=None, stomp_broker="b")
    found = transports.stomp_settings(config)
    assert found is not None and found.brokers == (("b", 61613),)
    found = transports.stomp_settings({**config, "stomp_port": 5})
    assert found is not None and found.brokers == (("b", 5),)


def test_defaults() -> None:
    """Absent or None: guest, virtual host /, heart-beats on, a topic destination, plain text."""
    found = transports.stomp_settings(configuration(1, stomp_user=None))
    assert found is not None
    assert (found.user, str(found.password), found.vhost) == ("guest", "guest", "/")
    assert (found.heartbeat, found.destination, found.tls) == (10000, "/topic/{topic}", None)


def test_tls_is_on_with_any_of_its_options() -> None:
    """A CA, a certificate or the switch turn it on; it verifies by default."""
    for changes in (
        {"stomp_ssl": True}, {"stomp_ssl_ca": "ca"}, {"stomp_ssl_crt": "c", "stomp_ssl_key": "k"},
    ):  # fmt: skip
        found = transports.stomp_settings(configuration(1, **changes))
        assert found is not None and found.tls is not None and found.tls.verify
    found = transports.stomp_settings(configuration(1, stomp_ssl=True, stomp_ssl_verify=False))
    assert found is not None and found.tls is not None and not found.tls.verify


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"stomp_uri": "nonsense:x"}, "stomp_uri"),
        ({"stomp_ssl_crt": "c"}, "stomp_ssl_key"),
        ({"stomp_ssl_key": "k"}, "stomp_ssl_crt"),
        ({"stomp_ssl": False, "stomp_ssl_crt": "c", "stomp_ssl_key": "k"}, "stomp_ssl"),
        ({"stomp_ssl": False, "stomp_ssl_ca": "ca"}, "stomp_ssl"),
        ({"stomp_ssl": "perhaps"}, "stomp_ssl"),
        ({"stomp_pass": "sesame\n"}, "stomp_pass"),
        ({"stomp_pass": 5}, "stomp_pass"),
        ({"stomp_vhost": "a\0"}, "stomp_vhost"),
        ({"stomp_destination": "/topic/"}, "stomp_destination"),
        ({"stomp_window": "many"}, "stomp_window"),
        ({"stomp_heartbeat": -1}, "stomp_heartbeat"),
        ({"stomp_timeout": "soon"}, "stomp_timeout"),
    ],
)
def test_wrong_values(changes: dict[str, Any], name: str) -> None:
    """A wrong value is an error that names the option, and never a password."""
    with pytest.raises(ConfigurationError, match=f"'{name}'") as caught:
        transports.stomp_settings(configuration(1, **changes))
    assert "sesame" not in str(caught.value)


def test_missing_files(make_context: Callable[..., Any], tmp_path: Any) -> None:
    """A certificate that cannot be read is an error when the context is made."""
    for changes in (
        {"stomp_ssl_ca": str(tmp_path / "ca")},
        {"stomp_ssl_crt": str(tmp_path / "crt"), "stomp_ssl_key": str(tmp_path / "key")},
    ):
        with pytest.raises(ConfigurationError, match=f"'{next(iter(changes))}'"):
            make_context(**configuration(1, **changes))


def test_stomp_py_is_missing(
    make_context: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without stomp.py the error names the extra."""
    stomp.library.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "stomp"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "stomp", None)
    with pytest.raises(MissingDependency, match=r"pip install '\.\[stomp\]'"):
        make_context(**configuration(1))


def test_tailing_without_a_broker(make_context: Callable[..., Any]) -> None:
    """Tailing with zeromq off is the ValueError of 1.1.7, and then the remedy."""
    context = make_context(**configuration(1, stomp_uri=None, mute=True))
    beginning = (
        "fedmsg.tail_messages() is only available for zeromq.  Use the hub-consumer approach for"
        " STOMP or AMQP support."
    )
    with pytest.raises(ValueError, match="stomp_uri") as caught:
        next(context.tail_messages())
    assert str(caught.value).startswith(beginning)


def test_an_unknown_ack_mode(make_context: Callable[..., Any]) -> None:
    """A wrong acknowledgement mode is an error at the first iteration."""
    context = make_context(**configuration(1, mute=True, stomp_ack_mode="never"))
    with pytest.raises(ConfigurationError, match="'stomp_ack_mode'"):
        next(context.tail_messages())
