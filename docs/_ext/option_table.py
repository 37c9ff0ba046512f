"""The directive ``option-table``: every option of ``fedmsg.options``, grouped by section.

An option ``relay_inbound`` gets the link target ``conf-relay-inbound``, a section ``STOMP`` the
target ``conf-stomp``.  Where both would have the same target it belongs to the option.
"""

from __future__ import annotations

import pprint
import re
from collections.abc import Iterable, Iterator
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from fedmsg import options

_LONGEST_LITERAL = 60


def label_of(name: str) -> str:
    """Return the link target of an option or a section."""
    return "conf-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def by_section(rows: Iterable[options.Option]) -> dict[str, list[options.Option]]:
    """Group the rows, sections in the order in which they first occur."""
    groups: dict[str, list[options.Option]] = {}
    for row in rows:
        groups.setdefault(row.section, []).append(row)
    return groups


def value_lines(title: str, value: Any) -> Iterator[str]:
    """Yield a line with the value, or a block if it is long."""
    if len(repr(value)) <= _LONGEST_LITERAL:
        yield f"{title}: ``{value!r}``"
        yield ""
        return
    yield f"{title}::"
    yield ""
    yield from ("    " + line for line in pprint.pformat(value, sort_dicts=False).splitlines())
    yield ""


def default_lines(row: options.Option) -> Iterator[str]:
    """Yield what is in use when no file sets the option, and how ``load_config`` differs."""
    if row.default is not options.ABSENT:
        yield from value_lines("Default", row.default)
    if row.loaded is not options.ABSENT and row.loaded != row.default:
        yield from value_lines("Default of ``load_config``", row.loaded)
    elif row.fallback is not options.ABSENT and row.fallback != row.default:
        if row.default is options.ABSENT:
            yield from value_lines("Default", row.fallback)
        else:
            yield from value_lines("With ``load_config``, when no file sets it", row.fallback)


def entry_lines(row: options.Option) -> Iterator[str]:
    """Yield the source of one option's entry."""
    first, rest = (row.doc.rstrip(".") + ".").split(" ", 1)
    text = f"{first.capitalize() if first.isalpha() else first} {rest}"
    body = [text.replace("*", r"\*"), ""]
    if row.unit:
        body += [f"Unit: {row.unit}.", ""]
    body += default_lines(row)
    yield from (f".. confval:: {row.name}", "")
    yield from (f"   {line}" if line else "" for line in body)


def page_lines(rows: Iterable[options.Option]) -> Iterator[str]:
    """Yield the source of all entries, with a heading for each section."""
    groups = by_section(rows)
    taken = {label_of(row.name) for group in groups.values() for row in group}
    for section, group in groups.items():
        if label_of(section) not in taken:
            yield from (f".. _{label_of(section)}:", "")
        yield from (section, "-" * len(section), "")
        for row in group:
            yield from entry_lines(row)


class OptionTable(SphinxDirective):
    """Replaced by the entries of all options."""

    def run(self) -> list[nodes.Node]:
        """Return the parsed entries."""
        self.env.note_dependency(options.__file__)
        content = "\n".join(page_lines(options.TABLE.values()))
        parsed = self.parse_text_to_nodes(content, allow_section_headings=True)
        for root in parsed:
            for signature in root.findall(addnodes.desc_signature):
                self._label(signature)
        return parsed

    def _label(self, signature: addnodes.desc_signature) -> None:
        name = signature.astext()
        label = label_of(name)
        signature["ids"].append(label)
        self.env.get_domain("std").note_hyperlink_target(label, self.env.docname, label, name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("option-table", OptionTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
