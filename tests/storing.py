"""A publisher that stores; a module of its own, so that other processes can import it."""

from __future__ import annotations

import threading

from parts import settings

import fedmsg

#: Messages of one publisher.
COUNT = 25


def publishing(url, **changes):
    """Return the configuration of a context that stores what it sends to nobody."""
    endpoints = {"me": ["tcp://127.0.0.1:*"]}
    return settings(name="me", endpoints=endpoints, persistent_store=url, **changes)


def publish(url, count=COUNT):
    """Publish from a context of one's own."""
    context = fedmsg.FedMsgContext(**publishing(url))
    try:
        for number in range(count):
            context.publish(topic="t", msg={"n": number, "by": threading.get_ident()}, modname="m")
    finally:
        context.destroy()
