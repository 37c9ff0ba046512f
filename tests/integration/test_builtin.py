"""Without any configuration: the example of the README, the demonstration, and the errors."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fedmsg
from fedmsg.exceptions import RelayUnavailable

pytestmark = [pytest.mark.usefixtures("default_ports"), pytest.mark.timeout(180)]

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"


def test_readme_example(command: Callable[..., Any]) -> None:
    """Relay, tail and a publisher, as the README has them."""
    command("fedmsg-relay").says("relaying from tcp://127.0.0.1:2001 to tcp://127.0.0.1:4001")
    tail = command("fedmsg-tail", "--json", "--count=1")
    code = 'import fedmsg; fedmsg.publish(topic="build.complete", modname="koji", msg={"p": 1})'
    while tail.process.poll() is None:
        subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
    assert '"topic":"org.fedoraproject.dev.koji.build.complete"' in tail.stdout


def test_publish_without_relay_names_both_remedies() -> None:
    """Within timeout, as an IOError."""
    fedmsg.init(timeout=0.2, post_init_sleep=0)
    with pytest.raises(OSError, match="fedmsg-relay.*'endpoints'") as caught:
        fedmsg.publish(topic="t", msg={})
    assert isinstance(caught.value, RelayUnavailable)


def test_the_set_up_is_announced_once(caplog: pytest.LogCaptureFixture) -> None:
    """One line in the log of the process, with the addresses."""
    with caplog.at_level(logging.INFO, "fedmsg.config"):
        for _ in range(2):
            fedmsg.init(mute=True, post_init_sleep=0)
            fedmsg.destroy()
    said = [record for record in caplog.records if "tcp://127.0.0.1:2001" in record.getMessage()]
    assert len(said) == 1


def test_names_work_with_it(command: Callable[..., Any]) -> None:
    """An application that calls itself something still publishes through the relay."""
    command("fedmsg-relay").says("relaying from")
    context = fedmsg.init(name="my.application")
    fedmsg.publish(topic="t", msg={})
    assert context.flush(5) == 0


def test_demo(tmp_path: Path) -> None:
    """The demonstration ends by itself with as much received as sent, and leaves nothing."""
    environment = {key: value for key, value in os.environ.items() if key != "FEDMSG_CONFIG"}
    done = subprocess.run(
        [sys.executable, str(DEMO)], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (done.returncode, "sent 1200, received 1200, missing 0" in done.stdout) == (0, True), (
        done.stdout[-2000:] + done.stderr
    )
