"""The blocks of the manual, and what is to be done with them; ``reader`` does it.

A comment in front of a block says what is done with it; in HTML nobody sees it.

``.. block: run``                      it ends with status 0; lines without ``$`` are its output
``.. block: fails``                    it does not; what it says last is compared
``.. block: run until TEXT``           again and again, until something that was started says TEXT
``.. block: start TEXT``               in the background, until it says TEXT (or just started)
``.. block: start each``               the same for each of the commands, which say nothing special
``.. block: stop``                     all that was started ends
``.. block: output``                   what the block before wrote; ``...`` stands for anything
``.. block: file PATH``                written to PATH; a configuration is loaded, too
``.. block: config``                   a configuration: loaded
``.. block: before``, ``after``        unseen Python around the next block of Python
``.. block: before all``               in front of all Python that follows on the page
``.. block: needs PROGRAM``            else the page is skipped, or fails in CI
``.. block: elsewhere tests/FILE``     run by that test
``.. block: not run: REASON``          Python is compiled nevertheless

A comment that goes on, indented, is a block that readers do not see: shell, unless its first line
is ``#python``.  The blocks of a page are run in order, in one directory, which is also the home
directory; ports are replaced by free ones, but for those of the built-in set-up.
"""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.rst", *sorted((ROOT / "docs").glob("*.rst"))]
#: What a mark may say first.
ACTIONS = {
    "after", "before", "before all", "config", "elsewhere", "fails", "file", "needs", "not run:",
    "output", "run", "run until", "start", "start each", "stop",
}  # fmt: skip
SHELLS = ("console", "sh", "shell")

_MARK = re.compile(r" *\.\. block: (.*)")
_DIRECTIVE = re.compile(r" *\.\. (code-block|literalinclude|parsed-literal|code):: *(.*)")
_OUTPUT_OF_TIME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+(\.\d+)?")


@dataclasses.dataclass
class Block:
    """A block of a page: its language, or the file that it includes, and its mark."""

    page: Path
    line: int
    language: str
    text: str
    mark: str | None

    @property
    def action(self) -> str:
        """The first word, or words, of the mark."""
        found = [each for each in ACTIONS if f"{self.mark or ''} ".startswith(each + " ")]
        return max(found, key=len, default="")

    @property
    def argument(self) -> str:
        """The rest of the mark."""
        return (self.mark or "")[len(self.action) :].strip()

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line} ({self.language}, {self.mark})"


def _body(lines: list[str], start: int, indent: int) -> tuple[str, int]:
    """Return the lines from ``start`` that are indented more than so, and where they end."""
    end = start
    while end < len(lines) and (
        not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > indent
    ):
        end += 1
    return textwrap.dedent("\n".join(lines[start:end])).strip("\n") + "\n", end


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page, marked or not, and the unseen ones."""
    lines = page.read_text(encoding="utf-8").splitlines()
    number, mark = 0, None
    while number < len(lines):
        line, number = lines[number], number + 1
        indent = len(line) - len(line.lstrip())
        if found := _MARK.fullmatch(line):
            mark = found[1]
            text, end = _body(lines, number, indent)
            if mark == "stop" or mark.startswith("needs "):
                yield Block(page, number, "", "", mark)
            elif text.strip():
                unseen = text.removeprefix("#python\n")
                yield Block(page, number, "sh" if unseen is text else "python", unseen, mark)
                mark, number = None, end
        elif found := _DIRECTIVE.fullmatch(line):
            text, end = _body(lines, number, indent)
            text = textwrap.dedent(re.sub(r"\A(:.*\n)*\n*", "", text))
            included = found[1] == "literalinclude"
            language, text = ("file", found[2]) if included else (found[2], text)
            yield Block(page, number, language, text, mark)
            mark, number = None, end
        elif re.match(r" *(>>> |(?!\.\. ).*::$)", line.rstrip()):
            yield Block(page, number, "literal", "", None)
        elif line.strip():
            mark = None


def commands_of(block: Block) -> tuple[str, str]:
    """Return the shell's source in a block, and the output that the block shows."""
    if block.language != "console":
        return block.text, ""
    source, output, goes_on = [], [], False
    for line in block.text.splitlines():
        if goes_on or re.match(r"[$#] ", line):
            source.append(line if goes_on else line[2:])
            goes_on = line.endswith("\\")
        else:
            output.append(line + "\n")
    return "\n".join(source) + "\n", "".join(output)


def assert_shows(block: Block, expected: str, output: str) -> None:
    """Compare output with what a page shows; numbers, identifiers and line breaks may differ."""
    wanted, found = (
        " ".join(_OUTPUT_OF_TIME.sub("0", text).split()) for text in (expected, output)
    )
    pattern = re.escape(wanted).replace(re.escape("..."), ".*?")
    assert re.fullmatch(pattern, found, re.DOTALL), f"{block} shows\n{wanted}\nbut it was\n{found}"


def assert_loads(block: Block) -> dict[str, Any]:
    """Load a configuration, which sets options only, and return it."""
    import fedmsg.config
    from fedmsg import options

    bound: dict[str, Any] = {}
    exec(compile(block.text, str(block), "exec"), bound)
    config = bound["config"]
    unknown = {key for key in config if "." not in key} - set(options.TABLE)
    assert not unknown, f"{block}: no options: {unknown}"
    fedmsg.config.FedmsgConfig().load_config(settings=config)
    return dict(config)
