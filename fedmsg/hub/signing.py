"""What the signing relay does to each message."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .. import crypto, encoding, envelope, options
from ..exceptions import ConfigurationError

Frames = Sequence[bytes]


def signer(config: Mapping[str, Any]) -> Callable[[Frames], Frames]:
    """Return the function that signs the frames of one message, in place of an old signature.

    Args:
        config: its ``certnames['signing_relay']`` names the certificate; with the gpg backend
            ``gpg_signing_key`` names the key.

    Returns:
        A function for several threads.  It raises FrameError for what is no message, and whatever
        :func:`fedmsg.crypto.sign` raises.

    Raises:
        ConfigurationError: there is no such entry, or nothing can be signed with it.
        MissingDependency: the extra ``crypto`` is not installed.
    """
    settings = crypto.settings(config)
    if config.get("crypto_backend") != "gpg":
        certnames = config.get("certnames") or {}
        if "signing_relay" not in certnames:
            raise ConfigurationError(
                'The signing relay requires that the certificate name is in the "certnames"'
                " dictionary using the \"signing_relay\" key: certnames = {'signing_relay':"
                " '<name of the .crt and .key files in ssldir>'}"
            )
        settings.update(certname=certnames["signing_relay"], _received=True)
    limit = options.get(config, "max_message_size")
    _try(settings)

    def sign(frames: Frames) -> Frames:
        _, message = envelope.decode(frames, limit)
        return frames[0], encoding.dumps(crypto.sign(message, **settings)).encode("ascii")

    return sign


def _try(settings: dict[str, Any]) -> None:
    """Sign something, so that a relay that cannot does not start."""
    try:
        crypto.sign({"topic": "", "msg": {}}, **settings)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the signing relay cannot sign: {error}") from error
