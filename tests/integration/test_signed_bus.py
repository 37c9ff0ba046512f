"""Signed messages through relay, logger, announce and tail, as processes."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from pki import Pki

from fedmsg import crypto

Start = Callable[..., Any]
HOST = socket.gethostname().split(".", 1)[0]


@pytest.fixture
def bus(config_file: Callable[..., str], address: Callable[[], str], pki: Pki) -> str:
    """A configuration that signs with the service's certificate, and a relay that runs by it."""
    for name in ("shell", "ops", "announce"):
        pki.install(pki.ca.issue(f"{name}-{HOST}"), name)
    config = {key: value for key, value in pki.config.items() if key != "certname"}
    config["routing_policy"] = {
        "org.fedoraproject.dev.announce.announcement": [f"announce-{HOST}"],
        "org.fedoraproject.dev.logger.forbidden": ["somebody else"],
    }
    return config_file(
        **config,
        endpoints={"relay_outbound": [address()]},
        relay_inbound=address(),
        sign_messages=True,
        validate_signatures=True,
        post_init_sleep=0.1,
        certnames={f"{name}.{HOST}": name for name in ("shell", "ops", "announce")},
    )


@pytest.fixture
def send(command: Start, bus: str) -> Start:
    """A function that runs a command with a line of input; the relay runs."""
    command("fedmsg-relay", f"--config-filename={bus}").says("relaying from")

    def run(name: str, *options: str, text: str = "hello\n") -> None:
        sending = command(name, f"--config-filename={bus}", *options, stdin=subprocess.PIPE)
        sending.process.communicate(text.encode(), 30)
        assert sending.wait() == 0, sending.stderr

    return run


@pytest.fixture
def tail(command: Start, bus: str, send: Start, eventually: Callable[..., Any]) -> Start:
    """A function that starts a tail and returns when it has shown a message."""

    def start(*options: str) -> Any:
        running = command("fedmsg-tail", f"--config-filename={bus}", "--json", *options)

        def joined() -> bool:
            send("fedmsg-logger", "--topic=probe")
            return "logger.probe" in running.stdout

        eventually(joined, "a probe", 60)
        return running

    return start


def shown(running: Any) -> list[dict[str, Any]]:
    """Return what a tail has shown, without probes."""
    messages = [json.loads(line) for line in running.stdout.split("\n")[:-1]]
    return [each for each in messages if not each["topic"].endswith("probe")]


@pytest.mark.timeout(120)
def test_who_signs_what(send: Start, tail: Start, pki: Pki, eventually: Callable[..., Any]) -> None:
    """Each command signs with the certificate of its service, and the tail believes it."""
    running = tail()
    send("fedmsg-logger")
    send("fedmsg-logger", "--cert-prefix=ops")
    send("fedmsg-announce", "--link=https://example.com/", text=" it works \n again\n")
    eventually(lambda: len(shown(running)) == 3, "three messages")
    signers = [crypto.check(each, **pki.config).signer for each in shown(running)]
    assert signers == [f"shell-{HOST}", f"ops-{HOST}", f"announce-{HOST}"]
    assert shown(running)[2]["topic"] == "org.fedoraproject.dev.announce.announcement"
    assert shown(running)[2]["msg"] == {"message": "it works\nagain",
                                        "link": "https://example.com/"}  # fmt: skip
    assert (running.stop(), "rejected" in running.stderr) == (0, False)


@pytest.mark.timeout(120)
def test_rejected_messages(send: Start, tail: Start, eventually: Callable[..., Any]) -> None:
    """Named on standard error with the reason, and counted at the end; stdout stays clean."""
    running = tail("--validate")
    send("fedmsg-logger", "--topic=forbidden")
    send("fedmsg-logger", "--topic=forbidden")
    send("fedmsg-logger", "--topic=allowed")
    eventually(lambda: shown(running), "the allowed message")
    assert running.stop() == 0
    assert [each["topic"].rpartition(".")[2] for each in shown(running)] == ["allowed"]
    lines = [line for line in running.stderr.splitlines() if line.startswith("fedmsg-tail:")]
    assert len([line for line in lines if "(topic not allowed for signer)" in line]) == 2
    assert lines[-1] == "fedmsg-tail: rejected: 2 topic not allowed for signer"


@pytest.mark.timeout(120)
def test_no_validate(send: Start, tail: Start, eventually: Callable[..., Any]) -> None:
    """--no-validate shows everything, whatever the configuration says."""
    running = tail("--no-validate")
    send("fedmsg-logger", "--topic=forbidden")
    eventually(lambda: shown(running), "the forbidden message")
    assert running.stop() == 0


@pytest.mark.timeout(60)
def test_no_certificate(command: Start, bus: str, send: Start) -> None:
    """A service without certificate: status 1, and nothing is sent."""
    failing = command(
        "fedmsg-logger", f"--config-filename={bus}", "--cert-prefix=none", "--message=x"
    )
    assert failing.wait() == 1
    [line] = failing.stderr.splitlines()
    assert line.endswith(
        f"'sign_messages' is set, and 'certnames' has no entry 'none.{HOST}': add one"
    )
