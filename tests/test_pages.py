"""Every block of the manual and of the README is run, or says why not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pages import ACTIONS, PAGES, Block, assert_loads, assert_shows, blocks_of
from reader import Session

#: What needs no process.
CHEAP = {"config", "elsewhere", "not run:"}
RUN = [page for page in PAGES if {block.action for block in blocks_of(page)} - CHEAP]
#: Pages whose commands start brokers.
BROKERS = {"stomp"}


def pages(paths: list[Path]) -> pytest.MarkDecorator:
    """Parametrise a test by pages."""
    marks = {path: [pytest.mark.broker] * (path.stem in BROKERS) for path in paths}
    return pytest.mark.parametrize(
        "page", [pytest.param(path, id=path.stem, marks=marks[path]) for path in paths]
    )


@pytest.fixture
def session(
    tmp_path: Path, port: Callable[[], int], eventually: Callable[..., Any]
) -> Callable[[], Session]:
    """A function that returns a reader with an empty directory."""
    (tmp_path / "reader").mkdir()
    return lambda: Session(tmp_path / "reader", port, eventually)


@pages(PAGES)
def test_every_block_is_marked(page: Path) -> None:
    """A block without a mark, or with one that means nothing, is an error."""
    wrong = [str(block) for block in blocks_of(page) if block.action not in ACTIONS]
    assert wrong == []


@pages(PAGES)
def test_cheap_blocks(
    page: Path, session: Callable[[], Session], recwarn: pytest.WarningsRecorder
) -> None:
    """Configurations load, other tests name the page, reasons are given, on every Python."""
    reader = session()
    for block in blocks_of(page):
        if block.action in CHEAP:
            reader.do(block)


@pytest.mark.skipif("TOX_ENV_NAME" in os.environ, reason="run on one Python only")
@pytest.mark.timeout(400)
@pytest.mark.usefixtures("default_ports")
@pages(RUN)
def test_page_runs(page: Path, session: Callable[[], Session]) -> None:
    """The blocks of a page do what the page says, in order, in an empty directory."""
    with session() as reader:
        for block in blocks_of(page):
            if block.action not in CHEAP:
                reader.do(block)
        reader.assert_none_failed()


def test_a_wrong_block_is_found(tmp_path: Path, session: Callable[[], Session]) -> None:
    """Output that differs, a status that is not 0, a literal block and a wrong key fail."""
    page = tmp_path / "page.rst"
    page.write_text(
        ".. block: run\n\n.. code-block:: console\n\n    $ echo one\n    two\n\n"
        ".. block: run\n\n   exit 3\n\n"
        ".. block: config\n\n.. code-block:: python\n\n    config = {'enviroment': 'dev'}\n\n"
        "So::\n\n    unmarked\n"
    )
    shown, ended, wrong, literal = blocks_of(page)
    with session() as reader:
        for block in (shown, ended, wrong):
            with pytest.raises(AssertionError):
                reader.do(block)
    assert literal.action == ""


def test_numbers_may_differ() -> None:
    """What is compared are the words, not times, ports and identifiers."""
    block = Block(Path("page.rst"), 1, "console", "", "run")
    assert_shows(block, "took 3 s, ...", "took 0.25 s, and more\n")
    with pytest.raises(AssertionError):
        assert_shows(block, "took 3 s", "took 3 m\n")


def test_a_configuration_is_returned() -> None:
    """What loads is what the block says."""
    text = "config = {'environment': 'prod'}"
    block = Block(Path("page.rst"), 1, "python", text, "config")
    assert assert_loads(block) == {"environment": "prod"}
