"""A reader of the manual, who does what its blocks say; ``pages`` has the words of the marks."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pages import ROOT, SHELLS, Block, assert_loads, assert_shows, commands_of

#: Longest wait for one block, seconds: some start a broker, on a machine that is busy.
PATIENCE = 90.0
_PORT = re.compile(r"""(127\.0\.0\.1:|port": |_PORT=)(\d{4,5})\b""")
#: Those of the built-in set-up, and one in a file of Debian.
_KEPT_PORTS = ("2001", "4001", "61616")


class Session:
    """A reader of one page at a shell."""

    def __init__(
        self, folder: Path, port: Callable[[], int], wait_until: Callable[..., Any]
    ) -> None:
        self._folder, self._port, self._wait_until = folder, port, wait_until
        self._ports: dict[str, str] = {}
        self._started: list[tuple[subprocess.Popen[bytes], Path]] = []
        self._background: list[tuple[subprocess.Popen[bytes], Path]] = []
        self._around = {"before": "", "after": ""}
        self._first = self._last = ""
        self._environment = {
            **os.environ, "HOME": str(folder), "PYTHONUNBUFFERED": "1", "TERM": "dumb",
            "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}:/usr/sbin",
        }  # fmt: skip

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_error: object) -> None:
        self.end()

    def end(self) -> None:
        """End what was started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process, _ in self._started:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
            if number == signal.SIGTERM:
                for process, _ in self._started:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(3)
        for process, _ in self._started:
            process.wait(PATIENCE)

    def do(self, block: Block) -> None:
        """Do with a block what its mark says."""
        getattr(self, "_" + block.action.rstrip(":").replace(" ", "_"))(block)

    def assert_none_failed(self) -> None:
        """What was started runs, or has ended well."""
        failed = [str(each.args) for each, _ in self._background if each.poll()]
        assert failed == [], self._said()[-3000:]

    def _elsewhere(self, block: Block) -> None:
        source = (ROOT / block.argument).read_text(encoding="utf-8")
        names = re.findall(r"^[$] (fedmsg-\w+)", block.text, re.MULTILINE)
        names += [Path(block.text.strip()).name] if block.language == "file" else []
        assert block.page.name in source or any(name in source for name in names), str(block)

    def _stop(self, _block: Block) -> None:
        self.assert_none_failed()
        self.end()
        self._background.clear()

    def _needs(self, block: Block) -> None:
        if shutil.which(block.argument, path=self._environment["PATH"]) is None:
            stop = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            stop(f"{block.page.name} needs {block.argument}, which is not installed")

    def _not_run(self, block: Block) -> None:
        assert block.argument, f"{block}: say why"
        if block.language == "python":
            compile(block.text, str(block), "exec")

    def _config(self, block: Block) -> None:
        assert_loads(block)

    def _file(self, block: Block) -> None:
        path = self._folder / block.argument
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._with_ports(block.text), encoding="utf-8")
        if block.text.startswith("config = "):
            assert_loads(block)

    def _before(self, block: Block) -> None:
        self._around["before"] = block.text

    def _before_all(self, block: Block) -> None:
        self._first = block.text

    def _after(self, block: Block) -> None:
        self._around["after"] = block.text

    def _run(self, block: Block) -> None:
        status, self._last, errors = self._ended(block)
        assert status == 0, f"{block}: status {status}\n{self._last}{errors}"
        self._compare(block)

    def _fails(self, block: Block) -> None:
        status, output, errors = self._ended(block)
        assert status, f"{block} has not failed\n{output}"
        # Of a traceback, what the reader looks at.
        self._last = errors.strip() if "Traceback" not in errors else errors.split("\n  ")[-1]
        self._last = "\n".join(line for line in self._last.splitlines() if line[:1] not in " ^[")
        self._compare(block)

    def _run_until(self, block: Block) -> None:
        deadline, pause = time.monotonic() + PATIENCE, threading.Event()
        while time.monotonic() < deadline:
            self._run(block)
            self.assert_none_failed()
            for _ in range(20):
                if block.argument in self._said():
                    return
                pause.wait(0.02)
        pytest.fail(f"{block}: nobody says so\n{self._said()[-3000:]}")

    def _start(self, block: Block) -> None:
        process, path, _ = self._launch(block)
        self._background.append((process, path))
        text = self._with_ports(block.argument)
        self._wait_until(
            lambda: text in self._said(path) or process.poll() is not None,
            f"{block}: {text}", PATIENCE,
        )  # fmt: skip
        assert text in self._said(path), f"{block} ended: {self._said(path)}"

    def _start_each(self, block: Block) -> None:
        for command in re.split(r"\n(?=\$ )", block.text):
            process, path, _ = self._launch(dataclasses.replace(block, text=command))
            self._background.append((process, path))

    def _output(self, block: Block) -> None:
        assert_shows(block, self._with_ports(block.text), self._last)

    def _compare(self, block: Block) -> None:
        expected = commands_of(block)[1] if block.language in SHELLS else ""
        if expected:
            assert_shows(block, self._with_ports(expected), self._last)

    def _with_ports(self, text: str) -> str:
        def replaced(found: re.Match[str]) -> str:
            if found[2] in _KEPT_PORTS:
                return found[0]
            return found[1] + self._ports.setdefault(found[2], str(self._port()))

        return _PORT.sub(replaced, text)

    def _source(self, block: Block) -> list[str]:
        """Return the command that runs a block."""
        name = f"{block.page.stem}-{block.line}-{len(self._started)}"
        if block.language == "python":
            around = self._around
            self._around = {"before": "", "after": ""}
            text = f"{self._first}{around['before']}{block.text}{around['after']}"
            command = [sys.executable]
        else:
            text, command = commands_of(block)[0], ["bash", "-euo", "pipefail"]
        script = self._folder.parent / name
        script.write_text(self._with_ports(text), encoding="utf-8")
        return [*command, str(script)]

    def _launch(self, block: Block) -> tuple[subprocess.Popen[bytes], Path, Path]:
        stem = self._folder.parent / f"{block.page.stem}-{len(self._started)}"
        paths = stem.with_suffix(".out"), stem.with_suffix(".err")
        # Modules of the current directory can be imported, as at the prompt of Python.
        environment = {**self._environment, "PYTHONPATH": str(self._folder)}
        with open(paths[0], "wb") as out, open(paths[1], "wb") as err:
            process = subprocess.Popen(
                self._source(block), stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                cwd=self._folder, env=environment, start_new_session=True,
            )  # fmt: skip
        self._started.append((process, stem))
        return process, *paths

    def _ended(self, block: Block) -> tuple[int, str, str]:
        process, out, err = self._launch(block)
        try:
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{block} does not end\n{out.read_text()}{err.read_text()}")
        return status, out.read_text(), err.read_text()

    def _said(self, path: Path | None = None) -> str:
        stems = [path] if path else [stem for _, stem in self._started]
        texts = [stem.with_suffix(kind) for stem in stems for kind in (".out", ".err")]
        return "".join(text.read_text(encoding="utf-8", errors="replace") for text in texts)
