"""Base classes for the tests of packages that have processors.  Specification: meta.md, section 7.

A test of one message is a subclass of :class:`Base` that says what the processor should make of it;
what it does not say is skipped.

    class TestPush(Base):
        msg = {"topic": "org.fedoraproject.dev.git.push", "msg": {"user": "ralph"}}
        expected_title = "git.push"
        expected_usernames = {"ralph"}
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import unittest
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any, TypeVar

import fedmsg.config
import fedmsg.meta

__all__ = [
    "Base",
    "ConglomerateBase",
    "Unspecified",
    "UnspecifiedType",
    "skip_if_fedmsg_meta_FI_is_present",
    "skip_on",
]

_Test = TypeVar("_Test", bound=Callable[..., Any])

_CONFIG = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fedmsg-test-config.py")


class UnspecifiedType:
    """The type of :data:`Unspecified`."""

    _only: UnspecifiedType | None = None

    def __new__(cls) -> UnspecifiedType:
        if cls._only is None:
            cls._only = super().__new__(cls)
        return cls._only

    def __repr__(self) -> str:
        return "Unspecified"


Unspecified: Any = UnspecifiedType()
"""The value of what a test does not say; compare with ``is``, for None says something."""

skip_if_fedmsg_meta_FI_is_present = unittest.skipIf(
    find_spec("fedmsg_meta_fedora_infrastructure") is not None,
    "fedmsg_meta_fedora_infrastructure is installed",
)
"""Skips a test that holds only while no other package has processors."""


def skip_on(attributes: Iterable[str]) -> Callable[[_Test], _Test]:
    """Decorate a test so that it is skipped if one of these attributes is Unspecified."""
    names = list(attributes)

    def decorate(test: _Test) -> _Test:
        @functools.wraps(test)
        def wrapper(self: Any) -> Any:
            for name in names:
                if getattr(self, name) is Unspecified:
                    raise unittest.SkipTest(f"{name!r} left unspecified")
            return test(self)

        return wrapper  # type: ignore[return-value]

    return decorate


def _load() -> dict[str, Any]:
    """Load the configuration of tests, and make the processors."""
    config = fedmsg.config.load_config(filenames=[_CONFIG], invalidate_cache=True)
    config["topic_prefix"] = "org.fedoraproject"
    config["topic_prefix_re"] = r"^org\.fedoraproject\.(dev|stg|prod)"
    fedmsg.meta.make_processors(**config)
    return config


class Base(unittest.TestCase):
    """Compares what is made of :attr:`msg` with what is expected.

    Attributes:
        msg: a message.
        expected_subjective: user to sentence; the others are the answers of the ``msg2...``
            functions.
        config: what these get.
    """

    msg: Any = Unspecified
    expected_title: Any = Unspecified
    expected_subti: Any = Unspecified
    expected_subjective: Any = Unspecified
    expected_link: Any = Unspecified
    expected_icon: Any = Unspecified
    expected_secondary_icon: Any = Unspecified
    expected_usernames: Any = Unspecified
    expected_agent: Any = Unspecified
    expected_packages: Any = Unspecified
    expected_objects: Any = Unspecified
    expected_emails: Any = Unspecified
    expected_avatars: Any = Unspecified
    expected_long_form: Any = Unspecified

    maxDiff = None

    def setUp(self) -> None:
        self.config = _load()

    def _equals(self, actual: Any, expected: Any, multiline: bool = False) -> None:
        """Fail, and print which test this is, unless both are equal."""
        try:
            (self.assertMultiLineEqual if multiline else self.assertEqual)(actual, expected)
        except AssertionError:
            where = inspect.getsourcefile(type(self))
            print(f"{type(self).__name__} in {where} failed", file=sys.stderr)
            raise

    @skip_on(["msg", "expected_title"])
    def test_title(self) -> None:
        """The title is the expected one."""
        self._equals(fedmsg.meta.msg2title(self.msg, **self.config), self.expected_title)

    @skip_on(["msg", "expected_long_form"])
    def test_long_form(self) -> None:
        """The long form is the expected one."""
        actual = fedmsg.meta.msg2long_form(self.msg, **self.config)
        self._equals(actual, self.expected_long_form, multiline=True)

    @skip_on(["msg", "expected_subti"])
    def test_subtitle(self) -> None:
        """The subtitle is the expected one."""
        self._equals(fedmsg.meta.msg2subtitle(self.msg, **self.config), self.expected_subti)

    @skip_on(["msg", "expected_subjective"])
    def test_subjective(self) -> None:
        """The sentence for every user named is the expected one."""
        for subject, expected in self.expected_subjective.items():
            actual = fedmsg.meta.msg2subjective(self.msg, subject=subject, **self.config)
            self._equals(actual, expected)

    @skip_on(["msg", "expected_link"])
    def test_link(self) -> None:
        """The link is the expected one."""
        self._equals(fedmsg.meta.msg2link(self.msg, **self.config), self.expected_link)

    @skip_on(["msg", "expected_icon"])
    def test_icon(self) -> None:
        """The icon is the expected one."""
        self._equals(fedmsg.meta.msg2icon(self.msg, **self.config), self.expected_icon)

    @skip_on(["msg", "expected_secondary_icon"])
    def test_secondary_icon(self) -> None:
        """The secondary icon is the expected one."""
        actual = fedmsg.meta.msg2secondary_icon(self.msg, **self.config)
        self._equals(actual, self.expected_secondary_icon)

    @skip_on(["msg", "expected_usernames"])
    def test_usernames(self) -> None:
        """The users are the expected ones."""
        self._equals(fedmsg.meta.msg2usernames(self.msg, **self.config), self.expected_usernames)

    @skip_on(["msg", "expected_agent"])
    def test_agent(self) -> None:
        """The agent is the expected one."""
        self._equals(fedmsg.meta.msg2agent(self.msg, **self.config), self.expected_agent)

    @skip_on(["msg", "expected_packages"])
    def test_packages(self) -> None:
        """The packages are the expected ones."""
        self._equals(fedmsg.meta.msg2packages(self.msg, **self.config), self.expected_packages)

    @skip_on(["msg", "expected_objects"])
    def test_objects(self) -> None:
        """The objects are the expected ones."""
        self._equals(fedmsg.meta.msg2objects(self.msg, **self.config), self.expected_objects)

    @skip_on(["msg", "expected_emails"])
    def test_emails(self) -> None:
        """The addresses are the expected ones."""
        self._equals(fedmsg.meta.msg2emails(self.msg, **self.config), self.expected_emails)

    @skip_on(["msg", "expected_avatars"])
    def test_avatars(self) -> None:
        """The images of users are the expected ones."""
        self._equals(fedmsg.meta.msg2avatars(self.msg, **self.config), self.expected_avatars)


class ConglomerateBase(unittest.TestCase):
    """Compares what several messages are merged into with what is expected.

    Attributes:
        originals: the messages.
        expected: the entries; their ``msg_ids`` are not compared.
        subject: the user whom the texts address, if any.
    """

    originals: Any = Unspecified
    expected: Any = Unspecified
    subject: str | None = None

    maxDiff = None

    def setUp(self) -> None:
        self.config = _load()
        for entry in [] if self.expected is Unspecified else self.expected:
            entry.pop("msg_ids", None)

    @skip_on(["originals", "expected"])
    def test_conglomerate(self) -> None:
        """The entries are the expected ones."""
        actual = fedmsg.meta.conglomerate(list(self.originals), self.subject, **self.config)
        for entry in actual:
            entry.pop("msg_ids", None)
        self.assertEqual(actual, self.expected)
