"""Values that follow from other values: config.md 3, steps 8 to 10."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from fedmsg._option import addresses, policy
from fedmsg.exceptions import ConfigurationError, MissingDependency


def topic_pattern(config: Mapping[str, Any]) -> str:
    """Return the regular expression of the first two parts of a topic, prefix and environment."""
    prefix = re.sub(r"([\\.^$*+?{}\[\]|()])", r"\\\1", config["topic_prefix"] or "")
    letters = r"[^\W\d_]+"
    environment = config.get("environment")
    if isinstance(environment, str) and not re.fullmatch(letters, environment):
        return rf"{prefix}\.(?:{letters}|{re.escape(environment)})"
    return rf"{prefix}\.{letters}"


def needs_endpoints(config: Mapping[str, Any]) -> bool:
    """True if ``endpoints`` may not be missing: neither DNS nor a STOMP broker stands for them."""
    broker = config.get("stomp_uri") or config.get("stomp_broker")
    brokered = broker and not config.get("zmq_enabled", True)
    return not (brokered or config.get("srv_endpoints"))


def complete_endpoints(config: dict[str, Any]) -> None:
    """Turn every value of ``endpoints`` into a list, and add what DNS knows.

    Raises:
        ConfigurationError: ``endpoints`` is there and has a wrong form.
        MissingDependency: ``srv_endpoints`` is set, and dnspython is not installed.
    """
    if not needs_endpoints(config):
        config.setdefault("endpoints", {})
    if "endpoints" in config:
        if not isinstance(config["endpoints"], dict):
            raise ConfigurationError("The 'endpoints' config value must be a dict.")
        try:
            config["endpoints"] = addresses(config["endpoints"])
        except ValueError as error:
            raise ConfigurationError(f"Invalid 'endpoints' config value: {error}") from error
    domains = config.get("srv_endpoints")
    if domains:
        domains = [domains] if isinstance(domains, str) else domains
        config.setdefault("endpoints", {}).update(srv_records(domains))


def check_policy(config: dict[str, Any]) -> dict[str, Any]:
    """Return the same if ``routing_policy`` can be understood in one way only (crypto.md D12).

    Raises:
        ConfigurationError: a value is not a list of names.
    """
    try:
        policy(config.get("routing_policy"))
    except ValueError as error:
        raise ConfigurationError(f"Invalid 'routing_policy' config value: {error}") from error
    return config


def srv_records(domains: Iterable[str]) -> dict[str, list[str]]:
    """Ask DNS for ``SRV _fedmsg._tcp.<domain>`` of each domain.

    A domain that has no records, or does not answer, is left out with a UserWarning; without any
    name server the remaining domains are left out too.

    Args:
        domains: the value of ``srv_endpoints``.

    Returns:
        Domain to ``tcp://<target>:<port>``, lowest priority first, then highest weight.

    Raises:
        MissingDependency: dnspython, the extra ``srv``, is not installed.
    """
    try:
        from dns import resolver
        from dns.exception import Timeout
    except ImportError as error:
        raise MissingDependency(
            "'srv_endpoints' needs dnspython: pip install '.[srv]', or remove the key"
        ) from error

    found = {}
    for domain in domains:
        try:
            answer = resolver.resolve(f"_fedmsg._tcp.{domain}", "SRV")
        except (resolver.NXDOMAIN, resolver.NoAnswer):
            _warn(f"There is no appropriate SRV records for {domain}")
        except Timeout:
            _warn(f"The DNS query for the SRV records of {domain} timed out.")
        except resolver.NoNameservers:
            _warn("No name server is available, please check the configuration")
            break
        else:
            found[domain] = [_address(record) for record in sorted(answer, key=_preference)]
    return found


def _preference(record: Any) -> tuple[int, int]:
    return record.priority, -record.weight


def _address(record: Any) -> str:
    return f"tcp://{record.target.to_text(omit_final_dot=True)}:{record.port}"


def _warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=2)
