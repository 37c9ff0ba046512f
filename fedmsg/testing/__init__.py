"""For the tests of applications: what was published, a bus on the loopback interface, keys.

    >>> from fedmsg.testing import mock_sends
    >>> import fedmsg
    >>> with mock_sends("koji.build.complete"):
    ...     fedmsg.publish(topic="build.complete", modname="koji", msg={"package": "kernel"})

With pytest the same is there as fixtures: ``fedmsg_sent``, ``fedmsg_bus``, ``fedmsg_authority``.
"""

from __future__ import annotations

from ._authority import Authority
from ._bus import Bus, Received, loopback_bus
from ._capture import Sent, captured, mock_sends

__all__ = ["Authority", "Bus", "Received", "Sent", "captured", "loopback_bus", "mock_sends"]
