"""The shape of the package: who may import whom, how large things may be, what importing it costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import accelmodel

PACKAGE = Path(accelmodel.__file__).resolve().parent
#: floors of packages from the ground up; a module imports from its own package and from floors below
FLOORS = (
    ("accelmodel", "errors"),
    ("units",),
    ("laws",),
    ("specs",),
    ("inference",),
    ("dse", "kvcache", "measured", "serving"),
    ("benchmarks", "calibration", "cloud"),
    ("validation",),
    ("report",),
    ("cli",),
    ("__main__",),
)
RANK = {package: floor for floor, packages in enumerate(FLOORS) for package in packages}
HEAVY = ("numba", "xarray", "optuna", "plotly", "dask", "pydantic")
#: the options of a command are its parameters, since typer reads them from the signature: commands are exempt
LINES, STATEMENTS, PARAMETERS = 400, 60, 8


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "accelmodel"


FILES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}
# the door loads names on first use; what it tells type checkers of them is no import (tests/test_public_api.py)
TREES["accelmodel"].body = [
    node for node in TREES["accelmodel"].body if ast.unparse(getattr(node, "test", node)) != "TYPE_CHECKING"
]


def imports(tree: ast.AST) -> set[str]:
    """Return the modules of the package that a syntax tree imports anywhere, functions included."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("accelmodel.") for alias in node.names if alias.name in dotted()}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                found.add("a relative import")
            elif node.module and node.module.partition(".")[0] == "accelmodel":
                source = node.module.removeprefix("accelmodel").removeprefix(".")
                for alias in node.names:
                    inner = f"{source}.{alias.name}".removeprefix(".")
                    found.add(inner if inner in FILES else source or "accelmodel")
    return found


def dotted() -> set[str]:
    return {"accelmodel", *(f"accelmodel.{name}" for name in FILES)}


def functions(tree: ast.AST):
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_the_reader_of_imports_sees_all_forms():
    code = "import accelmodel.inference.step\nfrom accelmodel import units\n"
    code += "def f():\n    from accelmodel.laws import matmul\n"
    code += "from accelmodel import __version__\nfrom accelmodel.errors import SpecError\nimport numpy\n"
    assert imports(ast.parse(code)) == {"inference.step", "units", "laws.matmul", "accelmodel", "errors"}
    assert imports(ast.parse("from . import units")) == {"a relative import"}


@pytest.mark.parametrize("name", FILES)
def test_imports_go_down(name):
    own = name.partition(".")[0]
    for other in {each.partition(".")[0] for each in imports(TREES[name])} - {own}:
        assert RANK[other] < RANK[own], f"{name} imports {other}, which is not below it"


@pytest.mark.parametrize("name", FILES)
def test_laws_import_only_laws(name):
    if name.startswith("laws."):
        assert all(other.startswith("laws") for other in imports(TREES[name]))


def test_there_are_no_cycles():
    below = {name: imports(tree) & FILES.keys() for name, tree in TREES.items()}
    done: set[str] = set()
    while len(done) < len(below):
        ready = {name for name, others in below.items() if name not in done and others <= done}
        assert ready, f"a cycle among {sorted(below.keys() - done)}"
        done |= ready


@pytest.mark.parametrize("name", FILES)
def test_sizes(name):
    assert len(FILES[name].read_text(encoding="utf-8").splitlines()) <= LINES
    for function in functions(TREES[name]):
        # statements, its own and the docstring apart: folding lines and short docstrings gain nothing
        length = sum(isinstance(node, ast.stmt) for node in ast.walk(function)) - 2
        assert length <= STATEMENTS, f"{name}.{function.name} has {length} statements"
        arguments = function.args
        count = sum(len(x) for x in (arguments.posonlyargs, arguments.args, arguments.kwonlyargs))
        command = any("command" in ast.unparse(each) for each in function.decorator_list)
        assert command or count <= PARAMETERS, f"{name}.{function.name} has {count} parameters"


@pytest.mark.parametrize("name", FILES)
def test_no_assert_and_no_print(name):
    for node in ast.walk(TREES[name]):
        assert not isinstance(node, ast.Assert), f"{name}:{node.lineno} asserts; raise an error that says what to do"
        called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        assert not called, f"{name}:{getattr(node, 'lineno', 0)} prints"


def test_importing_the_package_is_cheap():
    code = f"import sys, accelmodel; print([m for m in {HEAVY!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert out.stdout.strip() == "[]"
