"""The sample configuration, and the unit of the relay."""

from __future__ import annotations

import configparser
import importlib.util
import logging.config
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import fedmsg.config
from fedmsg import options

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = sorted((ROOT / "fedmsg.d").glob("*.py"))
UNITS = sorted((ROOT / "systemd").glob("*.service"))

pytestmark = pytest.mark.filterwarnings('ignore:Using "load_config":DeprecationWarning')


def _run(path: Path) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location(f"sample_{path.stem}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.config


def _all_of_them() -> dict[str, Any]:
    return fedmsg.config.load_config(filenames=[str(path) for path in SAMPLES])


def test_the_seven_files() -> None:
    """There is one file for each subject."""
    names = {path.name for path in SAMPLES}
    assert names == {
        "base.py", "endpoints.py", "gateway.py", "ircbot.py", "logging.py", "relay.py", "ssl.py"
    }  # fmt: skip


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_keys_are_options(path: Path) -> None:
    """A sample sets nothing but options that the table knows."""
    assert set(_run(path)) <= set(options.TABLE)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_values_are_valid(path: Path) -> None:
    """A sample's values pass the checks of ``fedmsg.config.conf``."""
    settings = fedmsg.config.FedmsgConfig()
    settings.load_config(settings=_run(path))
    assert settings._loaded


def test_files_are_found_and_merged() -> None:
    """Copied where they are looked for, the files together are a complete configuration."""
    shutil.copytree(ROOT / "fedmsg.d", "fedmsg.d", ignore=shutil.ignore_patterns("__pycache__"))
    assert fedmsg.config.load_config() == _all_of_them()


def test_same_bus_as_without_files() -> None:
    """The samples and the built-in set-up name the same bus, and publish the same way."""
    samples, built_in = _all_of_them(), fedmsg.config.loopback({}, tell=False)
    for key in ("endpoints", "relay_inbound", "active"):
        assert samples[key] == built_in[key]
    defaults = fedmsg.config.load_config(filenames=[str(ROOT / "fedmsg.d" / "relay.py")])
    for key in ("topic_prefix", "environment"):
        assert samples[key] == defaults[key]


def test_everything_is_local() -> None:
    """No sample makes a process talk to another machine: no name, no URL, loopback only."""
    found = list(_texts(_all_of_them()))
    assert [text for text in found if "://" in text and "//127.0.0.1:" not in text
            and not text.startswith("ext://")] == []  # fmt: skip
    assert {bot["network"] for bot in _all_of_them()["irc"]} == {"127.0.0.1"}


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []


def test_signing_and_validating_go_together() -> None:
    """The samples do not reject what they themselves publish."""
    samples = _all_of_them()
    assert samples["validate_signatures"] == samples["sign_messages"]


def test_certificates_are_files() -> None:
    """CA and CRL are paths of files."""
    samples = _all_of_them()
    for key in ("ca_cert_location", "crl_location", "ssldir"):
        assert os.path.isabs(samples[key])


def test_logging_is_accepted() -> None:
    """The logging configuration is one that the standard library takes."""
    logging.config.DictConfigurator(_all_of_them()["logging"])
    assert _run(ROOT / "fedmsg.d" / "logging.py")["logging"] == options.TABLE["logging"].default


def _unit(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path)
    return parser


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_unit_runs_a_command(path: Path) -> None:
    """A unit starts the command it is named after, and stops it within a bound."""
    service = _unit(path)["Service"]
    assert service["ExecStart"] == f"/usr/bin/{path.stem}"
    assert service["Type"] == "notify"
    assert service["User"] == service["Group"] == "fedmsg"
    assert service["RuntimeDirectory"] == "fedmsg"
    assert 0 < int(service["TimeoutStopSec"]) <= 90
    assert int(service["LimitNOFILE"]) >= 4096


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_unit_is_understood(path: Path, tmp_path: Path) -> None:
    """systemd knows every setting of a unit."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / path.name
    copy.write_text(path.read_text().replace(f"/usr/bin/{path.stem}", "/bin/true"))
    done = subprocess.run(
        [analyze, "verify", str(copy)], capture_output=True, text=True, timeout=50
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if path.name in line]
    assert said == []
    assert done.returncode == 0, done.stderr
