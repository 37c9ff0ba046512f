"""The plug-in for pytest, in a test run of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_TESTS = """
import sys

def test_unused():
    assert not {"fedmsg", "zmq"} & set(sys.modules), sorted(sys.modules)

def test_sent(fedmsg_sent):
    import fedmsg
    fedmsg.publish(topic="a", msg={"x": 1})
    assert [sent.msg for sent in fedmsg_sent] == [{"x": 1}]

def test_bus(fedmsg_bus):
    import fedmsg
    fedmsg.publish(topic="a", modname="m")
    assert fedmsg_bus.receive().topic == "org.fedoraproject.dev.m.a"

def test_init_is_possible_again():
    import fedmsg
    fedmsg.init(mute=True, endpoints={})
    fedmsg.destroy()
"""


def test_run_of_an_application(tmp_path: Path) -> None:
    """Unused, the plug-in imports nothing of ours; its fixtures work with warnings as errors."""
    (tmp_path / "test_application.py").write_text(_TESTS)
    environment = {**os.environ, "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "pytest_fedmsg"]
    command += ["-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [*command, str(tmp_path)], capture_output=True, text=True, timeout=60, env=environment
    )
    assert "4 passed" in done.stdout, done.stdout + done.stderr


def test_entry_point(request) -> None:
    """pytest finds the plug-in by itself, as the fixtures of this suite show."""
    assert request.config.pluginmanager.hasplugin("fedmsg")
