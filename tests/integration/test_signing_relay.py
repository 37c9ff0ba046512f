"""fedmsg-signing-relay as a process."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("cryptography", reason="pip install '.[crypto]'")

from parts import publish, relayed
from pki import Pki

from fedmsg import crypto


@pytest.fixture
def start(
    command: Callable[..., Any], config_file: Callable[..., str], address: Callable[[], str]
) -> Callable[..., Any]:
    """A function that starts a signing relay; returns process and both addresses."""

    def run(pki: Pki, **changes: Any) -> Any:
        inbound, outbound = address(), address()
        config = {
            **pki.config, "certnames": {"signing_relay": "leaf"}, "relay_inbound": inbound,
            "endpoints": {"relay_outbound": [outbound]}, **changes,
        }  # fmt: skip
        running = command("fedmsg-signing-relay", f"--config-filename={config_file(**config)}")
        return running, inbound, outbound

    return run


def test_unsigned_publishers_become_signed(
    start: Callable[..., Any], pki: Pki, make_context: Any, subscriber: Any, eventually: Any
) -> None:
    """Order is kept, everything validates, and SIGTERM ends it with status 0."""
    running, inbound, outbound = start(pki)
    running.says("relaying from")
    context, sub = make_context(**relayed(inbound, post_init_sleep=20)), subscriber(outbound)
    eventually(lambda: publish(context, ["probe"]) or sub.socket.poll(20))
    publish(context, range(200))
    names: list[str] = []
    while len(names) < 200:
        topic, body = sub.receive()
        assert crypto.check_received(topic.decode(), json.loads(body), **pki.config).valid
        names += [topic.decode().rpartition(".")[2]] if not topic.endswith(b"probe") else []
    assert (names, running.stop()) == ([str(number) for number in range(200)], 0)


def test_no_key_no_relay(start: Callable[..., Any], pki: Pki) -> None:
    """Status 1 and one line that names the file; nothing is bound."""
    (pki.folder / "leaf.key").unlink()
    running, _, _ = start(pki)
    assert (running.wait(), "leaf.key" in running.stderr, "Traceback" in running.stderr) == (
        1, True, False,
    )  # fmt: skip
