"""A hundred messages of twenty-five services, read through an installed package of processors."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import town
from plugins import CONFIG, PREFIX, install, write_distribution  # noqa: F401

import fedmsg
from fedmsg import meta


@pytest.fixture
def messages(install: Callable[..., None]) -> list[dict[str, Any]]:  # noqa: F811
    """The messages, with the package installed and its processors made."""
    install("fedmsg_meta_town", town.source(), town.points())
    meta.make_processors(**CONFIG)
    return [{"topic": PREFIX + each.topic, "msg": each.body} for each in town.MESSAGES]


def test_a_hundred_messages_in_words(messages: list[dict[str, Any]]) -> None:
    """Title, subtitle and link of each."""
    assert len(messages) == 100
    # A list that ends with a space, as a message without link does.
    lines = [meta.msg2repr(each, **CONFIG).rstrip() for each in messages]
    assert lines == [f"{each.topic} -- {each.line}" for each in town.MESSAGES]


def test_users_and_packages_of_a_hundred_messages(messages: list[dict[str, Any]]) -> None:
    """The user and the package that the body names, if any."""
    for msg in messages:
        body = msg["msg"]
        assert meta.msg2usernames(msg, **CONFIG) == {body[key] for key in {"user"} & set(body)}
        assert meta.msg2packages(msg, **CONFIG) == {body[key] for key in {"package"} & set(body)}
        assert meta.msg2agent(msg, **CONFIG) == body.get("user")


PACKAGE_TESTS = """
import unittest
from fedmsg.tests.test_meta import Base, ConglomerateBase, Unspecified

PREFIX = "org.fedoraproject.dev."

class TestPush(Base):
    msg = {"topic": PREFIX + "forge.push", "msg": {"user": "ann", "count": "3", "repo": "bread"}}
    expected_title = "forge.push"
    expected_subti = "ann pushed 3 commits to bread"
    expected_link = "https://forge.test/bread"
    expected_icon = None
    expected_secondary_icon = None
    expected_usernames = {"ann"}
    expected_agent = "ann"
    expected_packages = set()
    expected_objects = set()
    expected_emails = {}
    expected_avatars = {}
    expected_long_form = "ann pushed 3 commits to bread"
    expected_subjective = {"ann": "ann pushed 3 commits to bread"}

class TestWrong(Base):
    msg = {"topic": PREFIX + "mill.done", "msg": {"id": "1", "package": "salt"}}
    expected_packages = {"pepper"}

class TestMerged(ConglomerateBase):
    originals = [{"topic": PREFIX + "wiki.edit", "timestamp": 0, "msg_id": "a",
                  "msg": {"user": "ann", "page": "A"}}]
    expected = [{"msg_ids": "not compared", "usernames": {"ann"}, "packages": set(),
                 "topics": {PREFIX + "wiki.edit"}, "categories": {"wiki"}, "icon": None,
                 "start_time": 0, "end_time": 0, "timestamp": 0, "link": "https://wiki.test/A",
                 "human_time": HUMAN, "subtitle": "ann edited A", "subjective": "ann edited A",
                 "secondary_icon": None}]
"""


def run_tests(tmp_path: Path, module: str, *names: str) -> subprocess.CompletedProcess[str]:
    """Run a test module as a package of processors would, with that package installed."""
    site = write_distribution(tmp_path, "fedmsg_meta_town", town.source(), town.points())
    from fedmsg.meta._humanize import humanize

    human = f"HUMAN = {humanize(0, 1_790_000_000)!r}\n"
    freeze = "import time; time.time = lambda: 1_790_000_000\n"
    (site / "test_town_package.py").write_text(freeze + human + module)
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "unittest", "-v", *names],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *_source_path()])},
        cwd=site, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
    )  # fmt: skip


def _source_path() -> list[str]:
    return [str(Path(fedmsg.__file__).parents[1])]


def test_base_classes_pass(tmp_path: Path) -> None:
    """All thirteen tests of a message run, and the one of merging."""
    done = run_tests(tmp_path, PACKAGE_TESTS, "test_town_package.TestPush",
                  "test_town_package.TestMerged")  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "Ran 14 tests" in done.stdout
    assert "skipped" not in done.stdout


def test_base_classes_fail(tmp_path: Path) -> None:
    """A wrong expectation is a failure that names the test; what is not expected is skipped."""
    done = run_tests(tmp_path, PACKAGE_TESTS, "test_town_package.TestWrong")
    assert done.returncode == 1, done.stdout
    assert "FAILED (failures=1, skipped=12)" in done.stdout
    assert "TestWrong in " in done.stdout
    assert "'expected_title' left unspecified" in done.stdout


def test_base_class_alone_is_skipped(tmp_path: Path) -> None:
    """A runner that collects the imported base classes finds nothing to do."""
    done = run_tests(tmp_path, PACKAGE_TESTS, "test_town_package.Base",
                  "test_town_package.ConglomerateBase")  # fmt: skip
    assert (done.returncode, "OK (skipped=14)" in done.stdout) == (0, True), done.stdout


def test_helpers_of_the_base_classes() -> None:
    """The object for "says nothing" is one; the skipping decorators are there."""
    from fedmsg.tests import test_meta

    assert test_meta.UnspecifiedType() is test_meta.Unspecified
    assert str(test_meta.Unspecified) == repr(test_meta.Unspecified) == "Unspecified"
    decorated = test_meta.skip_if_fedmsg_meta_FI_is_present(lambda: "ran")
    assert decorated() == "ran"


def test_configuration_of_the_base_classes() -> None:
    """Five names of publishers on this machine, one of which does not resolve; no real bus."""
    from fedmsg.tests import test_meta

    class Case(test_meta.Base):
        def runTest(self) -> None: ...

    case = Case()
    case.setUp()
    config = case.config
    assert {name.partition(".")[0] for name in config["endpoints"]} == {
        "unittest", "unittest2", "twisted", "__main__", "unresolvable",
    }  # fmt: skip
    assert (config["environment"], config["sign_messages"], config["irc"]) == ("dev", False, [])
    assert config["topic_prefix_re"] == r"^org\.fedoraproject\.(dev|stg|prod)"
