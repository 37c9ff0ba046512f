"""What ``FedmsgConsumer`` makes of a message, and what it refuses (consumers.md 3, 4, 11)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from hubs import ON, FakeHub, Recorder, frames

import fedmsg.consumers
from fedmsg.consumers.message import BusMessage

Run = Callable[..., Any]
BLOCKING = {"moksha.blocking_mode": True}


@pytest.fixture
def check() -> Iterator[mock.Mock]:
    """The check of signatures, replaced where tests of applications replace it."""
    with mock.patch("fedmsg.consumers.fedmsg.crypto.validate", return_value=True) as check:
        yield check


class Strict(Recorder):
    """Checks signatures itself."""

    validate_signatures = True


class Raw(Recorder):
    """Wants objects."""

    jsonify = False


class StrictRaw(Raw):
    """Checks signatures, and wants objects."""

    validate_signatures = True


@pytest.mark.parametrize("value", [False, None, 0, ""])
def test_disabled(value: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Judged by plain truth; the constructor returns early."""
    caplog.set_level(logging.INFO)
    hub = FakeHub(recorder=value)
    consumer = Recorder(hub)
    assert (consumer._initialized, hub.subscribed, hasattr(consumer, "hub")) == (False, [], False)
    assert "disabled by config - " in caplog.text
    assert "hubs:Recorder" in caplog.text


def test_enabled_by_a_text(caplog: pytest.LogCaptureFixture) -> None:
    """The text "False" is true."""
    caplog.set_level(logging.INFO)
    assert Recorder(FakeHub(**{**ON, "recorder": "False"}))._initialized
    assert "enabled by config  - " in caplog.text


def test_logger() -> None:
    """That of consumers, after the base constructor too."""
    assert Recorder(FakeHub(**ON)).log is logging.getLogger("fedmsg.consumers")


def test_signature_setting_comes_from_the_configuration() -> None:
    """It must be there, unless the class says (C-2); settings come before subscriptions (CD-14)."""
    hub = FakeHub(recorder=True)
    with pytest.raises(KeyError, match="validate_signatures"):
        Recorder(hub)
    assert hub.subscribed == []
    assert Recorder(FakeHub(recorder=True, validate_signatures=7)).validate_signatures == 7
    assert Strict(mock.Mock(config={"recorder": True})).validate_signatures is True


@pytest.mark.parametrize("body", [None, "text", {"some": "stuff"}, [1], 5])
def test_other_bodies_are_wrapped(run: Run, body: Any) -> None:
    """In place."""
    message = {"body": body}
    run().validate(message)
    assert message == {"body": {"topic": None, "msg": body}}


def test_bus_messages_stay_as_they_are(run: Run) -> None:
    """Nothing is wrapped twice."""
    message = {"topic": "t", "body": {"topic": "other", "msg": {}}}
    run().validate(message)
    assert message == {"topic": "t", "body": {"topic": "other", "msg": {}}}


def test_topics_must_agree(run: Run, check: mock.Mock) -> None:
    """C-3."""
    with pytest.raises(RuntimeWarning, match=r"^Topic envelope mismatch\.$"):
        run(Strict).validate({"topic": "t1", "body": {"topic": "t2"}})
    assert not check.called


def test_signature_must_be_valid(run: Run, check: mock.Mock) -> None:
    """The configuration is handed over as keywords."""
    consumer = run(Strict, ssldir="/x")
    consumer.validate({"topic": "t", "body": {"topic": "t"}})
    check.assert_called_once_with({"topic": "t"}, **consumer.hub.config)
    check.return_value = False
    with pytest.raises(RuntimeWarning, match=r"^Failed to authn message\.$"):
        consumer.validate({"topic": "t", "body": {"topic": "t"}})


@pytest.mark.parametrize("body", ['{"some": "stuff"}', b'{"some": "stuff"}'])
def test_objects_are_checked_in_a_copy(
    run: Run,
    check: mock.Mock,
    body: Any,
) -> None:
    """The object itself stays; bytes are worth a warning (C-4)."""
    message = SimpleNamespace(__json__=lambda: {"topic": "t1", "body": body}, body=body)
    consumer = run(StrictRaw)
    if isinstance(body, bytes):
        with pytest.warns(DeprecationWarning, match="^Message body is not unicode$"):
            consumer.validate(message)
    else:
        consumer.validate(message)
    (checked,), _ = check.call_args
    assert (checked, message.body) == ({"topic": "t1", "msg": {"some": "stuff"}}, body)
    check.assert_called_once()


def test_bytes_must_be_utf8(run: Run) -> None:
    """UnicodeDecodeError."""
    message = SimpleNamespace(__json__=lambda: {"topic": "t1", "body": b"\xff"})
    with pytest.warns(DeprecationWarning), pytest.raises(UnicodeDecodeError):
        run(Raw).validate(message)


