"""Addresses: do they resolve, are they free, does anybody answer?"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import zmq

from fedmsg.commands.checks import Case, Finding, error, ok, warning
from fedmsg.commands.checks.ports import Listener, listeners
from fedmsg.exceptions import ConfigurationError
from fedmsg.transports import addresses, as_list
from fedmsg.transports.addresses import Address

#: Seconds that all look-ups have together, and that all who are asked have.
_LOOKUP_SECONDS = 2.0
_ANSWER_SECONDS = 1.0
#: Addresses that are asked at the same time: each has two sockets, and libzmq 1023 of them.
_AT_A_TIME = 400
_RELAYS = ("fedmsg-relay", "fedmsg-signing")


def subscriber(case: Case) -> Iterator[Finding]:
    """Check what a subscriber connects to."""
    if not case.acts_as("subscriber") or not case.config.get("zmq_enabled", True):
        return
    endpoints = case.config["endpoints"]
    texts = [text for value in endpoints.values() for text in as_list(value)]
    if not texts:
        yield error(
            "endpoints", "'endpoints' is empty: there is nothing to listen to",
            "add the addresses of publishers, or of relay_outbound",
        )  # fmt: skip
    good, findings = resolved("endpoints", texts)
    yield from findings
    answered = answering(list(good.values()), zmq.SUB)
    for name, value in endpoints.items():
        mine = [text for text in as_list(value) if text in good]
        heard = [text for text in mine if good[text] in answered]
        if heard:
            yield ok("endpoints", f"{name}: {', '.join(heard)} answers")
        elif mine:
            yield warning(
                "endpoints", f"{name}: nobody answers at {', '.join(mine)}",
                "start the publisher, or look at the firewall between",
            )  # fmt: skip


def publisher(case: Case) -> Iterator[Finding]:
    """Check what a publisher connects to, or binds."""
    if not case.acts_as("publisher") or not case.config.get("zmq_enabled", True):
        return
    config = case.config
    bound = as_list(config["endpoints"].get(case.name)) if case.name else []
    if bound and not config.get("active"):
        yield from _to_bind(f"endpoints[{case.name!r}]", bound, listeners(), literal=False)
        return
    if case.name and not config.get("active") and case.name != "relay_inbound":
        yield error(
            "endpoints", f"endpoints[{case.name!r}] is not configured: it cannot publish",
            "add its addresses, or set active=True to publish through a relay",
        )  # fmt: skip
        return
    inbound = as_list(config.get("relay_inbound"))
    if inbound:
        yield from _relay(inbound)
    elif case.role or config.get("active"):
        yield error(
            "relay", "'relay_inbound' is not configured: active publishers have no relay",
            "set it to the address of the relay, as 'tcp://127.0.0.1:2001'",
        )  # fmt: skip


def _relay(inbound: Sequence[str]) -> Iterator[Finding]:
    good, findings = resolved("relay", inbound)
    yield from findings
    answered = answering(list(good.values()), zmq.XPUB)
    if answered:
        yield ok("relay", f"a relay answers at {', '.join(sorted(answered))}")
    elif good:
        yield error(
            "relay", f"no relay answers within {_ANSWER_SECONDS:g} s at {', '.join(good)}",
            "start 'fedmsg-relay', or look at the firewall between",
        )  # fmt: skip


def relay(case: Case) -> Iterator[Finding]:
    """Check what a relay binds."""
    if not case.acts_as("relay"):
        return
    config, found = case.config, listeners()
    keys = {
        "relay_inbound": as_list(config.get("relay_inbound")),
        "endpoints['relay_outbound']": as_list(config["endpoints"].get("relay_outbound")),
    }
    for key, texts in keys.items():
        if not texts:
            yield error("relay", f"{key} is not configured", "set it to an address to bind")
        for text in texts:
            if "localhost" in text:
                yield error("relay", f"'localhost' in {key} is not allowed", "write 127.0.0.1")
        yield from _to_bind(key, texts, found, literal=True)


def _to_bind(
    key: str, texts: Sequence[str], found: Sequence[Listener], literal: bool
) -> Iterator[Finding]:
    """Check addresses that are going to be bound; one free address is enough."""
    good, findings = resolved("ports", texts)
    yield from findings
    taken = {}
    for text in list(good):
        address = addresses.parse(text)
        if literal and address.host not in ("", "*"):
            address = addresses.parse(good[text])
            if not _is_ours(address.host):
                yield error(
                    "ports", f"{key}: {text} is no address of this machine",
                    "run the relay there, or write an address of this one",
                )  # fmt: skip
                del good[text]
                continue
        owner = _owner(address, found, literal)
        if owner:
            taken[text] = owner
            if literal and owner.startswith(_RELAYS):
                yield ok("ports", f"{key}: {text} is in use: a relay runs, {owner}")
                return
    for text, owner in taken.items():
        make = warning if len(taken) < len(good) and key != "relay_inbound" else error
        yield make(
            "ports", f"{key}: {text} is taken by {owner}", "end that process, or change the port"
        )
    if len(taken) < len(good):
        yield ok("ports", f"{key}: {', '.join(text for text in good if text not in taken)} is free")


def _is_ours(host: str) -> bool:
    """Return whether a numeric address can be bound here."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


