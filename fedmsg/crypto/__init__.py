"""Signing messages, and telling which of those that arrive may be believed.

Messages are public; what a signature gives is that they come from who they say.  Everything here
fails closed: what cannot be checked is rejected, with a reason (:mod:`fedmsg.crypto.verdict`).
Specification: crypto.md 2.

Attributes:
    rejections: rejected messages of this process, counted by reason.
    accepted: messages of this process whose check found nothing wrong, as of now.
"""

from __future__ import annotations

import copy
import importlib
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from .._limits import RateLimit
from ..exceptions import ConfigurationError, MissingDependency
from . import verdict as v
from ._counts import Counts
from ._fields import BACKENDS, backend_of
from .verdict import Verdict

__all__ = [
    "Verdict",
    "check",
    "check_received",
    "doubt",
    "init",
    "is_authorised",
    "prepare",
    "rejections",
    "settings",
    "sign",
    "strip_credentials",
    "validate",
    "validate_signed_by",
]

_log = logging.getLogger("fedmsg.crypto")

_SUBMODULES = (*BACKENDS, "utils", "x509_ng")

#: The modules in use, for tests of applications: None until first use, and set to None by them.
_implementation: Any = None
_validate_implementations: Any = None
#: Whether these two come from an explicit :func:`init`, and are the defaults of other calls.
_explicit = False
#: Two settings that were looked at, and what they ask for where nothing is explicit.
_answered: tuple[Any, tuple[str, Sequence[str]]] = (None, ("", ()))

_counts = Counts()
rejections = _counts.rejections

#: Anybody on the bus can cause a rejection: so many a minute are logged.
_reports = RateLimit(60)

