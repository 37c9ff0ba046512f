"""Finding and making processors."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from plugins import CONFIG, PREFIX, install, sample  # noqa: F401

import fedmsg.meta
from fedmsg import meta
from fedmsg.meta.base import BaseProcessor

Install = Callable[..., None]
CRIPPLED = "No fedmsg.meta plugins found.  fedmsg.meta.msg2* crippled"
NEED = r"You must first call fedmsg\.meta\.make_processors\(\*\*config\)"


def names() -> list[str]:
    """Make processors and return their names."""
    meta.make_processors(**CONFIG)
    return [each.__name__ for each in meta.processors]


def test_before_make_processors() -> None:
    """What stands for the list is false, and raises with a remedy."""
    assert not meta.processors
    assert isinstance(meta.processors, meta.ProcessorsNotInitialized)
    for use in (len, list, lambda _: meta.msg2title({}), lambda _: meta.conglomerate([])):
        with pytest.raises(meta.ProcessorsNotInitialized, match=NEED) as caught:
            use(meta.processors)
        assert caught.value is not meta.processors
    with pytest.raises(TypeError):
        meta.processors[0]


def test_builtins_are_found() -> None:
    """Those of fedmsg itself, and the default one at the end."""
    assert {"logger", "announce"} <= set(names())
    assert names()[-1] == "unhandled"


def test_made_once() -> None:
    """A second call changes nothing, until the list is emptied."""
    meta.make_processors(**CONFIG)
    first = meta.processors
    meta.make_processors(**CONFIG)
    assert meta.processors is first
    meta.processors = []
    meta.make_processors(**CONFIG)
    assert meta.processors is not first


def test_failed_initialisation_leaves_none() -> None:
    """Without the pattern of topics it is a KeyError, and later calls say what is missing."""
    meta.processors = []
    with pytest.raises(KeyError, match="topic_prefix_re"):
        meta.make_processors()
    assert isinstance(meta.processors, meta.ProcessorsNotInitialized)
    with pytest.raises(meta.ProcessorsNotInitialized):
        meta.msg2title({"topic": "x"})


def test_plugins_of_other_packages(install: Install) -> None:  # noqa: F811
    """Every entry point of the group, made with the translation and the configuration."""
    install(
        "fm_town",
        """
class Forge(Processor):
    __name__ = "forge"
    def __init__(self, translate, **config):
        super().__init__(translate, **config)
        self.given = translate, config
    def subtitle(self, msg, **config):
        return self._("pushed by ") + msg["username"]
