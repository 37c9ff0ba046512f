"""The directive ``markdown-page``: a file of simple Markdown, from its second heading on.

Headings become rubrics; tables, lists of one line each, pictures and paragraphs stay what they are.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_PICTURE = re.compile(r"!\[(.*)\]\((.*)\)")


def cells_of(line: str) -> list[str]:
    """Return the cells of one line of a table."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def table_lines(lines: Iterable[str]) -> Iterator[str]:
    """Yield a list table."""
    yield from (".. list-table::", "   :header-rows: 1", "")
    for line in lines:
        if not set(line) <= set("|- "):
            first, *others = cells_of(line)
            yield f"   * - {first}"
            yield from (f"     - {cell}" for cell in others)


def page_lines(text: str, folder: str) -> Iterator[str]:
    """Yield the source of a page.

    Args:
        text: Markdown; the code in it is code here too, for that is the default role.
        folder: where its pictures are.
    """
    for block in text.split("\n\n")[1:]:
        lines = block.strip("\n").split("\n")
        if lines[0].startswith("|"):
            yield from table_lines(lines)
        elif lines[0].startswith("#"):
            yield f".. rubric:: {lines[0].lstrip('# ')}"
        elif picture := _PICTURE.fullmatch(lines[0]):
            yield f".. image:: {posixpath.join(folder, picture[2])}"
            yield f"   :alt: {picture[1]}"
        else:
            yield from lines
        yield ""


class MarkdownPage(SphinxDirective):
    """Replaced by the file that its argument names, relative to the page."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the parsed page."""
        _name, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(path)
        text = Path(path).read_text(encoding="utf-8")
        folder = posixpath.dirname(self.arguments[0])
        return self.parse_text_to_nodes("\n".join(page_lines(text, folder)))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("markdown-page", MarkdownPage)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
