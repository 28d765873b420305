"""The shape of the package: who may import whom, how large things may be, what importing it costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import house
import pytest

import accelmodel

PACKAGE = Path(accelmodel.__file__).resolve().parent
TESTS = Path(__file__).resolve().parent
#: floors of packages from the ground up; a module imports from its own package and from floors below
FLOORS = (
    ("accelmodel", "errors"),
    ("nomenclature", "symbols"),
    ("output", "units"),
    ("estimates",),
    ("laws",),
    ("specs",),
    ("inference",),
    ("costs", "kvcache", "measured", "serving"),
    ("calibration", "cloud"),
    ("sweeps",),
    ("dse",),
    ("benchmarks", "validation"),
    ("report", "testing"),
    ("cli",),
    ("__main__",),
)
RANK = {package: floor for floor, packages in enumerate(FLOORS) for package in packages}
HEAVY = ("numba", "xarray", "optuna", "plotly", "dask", "pydantic")
#: what small questions on the command line do without
LEFT_OUT = ("numba", "xarray", "pandas", "scipy", "optuna", "plotly", "dask")
#: the options of a command are its parameters, since typer reads them from the signature: commands are exempt
LINES, STATEMENTS, PARAMETERS = 400, 60, 8
#: a tuple of names may be assigned a literal tuple while the line is read at a glance
FOLDED = 3
#: tests of what is no module: the package's shape, its door and its texts
AT_THE_TOP = ("budget", "changelog", "docs", "public_api", "readme", "scripts", "structure")

FILES = house.modules(PACKAGE)
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def imports(tree: ast.AST) -> set[str]:
    return house.imports(tree, FILES)


def functions(tree: ast.AST):
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def is_stub(node: ast.AST) -> bool:
    """Return whether a statement is the ``...`` of a signature without a body."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value is ...


def folded(node: ast.AST) -> tuple[int, int]:
    """Return how many names a statement gives a literal tuple to, and how many conditionals stand in that tuple."""
    tuples = ast.Tuple | ast.List
    if not isinstance(node, ast.Assign) or not isinstance(node.value, tuples):
        return 0, 0
    if not any(isinstance(target, tuples) for target in node.targets):
        return 0, 0
    return len(node.value.elts), sum(isinstance(each, ast.IfExp) for each in node.value.elts)


