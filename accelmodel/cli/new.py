"""The commands ``new`` and ``schema``: a file to fill in, and what editors check it by."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from accelmodel.cli.options import Json, emit
from accelmodel.cli.terminal import say, write_text
from accelmodel.errors import SpecError, unknown
from accelmodel.specs.find import available
from accelmodel.specs.load import TYPES
from accelmodel.specs.schema import file_schema
from accelmodel.specs.template import new_file

app = typer.Typer(add_completion=False)
KINDS = (*TYPES, "study", "sweep")
#: kind of file → how to name it, where no option of its own name does
_USE = {
    "process": 'name it in a device\'s file, process = "{name}"',
    "bill": 'name it in a study\'s file, bill = "{name}"',
    "storage": "name it with --tier {name}",
    "sweep": "run it with accelmodel sweep {name}",
}


@app.command("new")
def new_command(
    kind: Annotated[str, typer.Argument(help="device, link, model, instance, storage, study …")],
    name: Annotated[str, typer.Argument(help="Name of the file to write, without .toml.")],
    like: Annotated[str, typer.Option("--like", help="The nearest that is known, name or path.")] = "",
    as_json: Json = False,
) -> None:
    """Write NAME.toml, a commented file to fill in that loads at once."""
    if kind not in KINDS:
        raise unknown("kind of file", kind, KINDS)
    path = Path(name if name.endswith(".toml") else f"{name}.toml")
    if path.stem in available(kind):
        raise SpecError(f"{path.stem}: is the name of a shipped {kind}, which it would mean; choose another name")
    if path.exists():
        raise SpecError(f"{path}: is there already; choose another name, or remove it")
    write_text(path, new_file(kind, path.stem, like))
    if as_json:
        emit({"kind": kind, "path": str(path), "like": like})
    else:
        here = path.parent.resolve() == Path().resolve()
        use = _USE.get(kind, f"name it with --{kind} {{name}}").format(name=path.stem if here else path)
        say(f"wrote {path}; fill it in, look at it with `accelmodel show {path}`, and {use}")


@app.command("schema")
def schema_command(
    kind: Annotated[str, typer.Argument(help="device, architecture, link, model, instance, engine, storage, study …")],
    as_json: Json = False,
) -> None:
    """Print the JSON schema of a file, which editors complete and check TOML by."""
    emit(schema_of(kind))


def schema_of(kind: str) -> dict[str, Any]:
    """Return the JSON schema of any kind of file."""
    if kind == "study":
        from accelmodel.dse.study import study_schema

        return study_schema()
    if kind == "sweep":
        from accelmodel.sweeps.question import sweep_schema

        return sweep_schema()
    if kind not in (*TYPES, "architecture"):
        raise unknown("kind of file", kind, (*KINDS, "architecture"))
    return file_schema(kind)
