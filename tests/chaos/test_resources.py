"""Disks that are full, descriptors that run out, clocks that jump."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos_parts import LOGGING
from hubs import EMPTY, Recorder, message, numbers, raising
from parts import Publisher, join, publish, settings
from pki import Pki

from fedmsg import crypto, encoding
from fedmsg.consumers import retry
from fedmsg.exceptions import StoreError
from fedmsg.hub.central import Hub

pytestmark = pytest.mark.trial
Start = Callable[..., Any]


class Disk:
    """A small file system of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._ballast = folder, folder / "ballast"

    def fill(self) -> None:
        """Leave no room."""
        with open(self._ballast, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1024))

    def free(self) -> None:
        """Make room again."""
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of 256 KiB; only root may mount one, and not in every container."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=20)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a tmpfs cannot be mounted here: {error}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=20)


@pytest.fixture
def hub(publisher: Start) -> Iterator[Start]:
    """A function that starts a hub with one recorder; returns it and its publisher."""
    with contextlib.ExitStack() as stack:

        def start(**changes: Any) -> tuple[Any, Publisher]:
            source = publisher()
            running = Hub(
                {**EMPTY, "zmq_subscribe_endpoints": source.endpoint, **changes}, [Recorder], []
            )
            stack.callback(running.close)
            running.start()
            source.joined()
            return running.consumers[0], source

        yield start


def test_no_room_for_status_files(
    disk: Disk, hub: Start, eventually: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """The consumer goes on and loses nothing; the log says which file is out of date."""
    pytest.importorskip("requests")
    (disk.folder / "status").mkdir()
    consumer, source = hub(
        status_directory=str(disk.folder / "status"), datagrepper_url="http://127.0.0.1:9",
        backlog=False,
    )  # fmt: skip
    source.send(message({"n": 0}))
    eventually(lambda: numbers(consumer) == [0])
    disk.fill()
    source.send(*(message({"n": n}) for n in range(1, 100)))
    eventually(lambda: numbers(consumer) == list(range(100)))
    assert f"cannot write the status file {disk.folder}/status" in caplog.text
    disk.free()
    source.send(message({"n": 100}))
    status = Path(consumer.status_filename)
    eventually(lambda: json.loads(status.read_text())["message"]["body"]["msg"] == {"n": 100})


def test_no_room_for_dead_letters(
    disk: Disk, hub: Start, eventually: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be kept is counted and logged; afterwards letters are whole again."""
    path = disk.folder / "dead"
    consumer, source = hub(dead_letter_file=str(path))
    consumer.act = raising(ValueError("no"))
    source.send(message({"n": 0}))
    eventually(lambda: path.exists() and path.read_text().endswith("\n"))
    disk.fill()
    source.send(*(message({"n": n, "x": "x" * 5000}) for n in range(1, 4)))
    letters = consumer._retry._letters
    eventually(lambda: letters.lost == 3)
    assert f"cannot be written to the dead_letter_file {path}" in caplog.text
    disk.free()
    source.send(message({"n": 4}))
    eventually(lambda: path.read_text().count("\n") == 2)
    assert [letter["body"]["msg"] for letter in retry.read(str(path))] == [{"n": 0}, {"n": 4}]


def test_no_room_in_the_store(
    disk: Disk, make_context: Start, address: Start, listener: Start, eventually: Start
) -> None:
    """``publish`` raises and sends nothing; once there is room the numbers go on without a gap."""
    pytest.importorskip("sqlalchemy")
    endpoint = address()
    context = make_context(
        **settings(
            name="me", endpoints={"me": endpoint},
            persistent_store=f"sqlite:///{disk.folder}/store.db",
        )
    )  # fmt: skip
    listening = listener(endpoint)

    def hears() -> bool:
        publish(context, ["before"])
        return bool(listening.arrived())

    eventually(hears)
    publish(context, ["begin"])
    while listening.topics(1) != ["begin"]:
        pass
    disk.fill()
    refused = 0
    with pytest.raises(StoreError, match="cannot .* the persistent store"):
        for refused in range(1000):  # pages that are there already are filled first
            context.publish(topic=f"full{refused}", msg={"x": "x" * 2000}, modname="t")
    disk.free()
    publish(context, ["after"])
    arrived = listening.topics(refused + 1)
    assert arrived == [f"full{number}" for number in range(refused)] + ["after"]


LIMIT = 40


def test_descriptors_run_out(
    command: Start, config_file: Start, publisher: Start, port: Start, subscriber: Start,
    eventually: Start,
) -> None:  # fmt: skip
    """A gateway with more clients than descriptors serves who is in, and others when some go."""
    source, number = publisher(), port()
    path = config_file(
        endpoints={"me": [source.endpoint]}, logging=LOGGING, validate_signatures=False,
        **{"fedmsg.consumers.gateway.port": number, "fedmsg.consumers.gateway.high_water_mark": 0},
    )  # fmt: skip
    gateway = command("fedmsg-gateway", f"--config-filename={path}")
    source.joined()
    resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    first = subscriber(f"tcp://127.0.0.1:{number}")
    join(lambda body: source.send([b"probe", body]), first)
    crowd = [subscriber(f"tcp://127.0.0.1:{number}") for _ in range(2 * LIMIT)]
    descriptors = f"/proc/{gateway.process.pid}/fd"
    eventually(lambda: len(os.listdir(descriptors)) == LIMIT, "the last descriptor")
    gateway.says("'gateway' cannot accept a connection: Too many open files")
    for n in range(500):
        source.send([b"%d" % n, b"{}"])
    assert [first.receive()[0] for _ in range(500)] == [b"%d" % n for n in range(500)]

    def hearing() -> int:
        source.send([b"probe", b"{}"])
        return sum(bool(each.socket.poll(5)) for each in crowd if not each.socket.closed)

    assert 0 < eventually(hearing) < LIMIT
    for each in crowd[: LIMIT * 3 // 2]:
        each.socket.close(linger=0)
    eventually(lambda: hearing() == LIMIT // 2, "those who had to wait", 40)
    assert gateway.stop() == 0


@pytest.mark.parametrize(("days", "reason"), [(-30, "CRL not yet valid"), (400, "CRL expired")])
def test_clock_jumps(
    pki: Pki, clock: Any, make_context: Start, listener: Start, address: Start, days: int,
    reason: str, eventually: Start, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """While the clock is outside of a certificate's time nothing is believed; then all again."""
    endpoint = address()
    context = make_context(
        **settings(
            name="me",
            endpoints={"me": endpoint},
            sign_messages=True,
            **pki.config,
            certnames={"me": "leaf"},
        )
    )
    listening = listener(endpoint)

    def hears() -> list[Any]:
        publish(context, ["x"])
        return listening.arrived()

    received = encoding.loads(eventually(hears)[0][1])
    assert crypto.check(received, **pki.config)
    clock.ahead = days * 86400.0
    before = crypto.rejections.total()
    assert not crypto.validate(received, **pki.config)
    assert (crypto.rejections.total() - before, f"message rejected: {reason}" in caplog.text) == (
        1,
        True,
    )
    clock.ahead = 0.0
    assert crypto.validate(received, **pki.config)