def statements(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the statements inside a function without its docstring; a folded one counts as what it was folded from."""
    inside = [node for node in ast.walk(function) if node is not function]
    plain = sum(max(1, folded(node)[0]) for node in inside if isinstance(node, ast.stmt))
    named = sum(isinstance(node, ast.NamedExpr) for node in inside)
    return plain + named - (ast.get_docstring(function) is not None)


def test_the_reader_of_imports_sees_all_forms():
    code = "import accelmodel.inference.step\nfrom accelmodel import units\n"
    code += "def f():\n    from accelmodel.laws import matmul\n"
    code += "from accelmodel import __version__\nfrom accelmodel.errors import SpecError\nimport numpy\n"
    assert imports(ast.parse(code)) == {"inference.step", "units", "laws.matmul", "accelmodel", "errors"}
    assert imports(ast.parse("from . import units")) == {"a relative import"}


def test_statements_are_counted_whatever_lines_they_stand_on():
    plain = 'def f(x):\n    """Do."""\n    a = 1\n    b = 2\n    if x:\n        return a\n    return b\n'
    squeezed = "def f(x):\n    a, b = 1, 2\n    if x: return a\n    return b\n"
    named = "def f(x):\n    if (a := 1) and (b := 2) and x:\n        return a\n    return b\n"
    assert [statements(ast.parse(code).body[0]) for code in (plain, squeezed, named)] == [5, 5, 5]
    assert folded(ast.parse("a, b = (1 if x else 2), 3").body[0]) == (2, 1)
    assert folded(ast.parse("a, b = f(x)").body[0]) == (0, 0)


def test_every_package_has_a_floor():
    rooms = {name.partition(".")[0] for name in FILES}
    assert rooms == RANK.keys(), "FLOORS names what is there, and all of it"


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
    assert house.cycle(house.arrows(FILES)) == set()


@pytest.mark.parametrize("name", FILES)
def test_sizes(name):
    assert len(FILES[name].read_text(encoding="utf-8").splitlines()) <= LINES
    for function in functions(TREES[name]):
        length = statements(function)
        assert length <= STATEMENTS, f"{name}.{function.name} has {length} statements"
        arguments = function.args
        count = sum(len(x) for x in (arguments.posonlyargs, arguments.args, arguments.kwonlyargs))
        command = any("command" in ast.unparse(each) for each in function.decorator_list)
        assert command or count <= PARAMETERS, f"{name}.{function.name} has {count} parameters"


@pytest.mark.parametrize("name", FILES)
def test_one_assignment_a_line(name):
    begun: dict[int, ast.stmt] = {}
    for node in ast.walk(TREES[name]):
        if not isinstance(node, ast.stmt) or is_stub(node):
            continue
        at = f"{name}:{node.lineno}"
        assert node.lineno not in begun, f"{at}: two statements on a line"
        begun[node.lineno] = node
        names, choices = folded(node)
        assert names <= FOLDED, f"{at}: {names} assignments in one; give each a line"
        assert choices < 2, f"{at}: {choices} conditionals in one assignment; write the branch"


@pytest.mark.parametrize("name", FILES)
def test_no_assert_and_no_print(name):
    for node in ast.walk(TREES[name]):
        assert not isinstance(node, ast.Assert), f"{name}:{node.lineno} asserts; raise an error that says what to do"
        called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        assert not called, f"{name}:{getattr(node, 'lineno', 0)} prints"


@pytest.mark.parametrize("name", FILES)
def test_every_package_says_what_it_holds(name):
    inside = any(path.is_relative_to(FILES[name].parent) for other, path in FILES.items() if other != name)
    if FILES[name].name == "__init__.py" and inside:
        assert ast.get_docstring(TREES[name]), f"{name} has no docstring"
    folder = FILES[name].parent
    assert (folder / "__init__.py").is_file(), f"{folder} has modules and no __init__.py"


@pytest.mark.parametrize("path", sorted(TESTS.rglob("test_*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_tests_mirror_the_package(path):
    folders = path.relative_to(TESTS).parts[:-1]
    name = path.stem.removeprefix("test_")
    if not folders and name in AT_THE_TOP:
        return
    assert ".".join((*folders, name)) in FILES, "stands beside no module: tests/PACKAGE/test_MODULE.py"


def loaded(code: str, modules: tuple[str, ...]) -> str:
    """Return which modules are loaded after a program has run."""
    code += f"\nimport sys; print([m for m in {modules!r} if m in sys.modules], file=sys.stderr)"
    command = [sys.executable, "-c", code]
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    return out.stderr.strip()


def test_importing_the_package_is_cheap():
    assert loaded("import accelmodel", HEAVY) == "[]"


@pytest.mark.parametrize(
    "command",
    [
        "list",
        "show h100-sxm",
        "step --device h100-sxm --devices 8 --tp 8 --technique preserve",
        "matmul --m 1:64 --n 4096 --k 4096",
        "attention --context 512,4096",
        "collective --bytes 1KB:1MB",
    ],
)
@pytest.mark.parametrize("form", ["", " --json"])
def test_a_small_question_loads_only_what_it_needs(command, form):
    code = f"import sys; sys.argv = 'accelmodel {command}{form}'.split()\n"
    code += "from accelmodel.cli import main\ntry:\n    main()\nexcept SystemExit as done:\n    assert not done.code"
    assert loaded(code, LEFT_OUT) == "[]"


def test_the_package_runs_as_a_module():
    command = [sys.executable, "-m", "accelmodel", "--version"]
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert out.stdout == f"accelmodel {accelmodel.__version__}\n"
    assert out.stderr == ""


def test_the_house_counts_what_stands_in_it(tmp_path):
    """Two packages, an arrow between them and one inside; a fact that stands in two files, and one that differs."""
    for package, text in (("low", ""), ("high", "from accelmodel.low import one\nfrom accelmodel.high import two\n")):
        (tmp_path / "accelmodel" / package).mkdir(parents=True)
        (tmp_path / "accelmodel" / package / "__init__.py").write_text("", encoding="utf-8")
        (tmp_path / "accelmodel" / package / "one.py").write_text(text, encoding="utf-8")
    (tmp_path / "accelmodel" / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "accelmodel" / "high" / "two.py").write_text("\n\n", encoding="utf-8")
    (tmp_path / "hwspecs" / "devices").mkdir(parents=True)
    for chip, clock in (("a", 1), ("b", 2)):
        facts = f'[device]\ncores = {{ value = 8, kind = "datasheet" }}\nclock = {{ value = {clock} }}\n'
        (tmp_path / "hwspecs" / "devices" / f"{chip}.toml").write_text(facts, encoding="utf-8")
    found = house.counts(tmp_path)
    assert found["modules"] == 6
    assert found["packages"] == 3
    assert found["rooms (packages and modules of the top folder)"] == 3
    assert found["arrows between rooms"] == 1
    assert found["arrows between modules"] == 2
    assert found["longest chain of modules"] == 2
    assert found["modules on cycles"] == 0
    assert found["largest file [lines]"] == 2
    assert found["facts of devices"] == 4
    assert found["facts of devices that stand word for word in another file"] == 2
    assert found["copies among them that could go"] == 1
