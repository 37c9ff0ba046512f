"""Publishing through a real Moksha hub, which runs in the environment of the 1.1.7 peer."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from stomp_parts import configuration

import fedmsg

pytestmark = [pytest.mark.peer, pytest.mark.timeout(120)]
ROOT = Path(fedmsg.__file__).resolve().parents[1]


def test_publish_through_a_running_hub(peer: str, address: Callable[[], str]) -> None:
    """With zeromq off, publish goes through moksha.hub.main's hub: bytes, encoded once."""
    # No broker is there: the hub is preferred to it.
    config = configuration(1, post_init_sleep=0)
    script = Path(__file__).parent / "scripts" / "moksha_hub.py"
    done = subprocess.run(
        [os.path.join(peer, "python"), str(script), address(), json.dumps(config)],
        capture_output=True, text=True, timeout=90, check=False,
        env={
            **os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore",
            "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8",
        },
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert lines, done.stdout + done.stderr
    topic, body, path = json.loads(lines[0])
    assert Path(path).parent.parent == ROOT
    assert (topic, body["topic"]) == ("org.fedoraproject.dev.t.thing",) * 2
    assert body["msg"] == {"text": "grüße 日本"}
