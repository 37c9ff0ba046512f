"""STOMP without sockets: addresses, destinations, topics, back-off, heart-beats."""

from __future__ import annotations

import pytest

from fedmsg.exceptions import ConfigurationError
from fedmsg.transports import stomp_rules as rules

RABBIT = rules.dialect("RabbitMQ/3.10.8")
ACTIVE = rules.dialect("ActiveMQ/5.17.2")
TEMPLATE = "/topic/{topic}"


@pytest.mark.parametrize(
    ("text", "brokers"),
    [
        ("a:1", (("a", 1),)),
        ("a:1, b:2", (("a", 1), ("b", 2))),
        ("a", (("a", 61613),)),
        ("[::1]:5", (("::1", 5),)),
        ("[::1]", (("::1", 61613),)),
        ("a:1,a:1", (("a", 1),)),
    ],
)
def test_brokers(text: str, brokers: tuple[rules.Broker, ...]) -> None:
    """A list of hosts and ports; the port may be missing, IPv6 is in brackets."""
    assert rules.parse_brokers(text) == brokers


@pytest.mark.parametrize(
    "text",
    ["", ":1", "a:", "a:b", "a:0", "a:65536", "a:99999999999", "::1:5", "a b:1", "stomp://a:1",
     "a/b:1", "me@a:1", "a:1,", "[a:1", "a]:1", "a:0061613", "a:\u0661"],
)  # fmt: skip
def test_malformed_brokers(text: str) -> None:
    """What is not host and port is an error that names the option."""
    with pytest.raises(ConfigurationError, match="'stomp_uri'"):
        rules.parse_brokers(text)


def test_a_login_in_the_uri_is_not_shown() -> None:
    """An address with a password in it is refused without showing it."""
    with pytest.raises(ConfigurationError) as caught:
        rules.parse_brokers("user:sesame@a:1")
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("topic", "dialect", "expected"),
    [
        ("org.a", RABBIT, "/topic/org.a"),
        ("org.a/b%", RABBIT, "/topic/org.a%2Fb%"),
        ("org.a/b%2F", ACTIVE, "/topic/org.a/b%2F"),
        ("/queue/x", RABBIT, "/queue/x"),
        ("/queue/x,y", ACTIVE, "/queue/x,y"),
        ("org.a", rules.UNKNOWN, "/topic/org.a"),
    ],
)
def test_destination(topic: str, dialect: rules.Dialect, expected: str) -> None:
    """A topic goes into the template; one that begins with a slash is the destination."""
    assert rules.destination(topic, TEMPLATE, dialect) == expected


@pytest.mark.parametrize(
    ("topic", "dialect"),
    [("a,b", ACTIVE), ("a.*", ACTIVE), ("a.>", ACTIVE), ("a?x=1", ACTIVE), ("a%2Fb", RABBIT)],
)
def test_topics_with_a_meaning(topic: str, dialect: rules.Dialect) -> None:
    """A topic that the broker would take for something else is refused."""
    with pytest.raises(ValueError, match=dialect.name):
        rules.destination(topic, TEMPLATE, dialect)


@pytest.mark.parametrize(
    ("pattern", "dialect", "expected"),
    [
        ("", RABBIT, "/topic/#"),
        ("", ACTIVE, "/topic/>"),
        ("org.a.b", RABBIT, "/topic/org.a.#"),
        ("org.a.", ACTIVE, "/topic/org.a.>"),
        ("org.*.b", RABBIT, "/topic/org.#"),
        ("org.a?.b.c", RABBIT, "/topic/org.#"),
        ("org.[ab].c", ACTIVE, "/topic/org.>"),
        ("org.a/b.c", RABBIT, "/topic/org.a%2Fb.#"),
        ("org.a,b.c", ACTIVE, "/topic/>"),
        ("/queue/x", rules.UNKNOWN, "/queue/x"),
    ],
)
def test_subscription(pattern: str, dialect: rules.Dialect, expected: str) -> None:
    """A pattern is cut back to its last dot before a wildcard, and gets the broker's."""
    assert rules.subscription(pattern, TEMPLATE, dialect) == expected


def test_subscription_at_an_unknown_broker() -> None:
    """Where the wildcards are not known the error names the way out."""
    with pytest.raises(ConfigurationError, match="stomp_queue"):
        rules.subscription("org.a", TEMPLATE, rules.dialect("Artemis/2"))


