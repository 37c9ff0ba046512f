"""Plug-ins of installed distributions (hub.md 3)."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fedmsg.consumers.gateway import GatewayConsumer
from fedmsg.consumers.relay import RelayConsumer, SigningRelayConsumer
from fedmsg.hub import discovery, gateway, relay

MODULE = """
class First: pass
class Second: pass
def factory(hub): pass
several = (First, Second)
generated = (cls for cls in (Second, First))
def broken():
    yield First
    raise ValueError("no more")
broken = broken()
"""
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """A function that puts a distribution with entry points on the path."""

    def make(name: str = "plug-ins", group: str = "test.group", **points: str) -> None:
        folder = tmp_path / f"site-{name}"
        info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [f"[{group}]", *(f"{key} = {value}" for key, value in points.items())]
        (info / "entry_points.txt").write_text("\n".join(lines))
        (folder / "plugged_in.py").write_text(MODULE)
        (folder / "plugged_exit.py").write_text("raise SystemExit(3)")
        monkeypatch.syspath_prepend(str(folder))
        for module in ("plugged_in", "plugged_exit"):
            monkeypatch.delitem(sys.modules, module, raising=False)
        importlib.invalidate_caches()

    return make


def found(*groups: str) -> list[str]:
    """Return the names of what is found."""
    return [each.__name__ for each in discovery.find(groups or ("test.group",))]


def test_classes_and_iterables_of_them(install: Install) -> None:
    """Each once; a callable that is no class is one, too."""
    install(a="plugged_in:several", b="plugged_in:First", c="plugged_in:factory",
            d="plugged_in:generated")  # fmt: skip
    assert sorted(found()) == ["First", "Second", "factory"]


@pytest.mark.parametrize(
    "broken", ["nowhere:C", "plugged_in:Nothing", "plugged_exit:C", "plugged_in:broken", "json:x y"]
)
def test_what_does_not_load_is_logged(
    install: Install, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    """With its traceback; the others are found (H-7)."""
    install(a=broken, b="plugged_in:First")
    assert found() == ["First"]
    assert "cannot load a of the group test.group" in caplog.text


@pytest.mark.parametrize("name", ["moksha.hub", "moksha-hub", "moksha_hub"])
def test_plug_ins_of_moksha_are_replaced(install: Install, name: str) -> None:
    """However its name is spelt."""
    install(name, a="plugged_in:First")
    install("other", a="plugged_in:Second")
    assert found() == ["Second"]


def test_groups_in_order(install: Install) -> None:
    """Producers first, then streams."""
    install("one", group="g.two", a="plugged_in:Second")
    install("two", group="g.one", a="plugged_in:First")
    assert found("g.one", "g.two") == ["First", "Second"]


def test_our_own_consumers() -> None:
    """They are entry points of this distribution."""
    assert {"DummyConsumer", "GatewayConsumer", "RelayConsumer"} <= set(found("moksha.consumer"))


def test_named_classes() -> None:
    """A comma list, with blanks (K-7)."""
    text = " fedmsg.consumers.relay:RelayConsumer ,fedmsg.consumers.gateway:GatewayConsumer,"
    assert discovery.named(text) == [RelayConsumer, GatewayConsumer]


@pytest.mark.parametrize(
    ("text", "error"), [("json", ValueError), ("nowhere:C", ImportError), ("json:C", ImportError)]
)
def test_wrong_names(text: str, error: type[Exception]) -> None:
    """Without a colon; not there."""
    with pytest.raises(error):
        discovery.named(text)


def test_current_directory_is_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in it takes the place of no installed module."""
    monkeypatch.setattr(sys, "path", ["/somewhere"])
    Path("under_development.py").write_text("class C: pass\n")
    (cls,) = discovery.named("under_development:C")
    assert (cls.__name__, sys.path) == ("C", ["/somewhere", os.getcwd()])
    del sys.modules["under_development"]


def test_current_directory_that_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A daemon may outlive it."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    before = list(sys.path)
    discovery.add_current_directory()
    assert sys.path == before


class Renamed(GatewayConsumer):
    """Another key."""

    config_key = "x"


class Narrow(GatewayConsumer):
    """Not the whole bus."""

    topic = "org.test"


class Checking(GatewayConsumer):
    """Checks signatures."""

    validate_signatures = True


class Hooked(SigningRelayConsumer):
    """Does something more."""

    def pre_consume(self, message: object) -> None:
        """Note it."""


@pytest.mark.parametrize(
    ("cls", "plain"),
    [(GatewayConsumer, True), (Renamed, True), (Narrow, False), (Checking, False), (dict, False)],
)
def test_only_an_unmodified_gateway_passes_frames_on(cls: type, plain: bool) -> None:
    """Any difference needs the hub."""
    assert gateway.is_plain(cls) is plain


@pytest.mark.parametrize(
    ("cls", "plain"),
    [(RelayConsumer, True), (SigningRelayConsumer, True), (Hooked, False), ("text", False)],
)
def test_only_an_unmodified_relay_passes_frames_on(cls: type, plain: bool) -> None:
    """Any difference needs the hub."""
    assert relay.is_plain(cls) is plain
