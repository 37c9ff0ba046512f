"""Every error that fedmsg raises on purpose, in one tree.

Each class also derives from the built-in that 1.1.7 raised in the same place, so that an
``except`` clause written for it keeps working::

    FedmsgError
     +-- ConfigurationError      (ValueError)      a setting is wrong; the text names it
     |    +-- MissingEndpoints                     no ``endpoints`` in any file
     |    +-- MissingConfigName  (KeyError)        a file binds no ``config``
     |    +-- ConfigFileError                      the code of a file fails
     |    +-- MissingKey         (KeyError)        a command needs a key that is not there
     +-- AlreadyInitialized      (ValueError)      ``init`` twice in one thread
     +-- MissingRelay            (KeyError)        active, and no address to connect to
     +-- NoEndpointAvailable     (OSError)         every address of a name failed to bind
     +-- RelayUnavailable        (OSError)         no relay answered in time
     +-- BrokerRefused           (PermissionError) a STOMP broker said no
     +-- NotConfirmed            (TimeoutError)    a STOMP broker did not confirm in time
     +-- StoreError              (OSError)         the persistent store failed
     +-- ReplayUnavailable       (OSError, ValueError)  a replay service cannot be asked
     +-- NoPublisher             (AttributeError)  publish on a context that cannot send
     +-- MissingDependency       (ImportError)     an extra is not installed
     +-- crypto.gpg.GpgBinaryError                 gpg failed, or a signature is not good
     +-- FrameError              (ValueError)      a received message has the wrong form
     +-- ValidationError                           a received message was rejected
"""

from __future__ import annotations

from typing import Any


class FedmsgError(Exception):
    """Root of the tree.  Catch it to handle whatever fedmsg itself reports."""

    # KeyError shows the repr of its argument; a sentence should read as one.
    __str__ = Exception.__str__


class ConfigurationError(FedmsgError, ValueError):
    """A configuration value is wrong or missing.  Correct the key that the text names."""


class MissingEndpoints(ConfigurationError):
    """No configuration file gave ``endpoints``.

    Attributes:
        config: what was loaded without them.
        files: names of the files that were read, in order; empty if none was found.
    """

    def __init__(self, text: str, config: dict[str, Any], files: list[str]) -> None:
        super().__init__(text)
        self.config = config
        self.files = files


class MissingConfigName(ConfigurationError, KeyError):
    """A configuration file does not bind ``config`` to a dict."""


class ConfigFileError(ConfigurationError):
    """The code of a configuration file fails, or is no code; ``__cause__`` is its own error.

    Attributes:
        reason: name of the error's type, and the line if it is known.
    """

    def __init__(self, fname: str, line: int | None, error: Exception) -> None:
        where = "" if line is None else f", line {line}"
        name = type(error).__name__
        super().__init__(f"{fname}{where}: {name}: {getattr(error, 'msg', None) or error}")
        self.reason = name if line is None else f"{name} in line {line}"


class MissingKey(ConfigurationError, KeyError):
    """A command needs a configuration key that no file sets."""


class AlreadyInitialized(FedmsgError, ValueError):
    """This thread has a context already.  Call ``fedmsg.destroy()`` first."""


class MissingRelay(FedmsgError, KeyError):
    """``active`` is set, and the configuration has no address for the relay."""


class NoEndpointAvailable(FedmsgError, OSError):
    """None of the addresses of a name could be bound.  Add more to ``endpoints``."""


class RelayUnavailable(FedmsgError, OSError):
    """No relay subscribed within the time allowed; the message was not sent."""


class BrokerRefused(FedmsgError, PermissionError):
    """A STOMP broker answered with an ERROR, or its certificate is not acceptable.

    Attributes:
        destination: of the message that was refused; empty if it was the connection.
    """

    def __init__(self, text: str, destination: str = "") -> None:
        super().__init__(text)
        self.destination = destination


class NotConfirmed(FedmsgError, TimeoutError):
    """So many messages wait for a STOMP broker that no other was accepted; it was not sent.

    Attributes:
        unconfirmed: how many.
    """

    def __init__(self, text: str, unconfirmed: int) -> None:
        super().__init__(text)
        self.unconfirmed = unconfirmed


class StoreError(FedmsgError, OSError):
    """The ``persistent_store`` failed; what was being published was not sent."""


class ReplayUnavailable(FedmsgError, OSError, ValueError):
    """A replay service has no address, cannot be reached, or did not answer in time."""


class NoPublisher(FedmsgError, AttributeError):
    """The context has no way to send: muted, without endpoint, or destroyed."""


class MissingDependency(FedmsgError, ImportError):
    """A package outside the base installation is needed; the text names the extra."""


class FrameError(FedmsgError, ValueError):
    """Frames that are not a bus message.

    Attributes:
        reason: short fixed text under which the occurrence is counted.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class ValidationError(FedmsgError):
    """A message from the bus was rejected.

    Attributes:
        msg: the offending message, or the raw frames if they could not be decoded.
    """

    def __init__(self, msg: Any) -> None:
        super().__init__(msg)
        self.msg = msg
