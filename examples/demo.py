"""A whole bus on this machine: a relay, a subscriber and three publishers, each a process.

    python examples/demo.py

No configuration is needed.  The demonstration ends by itself, compares what was sent with what
was received, message by message, and exits with status 0 if that is the same.
"""

from __future__ import annotations

import glob
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import fedmsg

APPLICATION_MESSAGES = 400
THREAD_MESSAGES = 200
LOG_LINES = 400
#: Pause between two messages of a publisher, so that a person can follow, seconds.
PACE = 0.008
#: Longest time for a process to start, and for the last messages to arrive, seconds.
PATIENCE = 12.0
PROBE = "demo.probe"
COLOURS = ("36", "32", "33", "35")


# -- the parts, each run in a process of its own -------------------------------------------------


def application(ids: str) -> None:
    """An ordinary application: init, publish."""
    fedmsg.init()
    sent: list[str] = []
    for number in range(APPLICATION_MESSAGES):
        fedmsg.publish(
            topic="order.new",
            msg={"order": number, "total": 100 + number % 7},
            modname="shop",
            pre_fire_hook=lambda message: sent.append(message["msg_id"]),
        )
        time.sleep(PACE)
    write_ids(ids, sent)


def threads(ids: str) -> None:
    """Two threads; each has a context of its own, made by its first publish."""
    sent: list[str] = []

    def work(name: str) -> None:
        for number in range(THREAD_MESSAGES):
            fedmsg.publish(
                topic=f"job.{name}",
                msg={"job": number},
                modname="worker",
                pre_fire_hook=lambda message: sent.append(message["msg_id"]),
            )
            time.sleep(2 * PACE)
        fedmsg.destroy()

    both = [threading.Thread(target=work, args=(name,)) for name in ("left", "right")]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    write_ids(ids, sent)


def subscriber(ids: str) -> None:
    """Show what arrives, and note the id of everything."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    colour_of: dict[str, str] = {}
    started, count = time.monotonic(), 0
    with open(ids, "w", buffering=1) as received:
        for _name, _endpoint, topic, message in fedmsg.tail_messages(mute=True):
            print(message["msg_id"], topic, file=received)
            if topic.endswith(PROBE):
                started = time.monotonic()
                continue
            count += 1
            colour = colour_of.setdefault(topic, COLOURS[len(colour_of) % len(COLOURS)])
            if count % 5 == 1:
                rate = count / max(time.monotonic() - started, 0.001)
                text = str(message["msg"])[:60]
                paint(f"{rate:6.0f}/s  {topic:<44} {text}", colour)


PARTS: dict[str, Callable[[str], None]] = {
    "application": application,
    "threads": threads,
    "subscriber": subscriber,
}


# -- the demonstration ---------------------------------------------------------------------------


def main() -> int:
    """Run the demonstration; return its exit status."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fedmsg-demo-") as folder, ExitStack() as running:
        received = os.path.join(folder, "received")
        relay = running.enter_context(process([command("fedmsg-relay")], quiet=True))
        running.enter_context(process(part("subscriber", received)))
        if not joined(received):
            print("demo: the subscriber received nothing; is another relay using port 2001 or"
                  " 4001?", file=sys.stderr)  # fmt: skip
            return 1
        paint("\nrelay and subscriber are up; three publishers start (one message in 5 is shown)")
        sent = publish_all(folder)
        deadline = time.monotonic() + PATIENCE
        while read_ids(received) != sent and time.monotonic() < deadline:
            time.sleep(0.05)
        arrived = read_ids(received)
        duplicates = count_lines(received) - len(arrived)
        if relay.poll() is not None:
            print("demo: its relay has ended, and another one was used: end what uses port 2001 or"
                  " 4001", file=sys.stderr)  # fmt: skip
            return 1
    seconds = time.monotonic() - begin
    same = sent == arrived and not duplicates
    paint(
        f"\nsent {len(sent)}, received {len(arrived)}, missing {len(sent - arrived)},"
        f" duplicates {duplicates}, in {seconds:.1f} s: {'all is well' if same else 'FAILED'}",
        "32" if same else "31",
    )
    return 0 if same else 1


