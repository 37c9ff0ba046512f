"""A module imports only from layers below its own (design card), at import time or later."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import fedmsg

ROOT = Path(fedmsg.__file__).parent

#: Longest matching prefix of the module's name decides.
LAYERS = {
    "fedmsg.commands": 6,
    "fedmsg": 5,  # the front door; its private helpers are listed below
    "fedmsg.bridge": 5.5,
    "fedmsg.consumers": 5,
    "fedmsg.hub": 5,
    "fedmsg.aio": 5.5,
    "fedmsg.web": 5,
    "fedmsg.core": 4,
    "fedmsg._signing": 3.5,
    "fedmsg._tail": 3.5,
    "fedmsg._gaps": 3.4,
    "fedmsg.replay": 3.3,
    "fedmsg.transports": 3,
    "fedmsg.testing": 5.5,
    "fedmsg.tests": 5,
    "fedmsg.text": 2.1,  # another name for fedmsg.meta
    "fedmsg.replay.sqlstore": 2,
    "fedmsg.replay.tracker": 2,
    "fedmsg.crypto": 2,
    "fedmsg.meta": 2,
    "fedmsg.config": 1,
    "fedmsg.envelope": 1,
    "fedmsg.encoding": 1,
    "fedmsg._arguments": 0.5,
    "fedmsg._derive": 0.5,
    "fedmsg._files": 0.5,
    "fedmsg._lazy": 0.5,
    "fedmsg._loopback": 0.9,
    "fedmsg.options": 0.2,
    "fedmsg._option": 0.1,
    "fedmsg.exceptions": 0,
    "fedmsg._bounded": 0,
    "fedmsg._limits": 0,
    "fedmsg._visible": 0,
    "fedmsg.utils": 0,
}

#: Rooms in which modules may import one another: the rest of a layer may not.
MAY_IMPORT_EACH_OTHER = {
    ("fedmsg.hub", "fedmsg.consumers"),  # it runs them
    ("fedmsg.consumers", "fedmsg"),  # applications' tests patch it there
    ("fedmsg.config", "fedmsg.encoding"),  # --print-config prints JSON
}

#: Large packages, and the places that may import each.
GUARDED: dict[str, tuple[str, ...]] = {
    "OpenSSL": ("fedmsg.crypto.x509_ng",),
    "cryptography": ("fedmsg.crypto.authority", "fedmsg.crypto.x509_ng"),
    "asyncio": (
        "fedmsg.aio",
        "fedmsg.aio._context",
        "fedmsg.aio._tail",
        "fedmsg.aio._worker",
        "fedmsg.hub.websocket",
        "fedmsg.web.app",
        "fedmsg.web.server",
    ),
    "dns": ("fedmsg._derive",),
    "moksha": ("fedmsg.transports.moksha",),
    "twisted": ("fedmsg.hub.moksha",),
    "pygments": ("fedmsg.commands.rendering",),
    "argcomplete": ("fedmsg._arguments",),
    "prometheus_client": ("fedmsg.hub.metrics",),
    "psutil": ("fedmsg.commands.checks.ports",),
    "requests": (
        "fedmsg.commands.replay",
        "fedmsg.consumers.backlog",
        "fedmsg.consumers.ircbot",
        "fedmsg.crypto.utils",
    ),
    "sqlalchemy": ("fedmsg.encoding.sqla", "fedmsg.replay.sqlstore"),
    "stomp": ("fedmsg.transports.stomp",),
    "starlette": ("fedmsg.web.app",),
    "uvicorn": ("fedmsg.web.server",),
    "irc": ("fedmsg.consumers.irc_client",),
    "pika": ("fedmsg.transports.amqp",),
    "websockets": ("fedmsg.hub.websocket",),
    "arrow": (),
    "kitchen": (),
    "pkg_resources": (),
    "distutils": (),
    "M2Crypto": (),
}


def modules() -> dict[str, ast.Module]:
    """Return every module of the package, parsed."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = modules()


def imported(name: str) -> set[str]:
    """Return the names of the modules that a module imports, ours as modules."""
    package = name if (ROOT.parent / name.replace(".", "/")).is_dir() else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            inner = {f"{base}.{alias.name}" for alias in node.names}
            found |= (inner & set(MODULES)) or {base}
    return found


def layer(name: str) -> float:
    """Return the layer of one of our modules."""
    while name not in LAYERS:
        name = name.rpartition(".")[0]
    return LAYERS[name]


def room(name: str) -> str:
    """Return the package of one of our modules: only between rooms the layers count."""
    while name not in LAYERS:
        name = name.rpartition(".")[0]
    return name


@pytest.mark.parametrize("name", MODULES)
def test_imports_only_from_below(name: str) -> None:
    """No module imports from its own layer, outside its room, or from above."""
    ours = {other for other in imported(name) if other in MODULES and room(other) != room(name)}
    wrong = {
        other
        for other in ours
        if layer(other) >= layer(name) and (room(name), room(other)) not in MAY_IMPORT_EACH_OTHER
    }
    assert not wrong


@pytest.mark.parametrize("name", MODULES)
def test_large_packages_have_one_door(name: str) -> None:
    """Only the modules that wrap a large package import it."""
    tops = {other.partition(".")[0] for other in imported(name)}
    assert {top for top in tops if name not in GUARDED.get(top, (name,))} == set()


def test_the_table_has_no_strangers() -> None:
    """Every name in the table exists."""
    assert set(LAYERS) <= set(MODULES)
