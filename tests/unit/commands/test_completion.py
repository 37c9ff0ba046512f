"""Shells complete what commands take, and every command has a manual page."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


def completions(line: str, **environment: str) -> list[str]:
    """Return what a command answers to a shell that asks how a command line may go on."""
    path = os.path.join(os.path.dirname(sys.executable), line.split()[0])
    asking = {
        "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line,
        "COMP_POINT": str(len(line)), **environment,
    }  # fmt: skip
    done = subprocess.run(
        ["/bin/bash", "-c", 'exec "$0" 8>&1 9>/dev/null 1>&2', path],
        env={**os.environ, **asking}, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    return [each.strip() for each in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("fedmsg-tail --really", "--really-pretty"),
        ("fedmsg-trigger --comm", "--command"),
        ("fedmsg-logger --json-l", "--json-lines"),
        ("fedmsg-dg-replay --keep", "--keep-topic"),
        ("fedmsg-collectd --collectd", "--collectd-interval"),
        ("fedmsg-relay --lin", "--linger"),
        ("fedmsg-doctor --as pub", "publisher"),
        ("fedmsg-config --red", "--redact"),
        ("fedmsg-keys --rev", "--revoke"),
    ],
)
def test_completion(line: str, expected: str) -> None:
    """The rest of an option, and of a value where there are few."""
    pytest.importorskip("argcomplete")
    assert completions(line) == [expected]


def test_without_argcomplete(tmp_path: Path) -> None:
    """A shell that asks gets no answer, and the command works."""
    (tmp_path / "argcomplete.py").write_text("raise ImportError('not installed')\n")
    answer = completions("fedmsg-config --red", PYTHONPATH=str(tmp_path))
    assert answer == []


def test_completion_costs_nothing() -> None:
    """Without a shell that asks, argcomplete is not imported."""
    code = (
        "import sys; from fedmsg.commands.config import config; config(['--query', 'active']);"
        "print('argcomplete' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert done.stdout.splitlines()[-1] == "False", done.stderr


@pytest.fixture(scope="session")
def man_pages() -> Any:
    """The module that makes the manual pages."""
    path = ROOT / "docs" / "_ext" / "man_pages.py"
    spec = importlib.util.spec_from_file_location("man_pages", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_has_a_manual_page(
    man_pages: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its name, its options and its examples; groff finds nothing to complain about."""
    pytest.importorskip("click")
    monkeypatch.setenv("COLUMNS", "78")
    man_pages.main(str(tmp_path))
    names = {path.stem for path in tmp_path.glob("*.1")}
    assert {"fedmsg-config", "fedmsg-tail", "fedmsg-check", "fedmsg-doctor"} <= names
    for path in tmp_path.glob("*.1"):
        text = path.read_text()
        for part in (".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS", r"\-\-help"):
            assert part in text, path
    formatter = shutil.which("groff")
    if formatter is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("there is no command groff")
    done = subprocess.run(
        [formatter, "-man", "-ww", "-z", "-Tutf8", *map(str, sorted(tmp_path.glob("*.1")))],
        capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "name",
    ["fedmsg-dg-replay", "fedmsg-collectd", "fedmsg-doctor", "fedmsg-irc", "fedmsg-config"],
)
def test_help_has_examples(command: Callable[..., Any], name: str) -> None:
    """Without any configuration, with status 0."""
    done = command(name, "--help")
    assert done.wait() == 0
    examples = [
        line for line in done.stdout.splitlines() if line.startswith((f"  {name}", f"    {name}"))
    ]
    assert len(examples) >= 2
