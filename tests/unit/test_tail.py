"""Listening: whatever arrives, the loop goes on."""

from __future__ import annotations

import json
import threading
import warnings

import pytest
from parts import GOOD, settings

from fedmsg import envelope
from fedmsg._tail import REPORTS_A_MINUTE, VALIDATION_FAILED
from fedmsg.crypto.verdict import SIGNATURE_MISMATCH, Verdict, rejected


@pytest.fixture
def quiet():
    """The warnings about rejected messages are not errors here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def deep(levels):
    """Return a body nested so many levels."""
    return b'{"msg":' + b"[" * levels + b"]" * levels + b"}"


HOSTILE = [
    ([b"one"], envelope.FRAME_COUNT),
    ([b"t", b"{}", b"three"], envelope.FRAME_COUNT),
    ([b"x"] * 200, envelope.FRAME_COUNT),
    ([b"", b""], envelope.BAD_JSON),
    ([b"\xff\xfe", b"{}"], envelope.BAD_TOPIC_UTF8),
    ([b"t\x1b[2J", b"{}"], envelope.CONTROL_CHARACTERS),
    (["t\u009b".encode(), b"{}"], envelope.CONTROL_CHARACTERS),
    ([b"t\n", b"{}"], envelope.CONTROL_CHARACTERS),
    ([b"t", b"\xff"], envelope.BAD_BODY_UTF8),
    ([b"t", b"{"], envelope.BAD_JSON),
    ([b"t", b"{}x"], envelope.BAD_JSON),
    ([b"t", b"\xef\xbb\xbf{}"], envelope.BAD_JSON),
    ([b"t", deep(200_000)], envelope.TOO_DEEP),
    ([b"t", b"[]"], envelope.NOT_AN_OBJECT),
    ([b"t", b"null"], envelope.NOT_AN_OBJECT),
    ([b"t", b'"{}"'], envelope.NOT_AN_OBJECT),
    ([b"t", b'{"i":' + b"1" * 1_000_000 + b"}"], None),
]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(("frames", "reason"), HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_frames(publisher, listen, frames, reason):
    """What is no message is counted by its reason, and the next message is heard."""
    there = publisher()
    context, listening = listen(there.endpoint)
    there.joined()
    there.send(frames, GOOD)
    heard = [item[2] for item in listening.over()]
    expected = {reason: 1} if reason else dict(context.rejected)
    assert (heard[-1], dict(context.rejected)) == ("end", expected)


@pytest.mark.usefixtures("quiet")
def test_large_frame_above_the_limit(publisher, listen):
    """A frame of 100 MB is counted and dropped; the connection lives on."""
    there = publisher()
    context, listening = listen(there.endpoint)
    there.joined()
    there.send([b"t", b'{"a":"' + b"x" * 100_000_000 + b'"}'], GOOD)
    listening.over()
    assert dict(context.rejected) == {envelope.TOO_LARGE: 1}


def test_large_frame_without_limit(publisher, listen):
    """With max_message_size 0 any size is accepted."""
    there = publisher()
    _, listening = listen(there.endpoint, max_message_size=0)
    there.joined()
    there.send([b"t", b'{"a":"' + b"x" * 20_000_000 + b'"}'], GOOD)
    assert len(listening.over()[0][3]["a"]) == 20_000_000


def test_other_forms_of_json(publisher, listen):
    """Bodies as 1.1.7's relay writes them, in any order and with blanks, are accepted."""
    there = publisher()
    body = '  {"topic": "t\u00e9", "msg": {"b": 1, "a": "\u00e9"}} \n'
    _, listening = listen(there.endpoint)
    there.joined()
    there.send(["t\u00e9".encode(), body.encode()], GOOD)
    assert listening.over()[0][2:] == ("t\u00e9", json.loads(body))


def test_item(publisher, listen):
    """What is yielded: key of endpoints, endpoint as configured, topic, message."""
    there = publisher()
    endpoint = there.endpoint.replace("127.0.0.1", "localhost")
    _, listening = listen({"relay_inbound": "tcp://127.0.0.1:1", "app": [endpoint]})
    there.joined()
    there.send(GOOD)
    assert listening.over() == [("app", endpoint, "end", {"msg": {}, "topic": "end"})]


