"""``fedmsg-collectd`` on a real bus."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from fedmsg.commands.collectd import CollectdConsumer, CollectdProducer
from fedmsg.exceptions import ConfigurationError

LINE = re.compile(r"PUTVAL [\w-]+/fedmsg/([\w.-]+) interval=1 \d+:([\d.]+|U)")
PREFIX = "org.fedoraproject.dev."


def read(output: str) -> dict[str, list[str]]:
    """Return the values of each identifier, after a check of every complete line."""
    found: dict[str, list[str]] = {}
    for line in output.splitlines(keepends=True):
        if line.endswith("\n"):
            match = LINE.fullmatch(line[:-1])
            assert match, line
            found.setdefault(match[1], []).append(match[2])
    return found


def total(output: str, name: str) -> int:
    """Return the sum of the reports of one processor."""
    return sum(map(int, read(output).get(f"fedmsg_wallboard-{name}", [])))


@pytest.fixture
def start(command: Callable[..., Any], config_file: Callable[..., str], publisher: Any) -> Any:
    """A function that starts the command and returns it and a publisher that it listens to."""

    def run(**config: Any) -> tuple[Any, Any]:
        source = publisher()
        file = config_file(endpoints={"me": [source.endpoint]}, validate_signatures=False, **config)
        env = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
        done = command(
            "fedmsg-collectd", f"--config-filename={file}", "--collectd-interval=1", env=env
        )
        assert source.joined() == b"\x01"
        return done, source

    return run


def message(topic: Any, **fields: Any) -> list[bytes]:
    """Return the frames of a message."""
    body = json.dumps({"topic": topic, "msg": {}, "i": 1, **fields})
    return [str(topic).encode(), body.encode()]


def test_counts_by_processor(start: Any, eventually: Callable[..., Any]) -> None:
    """Each report begins at zero; the log is elsewhere."""
    done, source = start()
    source.send(*[message(PREFIX + "logger.log")] * 3, message(PREFIX + "announce.announcement"))
    source.send(message("com.example.dev.x.y"))
    eventually(lambda: total(done.stdout, "unhandled") == 1)
    assert [total(done.stdout, name) for name in ("logger", "announce")] == [3, 1]
    reports = len(read(done.stdout)["fedmsg_wallboard-logger"])
    eventually(lambda: len(read(done.stdout)["fedmsg_wallboard-logger"]) > reports)
    assert total(done.stdout, "logger") == 3
    assert "INFO" in done.stderr


def test_sigterm(start: Any) -> None:
    """It ends with status 0."""
    done, _source = start()
    assert done.stop() == 0


def test_lines_are_in_order(start: Any, eventually: Callable[..., Any]) -> None:
    """The processors in alphabetical order, then what the hub itself has to say."""
    done, _source = start()
    eventually(lambda: done.stdout.count("\n") >= 6)
    assert list(read(done.stdout)) == [
        "fedmsg_wallboard-announce", "fedmsg_wallboard-logger", "fedmsg_wallboard-unhandled",
        "gauge-backlog", "gauge-lag", "derive-dropped",
    ]  # fmt: skip
    assert read(done.stdout)["gauge-lag"][0] == "U"


def test_hostile_messages_inject_nothing(start: Any, eventually: Callable[..., Any]) -> None:
    """Whatever is in a message, every line is one of ours, and all that is a message is counted."""
    done, source = start()
    hostile = [
        message(f"{PREFIX}x\nPUTVAL a/b/c 1:1"),
        message(f"{PREFIX}logger/../\x1b[2J.log", timestamp="\nPUTVAL a/b/c 1:1"),
        message(PREFIX + "$(touch pwned).`x`.'\"", timestamp=1e308, msg="\x00\n"),
        message([PREFIX], timestamp=float("nan")),
        message(None, timestamp=True),
        [b"t", b"\xff\xfe"], [b"t"], [b"t", b"x", b"y"], [b"t", b"[" * 10_000],
    ]  # fmt: skip
    source.send(*hostile, message(PREFIX + "logger.log", timestamp=1))
    eventually(lambda: total(done.stdout, "logger") == 1)
    assert set(read(done.stdout)) == {
        "fedmsg_wallboard-announce", "fedmsg_wallboard-logger", "fedmsg_wallboard-unhandled",
        "gauge-backlog", "gauge-lag", "derive-dropped",
    }  # fmt: skip
    assert total(done.stdout, "unhandled") >= 3
    assert not os.path.exists("pwned")


def test_it_ends_with_its_reader(config_file: Callable[..., str], address: Any) -> None:
    """When collectd has gone, the next report ends the command with status 0."""
    import sys

    file = config_file(endpoints={"me": [address()]}, validate_signatures=False)
    path = os.path.join(os.path.dirname(sys.executable), "fedmsg-collectd")
    with subprocess.Popen(
        [path, f"--config-filename={file}", "--collectd-interval=1"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"PUTVAL ")
            process.stdout.close()
            assert process.wait(30) == 0
        finally:
            process.kill()


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "x"])
def test_the_interval_is_checked(
    command: Callable[..., Any], config_file: Callable[..., str], value: str
) -> None:
    """A usage error that names the option, where 1.1.7 printed without a pause."""
    file = config_file(endpoints={})
    done = command("fedmsg-collectd", f"--config-filename={file}", f"--collectd-interval={value}")
    assert done.wait() == 2
    assert f"--collectd-interval: {value!r} is no whole number" in done.stderr


def test_the_interval_of_a_file_is_checked(
    command: Callable[..., Any], config_file: Callable[..., str]
) -> None:
    """The error names the key, with status 1."""
    file = config_file(endpoints={}, collectd_interval=0)
    done = command("fedmsg-collectd", f"--config-filename={file}")
    assert done.wait() == 1
    assert "collectd_interval: 0 is no whole number" in done.stderr


class Hub:
    """A hub without consumers."""

    def __init__(self, **config: Any) -> None:
        self.config = config
        self.consumers: list[Any] = []

    def subscribe(self, topic: str, callback: Any) -> None:
        """Subscribe to nothing."""


def test_producer_without_consumer() -> None:
    """It says so at once, where 1.1.7 failed at every poll."""
    with pytest.raises(ConfigurationError, match=r"fedmsg\.commands\.collectd\.enabled"):
        CollectdProducer(Hub())


def test_a_failing_processor_is_counted_as_unhandled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a plug-in raises loses no count."""
    hub = Hub(
        topic_prefix_re=r"org\.fedoraproject\.dev", validate_signatures=False,
        **{CollectdConsumer.config_key: True},
    )  # fmt: skip
    consumer = CollectdConsumer(hub)
    monkeypatch.setattr("fedmsg.meta.msg2processor", lambda *_, **__: 1 / 0)
    consumer.consume({"topic": "t", "body": {"topic": "t"}})
    [line] = [each for each in consumer.report(7) if "unhandled" in each]
    assert line.endswith(" interval=2 7:1")
