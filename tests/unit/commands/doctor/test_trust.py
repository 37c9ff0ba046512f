"""What the doctor says of keys, certificates, the policy, the clock and what is installed."""

from __future__ import annotations

import os
import re
import socket
import time
from types import SimpleNamespace
from typing import Any

import pytest

from fedmsg.commands.checks import Case, system

HOST = socket.gethostname().partition(".")[0]


@pytest.fixture
def signing(pki: Any) -> dict[str, Any]:
    """A configuration that signs and validates with the keys of the fixture ``pki``."""
    for path in pki.folder.glob("*.key"):
        path.chmod(0o600)
    config = {key: value for key, value in pki.config.items() if key != "certname"}
    config.update(sign_messages=True, validate_signatures=True, relay_inbound=[])
    config["certnames"] = {f"shell.{HOST}": "leaf"}
    return config


def problems(report: Any) -> list[str]:
    """Return what is wrong, without the lack of endpoints."""
    return [text for text in report.problems if "'endpoints' is empty" not in text]


def reissue(pki: Any, **settings: Any) -> None:
    """Replace the certificate."""
    pki.install(pki.ca.issue(**settings))
    (pki.folder / "leaf.key").chmod(0o600)


def test_all_is_well(diagnose: Any, signing: dict[str, Any]) -> None:
    """Each thing that can expire is listed with its date."""
    report = diagnose(**signing)
    assert problems(report) == []
    assert len(report.having("ok", "is valid until")) == 3


@pytest.mark.parametrize(
    ("until", "level", "text"), [(10, "warning", "expires on"), (-0.5, "error", "has expired on")]
)
def test_certificates_expire(
    diagnose: Any, signing: dict[str, Any], pki: Any, until: float, level: str, text: str
) -> None:
    """Within a month a warning, then an error."""
    reissue(pki, until=until)
    assert diagnose(**signing).having(level, f"leaf.crt {text}")


def test_lists_expire(diagnose: Any, signing: dict[str, Any], pki: Any) -> None:
    """A subscriber rejects everything with an old list."""
    pki.write("crl.pem", pki.ca.crl(until=-0.5))
    assert diagnose("--as=subscriber", **signing).having("error", "crl.pem has expired on")


@pytest.mark.parametrize("case", ["revoked", "future"])
def test_what_receivers_reject(diagnose: Any, signing: dict[str, Any], pki: Any, case: str) -> None:
    """The reason is that of a receiver."""
    if case == "future":
        reissue(pki, since=1)
        reason = "certificate not yet valid"
    else:
        pki.write("crl.pem", pki.ca.crl(pki.leaf.certificate))
        reason = "certificate revoked"
    assert diagnose(**signing).having("error", f"leaf.crt: {reason}")


def test_missing_files(diagnose: Any, signing: dict[str, Any], pki: Any) -> None:
    """Certificate, CA and list are each named."""
    for name in ("leaf.crt", "ca.crt"):
        (pki.folder / name).unlink()
    report = diagnose(**signing)
    assert report.status == 2
    assert report.having("error", "leaf.crt")
    assert report.having("error", "ca.crt")


def test_no_certificate_for_this_machine(diagnose: Any, signing: dict[str, Any]) -> None:
    """The row that is missing is named; a service may be asked for."""
    report = diagnose(**{**signing, "certnames": {"shell.elsewhere": "leaf"}})
    assert report.having("error", f"'certnames' has no entry 'shell.{HOST}'")
    report = diagnose("--cert-prefix=bodhi", **signing)
    assert report.having("error", f"'certnames' has no entry 'bodhi.{HOST}'")


def test_signing_relay(diagnose: Any, signing: dict[str, Any], address: Any) -> None:
    """Its certificate is checked if it has one."""
    signing.update(relay_inbound=address(), endpoints={"relay_outbound": [address()]})
    assert diagnose("--as=relay", **signing).problems == []
    report = diagnose("--as=relay", **{**signing, "certnames": {"signing_relay": "none"}})
    assert report.having("error", "none.key")


