"""Going on when a processor fails: what plug-ins raise is reported, and ends nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from .._limits import RateLimit

_log = logging.getLogger("fedmsg.meta")

#: One limit a class, so that a processor that fails for every message does not fill the log.
_limits: dict[str, RateLimit] = {}
#: Of an error's text, which a message can shape, so many characters are shown.
_SHOWN = 300


def safely(
    function: Callable[..., Any],
    msg: dict[str, Any],
    default: Any,
    config: Mapping[str, Any],
    processor: Any = None,
) -> Any:
    """Call a function such as ``msg2repr`` where the show must go on.

    Args:
        function: called with ``msg``, ``processor`` and the configuration.
        msg: a message from the bus, of any form.
        default: the answer if anything is raised; the error is reported.
        config: what ``make_processors`` had.
        processor: of this message; by default it is looked up.

    Returns:
        What the function returned, or the default.
    """
    from fedmsg import meta

    try:
        processor = processor or meta.msg2processor(msg, **config)
        return function(msg, processor=processor, **config)
    except Exception as error:
        report(processor, error)
        return default


def report(processor: Any, error: BaseException) -> None:
    """Log an error of a processor, at most once a minute for each class of processors.

    Control characters in its text, which may be that of a message, are shown as escapes.

    Args:
        processor: whose error it is; None if the message has none.
        error: what was raised.
    """
    cls = type(processor)
    name = "no processor" if processor is None else f"{cls.__module__}.{cls.__qualname__}"
    limit = _limits.setdefault(name, RateLimit())
    if limit.allow():
        more = f"; {limit.suppressed} more were not shown" if limit.suppressed else ""
        _log.warning("%s: %s%s%s", name, _described(error), _place(error), more)


def _described(error: BaseException) -> str:
    try:
        return ascii(error)[:_SHOWN]
    except Exception:  # its own __repr__ fails
        return type(error).__name__


def _place(error: BaseException) -> str:
    """Return the file and line where an error was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
