"""What tests of fedmsg-doctor share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from fedmsg.commands.doctor import doctor


class Report(NamedTuple):
    """What the doctor said."""

    status: int
    sources: dict[str, list[str]]
    findings: list[dict[str, str]]
    text: str

    def having(self, level: str, text: str = "") -> list[str]:
        """Return the texts of a level that contain something."""
        found = [each for each in self.findings if each["level"] == level]
        return [each["text"] for each in found if text in each["text"]]

    @property
    def problems(self) -> list[str]:
        return self.having("warning") + self.having("error")


@pytest.fixture
def diagnose(
    capsys: pytest.CaptureFixture[str], config_file: Callable[..., str]
) -> Callable[..., Report]:
    """A function that runs the doctor on a configuration, or on what it finds itself."""

    def run(*options: str, **config: Any) -> Report:
        arguments = [*options, "--json"]
        if config:
            arguments.append(f"--config-filename={config_file(**{'endpoints': {}, **config})}")
        capsys.readouterr()
        status = doctor(arguments)
        output = capsys.readouterr()
        assert output.err == ""
        found = json.loads(output.out)
        assert found["status"] == status
        for each in found["findings"]:
            assert bool(each["remedy"]) is (each["level"] != "ok"), each
        return Report(status or 0, found["sources"], found["findings"], output.out)

    return run
