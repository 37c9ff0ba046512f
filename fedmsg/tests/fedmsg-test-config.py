"""The configuration of :mod:`fedmsg.tests.test_meta`: addresses on this machine, random ports."""

import os
import random
import socket

_HOST = socket.gethostname().partition(".")[0]
_SSLDIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "test_certs", "keys")
# No keys are shipped; a package that puts its own there gets signed messages.
_SIGNED = os.path.isfile(os.path.join(_SSLDIR, "ca.crt"))
_PORT = random.randint(10000, 28000)


def _addresses(first: int) -> list[str]:
    return [f"tcp://127.0.0.1:{_PORT + first + number}" for number in range(4)]


config = {
    "topic_prefix": "org.fedoraproject",
    "topic_prefix_re": r"^org\.fedoraproject\.(dev|stg|prod)",
    "environment": "dev",
    "endpoints": {
        f"unittest.{_HOST}": _addresses(0),
        f"unittest2.{_HOST}": _addresses(4),
        f"twisted.{_HOST}": _addresses(8),
        f"__main__.{_HOST}": _addresses(12),
        # Does not resolve (RFC 6761), which must disturb nobody.
        "unresolvable": [f"tcp://fedmsg-tests.invalid:{_PORT + 16}"],
    },
    "relay_inbound": f"tcp://127.0.0.1:{_PORT + 17}",
    "replay_endpoints": {f"unittest.{_HOST}": f"tcp://127.0.0.1:{_PORT + 18}"},
    "high_water_mark": 0,
    "io_threads": 1,
    "irc": [],
    "zmq_enabled": True,
    "zmq_strict": False,
    "zmq_reconnect_ivl": 100,
    "zmq_reconnect_ivl_max": 1000,
    "sign_messages": _SIGNED,
    "validate_signatures": _SIGNED,
    "ssldir": _SSLDIR,
    "ca_cert_location": os.path.join(_SSLDIR, "ca.crt"),
    "crl_location": os.path.join(_SSLDIR, "crl.pem"),
    "crl_cache": os.path.join(_SSLDIR, "crl.pem"),
    "crl_cache_expiry": 3600,
    "certnames": {f"unittest.{_HOST}": "shell-app01.phx2.fedoraproject.org"},
    "gpg_keys": {},
}
