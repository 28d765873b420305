"""The commands ``list`` and ``show``: what is known, with its sources."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from accelmodel.cli.completion import name_of, one_of
from accelmodel.cli.options import Json, answer
from accelmodel.cli.terminal import print_table, say
from accelmodel.errors import SpecError, begun, unknown
from accelmodel.inference.reading import in_words, reading
from accelmodel.specs import facts
from accelmodel.specs.base import value_of
from accelmodel.specs.find import FOLDERS, is_known, is_path, kind_of, need_local, path_of
from accelmodel.specs.hardware import ClusterFile, Device
from accelmodel.specs.inherit import refused
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.link import Link
from accelmodel.specs.load import TYPES, available, field_units, load
from accelmodel.specs.names import flat
from accelmodel.specs.read import read
from accelmodel.units import show

app = typer.Typer(add_completion=False)


#: what devices inherit from; not a specification of its own, since no field of it need be there
ARCHITECTURE = "architecture"
#: kinds of files that ask, and what runs them
_QUESTIONS = {"study": "explore --study", "sweep": "sweep"}
#: name of earlier versions → folder
FORMER_FOLDERS = {"kernels": "kernel_libraries"}
#: what else a folder may be called: the plural of its kind
_ALSO = {"libraries": "kernel_libraries", **FORMER_FOLDERS}


def known(kind: str) -> dict[str, list[str]]:
    """Return the names of one kind of specification, or of all."""
    everything = {folder: available(of) for of, folder in FOLDERS.items()}
    if not kind:
        return {**everything, **{former: everything[now] for former, now in FORMER_FOLDERS.items()}}
    kind = _ALSO.get(kind, FOLDERS.get(kind, kind))
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
    """Return one specification with the facts behind it, whatever its kind.

    The beginning of a name stands for it where no other begins so.
    """
    kind, name = _kind_of(name)
    if kind == ARCHITECTURE:
        return _architecture(path_of(kind, name))
    spec = load(kind, name)
    rows = _rows(spec)
    link = spec.node if isinstance(spec, ClusterFile) else spec
    if isinstance(link, Link) and (link is not spec or len(link.levels) > 1):
        told = [each for place, level in enumerate(link.levels, 1) for each in _rows(level, f"level {place}.")]
        rows = rows + told if isinstance(spec, ClusterFile) else told
    about = {"name": spec.name, "kind": kind, "digest": spec.digest, "notes": list(spec.notes), "fields": rows}
    return {**about, **reading(spec)} if isinstance(spec, LanguageModel) else about


def _rows(spec: Any, before: str = "") -> list[dict[str, Any]]:
    """Return the fields of a specification with the facts behind them."""
    rows = []
    for key in field_units(type(spec)):
        row = {"field": before + flat(type(spec), key), "key": before + key, "value": value_of(spec, key)}
        fact = spec.facts.get(key)
        behind = {k: v for k, v in asdict(fact).items() if k != "value"} if fact else {"kind": "default"}
        rows.append({**row, **behind})
    return rows


def _architecture(path: Path) -> dict[str, Any]:
    """Return what an architecture's own file states; what it is like states the rest."""
    file = read(ARCHITECTURE, Device, path, extra=("derive",))
    if file.faults:
        raise refused(file)
    rows = [{"field": flat(Device, key), "key": key, **asdict(fact)} for key, fact in file.facts.items()]
    like = file.head.get("like")
    notes = [f"the rest is that of architecture {like}"] if like else []
    return {"name": path.stem, "kind": ARCHITECTURE, "digest": file.digest, "notes": notes, "fields": rows}


def _kind_of(name: str) -> tuple[str, str]:
    """Return the kind of the specification that a name or a path stands for, and its name in full."""
    for kind in (*TYPES, ARCHITECTURE):
        if name in available(kind):
            return kind, name
    if is_path(name):
        need_local(name)
        found = kind_of(Path(name))
        if found in (*TYPES, ARCHITECTURE):
            return str(found), name
        facts.read_toml(Path(name))  # says why, where it cannot be read
        raise SpecError(
            f"{name}: has none of the tables {', '.join(f'[{kind}]' for kind in TYPES)}; see hwspecs/README.md"
        )
    for kind in (*TYPES, ARCHITECTURE):
        if is_known(kind, name):
            return kind, name
    for kind, run in _QUESTIONS.items():
        if name in available(kind):
            told = f"accelmodel {run} {name} asks it, accelmodel new {kind} NAME --like {name} writes one like it"
            raise SpecError(f"{name} is a {kind}, a question and no specification; {told}")
    owners = {each: kind for kind in (*TYPES, ARCHITECTURE) for each in available(kind)}
    meant = begun(name, owners)
    if len(meant) != 1:
        raise unknown("specification", name, owners)
    return owners[meant[0]], meant[0]


def print_specification(found: dict[str, Any]) -> None:
    """Print one specification."""
    rows = []
    for row in found["fields"]:
        value = row["value"]
        unit = row.get("unit", "1").replace("1/s", "Hz")
        text = show(value, unit) if isinstance(value, float) else str(value)
        origin = f"{row['inherited']}: " if row.get("inherited") else ""
        rows.append([row["key"], text, row["kind"], row.get("source", ""), origin + row.get("locator", "")])
    print_table(f"{found['kind']} {found['name']}", ["field", "value", "kind", "source", "where"], rows, 5)
    if "layers" in found:
        say(in_words(found))
    for note in found["notes"]:
        say(f"note: {note}")


@app.command("list")
def list_command(
    kind: Annotated[
        str,
        typer.Argument(
            help=(
                "devices, architectures, links, clusters, models, instances, cpus, engines, libraries, processes, "
                "bills, memories, phys, packages, sites, storage, studies or sweeps; all by default."
            ),
            autocompletion=one_of(*FOLDERS.values()),
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """What is known."""
    found = known(kind)
    answer(found, as_json, print_known)


@app.command("show")
def show_command(
    name: Annotated[
        str,
        typer.Argument(
            help="Name such as h100-sxm of a device, architecture, link, model, instance …, or a path.",
            autocompletion=name_of(*TYPES, ARCHITECTURE),
        ),
    ],
    as_json: Json = False,
) -> None:
    """One specification with the unit, kind and source of every value."""
    found = specification(name)
    answer(found, as_json, print_specification)
