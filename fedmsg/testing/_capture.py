"""What an application publishes, as a list, and as an expectation."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .. import _signing, envelope
from ..transports.memory import MemoryTransport
from ._redirect import redirected


class Sent(NamedTuple):
    """One message that was published.

    Attributes:
        topic: the full topic.
        msg: the payload, as a subscriber gets it.
        message: the whole message, with ``topic``, ``msg``, ``msg_id`` and so on.
    """

    topic: str
    msg: Any
    message: dict[str, Any]

    @classmethod
    def decoded(cls, topic: bytes, body: bytes) -> Sent:
        """Return what the two frames of a message are."""
        full, message = envelope.decode((topic, body))
        return cls(full, message.get("msg"), message)


Check = Callable[[Sent], Any]
Expected = str | dict[str, Any] | Check | tuple[Any, ...] | None


@contextlib.contextmanager
def captured() -> Iterator[list[Sent]]:
    """Keep what any thread of this process publishes from leaving, and give it as a list.

    No socket is opened for it, no relay or certificate is needed, and nothing is stored:
    ``sign_messages`` and ``persistent_store`` have no effect.  Everything else is done as usual,
    so that a payload that JSON cannot express is an error.  Processes that the application starts
    are not seen.
    """
    recorder = MemoryTransport(Sent.decoded)
    with _unsigned(), redirected(recorder):
        yield recorder.sent


_patches = 0
_lock = threading.Lock()
_real = (_signing.require, _signing.store_and_sign)


@contextlib.contextmanager
def _unsigned() -> Iterator[None]:
    """Do without keys and stores; may be nested."""
    global _patches
    with _lock:
        _patches += 1
        _signing.require = lambda config: None
        _signing.store_and_sign = lambda message, config, hostname: message
    try:
        yield
    finally:
        with _lock:
            _patches -= 1
            if not _patches:
                _signing.require, _signing.store_and_sign = _real


@contextlib.contextmanager
def mock_sends(*expected: Expected) -> Iterator[list[Sent]]:
    """Fail unless the block publishes exactly the messages that are expected, in this order.

    The messages do not leave the process, see :func:`captured`; they are given as a list.

    Args:
        expected: one for each message; none, or a single None, if nothing may be published.

            - a str: the topic, in full, or its end after a dot, such as ``"build.complete"``;
            - a dict: the payload, equal to what a subscriber gets;
            - a callable: called with the :class:`Sent`; it fails with an error, or by returning
              False;
            - a tuple of these: all of them hold for one message.

    Raises:
        AssertionError: a message is missing, unexpected, or differs; the text shows both lists.
        TypeError: an expectation is none of the above; nothing was run.
    """
    wanted = () if expected == (None,) else expected
    for each in wanted:
        _check_form(each)
    with captured() as sent:
        yield sent
    for number, (want, got) in enumerate(zip(wanted, sent, strict=False), 1):
        problem = _problem(want, got)
        if problem:
            raise AssertionError(_report(f"message {number} {problem}", wanted, sent))
    if len(sent) != len(wanted):
        missing = len(wanted) - len(sent)
        text = f"{missing} missing" if missing > 0 else f"{-missing} not expected"
        raise AssertionError(_report(f"{text}", wanted, sent))


def _check_form(want: Any) -> None:
    if isinstance(want, tuple):
        for each in want:
            _check_form(each)
    elif not isinstance(want, (str, dict)) and not callable(want):
        raise TypeError(
            f"mock_sends() cannot expect {want!r}: give a topic (str), a payload (dict), a callable"
            " or a tuple of these for each message; nothing, or None alone, for no message"
        )


def _problem(want: Any, got: Sent) -> str:
    """Return in which way a message is not what was expected, empty if it is."""
    if isinstance(want, tuple):
        return next(filter(None, (_problem(each, got) for each in want)), "")
    if isinstance(want, str):
        same = got.topic == want or got.topic.endswith(f".{want}")
        return "" if same else f"has the topic {got.topic!r}, not {want!r}"
    if isinstance(want, dict):
        return "" if got.msg == want else f"has the payload {got.msg!r}, not {want!r}"
    return f"does not satisfy {_name(want)}" if want(got) is False else ""


def _name(want: Any) -> str:
    return getattr(want, "__qualname__", None) or repr(want)


def _report(summary: str, wanted: tuple[Any, ...], sent: list[Sent]) -> str:
    lines = [f"mock_sends: {summary}", f"expected {len(wanted)}:"]
    lines += [f"  {_name(each) if callable(each) else repr(each)}" for each in wanted]
    lines += [f"published {len(sent)}:", *(f"  {each.topic} {each.msg!r}" for each in sent)]
    return "\n".join(lines)
