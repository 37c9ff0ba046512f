"""The driver of mutation testing itself; ``make mutation`` runs it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fedmsg.envelope
from mutants import running
from mutants.operators import mutants

ENVELOPE = Path(fedmsg.envelope.__file__)


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("x = a < b", {"x = a <= b"}),
        ("x = a is b", {"x = a is not b"}),
        ("x = a and b and c", {"x = b and c", "x = a and c", "x = a and b"}),
        ("x = not a", {"x = a"}),
        ("x = a - 5", {"x = a + 5", "x = a - 6"}),
        ("x = True", {"x = False"}),
        ("if a: b()", {"if not a:\n    b()", "if a:\n    pass"}),
        ("raise a", {"pass"}),
        ("a[b] = c", {"pass"}),
        ("def f(): return a", {"def f():\n    return None"}),
        ("for a in b: continue", {"for a in b:\n    pass"}),
    ],
)
def test_faults(source: str, changed: set[str]) -> None:
    """Each is a change at one place, and the rest of the module is as it was."""
    found = mutants(source)
    assert {ast.unparse(each.tree(source)) for each in found} == changed
    assert len(found) == len(changed)


@pytest.mark.parametrize(
    "source",
    ['"""Text."""', "x = 'text'", "_log.error('text', a + 1)", "x: Literal[1]", "import a.b",
     "x = f'{a:>{b + 1}}'", "if TYPE_CHECKING:\n    import a"],
)  # fmt: skip
def test_texts_are_left_alone(source: str) -> None:
    """So are logging, annotations and imports."""
    assert not mutants(source)


def test_tests_are_chosen_by_line() -> None:
    """The fastest first, all of the module for what import runs, none where none comes by."""
    lines = {"1": [""], "3": ["", "slow", "fast"], "5": ["other"]}
    durations = {"slow": 2.0, "fast": 0.1, "other": 1.0}
    baseline = running.Baseline({"lines": {"m.py": lines}, "durations": durations})
    source = "a = 1\ndef f():\n    return g(2,\n        3)\n    h()\n    h()\n"
    found = {each.line: baseline.tests_for(Path("m.py"), each, 9) for each in mutants(source)}
    assert found == {
        1: ["fast", "other", "slow"],
        3: ["fast", "slow"],
        4: ["fast", "slow"],
        5: ["other"],
        6: [],
    }


def test_the_mutant_is_what_is_imported() -> None:
    """In a process of its own; the file stays as it is."""
    source = ENVELOPE.read_text(encoding="utf-8")
    number = next(i for i, each in enumerate(mutants(source)) if each.before == "len(frames) != 2")
    script = (
        "import sys, pathlib; from mutants import operators, running\n"
        "path = pathlib.Path(sys.argv[1]); source = path.read_text(encoding='utf-8')\n"
        "loaded = running._install(path, operators.mutants(source)[int(sys.argv[2])], source)\n"
        "from fedmsg import envelope\n"
        "print(loaded, envelope.decode([b't', b'{}', b'']))"
    )
    process = subprocess.run(
        [sys.executable, "-c", script, str(ENVELOPE), str(number)],
        cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    # Three frames pass the check, and are too many for what follows it.
    assert "too many values to unpack" in process.stderr, process
    assert ENVELOPE.read_text(encoding="utf-8") == source
