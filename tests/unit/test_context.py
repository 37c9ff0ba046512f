"""FedMsgContext: construction, and what publish puts on the wire."""

from __future__ import annotations

import json
import re
import socket
import threading
import warnings

import pytest
from parts import PATIENCE, relayed, settings

import fedmsg
from fedmsg import core
from fedmsg.exceptions import MissingRelay, NoEndpointAvailable


@pytest.fixture
def sent(make_context, fedmsg_sent):
    """A function that makes a context and returns it with the list of what it sends."""
    return lambda **config: (make_context(**settings(name="me", **config)), fedmsg_sent)


def only(sent):
    """Return topic and message of the one message that was sent."""
    [found] = sent
    return found.topic, found.message


class TestConstruction:
    """What the constructor reads, makes and refuses."""

    def test_attributes(self, make_context):
        """Configuration, short host name, logger, counter, and a zmq context."""
        context = make_context(**settings(mute=True))
        assert (context.hostname, context.log.name, context._i, context.context.closed) == (
            socket.gethostname().split(".")[0], "fedmsg.core", 0, False,
        )  # fmt: skip

    @pytest.mark.parametrize("key", ["io_threads", "active", "post_init_sleep"])
    def test_required_keys(self, make_context, key):
        """Without one of them: KeyError with its name."""
        config = settings(mute=True)
        del config[key]
        with pytest.raises(KeyError, match=key):
            make_context(**config)

    def test_high_water_mark_is_required(self, make_context, address):
        """A publisher needs the key."""
        config = settings(name="me", endpoints={"me": address()})
        del config["high_water_mark"]
        with pytest.raises(KeyError, match="high_water_mark"):
            make_context(**config)

    def test_no_endpoint_warns(self, make_context):
        """Without an endpoint for the name: UserWarning, and no attribute ``publisher``."""
        text = "fedmsg is not configured to send any zmq messages for name 'me'"
        with pytest.warns(UserWarning, match=text):
            context = make_context(**settings(name="me"))
        assert not hasattr(context, "publisher")

    @pytest.mark.parametrize("changes", [{"mute": True}, {"zmq_enabled": False}])
    def test_silent_without_publisher(self, make_context, changes):
        """Muted, or without zeromq: no warning and no attribute ``publisher``."""
        assert not hasattr(make_context(**settings(name="me", **changes)), "publisher")

    def test_name_is_guessed(self):
        """The name is the calling module and the host."""
        context = core.FedMsgContext(**settings(mute=True))
        context.destroy()
        module = __name__.partition(".")[0]
        assert context.c["name"] == f"{module}.{context.hostname}"

    def test_name_of_fedmsg_itself(self, make_context, monkeypatch):
        """If only fedmsg called, there is no name."""
        monkeypatch.setattr(core.utils, "guess_calling_module", lambda default: default)
        assert make_context(**settings(mute=True)).c["name"] is None

    def test_name_of_an_active_context(self, make_context, address):
        """An active context without a name is relay_inbound."""
        assert make_context(**relayed(address())).c["name"] == "relay_inbound"

    @pytest.mark.parametrize(
        "changes",
        [{}, {"name": None, "relay_inbound": "tcp://127.0.0.1:1"}, {"name": "other"}],
    )
    def test_active_without_address(self, make_context, changes):
        """Active, and no address under the name: KeyError with the text of 1.1.7."""
        text = "^Could not find endpoint for fedmsg-relay. Try installing fedmsg-relay."
        with pytest.raises(KeyError, match=text) as caught:
            make_context(**settings(active=True, **changes))
        assert isinstance(caught.value, MissingRelay)

    def test_endpoints_of_the_caller_stay(self, make_context, address):
        """The constructor writes nothing into the dicts it is given."""
        endpoints = {"a": [address()]}
        make_context(**relayed(address(), endpoints=endpoints))
        assert list(endpoints) == ["a"]

    def test_no_free_endpoint(self, make_context, address):
        """IOError with the text of 1.1.7, every address, its reason, and the last as cause."""
        endpoint = address()
        make_context(**settings(name="me", endpoints={"me": endpoint}))
        text = re.escape("Couldn't find an available endpoint for name 'me'.")
        with pytest.raises(OSError, match=f"^{text} Tried nonsense: .*; {endpoint}: .*in use") as e:
            make_context(**settings(name="me", endpoints={"me": ["nonsense", endpoint]}))
        assert (type(e.value), "in use" in str(e.value.__cause__)) == (NoEndpointAvailable, True)

    def test_next_free_endpoint(self, make_context, address):
        """Of a list the first free endpoint is bound."""
        first, second = address(), address()
        config = settings(name="me", endpoints={"me": [first, second]})
        make_context(**config)
        assert make_context(**config)._transport.endpoint[-5:] == second[-5:]


def in_threads(count, function):
    """Run a function in so many threads at once; return their results, or the first error."""
    results, together = [], threading.Barrier(count)

    def run(number):
        together.wait(PATIENCE)
        try:
            results.append(function(number))
        except BaseException as error:
            results.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    return results


