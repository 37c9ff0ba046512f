"""``import fedmsg`` stays cheap: applications pay for it at every start."""

from __future__ import annotations

import subprocess
import sys

#: Modules that cost 14 to 45 ms each, or that belong to an extra.
FORBIDDEN = {
    "asyncio", "cryptography", "fedmsg.meta", "importlib.metadata", "logging.config", "moksha",
    "OpenSSL", "requests", "sqlalchemy", "stomp", "twisted", "urllib.request",
}  # fmt: skip
LIMIT = 110


def loaded(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter has after a statement."""
    code = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_import_loads_few_modules() -> None:
    """No more than 110 modules beyond those of a bare interpreter."""
    assert len(loaded("import fedmsg") - loaded("")) <= LIMIT


def test_import_leaves_expensive_modules_alone() -> None:
    """Nothing of an extra is loaded, nor what is slow to import."""
    assert loaded("import fedmsg") & FORBIDDEN == set()


def test_import_makes_the_parts_reachable() -> None:
    """After a bare import the modules that applications use are attributes."""
    names = ("core", "config", "encoding", "crypto", "utils", "replay", "meta")
    code = f"import fedmsg; {', '.join(f'fedmsg.{name}' for name in names)}"
    assert {f"fedmsg.{name}" for name in names} <= loaded(code)


def test_import_without_unix_modules() -> None:
    """Where pwd, grp, resource, fcntl and fork are missing, importing works."""
    hide = "import os; del os.fork, os.register_at_fork\n"
    hide += "for name in ('pwd', 'grp', 'resource', 'fcntl'): sys.modules[name] = None\n"
    assert "fedmsg" in loaded(hide + "import fedmsg, fedmsg.commands.tail, fedmsg.commands.relay")
