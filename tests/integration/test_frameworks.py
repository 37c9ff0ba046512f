"""Applications as they are served: gunicorn, celery, gevent, asyncio, and many threads.

Each publishes through a relay; every message arrives, and no (publisher, ``i``) twice.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from parts import PATIENCE, run_script

pytestmark = pytest.mark.timeout(120)

INIT = """
import os, sys, threading
import fedmsg
relayed = dict(active=True, relay_inbound=sys.argv[1], endpoints={}, post_init_sleep=20,
               zmq_linger=10000, environment="dev", topic_prefix="org.fedoraproject")

def publish(number):
    fedmsg.publish(topic="t", modname="m", msg={"pid": os.getpid(), "n": number,
                   "by": id(getattr(getattr(fedmsg, "__local"), "__context"))})
"""


def needs(name: str) -> pytest.MarkDecorator:
    """Skip a test without a framework; `make venv` installs them, tox does not."""
    return pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"needs {name}")


def received(there: Any, count: int) -> list[dict[str, Any]]:
    """Return so many messages; none has the publisher and the ``i`` of another."""
    messages = [json.loads(there.receive()[1]) for _ in range(count)]
    assert there.is_idle(), "more came than was sent"
    keys = Counter((each["msg"]["pid"], each["msg"]["by"], each["i"]) for each in messages)
    assert [key for key, times in keys.items() if times > 1] == []
    assert len({each["msg_id"] for each in messages}) == count
    return messages


def test_threads_that_publish_and_begin_anew(relay: Any, address: Any) -> None:
    """64 threads, each with contexts of its own one after another, and all at the same time."""
    there = relay(address())
    script = (
        INIT
        + """
def work(number):
    for turn in range(3):
        fedmsg.init(**relayed)
        for n in range(5):
            publish((number, turn, n))
        fedmsg.destroy()

threads = [threading.Thread(target=work, args=(number,)) for number in range(64)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(60)
assert not any(thread.is_alive() for thread in threads)
"""
    )
    run_script(script, there.endpoint, timeout=80)
    # Contexts that were destroyed may have given their id to later ones: `n` tells them apart.
    messages = [json.loads(there.receive()[1])["msg"]["n"] for _ in range(64 * 15)]
    assert sorted(messages) == [[a, b, c] for a in range(64) for b in range(3) for c in range(5)]


def test_asyncio_to_thread(relay: Any, address: Any) -> None:
    """Publishing from the threads of an event loop's executor."""
    there = relay(address())
    script = (
        INIT
        + """
import asyncio

def work(number):
    if not hasattr(getattr(fedmsg, "__local"), "__context"):
        fedmsg.init(**relayed)
    publish(number)

async def main():
    await asyncio.gather(*(asyncio.to_thread(work, number) for number in range(200)))

asyncio.run(main())
"""
    )
    run_script(script, there.endpoint)
    assert sorted(each["msg"]["n"] for each in received(there, 200)) == list(range(200))


@needs("gevent")
def test_gevent(relay: Any, address: Any) -> None:
    """A patched process: greenlets publish on contexts of their own, which end with them."""
    there = relay(address())
    script = (
        """
import gevent.monkey
gevent.monkey.patch_all()
"""
        + INIT
        + """
import gevent, gevent.pool

def work(number):
    fedmsg.init(**relayed)
    for n in range(10):
        publish((number, n))
        gevent.idle()
    if number % 2:
        fedmsg.destroy()  # the others are collected

pool = gevent.pool.Pool(20)
with gevent.Timeout(60):
    for number in range(40):
        pool.spawn(work, number)
    pool.join(raise_error=True)
"""
    )
    run_script(script, there.endpoint, timeout=80)
    numbers = [json.loads(there.receive()[1])["msg"]["n"] for _ in range(400)]
    assert sorted(numbers) == [[a, b] for a in range(40) for b in range(10)]


APPLICATION = (
    INIT.replace("sys.argv[1]", 'os.environ["RELAY"]')
    + """
fedmsg.init(**relayed)
publish("preloaded")

def application(environ, start_response):
    publish(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""
)


@contextmanager
def process(command: list[str], folder: Path, **environment: str) -> Iterator[int]:
    """Yield the number of a child that is ended by SIGTERM, and ends well."""
    env = {**os.environ, **environment, "PYTHONDONTWRITEBYTECODE": "1"}
    log = folder / "log"
    with log.open("w") as out:
        child = subprocess.Popen(
            command, cwd=folder, env=env, stdout=out, stderr=subprocess.STDOUT, text=True
        )
    try:
        yield child.pid
        child.send_signal(signal.SIGTERM)
        assert child.wait(PATIENCE) == 0, log.read_text()
        assert "Traceback" not in log.read_text()
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


def get(url: str) -> str:
    """Return what a server says, once it does."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as response:
                return str(response.read().decode())
        except OSError:
            if time.monotonic() > deadline:
                raise
            threading.Event().wait(0.05)


@needs("gunicorn")
def test_gunicorn_with_preload(relay: Any, address: Any, tmp_path: Path) -> None:
    """Four workers of an application that published before they were forked."""
    there = relay(address())
    (tmp_path / "application.py").write_text(APPLICATION)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "gunicorn", "--preload", "--workers=4", f"--bind=127.0.0.1:{port}",
        "--worker-tmp-dir", str(tmp_path), "application:application",
    ]  # fmt: skip
    with process(command, tmp_path, RELAY=there.endpoint):
        get(f"http://127.0.0.1:{port}/0")
        pids, lock = Counter[str](), threading.Lock()

        def ask(first: int) -> None:
            for number in range(first, first + 25):
                pid = get(f"http://127.0.0.1:{port}/{number}")
                with lock:
                    pids[pid] += 1

        clients = [threading.Thread(target=ask, args=(n,)) for n in range(1, 201, 25)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(60)
        messages = received(there, 202)
    assert pids.total() == 200
    paths = {each["msg"]["n"] for each in messages}
    assert paths == {"preloaded", *(f"/{number}" for number in range(201))}
    assert {str(each["msg"]["pid"]) for each in messages} >= set(pids)


TASKS = (
    INIT.replace("sys.argv[1]", 'os.environ["RELAY"]')
    + """
from celery import Celery

app = Celery("tasks")
app.conf.update(
    broker_url="filesystem://",
    broker_transport_options={"data_folder_in": "queue", "data_folder_out": "queue",
                              "processed_folder": "done", "control_folder": "control"},
    worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)
fedmsg.init(**relayed)

@app.task
def announce(number):
    publish(number)
"""
)


@needs("celery")
def test_celery_prefork(relay: Any, address: Any, tmp_path: Path) -> None:
    """Four forked workers publish from tasks."""
    there = relay(address())
    for name in "queue", "done", "control":
        (tmp_path / name).mkdir()
    (tmp_path / "tasks.py").write_text(TASKS)
    ask = "import tasks\nfor number in range(100):\n    tasks.announce.delay(number)"
    env = {**os.environ, "RELAY": there.endpoint}
    subprocess.run([sys.executable, "-c", ask], cwd=tmp_path, env=env, check=True, timeout=60)
    command = [
        sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool=prefork", "-c", "4",
        "--without-gossip", "--without-mingle", "--without-heartbeat",
    ]  # fmt: skip
    with process(command, tmp_path, RELAY=there.endpoint, C_FORCE_ROOT="1") as pid:
        messages = received(there, 100)
    assert sorted(each["msg"]["n"] for each in messages) == list(range(100))
    # A quick one may do all of the tasks.
    assert pid not in {each["msg"]["pid"] for each in messages}
