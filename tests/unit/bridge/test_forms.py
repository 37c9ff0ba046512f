"""The form of a message on an AMQP broker, and back."""

from __future__ import annotations

import json
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from fedmsg import crypto
from fedmsg.bridge import forms, service
from fedmsg.bridge.checking import Checker
from fedmsg.exceptions import ConfigurationError

TOPIC = "org.fedoraproject.dev.test.a"


def delivery(body: bytes = b"{}", **changes: Any) -> Any:
    """Return what the AMQP transport hands out."""
    return SimpleNamespace(
        **{"topic": TOPIC, "body": body, "headers": {}, "msg_id": "2026-a", "user": None, **changes}
    )


def sent(message: dict[str, Any]) -> Any:
    """Return a message as it arrives after it was sent."""
    body, headers = forms.amqp_form(message)
    return delivery(body, headers=headers, msg_id=message["msg_id"], topic=message["topic"])


def test_a_signature_survives(pki: Any) -> None:
    """A signed message comes back as it was, and is still valid."""
    from pki import message

    signed = crypto.sign(message(), **pki.config)
    found = forms.from_amqp(sent(signed), 0)
    assert found == signed
    assert crypto.check_received(found["topic"], found, **pki.config).valid


def test_a_message_of_fedora_messaging() -> None:
    """Without an envelope there is one made of the properties; the id is kept."""
    headers = {"sent-at": "2023-11-14T22:13:27+00:00", "fedora_messaging_severity": 20}
    found = forms.from_amqp(delivery(b'{"a": 1}', headers=headers, user="me"), 0)
    assert found == {
        "topic": TOPIC, "msg": {"a": 1}, "msg_id": "2026-a", "timestamp": 1700000007, "i": 0,
        "username": "me",
    }  # fmt: skip


def test_a_large_envelope_is_left_out() -> None:
    """The payload crosses, without what does not fit into a header."""
    _, headers = forms.amqp_form({"topic": "t", "msg_id": "i", "msg": {}, "more": "x" * 70_000})
    assert forms.ENVELOPE not in headers


@pytest.mark.parametrize("stamp", [None, "yesterday", True, -1, 1e30, float("nan"), [1]])
def test_any_timestamp_can_be_sent(stamp: Any) -> None:
    """A time that is none is replaced by the present."""
    _, headers = forms.amqp_form({"topic": "t", "msg_id": "i", "msg": {}, "timestamp": stamp})
    assert headers[forms.SENT_AT].startswith("20")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"topic": b"\xff"}, forms.NO_TEXT),
        ({"topic": "a\x1bb"}, forms.NO_TEXT),
        ({"msg_id": None}, forms.NO_ID),
        ({"msg_id": b"x"}, forms.NO_ID),
        ({"msg_id": "x" * 300}, forms.NO_ID),
        ({"msg_id": "ä"}, forms.NO_ID),
        ({"body": b"\xff"}, "body is not JSON"),
        ({"body": b"[" * 100_000}, "body is not JSON"),
        ({"body": b"1" * 200_000}, "frame too large"),
        *(
            ({"headers": {forms.ENVELOPE: value}}, forms.BAD_ENVELOPE)
            for value in (7, 1.5, None, True, {}, {"a": {}}, [1], datetime(2026, 1, 1))
        ),
        ({"headers": {forms.ENVELOPE: "[]"}}, forms.BAD_ENVELOPE),
        ({"headers": {forms.ENVELOPE: b"\xff"}}, forms.BAD_ENVELOPE),
        ({"headers": {forms.ENVELOPE: json.dumps({"topic": TOPIC})}}, forms.DIFFERS),
    ],
)
def test_hostile_deliveries(changes: dict[str, Any], reason: str) -> None:
    """Whatever is wrong has a reason of a fixed set."""
    with pytest.raises(forms.Rejected, match=f"^{reason}$"):
        forms.from_amqp(delivery(**changes), 100_000 if "frame" in reason else 0)


@pytest.mark.parametrize("value", [7, None, b"here", "x" * 2000, "a\nb", ["here"]])
def test_hostile_paths(value: Any) -> None:
    """A header that no bridge writes is no path."""
    with pytest.raises(forms.Rejected, match=forms.BAD_PATH):
        forms.path_of({forms.PATH: value})


@pytest.mark.parametrize("bus", ["", "a,b", " a", "a\n", "x" * 200])
def test_name_that_no_path_can_hold(bus: str) -> None:
    """It would not be found again, and so no loop be noticed: the bridge does not start."""
    with pytest.raises(ConfigurationError, match="^Invalid configuration value for 'bridge_bus'"):
        service.run({"bridge_bus": bus, "stomp_uri": "127.0.0.1:1"})


def test_paths() -> None:
    """No header is an empty path; names are separated by commas."""
    assert forms.path_of({}) == []
    assert forms.path_of({forms.PATH: "a,b"}) == ["a", "b"]


def test_reasons_of_the_checker(pki: Any) -> None:
    """Form, then signature, then whether the topic is wanted."""
    from collections import Counter

    from pki import message

    counts: Counter[str] = Counter()
    checker = Checker({**pki.config, "bridge_topics": ["org.other"]}, True, counts)
    signed = crypto.sign(message(), **pki.config)
    for topic, given, reason in [
        ("t", signed, forms.DIFFERS),
        (TOPIC, {**signed, "msg_id": 7}, forms.NO_ID),
        (TOPIC, {**signed, "i": 9}, "signature is wrong"),
        (TOPIC, signed, "not wanted"),
    ]:
        try:
            checker.check(topic, given)
        except forms.Rejected as error:
            checker.reject(error, topic)
            if reason != "signature is wrong":
                assert str(error) == reason
    assert sum(counts.values()) == 4
    assert counts["not wanted"] == 1