def publish_all(folder: str) -> set[str]:
    """Run the three publishers side by side; return the ids of what they sent."""
    files = [os.path.join(folder, name) for name in ("application", "threads", "logger")]
    log = log_file()
    paint(f"fedmsg-logger reads {log}\n")
    with ExitStack() as running:
        for name in ("application", "threads"):
            running.enter_context(process(part(name, os.path.join(folder, name)), finish=True))
        ids = running.enter_context(open(files[2], "w"))
        logger = running.enter_context(
            process([command("fedmsg-logger"), "--print-id", "--modname=dpkg"], True, ids, True)
        )
        assert logger.stdin is not None
        for line in log_lines(log):
            logger.stdin.write(line)
            logger.stdin.flush()
            time.sleep(PACE)
        logger.stdin.close()
    return set().union(*map(read_ids, files))


def joined(received: str) -> bool:
    """Publish probes until the subscriber has one; False if that takes too long."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            fedmsg.publish(topic=PROBE, msg={}, modname="demo")
        except OSError as error:
            print(f"demo: {error}", file=sys.stderr)
        time.sleep(0.1)
        if os.path.exists(received) and count_lines(received, probes=True):
            # Nothing of the probes may come later and be taken for something else.
            fedmsg.destroy()
            return True
    return False


@contextmanager
def process(
    arguments: list[str], piped: bool = False, output: object = None, finish: bool = False,
    quiet: bool = False,
) -> Iterator[subprocess.Popen[str]]:  # fmt: skip
    """Run a process and end it, by itself if ``finish``, else by SIGTERM."""
    running = subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if quiet else output,  # type: ignore[call-overload]
        text=True,
    )
    try:
        yield running
        if finish and running.wait(2 * PATIENCE):
            print(f"demo: {arguments} ended with status {running.returncode}", file=sys.stderr)
    finally:
        if running.poll() is None:
            running.terminate()
        try:
            running.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def command(name: str) -> str:
    """Return the path of a command of the same installation."""
    return os.path.join(os.path.dirname(sys.executable), name)


def part(name: str, ids: str) -> list[str]:
    """Return the command line of one of :data:`PARTS`."""
    return [sys.executable, "-u", os.path.abspath(__file__), name, ids]


def log_file() -> str:
    """Return a real log file of this machine, the package manager's if there is one."""
    candidates = ["/var/log/dpkg.log", "/var/log/dnf.log", *sorted(glob.glob("/var/log/*.log"))]
    for name in [*candidates, __file__]:
        if os.access(name, os.R_OK) and os.path.getsize(name):
            return name
    raise FileNotFoundError("no log file below /var/log can be read")


def log_lines(name: str) -> Iterator[str]:
    """Yield :data:`LOG_LINES` lines of a file, from its beginning again if it is short."""
    with open(name, errors="replace") as log:
        lines = log.read().splitlines()
    for number in range(LOG_LINES):
        yield lines[number % len(lines)] + "\n"


def write_ids(name: str, ids: list[str]) -> None:
    """Note what a publisher has sent."""
    with open(name, "w") as file:
        file.writelines(f"{each}\n" for each in ids)


def read_ids(name: str) -> set[str]:
    """Return the message ids in a file, but for those of probes."""
    with open(name) as lines:
        return {line.split()[0] for line in lines if line.endswith("\n") and PROBE not in line}


def count_lines(name: str, probes: bool = False) -> int:
    """Return the number of messages in a file, either the probes or all the others."""
    with open(name) as lines:
        return sum((PROBE in line) == probes for line in lines)


def paint(text: str, colour: str = "1") -> None:
    """Print in a colour, plainly with NO_COLOR set."""
    plain = "NO_COLOR" in os.environ
    print(text if plain else f"\033[{colour}m{text}\033[0m", flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        PARTS[sys.argv[1]](sys.argv[2])
    else:
        sys.exit(main())