_SETTINGS = (
    "ca_cert_cache_expiry", "ca_cert_location", "crl_cache_expiry", "crl_location",
    "crypto_backend", "crypto_validate_backends", "gpg_home", "gpg_signing_key",
    "routing_nitpicky", "routing_policy", "ssldir",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "accepted":
        return _counts.accepted
    if name in _SUBMODULES:
        return _module(name)
    if name == "_possible_backends":
        return {backend: _module(backend) for backend in BACKENDS}
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _module(name: str) -> Any:
    # Once imported, a submodule is an attribute of its package.
    return globals().get(name) or importlib.import_module(f"{__name__}.{name}")


# -- which backend ---------------------------------------------------------------------------------


def init(**config: Any) -> None:
    """Choose the backends of calls whose configuration does not name any.

    Args:
        config: ``crypto_backend`` and ``crypto_validate_backends``.

    Raises:
        ConfigurationError: one of them is not ``x509`` or ``gpg``; a ValueError.  Nothing is
            changed then.
    """
    global _explicit
    _use(_signer(config, "x509"), _validators(config, None))
    _explicit = True


def _use(signer: str, validators: Sequence[str]) -> None:
    global _implementation, _validate_implementations, _explicit
    modules = [_module(name) for name in validators or (signer,)]
    _implementation, _validate_implementations = _module(signer), modules
    _explicit = False


def _signer(config: Mapping[str, Any], default: str) -> str:
    name = config.get("crypto_backend")
    if name is None:
        return default
    if name not in BACKENDS:
        raise ConfigurationError(f"'crypto_backend' is {name!r}: it must be 'x509' or 'gpg'")
    return name  # type: ignore[no-any-return]


def _validators(config: Mapping[str, Any], default: Sequence[str] | None) -> Sequence[str]:
    names = config.get("crypto_validate_backends") or default or ()
    for name in names:
        if name not in BACKENDS:
            raise ConfigurationError(
                f"{name!r} is not a valid crypto backend: 'crypto_validate_backends' may have"
                " 'x509' and 'gpg'"
            )
    return names


def _chosen(config: Mapping[str, Any]) -> tuple[str, Sequence[str]]:
    """Return the signer and the validators that a configuration asks for."""
    global _answered
    asked = config.get("crypto_backend"), config.get("crypto_validate_backends") or []
    known, answer = _answered
    used = _implementation is not None and _validate_implementations is not None
    if used and not _explicit and asked == known:
        return answer
    signer, validators = "x509", None
    if _explicit and _implementation is not None:
        signer = _short(_implementation)
        if asked[0] is None:
            validators = [_short(module) for module in _validate_implementations or ()]
    signer = _signer(config, signer)
    answer = signer, tuple(_validators(config, validators)) or (signer,)
    if not used:
        _use(*answer)
    if not _explicit:
        _answered = (asked[0], list(asked[1])), answer
    return answer


def _short(module: Any) -> str:
    return str(module.__name__).rpartition(".")[2]


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what this package reads of a configuration, which may be large."""
    return {name: config[name] for name in _SETTINGS if name in config}


# -- signing ---------------------------------------------------------------------------------------


def prepare(**config: Any) -> None:
    """Load what signing needs, so that a lack of it shows before a message is made.

    Raises:
        as :func:`sign` does.
    """
    signer, _ = _chosen(config)
    load = getattr(_module(signer), "load_credential", None)
    if load is not None:
        load(**config)


def require(config: Mapping[str, Any], signing: bool) -> None:
    """See to it that the backends of a configuration are known, and the signer's is installed.

    Args:
        config: the configuration.
        signing: whether it will be used for signing.

    Raises:
        ConfigurationError: an unknown backend.
        MissingDependency: the extra ``crypto`` is not installed.
    """
    signer, _ = _chosen(config)
    if signing and signer == "x509":
        try:
            _module("x509_ng").libraries()
        except MissingDependency as error:
            raise MissingDependency(f"'sign_messages' is set, and {error}") from error


def sign(message: dict[str, Any], **config: Any) -> dict[str, Any]:
    """Return a signed copy of a message, as it will be after its journey.

    Args:
        message: it is not changed.
        config: ``crypto_backend``; ``ssldir`` and ``certname`` for x509, ``gpg_home`` and
            ``gpg_signing_key`` for gpg.

    Raises:
        ConfigurationError: an unknown backend; a setting is missing; a file is not what it should
            be.  All are ValueErrors.
        OSError: a file cannot be read.
        TypeError: the message cannot be expressed in JSON.
        MissingDependency: the extra ``crypto`` is not installed.
    """
    signer, _ = _chosen(config)
    return _module(signer).sign(message, **config)  # type: ignore[no-any-return]


# -- checking --------------------------------------------------------------------------------------


def validate(message: dict[str, Any], **config: Any) -> bool:
    """Return whether :func:`check` finds nothing wrong with a message."""
    # Not by calling it: a second copy of a configuration is a twentieth of the time of all this.
    verdict = _counts.add(_checked(message, config))
    return verdict.valid or _reported(verdict, message).valid


def validate_signed_by(message: dict[str, Any], signer: str, **config: Any) -> bool:
    """Return whether a message is valid and signed by somebody in particular.

    Args:
        message: from the network; it is not changed.
        signer: common name of the certificate, or fingerprint of the gpg key.
        config: as for :func:`check`; its policy does not count.
    """
    topic = message.get("topic") if isinstance(message, dict) else None
    if not isinstance(topic, str):
        return _reported(_counts.add(v.rejected(v.NOT_A_MESSAGE)), message).valid
    config.update(routing_policy={topic: [signer]}, routing_nitpicky=True)
    if backend_of(message) == "gpg":
        config["signer"] = signer
    return check(message, **config).valid


def check(message: dict[str, Any], **config: Any) -> Verdict:
    """Check signature, signer and policy of a message.

    The envelope of a message signed with gpg is not covered by its signature; see
    :func:`check_received`.

    Args:
        message: of any form, from the network; it is not changed.
        config: the configuration; keys that are not about signatures are ignored.

    Returns:
        The verdict; what is rejected is counted in :data:`rejections` and logged.

    Raises:
        ConfigurationError: the configuration is wrong; a ValueError.
    """
    verdict = _counts.add(_checked(message, config))
    return verdict if verdict.valid else _reported(verdict, message)


def check_received(topic: Any, message: dict[str, Any], **config: Any) -> Verdict:
    """Check a message that came under a topic.

    Besides what :func:`check` does, the topic on the outside must be the one inside; and a
    message signed with gpg, whose topic is not signed, must be on a topic that ``routing_policy``
    lists.

    What is rejected is counted, not logged: the caller says what becomes of the message.

    Args:
        topic: what subscribers were chosen by.
        message: see :func:`check`; so are ``config``, the result and the errors.
    """
    return _counts.add(_received(topic, message, config))


def _received(topic: Any, message: dict[str, Any], config: dict[str, Any]) -> Verdict:
    verdict = _checked(message, config, received=True)
    differs = verdict.valid and message.get("topic") != topic
    return v.rejected(v.TOPIC_DIFFERS, verdict.signer) if differs else verdict


def doubt(topic: Any, message: dict[str, Any], config: Mapping[str, Any]) -> str:
    """Return a mark for what is shown of a message; arguments and errors of ``check_received``.

    Returns:
        ``(unsigned)`` or ``(invalid signature!)``, empty for a message that may be believed.
    """
    used = settings(config)
    # Those of a STOMP broker are put in after the message was signed.
    without = {key: value for key, value in message.items() if key != "headers"}
    verdict = _received(topic, without, used)
    if not verdict.valid and "headers" in message:
        verdict = _received(topic, message, used)
    if _counts.add(verdict).valid:
        return ""
    return "(invalid signature!)" if "signature" in message else "(unsigned)"


def is_authorised(topic: Any, message: dict[str, Any], config: Mapping[str, Any]) -> bool:
    """Return False for a message signed with gpg on a topic that ``routing_policy`` does not list.

    Its topic is not covered by the signature (crypto.md D4).

    Args:
        topic: of the message.
        message: a valid one.
        config: the configuration.
    """
    if backend_of(message) != "gpg":
        return True
    policy = config.get("routing_policy") or {}
    return isinstance(topic, str) and topic in policy


def _checked(message: Any, config: dict[str, Any], received: bool = False) -> Verdict:
    _, validators = _chosen(config)
    if not isinstance(message, dict):
        return v.rejected(v.NOT_A_MESSAGE)
    backend = backend_of(message)
    if backend is None:
        unsigned = "crypto" not in message
        return v.rejected(v.UNSIGNED if unsigned else v.UNKNOWN_BACKEND)
    if backend not in validators:
        return v.rejected(v.BACKEND_NOT_ALLOWED)
    if backend == "x509":
        return _module("x509_ng").verdict(message, config)  # type: ignore[no-any-return]
    # Before gpg is run: anybody could send an old message under many topics.
    if received and not is_authorised(message.get("topic"), message, config):
        return v.rejected(v.NOT_ALLOWED)
    if "gpg_home" not in config:
        config = {**config, "gpg_home": os.path.expanduser("~/.gnupg/")}
    return _module("gpg").check(message, **config)  # type: ignore[no-any-return]


def _reported(verdict: Verdict, message: Any) -> Verdict:
    if _reports.allow():
        topic = message.get("topic") if isinstance(message, dict) else None
        shown = topic[:200] if isinstance(topic, str) else type(topic).__name__
        signer = verdict.signer and verdict.signer[:200]
        _log.warning("message rejected: %s (topic %a, signer %a)", verdict.reason, shown, signer)
    return verdict


def strip_credentials(message: dict[str, Any]) -> dict[str, Any]:
    """Return a deep copy of a message without its signature and certificate."""
    message = copy.deepcopy(message)
    for field in ("signature", "certificate"):
        message.pop(field, None)
    return message