def test_keys_that_others_read(diagnose: Any, signing: dict[str, Any], pki: Any) -> None:
    """Also those which are not in use."""
    (pki.folder / "leaf.key").chmod(0o640)
    (pki.folder / "other.key").write_bytes(b"")
    (pki.folder / "other.key").chmod(0o644)
    report = diagnose(**signing)
    [text] = report.having("error", "every user of this machine")
    assert "other.key (mode 0644)" in text
    assert report.having("ok", "leaf.key has mode 0640")


@pytest.mark.parametrize(
    ("topic", "names", "text"),
    [
        ("org.fedoraproject.dev.a.*", ["x"], "rows are no patterns"),
        ("org.fedoraproject.dev.a.b\n", ["x"], "rows are no patterns"),
        ("org.fedoraproject..a.b", ["x"], "a part of it is empty"),
        ("com.example.dev.a.b", ["x"], "topics begin with 'org.fedoraproject'"),
        ("org.fedoraproject.dev.a", ["x"], "it ends before the name of an event"),
        ("org.fedoraproject.dev.a.b", [], "it names nobody"),
        ("org.fedoraproject.dev.a.b", ["/etc/x.crt"], "it is no common name"),
        ("org.fedoraproject.dev.a.b", [" x"], "it is no common name"),
    ],
)
def test_policy_rows_that_never_match(
    diagnose: Any, topic: str, names: list[str], text: str
) -> None:
    """Each with its reason."""
    report = diagnose("--as=subscriber", routing_policy={topic: names}, validate_signatures=False)
    assert report.having("warning", text)
    assert report.having("warning", "it is not used: validate_signatures is not set")


def test_policy_rows_of_gpg(diagnose: Any) -> None:
    """They name fingerprints."""
    rows = {"org.fedoraproject.dev.a.b": ["A" * 40, "shell.app01"]}
    report = diagnose("--as=subscriber", routing_policy=rows, crypto_backend="gpg")
    assert len(report.having("warning", "no fingerprint of a gpg key")) == 1


def test_good_policy(diagnose: Any, signing: dict[str, Any]) -> None:
    """Other environments, and modules with a hyphen, are in order."""
    rows = {"org.fedoraproject.prod.a-b.c.d_e": ["shell.app01"]}
    report = diagnose("--as=subscriber", **{**signing, "routing_policy": rows})
    assert problems(report) == []
    assert report.having("ok", "1 rows")


class _Clock(SimpleNamespace):
    """The module time, with another clock."""

    def __init__(self, offset: float) -> None:
        super().__init__(**vars(time))
        self.time = lambda: time.time() + offset


@pytest.mark.parametrize(
    ("offset", "level", "text"),
    [
        (0.0, "ok", ""),
        (100.0, "warning", r"differs by \d+ s"),
        (-100.0, "warning", r"differs by \d+ s"),
        (-2e9, "error", "before this release"),
    ],
)
def test_clock(monkeypatch: pytest.MonkeyPatch, offset: float, level: str, text: str) -> None:
    """It is compared with that of the file system, and with the release."""
    monkeypatch.setattr(system, "time", _Clock(offset))
    [finding] = system.clock(Case({}))
    assert finding.level == level
    assert re.search(text, finding.text)


def test_versions(diagnose: Any) -> None:
    """What is installed; what the configuration needs and is not is an error."""
    report = diagnose("--as=relay", srv_endpoints=[], zmq_enabled=True)
    assert report.having("ok", "pyzmq ")
    assert report.having("ok", "libzmq ")


def test_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""
    monkeypatch.setattr(system.importlib.util, "find_spec", lambda _name: None)
    found = list(system.versions(Case({"sign_messages": True})))
    assert [each.remedy for each in found if each.level == "error"] == [
        "install this package with its extra: pip install '.[crypto]'"
    ] * 2


def test_gpg_without_gpg(diagnose: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program and the directory are looked for."""
    monkeypatch.setenv("PATH", os.devnull)
    report = diagnose(sign_messages=True, crypto_backend="gpg", gpg_home="/nonexistent")
    assert report.having("error", "there is no command gpg")
    assert report.having("error", "gpg_home /nonexistent is no directory")
