"""``fedmsg-replay-server``, as a process."""

from __future__ import annotations

import os
import socket

import pytest
from parts import settings, stored

from fedmsg.commands import run_command
from fedmsg.commands.replay_server import ReplayServerCommand
from fedmsg.replay import get_replay
from fedmsg.replay.client import newest

pytest.importorskip("sqlalchemy")


@pytest.fixture
def serve(command, config_file, sql_store, tmp_path, address):
    """A function that starts the server on five messages; returns it and a client's settings."""
    stored(sql_store(), 5)
    default = {"relay_outbound": address()}

    def start(*arguments, wait=True, env=None, replay_endpoints=default):
        config = settings(
            persistent_store=f"sqlite:///{tmp_path}/store.db",
            replay_endpoints=replay_endpoints,
            logging={"version": 1, "root": {"level": "INFO", "handlers": ["err"]},
                     "handlers": {"err": {"class": "logging.StreamHandler"}}},
        )  # fmt: skip
        path = f"--config-filename={config_file(**config)}"
        given = {**os.environ, **(env or {})}
        started = command("fedmsg-replay-server", path, *arguments, env=given)
        if wait:
            started.says("serving the store")
        return started, settings(replay_endpoints=replay_endpoints, replay_timeout=20)

    return start


def test_serves_and_ends(serve):
    """It answers, and SIGTERM ends it with status 0 and its counters in the log."""
    server, config = serve()
    query = {"seq_id_range": [2, 4]}
    assert [each["seq_id"] for each in get_replay("relay_outbound", query, config)] == [2, 3, 4]
    with pytest.raises(ValueError, match="Unsupported field"):
        list(get_replay("relay_outbound", {"colour": 1}, config))
    assert server.stop() == 0
    assert "2 requests: 1 answered with 3 messages, 1 refused, 0 failed" in server.stderr


def test_readiness(serve, tmp_path):
    """systemd is told when it serves, and when it stops."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.settimeout(20)
        notified.bind(str(tmp_path / "notify"))
        server, _ = serve(env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert notified.recv(100) == b"READY=1"
        assert server.stop() == 0
        assert notified.recv(100) == b"STOPPING=1"


def test_port_taken(serve):
    """A second server on the same port does not start, and says why."""
    serve()
    second, config = serve(wait=False)
    assert second.wait() == 1
    [line] = second.stderr.splitlines()
    assert "The replay endpoint cannot be bound" in line
    assert config["replay_endpoints"]["relay_outbound"] in line


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"persistent_store": None}, "persistent_store"),
        ({"persistent_store": "sqlite:////nowhere/store.db"}, "unable to open database file"),
        ({"persistent_store": "nonsense"}, "SQLAlchemy URL"),
        ({"replay_endpoints": {}}, "replay_endpoints"),
        ({"replay_endpoints": {"a": "tcp://127.0.0.1:9", "b": "tcp://127.0.0.1:9"}}, "--name"),
        ({"name": "nobody"}, "replay_endpoints['nobody']"),
    ],
)
def test_wrong_configuration(config_file, tmp_path, capsys, changes, text):
    """What is missing or wrong is one line on standard error, and status 1."""
    config = {
        "persistent_store": f"sqlite:///{tmp_path}/store.db",
        "replay_endpoints": {"relay_outbound": "tcp://127.0.0.1:9"}, **changes,
    }  # fmt: skip
    path = f"--config-filename={config_file(**settings(**config))}"
    assert run_command(ReplayServerCommand, [path]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert text in line


def test_name_on_the_command_line(serve, address):
    """Of several addresses one is chosen by --name."""
    server, config = serve("--name=two", replay_endpoints={"one": address(), "two": address()})
    assert newest("two", config) == 5
    assert server.stop() == 0
