"""The shape of the package: who may import whom, how large things may be, what importing it costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import accelmodel

PACKAGE = Path(accelmodel.__file__).resolve().parent
#: levels from the ground up; a module imports only from levels below its own
LEVELS = (
    ("accelmodel",),
    ("errors", "laws", "laws.compiling"),
    ("units", "families", "laws.vectors"),
    ("facts", "quantities", "routing", "huggingface", "drawing", "pages", "laws.serving_kernel"),
    (
        "laws.handover",
        "laws.l2cache",
        "laws.timeline",
        "laws.fronts",
        "laws.economics",
        "laws.collectives",
        "techniques.traces",
    ),
    ("specs", "prices", "rawtable", "laws.matmul", "laws.elementwise", "laws.front_policies"),
    ("library", "laws.attention", "uncertainty"),
    ("layers", "parameters", "laws.step_kernel", "silicon"),
    ("operators", "memory"),
    ("techniques.preserve", "techniques.infersave", "step"),
    ("techniques", "techniques.cake", "sweep", "chip", "tables", "kernels", "offload", "steptimes"),
    ("measured_products", "measured_attention"),
    (
        "request",
        "options",
        "frameworks",
        "calibration",
        "measured_layers",
        "measured",
        "tables_kernels",
        "serving",
        "tables_instances",
        "endtoend_points",
    ),
    ("techniques.cake_policies", "techniques.cake_grid", "techniques.kv_rebuilding", "hosting"),
    ("study", "accuracy", "calibration_file", "techniques.cake_adaptive", "arrivals"),
    ("calibration_kernels",),
    (
        "search",
        "cake_answer",
        "tables_cake",
        "kernel_answer",
        "hybrid",
        "endtoend",
        "instances",
        "calibration_affine",
        "validation_operators",
    ),
    ("optimise", "fleet", "validation_infersave"),
    ("validation",),
    ("explore", "validation_cake"),
    ("validation_answer",),
    ("points", "points_instances"),
    ("figures", "figures_cake", "figures_instances", "figures_accuracy"),
    ("report", "report_cake", "report_instances", "report_accuracy", "benchmarks"),
    ("benchmarks.numpy_collectives",),
    ("benchmarks.numpy_twin", "benchmarks.c_twin", "benchmarks.python_twin", "benchmarks.peers", "benchmarks.gpu"),
    ("benchmarks.cake_fronts", "benchmarks.gpu.plan"),
    ("benchmarks.gpu.kernels",),
    ("benchmarks.gpu.run",),
    ("benchmarks.gpu.__main__",),
    ("benchmark",),
    ("cli_options",),
    ("cli_cake", "cli_kernels", "cli_instances"),
    ("cli",),
    ("__main__",),
)
RANK = {name: level for level, names in enumerate(LEVELS) for name in names}
HEAVY = ("numba", "xarray", "optuna", "plotly", "dask", "pydantic")
#: the options of a command are its parameters, since typer reads them from the signature: commands are exempt
LINES, FUNCTION_LINES, PARAMETERS = 400, 60, 8


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "accelmodel"


FILES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


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
    code = "import accelmodel.step\nfrom accelmodel import units\ndef f():\n    from accelmodel.laws import matmul\n"
    code += "from accelmodel import __version__\nfrom accelmodel.errors import SpecError\nimport numpy\n"
    assert imports(ast.parse(code)) == {"step", "units", "laws.matmul", "accelmodel", "errors"}
    assert imports(ast.parse("from . import units")) == {"a relative import"}


@pytest.mark.parametrize("name", FILES)
def test_module_has_a_level_and_imports_only_from_below(name):
    assert name in RANK, f"{name} has no level; say where it belongs"
    for other in imports(TREES[name]):
        assert other in RANK, f"{name} imports {other}, which has no level"
        assert RANK[other] < RANK[name], f"{name} imports {other}, which is not below it"


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
        length = (function.end_lineno or 0) - function.lineno + 1
        assert length <= FUNCTION_LINES, f"{name}.{function.name} has {length} lines"
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