@pytest.mark.parametrize("cls", [Strict, StrictRaw])
@pytest.mark.parametrize("mode", ["blocking", "callback", "batch"])
def test_validated_once(
    run: Run,
    check: mock.Mock,
    eventually: Callable[..., Any],
    cls: type,
    mode: str,
) -> None:
    """On every way in (CD-1)."""
    consumer = run(cls, **(BLOCKING if mode == "blocking" else {}))
    body = '{"topic": "org.test", "msg": {}}'
    if mode == "batch":
        consumer.take([frames("org.test", body)])
    else:
        consumer.hub.deliver("org.test", body)
    eventually(lambda: consumer.got)
    check.assert_called_once()


def test_overridden_validate_is_called_once(run: Run) -> None:
    """An application's own check may be expensive too."""
    calls = []
    own = type("Own", (Recorder,), {"validate": lambda self, message: calls.append(message)})
    assert run(own, **BLOCKING).hub.deliver("org.test", "{}") is True
    assert len(calls) == 1


def test_what_one_consumer_accepts_another_checks(
    run: Run,
    check: mock.Mock,
) -> None:
    """A Moksha hub hands the same object to all of them."""
    check.return_value = False
    lenient, strict = run(Raw, **BLOCKING), run(StrictRaw, **BLOCKING)
    message = BusMessage("org.test", '{"topic": "org.test"}')
    assert lenient._consume(message) is True
    assert (strict._consume(message), strict._do_work(message), strict.got) == (None, False, [])


def test_checked_by_another_is_checked_again(run: Run, check: mock.Mock) -> None:
    """A consumer may pass what it got to another one's queue."""
    check.return_value = False
    lenient, strict = run(**BLOCKING), run(Strict, **BLOCKING)
    lenient.hub.deliver("org.test", '{"topic": "org.test"}')
    assert strict._do_work(lenient.got[0]) is False


def test_invalid_on_arrival(
    run: Run,
    check: mock.Mock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The result is None, so that a broker does not deliver it again; it is logged."""
    check.return_value = False
    consumer = run(Strict, **BLOCKING)
    assert consumer.hub.deliver("t", '{"topic": "t"}') is None
    assert (consumer.got, consumer.__json__()["headcount_out"]) == ([], 0)
    assert "Received invalid message: Failed to authn message." in caplog.text


@pytest.mark.parametrize(
    "message", [5, None, {}, {"topic": "t"}, {"body": {"topic": "t"}}, [], "x"]
)
def test_anything_on_the_queue(
    run: Run,
    check: mock.Mock,
    eventually: Callable[..., Any],
    message: Any,
) -> None:
    """What others put there is validated, and never ends the worker (C-10)."""
    consumer = run(Strict)
    consumer.incoming.put(message)
    consumer.incoming.put({"topic": "t", "body": {"topic": "t"}})
    eventually(lambda: consumer.got)
    assert consumer.got == [{"topic": "t", "body": {"topic": "t"}}]


def test_foreign_objects_pass_an_own_validate(
    run: Run,
    eventually: Callable[..., Any],
) -> None:
    """Unchanged (C-10)."""
    own = type("Own", (Strict,), {"validate": lambda self, message: None})
    consumer, item = run(own), object()
    consumer.incoming.put(item)
    eventually(lambda: consumer.got)
    assert consumer.got == [item]


def test_headers_join_the_body_after_the_check(run: Run, check: mock.Mock) -> None:
    """The same dict; the signature does not cover it (CD-2)."""
    seen = []
    check.side_effect = lambda body, **_: seen.append(dict(body)) or True
    consumer, headers = run(Strict, **BLOCKING), {"a": "b"}
    assert consumer._consume({"topic": "t", "body": {"topic": "t"}, "headers": headers}) is True
    assert (seen, consumer.got[0]["body"]["headers"] is headers) == ([{"topic": "t"}], True)


@pytest.mark.parametrize("body", ["[1]", "not json", '"x"', "5", "null", "{}", "[" * 100_000])
def test_any_text_reaches_a_consumer(run: Run, body: str) -> None:
    """Wrapped (C-7)."""
    consumer = run(**BLOCKING)
    assert consumer.hub.deliver("org.test", body) is True
    assert set(consumer.got[0]["body"]) == {"topic", "msg"}


def test_what_raw_consumers_get(run: Run) -> None:
    """An object that can be read as a dict, too (CD-9)."""
    consumer = run(Raw, **BLOCKING)
    consumer.hub.deliver("org.test", '{"a":1}')
    (message,) = consumer.got
    assert (message.topic, message.body, message["body"]) == ("org.test", '{"a":1}', '{"a":1}')
    assert message.__json__() == {"topic": "org.test", "body": '{"a":1}'}
    assert repr(message) == '<ZMQMessage; topic: org.test, body: {"a":1}>'


def test_process_name() -> None:
    """At most 15 characters, as the kernel cuts it (CD-15)."""
    assert 0 < len(fedmsg.consumers.current_proc()) <= 15
