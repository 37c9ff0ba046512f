"""Keys and certificates: there, valid, not about to expire, not readable by others."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator
from typing import Any

from fedmsg import _signing, options, utils
from fedmsg.commands.checks import Case, Finding, error, ok, warning
from fedmsg.exceptions import FedmsgError

_CHECK = "certificates"
#: Warned about for so long before it expires, seconds.
_SOON = 30 * 86400.0
_NEW_ONE = "have the authority issue a new one"


def certificates(case: Case) -> Iterator[Finding]:
    """Check what signs and what validates."""
    config = case.config
    signs = bool(config.get("sign_messages")) and case.role != "subscriber"
    if case.role == "relay":
        signs = "signing_relay" in (config.get("certnames") or {})
    validates = bool(config.get("validate_signatures")) and case.acts_as("subscriber")
    if not signs and not validates:
        return
    if config.get("crypto_backend") == "gpg":
        yield from _gpg(config)
        return
    try:
        from fedmsg.crypto import x509_ng

        x509_ng.libraries()
    except ImportError as problem:
        yield error(_CHECK, str(problem), "pip install '.[crypto]'")
        return
    if validates or config.get("ca_cert_location"):
        yield from _authority(config)
    for certname in dict.fromkeys(_certnames(case)) if signs else ():
        if isinstance(certname, Finding):
            yield certname
        else:
            yield from _own(config, certname)


def _certnames(case: Case) -> Iterator[Any]:
    """Yield the names of the files that this machine signs with, or a finding."""
    config, host = case.config, utils.hostname()
    table = config.get("certnames") or {}
    if case.role == "relay":
        yield table["signing_relay"]
        return
    given = {"name": case.name, "cert_prefix": case.cert_prefix}
    given = {key: value for key, value in given.items() if value}
    if not given:
        names = [table[key] for key in table if str(key).endswith(f".{host}")]
        yield from names
        if names:
            return
        given = {"name": "relay_inbound"}
    try:
        yield _signing._credential({**config, **given}, host)["certname"]
    except FedmsgError as problem:
        yield error(_CHECK, str(problem), "add it: 'fedmsg-keys' makes some for development")


def _own(config: Any, certname: str) -> Iterator[Finding]:
    """Check a key and its certificate, as a signer and a receiver would."""
    from fedmsg.crypto import x509_ng

    ssldir = config.get("ssldir") or options.TABLE["ssldir"].default
    try:
        credential = x509_ng.load_credential(ssldir, certname)
        message = x509_ng.sign({"topic": "a.doctor", "msg": {}}, ssldir, certname)
    except (FedmsgError, OSError) as problem:
        yield error(_CHECK, str(problem), "put key and certificate there: see 'ssldir'")
        return
    yield from _expiry(f"the certificate {credential.path}", credential.until)
    policy = {"routing_policy": {}, "routing_nitpicky": False}
    verdict = x509_ng.check(message, **{**config, **policy, "ssldir": ssldir})
    if not verdict.valid:
        yield error(
            _CHECK, f"receivers reject {credential.path}: {verdict.reason}",
            f"{_NEW_ONE}, or set ca_cert_location and crl_location to those that receivers have",
        )  # fmt: skip


def _authority(config: Any) -> Iterator[Finding]:
    """Check the CA and the revocation list."""
    from fedmsg.crypto import utils, x509_ng
    from fedmsg.crypto._trust import Trust, Unusable

    ssldir = config.get("ssldir") or options.TABLE["ssldir"].default
    ca = config.get("ca_cert_location") or os.path.join(ssldir, "ca.crt")
    crl = config.get("crl_location")
    try:
        trust = Trust(x509_ng.libraries(), *utils.load_certificates(ca, crl))
    except (OSError, ValueError, Unusable) as problem:
        yield error(
            _CHECK, f"CA {ca} or list {crl}: {problem}", "set ca_cert_location and crl_location"
        )
        return
    yield from _expiry(f"the CA {ca}", trust.ca_until)
    if crl is not None:
        yield from _expiry(f"the revocation list {crl}", trust.crl_until)
    elif config.get("validate_signatures"):
        yield warning(_CHECK, "there is no revocation list", "set crl_location")


def _expiry(what: str, until: float) -> Iterator[Finding]:
    left = until - time.time()
    if left == float("inf"):
        yield ok(_CHECK, f"{what} does not expire")
        return
    date = time.strftime("%Y-%m-%d", time.gmtime(until))
    if left <= 0:
        yield error(_CHECK, f"{what} has expired on {date}", f"{_NEW_ONE}; is the clock right?")
    elif left <= _SOON:
        yield warning(_CHECK, f"{what} expires on {date}", _NEW_ONE)
    else:
        yield ok(_CHECK, f"{what} is valid until {date}")


def _gpg(config: Any) -> Iterator[Finding]:
    if shutil.which("gpg") is None and shutil.which("gpg2") is None:
        yield error(_CHECK, "there is no command gpg", "install gnupg")
    home = config.get("gpg_home")
    if home and not os.path.isdir(home):
        yield error(_CHECK, f"gpg_home {home} is no directory", "set gpg_home")


def permissions(case: Case) -> Iterator[Finding]:
    """Look for private keys that others can read."""
    config = case.config
    folder = config.get("ssldir") or options.TABLE["ssldir"].default
    keys = []
    if os.path.isdir(str(folder)):
        try:
            names = os.listdir(folder)
        except OSError as problem:
            yield warning("keys", f"{folder} cannot be read: {problem}", "run this as its user")
            return
        keys = [os.path.join(folder, name) for name in sorted(names) if name.endswith(".key")]
    home = config.get("gpg_home") if config.get("crypto_backend") == "gpg" else None
    for path in [*keys, *([home] if home and os.path.isdir(home) else [])]:
        try:
            mode = stat.S_IMODE(os.stat(path).st_mode)
        except OSError:  # a link to nowhere
            continue
        if mode & 0o007:
            yield error(
                "keys", f"every user of this machine can use {path} (mode {mode:04o})",
                f"chmod o-rwx {path}, and replace the key if others may have read it",
            )  # fmt: skip
        elif mode & 0o020:
            yield warning("keys", f"its group can change {path}", f"chmod g-w {path}")
        else:
            yield ok("keys", f"{path} has mode {mode:04o}")
