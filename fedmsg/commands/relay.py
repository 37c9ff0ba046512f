"""``fedmsg-relay`` and ``fedmsg-signing-relay``: pass on what publishers send.

Specification: commands.md, section 5.
"""

from __future__ import annotations

from typing import Any

import zmq

from fedmsg.commands import BaseCommand, join_endpoints, run_command
from fedmsg.consumers.relay import RelayConsumer, SigningRelayConsumer
from fedmsg.exceptions import MissingKey, NoEndpointAvailable
from fedmsg.hub import main
from fedmsg.hub.monitoring import MonitoringProducer
from fedmsg.transports import as_list

__all__ = ["RelayCommand", "SigningRelayCommand", "main", "relay", "signing_relay"]


class RelayCommand(BaseCommand):
    """
    Pass on messages from publishers that connect to subscribers that connect.

    Publishers that cannot bind a port (short-lived processes, WSGI workers, scripts) use
    active=True and connect to 'relay_inbound'; the relay publishes what they send, unchanged, on
    the first free address of endpoints['relay_outbound'].  Without any configuration it uses
    tcp://127.0.0.1:2001 and tcp://127.0.0.1:4001.

    SIGTERM or Ctrl-C: what has arrived is passed on, then the relay ends with status 0; a second
    signal ends it at once.  A port that is taken: exit status 1.

    Examples:

        fedmsg-relay
        fedmsg-relay --config-filename=/etc/fedmsg.d/relay.py --high-water-mark=100000
    """

    name = "fedmsg-relay"
    daemonizable = True
    relay_consumer: Any = RelayConsumer

    def run(self) -> int | None:
        """Relay until a signal comes; returns what ``main`` returns.

        Raises:
            MissingKey: ``relay_inbound`` or ``endpoints['relay_outbound']`` is missing.
            NoEndpointAvailable: an inbound address, or every outbound one, cannot be bound.
        """
        config = self.config
        try:
            inbound = config["relay_inbound"]
            outbound = as_list(config["endpoints"]["relay_outbound"])
        except KeyError as error:
            raise MissingKey(
                f"{error.args[0]}: {self.name} needs 'relay_inbound' and"
                " endpoints['relay_outbound'] in the configuration (fedmsg.d/relay.py)"
            ) from error
        config["zmq_subscribe_endpoints"] = join_endpoints(inbound)
        config["zmq_subscribe_method"] = "bind"
        config[self.relay_consumer.config_key] = True
        failures = []
        for endpoint in outbound:
            config["zmq_publish_endpoints"] = endpoint
            try:
                return main(
                    options=config,
                    consumers=[self.relay_consumer],
                    producers=[MonitoringProducer],
                    framework=False,
                )
            except zmq.ZMQError as error:
                self.log.debug("cannot bind %s: %s", endpoint, error)
                failures.append(f"{endpoint}: {error}")
        raise NoEndpointAvailable(
            f"Failed to bind to any outbound endpoints. Tried {'; '.join(failures) or 'none'};"
            " is another relay running? Otherwise add addresses to endpoints['relay_outbound']."
        )


class SigningRelayCommand(RelayCommand):
    """
    Sign messages from publishers that connect, and pass them on to subscribers that connect.

    Like fedmsg-relay; each message is signed with the certificate that certnames['signing_relay']
    names in 'ssldir', in place of a signature that it may have.  It does not start without a
    usable key and certificate.  What is not a message is dropped, counted and logged.

    Examples:

        fedmsg-signing-relay
        fedmsg-signing-relay --config-filename=/etc/fedmsg.d/signing-relay.py
    """

    name = "fedmsg-signing-relay"
    relay_consumer: Any = SigningRelayConsumer


def signing_relay() -> int | None:
    """Entry point of ``fedmsg-signing-relay``."""
    return run_command(SigningRelayCommand)


def relay() -> int | None:
    """Entry point of ``fedmsg-relay``."""
    return run_command(RelayCommand)
