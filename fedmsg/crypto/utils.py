"""Policy, and CA certificates and revocation lists from files or https.

Specification: crypto.md 4, D7, D8.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from typing import Any

from .._bounded import bounded
from .._limits import RateLimit
from .._visible import one_line
from . import policy

_log = logging.getLogger("fedmsg.crypto")

#: Location of a CA, or of a CA and a CRL, to their PEM texts.
_cached_certificates: dict[Any, tuple[str, str | None]] = {}

#: Seconds since the epoch, and seconds on a clock that never jumps; tests put others here.
now = time.time
elapsed = time.monotonic

#: Files are looked at once in so many seconds.
_LOOK_AT_FILES = 1.0
#: A forced or failed download is repeated after so many seconds.
_BETWEEN_DOWNLOADS = 60.0
_DOWNLOAD_TIMEOUT = 30.0
_DOWNLOAD_RETRIES = 3
#: The largest CA bundle or CRL, in bytes.
_MOST_BYTES = 16 * 2**20
#: Default of ``crl_cache_expiry``, seconds.
CRL_EXPIRY = 3600


validate_policy = policy.allowed
"""Its name in 1.1.7."""


class _Source:
    """What is known of one location.

    Attributes:
        text: its content; None before the first success.
        mark: of a file, what changes when its content does.
        tried: when loading was last tried (``elapsed``); None if never.
        error: why the last try failed, or an empty text.
    """

    def __init__(self) -> None:
        self.text: str | None = None
        self.mark: Any = None
        self.tried: float | None = None
        self.error = ""
        self.reports = RateLimit()


class _Entry:
    """A row of the memo that this module wrote: ``pair`` is the very object in the memo."""

    def __init__(self, key: Any, pair: tuple[str, str | None], looked: float) -> None:
        self.key, self.pair, self.looked = key, pair, looked


def _key(ca_location: str, crl_location: str | None) -> Any:
    """Return the key of two locations in the memo."""
    return ca_location if crl_location is None else (ca_location, crl_location)


def row_of(ca_location: str, crl_location: str | None) -> _Entry | None:
    """Return the row of two locations, if this module wrote it."""
    return _entries.get(_key(ca_location, crl_location))


def is_current(row: _Entry) -> bool:
    """Return whether a row is still in the memo, and its files were looked at just now."""
    if not 0 <= elapsed() - row.looked < _LOOK_AT_FILES:
        return False
    return _cached_certificates.get(row.key) is row.pair


_sources: dict[str, _Source] = {}
_entries: dict[Any, _Entry] = {}
#: One for each row of the memo: a slow server holds up nobody who needs files only.
_locks: dict[Any, threading.Lock] = {}

if hasattr(os, "register_at_fork"):
    # The thread that was loading is not in the child.
    os.register_at_fork(after_in_child=_locks.clear)


def load_certificates(
    ca_location: str,
    crl_location: str | None = None,
    invalidate_cache: bool = False,
    *,
    crl_expiry: float = CRL_EXPIRY,
    ca_expiry: float = 0,
) -> tuple[str, str | None]:
    """Return the PEM texts of a CA and of its revocation list.

    A changed file is noticed within a second.  A URL is loaded again when its content has reached
    the age given, or when that is forced, at most once a minute.  If loading again fails, the old
    content stays in use, and the log says so.

    Args:
        ca_location: path, or URL that begins with ``https://``.
        crl_location: the same for the list; None for no list.
        invalidate_cache: load again, even if the content is not old.
        crl_expiry: age at which a list is loaded again, seconds; 0 is never.
        ca_expiry: the same for the CA.

    Returns:
        Two texts; the second is None without a location.

    Raises:
        OSError: a file cannot be read or a download failed (requests' errors are OSErrors), and
            there is no old content.
        ValueError: the content is not ASCII text.
    """
    key = _key(ca_location, crl_location)
    pair, entry, moment = _cached_certificates.get(key), _entries.get(key), elapsed()
    if pair is not None and not invalidate_cache:
        if entry is None or entry.pair is not pair:
            return pair  # somebody else's, of unknown age
        if 0 <= moment - entry.looked < _LOOK_AT_FILES:
            return pair
    # Whoever has an old pair does not wait for the thread that is loading a new one.
    lock = _locks.setdefault(key, threading.Lock())
    if not lock.acquire(blocking=pair is None):
        return pair  # type: ignore[return-value]
    try:
        if pair is None and key in _cached_certificates:  # by the thread that was waited for
            return _cached_certificates[key]
        if pair is None or entry is None or entry.pair is not pair:
            _forget(key, ca_location, crl_location)
        ca = _content(ca_location, ca_expiry, invalidate_cache)
        crl = None if crl_location is None else _content(crl_location, crl_expiry, invalidate_cache)
        if pair is None or pair != (ca, crl):
            pair = (ca, crl)
        # The same object as before if nothing has changed: what is made from it stays valid.
        _cached_certificates[key] = pair
        _entries[key] = _Entry(key, pair, moment)
    finally:
        lock.release()
    return pair


def _forget(key: Any, *locations: str | None) -> None:
    """Forget the contents of locations whose row in the memo is gone; not that they failed.

    What another row uses is kept: it would have nothing if loading failed now.
    """
    others = {each for row in list(_entries) if row != key for each in _parts(row)}
    for location in locations:
        if location in others:
            continue
        source = _sources.get(location) if location is not None else None
        if source is not None and source.text is not None:
            del _sources[location]  # type: ignore[arg-type]


def _parts(key: Any) -> tuple[str, ...]:
    return key if isinstance(key, tuple) else (key,)


def _content(location: str, expiry: float, forced: bool) -> str:
    """Return the content of one location, loaded again where that is due."""
    source = _sources.setdefault(location, _Source())
    moment, remote = elapsed(), location.startswith("https://")
    mark = None if remote else _mark(location)
    if remote:
        ago = float("inf") if source.tried is None else moment - source.tried
        recent = ago < _BETWEEN_DOWNLOADS
        if recent and source.text is None:
            raise OSError(f"{location}: {source.error} (tried again after a minute)")
        due = (source.text is None or forced) and not recent
        # A short expiry is obeyed, too; a server that fails is not asked more often than that.
        due = due or bool(expiry) and ago >= expiry
    else:
        due = source.text is None or mark is None or mark != source.mark
    if not due:
        return source.text  # type: ignore[return-value]
    source.tried = moment
    try:
        source.text = _load_certificate(location)
    except (OSError, ValueError) as error:
        source.error = one_line(error) or type(error).__name__
        if source.text is None:
            raise
        if source.reports.allow():
            _log.error(
                "%s cannot be loaded again, its old content is used: %s", location, source.error
            )
    else:
        source.mark, source.error = mark, ""
    return source.text


def _mark(path: str) -> Any:
    """Return what changes when a file does, None if it is not there."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def _load_certificate(location: str) -> str:
    """Return the text at a location: a file, or a URL that begins with ``https://``.

    Raises:
        OSError: it cannot be read; requests' errors, a bad status among them, are OSErrors.
        ValueError: it is not ASCII, or larger than 16 MiB.
    """
    if location.startswith("https://"):
        data = _download(location)
    else:
        with open(location, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ValueError(f"{location} is larger than {_MOST_BYTES} bytes")
    try:
        return data.decode("ascii")
    except UnicodeDecodeError as error:
        raise ValueError(f"{location} is not ASCII text, as PEM is: {error}") from None


def _download(url: str) -> bytes:
    """Return what is at a URL, within the time allowed whatever the server does.

    Raises:
        OSError: it cannot be had.
    """
    # A server that sends a byte a second never exceeds a limit of the library's.
    try:
        return bounded(lambda: _fetch(url), _DOWNLOAD_TIMEOUT)
    except TimeoutError as error:
        raise OSError(f"{url} took longer than {_DOWNLOAD_TIMEOUT:g} s") from error


def _fetch(url: str) -> bytes:
    try:
        import requests
        from requests.adapters import HTTPAdapter
    except ImportError as error:
        raise OSError(f"{url} needs requests: pip install '.[crypto]'") from error
    deadline = elapsed() + _DOWNLOAD_TIMEOUT
    with requests.Session() as session:
        session.mount("https://", HTTPAdapter(max_retries=_DOWNLOAD_RETRIES))
        del session.adapters["http://"]  # a redirection must not leave https
        with session.get(url, timeout=_DOWNLOAD_TIMEOUT, stream=True) as response:
            response.raise_for_status()
            data = bytearray()
            for chunk in response.iter_content(4096):
                data += chunk
                if len(data) > _MOST_BYTES:
                    break
                if elapsed() > deadline:
                    raise OSError(f"{url} took longer than {_DOWNLOAD_TIMEOUT:g} s")
            return bytes(data)


def fix_datagrepper_message(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message from datagrepper's archive as it was signed.

    Args:
        message: the archived copy; it is not changed.

    Returns:
        The same object if it is no such copy, else a copy without what the archive added.
    """
    if "source_name" not in message or "source_version" not in message:
        return message
    fixed = {k: v for k, v in message.items() if k not in ("source_name", "source_version")}
    if not fixed.get("headers", True):
        del fixed["headers"]
    # Otherwise it is left as it is, and will not verify.
    with contextlib.suppress(KeyError, TypeError, ValueError, OverflowError):
        fixed["timestamp"] = int(fixed["timestamp"])
    return fixed