def test_five_threads_and_six_endpoints(address, listener, eventually):
    """Five threads publish under one name with six endpoints; all five messages arrive."""
    endpoints = [address() for _ in range(6)]
    listening = [listener(endpoint) for endpoint in endpoints]
    config = settings(
        name="me", endpoints={"me": endpoints}, post_init_sleep=20, wait_for_subscriptions=1
    )
    over, heard = threading.Barrier(5), set()

    def work(number):
        fedmsg.init(**config)
        fedmsg.publish(topic=str(number), modname="t")
        over.wait(PATIENCE)
        fedmsg.destroy()

    in_threads(5, work)

    def all_heard():
        heard.update(frames[0][-1:] for each in listening for frames in each.arrived())
        return len(heard) == 5

    eventually(all_heard)
    assert heard == {b"0", b"1", b"2", b"3", b"4"}


def test_surplus_thread(address):
    """One endpoint fewer than threads: exactly one init raises IOError."""
    endpoints, over = [address() for _ in range(4)], threading.Barrier(5)

    def work(_number):
        try:
            fedmsg.init(**settings(name="me", endpoints={"me": endpoints}))
        finally:
            over.wait(PATIENCE)
            fedmsg.destroy()

    failed = [result for result in in_threads(5, work) if result is not None]
    assert [type(error) for error in failed] == [NoEndpointAvailable]


def test_numbers_are_unique(sent):
    """Four threads that share a context and publish 300 times each use 1,200 numbers."""
    context, messages = sent()

    def work(_number):
        for _ in range(300):
            context.publish(topic="a", modname="t")

    in_threads(4, work)
    assert sorted(each.message["i"] for each in messages) == list(range(1, 1201))


def test_frames_of_threads_are_not_mixed(make_context, relay, address):
    """Threads that share a context put whole messages on the wire."""
    there = relay(address())
    context = make_context(**relayed(there.endpoint, post_init_sleep=20))
    in_threads(4, lambda _: [context.publish(topic=str(n), modname="t") for n in range(300)])
    messages = [there.receive() for _ in range(1200)]
    assert all(json.loads(body)["topic"] == topic.decode() for topic, body in messages)


class TestPublish:
    """One message."""

    def test_envelope(self, sent):
        """Exactly the fields of the envelope, and frame 0 equals the topic."""
        context, messages = sent()
        context.publish(topic="a.b", msg={"x": 1}, modname="mod")
        topic, message = only(messages)
        assert (topic, message["topic"], message["msg"], message["i"], sorted(message)) == (
            "org.fedoraproject.dev.mod.a.b", topic, {"x": 1}, 1,
            ["i", "msg", "msg_id", "timestamp", "topic", "username"],
        )  # fmt: skip

    @pytest.mark.parametrize("msg", [None, {}, [], "", 0])
    def test_empty_payload(self, sent, msg):
        """Whatever is false is sent as an empty object."""
        context, messages = sent()
        context.publish(topic="a", msg=msg, modname="t")
        assert only(messages)[1]["msg"] == {}

    def test_defaults(self, sent):
        """Without arguments: unspecified, and the calling module."""
        context, messages = sent()
        context.publish()
        module = __name__.partition(".")[0]
        assert only(messages)[0] == f"org.fedoraproject.dev.{module}.unspecified"

    @pytest.mark.parametrize("arguments", [{"topic": b"a"}, {"topic": "a", "modname": b"m"}])
    def test_bytes_topic(self, sent, arguments):
        """A topic or module of bytes is a TypeError, and nothing is sent."""
        context, messages = sent()
        with pytest.raises(TypeError, match="must be text"):
            context.publish(**{"modname": "t", **arguments})
        assert messages == []

    @pytest.mark.parametrize("msg", [object(), {"a": b"x"}, {"a": {1: 1, "b": 2}}])
    def test_what_json_cannot_express(self, sent, msg):
        """A payload that JSON cannot express is a TypeError, and nothing is sent."""
        context, messages = sent()
        with pytest.raises(TypeError):
            context.publish(topic="a", msg=msg, modname="t")
        assert messages == []

    def test_number_of_a_failed_message(self, sent):
        """A number that a failed publish took is not used again."""
        context, messages = sent()
        with pytest.raises(TypeError):
            context.publish(topic="a", msg=object(), modname="t")
        context.publish(topic="a", modname="t")
        assert only(messages)[1]["i"] == 2

    def test_unknown_keywords_are_ignored(self, sent):
        """A whole configuration may be passed."""
        context, messages = sent()
        context.publish(topic="a", modname="t", **settings())
        assert len(messages) == 1

    def test_hook_changes_the_message(self, sent):
        """What pre_fire_hook adds is sent; its result is not looked at."""
        context, messages = sent()
        context.publish(topic="a", modname="t", pre_fire_hook=lambda m: m.update(extra=1) or 5)
        assert only(messages)[1]["extra"] == 1

    def test_hook_that_raises(self, sent):
        """An error in pre_fire_hook comes out of publish, and nothing is sent."""
        context, messages = sent()
        with pytest.raises(ZeroDivisionError):
            context.publish(topic="a", modname="t", pre_fire_hook=lambda message: 1 // 0)
        assert messages == []

    def test_send_message(self, sent):
        """The old name warns once and calls publish with three positional arguments."""
        context, _ = sent()
        calls = []
        context.publish = lambda *args, **kw: calls.append((args, kw))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            context.send_message("a", {"b": 1})
        assert ([str(each.message) for each in caught], calls) == (
            [".send_message is deprecated. Use .publish"], [(("a", {"b": 1}, None), {})],
        )  # fmt: skip
