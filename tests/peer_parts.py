"""Programs of this version and of the released 1.1.7."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parent / "peer" / "scripts"
#: Directory of our own commands.
OURS = os.path.dirname(sys.executable)


class Program:
    """A process with pipes; what it prints goes to a file."""

    def __init__(self, arguments: list[str], folder: Path) -> None:
        self.path = folder / f"{len(list(folder.iterdir()))}.out"
        with open(self.path, "wb") as output:
            self.process = subprocess.Popen(
                arguments, stdin=subprocess.PIPE, stdout=output, stderr=output,
                env={**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONIOENCODING": "utf-8"},
            )  # fmt: skip

    @property
    def output(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def say(self) -> None:
        """Send an empty line."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def received(self) -> list[list[Any]]:
        """Return what a tail printed, without probes."""
        lines = [line for line in self.output.split("\n")[:-1] if line.startswith("[")]
        return [item for item in map(json.loads, lines) if not item[0].endswith("probe")]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()


def script(where: str, name: str) -> list[str]:
    """Return the command line of a script, run by one of the two versions."""
    return [os.path.join(where, "python"), str(SCRIPTS / name)]
