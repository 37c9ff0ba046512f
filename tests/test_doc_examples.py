"""The Python in the pages on testing and on asyncio is run."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from aio_parts import run

import fedmsg
from fedmsg import testing

DOCS = Path(__file__).resolve().parents[1] / "docs"


def blocks(page: str) -> list[str]:
    """Return the Python blocks of a page."""
    if not DOCS.exists():
        pytest.skip("there is no source tree")
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.findall(r"^\.\. code-block:: python\n\n((?:    .*\n|\n)+)", text, re.M)
    return [textwrap.dedent(block) for block in found]


def test_page_on_testing(tmp_path: Path) -> None:
    """Each block is a file with the name in its first line, and pytest is content with them."""
    pytest.importorskip("cryptography")
    for block in blocks("testing.rst"):
        name = block.splitlines()[0].removeprefix("# ")
        (tmp_path / name).write_text(block)
    environment = {**os.environ, "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-c", os.devnull, "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True, text=True, timeout=60, env=environment,
    )  # fmt: skip
    assert "12 passed" in done.stdout, done.stdout + done.stderr


@pytest.fixture
def page() -> dict[str, Any]:
    """What the blocks of the page on asyncio define."""
    names: dict[str, Any] = {}
    for block in blocks("asyncio.rst"):
        exec(compile(block, "asyncio.rst", "exec"), names)
    return names


def test_publishing_with_asyncio(page: dict[str, Any], fedmsg_sent: list[testing.Sent]) -> None:
    """The examples publish what they say."""

    async def main() -> None:
        await page["main"]()
        await page["many"](["a", "b"])
        await page["in_time"]("c")
        await page["aio"].destroy()
        await page["own_context"](fedmsg.config.for_init({}))

    run(main())
    assert [sent.msg["package"] for sent in fedmsg_sent] == ["kernel", "a", "b", "c", "kernel"]


def test_listening_with_asyncio(
    page: dict[str, Any], fedmsg_bus: testing.Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    """The examples listen, and end."""
    transport = fedmsg_bus.publisher._transport

    async def main() -> None:
        fedmsg._remember({**fedmsg_bus.config, "mute": True})
        listening = asyncio.create_task(page["listen"]())
        assert await asyncio.to_thread(transport.wait_for_subscriptions, 2, 20)
        fedmsg_bus.publish(topic="a", msg={"last": True})
        await listening
        assert await page["with_timeout"](0.01) == []
        await page["aio"].destroy()

    run(main())
    assert "{'last': True}" in capsys.readouterr().out
