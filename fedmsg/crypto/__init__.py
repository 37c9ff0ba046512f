"""Signing and validation.

Not in this version: it fails closed.  A publisher that is told to sign raises, and a subscriber
that is told to validate accepts nothing.
"""

from __future__ import annotations

import copy
import logging
from typing import Any

from ..exceptions import MissingDependency

_log = logging.getLogger("fedmsg.crypto")


def sign(message: dict[str, Any], **config: Any) -> dict[str, Any]:
    """Refuse to sign.

    Raises:
        MissingDependency: always; nothing is published.
    """
    raise MissingDependency(
        "'sign_messages' is set, and this version of fedmsg cannot sign: nothing was published."
        " Set sign_messages=False."
    )


def validate(message: dict[str, Any], **config: Any) -> bool:
    """Accept nothing, for no signature can be checked."""
    _log.error("'validate_signatures' is set, and this version of fedmsg cannot validate")
    return False


def strip_credentials(message: dict[str, Any]) -> dict[str, Any]:
    """Return a deep copy of a message without its signature and certificate."""
    message = copy.deepcopy(message)
    for field in ("signature", "certificate"):
        message.pop(field, None)
    return message
