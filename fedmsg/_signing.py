"""Signing and storing what is published (core.md 2.3, steps 6 to 7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import replay
from .exceptions import MissingKey


def require(config: Mapping[str, Any]) -> None:
    """See to it that what is to be signed or validated can be, before anything is opened.

    Raises:
        ConfigurationError: an unknown backend.
        MissingDependency: the libraries of the signer are not installed.
    """
    signing = bool(config.get("sign_messages")) and not config.get("mute")
    usual = config.get("crypto_backend") in (None, "x509", "gpg")
    if usual and not signing and not config.get("validate_signatures"):
        return
    from . import crypto

    crypto.require(config, signing)


def store_and_sign(
    message: dict[str, Any], config: Mapping[str, Any], hostname: str
) -> dict[str, Any]:
    """Number, sign and keep a message, as far as the configuration says.

    Raises:
        MissingKey: ``certnames`` or ``gpg_keys`` has no entry for this publisher; a KeyError.
        ConfigurationError, OSError: as :func:`fedmsg.crypto.sign`; nothing is stored then.
        StoreError: the store failed.
        TypeError: the store or the signer did not return a dict.
    """
    from . import crypto

    store = replay.open_store(config.get("persistent_store"))
    signing = config.get("sign_messages")
    updates = bool(store) and hasattr(store, "update")
    how = {**crypto.settings(config), **_credential(config, hostname)} if signing else {}
    if updates:
        if signing:
            # First, so that without key or certificate nothing is stored.
            crypto.prepare(**how)
        message = store.add(message)
    if signing:
        with replay.discarded_unless_signed(store, message):
            message = crypto.sign(message, **how)
            if updates:
                store.update(message)
    elif updates:
        store.update(message)
    if store and not updates:
        message = store.add(message)
    if not isinstance(message, dict):
        raise TypeError(f"the persistent_store or the signer returned {message!r}, not a dict")
    return message


def _credential(config: Mapping[str, Any], hostname: str) -> dict[str, Any]:
    """Return the keys that tell the signer what to sign with.

    Raises:
        MissingKey: there is none for this publisher; a KeyError.
    """
    if config.get("crypto_backend") == "gpg":
        key = config.get("gpg_signing_key") or _entry(config, "gpg_keys", hostname)
        return {"gpg_signing_key": key}
    if "cert_prefix" in config:
        index = f"{config['cert_prefix']}.{hostname}"
    elif config.get("name") == "relay_inbound":
        index = f"shell.{hostname}"
    else:
        index = str(config.get("name"))
    return {"certname": _entry(config, "certnames", index)}


def _entry(config: Mapping[str, Any], table: str, index: str) -> Any:
    try:
        return config[table][index]
    except (KeyError, TypeError):
        text = f"'sign_messages' is set, and '{table}' has no entry {index!r}: add one"
        raise MissingKey(text) from None
