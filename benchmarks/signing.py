"""What signatures cost, against the calls of cryptography that cannot be avoided."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import zmq

import fedmsg
from fedmsg import crypto, encoding, envelope

from .hub import hub_side
from .measure import (
    DEADLINE,
    Block,
    Result,
    Worker,
    compare,
    free_address,
    interleave,
    per_message,
    receive,
    sockets,
)
from .publishing import join, payload

_TOPIC = "org.fedoraproject.dev.benchmarks.thing.happened"
Config = dict[str, Any]


@contextmanager
def authority() -> Iterator[Config]:
    """Yield settings that sign and validate: RSA 2048, a CA, a list with 100 entries, a policy."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    pem, now = serialization.Encoding.PEM, datetime.now(timezone.utc)
    ca_key, key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    names = {
        text: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
        for text in ("ca", "leaf")
    }

    def certificate(text: str, public: Any, serial: int) -> bytes:
        builder = x509.CertificateBuilder(names["ca"], names[text], public, serial)
        builder = builder.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(300))
        constraints = x509.BasicConstraints(text == "ca", None)
        builder = builder.add_extension(constraints, critical=True)
        return builder.sign(ca_key, hashes.SHA256()).public_bytes(pem)

    revoked = [x509.RevokedCertificateBuilder(serial, now).build() for serial in range(1000, 1100)]
    crl = x509.CertificateRevocationListBuilder(
        names["ca"], now - timedelta(1), now + timedelta(60), [], revoked
    ).sign(ca_key, hashes.SHA256())
    files = {
        "ca.crt": certificate("ca", ca_key.public_key(), 1),
        "leaf.crt": certificate("leaf", key.public_key(), 2),
        "leaf.key": key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        "crl.pem": crl.public_bytes(pem),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in files.items():
            (folder / file).write_bytes(content)
        yield {
            "ssldir": name, "certname": "leaf", "certnames": {"bench": "leaf"},
            "ca_cert_location": str(folder / "ca.crt"), "crl_location": str(folder / "crl.pem"),
            "crypto_backend": "x509", "crypto_validate_backends": ["x509"],
            "routing_policy": {_TOPIC: ["leaf"]}, "routing_nitpicky": True,
        }  # fmt: skip


class Raw:
    """The bare calls, with the key loaded."""

    def __init__(self, config: Config) -> None:
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import padding

        key: Any = serialization.load_pem_private_key(
            Path(config["ssldir"], "leaf.key").read_bytes(), None
        )
        scheme = padding.PKCS1v15(), hashes.SHA1()
        public = key.public_key()
        self.sign = lambda data: key.sign(data, *scheme)
        self.verify = lambda signature, data: public.verify(signature, data, *scheme)


def message(size: int) -> dict[str, Any]:
    """Return an envelope with a payload of about ``size`` bytes."""
    uuid = envelope.uuid4(bytes(16))
    return envelope.build(_TOPIC, payload(size), 12345, 1700000000, uuid, "alice")


def timed(count: int, call: Callable[[Any], Any], items: list[Any]) -> Callable[[], float]:
    """Return a side for ``interleave``: the CPU microseconds of one call."""

    def sample() -> float:
        start = time.process_time()
        for item in itertools.islice(itertools.cycle(items), count):
            call(item)
        return (time.process_time() - start) / count * 1e6

    sample()  # warm
    return sample


#: Calls in a sample, and samples.  Short ones: the machine's speed changes within a second, and
#: both sides should have the same share of each.
_CHECKS = (200, 151)


def sign(quick: bool) -> Result:
    """Compare ``fedmsg.crypto.sign`` of 1 KB with the private key's method."""
    count, rounds = (10, 3) if quick else (100, 31)
    with authority() as config:
        body = message(1024)
        data = encoding.dumps({**body, "crypto": "x509"}).encode()
        sides = {
            "fedmsg, us": timed(count, lambda each: crypto.sign(each, **config), [body]),
            "raw, us": timed(count, Raw(config).sign, [data]),
        }
        return compare("fedmsg, us", "raw, us", interleave(sides, rounds))


def _received(config: Config, number: int) -> tuple[list[dict[str, Any]], bytes, bytes]:
    """Return messages as they arrive, each an object of its own, their signature and its bytes."""
    signed = crypto.sign(message(1024), **config)
    text = encoding.dumps(signed)
    data = encoding.dumps(crypto.strip_credentials(signed)).encode()
    return [encoding.loads(text) for _ in range(number)], Raw(config).sign(data), data


def validate(quick: bool) -> Result:
    """Compare ``fedmsg.crypto.validate`` with verifying and canonical JSON alone."""
    count, rounds = (50, 3) if quick else _CHECKS
    with authority() as config:
        messages, signature, data = _received(config, 20)
        verify = Raw(config).verify
        bodies = [crypto.strip_credentials(each) for each in messages]

        def bare(body: dict[str, Any]) -> None:
            encoding.dumps(body)
            verify(signature, data)

        small = {**config, "endpoints": {"a": ["tcp://127.0.0.1:1"]}}
        sides = {
            "fedmsg, us": timed(count, lambda each: crypto.validate(each, **small), messages),
            "raw, us": timed(count, bare, bodies),
        }
        return compare("fedmsg, us", "raw, us", interleave(sides, rounds))


def validate_large(quick: bool) -> Result:
    """Compare ``validate`` with a large and with a small configuration."""
    count, rounds = (50, 3) if quick else _CHECKS
    with authority() as config:
        messages, _, _ = _received(config, 20)
        endpoints = {f"service-{number}": ["tcp://127.0.0.1:1"] for number in range(500)}
        policy = {f"{_TOPIC}.{number}": ["leaf"] for number in range(3000)}
        policy.update(config["routing_policy"])
        large = {**config, "endpoints": endpoints, "routing_policy": policy}
        small = {**config, "endpoints": {"a": ["tcp://127.0.0.1:1"]}}
        sides = {
            "large, us": timed(count, lambda each: crypto.validate(each, **large), messages),
            "small, us": timed(count, lambda each: crypto.validate(each, **small), messages),
        }
        return compare("large, us", "small, us", interleave(sides, rounds))


def publish(quick: bool) -> Result:
    """Compare a signed ``publish`` of 2 KB with an unsigned one and a bare signature."""
    count, rounds = (50, 3) if quick else (500, 21)
    with contextmanager(sockets)() as make, authority() as config:
        addresses = {"signed, us": free_address(), "raw, us": free_address()}
        with (
            Worker(signed_publisher, addresses["signed, us"], config) as ours,
            Worker(raw_publisher, addresses["raw, us"], config) as theirs,
        ):
            sides = {}
            for name, worker in (("signed, us", ours), ("raw, us", theirs)):
                sock = make(zmq.SUB, {zmq.SUBSCRIBE: b"org.fedoraproject.dev.benchmarks."})
                sock.connect(addresses[name])
                join(worker, sock)
                sides[name] = per_message(worker, count, partial(receive, sock, count))
                sides[name]()  # warm
            samples = interleave(sides, rounds)
    return compare("signed, us", "raw, us", samples)


@contextmanager
def signed_publisher(address: str, config: Config) -> Generator[Block, None, None]:
    """Publish signed messages, in a worker."""
    with _publisher(address, sign_messages=True, **config) as send:
        yield lambda count: [send() for _ in range(count)] and None


@contextmanager
def raw_publisher(address: str, config: Config) -> Generator[Block, None, None]:
    """Publish unsigned messages and make a bare signature for each, in a worker."""
    data, bare = encoding.dumps(message(2048)).encode(), Raw(config).sign
    with _publisher(address) as send:
        yield lambda count: [(send(), bare(data)) for _ in range(count)] and None


@contextmanager
def _publisher(address: str, **config: Any) -> Iterator[Callable[[], None]]:
    fedmsg.init(
        name="bench", endpoints={"bench": [address]}, environment="dev", post_init_sleep=0,
        high_water_mark=0, **config,
    )  # fmt: skip
    try:
        yield partial(fedmsg.publish, topic="thing.happened", msg=payload(2048))
    finally:
        fedmsg.destroy()


def tail(quick: bool) -> Result:
    """Compare a validating tail with a plain one whose reader calls ``validate``."""
    count, rounds = (100, 3) if quick else (2000, 21)
    with contextmanager(sockets)() as make, authority() as config:
        body = encoding.dumps(crypto.sign(message(1024 - 190), **config)).encode()
        frames, sides = [_TOPIC.encode(), body], {}
        with (
            Worker(tailing_worker, (ours := free_address()), config, True) as first,
            Worker(tailing_worker, (theirs := free_address()), config, False) as second,
        ):
            for name, worker, address in (
                ("validating, us", first, ours), ("raw, us", second, theirs)
            ):  # fmt: skip
                sock = make(zmq.XPUB, {})
                sock.bind(address)
                worker.cpu(1, partial(_join, sock, frames))
                sides[name] = per_message(worker, count, partial(_burst, sock, frames, count))
                sides[name]()  # warm
            samples = interleave(sides, rounds)
    return compare("validating, us", "raw, us", samples)


def hub(quick: bool) -> Result:
    """Compare a hub that validates with one whose consumer calls ``validate``."""
    count, rounds = (100, 3) if quick else (2000, 21)
    with contextmanager(sockets)() as make, authority() as config, ExitStack() as stack:
        body = encoding.dumps(crypto.sign(message(1024 - 190), **config)).encode()
        frames, sides = [_TOPIC.encode(), body], {}
        for name in "validating, us", "raw, us":
            sock = make(zmq.XPUB, {})
            sock.bind(address := free_address())
            worker = stack.enter_context(
                Worker(hub_side, address, name.startswith("validating"), config)
            )
            worker.cpu(1, partial(_join, sock, frames))
            sides[name] = per_message(worker, count, partial(_burst, sock, frames, count))
            sides[name]()  # warm
        return compare("validating, us", "raw, us", interleave(sides, rounds))


def _join(sock: zmq.Socket[bytes], frames: list[bytes]) -> None:
    """Wait for the subscription and send one message."""
    if not sock.poll(int(DEADLINE * 1000)):
        raise TimeoutError("no subscription came")
    sock.recv()
    _burst(sock, frames, 1)


def _burst(sock: zmq.Socket[bytes], frames: list[bytes], count: int) -> None:
    for _ in range(count):
        sock.send_multipart(frames)


@contextmanager
def tailing_worker(address: str, config: Config, validating: bool) -> Generator[Block, None, None]:
    """Receive and validate, in a worker: in ``tail_messages``, or after it."""
    fedmsg.init(
        mute=True, endpoints={"bench": [address]}, environment="dev", high_water_mark=0,
        validate_signatures=validating, **config,
    )  # fmt: skip
    messages = fedmsg.tail_messages()

    def block(count: int) -> None:
        for _name, _endpoint, _topic, received in itertools.islice(messages, count):
            assert validating or crypto.validate(received, **config)

    try:
        yield block
    finally:
        fedmsg.destroy()
