"""What is built from this tree, and what it says about itself."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import fedmsg

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = {
    "all", "bridge", "commands", "consumers", "crypto", "crypto_ng", "datagrepper", "docs", "irc",
    "metrics", "sql", "srv", "stomp", "test", "web",
}  # fmt: skip
SCRIPTS = {
    "fedmsg-bridge": "fedmsg.commands.bridge:bridge",
    "fedmsg-collectd": "fedmsg.commands.collectd:collectd",
    "fedmsg-dg-replay": "fedmsg.commands.replay:replay",
    "fedmsg-doctor": "fedmsg.commands.doctor:doctor",
    "fedmsg-check": "fedmsg.commands.check_script:main",
    "fedmsg-gateway": "fedmsg.commands.gateway:gateway",
    "fedmsg-irc": "fedmsg.commands.ircbot:ircbot",
    "fedmsg-hub": "fedmsg.commands.hub:hub",
    "fedmsg-keys": "fedmsg.commands.keys:keys",
    "fedmsg-announce": "fedmsg.commands.announce:announce",
    "fedmsg-logger": "fedmsg.commands.logger:logger",
    "fedmsg-relay": "fedmsg.commands.relay:relay",
    "fedmsg-replay-server": "fedmsg.commands.replay_server:replay_server",
    "fedmsg-signing-relay": "fedmsg.commands.relay:signing_relay",
    "fedmsg-tail": "fedmsg.commands.tail:tail",
    "fedmsg-trigger": "fedmsg.commands.trigger:trigger",
    "fedmsg-web": "fedmsg.commands.web:web",
    "fedmsg-verify": "fedmsg.commands.verify:verify",
}
CONSUMERS = {
    "fedmsg-dummy": "fedmsg.consumers.dummy:DummyConsumer",
    "fedmsg-gateway": "fedmsg.consumers.gateway:GatewayConsumer",
    "fedmsg-ircbot": "fedmsg.consumers.ircbot:IRCBotConsumer",
    "fedmsg-relay": "fedmsg.consumers.relay:RelayConsumer",
}
PROCESSORS = {
    "announce": "fedmsg.meta.announce:AnnounceProcessor",
    "logger": "fedmsg.meta.logger:LoggerProcessor",
}
BANNED = re.compile(r"\b(kitchen|pkg_resources|distutils|M2Crypto|m2ext)\b")
IMPORT_OF_BANNED = re.compile(
    r"^\s*(?:import|from)\s+(?:kitchen|pkg_resources|distutils|M2Crypto|m2ext)\b", re.MULTILINE
)
# Folders of the tree that no package contains.
_LEFT_OUT = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "_build", "build", "dist", "*.pyc"
)


class Built:
    """A wheel and a source archive."""

    def __init__(self, folder: Path, output: str) -> None:
        self.output = output
        [self.wheel] = folder.glob("*.whl")
        [self.source] = folder.glob("*.tar.gz")
        with zipfile.ZipFile(self.wheel) as archive:
            self.files = {info.filename for info in archive.infolist()}
            [name] = [name for name in self.files if name.endswith(".dist-info/METADATA")]
            self.metadata: Message = HeaderParser().parsestr(archive.read(name).decode())
            self.dist_info = name.rpartition("/")[0]
            self.entry_points = archive.read(f"{self.dist_info}/entry_points.txt").decode()
        with tarfile.open(self.source) as archive:
            names = [member.name for member in archive.getmembers() if member.isfile()]
        self.sources = {name.partition("/")[2] for name in names}

    def requirements(self, extra: str = "") -> set[str]:
        """Return what is installed with an extra, or without any, as written."""
        found = set()
        for line in self.metadata.get_all("Requires-Dist", []):
            requirement = Requirement(line)
            if requirement.marker is None:
                if not extra:
                    found.add(str(requirement))
            elif extra and requirement.marker.evaluate({"extra": extra}):
                requirement.marker = None
                found.add(str(requirement))
        return found


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A wheel and a source archive of a copy of the tree."""
    if not (ROOT / "setup.py").exists():
        pytest.skip("there is no source tree")
    tree = tmp_path_factory.mktemp("tree") / "fedmsg"
    shutil.copytree(ROOT, tree, ignore=_LEFT_OUT)
    command = [sys.executable, "-W", "default", "-m", "build", "--no-isolation", str(tree)]
    # With this variable set, setuptools warns that it does not compile.
    environment = {key: os.environ[key] for key in os.environ if key != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=180,
        env=environment,
    )
    assert done.returncode == 0, done.stdout
    return Built(tree / "dist", done.stdout)