def _owner(address: Address, found: Sequence[Listener], literal: bool) -> str:
    """Return who has an address, empty if it is free."""
    if address.scheme != "tcp":
        return "another process" if addresses.is_taken(address) else ""
    if not address.port.isdigit():
        return ""
    host = address.host if literal else "*"
    return next((each.owner for each in found if each.takes(host, int(address.port))), "")


def resolved(check: str, texts: Iterable[str]) -> tuple[dict[str, str], list[Finding]]:
    """Return each usable address with what to connect to, and findings about the others."""
    parsed, findings = {}, []
    for text in dict.fromkeys(texts):
        try:
            parsed[text] = addresses.parse(text)
        except ConfigurationError as problem:
            findings.append(error(check, str(problem), "write it as 'tcp://host:port'"))
    names = {each.host for each in parsed.values() if not each.is_numeric}
    known = addresses.lookup_all(names, _LOOKUP_SECONDS)
    good = {}
    for text, address in parsed.items():
        host = address.host if address.is_numeric else known[address.host]
        if host is None:
            findings.append(
                error(check, f"{text}: {address.host!r} does not resolve", "correct the name, or "
                      "the name server (/etc/resolv.conf, /etc/hosts)")
            )  # fmt: skip
        else:
            good[text] = addresses.to_connect(address, host)
    return good, findings


def answering(targets: Sequence[str], kind: int) -> set[str]:
    """Return those of some numeric addresses where a peer of the right kind answers in time.

    Args:
        targets: 400 are asked at the same time, and have a second.
        kind: ``SUB`` asks for a publisher, and subscribes to nothing; ``XPUB`` asks for a
            subscriber, and sends nothing.
    """
    found: set[str] = set()
    for start in range(0, len(targets), _AT_A_TIME):
        found |= _answer(targets[start : start + _AT_A_TIME], kind)
    return found


def _answer(targets: Sequence[str], kind: int) -> set[str]:
    context: zmq.Context[Any] = zmq.Context()
    waiting: dict[Any, str] = {}
    opened: list[zmq.Socket[bytes]] = []
    answered = set()
    try:
        poller = zmq.Poller()
        for target in targets:
            sock = context.socket(kind)
            opened.append(sock)
            sock.setsockopt(zmq.LINGER, 0)
            sock.setsockopt(zmq.IPV6, addresses.is_ipv6(target))
            asked: Any = sock
            if kind == zmq.SUB:
                asked = sock.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
                opened.append(asked)
            waiting[asked] = target
            poller.register(asked, zmq.POLLIN)
            sock.connect(target)
        deadline = time.monotonic() + _ANSWER_SECONDS
        while waiting and (left := deadline - time.monotonic()) > 0:
            for each, _ in poller.poll(int(left * 1000) + 1):
                poller.unregister(each)
                answered.add(waiting.pop(each))
    except zmq.ZMQError as problem:
        raise ConfigurationError(f"{target}: {problem}") from problem
    finally:
        for each in opened:
            each.close(linger=0)
        context.term()
    return answered
