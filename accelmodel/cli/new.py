"""The commands ``new`` and ``schema``: a file to fill in, and what editors check it by."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from accelmodel import output
from accelmodel.cli.completion import one_of
from accelmodel.cli.options import Json, answer
from accelmodel.cli.terminal import say
from accelmodel.errors import SpecError, unknown
from accelmodel.specs import files
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
    "memory": 'name it in a device\'s file, hbm.generation = "{name}"',
    "phy": 'name it in a link\'s file, phy = "{name}"',
    "package": 'name it in a bill\'s file, package = "{name}"',
    "site": 'name it with accelmodel cost --at-site {name}, or in a study\'s file, site = "{name}"',
    "cpu": "name it in an instance's or an engine's file, cpu = \"{name}\"",
    "study": "run it with accelmodel explore --study {name}",
}


@app.command("new")
def new_command(
    kind: Annotated[
        str, typer.Argument(help="device, link, model, instance, storage, study …", autocompletion=one_of(*KINDS))
    ],
    name: Annotated[str, typer.Argument(help="Name of the file to write, such as my-chip for my-chip.toml.")],
    like: Annotated[
        str, typer.Option("--like", help="The nearest that is known, name such as h100-sxm, or path.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Write NAME.toml, a commented file to fill in that loads at once."""
    if kind not in KINDS:
        raise unknown("kind of file", kind, KINDS)
    path = Path(name if name.endswith(".toml") else f"{name}.toml")
    if path.stem in available(kind):
        raise SpecError(f"{path.stem}: is the name of a shipped {kind}, which it would mean; choose another name")
    if files.is_file(path) or files.is_folder(path):
        raise SpecError(f"{path}: is there already; choose another name, or remove it")
    output.write(path, new_file(kind, path.stem, like))
    here = path.parent.resolve() == Path().resolve()
    use = _USE.get(kind, f"name it with --{kind} {{name}}").format(name=path.stem if here else path)
    told = f"wrote {path}; fill it in, look at it with `accelmodel show {path}`, and {use}"
    answer({"kind": kind, "path": str(path), "like": like}, as_json, lambda _: say(told))


@app.command("schema")
def schema_command(
    kind: Annotated[
        str,
        typer.Argument(
            help="device, architecture, link, model, instance, engine, storage, study …",
            autocompletion=one_of(*KINDS, "architecture"),
        ),
    ],
    as_json: Json = False,
) -> None:
    """Print the JSON schema of a file, which editors complete and check TOML by."""
    answer(schema_of(kind), True, lambda _: None)


def schema_of(kind: str) -> dict[str, Any]:
    """Return the JSON schema of any kind of file."""
    if kind == "study":
        from accelmodel.dse.studies.schema import study_schema

        return study_schema()
    if kind == "sweep":
        from accelmodel.sweeps.question import sweep_schema

        return sweep_schema()
    if kind not in (*TYPES, "architecture"):
        raise unknown("kind of file", kind, (*KINDS, "architecture"))
    return file_schema(kind)
