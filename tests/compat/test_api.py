"""Names, signatures and seams that applications of 1.1.7 rely on (core.md, style card 3.1)."""

from __future__ import annotations

import importlib
import inspect
import threading
from typing import Any
from unittest import mock

import pytest

import fedmsg
from fedmsg import hub

NAMES = [
    "fedmsg:init",
    "fedmsg:publish",
    "fedmsg:send_message",
    "fedmsg:destroy",
    "fedmsg:tail_messages",
    "fedmsg:API_function",
    "fedmsg:__local",
    "fedmsg.core:FedMsgContext",
    "fedmsg.core:ValidationError",
    "fedmsg.core:FedMsgContext._create_poller",
    "fedmsg.core:FedMsgContext._poll",
    "fedmsg.core:FedMsgContext._run_socket",
    "fedmsg.core:FedMsgContext._close_subs",
    "fedmsg.config:conf",
    "fedmsg.config:FedmsgConfig",
    "fedmsg.config:defaults",
    "fedmsg.config:load_config",
    "fedmsg.config:build_parser",
    "fedmsg.config:execfile",
    "fedmsg.config:bare_format",
    "fedmsg.config:__cache",
    "fedmsg.config:_get_config_files",
    "fedmsg.config:_process_config_file",
    "fedmsg.config:_gather_configs_in",
    "fedmsg.config:_recursive_update",
    "fedmsg.config:_process_arguments",
    "fedmsg.config:_log",
    "fedmsg.config:os.path",
    "fedmsg.encoding:dumps",
    "fedmsg.encoding:pretty_dumps",
    "fedmsg.encoding:loads",
    "fedmsg.encoding:FedMsgEncoder",
    "fedmsg.encoding:encoder",
    "fedmsg.encoding:pretty_encoder",
    "fedmsg.encoding.sqla:to_json",
    "fedmsg.encoding.sqla:expand",
    "fedmsg.utils:set_high_water_mark",
    "fedmsg.utils:set_tcp_keepalive",
    "fedmsg.utils:set_tcp_reconnect",
    "fedmsg.utils:guess_calling_module",
    "fedmsg.utils:load_class",
    "fedmsg.utils:dict_query",
    "fedmsg.utils:cowsay_output",
    "fedmsg.crypto:init",
    "fedmsg.crypto:sign",
    "fedmsg.crypto:validate",
    "fedmsg.crypto:validate_signed_by",
    "fedmsg.crypto:strip_credentials",
    "fedmsg.crypto.utils:validate_policy",
    "fedmsg.crypto.utils:load_certificates",
    "fedmsg.crypto.utils:_load_certificate",
    "fedmsg.crypto.utils:_cached_certificates",
    "fedmsg.crypto.utils:fix_datagrepper_message",
    "fedmsg.crypto.x509:sign",
    "fedmsg.crypto.x509:validate",
    "fedmsg.crypto.x509:_crypto_sign",
    "fedmsg.crypto.x509:_crypto_validate",
    "fedmsg.crypto.x509:_m2crypto",
    "fedmsg.crypto.x509_ng:sign",
    "fedmsg.crypto.x509_ng:validate",
    "fedmsg.crypto.x509_ng:_log",
    "fedmsg.crypto.x509_ng:_cryptography",
    "fedmsg.crypto.gpg:Context",
    "fedmsg.crypto.gpg:Context._get_keyrings_cl",
    "fedmsg.crypto.gpg:Context.verify_from_file",
    "fedmsg.crypto.gpg:GpgBinaryError",
    "fedmsg.crypto.gpg:sign",
    "fedmsg.crypto.gpg:validate",
    "fedmsg.commands:BaseCommand",
    "fedmsg.commands:dictConfig",
    "fedmsg.commands.announce:AnnounceCommand",
    "fedmsg.commands.logger:LoggerCommand",
    "fedmsg.commands.tail:TailCommand",
    "fedmsg.commands.relay:RelayCommand",
    "fedmsg.commands.relay:main",
    "fedmsg.commands.config:config",
    "fedmsg.consumers:FedmsgConsumer",
    "fedmsg.consumers.relay:RelayConsumer",
    "fedmsg.consumers.relay:log",
    "fedmsg.hub:main",
]


@pytest.mark.parametrize("name", NAMES)
def test_name_exists(name: str) -> None:
    """Applications import it, or their tests patch it."""
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    assert found is not None


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (fedmsg.publish, ["topic", "msg", "kw"]),
        (fedmsg.init, ["kw"]),
        (fedmsg.destroy, ["kw"]),
        (fedmsg.tail_messages, ["kw"]),
        (fedmsg.FedMsgContext.publish, ["self", "topic", "msg", "modname", "pre_fire_hook", "kw"]),
        (fedmsg.FedMsgContext.send_message, ["self", "topic", "msg", "modname"]),
        (fedmsg.FedMsgContext.tail_messages, ["self", "topic", "passive", "kw"]),
        (
            fedmsg.config.load_config,
            ["extra_args", "doc", "filenames", "invalidate_cache", "fedmsg_command",
             "disable_defaults"],
        ),
        (fedmsg.config.build_parser, ["declared_args", "doc", "config", "prog"]),
        (hub.main, ["options", "consumers", "producers", "framework"]),
    ],
)  # fmt: skip
def test_parameters_keep_their_order(function: Any, parameters: list[str]) -> None:
    """They can be given by position and by name; only keyword-only ones were added."""
    found = inspect.signature(function).parameters.values()
    names = [each.name for each in found if each.kind is not each.KEYWORD_ONLY]
    assert names == parameters


def test_all_is_exact() -> None:
    """``from fedmsg import *`` gives what it gave."""
    assert fedmsg.__all__ == [
        "init", "send_message", "publish", "destroy", "tail_messages", "__local",
    ]  # fmt: skip


def test_send_message_is_publish() -> None:
    """A plain alias."""
    assert fedmsg.send_message is fedmsg.publish


@pytest.mark.parametrize("name", ["publish", "destroy", "tail_messages"])
def test_functions_carry_the_methods_documentation(name: str) -> None:
    """``help(fedmsg.publish)`` explains the arguments."""
    documentation = getattr(fedmsg, name).__doc__
    assert documentation and documentation == getattr(fedmsg.FedMsgContext, name).__doc__


def test_local_can_be_swapped() -> None:
    """Tests of applications put another object in its place."""
    local = threading.local()
    context = mock.Mock()
    setattr(local, "__context", context)
    with mock.patch("fedmsg.__local", local):
        fedmsg.publish("t", {"a": 1})
    context.publish.assert_called_once_with("t", {"a": 1})
