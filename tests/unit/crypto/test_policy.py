"""What the routing policy says of topics and signers, and what it says about that in the log."""

from __future__ import annotations

from typing import Any

import pytest
from pki import Pki, signed_with

from fedmsg import crypto
from fedmsg.crypto import policy
from fedmsg.crypto import verdict as v

LISTED = {"org.test.a": ["alice"]}


@pytest.mark.parametrize("topic", [["org.test.a"], {"org.test.a": 1}, 5, None])
def test_a_topic_that_is_no_text_is_on_no_list(pki: Pki, topic: Any) -> None:
    """It is well signed, and its type may be anything: nothing is raised."""
    signed = signed_with(pki.leaf, topic=topic)
    config = {**pki.config, "routing_policy": LISTED, "routing_nitpicky": False}
    assert crypto.check(signed, **config).valid
    config["routing_nitpicky"] = True
    assert crypto.check(signed, **config).reason == v.NOT_ALLOWED


@pytest.mark.parametrize("topic", ["org.test.a", "org.test.b"])
def test_a_refusal_names_signer_and_topic(caplog: pytest.LogCaptureFixture, topic: str) -> None:
    """In an error: of a topic for others, and of one that is not listed."""
    assert not policy.allowed(topic, "mallory", LISTED, nitpicky=True)
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert "'mallory'" in record.getMessage()
    assert f"'{topic}'" in record.getMessage()


def test_refusals_are_logged_at_a_bounded_rate(caplog: pytest.LogCaptureFixture) -> None:
    """Anybody with a certificate can cause them."""
    for _ in range(200):
        assert not policy.allowed("org.test.a", "mallory", LISTED)
    assert 0 < len(caplog.records) <= 60


def test_a_topic_that_is_not_listed_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """As a warning; another topic has its own, and those of floods are as bounded as refusals."""
    for topic in ("org.test.b", "org.test.b", "org.test.c", "org.test.b"):
        assert policy.allowed(topic, "mallory", LISTED)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    for number in range(200):
        assert policy.allowed(f"org.test.{number}", "mallory", LISTED)
    assert len(caplog.records) == 60


def test_of_a_long_topic_the_beginning_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A topic may be as long as a message."""
    for nitpicky in (False, True):
        policy.allowed("x" * 100_000, "mallory", LISTED, nitpicky)
    assert len(caplog.records) == 2
    assert all(100 < len(record.getMessage()) < 500 for record in caplog.records)


def test_memory_of_topics_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes up topics fills no more than that."""
    monkeypatch.setattr(policy, "_MOST_REPORTED", 3)
    for number in range(9):
        assert policy.allowed(f"org.test.{number}", "mallory", {})
    assert len(policy._reported) == 3
