"""The command ``check``: the invariants on files of one's own."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import Annotated, Any

import typer

from accelmodel.cli.completion import name_of
from accelmodel.cli.options import Json, answer
from accelmodel.cli.progress import progress_bars
from accelmodel.cli.terminal import print_table, say
from accelmodel.errors import SpecError
from accelmodel.specs.find import FOLDERS
from accelmodel.units import show

app = typer.Typer(add_completion=False)
#: examples that each invariant is tried on where nothing is said
EXAMPLES = 30
_MOST = 100_000


@app.command("check")
def check_command(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Files of devices, links, clusters, models, instances, storage, engines …, or shipped names.",
            autocompletion=name_of(*FOLDERS),
        ),
    ],
    examples: Annotated[
        int, typer.Option("--examples", min=1, max=_MOST, help="How many each invariant is tried on, such as 200.")
    ] = EXAMPLES,
    as_json: Json = False,
) -> None:
    """Whether files read, their numbers fit each other, and all invariants hold of what they say."""
    if find_spec("hypothesis") is None:
        raise SpecError("check needs Hypothesis, which tries the invariants: pip install 'accelmodel[check]'")
    from accelmodel.testing.files import check_file, kind_named

    names = list(dict.fromkeys(files))
    for name in names:
        kind_named(name)
    with progress_bars() as advance:
        found = [
            check_file(name, examples, lambda stage, total, done: advance(stage, total * len(names), done))
            for name in names
        ]
    data = {"examples": examples, "sound": all(each.sound for each in found), "files": [each.data() for each in found]}
    answer(data, as_json, print_checks)
    if not data["sound"]:
        wrong = [each.name for each in found if not each.sound]
        raise SpecError(f"{', '.join(wrong)}: {'is' if len(wrong) == 1 else 'are'} not sound; see the checks above")


def print_checks(data: dict[str, Any]) -> None:
    """Print the checks of each file, and what is wrong."""
    for file in data["files"]:
        rows = [[each["name"], each["result"], str(each["examples"]), each["words"]] for each in file["checks"]]
        print_table(f"{file['kind']} {file['name']}", ["check", "result", "examples", "what must hold"], rows, 4)
        for each in file["checks"]:
            for line in lines(each):
                say(line)
        if file["sound"]:
            say(f"{file['name']}: sound")


def lines(check: dict[str, Any]) -> list[str]:
    """Return what is wrong of a check, a line each: faults, and the smallest example as command lines."""
    if not check["commands"]:
        return [f"{check['name']}: {fault}" for fault in check["faults"]]
    told = [f"{check['name']}: {fault}, by the smallest example" for fault in check["faults"]]
    values = ["no number" if value is None else _shown(value, check["unit"]) for value in check["values"]]
    if len(set(check["commands"])) == 1:
        return [*told, f"  {check['commands'][0]}", f"  gives {' against '.join(values)}"]
    for command, value in zip(check["commands"], values, strict=True):
        told += [f"  {command}", f"  gives {value}"]
    return told


def _shown(value: float, unit: str) -> str:
    """Return a number with digits enough to tell two apart that differ by little."""
    return show(value, unit, 10) if math.isfinite(value) else "no number"
