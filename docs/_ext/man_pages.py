"""Write a manual page for every command, from its parser: ``python docs/_ext/man_pages.py DIR``."""

from __future__ import annotations

import importlib
import os
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import fedmsg.config
from fedmsg.commands import BaseCommand

#: What has no entry point, or one that hides click's command.
_SCRIPTS = {
    "fedmsg-check": "fedmsg.commands.check:check",
    "fedmsg-config": "fedmsg.commands.config:config",
}
#: Lines of a help text that begin a section.
_HEADING = re.compile(r"(positional arguments|options|examples?|exit status)\b.*", re.IGNORECASE)


def commands() -> dict[str, str]:
    """Return the commands with the functions behind them."""
    points = metadata.distribution("fedmsg").entry_points
    found = {each.name: each.value for each in points if each.group == "console_scripts"}
    return {**found, **_SCRIPTS}


def help_of(name: str, target: str) -> str:
    """Return what a command prints with ``--help``."""
    module_name, _, function = target.partition(":")
    module: Any = importlib.import_module(module_name)
    if hasattr(module, "parser"):
        parser = module.parser()
        parser.prog = name
        return str(parser.format_help())
    for cls in vars(module).values():
        if isinstance(cls, type) and issubclass(cls, BaseCommand) and cls.name == name:
            parser = fedmsg.config.build_parser(cls.extra_args or [], cls.__doc__, {}, name)
            return str(parser.format_help())
    return _help_of_click(name, getattr(module, function))


def _help_of_click(name: str, command: Any) -> str:
    import click

    return str(command.get_help(click.Context(command, info_name=name)))


def page(name: str, text: str) -> str:
    """Return a help text as a manual page (man(7))."""
    usage, _, rest = re.sub(r"^usage: ", "", text, flags=re.IGNORECASE).partition("\n\n")
    summary = " ".join(rest.strip().partition("\n\n")[0].split()).partition(". ")[0].rstrip(".")
    version = f"fedmsg {fedmsg.__version__}"
    lines = [f'.TH {name.upper()} 1 "" "{version}" "{version}"', ".SH NAME"]
    lines += [f"{_escaped(name)} \\- {_escaped(summary)}", ".SH SYNOPSIS", ".nf"]
    lines += [_escaped(line) for line in usage.splitlines()]
    lines += [".fi", ".SH DESCRIPTION", ".nf"]
    for line in rest.strip("\n").splitlines():
        if _HEADING.fullmatch(line):
            heading, _, more = line.partition(":")
            lines += [
                ".fi",
                f".SH {heading.upper()}",
                ".nf",
                *([_escaped(more.strip())] * bool(more)),
            ]
        else:
            lines.append(_escaped(line))
    return "\n".join([*lines, ".fi", ""])


def _escaped(line: str) -> str:
    text = line.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{text}" if text.startswith((".", "'")) else text


def main(folder: str) -> None:
    """Write the pages into a directory."""
    os.environ["COLUMNS"] = "78"
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, target in commands().items():
        text = page(name, help_of(name, target))
        Path(folder, f"{name}.1").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
