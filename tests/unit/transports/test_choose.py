"""Which transport a configuration asks for."""

from __future__ import annotations

import sys
import types
from typing import Any
from unittest import mock

import pytest
import zmq

from fedmsg import transports
from fedmsg.exceptions import ConfigurationError, MissingRelay, NoPublisher
from fedmsg.transports.moksha import MokshaTransport
from fedmsg.transports.relay import RelayPublisher
from fedmsg.transports.zeromq import BindPublisher

CONTEXT: Any = mock.Mock()
BASE = {"active": False, "post_init_sleep": 0, "high_water_mark": 0, "endpoints": {}}
BOUND = {**BASE, "name": "n", "endpoints": {"n": "tcp://127.0.0.1:1"}}
ACTIVE = {**BASE, "active": True, "relay_inbound": "tcp://127.0.0.1:1"}


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        (BOUND, BindPublisher),
        ({**BOUND, "endpoints": {"n": ["tcp://127.0.0.1:1", "tcp://127.0.0.1:2"]}}, BindPublisher),
        ({**BOUND, "active": True, "n": "tcp://127.0.0.1:1"}, RelayPublisher),
        (ACTIVE, RelayPublisher),
        ({**ACTIVE, "relay_inbound": ["tcp://127.0.0.1:1"]}, RelayPublisher),
        ({**BOUND, "mute": True}, type(None)),
        ({**ACTIVE, "mute": True}, type(None)),
        ({**BOUND, "zmq_enabled": False}, MokshaTransport),
        ({**ACTIVE, "zmq_enabled": False}, MokshaTransport),
    ],
)
def test_choice(config: dict[str, Any], kind: type) -> None:
    """Mute, then no zeromq, then active, then bind; an address may stand for a list."""
    assert type(transports.choose(config, CONTEXT)) is kind


@pytest.mark.parametrize("config", [BASE, {**BASE, "name": "n"}, {**BOUND, "endpoints": None}])
def test_no_endpoint_warns(config: dict[str, Any]) -> None:
    """A publisher without address is a warning, as in 1.1.7."""
    with pytest.warns(UserWarning, match="^fedmsg is not configured to send any zmq messages for"):
        assert transports.choose(config, CONTEXT) is None


@pytest.mark.parametrize(
    "config",
    [
        {**BASE, "active": True},
        {**ACTIVE, "name": None},
        {**ACTIVE, "name": "other"},
        {key: value for key, value in ACTIVE.items() if key != "endpoints"},
    ],
)
def test_active_without_address(config: dict[str, Any]) -> None:
    """A KeyError that begins with the text of 1.1.7 and names the key."""
    with pytest.raises(KeyError, match=r"^Could not find endpoint for fedmsg-relay\.") as caught:
        transports.choose(config, CONTEXT)
    assert isinstance(caught.value, MissingRelay)


def test_malformed_relay_address() -> None:
    """Named before anything is opened."""
    with pytest.raises(ConfigurationError, match="'nonsense'"):
        transports.choose({**ACTIVE, "relay_inbound": "nonsense"}, CONTEXT)


@pytest.mark.parametrize("key", ["active", "post_init_sleep", "high_water_mark"])
def test_required_keys(key: str) -> None:
    """Missing ones are KeyErrors."""
    config = {name: value for name, value in BOUND.items() if name != key}
    with pytest.raises(KeyError, match=key):
        transports.choose(config, CONTEXT)


def test_configuration_is_not_changed() -> None:
    """Nor are the dicts within."""
    config = {**ACTIVE, "endpoints": {}}
    transports.choose(config, CONTEXT)
    assert config == {**ACTIVE, "endpoints": {}}


def test_subscriber_options_take_zero_as_unlimited() -> None:
    """Both limits are set, zero included, and the options that are configured."""
    options = dict(transports.subscriber_options({"high_water_mark": 0, "zmq_reconnect_ivl": 5}))
    assert options == {zmq.SNDHWM: 0, zmq.RCVHWM: 0, zmq.RECONNECT_IVL: 5}


def test_moksha_gets_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The running hub is used, and nothing is encoded twice."""
    hub = mock.Mock()
    monkeypatch.setitem(sys.modules, "moksha.hub", types.SimpleNamespace(_hub=hub))
    MokshaTransport().send(b"t", b"{}")
    hub.send_message.assert_called_once_with(topic=b"t", message=b"{}", jsonify=False)


def test_moksha_without_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """An AttributeError with the text of 1.1.7; moksha is not imported to look."""
    monkeypatch.setitem(sys.modules, "moksha.hub", types.SimpleNamespace(_hub=None))
    with pytest.raises(AttributeError, match="^Unable to publish non-zeromq msg") as caught:
        MokshaTransport().send(b"t", b"{}")
    assert isinstance(caught.value, NoPublisher)
