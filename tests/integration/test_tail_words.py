"""``fedmsg-tail --terse`` as users run it, with a package of processors installed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import town
from plugins import CONFIG, write_distribution

import fedmsg


def test_terse_tail_of_a_bus(
    command: Callable[..., Any], config_file: Callable[..., str], address: Callable[[], str],
    eventually: Callable[..., Any], tmp_path: Path,
) -> None:  # fmt: skip
    """Only the user's messages, in words; control characters in them do nothing."""
    site = write_distribution(tmp_path, "fedmsg_meta_town", town.source(), town.points())
    settings = {**CONFIG, "endpoints": {"pub": [address()]}, "environment": "dev"}
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    tail = command(
        "fedmsg-tail", f"--config-filename={config_file(**settings)}", "--terse", "--users=ann",
        "--count=1", env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    context = fedmsg.init(**settings, name="pub", post_init_sleep=0)

    def shown() -> bool:
        for user in ("bob", "ann"):
            body = {"user": user, "repo": "bread\x1b[2J\n", "count": 3}
            context.publish("push", body, "forge")
        return tail.process.poll() is not None

    eventually(shown, "a message of the user")
    assert tail.wait() == 0, tail.stderr
    lines = tail.stdout.splitlines()
    link = r"https://forge.test/bread\x1b[2J\n"
    assert lines[1:] == [rf"forge.push -- ann pushed 3 commits to bread\x1b[2J\n {link}"]
    assert not tail.stderr.strip()
