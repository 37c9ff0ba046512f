"""The files of docs/examples at work."""

from __future__ import annotations

import datetime
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import fedmsg

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def program(name: str) -> str:
    """Return the path of a program of this system."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"there is no command {name}")
    return found


class Repository:
    """A work tree, and the bare repository that it pushes to, which has the hook."""

    def __init__(self, folder: Path) -> None:
        self._git = program("git")
        self.bare, self.work = folder / "project.git", folder / "work"
        settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull,
                    "USER": "pusher"}  # fmt: skip
        self._env = {**os.environ, **settings}
        self.run("init", "-q", "--bare", str(self.bare), where=folder)
        self.run("init", "-q", "-b", "main", str(self.work), where=folder)
        self.run("config", "user.name", "J\u00f6rg")
        self.run("config", "user.email", "joerg@example.com")
        hook = self.bare / "hooks" / "post-receive"
        source = (EXAMPLES / "git_post_receive.py").read_text()
        hook.write_text(source.replace("/usr/bin/env python3", sys.executable))
        hook.chmod(0o755)

    def run(self, *arguments: str, where: Path | None = None) -> str:
        """Run git and return both of its outputs."""
        done = subprocess.run(
            [self._git, *arguments], cwd=where or self.work, env=self._env, check=True,
            capture_output=True, text=True, timeout=50,
        )  # fmt: skip
        return done.stdout + done.stderr

    def commit(self, text: str, **files: str) -> str:
        """Commit files and return the revision."""
        for name, content in files.items():
            (self.work / name).write_text(content)
        self.run("add", "-A")
        self.run("commit", "-q", "--allow-empty", "-m", text)
        return self.run("rev-parse", "HEAD").strip()

    def push(self, *refs: str) -> str:
        return self.run("push", "-q", str(self.bare), *refs)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Two repositories."""
    return Repository(tmp_path)


@pytest.fixture
def inbound(relay: Any, address: Any) -> Iterator[Any]:
    """A relay that applications without a configuration of their own find."""
    endpoint = address()
    config = {"endpoints": {}, "relay_inbound": endpoint}
    Path.home().joinpath(".fedmsg-config.py").write_text(f"config = {config!r}\n")
    yield relay(endpoint)
    fedmsg.destroy()


def commits(relay: Any, count: int) -> list[dict[str, Any]]:
    """Return what was published of the next commits."""
    found = []
    for _ in range(count):
        topic, body = relay.receive()
        assert topic == b"org.fedoraproject.dev.git.receive"
        found.append(json.loads(body)["msg"]["commit"])
    return found


def test_git_hook_publishes_each_commit(repository: Repository, inbound: Any) -> None:
    """The oldest first, with everything that 1.1.7 published."""
    revs = [
        repository.commit("Eins\n\nMehr", a="1\n2\n"),
        repository.commit("$(touch pwned) `x` '\"", **{"b c\td": "x\n", "a": "1\n"}),
    ]
    assert repository.push("main") == ""
    first, second = commits(inbound, 2)
    assert first["stats"].pop("files") == {"a": {"additions": 2, "deletions": 0, "lines": 2}}
    assert first == {
        "name": "J\u00f6rg", "email": "joerg@example.com", "username": "joerg", "summary": "Eins",
        "message": "Eins\n\nMehr", "rev": revs[0], "path": str(repository.bare),
        "stats": {"total": {"additions": 2, "deletions": 0, "lines": 2, "files": 1}},
        "repo": "project", "branch": "main", "agent": "pusher", "seen": False,
    }  # fmt: skip
    assert (second["rev"], second["summary"]) == (revs[1], "$(touch pwned) `x` '\"")
    assert set(second["stats"]["files"]) == {"a", "b c\td"}
    assert second["stats"]["total"] == {"additions": 1, "deletions": 1, "lines": 2, "files": 2}
    assert not list(repository.bare.glob("pwned"))


def test_git_hook_knows_what_is_new(repository: Repository, inbound: Any) -> None:
    """A new branch does not publish the old commits again; merged ones are seen; tags are not."""
    repository.commit("one")
    repository.push("main")
    repository.run("checkout", "-q", "-b", "topic/x")
    two = repository.commit("two")
    repository.push("topic/x")
    repository.run("checkout", "-q", "main")
    repository.run("merge", "-q", "--no-ff", "-m", "merge", "topic/x")
    repository.push("main")
    repository.run("tag", "v1")
    repository.push("v1", ":topic/x")
    found = [(each["summary"], each["branch"], each["seen"]) for each in commits(inbound, 4)]
    assert found == [
        ("one", "main", False), ("two", "topic/x", False), ("two", "main", True),
        ("merge", "main", False),
    ]  # fmt: skip
    assert two
    assert inbound.is_idle()


def test_git_hook_without_relay(repository: Repository, address: Any) -> None:
    """The push succeeds, and who pushes is told."""
    config = {"endpoints": {}, "relay_inbound": address(), "timeout": 0.2, "post_init_sleep": 0}
    Path.home().joinpath(".fedmsg-config.py").write_text(f"config = {config!r}\n")
    rev = repository.commit("one")
    assert "fedmsg: this push is not announced: " in repository.push("main")
    assert repository.run("rev-parse", "main", where=repository.bare).strip() == rev