@pytest.mark.timeout(240)
def test_build_is_silent(built: Built) -> None:
    """Building uses nothing that is deprecated, and the manifest names only what exists."""
    complaints = [
        line
        for line in built.output.splitlines()
        if re.search(r"deprecat|\bwarning\b|no files found|no previously-included", line, re.I)
    ]
    assert complaints == []


@pytest.mark.timeout(240)
def test_wheel_has_the_package_and_nothing_else(built: Built) -> None:
    """The wheel holds every file of the package, the script, the licence, and nothing else."""
    data = built.dist_info.replace(".dist-info", ".data")
    expected = {
        f"{built.dist_info}/{name}"
        for name in (
            "METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt"
        )
    }  # fmt: skip
    expected.add(f"{data}/scripts/fedmsg-config")
    expected |= {"fedmsg/py.typed", "pytest_fedmsg.py"}
    for pattern in ("*.py", "web/static/*"):
        found = (ROOT / "fedmsg").rglob(pattern)
        expected |= {path.relative_to(ROOT).as_posix() for path in found}
    assert built.files == expected


@pytest.mark.timeout(240)
def test_wheel_is_for_any_python_3(built: Built) -> None:
    """The wheel's tag names Python 3, no platform, and nothing older."""
    assert built.wheel.name.endswith("-py3-none-any.whl")
    assert built.metadata["Requires-Python"] == ">=3.10"


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "name",
    [
        "CHANGELOG.rst", "LICENSE", "Makefile", "README.rst", "docs/configuration.rst",
        "docs/web.png",
        "examples/demo.py", "fedmsg.d/relay.py", "scripts/fedmsg-config",
        "systemd/fedmsg-relay.service", "tests/test_packaging.py", "tox.ini",
    ],
)  # fmt: skip
def test_source_archive_is_complete(built: Built, name: str) -> None:
    """What the README's commands need is in the source archive."""
    assert name in built.sources


@pytest.mark.timeout(240)
def test_source_archive_has_no_keys(built: Built) -> None:
    """No key or certificate is shipped."""
    suffixes = (".key", ".pem", ".crt", ".p12")
    assert [name for name in built.sources | built.files if name.endswith(suffixes)] == []


@pytest.mark.timeout(240)
def test_base_requirements(built: Built) -> None:
    """The base installation needs pyzmq and six only."""
    assert {Requirement(line).name for line in built.requirements()} == {"pyzmq", "six"}


@pytest.mark.timeout(240)
def test_extras_of_the_wheel(built: Built) -> None:
    """Every extra of the table exists by name, and asks for something."""
    offered = {name.replace("-", "_") for name in built.metadata.get_all("Provides-Extra", [])}
    assert offered == EXTRAS
    assert {name for name in EXTRAS if not built.requirements(name)} == set()


@pytest.mark.timeout(240)
def test_crypto_is_crypto_ng(built: Built) -> None:
    """Both names of the cryptography extra mean the same."""
    assert built.requirements("crypto") == built.requirements("crypto_ng") != set()


