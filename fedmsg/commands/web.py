"""``fedmsg-web``: the bus in a browser."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import fedmsg
from fedmsg import crypto, meta, options
from fedmsg.commands import BaseCommand, listening, run_command
from fedmsg.core import FedMsgContext
from fedmsg.exceptions import ConfigurationError, FedmsgError
from fedmsg.hub import metrics, series, signals
from fedmsg.meta.failures import safely

__all__ = ["WebCommand", "web"]

#: Messages that wait in zmq where the configuration has no limit.
_HIGH_WATER_MARK = 10_000


class WebCommand(BaseCommand):
    """
    Show the bus in a browser, live: messages, rates, publishers, consumers, losses.

    The page is read-only, and served on the loopback interface unless 'web_host' says otherwise.
    There is no login: who can reach the port sees what is on the bus.  It needs the extra 'web'.

    Signatures are checked as the configuration says; what is not valid is shown, with the reason.
    Gaps are shown for the publishers in 'replay_endpoints', and consumers of the daemons whose
    monitoring sockets 'web_monitoring' lists.

    SIGTERM or Ctrl-C: it ends with status 0; a second signal ends it at once.  A port that is
    taken: exit status 1.

    Examples:

        fedmsg-web
        fedmsg-web --port=9000 --topic=org.fedoraproject.prod.git
    """

    name = "fedmsg-web"
    daemonizable = True
    extra_args = (
        (["--host"], {
            "dest": "web_host", "metavar": "ADDRESS", "default": None,
            "help": "address to listen on; 127.0.0.1"}),
        (["--port"], {
            "dest": "web_port", "metavar": "PORT", "type": int, "default": None,
            "help": "port to listen on, 0 = any that is free; 8844"}),
        listening.OPTIONS[0],
    )  # fmt: skip

    def run(self) -> int | None:
        """Serve until a signal comes.

        Raises:
            MissingDependency: the extra ``web`` is not installed.
            ConfigurationError: an option is wrong.
            NoEndpointAvailable: the port, or the one for metrics, cannot be bound.
            FedmsgError: the web server ended.
        """
        config, numbered = self._settings()
        # Before anything is opened: it may not be installed.
        from fedmsg.web import guard, server

        sock = server.bind(options.get(config, "web_host"), options.get(config, "web_port"))
        with contextlib.ExitStack() as stack:
            stack.callback(sock.close)
            view = stack.enter_context(metrics.serving(config, "web"))
            context = fedmsg.init(**config)
            stack.callback(fedmsg.destroy)
            window, app = stack.enter_context(_page(config, context, numbered))
            serving = server.Server(app, sock, context.destroy)
            stack.callback(serving.close)
            stack.callback(signals.notify, "STOPPING=1")
            stack.callback(view.end)
            with signals.stopping(context.destroy):
                host = guard.bracketed(options.get(config, "web_host"))
                self.log.info("serving the page on http://%s:%d/", host, serving.port)
                signals.notify("READY=1")
                view.begin(lambda: series.of_page(window, context.rejected))
                for name, _endpoint, topic, message in listening.messages(config):
                    window.arrived(name, topic, message)
            if serving.failed:
                raise FedmsgError("the web server ended; the log says why")
        return None

    def _settings(self) -> tuple[dict[str, Any], list[str]]:
        """Return the configuration of what only listens, and neither rejects nor recovers.

        And the names of the publishers whose numbers are watched: none if some messages of theirs
        do not come.
        """
        config = listening.muted(dict(self.config))
        numbered = [] if config["topic"] else list(config.get("replay_endpoints") or ())
        config["high_water_mark"] = config.get("high_water_mark") or _HIGH_WATER_MARK
        try:
            crypto.require(config, signing=False)
            for name in (name for name in options.TABLE if name.startswith("web_")):
                options.get(config, name)
        except ValueError as error:
            raise ConfigurationError(str(error)) from error
        return {**config, "replay_endpoints": None, "validate_signatures": False}, numbered


@contextlib.contextmanager
def _page(
    config: dict[str, Any], context: FedMsgContext, numbered: list[str]
) -> Iterator[tuple[Any, Any]]:
    """Make the window and the application; end the window's threads afterwards."""
    from fedmsg.web import app
    from fedmsg.web.monitoring import Monitoring
    from fedmsg.web.state import State
    from fedmsg.web.window import Window

    addresses = options.get(config, "web_monitoring")
    if addresses is None:
        addresses = [config.get("moksha.monitoring.socket")]
    with contextlib.ExitStack() as stack:
        monitoring = Monitoring([each for each in addresses if each])
        stack.callback(monitoring.close)
        window = Window(config, _checker(config), _wording(config), numbered)
        stack.callback(window.close)
        # What is rejected is on the page.
        context.on_rejected = lambda _text: None
        state = State(window, monitoring, context.rejected)
        hosts = [options.get(config, "web_host"), *options.get(config, "web_hosts")]
        yield window, app.make(window, state, hosts)


def _checker(config: dict[str, Any]) -> Callable[[str, dict[str, Any]], crypto.Verdict]:
    settings = crypto.settings(config)
    return lambda topic, message: crypto.check_received(topic, message, **settings)


def _wording(config: dict[str, Any]) -> Callable[[dict[str, Any]], str]:
    """Return the function that finds words for a message, empty where processors have none."""
    meta.make_processors(**config)

    def words(message: dict[str, Any]) -> str:
        found = safely(lambda msg, **kw: meta.msg2subtitle(msg, **kw), message, "", config)
        return found if isinstance(found, str) else ""

    return words


def web() -> int | None:
    """Entry point of ``fedmsg-web``."""
    return run_command(WebCommand)