""",
        "forge = fm_town:Forge",
    )
    assert "forge" in names()
    forge = meta.msg2processor(sample("forge.push"), **CONFIG)
    assert forge.given == (meta._, CONFIG)
    assert meta.msg2subtitle(sample("forge.push"), **CONFIG) == "pushed by ralph"


def test_a_plugin_may_claim_the_name_of_a_builtin(install: Install) -> None:  # noqa: F811
    """The first that is found handles the message."""
    source = '\nclass Mine(Processor):\n    __name__ = "logger"\n'
    install("fm_town", source, "mine = fm_town:Mine")
    names()
    assert type(meta.msg2processor(sample("logger.log"), **CONFIG)).__name__ == "Mine"


BROKEN = [
    ("raise RuntimeError('at import')", "bad = fm_town:Bad"),
    ("class Bad(Processor):\n    __name__ = None", "bad = fm_town:Bad"),
    ("class Bad(Processor):\n    def __init__(self, *a, **k): raise OSError", "bad = fm_town:Bad"),
    ("", "bad = fm_town:Missing"),
    ("", "bad = no_such_module_of_fedmsg:Bad"),
    ("", "bad = not/an:entry point"),
    ("import no_such_package_of_fedmsg", "bad = fm_town:Bad"),
]


@pytest.mark.parametrize(("source", "points"), BROKEN)
def test_broken_plugin_is_logged(
    install: Install, caplog: pytest.LogCaptureFixture, source: str, points: str  # noqa: F811
) -> None:  # fmt: skip
    """With its name and the reason; the others work."""
    install("good", '\nclass Good(Processor):\n    __name__ = "good"\n', "good = good:Good")
    install("fm_town", source, points)
    with caplog.at_level(logging.WARNING, "fedmsg.meta"):
        assert {"good", "logger", "unhandled"} <= set(names())
    [record] = [each for each in caplog.records if "bad = " in each.message]
    assert record.exc_info is not None


def test_malformed_package_is_passed_over(
    install: Install, caplog: pytest.LogCaptureFixture  # noqa: F811
) -> None:  # fmt: skip
    """A file of entry points that cannot be read, of whatever package, spoils no other."""
    install("good", '\nclass Good(Processor):\n    __name__ = "good"\n', "good = good:Good")
    install("fm_town", "", "this is no entry point")
    with caplog.at_level(logging.WARNING, "fedmsg.meta"):
        found = names()
    assert {"good", "logger"} <= set(found)
    assert len(found) == len(set(found))
    assert "fm_town-1.0.dist-info" in caplog.text


def test_warning_without_plugins() -> None:
    """One call of ``log.warn``, which tests of applications replace."""
    with mock.patch.object(fedmsg.meta.log, "warn") as warn:
        meta.make_processors(**CONFIG)
    assert {each.__name__ for each in meta.processors} == {"announce", "logger", "unhandled"}
    warn.assert_called_once_with(CRIPPLED)


def test_no_warning_with_plugins(
    install: Install, caplog: pytest.LogCaptureFixture  # noqa: F811
) -> None:  # fmt: skip
    """Not even if a builtin is missing, so that there are three in all."""
    install("good", '\nclass Good(Processor):\n    __name__ = "good"\n', "good = good:Good")
    names()
    assert CRIPPLED not in caplog.text


@pytest.mark.parametrize(
    "attribute", ["__name__", "__description__", "__link__", "__docs__", "__obj__"]
)
def test_mandatory_attributes(attribute: str) -> None:
    """A class that lacks one cannot be made; the error names it."""
    given = dict.fromkeys(["__name__", "__description__", "__link__", "__docs__", "__obj__"], "x")
    cls = type("Incomplete", (BaseProcessor,), {**given, attribute: ""})
    with pytest.raises(ValueError, match=f"^Must declare a {attribute}$"):
        cls(str, **CONFIG)


@pytest.mark.parametrize(
    ("topic", "expected"),
    [("git.push", "push"), ("git", ""), ("github.push", None), ("git.a.b", "a.b"), ("x.git", None)],
)
def test_which_topics_a_name_means(topic: str, expected: str | None) -> None:
    """The part after the environment, whole; the answer is what comes behind it."""
    given = dict.fromkeys(["__description__", "__link__", "__docs__", "__obj__"], "x")
    git = type("Git", (BaseProcessor,), {**given, "__name__": "GIT"})(str, **CONFIG)
    assert git.handle_msg({"topic": PREFIX + topic}) == expected
    assert git.conglomerators == git.conglomerator_objects == []


def test_own_prefix_of_a_processor() -> None:
    """``topic_prefix_re`` of the class wins over the configuration."""
    given = dict.fromkeys(["__name__", "__description__", "__link__", "__docs__", "__obj__"], "x")
    cls = type("Own", (BaseProcessor,), {**given, "topic_prefix_re": r"com\.own"})
    assert cls(str).handle_msg({"topic": "com.own.x.y"}) == "y"


def test_broken_translations_do_not_matter(tmp_path: Path) -> None:
    """Whatever lies in ./locale, the module can be imported; there is no translation."""
    folder = tmp_path / "locale" / "en" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "fedmsg.mo").write_bytes(b"rubbish of some length")
    code = "from fedmsg import meta; assert meta._('text') == 'text'"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"LANGUAGE": "en"}, timeout=60,
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, "translations" in done.stderr) == (0, True), done.stderr


def test_text_is_the_old_name() -> None:
    """Of the same modules, all of them, however they are imported."""
    code = (
        "import fedmsg.text.base, fedmsg.text, sys, pkgutil, importlib\n"
        "from fedmsg.text import make_processors\n"
        "from fedmsg.text.logger import LoggerProcessor as one\n"
        "import fedmsg.meta\n"
        "from fedmsg.meta.logger import LoggerProcessor as other\n"
        "assert one is other and fedmsg.text is fedmsg.meta\n"
        "for each in pkgutil.iter_modules(fedmsg.meta.__path__):\n"
        "    old = importlib.import_module('fedmsg.text.' + each.name)\n"
        "    assert old is sys.modules['fedmsg.meta.' + each.name]\n"
        "make_processors(topic_prefix_re='x')\n"
        "assert fedmsg.text.processors is fedmsg.meta.processors\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


def test_conditions(install: Install) -> None:  # noqa: F811
    """``handle_msg`` of a plug-in decides by content, message by message."""
    source = """
class Picky(Processor):
    __name__ = "picky"
    def handle_msg(self, msg, **config):
        return "yes" if msg["msg"].get("mine") else None
"""
    install("fm_town", source, "picky = fm_town:Picky")
    names()

    def handler(**msg: Any) -> str:
        return str(meta.msg2processor(sample("logger.log", **msg), **CONFIG).__name__)

    assert [handler(mine=1), handler(), handler(mine=1)] == ["picky", "logger", "picky"]
