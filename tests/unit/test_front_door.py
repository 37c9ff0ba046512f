"""fedmsg.init, publish, destroy, tail_messages: one context a thread."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from unittest import mock

import pytest
from parts import PATIENCE, settings

import fedmsg
from fedmsg import config as config_module
from fedmsg.exceptions import AlreadyInitialized

QUIET = settings(mute=True)


def context():
    """Return the context of this thread, as applications do."""
    return getattr(getattr(fedmsg, "__local"), "__context")


def initialised():
    """Return whether this thread has a context, as applications do."""
    return hasattr(getattr(fedmsg, "__local"), "__context")


def in_thread(function):
    """Return the result of a function called in another thread."""
    result = []
    thread = threading.Thread(target=lambda: result.append(function()))
    thread.start()
    thread.join(PATIENCE)
    return result[0]


def test_init_returns_the_context():
    """init makes the context of this thread and returns it."""
    assert fedmsg.init(**QUIET) is context()


def test_init_twice():
    """A second init is a ValueError with the text of 1.1.7."""
    fedmsg.init(**QUIET)
    with pytest.raises(ValueError, match="^fedmsg already initialized") as caught:
        fedmsg.init(**QUIET)
    assert isinstance(caught.value, AlreadyInitialized)


def test_init_and_destroy_again_and_again(address):
    """init and destroy three times in a row, on the same port."""
    config = settings(name="me", endpoints={"me": address()})
    made = []
    for _ in range(3):
        made.append(fedmsg.init(**config))
        fedmsg.destroy()
    assert len({id(each) for each in made}) == 3


def test_init_after_the_contexts_own_destroy():
    """A context that was destroyed directly does not stand in the way of init."""
    fedmsg.init(**QUIET).destroy()
    assert fedmsg.init(**QUIET).context is not None


def test_failed_init_stores_nothing():
    """If the constructor raises there is no context, and the next call tries again."""
    with pytest.raises(KeyError):
        fedmsg.init(active=True, endpoints={}, name="nobody")
    assert not initialised()


def test_destroy_without_context():
    """destroy without a context makes none."""
    with mock.patch("fedmsg.FedMsgContext") as made:
        fedmsg.destroy()
    assert not made.called


def test_destroy_leaves_the_thread_uninitialised():
    """After destroy the attribute is gone."""
    fedmsg.init(**QUIET)
    fedmsg.destroy()
    assert not initialised()


def test_attribute_that_is_none():
    """None in the place of the context counts as uninitialised."""
    setattr(getattr(fedmsg, "__local"), "__context", None)
    assert fedmsg.init(**QUIET) is context()


def test_publish_initialises(relay, address):
    """The first publish makes the context, from its own keywords."""
    there = relay(address())
    fedmsg.publish(
        topic="t", msg={}, modname="m", name="relay_inbound", active=True, post_init_sleep=0,
        endpoints={}, relay_inbound=there.endpoint,
    )  # fmt: skip
    assert there.topics(1) == ["t"]


def test_publish_after_destroy_initialises_again(relay, address):
    """After destroy the next publish makes another context."""
    there = relay(address())
    config = settings(active=True, relay_inbound=there.endpoint)
    for name in ("a", "b"):
        fedmsg.publish(topic=name, msg={}, modname="m", **config)
        fedmsg.destroy()
    assert there.topics(2) == ["a", "b"]


def test_keywords_configure_only_once():
    """Once there is a context keywords configure nothing."""
    made = fedmsg.init(**QUIET)
    with mock.patch.object(fedmsg.FedMsgContext, "publish"):
        fedmsg.publish(topic="t", msg={}, environment="prod")
    assert (context() is made, made.c["environment"]) == (True, "dev")


def test_own_parameters_configure_nothing():
    """topic and msg of the first publish are no configuration."""
    with mock.patch.object(fedmsg.FedMsgContext, "publish"):
        fedmsg.publish(topic="t", msg={"a": 1}, **QUIET)
    assert {"topic", "msg"}.isdisjoint(context().c)


@pytest.mark.parametrize(
    ("args", "kw", "expected"),
    [
        (("t", {"a": 1}), {}, mock.call("t", {"a": 1})),
        ((), {"topic": "t", "msg": {}}, mock.call("t", {})),
        ((), {}, mock.call(None, None)),
        (("t",), {"modname": "m", "x": 1}, mock.call("t", None, modname="m", x=1)),
    ],
)
def test_publish_passes_exactly_its_arguments(args, kw, expected):
    """The context's method gets topic and msg by position, and the keywords given."""
    fedmsg.init(**QUIET)
    with mock.patch.object(fedmsg.FedMsgContext, "publish") as publish:
        fedmsg.publish(*args, **kw)
    assert publish.call_args == expected


def test_publish_replaced_by_tests_of_applications():
    """A replacement with the signature that tests use works."""
    calls = []

    def replacement(context, topic=None, msg=None, modname=None):
        calls.append((topic, msg, modname))

    fedmsg.init(**QUIET)
    with mock.patch.object(fedmsg.FedMsgContext, "publish", replacement):
        fedmsg.publish(topic="t", msg={}, modname="m")
    assert calls == [("t", {}, "m")]


