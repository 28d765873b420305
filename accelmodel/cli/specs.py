"""The commands ``list`` and ``show``: what is known, with its sources."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelmodel.errors import SpecError, unknown
from accelmodel.specs import facts
from accelmodel.specs.load import TYPES, available, field_units, load
from accelmodel.units import show

if TYPE_CHECKING:
    pass
from typing import Annotated

import typer

from accelmodel.cli.options import Json, emit
from accelmodel.cli.terminal import print_table

app = typer.Typer(add_completion=False)


#: name of earlier versions → folder
FORMER_FOLDERS = {"kernels": "kernel_libraries"}
FOLDERS = {folder: kind for kind, (folder, _) in TYPES.items()}


def known(kind: str) -> dict[str, list[str]]:
    """Return the names of one kind of specification, or of all."""
    studies = sorted(path.stem for path in (facts.root() / "studies").glob("*.toml"))
    everything = {**{folder: available(of) for folder, of in FOLDERS.items()}, "studies": studies}
    if not kind:
        return {**everything, **{former: everything[now] for former, now in FORMER_FOLDERS.items()}}
    kind = FORMER_FOLDERS.get(kind, kind)
    if kind not in everything:
        raise unknown("kind", kind, everything)
    return {kind: everything[kind]}


def print_known(found: dict[str, list[str]]) -> None:
    """Print names by kind."""
    print_table(
        "Known specifications",
        ["kind", "names"],
        [[kind, ", ".join(names)] for kind, names in found.items() if kind not in FORMER_FOLDERS],
        2,
    )


def specification(name: str) -> dict[str, Any]:
    """Return one specification with the facts behind it, whatever its kind."""
    kinds = [kind for kind in TYPES if name in available(kind)]
    own = Path(name if name.endswith((".toml", ".json")) or "/" in name else f"{name}.toml")
    if not kinds and (str(own) != f"{name}.toml" or own.is_file()):
        kinds = [_kind_of(own)]
    if not kinds:
        raise unknown("specification", name, [each for kind in TYPES for each in available(kind)])
    spec = load(kinds[0], name)
    rows = []
    for field in field_units(type(spec)):
        fact = spec.facts.get(field)
        row = {"field": field, "value": getattr(spec, field)}
        rows.append(
            {**row, **({k: v for k, v in asdict(fact).items() if k != "value"} if fact else {"kind": "default"})}
        )
    return {"name": spec.name, "kind": kinds[0], "digest": spec.digest, "fields": rows}


def _kind_of(path: Path) -> str:
    if path.suffix == ".json":
        return "model"
    content, _ = facts.read_toml(path)
    for kind in TYPES:
        if kind in content:
            return kind
    raise SpecError(f"{path}: has none of the tables {', '.join(f'[{kind}]' for kind in TYPES)}; see hwspecs/README.md")


def print_specification(found: dict[str, Any]) -> None:
    """Print one specification."""
    rows = []
    for row in found["fields"]:
        value = row["value"]
        unit = row.get("unit", "1").replace("1/s", "Hz")
        text = show(value, unit) if isinstance(value, float) else str(value)
        rows.append([row["field"], text, row["kind"], row.get("source", ""), row.get("locator", "")])
    print_table(f"{found['kind']} {found['name']}", ["field", "value", "kind", "source", "where"], rows, 5)


@app.command("list")
def list_command(
    kind: Annotated[
        str, typer.Argument(help="devices, links, models, processes, bills, storage or studies; all by default.")
    ] = "",
    as_json: Json = False,
) -> None:
    """What is known."""
    found = known(kind)
    emit(found) if as_json else print_known(found)


@app.command("show")
def show_command(
    name: Annotated[
        str, typer.Argument(help="Name of a device, link, model, process, bill or storage tier, or a path.")
    ],
    as_json: Json = False,
) -> None:
    """One specification with the unit, kind and source of every value."""
    found = specification(name)
    emit(found) if as_json else print_specification(found)
