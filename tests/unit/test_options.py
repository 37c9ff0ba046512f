"""The option table and the checks of values."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fedmsg import _option, options
from fedmsg.options import ABSENT, TABLE

NEW = ["max_message_size", "relay_outage_limit", "wait_for_subscriptions", "relay_required"]


def test_conf_has_48_options():
    """Exactly the 48 keys of 1.1.7 belong to conf."""
    assert sum(option.in_conf for option in TABLE.values()) == 48


def test_names_are_unique():
    """No row hides another one."""
    assert len(TABLE) == len(options._ROWS)


@pytest.mark.parametrize("name", TABLE)
def test_row_is_complete(name):
    """Every row has a section, and a one-line text that does not end as a sentence."""
    option = TABLE[name]
    assert option.section
    assert option.doc and "\n" not in option.doc and not option.doc.endswith(".")


@pytest.mark.parametrize("name", [name for name, option in TABLE.items() if option.in_conf])
def test_default_passes_its_check(name):
    """A default is stored as it is."""
    option = TABLE[name]
    assert option.check(option.default) == option.default


def test_loaded_defaults_are_conf_options():
    """load_config has no default for a key that conf does not know."""
    assert all(option.in_conf for option in TABLE.values() if option.loaded is not ABSENT)


@pytest.mark.parametrize("name", NEW)
def test_new_options_are_not_in_conf(name):
    """Options that 1.1.7 did not have stay out of conf, and have a fallback."""
    assert not TABLE[name].in_conf
    assert TABLE[name].fallback is not ABSENT


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_message_size", 16777216),
        ("relay_outage_limit", 100000),
        ("wait_for_subscriptions", 0),
        ("relay_required", False),
        ("zmq_enabled", True),
        ("validate_signatures", False),
        ("timeout", 2),
        ("cert_prefix", None),
    ],
)
def test_get_falls_back(name, value):
    """A missing key and None give the documented fallback."""
    assert options.get({}, name) == value
    assert options.get({name: None}, name) == value


def test_get_prefers_the_configuration():
    """A configured value wins, false values too."""
    assert options.get({"max_message_size": 0}, "max_message_size") == 0
    assert options.get({"zmq_enabled": False}, "zmq_enabled") is False


def test_get_leaves_old_options_as_they_are():
    """Values that 1.1.7 used unchecked are not converted."""
    assert options.get({"zmq_enabled": 1}, "zmq_enabled") == 1


def test_get_converts_new_options():
    """A number written as text is understood."""
    assert options.get({"max_message_size": "5"}, "max_message_size") == 5


def test_get_names_the_wrong_key():
    """A wrong value of a new option is a ValueError with the name of the key."""
    with pytest.raises(ValueError, match="'relay_outage_limit': Integer must be greater"):
        options.get({"relay_outage_limit": -1}, "relay_outage_limit")


def test_get_unknown_option():
    """Only options of the table can be read."""
    with pytest.raises(KeyError):
        options.get({"x": 1}, "x")


@pytest.mark.parametrize(("value", "stored"), [("5", 5), (3.7, 3), (True, 1), (0, 0)])
def test_integer(value, stored):
    """An integer is whatever int() takes."""
    assert _option.integer(value) == stored


@pytest.mark.parametrize("value", [-1, "one", None, float("inf"), float("nan"), [1]])
def test_integer_rejects(value):
    """Other values are a ValueError or TypeError, never another one."""
    with pytest.raises((ValueError, TypeError)):
        _option.integer(value)


@pytest.mark.parametrize("value", [-0.1, "nan", float("nan"), float("inf"), 10**400, None])
def test_real_rejects(value):
    """Negative and non-finite numbers are refused."""
    with pytest.raises((ValueError, TypeError)):
        _option.real(value)


@pytest.mark.parametrize(
    ("value", "stored"), [(True, True), (" true", True), (" FALSE ", False), (False, False)]
)
def test_boolean(value, stored):
    """The two words are understood in any case, with blanks around them."""
    assert _option.boolean(value) is stored


@pytest.mark.parametrize(
    ("value", "text"),
    [("yes", '"yes" must be a boolean ("True" or "False")'), (1, '"1" is not a boolean value.')],
)
def test_boolean_rejects(value, text):
    """Other words and other types have each their own text."""
    with pytest.raises(ValueError) as caught:
        _option.boolean(value)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("check", "value", "text"),
    [
        (_option.text, 5, '"5" is not "<class \'str\'>"'),
        (_option.array, (), '"()" is not "<class \'list\'>"'),
        (_option.mapping, "x", '"x" is not "<class \'dict\'>"'),
        (_option.text_or_list, [1], '"[1]" is not "<class \'str\'>"'),
    ],
)
def test_types_are_named(check, value, text):
    """A value of the wrong type is quoted with the type that is wanted."""
    assert check(None) is None
    with pytest.raises(ValueError) as caught:
        check(value)
    assert str(caught.value) == text


def test_addresses_become_lists():
    """One address, a tuple, a set and None all become lists."""
    assert _option.addresses({"a": "x", "b": ("x", "y"), "c": {"x"}, "d": None}) == {
        "a": ["x"],
        "b": ["x", "y"],
        "c": ["x"],
        "d": [],
    }


@pytest.mark.parametrize("value", [None, [], {"a": 5}, {"a": [5]}, {"a": {"b": "c"}}, {5: "x"}])
def test_addresses_rejects(value):
    """Anything else is refused."""
    with pytest.raises(ValueError):
        _option.addresses(value)


@pytest.mark.parametrize("value", ["tcp://h:1", ["tcp://h:1", "tcp://h:2"], None])
def test_relay_inbound_may_be_a_list(value):
    """relay_inbound is one address or several."""
    assert TABLE["relay_inbound"].check(value) == value


def test_options_is_a_leaf():
    """Importing the table pulls in nothing expensive."""
    code = (
        "import sys, fedmsg.options;"
        "print([name for name in ('logging.config', 'importlib.metadata', 'urllib', 'asyncio',"
        " 'dataclasses', 'inspect', 'argparse', 'zmq') if name in sys.modules])"
    )
    code = "import sys; sys.modules['fedmsg'] = type(sys)('fedmsg');" + code
    code = code.replace("import sys, fedmsg.options", _BARE_PACKAGE + "import fedmsg.options")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


_BARE_PACKAGE = f"sys.modules['fedmsg'].__path__ = {[options.__file__.rpartition('/')[0]]!r};"
