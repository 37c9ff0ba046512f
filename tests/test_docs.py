"""The manual and the README."""

from __future__ import annotations

import html
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fedmsg import options

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.rst"

#: Link targets of the manual of 1.1.7, to which other manuals point.
OLD_LABELS = [
    "command-relay",
    "conf-active",
    "conf-endpoints",
    "conf-relay-inbound",
    "conf-stomp",
    "conf-zmq-enabled",
    "publishing-sans-zmq",
]


@pytest.fixture(scope="session")
def manual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manual as HTML, built with warnings as errors."""
    if importlib.util.find_spec("sphinx") is None:
        if os.environ.get("CI") == "true" and "TOX_ENV_NAME" not in os.environ:
            pytest.fail("Sphinx is not installed: pip install '.[docs]'")
        pytest.skip("Sphinx is not installed: pip install '.[docs]'")
    out = tmp_path_factory.mktemp("manual")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    command += ["-d", str(out / "doctrees"), str(DOCS), str(out / "html")]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout
    return out / "html"


@pytest.mark.timeout(150)
def test_manual_builds(manual: Path) -> None:
    """The manual builds without a warning, and every page of it exists."""
    pages = {path.stem for path in DOCS.glob("*.rst")}
    assert pages <= {path.stem for path in manual.glob("*.html")}


@pytest.mark.timeout(150)
def test_record_of_the_benchmarks(manual: Path) -> None:
    """Each bar and each peer that was measured is a row of the page about performance."""
    record = json.loads((DOCS / "performance" / "results.json").read_text(encoding="utf-8"))
    peers = [peer["name"] for peer in record["peers"] if peer["figures"]]
    page = (manual / "performance.html").read_text(encoding="utf-8")
    rows = re.findall(r"<tr class=[^>]*><td><p>(.*?)</p>", page)
    assert peers and [html.unescape(row) for row in rows] == [*peers, *record["rows"]]


@pytest.mark.timeout(150)
@pytest.mark.parametrize("label", OLD_LABELS)
def test_old_labels(manual: Path, label: str) -> None:
    """A link to a label of the old manual ends at a place that exists."""
    from sphinx.util.inventory import InventoryFile

    with (manual / "objects.inv").open("rb") as file:
        labels = InventoryFile.load(file, "", os.path.join)["std:label"]
    assert label in labels
    page, _, anchor = labels[label].uri.partition("#")
    assert f'id="{anchor}"' in (manual / page.lstrip("/")).read_text()


@pytest.mark.timeout(150)
def test_every_option_is_described(manual: Path) -> None:
    """The page on configuration has, for every option, a link target and its line of text."""
    page = (manual / "configuration.html").read_text()
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", "", page)).split())
    for name, option in options.TABLE.items():
        assert f'id="conf-{re.sub("[^a-z0-9]+", "-", name)}"' in page
        assert option.doc.partition(" ")[2] in text


@pytest.mark.timeout(150)
def test_every_command_is_described(manual: Path) -> None:
    """The page on the command line has what each command says of itself."""
    page = (manual / "command-line.html").read_text()
    for name in ("fedmsg-config", "fedmsg-relay", "fedmsg-replay-server", "fedmsg-tail"):
        assert f'id="{name}"' in page
        assert f"usage: {name} [-h]" in re.sub(r"<[^>]+>", "", page)


def test_readme_has_two_commands() -> None:
    """The README's set-up is ``make demo`` and ``make test``, nothing else."""
    commands = re.findall(r"^\s+\$ (.+)$", README.read_text(), re.MULTILINE)
    assert commands == ["make demo", "make test"]


@pytest.mark.parametrize("path", [README, *sorted(DOCS.glob("*.rst"))], ids=lambda path: path.name)
def test_install_lines_name_this_checkout(path: Path) -> None:
    """No page tells to install the old release from the index, but for the tests against it."""
    lines = re.findall(r"pip install[^\n`]*", path.read_text())
    assert [line for line in lines if re.search(r"\sfedmsg\b(?!==1\.1\.7)", line)] == []


def test_examples_of_the_readme_compile() -> None:
    """The README's Python is Python."""
    blocks = re.findall(
        r"^\.\. code-block:: python\n\n((?:    .*\n|\n)+)", README.read_text(), re.M
    )
    assert len(blocks) == 2
    for block in blocks:
        compile("\n".join(line[4:] for line in block.splitlines()), "README.rst", "exec")


def test_guarantees_are_shown() -> None:
    """Every test that the table of losses names exists."""
    named = re.findall(r"``([\w/]+)::(test_\w+)``", (DOCS / "guarantees.rst").read_text())
    assert len(named) > 30
    for module, name in named:
        text = (ROOT / "tests" / f"{module}.py").read_text()
        assert f"def {name}(" in text, f"{module}::{name}"
