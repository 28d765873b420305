"""Rules of a study: what must hold between its axes and figures, written as a comparison.

An expression is read with ``ast``: numbers, words, names, ``+ - * / // % **``, ``min``, ``max``, ``abs``, comparisons,
``and`` and ``or``; nothing is executed.
"""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from accelmodel.dse.studies.axes import axis_name
from accelmodel.errors import SpecError, brief, unknown

_Two = Callable[[Any, Any], Any]
_TWO: dict[type[ast.operator], _Two] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_CALLS: dict[str, _Two] = {"min": np.minimum, "max": np.maximum}
_COMPARED = (ast.LtE, ast.Lt, ast.GtE, ast.Gt, ast.Eq, ast.NotEq)
#: a distance beyond any other, where a rule has no number, and what a rule of words is missed or kept by [1]
_FAR, _WORDS = 1e9, 1.0
#: longest rule, and largest number in it
_MOST, _LARGEST = 500, 1e100


@dataclass(frozen=True)
class Rule:
    """A comparison that a chip must keep to.

    Attributes
    ----------
    name, text : str
    tree : ast.expr
    names : tuple of str
        Axes and figures that it reads, as results call them.
    """

    name: str
    text: str
    tree: ast.expr
    names: tuple[str, ...]

    def words(self) -> list[tuple[str, str]]:
        """Return the names that are compared with a word, and that word."""
        found = []
        for each in ast.walk(self.tree):
            if isinstance(each, ast.Compare):
                sides = [each.left, *each.comparators]
                said = [side.value for side in sides if isinstance(side, ast.Constant) and isinstance(side.value, str)]
                found += [(name, word) for name in self._of(sides) for word in said]
        return found

    def _of(self, sides: list[ast.expr]) -> list[str]:
        texts = [ast.unparse(side) for side in sides if isinstance(side, ast.Name | ast.Attribute)]
        return [text if text in self.names else axis_name(text) for text in texts]

    def excess(self, values: Mapping[str, Any]) -> Any:
        """Return how far chips are beyond the rule, as a share of what they are held against; at most 0: kept.

        What has no number, such as a division by zero, counts as beyond it.
        """
        with np.errstate(all="ignore"):
            found = _distance(self.tree, values)
        return np.where(np.isfinite(found), found, _FAR) if not hasattr(found, "dims") else _finite(found)


def _finite(found: Any) -> Any:
    return found.where(np.isfinite(found), _FAR)


def read_rule(name: str, text: str, known: Collection[str]) -> Rule:
    """Return a rule; ``known`` are the figures that it may read beside all axes.

    Raises
    ------
    SpecError
        If it is no comparison, or holds anything but arithmetic on names that are known.

    Examples
    --------
    >>> rule = read_rule("stacks", "hbm.stacks <= 2 * dies", [])
    >>> rule.names, [float(rule.excess({"hbm_stacks": n, "dies": 2.0})) for n in (4.0, 5.0)]
    (('hbm_stacks', 'dies'), [0.0, 0.25])
    """
    where = f"rules.{name}"
    if len(text) > _MOST:
        raise SpecError(f"{where}: {len(text)} letters; at most {_MOST}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise SpecError(f"{where}: {brief(text)} is no rule; write for example 'hbm.stacks <= 2 * dies'") from None
    names: list[str] = []
    _check_rule(tree, where, known, names)
    return Rule(name, text, tree, tuple(dict.fromkeys(names)))


def _check_rule(tree: ast.expr, where: str, known: Collection[str], names: list[str]) -> None:
    """Raise SpecError unless a tree is comparisons, joined by and / or."""
    if isinstance(tree, ast.BoolOp):
        for each in tree.values:
            _check_rule(each, where, known, names)
        return
    if not isinstance(tree, ast.Compare) or not all(isinstance(each, _COMPARED) for each in tree.ops):
        raise SpecError(f"{where}: {brief(ast.unparse(tree))} compares nothing; use <=, <, >=, >, == or !=, and, or")
    sides = [tree.left, *tree.comparators]
    words = any(isinstance(side, ast.Constant) and isinstance(side.value, str) for side in sides)
    if words and not all(isinstance(each, ast.Eq | ast.NotEq) for each in tree.ops):
        raise SpecError(f"{where}: words are compared with == or !=")
    for side in sides:
        if not (isinstance(side, ast.Constant) and isinstance(side.value, str)):
            _check_number(side, where, known, names)


def _check_number(tree: ast.expr, where: str, known: Collection[str], names: list[str]) -> None:
    """Raise SpecError unless a tree is arithmetic on numbers and known names."""
    if isinstance(tree, ast.Constant) and isinstance(tree.value, int | float) and not isinstance(tree.value, bool):
        if not abs(tree.value) < _LARGEST:
            raise SpecError(f"{where}: {brief(tree.value)} is too large")
    elif isinstance(tree, ast.BinOp) and type(tree.op) in _TWO:
        _check_number(tree.left, where, known, names)
        _check_number(tree.right, where, known, names)
    elif isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub | ast.UAdd):
        _check_number(tree.operand, where, known, names)
    elif isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and _callable(tree):
        for each in tree.args:
            _check_number(each, where, known, names)
    elif isinstance(tree, ast.Name | ast.Attribute):
        names.append(_name(tree, where, known))
    else:
        raise SpecError(f"{where}: {brief(ast.unparse(tree))} is no arithmetic; use + - * / // % **, min, max, abs")


