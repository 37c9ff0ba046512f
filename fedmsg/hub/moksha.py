"""Hosting plug-ins that were written for Moksha, where the package moksha.hub is installed.

Nothing here imports Moksha: a plug-in does.  Then ``moksha.hub._hub`` is our hub, and Twisted's
reactor, which such plug-ins start their threads with, runs in the main thread.  Stopping the one
stops the other.
"""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any

_log = logging.getLogger("moksha.hub")

#: How often the reactor looks whether the hub is alive, seconds.
_LOOK = 1.0


def is_loaded() -> bool:
    """True if a plug-in, or the program, has imported moksha.hub."""
    return "moksha.hub" in sys.modules


def adopt(hub: Any) -> None:
    """Make a hub the one that ``moksha.hub._hub`` refers to, if Moksha is loaded; None for none."""
    module: Any = sys.modules.get("moksha.hub")
    if module is not None:
        module._hub = hub


def uses_reactor() -> bool:
    """True if the reactor has to run for a plug-in."""
    return "twisted.internet.reactor" in sys.modules


def threads_of(hub: Any) -> int:
    """Return the number of threads that plug-ins may want of the reactor (hub.md 1)."""
    configured = hub.config.get("moksha.threadpool_size")
    if configured:
        return int(configured)
    workers = int(hub.config.get("moksha.workers_per_consumer", 1))
    return 1 + len(hub.producers) + len(hub.consumers) * workers


def run_reactor(hub: Any, stop: threading.Event) -> None:
    """Run the reactor until it is stopped, ``stop`` is set, or the hub has ended; main thread only.

    Args:
        hub: has been started.
        stop: set by signals.
    """
    from twisted.internet import reactor as found

    reactor: Any = found
    reactor.suggestThreadPoolSize(threads_of(hub))

    def look() -> None:
        if stop.is_set() or not hub.running:
            reactor.stop()
        else:
            reactor.callLater(_LOOK, look)

    def wait() -> None:
        stop.wait()
        # Stopped already, by a plug-in: nothing left to do.
        if reactor.running:
            reactor.callFromThread(look)

    threading.Thread(target=wait, name="fedmsg-hub-reactor-stop", daemon=True).start()
    reactor.callWhenRunning(look)
    # Ours handle signals: they end the hub in order.
    reactor.run(installSignalHandlers=False)
    stop.set()
