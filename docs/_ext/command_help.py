"""The directive ``command-help``: what every command prints with ``--help``, from its parser."""

from __future__ import annotations

import os
from collections.abc import Iterator
from unittest import mock

import man_pages
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def page_lines() -> Iterator[str]:
    """Yield the source of a section for each command."""
    for name, target in sorted(man_pages.commands().items()):
        yield from (name, "-" * len(name), "", "::", "")
        try:
            text = man_pages.help_of(name, target)
        except ImportError as error:
            text = f"(not shown: this manual was built without {error.name})"
        yield from ("    " + line if line else "" for line in text.splitlines())
        yield ""


class CommandHelp(SphinxDirective):
    """Replaced by a section for each command."""

    def run(self) -> list[nodes.Node]:
        """Return the parsed sections."""
        with mock.patch.dict(os.environ, COLUMNS="88"):
            content = "\n".join(page_lines())
        return self.parse_text_to_nodes(content, allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
