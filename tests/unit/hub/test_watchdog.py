"""Expected topics that are silent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hubs import EMPTY, Recorder, numbered

from fedmsg import options
from fedmsg.consumers.message import BusMessage
from fedmsg.exceptions import FedmsgError
from fedmsg.hub.central import Hub
from fedmsg.hub.watchdog import Expected, Watchdog

Wait = Callable[..., Any]


@pytest.fixture
def start() -> Iterator[Callable[..., Hub]]:
    """A function that starts a hub that expects topics."""
    started: list[Hub] = []

    def run(**expected: float) -> Hub:
        topics = {name.replace("_", "."): limit for name, limit in expected.items()}
        hub = Hub({**EMPTY, "expected_topics": topics}, [Recorder], [])
        started.append(hub)
        hub.start()
        return hub

    yield run
    for hub in started:
        hub.close()


def watchdog(hub: Hub) -> Watchdog:
    """Return the watchdog of a hub."""
    [found] = hub.producers
    assert isinstance(found, Watchdog)
    return found


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was said about topics."""
    return [r.getMessage() for r in caplog.records if r.name == "fedmsg.hub"]


def test_silence_and_return(
    start: Callable[..., Hub], eventually: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning for a silence however long it is, and one line when it is over."""
    caplog.set_level(logging.INFO)
    hub = start(org_test=0.2, org_other=3600)
    [silent, other] = watchdog(hub).expected
    eventually(lambda: silent.silence() > 0.6)
    eventually(lambda: silent.silent)
    assert not other.silent
    hub.dispatcher.dispatch(numbered(3, "org.test.sub"))
    assert (silent.silent, silent.silences) == (False, 1)
    said = lines(caplog)
    assert "nothing on 'org.test' for" in said[0]
    assert "'org.test' is heard again" in said[1]
    assert not [line for line in said if "org.other" in line]


def test_other_topics_do_not_count(start: Callable[..., Hub], eventually: Wait) -> None:
    """A message on another topic does not end a silence."""
    hub = start(org_test=0.1)
    [expected] = watchdog(hub).expected
    eventually(lambda: expected.silent)
    hub.dispatcher.dispatch(numbered(3, "org.tes"))
    assert expected.silent


def test_a_malformed_body_counts(start: Callable[..., Hub], eventually: Wait) -> None:
    """What arrives is what counts: nothing is decoded."""
    hub = start(org_test=0.1)
    [expected] = watchdog(hub).expected
    eventually(lambda: expected.silent)
    hub.dispatcher.dispatch([[b"org.test", b"\xff"]])
    assert not expected.silent


def test_monitoring_record(start: Callable[..., Hub]) -> None:
    """The record of the watchdog names topics, limits and silences."""
    record = watchdog(start(org_test=60)).__json__()
    [topic] = record.pop("expected_topics")
    assert topic.pop("silence") >= 0
    assert topic == {"topic": "org.test", "limit": 60.0, "silent": False, "silences": 0}
    assert record["initialized"]


def test_broker_messages_count(start: Callable[..., Hub]) -> None:
    """What comes from a broker is called back with, under the same pattern."""
    hub = start(org_test=60)
    [hear] = [each for each in hub.topics["org.test"] if each.__self__ in watchdog(hub).expected]
    expected = hear.__self__
    expected._heard -= 100
    hear(BusMessage("org.test", "{}"))
    assert expected.silence() < 100


def test_no_topics_no_watchdog() -> None:
    """Without the option there is no thread."""
    hub = Hub(EMPTY, [Recorder], [])
    try:
        assert hub.producers == []
    finally:
        hub.close()


def test_looks_in_two_threads_say_it_once(caplog: pytest.LogCaptureFixture) -> None:
    """A silence that is seen again is not said again."""
    expected = Expected("org.test", 1)
    expected._heard -= 5
    expected.look()
    expected.look()
    assert len(lines(caplog)) == 1


@pytest.mark.parametrize("wrong", [["org.test"], {"org.test": "soon"}, {"org.test": 0}, {3: 4}])
def test_wrong_option(wrong: Any) -> None:
    """A hub does not start; the text names the option."""
    with pytest.raises((ValueError, FedmsgError), match="expected_topics"):
        Hub({**EMPTY, "expected_topics": wrong}, [Recorder], [])


def test_option() -> None:
    """Numbers may be written as text, as everywhere in the configuration."""
    assert options.get({"expected_topics": {"a": "10"}}, "expected_topics") == {"a": 10.0}