def test_topic_prefix(publisher, listen):
    """Topics are selected by a prefix of their UTF-8 bytes."""
    there = publisher()
    _, listening = listen(there.endpoint, topic="\u00e9.e")
    assert there.joined() == b"\x01" + "\u00e9.e".encode()
    there.send([b"other", b"{}"], ["\u00e9.end".encode(), b"{}"])
    assert [item[2] for item in listening.over()] == ["\u00e9.end"]


def test_warning_text(publisher, make_context):
    """A rejected message is a UserWarning that shows it."""
    there = publisher()
    context = make_context(**settings(mute=True, endpoints={"me": there.endpoint}))
    tail = context.tail_messages()
    sending = threading.Thread(target=lambda: (there.joined(), there.send([b"t", b"x"], GOOD)))
    sending.start()
    with pytest.warns(UserWarning, match=r"!! invalid message received: \[b't', b'x'\]"):
        next(tail)
    sending.join()
    tail.close()


def test_warnings_as_errors(publisher, listen, caplog):
    """Where warnings are errors the loop goes on, and the text is in the log."""
    there = publisher()
    _, listening = listen(there.endpoint)
    there.joined()
    there.send([b"t", b"x"], GOOD)
    listening.over()
    assert "!! invalid message received" in caplog.text


def test_warnings_are_not_remembered(publisher, make_context):
    """The interpreter's register of warnings shown does not grow with what arrives."""
    there = publisher()
    context = make_context(**settings(mute=True, endpoints={"me": there.endpoint}))
    bad = [[b"t", str(number).encode() + b"x"] for number in range(20)]
    sending = threading.Thread(target=lambda: (there.joined(), there.send(*bad, GOOD)))
    sending.start()
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("default")
        globals().pop("__warningregistry__", None)
        tail = context.tail_messages()
        next(tail)
        tail.close()
    sending.join()
    registry = globals().get("__warningregistry__", {})
    assert [key for key in registry if "invalid message" in str(key)] == []


@pytest.mark.usefixtures("quiet")
def test_reports_are_limited(publisher, listen, monkeypatch):
    """A flood of rubbish is counted in full and reported sixty times a minute."""
    there = publisher()
    context, listening = listen(there.endpoint)
    reported = []
    monkeypatch.setattr(warnings, "warn_explicit", lambda *args, **kw: reported.append(args))
    there.joined()
    there.send(*[[b"x"]] * 500, GOOD)
    listening.over()
    assert (context.rejected[envelope.FRAME_COUNT], len(reported)) == (500, REPORTS_A_MINUTE)


@pytest.mark.usefixtures("quiet")
def test_deep_object_that_parses(publisher, listen):
    """An object that is deep, but not too deep, is a message."""
    there = publisher()
    _, listening = listen(there.endpoint)
    there.joined()
    there.send([b"t", deep(500)], GOOD)
    assert len(listening.over()) == 2


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda: Verdict(True, "me"), None),
        (lambda: rejected(SIGNATURE_MISMATCH), SIGNATURE_MISMATCH),
        (lambda: {}["no"], VALIDATION_FAILED),
    ],
)
def test_validation(publisher, listen, monkeypatch, answer, reason):
    """What the check rejects is counted by its reason; an error in it is one more reason."""

    def check(topic, message, **config):
        return Verdict(True) if topic == "end" else answer()

    monkeypatch.setattr("fedmsg.crypto.check_received", check)
    there = publisher()
    context, listening = listen(there.endpoint, validate_signatures=True, message="collides")
    there.joined()
    there.send([b"t", b'{"topic":"t"}'], GOOD)
    listening.over()
    assert dict(context.rejected) == ({reason: 1} if reason else {})


def test_zmq_disabled(make_context):
    """Without zeromq the first iteration is a ValueError with the text of 1.1.7."""
    tail = make_context(**settings(zmq_enabled=False)).tail_messages()
    text = r"fedmsg\.tail_messages\(\) is only available for zeromq\.  Use the hub-consumer"
    with pytest.raises(ValueError, match=text):
        next(tail)


def test_missing_endpoints(make_context):
    """Without the key endpoints the first iteration is a KeyError."""
    config = settings(mute=True)
    del config["endpoints"]
    with pytest.raises(KeyError, match="endpoints"):
        next(make_context(**config).tail_messages())
