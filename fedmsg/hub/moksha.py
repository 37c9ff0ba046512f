"""Hosting plug-ins that were written for Moksha, where the package moksha.hub is installed.

Nothing here imports Moksha: a plug-in does.  Then ``moksha.hub._hub`` is our hub, and Twisted's
reactor, which such plug-ins start their threads with, runs in the main thread.  Stopping the one
stops the other.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

#: How often the reactor looks whether it is to stop, seconds.
_LOOK = 0.2


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
        hub: has been started; it is closed before the reactor's threads are waited for.
        stop: set by signals.
    """
    from twisted.internet import reactor as found

    reactor: Any = found
    reactor.suggestThreadPoolSize(threads_of(hub))

    def look() -> None:
        if stop.is_set() or not hub.running:
            if reactor.running:
                reactor.stop()
        else:
            reactor.callLater(_LOOK, look)

    reactor.callWhenRunning(look)
    # The threads of plug-ins end when the hub stops them, and the reactor waits for them.
    reactor.addSystemEventTrigger("before", "shutdown", _closing, hub, reactor)
    # Ours handle signals: they end the hub in order.
    reactor.run(installSignalHandlers=False)


def _closing(hub: Any, reactor: Any) -> Any:
    """Begin to close a hub, and return the Deferred that fires when that is done."""
    from twisted.internet.defer import Deferred

    done: Any = Deferred()

    def close() -> None:
        try:
            hub.close()
        finally:
            reactor.callFromThread(done.callback, None)

    # Not one of the reactor's: plug-ins may have taken all of them.
    threading.Thread(target=close, name="fedmsg-hub-close", daemon=True).start()
    return done
