"""The process of gpg: missing, hanging, asking, and what its status lines mean."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from gpg_parts import Keys

from fedmsg._limits import RateLimit
from fedmsg.crypto import _gpg, gpg, verdict
from fedmsg.exceptions import FedmsgError, MissingDependency

FINGERPRINT = b"62ABCA9E06F2501EF8E771D966859B7C1EFFC4DB"
VALID = b"VALIDSIG %s 2026-11-25 1795573948 0 4 0 22 8 00 %s" % (b"A" * 40, FINGERPRINT)
GOOD = [b"NEWSIG good@x", b"GOODSIG 66859B7C1EFFC4DB good <good@x>", VALID]


def judge(*lines: bytes, code: int = 0) -> verdict.Verdict:
    output = b"".join(b"[GNUPG:] %s\n" % line for line in lines)
    return _gpg.judge(_gpg.Result(code, output, b""))


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """A function that puts a script named gpg first on PATH."""

    def write(script: str) -> None:
        path = tmp_path / "bin" / "gpg"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(path.parent), prepend=os.pathsep)

    return write


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """A PATH without gpg."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpg, "_missing", RateLimit(1, float("inf")))


def message() -> dict:
    return {"msg": {}, "signature": "iAUEAQABCg=="}


def test_the_sample_is_read():
    """A message whose signature looks like one gets as far as gpg."""
    assert gpg._decoded(message()["signature"])


def test_good_signature():
    """The signer is the primary key's fingerprint, not that of the key that signed."""
    assert judge(*GOOD) == verdict.Verdict(True, FINGERPRINT.decode())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"REVKEYSIG", verdict.KEY_REVOKED),
        (b"EXPKEYSIG", verdict.KEY_EXPIRED),
        (b"EXPSIG", verdict.SIGNATURE_EXPIRED),
        (b"BADSIG", verdict.SIGNATURE_MISMATCH),
        (b"ERROR", verdict.GPG_FAILED),
        (b"NO_PUBKEY", verdict.KEY_UNKNOWN),
        (b"ERRSIG", verdict.BAD_FIELD),
        (b"NODATA", verdict.BAD_FIELD),
        (b"UNEXPECTED", verdict.BAD_FIELD),
    ],
)
def test_one_word_against_it_is_enough(line, reason):
    """A status line that forbids to believe a signature counts more than a good one."""
    found = judge(*GOOD, line + b" 66859B7C1EFFC4DB someone")
    assert (found.valid, found.reason) == (False, reason)


@pytest.mark.parametrize("missing", range(3))
@pytest.mark.parametrize("count", [0, 2])
def test_each_line_exactly_once(missing, count):
    """A good signature has one line of each kind, no more and no less."""
    lines = GOOD[:missing] + GOOD[missing : missing + 1] * count + GOOD[missing + 1 :]
    assert judge(*lines).reason == verdict.GPG_FAILED


def test_exit_status_counts_too():
    """A good signature and a failure is a failure."""
    assert judge(*GOOD, code=2).reason == verdict.GPG_FAILED


@pytest.mark.parametrize(
    "line",
    [
        b"VALIDSIG", VALID.replace(b" 00 ", b" 10 "), VALID[:-1], VALID.lower(),
        VALID.rpartition(b" ")[0], VALID.replace(b" 00 ", b"  "),
    ],
)  # fmt: skip
def test_line_that_is_not_understood(line):
    """Another class of signature, or no full fingerprint of the primary key: not valid."""
    assert judge(*GOOD[:2], line).reason == verdict.GPG_FAILED


@pytest.mark.parametrize("output", [b"", b"\n", b"[GNUPG:]", b"[GNUPG:] ", b"gpg: error\n"])
def test_output_that_was_cut(output):
    """Whatever there is of it, nothing is valid and nothing raises."""
    found = _gpg.judge(_gpg.Result(0, output, b""))
    assert found == verdict.rejected(verdict.GPG_FAILED)


@pytest.mark.parametrize("separator", ["\u2028", "\x85", "\v", "\r", "\f", " "])
def test_user_id_cannot_add_a_line(separator):
    """What separates lines in Unicode does not in gpg's output: names may hold it."""
    lines = [b"NEWSIG x" + f"{separator}[GNUPG:] ".encode() + line for line in GOOD]
    assert not judge(*lines)
    assert not judge(b"NEWSIG", f"GOODSIG 0 x{separator}[GNUPG:] ".encode() + VALID)


