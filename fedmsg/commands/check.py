"""``fedmsg-check``: are the consumers and producers of a daemon alive?

Specification: commands.md, section 6.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click
import zmq

from fedmsg.config import load_config

__all__ = ["check"]

Records = Sequence[dict[str, Any]]


@click.command()
@click.option(
    "--timeout", default=10, type=int, show_default=True,
    help="Seconds to wait for a report; a daemon sends one every five seconds.",
)  # fmt: skip
@click.option("--consumer", "-c", multiple=True, help="A consumer that must be active.")
@click.option("--producer", "-p", multiple=True, help="A producer that must be active.")
@click.option(
    "--config-filename", type=click.Path(exists=True, dir_okay=False),
    help="Read this configuration file only.",
)  # fmt: skip
def check(
    timeout: int, consumer: tuple[str, ...], producer: tuple[str, ...], config_filename: str | None
) -> None:
    """Ask a daemon for its state.

    Reads one report from the address in 'moksha.monitoring.socket'.  The exit status is 1 if none
    comes, or if something that was named is not there or not initialized.

    \b
    Examples:
        fedmsg-check
        fedmsg-check --consumer=MyConsumer --producer=MonitoringProducer
    """
    # Without arguments where there are none: tests replace it.
    config = load_config(filenames=[config_filename]) if config_filename else load_config()
    endpoint = config.get("moksha.monitoring.socket")
    if not endpoint:
        raise click.ClickException(
            'No monitoring endpoint has been configured: please set "moksha.monitoring.socket"'
        )
    report = _receive(endpoint, timeout)
    if not consumer and not producer:
        click.echo("No consumers or producers specified so all will be shown.")
    else:
        _require(report["consumers"], consumer, report["producers"], producer)
        click.echo("All consumers and producers are active!")
    click.echo(json.dumps(report, indent=2, sort_keys=True))


def _receive(endpoint: str, timeout: int) -> dict[str, Any]:
    """Return the next report of a daemon.

    Raises:
        click.ClickException: none comes, or what comes is no report.
    """
    context: zmq.Context[Any] = zmq.Context()
    sock = context.socket(zmq.SUB)
    try:
        sock.setsockopt(zmq.LINGER, 0)
        sock.setsockopt(zmq.SUBSCRIBE, b"")
        try:
            sock.connect(endpoint)
        except zmq.ZMQError as error:
            raise click.ClickException(
                f"Cannot connect to the monitoring endpoint ({endpoint}): {error}"
            ) from error
        if not sock.poll(timeout * 1000):
            raise click.ClickException(
                f"Failed to receive message from the monitoring endpoint ({endpoint})"
                f" in {timeout} seconds."
            )
        return _parsed(sock.recv_multipart()[0], endpoint)
    finally:
        sock.close(linger=0)
        context.term()


def _parsed(frame: bytes, endpoint: str) -> dict[str, Any]:
    try:
        report = json.loads(frame)
        valid = all(
            isinstance(record, dict) and isinstance(record.get("name"), str)
            for record in report["consumers"] + report["producers"]
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        valid = False
    if not valid:
        raise click.ClickException(
            f"What the monitoring endpoint ({endpoint}) sent is no report: {frame[:100]!a}"
        )
    return report  # type: ignore[no-any-return]


def _require(
    consumers: Records, consumer_names: Sequence[str], producers: Records,
    producer_names: Sequence[str],
) -> None:  # fmt: skip
    """Check that consumers and producers are there and initialized.

    Raises:
        click.ClickException: one is not; which, is on standard error.
    """
    absent, idle = [], []
    for records, names in (consumers, consumer_names), (producers, producer_names):
        for name in names:
            found = [each.get("initialized") is True for each in records if each["name"] == name]
            if not found:
                absent.append(name)
            elif not all(found):
                idle.append(name)
    for name in absent:
        click.echo(f'"{name}" is not active!', err=True)
    for name in idle:
        click.echo(f'"{name}" is not initialized!', err=True)
    if absent:
        raise click.ClickException("Some consumers and/or producers are missing!")
    if idle:
        raise click.ClickException("Some consumers and/or producers are uninitialized!")
