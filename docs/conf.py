"""Settings of Sphinx."""

import ast
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))


def _version() -> str:
    for node in ast.parse((HERE.parent / "setup.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "VERSION":
            return str(ast.literal_eval(node.value))
    raise LookupError("setup.py does not set VERSION")


project = "fedmsg"
author = "the fedmsg developers"
copyright = "the fedmsg developers; LGPL 2.1 or later"
version = release = _version()

extensions = ["command_help", "markdown_page", "option_table"]
exclude_patterns = ["_build", "_ext"]
default_role = "literal"
# "--option" is not a dash.
smartquotes = False
html_theme = "alabaster"
html_theme_options = {"description": "Federated message bus", "page_width": "60rem"}
html_show_sourcelink = False