def test_subscriptions_do_not_overlap() -> None:
    """Of patterns of which one covers another, only the wider is subscribed to."""
    patterns = ["org.a.b.c", "org.a.*", "org.x.y", "/queue/q", "/queue/qq", "org.a.b.d"]
    assert sorted(rules.subscriptions(patterns, TEMPLATE, RABBIT)) == [
        "/queue/q", "/queue/qq", "/topic/org.a.#", "/topic/org.x.#",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "dialect", "topic"),
    [
        ({"destination": "/topic/org.a"}, RABBIT, "org.a"),
        ({"destination": "/topic/org.a%2Fb%2541"}, RABBIT, "org.a/b%41"),
        ({"destination": "/topic/org.a%2Fb"}, ACTIVE, "org.a%2Fb"),
        ({"destination": "/queue/q", "original-destination": "/topic/org.a"}, ACTIVE, "org.a"),
        ({"destination": "/queue/q", "topic": "org.a"}, RABBIT, "org.a"),
        ({"destination": "/queue/q"}, RABBIT, "/queue/q"),
        ({"destination": "/topic/org.a", "topic": "org.forged"}, RABBIT, "org.a"),
        ({"destination": "/topic/x", "topic": "/topic/x"}, RABBIT, "/topic/x"),
        ({"topic": "org.a"}, RABBIT, "org.a"),
        ({"destination": "/topic/", "topic": "org.a"}, RABBIT, "org.a"),
        ({}, RABBIT, ""),
    ],
)
def test_topic_of(headers: dict[str, str], dialect: rules.Dialect, topic: str) -> None:
    """The template is undone; a header of the publisher counts where that cannot be."""
    assert rules.topic_of(headers, TEMPLATE, dialect) == topic


def test_template_after_the_topic() -> None:
    """What the template has after the topic is undone too."""
    assert rules.topic_of({"destination": "/x/a.b/y"}, "/x/{topic}/y", ACTIVE) == "a.b"


@pytest.mark.parametrize(
    "template", ["", "topic.{topic}", "/topic/", "/{topic}/{topic}", "/\0{topic}"]
)
def test_bad_templates(template: str) -> None:
    """A template has to begin with a slash and hold the topic once."""
    with pytest.raises(ConfigurationError, match="'stomp_destination'"):
        rules.check_template(template)


def test_backoff_doubles_up_to_a_minute() -> None:
    """Pauses double, stay within a minute, and begin anew after a reset."""
    backoff = rules.Backoff(0.1, dice=lambda: 1.0)
    assert [round(backoff.pause(), 3) for _ in range(4)] == [0.1, 0.2, 0.4, 0.8]
    assert max(backoff.pause() for _ in range(20)) == 60.0
    backoff.reset()
    assert backoff.pause() == pytest.approx(0.1)


def test_backoff_has_jitter() -> None:
    """The dice take away up to half of a pause."""
    assert rules.Backoff(1.0, dice=lambda: 0.0).pause() == 0.5


@pytest.mark.parametrize(
    ("offered", "answer", "expected"),
    [
        (10000, "5000,20000", (20.0, 10.0)),
        (10000, "0,0", (0.0, 0.0)),
        (0, "5000,5000", (0.0, 0.0)),
        (10000, "0,20000", (20.0, 0.0)),
        (10000, "nonsense", (0.0, 0.0)),
        (10000, "", (0.0, 0.0)),
        (10000, "-1,99999999999999", (0.0, 0.0)),
        (10000, "5000,-1", (0.0, 0.0)),
        (10000, "9999999999,1", (0.0, 0.0)),
        (10000, "1,9999999999", (0.0, 0.0)),
        (10000, "\u00b2,\u00b2", (0.0, 0.0)),
        (10000, "\u0665,1", (0.0, 0.0)),
    ],
)
def test_heartbeats(offered: int, answer: str, expected: tuple[float, float]) -> None:
    """The larger of both sides' counts; nothing where one side does not want any."""
    assert rules.heartbeats(offered, answer) == expected


def test_a_password_does_not_show_itself() -> None:
    """Neither settings nor the password itself show it."""
    settings = rules.Settings((("a", 1),), password=rules.Secret("sesame"))
    assert "sesame" not in repr(settings) + f"{[settings.password]}"