@pytest.mark.timeout(240)
def test_all_is_everything_but_moksha(built: Built) -> None:
    """The extra ``all`` leaves out moksha.hub, and the setuptools that only moksha.hub needs."""
    union = set().union(*(built.requirements(name) for name in EXTRAS - {"all"}))
    left_out = {str(Requirement(text)) for text in ("moksha.hub>=1.5.17", "setuptools<82")}
    assert left_out <= union
    assert built.requirements("all") == union - left_out


@pytest.mark.timeout(240)
def test_nothing_banned_is_required(built: Built) -> None:
    """No requirement names an abandoned package."""
    lines = built.metadata.get_all("Requires-Dist", [])
    assert [line for line in lines if BANNED.search(line)] == []


@pytest.mark.parametrize("folder", ["fedmsg", "fedmsg.d", "scripts", "examples"])
def test_nothing_banned_is_imported(folder: str) -> None:
    """No file imports an abandoned module."""
    texts = {path: path.read_text() for path in (ROOT / folder).rglob("*") if _is_source(path)}
    assert texts
    assert [str(path) for path, text in texts.items() if IMPORT_OF_BANNED.search(text)] == []


def _is_source(path: Path) -> bool:
    return path.is_file() and (path.suffix == ".py" or path.parent.name == "scripts")


@pytest.mark.timeout(240)
def test_entry_points_of_the_wheel(built: Built) -> None:
    """The wheel declares commands, processors and consumers, without tying them to an extra."""
    names = set(re.findall(r"^\[(.+)\]$", built.entry_points, re.MULTILINE))
    assert names == {"console_scripts", "fedmsg.meta", "moksha.consumer", "pytest11"}
    found = dict(re.findall(r"^(\S+) = (\S+)$", built.entry_points.partition("[fedmsg.")[0], re.M))
    assert found == SCRIPTS


def _installed(group: str) -> Iterator[metadata.EntryPoint]:
    return (point for point in metadata.distribution("fedmsg").entry_points if point.group == group)


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("console_scripts", SCRIPTS),
        ("fedmsg.meta", PROCESSORS),
        ("moksha.consumer", CONSUMERS),
    ],
)
def test_entry_points_load(group: str, expected: dict[str, str]) -> None:
    """Every installed entry point loads the object that its module has under that name."""
    points = list(_installed(group))
    assert {point.name: point.value for point in points} == expected
    for point in points:
        module, _, attribute = point.value.partition(":")
        assert point.load() is getattr(importlib.import_module(module), attribute)


def test_script_is_installed() -> None:
    """The plain script fedmsg-config is beside the interpreter."""
    assert (Path(sys.executable).parent / "fedmsg-config").exists()


def test_versions_agree() -> None:
    """The package, its metadata and the newest entry of the changelog have the same version."""
    text = (ROOT / "CHANGELOG.rst").read_text()
    newest = re.search(r"^(\d+\.\d+\.\d+) \(.+\)\n-+$", text, re.MULTILINE)
    assert newest
    assert {newest[1]} == {fedmsg.__version__, metadata.version("fedmsg")}


def test_licence() -> None:
    """The text of the licence is the one that the metadata names."""
    assert metadata.metadata("fedmsg")["License-Expression"] == "LGPL-2.1-or-later"
    text = (ROOT / "LICENSE").read_text()
    assert "GNU LESSER GENERAL PUBLIC LICENSE" in text
    assert "Version 2.1, February 1999" in text


def test_tox_knows_every_python() -> None:
    """tox, the classifiers and the lower bound name the same Pythons."""
    classifiers = metadata.metadata("fedmsg").get_all("Classifier", [])
    minors = {
        found[1] for line in classifiers if (found := re.fullmatch(r".*Python :: 3\.(\d+)", line))
    }
    [line] = re.findall(r"^env_list = py\{(.+)\}$", (ROOT / "tox.ini").read_text(), re.MULTILINE)
    assert {name.removeprefix("3") for name in line.split(",")} == minors
    assert min(minors, key=int) == "10"