def _callable(tree: ast.Call) -> bool:
    name = getattr(tree.func, "id", "")
    many = len(tree.args) == 1 if name == "abs" else name in _CALLS and len(tree.args) > 1
    return many and not tree.keywords and not any(isinstance(each, ast.Starred) for each in tree.args)


def _name(tree: ast.expr, where: str, known: Collection[str]) -> str:
    """Return how results call what a dotted name stands for."""
    text = ast.unparse(tree)
    if text in known:
        return text
    try:
        return axis_name(text)
    except SpecError:
        raise SpecError(f"{where}: {unknown('axis or figure', text, known)}") from None


def _distance(tree: ast.expr, values: Mapping[str, Any]) -> Any:
    if isinstance(tree, ast.BoolOp):
        each = [_distance(part, values) for part in tree.values]
        return functools.reduce(np.maximum if isinstance(tree.op, ast.And) else np.minimum, each)
    if not isinstance(tree, ast.Compare):
        raise SpecError("a rule compares")
    sides = [_value(side, values) for side in (tree.left, *tree.comparators)]
    pairs = zip(tree.ops, sides[:-1], sides[1:], strict=True)
    return functools.reduce(np.maximum, [_beyond(op, left, right) for op, left, right in pairs])


def _beyond(op: ast.cmpop, left: Any, right: Any) -> Any:
    """Return by how much one comparison is missed, relative to its right side; at most 0 where it is kept."""
    if isinstance(op, ast.Eq | ast.NotEq):
        same = (left == right) * 1.0
        kept = same if isinstance(op, ast.Eq) else 1.0 - same
        return _WORDS * (1.0 - kept)
    scale = abs(right) + (right == 0.0) * 1.0
    over = (left - right) / scale if isinstance(op, ast.LtE | ast.Lt) else (right - left) / scale
    # what must be below is not there yet where it is equal
    return over + (over == 0.0) * 1e-12 if isinstance(op, ast.Lt | ast.Gt) else over


def _value(tree: ast.expr, values: Mapping[str, Any]) -> Any:
    if isinstance(tree, ast.Constant):
        value: Any = tree.value
        return value if isinstance(value, str) else np.float64(value)
    if isinstance(tree, ast.BinOp):
        return _TWO[type(tree.op)](_value(tree.left, values), _value(tree.right, values))
    if isinstance(tree, ast.UnaryOp):
        inner = _value(tree.operand, values)
        return -inner if isinstance(tree.op, ast.USub) else inner
    if isinstance(tree, ast.Call):
        each = [_value(arg, values) for arg in tree.args]
        return abs(each[0]) if len(each) == 1 else functools.reduce(_CALLS[getattr(tree.func, "id", "max")], each)
    text = ast.unparse(tree)
    return values[text if text in values else axis_name(text)]
