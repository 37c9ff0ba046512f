"""What consumers and producers have in common."""

from __future__ import annotations

import logging
from typing import Any

from .._visible import one_line


class Plugin:
    """Has a hub to send through, and perhaps a database.

    Attributes:
        app: if set, ``engine`` and ``DBSession`` are those of the database ``app_db``.
    """

    hub: Any
    log: logging.Logger
    app: Any = None
    engine: Any = None
    DBSession: Any = None

    def send_message(self, topic: str, message: Any) -> None:
        """Send a message through the hub; a failure is logged."""
        try:
            self.hub.send_message(topic, message)
        except Exception as error:
            self.log.error("Cannot send message on %s: %s", one_line(topic), one_line(error))

    def stop(self) -> None:
        """Close the hub and the database session; also after a constructor that returned early."""
        hub = getattr(self, "hub", None)
        if hub is not None and hasattr(hub, "close"):
            hub.close()
        if self.DBSession is not None:
            self.DBSession.close()
