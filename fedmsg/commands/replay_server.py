"""``fedmsg-replay-server``: give subscribers what they missed, from the store of a publisher."""

from __future__ import annotations

from typing import Any

from fedmsg.commands import BaseCommand, run_command
from fedmsg.exceptions import MissingKey
from fedmsg.hub import metrics, series, signals
from fedmsg.replay import ReplayContext

__all__ = ["ReplayServerCommand", "replay_server"]


class ReplayServerCommand(BaseCommand):
    """
    Give subscribers the messages that they missed, from the store of a publisher.

    Publishers with the same 'persistent_store' number and keep what they send.  This answers
    subscribers at the port of replay_endpoints[name], where name is the publisher's key in
    'endpoints', or relay_outbound for what passes a relay; it may be left out if
    'replay_endpoints' has one entry only.  'persistent_store' is an SQLAlchemy URL or a store.

    SIGTERM or Ctrl-C: it ends with status 0; a second signal ends it at once.  A port that is
    taken, or a store that cannot be opened: exit status 1.

    Examples:

        fedmsg-replay-server
        fedmsg-replay-server --name=relay_outbound
    """

    name = "fedmsg-replay-server"
    daemonizable = True
    extra_args = (
        (["--name"], {
            "dest": "name", "default": None, "metavar": "NAME",
            "help": "key of replay_endpoints to serve"}),
    )  # fmt: skip

    def run(self) -> int | None:
        """Answer until a signal comes.

        Raises:
            MissingKey: ``persistent_store`` or the address is missing.
            FedmsgError: the store cannot be opened, or an address cannot be bound.
        """
        with metrics.serving(self.config, "replay-server") as view:
            self._serve(view)
        return None

    def _serve(self, view: series.View) -> None:
        server = ReplayContext(**self._settings())
        try:
            with signals.stopping(server.stop):
                self.log.info("serving the store at %s", server.endpoint)
                view.begin(lambda: series.of_replay_server(server.counts))
                signals.notify("READY=1")
                server.listen()
                signals.notify("STOPPING=1")
        finally:
            view.end()
            server.close()
            self.log.info(
                "%d requests: %d answered with %d messages, %d refused, %d failed",
                *(server.counts[key] for key in
                  ("requests", "answered", "messages", "refused", "failed")),
            )  # fmt: skip

    def _settings(self) -> dict[str, Any]:
        """Return the configuration, with the name to serve."""
        config = self.config
        if not config.get("persistent_store"):
            raise MissingKey(
                f"persistent_store: {self.name} needs the store of the publisher, such as"
                " persistent_store = 'sqlite:////var/lib/fedmsg/store.db'"
            )
        known = config.get("replay_endpoints") or {}
        name = config.get("name") or (next(iter(known)) if len(known) == 1 else None)
        if not known.get(name):
            raise MissingKey(
                f"replay_endpoints[{name!r}]: {self.name} needs the address to serve at, such as"
                " replay_endpoints = {'relay_outbound': 'tcp://bus.example.com:2101'}; of several"
                " entries choose one with --name"
            )
        return {**config, "name": name}


def replay_server() -> int | None:
    """Entry point of ``fedmsg-replay-server``."""
    return run_command(ReplayServerCommand)
