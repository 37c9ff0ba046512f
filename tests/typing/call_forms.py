"""How applications call fedmsg.  Never run: mypy and pyright check it, both strictly."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typing_extensions import assert_type

import fedmsg
import fedmsg.config
import fedmsg.consumers
import fedmsg.core
import fedmsg.crypto
import fedmsg.encoding
import fedmsg.exceptions
import fedmsg.meta
import fedmsg.replay
import fedmsg.testing
import fedmsg.utils
from fedmsg import aio
from fedmsg.testing import Authority, Sent, captured, loopback_bus, mock_sends

Item = tuple[str, str, str, dict[str, Any]]


def number(message: dict[str, Any]) -> None:
    """Change a message before it leaves."""
    message["number"] = 1


def publishing() -> None:
    """The front door."""
    context = fedmsg.init(name="koji.builder1", environment="prod")
    assert_type(context, fedmsg.FedMsgContext)
    fedmsg.init(active=True)
    fedmsg.publish(topic="build.complete", msg={"package": "kernel"})
    fedmsg.publish("build.complete", {"package": "kernel"}, modname="koji")
    fedmsg.publish(topic="t", msg=[1, 2], pre_fire_hook=number)
    fedmsg.send_message(topic="t", msg={})
    context.publish(topic="t", msg={}, modname="koji")
    context.send_message("t", {}, "koji")
    assert_type(context.flush(timeout=2.5), int)
    assert_type(context.undelivered, int)
    context.destroy()
    fedmsg.destroy()


def listening() -> Iterator[str]:
    """Generators of messages."""
    for name, endpoint, topic, message in fedmsg.tail_messages():
        assert_type(message, dict[str, Any])
        yield f"{name} {endpoint} {topic}"
    context = fedmsg.core.FedMsgContext(**fedmsg.config.load_config())
    tail = context.tail_messages(topic="org.fedoraproject", passive=False)
    assert_type(next(tail), Item)
    tail.close()
    print(context.rejected["body is not JSON"], context.replayed["recovered"])


def configuration() -> None:
    """Loading, and the dict of all options."""
    config = fedmsg.config.load_config([], None)
    print(config["endpoints"], fedmsg.config.conf["topic_prefix"], fedmsg.config.conf.get("name"))
    try:
        fedmsg.init(**config)
    except (fedmsg.exceptions.ConfigurationError, fedmsg.exceptions.AlreadyInitialized) as error:
        print(error)


def signing(message: dict[str, Any]) -> None:
    """Signatures."""
    signed = fedmsg.crypto.sign(message, ssldir="/etc/pki/fedmsg", certname="shell")
    valid = fedmsg.crypto.validate(signed, ssldir="/etc/pki/fedmsg")
    assert_type(bool(valid), bool)
    print(fedmsg.encoding.dumps(signed), fedmsg.encoding.loads("{}"))


def recovering(config: dict[str, Any]) -> None:
    """Messages that were missed."""
    for message in fedmsg.replay.get_replay("me", {"seq_ids": [1, 2]}, config):
        print(message["topic"])


def describing(message: dict[str, Any], config: dict[str, Any]) -> None:
    """Natural language."""
    fedmsg.meta.make_processors(**config)
    print(fedmsg.meta.msg2title(message, **config), fedmsg.meta.msg2usernames(message, **config))


class Consumer(fedmsg.consumers.FedmsgConsumer):
    """A consumer as applications write them."""

    topic = "org.fedoraproject.prod.koji.*"
    config_key = "my.consumer.enabled"

    def consume(self, msg: dict[str, Any]) -> None:
        """Handle a message."""
        self.log.info("%s", msg["topic"])


async def asynchronous() -> None:
    """fedmsg.aio."""
    assert_type(await aio.init(name="me"), aio.FedMsgContext)
    await aio.publish(topic="t", msg={"a": 1})
    await asyncio.gather(*(aio.publish("t", {"n": n}, modname="m") for n in range(100)))
    async for name, endpoint, topic, message in aio.tail_messages(topic="org"):
        assert_type(message, dict[str, Any])
        print(name, endpoint, topic)
    async with aio.FedMsgContext(**fedmsg.config.load_config()) as context:
        await context.publish(topic="t", msg={})
        async with context.tail_messages() as tail:
            assert_type(await asyncio.wait_for(anext(tail), 1.5), Item)
        await tail.aclose()
        assert_type(await context.flush(), int)
    again = await aio.FedMsgContext(active=True)
    await again.destroy()
    await aio.destroy()


def test_application(tmp_path: Path) -> None:
    """fedmsg.testing."""
    with mock_sends("t", {"a": 1}, lambda sent: sent.msg["a"] == 1, ("t", {"a": 1})) as sent:
        assert_type(sent, list[Sent])
    with mock_sends():
        pass
    with mock_sends(None), captured() as messages:
        assert_type(messages[0].topic, str)
    authority = Authority(tmp_path, "shell")
    print(authority.validating())
    with loopback_bus(**authority.signing("shell")) as bus:
        bus.publish(topic="t", msg={}, modname="m")
        assert_type(bus.receive(timeout=3).message, dict[str, Any])
    assert isinstance(fedmsg.testing.Bus, type)
    print(fedmsg.utils.load_class("a:B"))
