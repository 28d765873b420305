"""Tables that the pages ask for: fields, options, nomenclature, laws, accuracy.  Made from the package, never stale."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import typing
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from accelmodel.cli.site.markdown import cell, table, tables, words
from accelmodel.errors import SpecError
from accelmodel.nomenclature import NOMENCLATURE
from accelmodel.specs import facts
from accelmodel.specs.load import TYPES, available, field_units

PACKAGE = Path(__file__).resolve().parents[2]
#: kind of a specification → its section in the README of ``hwspecs``, in small letters without blanks
_SECTIONS = {"bill": "billofmaterials"}
#: type of an option → what a user gives
_TYPE_NAMES = {str: "text", int: "integer", float: "number", bool: "flag", Path: "path"}
#: columns of an accuracy table that are percentages
_PERCENT = ("median", "mean", "bias", "roofline")


@cache
def reports() -> Path:
    """Return the folder of accuracy tables: beside the package in a checkout, inside it in a wheel."""
    for folder in (PACKAGE / "_reports", PACKAGE.parent / "reports"):
        if (folder / "accuracy.md").is_file():
            return folder
    raise SpecError("reports/accuracy.md not found beside the package; reinstall accelmodel")


@cache
def _report(name: str) -> dict[str, list[dict[str, str]]]:
    return tables((reports() / f"{name}.md").read_text(encoding="utf-8"))


@cache
def meanings(kind: str) -> dict[str, str]:
    """Return field → meaning, as the README of ``hwspecs`` gives it; fields of a section by their dotted names."""
    found: dict[str, str] = {}
    for heading, rows in tables((facts.root() / "README.md").read_text(encoding="utf-8")).items():
        whole, _, part = heading.partition("/")
        if whole.replace(" ", "").lower() != _SECTIONS.get(kind, kind):
            continue
        section = "".join(words(part)).strip("[]")
        prefix = f"{section}." if section not in ("", kind) else ""
        found |= {prefix + name: row.get("meaning", "") for row in rows for name in words(row.get("field", ""))}
    return found


def _default(spec_type: Any, name: str) -> str:
    """Return the default of a field, of a section by its dotted name."""
    section, dot, inner = name.partition(".")
    if dot:
        return _default(typing.get_type_hints(spec_type)[section], inner)
    field = next(each for each in dataclasses.fields(spec_type) if each.name == name)
    if field.default is dataclasses.MISSING:
        return "needed"
    return f"{field.default:g}" if isinstance(field.default, float) else str(field.default)


def fields(kind: str) -> str:
    """Return the fields of a kind of specification: name, SI unit, default, meaning."""
    spec_type = TYPES[kind][1]
    described = meanings(kind)
    rows = [
        [f"`{name}`", unit, _default(spec_type, name), described.get(name, "")]
        for name, unit in field_units(spec_type).items()
        if name != "name"
    ]
    return table(["field", "SI unit", "default", "meaning"], rows)


def known(kind: str) -> str:
    """Return the shipped names of a kind of specification."""
    return "Shipped: " + ", ".join(f"`{name}`" for name in available(kind)) + "."


def command(name: str) -> Any:
    """Return the function of a command."""
    from accelmodel.cli.app import COMMANDS

    found = import_module(f"accelmodel.cli.{COMMANDS[name]}").app.registered_commands
    return next(each.callback for each in found if (each.name or each.callback.__name__.replace("_", "-")) == name)


def _type_name(annotation: Any) -> str:
    """Return what a user gives: text, integer, number, path; a flag gives nothing."""
    parts = [part for part in typing.get_args(annotation) or (annotation,) if part is not type(None)]
    if typing.get_origin(annotation) is list:
        return f"{_type_name(parts[0])}, repeatable"
    first = typing.get_args(parts[0])
    return f"{_type_name(first[0])}, repeatable" if first else _TYPE_NAMES.get(parts[0], parts[0].__name__)


def options(name: str) -> str:
    """Return the arguments and options of a command: names, type, default, help."""
    function = command(name)
    hints = typing.get_type_hints(function, include_extras=True)
    rows = []
    for each in inspect.signature(function).parameters.values():
        if not typing.get_args(hints[each.name]):  # what the command line knows of itself
            continue
        annotation, info = typing.get_args(hints[each.name])[:2]
        given = [word for word in (info.default, *(info.param_decls or ())) if str(word).startswith("-")]
        shown = ", ".join(f"`{word}`" for word in given or [each.name.upper()])
        default = each.default
        default_text = "" if default in (None, "", False) else f"`{default}`"
        if default is each.empty:
            default_text = "needed"
        rows.append([shown, _type_name(annotation), default_text, info.help or ""])
    return table(["option", "type", "default", "meaning"], rows)


def nomenclature(_: str = "") -> str:
    """Return names used across the package, with unit and meaning."""
    rows = [[f"`{name}`", term.unit, term.meaning] for name, term in sorted(NOMENCLATURE.items())]
    return table(["name", "SI unit", "meaning"], rows)


def law_path(module: str) -> Path:
    """Return the source of a law module, such as ``matmul`` or ``kernels/step``."""
    return PACKAGE / "laws" / f"{module}.py"


def functions(module: str) -> str:
    """Return the functions of a law module with the first line of their docstrings."""
    tree = ast.parse(law_path(module).read_text(encoding="utf-8"))
    found = [each for each in tree.body if isinstance(each, ast.FunctionDef) and not each.name.startswith("_")]
    rows = [
        [f"`{each.name}({', '.join(argument.arg for argument in each.args.args)})`", _first_line(each)]
        for each in found
    ]
    depth = "../" * (module.count("/") + 1)
    listed = table(["function", "what it returns"], rows) + "\n\n" if rows else ""
    return f"{listed}The code: {{doc}}`{depth}code/{module.replace('/', '.')}`."


def _first_line(node: ast.FunctionDef | ast.ClassDef) -> str:
    return (ast.get_docstring(node) or "").partition("\n\n")[0]


def numbers(argument: str) -> str:
    """Return the fields of a named tuple of a law module, with the comments beside them: ``types.Machine``."""
    module, _, name = argument.rpartition(".")
    source = law_path(module.replace(".", "/")).read_text(encoding="utf-8")
    node = next(each for each in ast.parse(source).body if isinstance(each, ast.ClassDef) and each.name == name)
    lines = source.splitlines()
    rows = [
        [f"`{each.target.id}`", lines[each.lineno - 1].partition("#: ")[2]]
        for each in node.body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    ]
    return table(["field", "meaning"], rows)


def claim_counts() -> tuple[int, int]:
    """Return how many published claims are met, and how many there are, in the shipped accuracy report."""
    rows = _report("accuracy")["Published claims"]
    return sum(row["within"] == "yes" for row in rows), len(rows)


def claims(prefix: str = "") -> str:
    """Return the published claims whose names begin with a word; all of them if none is given."""
    rows = [row for row in _report("accuracy")["Published claims"] if row["claim"].startswith(prefix)]
    return table(list(rows[0]), [list(row.values()) for row in rows])


def _span(rows: list[dict[str, str]], column: str) -> str:
    values = sorted(float(row[column].rstrip("%")) for row in rows if row[column].endswith("%"))
    if not values:
        return "–"
    low, high = (f"{value:+.0f}" if column == "bias" else f"{value:.3g}" for value in (values[0], values[-1]))
    return f"{low} %" if low == high else f"{low} to {high} %"


def accuracy(argument: str) -> str:
    """Return the measured accuracy of kinds of kernels, a row for each device and precision: ``matmul, moe``."""
    wanted = [word.strip() for word in argument.split(",")]
    groups: dict[tuple[str, str, str, str], list[dict[str, str]]] = {}
    for row in _report("accuracy")["Measured kernels"]:
        if row["kind"] in wanted:
            fitted = "no" if "not fitted" in row["source"] else "yes"
            groups.setdefault((row["kind"], row["device"], row["precision"], fitted), []).append(row)
    rows = [
        [*key, len(found), f"{sum(int(row['rows'].replace(',', '')) for row in found):,}",
         *(_span(found, column) for column in _PERCENT)]
        for key, found in sorted(groups.items())
    ]  # fmt: skip
    return table(["kernel", "device", "precision", "fitted", "sources", "rows", *_PERCENT], rows)


#: kernels of the table that begins the page on accuracy, by the words of the reports
_SUMMED = (
    ("matmul", "16 bit"), ("matmul", "8 bit"), ("decode attention", "16 bit"), ("prefill attention", "16 bit"),
    ("all-reduce", "16 bit"),
)  # fmt: skip


def _medians(name: str) -> dict[tuple[str, str, str], float]:
    """Return (device, kind, precision) → median error of fitted sources [%], the mean over them by their rows."""
    groups: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for row in _report(name)["Measured kernels"]:
        key = row["device"], row["kind"], row["precision"]
        if key[1:] in _SUMMED and "not fitted" not in row["source"]:
            groups.setdefault(key, []).append((float(row["median"].rstrip("%")), float(row["rows"].replace(",", ""))))
    return {key: sum(x * n for x, n in each) / sum(n for _, n in each) for key, each in groups.items()}


def transfer(_: str = "") -> str:
    """Return the median errors of kernels by constants of another chip and by a chip's own, a row for each device."""
    others, own = _medians("transfer"), _medians("accuracy")

    def told(key: tuple[str, str, str]) -> str:
        errors = [f"{found[key]:.{1 if found[key] < 10.0 else 0}f}" if key in found else "–" for found in (others, own)]
        return " / ".join(errors) if any(each != "–" for each in errors) else "–"

    rows = [
        [device, *(told((device, *each)) for each in _SUMMED)] for device in sorted({key[0] for key in (*others, *own)})
    ]
    return table(["device", *(f"{kind}, {bits} [%]" for kind, bits in _SUMMED)], rows)


def servers(_: str = "") -> str:
    """Return the accuracy of whole servers, over all of a kind."""
    rows = [row for row in _report("servers")["Other measurements"] if row["device"] == "all"]
    return table(list(rows[0])[1:], [list(row.values())[1:] for row in rows])


def report(name: str) -> str:
    """Return a shipped report as it stands."""
    return (reports() / f"{name}.md").read_text(encoding="utf-8")


#: what a page may ask for in a line ``<!-- NAME ARGUMENT -->``
TABLES = {
    "fields": fields, "known": known, "options": options, "nomenclature": nomenclature, "functions": functions,
    "numbers": numbers, "claims": claims, "accuracy": accuracy, "transfer": transfer, "servers": servers,
    "report": report,
}  # fmt: skip

__all__ = ["TABLES", "cell", "claim_counts", "command", "law_path", "meanings", "reports"]
