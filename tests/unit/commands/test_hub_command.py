"""``HubCommand`` and ``GatewayCommand``: what they hand to ``main``, and the descriptor limit."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from fedmsg.commands import gateway, hub
from fedmsg.consumers.dummy import DummyConsumer
from fedmsg.consumers.gateway import GatewayConsumer
from fedmsg.consumers.relay import RelayConsumer
from fedmsg.exceptions import MissingKey

Make = Callable[..., Any]
ENDPOINTS = {"one": ["tcp://127.0.0.1:1", "tcp://127.0.0.1:2"], "two": "tcp://127.0.0.1:3"}
GATEWAY = {"fedmsg.consumers.gateway.port": 1, "fedmsg.consumers.gateway.high_water_mark": 2}


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, config_file: Callable[..., str]) -> Make:
    """A function that builds a command from options and a configuration."""

    def build(cls: Any, *options: str, **config: Any) -> Any:
        path = config_file(endpoints=ENDPOINTS, **config)
        monkeypatch.setattr(sys, "argv", ["fedmsg", f"--config-filename={path}", *options])
        return cls()

    return build


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    """``main``, replaced in both modules."""
    main = mock.Mock(return_value="result")
    monkeypatch.setattr(hub, "main", main)
    monkeypatch.setattr(gateway, "main", main)
    return main


def test_hub_listens_to_all_endpoints(make: Make, calls: mock.Mock) -> None:
    """Lists and texts alike (KD-18); the result of ``main`` is returned."""
    command = make(hub.HubCommand)
    assert command.run() == "result"
    calls.assert_called_once_with(options=command.config, consumers=None, framework=False)
    assert sorted(command.config["zmq_subscribe_endpoints"].split(",")) == [
        f"tcp://127.0.0.1:{n}" for n in (1, 2, 3)
    ]


def test_without_zmq_no_endpoints(make: Make, calls: mock.Mock) -> None:
    """They would be an open contradiction."""
    command = make(hub.HubCommand, zmq_enabled=False)
    command.run()
    assert "zmq_subscribe_endpoints" not in command.config


@pytest.mark.parametrize("where", ["option", "configuration"])
def test_named_consumers(make: Make, calls: mock.Mock, where: str) -> None:
    """With blanks between them (K-7)."""
    text = "fedmsg.consumers.dummy:DummyConsumer, fedmsg.consumers.relay:RelayConsumer"
    if where == "option":
        command = make(hub.HubCommand, "--with-consumers", text)
    else:
        command = make(hub.HubCommand, explicit_hub_consumers=text)
    command.run()
    assert calls.call_args.kwargs["consumers"] == [DummyConsumer, RelayConsumer]


def test_websocket_port_selects_the_backend(make: Make, calls: mock.Mock) -> None:
    """A number."""
    command = make(hub.HubCommand, "--websocket-server-port=9919")
    command.run()
    assert command.config["moksha.livesocket.websocket.port"] == 9919
    assert command.config["moksha.livesocket.backend"] == "websocket"


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    """The module ``resource``, replaced."""
    resource = mock.Mock(RLIMIT_NOFILE=7, RLIM_INFINITY=-1, error=OSError)
    resource.getrlimit.return_value = (1024, 524288)
    monkeypatch.setattr(hub, "resource", resource)
    return resource


def test_explicit_limit(make: Make, limits: mock.Mock) -> None:
    """Exactly that, once (K-4)."""
    make(hub.HubCommand).set_rlimit_nofiles(limit=1)
    limits.setrlimit.assert_called_once_with(7, (1, 1))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1024, 524288), (4096, 524288)), ((1024, 2048), (2048, 2048)),
        ((65536, 65536), (65536, 65536)), ((1024, -1), (4096, -1)), ((-1, -1), (-1, -1)),
    ],
)  # fmt: skip
def test_limit_is_never_lowered(
    make: Make, limits: mock.Mock, before: tuple[int, int], after: tuple[int, int]
) -> None:
    """Only the soft one is raised (KD-12)."""
    limits.getrlimit.return_value = before
    make(hub.HubCommand).set_rlimit_nofiles()
    limits.setrlimit.assert_called_once_with(7, after)


@pytest.mark.parametrize("error", [OSError("no"), ValueError("no")])
def test_limit_that_cannot_be_set(make: Make, limits: mock.Mock, error: Exception) -> None:
    """One warning, and what the limit is."""
    limits.setrlimit.side_effect = error
    command = make(hub.HubCommand)
    command.log = mock.Mock()
    command.set_rlimit_nofiles()
    command.log.warning.assert_called_once_with(mock.ANY, error)
    command.log.info.assert_called_once_with(mock.ANY, (1024, 524288))


def test_gateway_is_called(make: Make, calls: mock.Mock) -> None:
    """With its consumer, which is switched on."""
    command = make(gateway.GatewayCommand, **GATEWAY)
    assert command.run() == "result"
    calls.assert_called_once_with(
        options=command.config, consumers=[GatewayConsumer], framework=False
    )
    assert command.config["fedmsg.consumers.gateway.enabled"] is True
    assert command.config["zmq_subscribe_endpoints"].count("tcp://") == 3


@pytest.mark.parametrize("key", GATEWAY)
def test_gateway_needs_its_keys(make: Make, calls: mock.Mock, key: str) -> None:
    """A KeyError that names the key and the sample file."""
    command = make(gateway.GatewayCommand, **GATEWAY)
    del command.config[key]
    with pytest.raises(MissingKey, match=rf"{key}: .*fedmsg\.d/gateway\.py"):
        command.run()
