"""The signing relay as a process, against one core that does nothing but sign."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from fedmsg.crypto import authority

from .measure import Result, compare, free_address, interleave
from .relaying import Link

_RELAY = "from fedmsg.commands.relay import signing_relay; raise SystemExit(signing_relay())"
_NAME = "signer"


def _raw(key_file: Path) -> Callable[[int], float]:
    """Return a function that measures signatures a second in one thread."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    scheme, data = (padding.PKCS1v15(), hashes.SHA1()), b"x" * 1024

    def rate(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            key.sign(data, *scheme)
        return count / (time.perf_counter() - start)

    return rate


def rate(quick: bool) -> Result:
    """Compare messages a second of bursts with signatures a second of one core."""
    count, rounds = (200, 3) if quick else (3000, 7)
    folder = Path(f"signing-relay-{os.getpid()}").absolute()
    authority.create(folder, [_NAME])
    inbound, outbound = free_address(), free_address()
    config = {
        "relay_inbound": [inbound],
        "endpoints": {"relay_outbound": [outbound]},
        "high_water_mark": 0,
        "ssldir": str(folder),
        "certnames": {"signing_relay": _NAME},
        "logging": {"version": 1, "disable_existing_loggers": False},
    }
    path = folder / "config.py"
    path.write_text(f"config = {config!r}\n")
    with ExitStack() as stack:
        link = Link(stack, _RELAY, [f"--config-filename={path}"], inbound, outbound)
        sides = {
            "fedmsg-signing-relay, msg/s": partial(link.rate, count),
            "one core, signatures/s": partial(_raw(folder / f"{_NAME}.key"), count),
        }
        for side in sides.values():
            side()  # warm
        samples = interleave(sides, rounds)
    return compare("fedmsg-signing-relay, msg/s", "one core, signatures/s", samples)
