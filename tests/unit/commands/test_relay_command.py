"""``RelayCommand``: what it hands to ``main``."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from typing import Any

import pytest
import zmq

from fedmsg.commands import relay
from fedmsg.consumers.relay import RelayConsumer
from fedmsg.hub.monitoring import MonitoringProducer

OUTBOUND = ["tcp://127.0.0.1:4001", "tcp://127.0.0.1:4002"]


@pytest.fixture
def make(
    monkeypatch: pytest.MonkeyPatch, config_file: Callable[..., str]
) -> Callable[..., relay.RelayCommand]:
    """A function that builds the command from a configuration."""

    def build(**config: Any) -> relay.RelayCommand:
        settings = {
            "endpoints": {"relay_outbound": OUTBOUND}, "relay_inbound": "tcp://127.0.0.1:2001",
            **config,
        }  # fmt: skip
        argv = ["fedmsg-relay", f"--config-filename={config_file(**settings)}"]
        monkeypatch.setattr(sys, "argv", argv)
        return relay.RelayCommand()

    return build


def test_main_is_called_with_the_relay(
    make: Callable[..., relay.RelayCommand], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By keyword, through the module; its result is returned."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(relay, "main", lambda **kw: calls.append(copy.copy(kw)) or "result")
    command = make()
    assert command.run() == "result"
    assert calls == [
        {
            "options": command.config, "consumers": [RelayConsumer],
            "producers": [MonitoringProducer], "framework": False,
        }
    ]  # fmt: skip


def test_config_gets_exactly_four_keys(
    make: Callable[..., relay.RelayCommand], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that the hub reads."""
    monkeypatch.setattr(relay, "main", lambda **_: None)
    command = make(relay_inbound=["tcp://127.0.0.1:2001", "tcp://127.0.0.1:2002"])
    before = copy.deepcopy(command.config)
    command.run()
    assert command.config == {
        **before,
        "zmq_subscribe_endpoints": "tcp://127.0.0.1:2001,tcp://127.0.0.1:2002",
        "zmq_subscribe_method": "bind",
        "fedmsg.consumers.relay.enabled": True,
        "zmq_publish_endpoints": OUTBOUND[0],
    }


def test_every_outbound_address_is_tried(
    make: Callable[..., relay.RelayCommand], monkeypatch: pytest.MonkeyPatch
) -> None:
    """None left: an IOError that names them."""
    tried = []

    def busy(options: dict[str, Any], **_: Any) -> None:
        tried.append(options["zmq_publish_endpoints"])
        raise zmq.ZMQError(zmq.EADDRINUSE)

    monkeypatch.setattr(relay, "main", busy)
    with pytest.raises(OSError, match="Failed to bind to any outbound endpoints.*4002"):
        make().run()
    assert tried == OUTBOUND


@pytest.mark.parametrize("config", [{"relay_inbound": None}, {"endpoints": {}}])
def test_missing_addresses_are_key_errors(
    make: Callable[..., relay.RelayCommand], config: dict[str, Any]
) -> None:
    """The text names the key."""
    command = make(**config)
    if config.get("relay_inbound", "") is None:
        del command.config["relay_inbound"]
    with pytest.raises(KeyError, match="relay_(inbound|outbound): fedmsg-relay needs"):
        command.run()