def test_send_message():
    """send_message is publish itself."""
    assert fedmsg.send_message is fedmsg.publish


@pytest.mark.parametrize("name", ["publish", "destroy", "tail_messages"])
def test_documentation(name):
    """The functions carry the documentation of the methods."""
    assert getattr(fedmsg, name).__doc__ == getattr(fedmsg.FedMsgContext, name).__doc__


@pytest.mark.parametrize("replacement", [threading.local(), SimpleNamespace(), mock.Mock()])
def test_local_is_looked_up_at_each_call(replacement):
    """Tests put another object in the place of fedmsg.__local, with a context of their own."""
    fake = mock.Mock()
    setattr(replacement, "__context", fake)
    with mock.patch("fedmsg.__local", replacement):
        fedmsg.publish(topic="t", msg={})
    assert fake.publish.call_args == mock.call("t", {})


def test_threads_have_contexts_of_their_own():
    """What one thread initialised is not initialised in another."""
    fedmsg.init(**QUIET)
    assert in_thread(initialised) is False


def worker(**kw):
    """Make a context automatically, in a thread, and return its configuration."""

    def run():
        with mock.patch.object(fedmsg.FedMsgContext, "publish"):
            fedmsg.publish(topic="t", msg={}, **kw)
        found = dict(context().c)
        fedmsg.destroy()
        return found

    return in_thread(run)


def test_keywords_are_remembered_for_other_threads():
    """Threads that publish without init get the keywords of the explicit one."""
    fedmsg.init(**settings(mute=True, environment="stg"))
    assert worker()["environment"] == "stg"


def test_own_keywords_win_over_remembered_ones():
    """Keywords of the call itself come before remembered ones."""
    fedmsg.init(**settings(mute=True, environment="stg"))
    assert worker(environment="prod")["environment"] == "prod"


def test_explicit_init_starts_afresh():
    """Remembered keywords are not for another explicit init."""
    fedmsg.init(**settings(mute=True, environment="stg"))

    def run():
        found = fedmsg.init(mute=True, endpoints={}).c["environment"]
        fedmsg.destroy()
        return found

    assert in_thread(run) == "dev"


def test_keywords_of_publish_are_not_remembered():
    """What configured one thread automatically configures no other."""
    worker(**settings(mute=True, environment="stg"))
    assert worker(mute=True, endpoints={})["environment"] == "dev"


def test_keywords_of_a_failed_init_are_not_remembered():
    """Nor does what no context could be made from."""
    with pytest.raises(KeyError):
        fedmsg.init(active=True, endpoints={}, name="nobody", environment="stg")
    assert worker(mute=True, endpoints={})["environment"] == "dev"


@pytest.mark.filterwarnings("ignore:Using .load_config.:DeprecationWarning")
def test_invalidate_cache_forgets(config_file):
    """load_config(invalidate_cache=True) clears what was remembered."""
    fedmsg.init(**settings(mute=True, environment="stg"))
    config_module.load_config(invalidate_cache=True, filenames=[config_file(endpoints={})])
    assert worker(mute=True)["environment"] == "dev"


@pytest.mark.filterwarnings("ignore:Using .load_config.:DeprecationWarning")
def test_nothing_leaks_into_the_configuration(config_file):
    """init changes neither the remembered configuration nor the dict of its caller."""
    loaded = config_module.load_config(filenames=[config_file(endpoints={"a": ["tcp://h:1"]})])
    before = config_module.copy_config(loaded)
    fedmsg.init(active=True, relay_inbound="tcp://127.0.0.1:1", post_init_sleep=0, zmq_linger=0)
    assert config_module.load_config() == before


@pytest.mark.filterwarnings("ignore:Using .load_config.:DeprecationWarning")
@pytest.mark.parametrize("extra", [{}, {"name": "relay_inbound"}])
def test_init_with_a_loaded_configuration(config_file, extra):
    """Both usual forms work: init(**load_config()), and with a name beside it."""
    config_module.load_config(filenames=[config_file(endpoints={}, mute=True, post_init_sleep=0)])
    assert fedmsg.init(**extra, **config_module.load_config([], None)).context


def test_tail_initialises_at_the_call():
    """tail_messages makes the context before the first iteration."""
    tail = fedmsg.tail_messages(**QUIET)
    tail.close()
    assert initialised()


def test_tail_in_another_thread(publisher):
    """A generator belongs to the context of the thread that called, whoever iterates it."""
    there = publisher()
    fedmsg.init(**settings(mute=True, endpoints={"me": there.endpoint}))
    tail = fedmsg.tail_messages(topic="t")
    sending = threading.Thread(target=lambda: (there.joined(), there.send([b"t", b"{}"])))
    sending.start()
    heard = in_thread(lambda: next(tail))
    sending.join()
    tail.close()
    assert heard == ("me", there.endpoint, "t", {})
