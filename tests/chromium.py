"""Headless Chromium, driven by its own protocol (https://chromedevtools.github.io)."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

#: Longest wait for an answer, seconds.
PATIENCE = 20.0
_OPTIONS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-extensions", "--disable-sync", "--mute-audio", "--remote-debugging-port=0",
    "--disable-features=Translate,MediaRouter,OptimizationHints", "--hide-scrollbars",
]  # fmt: skip


def program() -> str | None:
    """Return the path of the browser, None if it is not installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """A browser process with a profile of its own."""

    def __init__(self, folder: Path) -> None:
        self._profile = folder / "profile"
        self._log = open(folder / "chromium.log", "wb")  # noqa: SIM115
        self._tabs: list[Tab] = []
        self._stopped = False
        self._process = subprocess.Popen(
            [str(program()), *_OPTIONS, f"--user-data-dir={self._profile}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            start_new_session=True, env={**os.environ, "HOME": str(folder)},
        )  # fmt: skip
        try:
            self._port = self._wait_for_port()
        except BaseException:
            self.close()
            raise

    def _wait_for_port(self) -> int:
        deadline, pause = time.monotonic() + 2 * PATIENCE, threading.Event()
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, ValueError, IndexError):
                return int((self._profile / "DevToolsActivePort").read_text().splitlines()[0])
            assert self._process.poll() is None, Path(self._log.name).read_text(errors="replace")
            pause.wait(0.02)
        raise AssertionError("Chromium did not start")

    def tab(self, url: str, width: int = 1280, height: int = 800, theme: str = "light") -> Tab:
        """Return a new tab with a page."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/json/new?about:blank", method="PUT"
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            target = json.load(answer)["webSocketDebuggerUrl"]
        self._tabs.append(Tab(target))
        self._tabs[-1].open(url, width, height, theme)
        return self._tabs[-1]

    def stall(self) -> None:
        """Stop every process of the browser where it is."""
        self._stopped = True
        os.killpg(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        self._stopped = False
        os.killpg(self._process.pid, signal.SIGCONT)

    def resident(self) -> int:
        """Return the memory of all its processes, bytes; what they share is divided."""
        total = 0
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError, ValueError):
                # Behind the name: state, parent, process group.
                group = (folder / "stat").read_text().rpartition(")")[2].split()[2]
                if int(group) == self._process.pid:
                    found = re.search(
                        r"^Pss: +(\d+) kB", (folder / "smaps_rollup").read_text(), re.M
                    )
                    total += int(found[1]) * 1024 if found else 0
        return total

    def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for tab in self._tabs:
            tab.close()
        self._log.close()


class Tab:
    """One page.

    Attributes:
        complaints: errors that the page caused: exceptions, violations of its policy.
    """

    def __init__(self, target: str) -> None:
        self.complaints: list[str] = []
        self._number = 0
        self._stack = contextlib.ExitStack()
        # No pings: a browser that a test stops does not answer them.
        options = {"max_size": None, "compression": None, "ping_interval": None}
        self._socket = self._stack.enter_context(connect(target, open_timeout=PATIENCE, **options))

    def open(self, url: str, width: int, height: int, theme: str) -> None:
        """Load a page in a window of some size."""
        for domain in ("Page", "Runtime", "Log", "Performance"):
            self.call(f"{domain}.enable")
        feature = {"name": "prefers-color-scheme", "value": theme}
        self.call("Emulation.setEmulatedMedia", features=[feature])
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        self.go(url)

    def go(self, url: str) -> None:
        """Load another page."""
        self.call("Page.navigate", url=url)

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol and return its result."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        deadline = time.monotonic() + PATIENCE
        while True:
            message = json.loads(self._socket.recv(max(0.0, deadline - time.monotonic())))
            if message.get("id") == self._number:
                assert "error" not in message, (method, message["error"])
                return message["result"]
            self._event(message)

    def _event(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(parameters["exceptionDetails"])[:2000])
        elif message.get("method") == "Log.entryAdded":
            entry = parameters["entry"]
            if entry["level"] == "error" and entry["source"] != "network":
                self.complaints.append(entry["text"])
        elif message.get("method") == "Page.javascriptDialogOpening":
            self.complaints.append(f"a dialog: {parameters['message']}")

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression."""
        found = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, script: str, timeout: float = PATIENCE) -> Any:
        """Return the first true value of an expression."""
        deadline, pause = time.monotonic() + timeout, threading.Event()
        # An element is returned as an empty object.
        while not (value := self.run(script)) and value != {}:
            shown = self.run("document.body?.innerText")
            assert time.monotonic() < deadline, f"{script} is {value!r} in:\n{shown}"[:4000]
            pause.wait(0.02)
        return value

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        code = {"Enter": 13, "Escape": 27}.get(key, 0)
        event = {"key": key, "text": text, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **event)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def type(self, text: str) -> None:
        """Put text into the field that has the focus."""
        self.call("Input.insertText", text=text)

    def screenshot(self, path: Path) -> None:
        """Write a picture of what the window shows (PNG)."""
        found = self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(found["data"]))

    def memory(self) -> tuple[int, int]:
        """Return bytes of its heap, and nodes of its documents, without what is garbage."""
        self.call("HeapProfiler.collectGarbage")
        found = {
            each["name"]: each["value"] for each in self.call("Performance.getMetrics")["metrics"]
        }
        return int(found["JSHeapUsedSize"]), int(found["Nodes"])

    def close(self) -> None:
        """Give it up."""
        with contextlib.suppress(Exception):
            self._stack.close()
