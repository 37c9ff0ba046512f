"""What every test gets: a clean environment, and real parts that are closed again."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import zmq
from databases import database_url, postgres, sql_store  # noqa: F401
from fixtures import (  # noqa: F401
    clock,
    feeder,
    listen,
    listener,
    make_context,
    openssl,
    peer,
    pki,
    publisher,
    relay,
    replay_server,
    stalled,
)
from gpg_parts import gpg_keys  # noqa: F401

import fedmsg
import fedmsg._loopback
import fedmsg.config
import fedmsg.replay
from fedmsg._limits import RateLimit

#: Longest wait for something that should happen at once, seconds.
DEADLINE = 20.0
_given_ports: set[int] = set()
_MEMORIES = {
    "policy": ["_reported"],
    "utils": ["_cached_certificates", "_sources", "_entries"],
    "x509_ng": ["_trusts", "_announced", "_told"],
    "_credential": ["_known"],
}
_leaked: set[threading.Thread] = set()

# A shell starts what it puts into the background deaf to SIGINT, and so would be what tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def wait_until(condition: Callable[[], Any], what: str = "", timeout: float = DEADLINE) -> Any:
    """Return the first true value of ``condition``; fail when ``timeout`` seconds have passed."""
    pause, deadline = threading.Event(), time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            pytest.fail(f"{what or condition} did not happen within {timeout} s")
        pause.wait(0.005)


def new_port() -> int:
    """Return a TCP port that nothing uses, below the range of outgoing connections."""
    while True:
        port = random.SystemRandom().randrange(10000, 32000)
        if port in _given_ports:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
        _given_ports.add(port)
        return port


def new_address() -> str:
    """Return a free loopback endpoint."""
    return f"tcp://127.0.0.1:{new_port()}"


@pytest.fixture(scope="session")
def port() -> Callable[[], int]:
    """A function that returns a free port."""
    return new_port


@pytest.fixture
def address() -> Callable[[], str]:
    """A function that returns a free loopback endpoint."""
    return new_address


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """The function that waits for a condition with a deadline."""
    return wait_until


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run in an empty directory without configuration; leave no state, context or thread behind."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("FEDMSG_CONFIG", "VIRTUAL_ENV", "NOTIFY_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    work = tmp_path / "cwd"
    work.mkdir()
    monkeypatch.chdir(work)
    _reset()
    yield
    fedmsg.destroy()
    _reset()
    try:
        wait_until(lambda: not _our_threads(), "the end of fedmsg's threads", 5.0)
    finally:
        # Blamed on one test only.
        _leaked.update(_our_threads())


def _reset() -> None:
    vars(fedmsg.config)["__cache"] = {}
    fedmsg.config._stored = {}
    fedmsg.config.conf.clear()
    fedmsg.config.conf._loaded = False
    fedmsg._remembered = ({}, 0)
    fedmsg._loopback._told = False
    _reset_crypto()
    meta = sys.modules.get("fedmsg.meta")
    if meta is not None:
        meta.processors = meta.ProcessorsNotInitialized()
        meta.failures._limits.clear()
    while fedmsg.replay._stores:
        fedmsg.replay._stores.popitem()[1].engine.dispose()
    for name in ("fedmsg", "moksha"):  # commands set them up for streams of the test
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)


def _reset_crypto() -> None:
    """Forget what the loaded modules of fedmsg.crypto remember."""
    names = [name for name in sys.modules if name.startswith("fedmsg.crypto")]
    loaded = {name.rpartition(".")[2]: sys.modules[name] for name in names}
    if "crypto" in loaded:
        loaded["crypto"]._implementation = loaded["crypto"]._validate_implementations = None
        loaded["crypto"].rejections.clear()
    if "x509_ng" in loaded:
        loaded["x509_ng"]._latest = (object(), None, None, None)
    for module, names in _MEMORIES.items():
        for name in names if module in loaded else ():
            getattr(loaded[module], name).clear()
    for module in loaded.values():
        for value in vars(module).values():
            if isinstance(value, RateLimit):
                value._until = 0.0


def _our_threads() -> set[threading.Thread]:
    # A look-up cannot be interrupted; its thread is a daemon.
    found = {thread for thread in threading.enumerate() if thread.name.startswith("fedmsg-")}
    return {thread for thread in found if "-lookup-" not in thread.name} - _leaked


@pytest.fixture
def zmq_context() -> Iterator[zmq.Context[Any]]:
    """A zmq context whose sockets are closed with the test, and whose end is timed."""
    context = _Context()
    yield context
    ended = threading.Thread(target=context.destroy, kwargs={"linger": 0}, daemon=True)
    ended.start()
    ended.join(5.0)
    _Context.kept.clear()
    assert not ended.is_alive(), "a socket of the test's context is still open"


class _Context(zmq.Context[Any]):
    """Keeps its sockets until the end of the test: collected open, they warn."""

    kept: ClassVar[list[Any]] = []

    def socket(self, *args: Any, **kw: Any) -> Any:
        self.kept.append(super().socket(*args, **kw))
        return self.kept[-1]


@pytest.fixture
def subscriber(zmq_context: zmq.Context[Any]) -> Callable[..., Subscription]:
    """A function that returns a plain SUB socket connected to an endpoint."""
    return lambda endpoint, topic=b"": Subscription(zmq_context, endpoint, topic)


class Subscription:
    """A plain SUB socket, as any subscriber of the bus has."""

    def __init__(self, context: zmq.Context[Any], endpoint: str, topic: bytes = b"") -> None:
        self.socket: zmq.Socket[bytes] = context.socket(zmq.SUB)
        self.socket.setsockopt(zmq.RCVHWM, 0)
        self.socket.setsockopt(zmq.SUBSCRIBE, topic)
        self.socket.connect(endpoint)

    def receive(self, timeout: float = DEADLINE) -> list[bytes]:
        """Return the frames of the next message; fail if none comes in time."""
        assert self.socket.poll(timeout * 1000), f"no message within {timeout} s"
        return self.socket.recv_multipart()

    def arrived(self) -> int:
        """Read what is here, and return how many messages that was."""
        count = 0
        with contextlib.suppress(zmq.Again):
            while True:
                self.socket.recv_multipart(zmq.NOBLOCK)
                count += 1
        return count


class Command:
    """A console command of this installation, as a process."""

    def __init__(self, arguments: list[str], folder: Path, **settings: Any) -> None:
        path = os.path.join(os.path.dirname(sys.executable), arguments[0])
        settings.setdefault("env", {**os.environ, "PYTHONFAULTHANDLER": "1"})
        self.out = open(folder / f"{arguments[0]}-{id(self)}.out", "wb")  # noqa: SIM115
        self.err = open(folder / f"{arguments[0]}-{id(self)}.err", "wb")  # noqa: SIM115
        self.process = subprocess.Popen(
            [path, *arguments[1:]],
            stdin=settings.pop("stdin", subprocess.DEVNULL),
            stdout=self.out,
            stderr=self.err,
            **settings,
        )

    @property
    def stdout(self) -> str:
        return self._read(self.out)

    @property
    def stderr(self) -> str:
        return self._read(self.err)

    @staticmethod
    def _read(file: Any) -> str:
        with open(file.name, encoding="utf-8", errors="replace") as again:
            return again.read()

    def wait(self, timeout: float = DEADLINE) -> int:
        """Return the exit status.  Of one that does not end the failure says what it is doing."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            if timeout < DEADLINE:  # it need not end
                raise
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        masks = [line for line in status.splitlines() if line.startswith(("State", "Sig", "Shd"))]
        self.process.send_signal(signal.SIGABRT)  # faulthandler prints where every thread is
        self.process.wait(timeout)
        raise AssertionError(f"did not end within {timeout} s: {masks}\n{self.stderr}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.wait()

    def says(self, text: str, timeout: float = DEADLINE) -> None:
        """Wait until the text is on standard output or standard error."""
        wait_until(
            lambda: text in self.stdout + self.stderr or self.process.poll() is not None,
            repr(text), timeout,
        )  # fmt: skip
        assert text in self.stdout + self.stderr, self.stdout + self.stderr

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.out.close()
        self.err.close()


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """A function that starts a console command; it is killed at the end if it still runs."""
    started: list[Command] = []

    def start(*arguments: str, **settings: Any) -> Command:
        started.append(Command(list(arguments), tmp_path, **settings))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def config_file(tmp_path: Path) -> Callable[..., str]:
    """A function that writes a configuration file and returns its path."""

    def write(**config: Any) -> str:
        path = tmp_path / f"config-{len(list(tmp_path.iterdir()))}.py"
        path.write_text(f"config = {config!r}\n")
        return str(path)

    return write


@pytest.fixture
def default_ports() -> Iterator[None]:
    """The ports of the built-in set-up, which only one test of this machine can use at a time."""
    import fcntl

    with open(Path(tempfile.gettempdir()) / "fedmsg-tests-default-ports.lock", "w") as lock:

        def locked() -> bool:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        wait_until(locked, "the ports of the built-in set-up", 120)
        yield
