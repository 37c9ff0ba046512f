"""The faults: small changes to the syntax tree of a module, one at a time.

Left alone is what tests should not hold on to: texts, what is logged, annotations, docstrings, and
the exact number of a limit that has a name.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

_OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
_PLAIN = (bool, type(None))
_LOGS = ("_log", "log", "_logger")


class Mutant(NamedTuple):
    """One change: at ``path``, the place of a node in its tree, stands ``node``.

    Attributes:
        line: where it is.
        lines: the statement around it, or what stands before the body of that.
        statement: its first line, as ``ast`` writes it.
    """

    line: int
    lines: range
    statement: str
    before: str
    after: str
    path: tuple[tuple[str, int | None], ...]
    node: ast.AST

    @property
    def name(self) -> str:
        """What it is called in ``explained.txt``, wherever in its module it stands."""
        change = f"{self.before}  ->  {self.after}"
        return change if self.statement == self.before else f"{self.statement[:60]}  |  {change}"

    def tree(self, source: str) -> ast.Module:
        """Return the changed tree of a module."""
        module = ast.parse(source)
        *above, (field, index) = self.path
        parent: Any = module
        for name, position in above:
            parent = getattr(parent, name)
            parent = parent if position is None else parent[position]
        if index is None:
            setattr(parent, field, self.node)
        else:
            getattr(parent, field)[index] = self.node
        return ast.fix_missing_locations(module)


def mutants(source: str) -> list[Mutant]:
    """Return every change that is made to a module, in the order of its text."""
    found = []
    for path, statement, node in _walk(ast.parse(source), (), None):
        lines = _lines(statement)
        for changed in _changes(node):
            after = changed if hasattr(changed, "lineno") else ast.copy_location(changed, node)
            texts = [ast.unparse(each).partition("\n")[0] for each in (statement, node, after)]
            found.append(Mutant(node.lineno, lines, *texts, path, after))
    return sorted(found, key=lambda mutant: mutant.line)


def _lines(statement: Any) -> range:
    body = getattr(statement, "body", None)
    end = body[0].lineno if body else statement.end_lineno + 1
    return range(statement.lineno, max(end, statement.lineno + 1))


def _walk(node: Any, path: tuple[Any, ...], statement: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield what may be changed, with its path and its statement."""
    if isinstance(node, ast.stmt):
        statement = node
    if hasattr(node, "lineno"):
        if _is_text(node):
            return
        yield path, statement, node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "bases"):
            continue
        for index, each in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(each, ast.AST):
                place = (name, index if isinstance(value, list) else None)
                yield from _walk(each, (*path, place), statement)


def _is_text(node: Any) -> bool:
    """Return whether a node is a docstring, a text, or a call that logs."""
    if isinstance(node, (ast.Import, ast.ImportFrom)) or _is_string(node):
        return True
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return True
    if isinstance(node, ast.Expr):
        node = node.value
    if _is_string(node):
        return True
    if isinstance(node, ast.Assign):
        return _is_limit(node)
    if not isinstance(node, ast.Call):
        return False
    called = ast.unparse(node.func)
    return called.rpartition(".")[0] in _LOGS


def _is_limit(node: ast.Assign) -> bool:
    """Return whether a number, or what is made of one alone, gets its name."""
    if isinstance(node.value, ast.Call):
        return ast.unparse(node.value.func) in ("Cache", "RateLimit")
    if any(isinstance(each, (ast.Dict, ast.Tuple)) for each in ast.walk(node.value)):
        return False
    return all(ast.unparse(each).lstrip("_").isupper() for each in node.targets)


def _changes(node: Any) -> Iterator[ast.AST]:
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            yield _with(node, ops=_replaced(node.ops, index, _OPERATORS[type(operator)]()))
    elif isinstance(node, ast.BoolOp):
        for index in range(len(node.values)):
            rest = node.values[:index] + node.values[index + 1 :]
            yield _with(node, values=rest) if len(rest) > 1 else rest[0]
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in _OPERATORS:
        # A text is not subtracted from, nor does it have a remainder.
        if not any(_is_string(getattr(node, side, None)) for side in ("left", "right", "value")):
            yield _with(node, op=_OPERATORS[type(node.op)]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        yield node.operand
    elif isinstance(node, ast.Constant) and node.value is not None and node.value is not ...:
        yield ast.Constant(not node.value if isinstance(node.value, bool) else node.value + 1)
    elif isinstance(node, (ast.If, ast.While, ast.IfExp)) and not isinstance(
        node.test, (ast.Compare, ast.BoolOp, ast.UnaryOp, ast.Constant)
    ):
        yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
    yield from _changes_of_statement(node)


def _is_string(node: Any) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, (str, bytes))
    return isinstance(node, ast.JoinedStr)


def _changes_of_statement(node: Any) -> Iterator[ast.AST]:
    if isinstance(node, ast.Return) and node.value is not None:
        if not isinstance(node.value, ast.Constant) or type(node.value.value) not in _PLAIN:
            yield ast.Return(ast.Constant(None))
        return
    left_out = isinstance(node, (ast.Raise, ast.Continue, ast.Break, ast.AugAssign, ast.Delete))
    if isinstance(node, ast.Expr):
        left_out = isinstance(node.value, (ast.Call, ast.Yield))
    elif isinstance(node, ast.Assign):
        left_out = isinstance(node.targets[0], (ast.Attribute, ast.Subscript))
    if left_out:
        yield ast.Pass()


def _with(node: Any, **changed: Any) -> Any:
    other = copy.copy(node)
    for name, value in changed.items():
        setattr(other, name, value)
    return other


def _replaced(values: list[Any], index: int, value: Any) -> list[Any]:
    return [*values[:index], value, *values[index + 1 :]]