def test_missing_binary(nowhere, caplog):
    """Without gpg nothing is valid, with one error in the log; sign names what to install."""
    for _ in range(3):
        assert gpg.check(message(), gpg_home="x") == verdict.rejected(verdict.BACKEND_MISSING)
    errors = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert ["install GnuPG" in each.getMessage() for each in errors] == [True]
    with pytest.raises(MissingDependency, match="'gpg' is not on PATH: install GnuPG"):
        gpg.sign(message(), gpg_home="x", gpg_signing_key="y")


def test_binary_that_cannot_be_run(nowhere, tmp_path):
    """A file of that name that is not executable counts as missing."""
    (tmp_path / "gpg").write_text("")
    assert gpg.check(message(), gpg_home="x").reason == verdict.BACKEND_MISSING


def test_no_room_for_a_process(monkeypatch):
    """Where the system cannot open files, a check fails closed."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        found = gpg.check(message(), gpg_home="x")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found.reason == verdict.GPG_FAILED


def test_gpg_that_hangs(fake, monkeypatch, tmp_path, eventually):
    """It is ended after the time allowed, with what it started; the message is refused."""
    pids = tmp_path / "pids"
    fake(f"sleep 3000 &\necho $$ $! >> {pids}\nwait")
    for timeout in (0.1, 1.0, 5.0, 20.0):  # a slow machine needs more to start it at all
        monkeypatch.setattr(_gpg, "_TIMEOUT", timeout)
        assert gpg.check(message(), gpg_home="x").reason == verdict.GPG_FAILED
        if pids.exists() and len(pids.read_text().split()) == 2:
            break
    leader, child = pids.read_text().split()
    assert not Path(f"/proc/{leader}").exists()
    eventually(lambda: _ended(child), "the end of what gpg started")
    with pytest.raises(gpg.GpgBinaryError, match="did not end within"):
        monkeypatch.setattr(_gpg, "_TIMEOUT", 0.1)
        gpg.sign(message(), gpg_home="x", gpg_signing_key="y")


def _ended(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_gpg_that_says_nothing(fake):
    """An exit status of 0 alone proves nothing."""
    fake("exit 0")
    assert gpg.check(message(), gpg_home="x").reason == verdict.GPG_FAILED
    with pytest.raises(gpg.GpgBinaryError):
        gpg.sign(message(), gpg_home="x", gpg_signing_key="y")


def test_gpg_that_does_not_read(fake, gpg_keys):
    """A process that ends before it has read a large message is a failure, not an exception."""
    fake("exec 0<&-; exit 2")
    big = {**message(), "msg": "x" * 10**6}
    assert gpg.check(big, gpg_home="x").reason == verdict.GPG_FAILED


def test_language_and_terminal(fake, monkeypatch, tmp_path):
    """gpg runs in the C locale, in a session of its own, and the home directory is absolute."""
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    fake(f'echo "$LC_ALL $2 $(cut -d" " -f6 /proc/$$/stat) $$" > {tmp_path}/seen')
    gpg.check(message(), gpg_home="-x")
    locale, home, session, pid = (tmp_path / "seen").read_text().split()
    assert (locale, home, session) == ("C", os.path.abspath("-x"), pid)


def test_never_asks(gpg_keys: Keys, tmp_path):
    """A key that needs a passphrase is an error at once: no pinentry is started."""
    asked = tmp_path / "asked"
    pinentry = tmp_path / "pinentry"
    pinentry.write_text(f"#!/bin/sh\n: > {asked}\necho OK\n")
    pinentry.chmod(0o755)
    conf = gpg_keys.home / "gpg-agent.conf"
    conf.write_text(f"pinentry-program {pinentry}\n")
    try:
        gpg_keys.restart()
        with pytest.raises(gpg.GpgBinaryError, match="(?i)pinentry"):
            gpg.sign(message(), gpg_home=str(gpg_keys.home), gpg_signing_key="locked@x")
    finally:
        conf.unlink()
        gpg_keys.restart()
    assert not asked.exists()


def test_error_is_ours_and_readable():
    """The error has gpg's bytes as its argument, reads as text, and is a FedmsgError."""
    error = gpg.GpgBinaryError(b"gpg: \xff bad\n")
    assert error.args == (b"gpg: \xff bad\n",)
    assert str(error) == "gpg: \\xff bad"
    assert isinstance(error, FedmsgError)