@pytest.fixture
def koji(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[..., None]]:
    """The plug-in, loaded by what stands for koji: its callbacks by event."""
    registered: dict[str, Callable[..., None]] = {}

    def callback(*events: str) -> Callable[..., Any]:
        def register(function: Any) -> Any:
            registered.update(dict.fromkeys(events, function))
            return function

        return register

    plugin = ModuleType("koji.plugin")
    plugin.callback = callback  # type: ignore[attr-defined]
    plugin.ignore_error = lambda function: function  # type: ignore[attr-defined]
    names = ("preTag", "postTag", "postBuildStateChange", "postRPMSign", "postCommit")
    plugin.callbacks = {name: [] for name in names}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "koji", ModuleType("koji"))
    monkeypatch.setitem(sys.modules, "koji.plugin", plugin)
    spec = importlib.util.spec_from_file_location("fedmsg_koji", EXAMPLES / "fedmsg_koji.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return registered


def test_koji_plugin(koji: dict[str, Callable[..., None]], inbound: Any) -> None:
    """Every callback after the fact is a message, of whatever koji hands over."""
    assert set(koji) == {"postTag", "postBuildStateChange", "postRPMSign"}
    when = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
    koji["postBuildStateChange"](
        "postBuildStateChange", attribute="state", info={"at": when, 7: {1}}
    )
    koji["postTag"]("postTag", "x", tag="f99")
    (topic, body), (other, tagged) = inbound.receive(), inbound.receive()
    assert topic == b"org.fedoraproject.dev.koji.build.state.change"
    assert json.loads(body)["msg"] == {
        "attribute": "state", "info": {"at": "2026-01-02 00:00:00+00:00", "7": "{1}"},
    }  # fmt: skip
    assert other == b"org.fedoraproject.dev.koji.tag"
    assert json.loads(tagged)["msg"] == {"tag": "f99", "arguments": ["x"]}
    koji["postRPMSign"]("postRPMSign", sigkey="k")
    assert inbound.receive()[0] == b"org.fedoraproject.dev.koji.rpm.sign"


def test_logrotate(tmp_path: Path) -> None:
    """logrotate understands the file, and would rotate a large log."""
    logs = tmp_path / "log"
    logs.mkdir(mode=0o755)
    (logs / "relay.log").write_text("x" * 200_000)
    text = (EXAMPLES / "logrotate.conf").read_text()
    config = tmp_path / "conf"
    config.write_text(text.replace("/var/log/fedmsg", str(logs)))
    config.chmod(0o644)
    done = subprocess.run(
        [program("logrotate"), "--debug", "--force", f"--state={tmp_path}/state", str(config)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, "error" in done.stderr) == (0, False), done.stderr
    assert "log needs rotating" in done.stderr


def test_collectd_stanza(command: Callable[..., Any], config_file: Any, publisher: Any) -> None:
    """The command line of the stanza works, and its types are those of the lines."""
    stanza = (EXAMPLES / "collectd.conf").read_text()
    [line] = re.findall(r"^ *Exec (.+)$", stanza, re.MULTILINE)
    user, path, *options = re.findall(r'"([^"]*)"', line)
    assert (user, path) == ("fedmsg", "/usr/bin/fedmsg-collectd")
    assert options == ["--collectd-interval", "10"]
    config = {"endpoints": {"me": [publisher().endpoint]}, "validate_signatures": False}
    done = command(
        "fedmsg-collectd", f"--config-filename={config_file(**config)}", "--collectd-interval", "1"
    )
    done.says("derive-dropped")
    lines = done.stdout.splitlines()
    types = {line.split("/")[2].split("-")[0] for line in lines if line.startswith("PUTVAL")}
    [own] = re.findall(r"^(\S+)\s+count:ABSOLUTE:0:U$", (EXAMPLES / "fedmsg-types.db").read_text())
    # The others are in collectd's own types.db.
    assert types == {own, "gauge", "derive"}


def run_map(*options: str) -> str:
    """Run the bus map, with warnings as errors."""
    command = [sys.executable, "-W", "error", "-m", "fedmsg.commands.map", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_map(config_file: Any, publisher: Any, address: Any, tmp_path: Path) -> None:
    """A table, or the percentage for collectd; what does not resolve is down."""
    up, down = publisher().endpoint, address()
    lost = "tcp://no-such-host.invalid:1"
    endpoints = {"b": [down, lost, f"ipc://{tmp_path}/s"], "a": [up]}
    option = f"--config-filename={config_file(endpoints=endpoints)}"
    rows = [row.split() for row in run_map("verbose", option).splitlines()]
    assert rows == [
        ["up", "a", repr(up)], ["down", "b", repr(down)], ["down", "b", repr(lost)]
    ]  # fmt: skip
    assert re.fullmatch(r"PUTVAL \S+/fedmsg/percent interval=5 \d+:33\.3\n", run_map(option))


def test_map_of_nothing(config_file: Any) -> None:
    """The percentage of nothing is unknown."""
    assert run_map(f"--config-filename={config_file(endpoints={})}").endswith(":U\n")
