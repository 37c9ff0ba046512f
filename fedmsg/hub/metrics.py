"""Metrics for Prometheus, and ``/live`` and ``/ready``: a small HTTP server beside a daemon.

A daemon has one line for it::

    with metrics.serving(config, "gateway") as view:
        view.begin(samples, why_not_ready)
        ...
        view.end()
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .. import options
from .._limits import RateLimit
from ..exceptions import ConfigurationError, MissingDependency, NoEndpointAvailable
from ..transports.addresses import host_and_port
from .series import DAEMONS, SERIES, Sample, View

_log = logging.getLogger("fedmsg.hub")

#: Renders the metrics in the format that an Accept header asks for: content type, body.
Render = Callable[[str], tuple[str, bytes]]
#: Status, body, content type.
Page = tuple[int, str | bytes, str]
_TEXT = "text/plain; charset=utf-8"


@contextlib.contextmanager
def serving(config: Mapping[str, Any], daemon: str) -> Iterator[View]:
    """Serve the metrics of a daemon while the block runs; nothing without ``metrics_port``.

    Args:
        config: with ``metrics_port`` and ``metrics_host``.
        daemon: one of :data:`fedmsg.hub.series.DAEMONS`.

    Returns:
        What the daemon reports to: a context manager of it.

    Raises:
        ConfigurationError: an option is wrong.
        MissingDependency: the extra ``metrics`` is not installed.
        NoEndpointAvailable: the port cannot be bound.
    """
    view = View(daemon)
    port = port_of(config, daemon)
    if not port:
        yield view
        return
    host = _host_of(config)
    pages = _Pages(view, _renderer(view))
    from .httpd import Server  # http.server is slow to import

    try:
        server = Server(host, port, pages)
    except OSError as error:
        raise NoEndpointAvailable(
            f"cannot serve metrics on port {port} of {host} (metrics_port, metrics_host): {error};"
            f" daemons of one host need a port each, such as metrics_port = {{{daemon!r}: 9464}}"
        ) from error
    server.start()
    _log.info("serving metrics on http://%s/metrics", host_and_port(host, port))
    try:
        yield view
    finally:
        server.close()


def port_of(config: Mapping[str, Any], daemon: str) -> int:
    """Return the port for the metrics of a daemon, 0 for none.

    Raises:
        ConfigurationError: it is no port, or ``metrics_port`` names a daemon that does not exist.
    """
    try:
        value = options.get(config, "metrics_port")
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    if not isinstance(value, dict):
        return int(value)
    unknown = sorted(set(value) - set(DAEMONS))
    if unknown:
        raise ConfigurationError(
            f"metrics_port names {unknown[0]!r}; daemons with metrics are {', '.join(DAEMONS)}"
        )
    return int(value.get(daemon, 0))


def _host_of(config: Mapping[str, Any]) -> str:
    import ipaddress

    host = options.get(config, "metrics_host")
    try:
        if not ipaddress.ip_address(host).is_loopback:
            _log.warning("metrics_host is %s: whoever reaches it can read the metrics", host)
    except ValueError as error:
        raise ConfigurationError(
            f"metrics_host must be an IP address such as 127.0.0.1, not {host!r}"
        ) from error
    return str(host)


class _Pages:
    """What the server answers with."""

    def __init__(self, view: View, render: Render) -> None:
        self._view, self._render = view, render
        self._limit = RateLimit()

    def __call__(self, path: str, accept: str) -> Page:
        """Answer one request; never raises."""
        try:
            return self._answer(path, accept)
        except Exception:
            if self._limit.allow():
                _log.exception("%s could not be answered", path[:20])
            return 500, "failed; see the log of the daemon\n", _TEXT

    def _answer(self, path: str, accept: str) -> Page:
        if path == "/metrics":
            kind, body = self._render(accept)
            return 200, body, kind
        if path == "/live":
            return 200, "alive\n", _TEXT
        if path == "/ready":
            obstacle = self._view.obstacle()
            return (503, f"{obstacle}\n", _TEXT) if obstacle else (200, "ready\n", _TEXT)
        return 404, "here are /metrics, /live and /ready\n", _TEXT


def _renderer(view: View) -> Render:
    """Return the function that renders the samples of a view.

    Raises:
        MissingDependency: the extra ``metrics`` is not installed.
    """
    try:
        import prometheus_client as prometheus
        from prometheus_client import core, exposition
    except ImportError as error:
        raise MissingDependency(
            "metrics_port needs the package prometheus_client: pip install '.[metrics]'"
        ) from error
    kinds: dict[str, Any] = {
        "counter": core.CounterMetricFamily,
        "gauge": core.GaugeMetricFamily,
        "histogram": core.HistogramMetricFamily,
    }

    class Collector:
        def collect(self) -> Iterator[Any]:
            families = {
                name: kinds[each.kind](name, each.doc, labels=each.labels)
                for name, each in SERIES.items()
            }
            for sample in view.samples():
                _add(families[sample.name], sample)
            yield from (family for family in families.values() if family.samples)

    registry = prometheus.CollectorRegistry(auto_describe=False)
    prometheus.ProcessCollector(registry=registry)
    registry.register(Collector())

    def render(accept: str) -> tuple[str, bytes]:
        encode, kind = exposition.choose_encoder(accept)
        return kind, encode(registry)

    return render


def _add(family: Any, sample: Sample) -> None:
    if isinstance(sample.value, (int, float)):
        family.add_metric(sample.labels, sample.value)
    else:
        buckets, total = sample.value.histogram()
        family.add_metric(sample.labels, buckets, total)
