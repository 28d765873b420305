"""Command line of the measurements: ``python -m accelmodel.benchmarks.gpu``."""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from accelmodel import __version__
from accelmodel.benchmarks.gpu import plan
from accelmodel.errors import Infeasible, SpecError, unknown
from accelmodel.measured.rawtable import HEADER_FILE, SCHEMA, TABLES, read_run, write_header, write_table
from accelmodel.specs.load import load

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
MODULE = "accelmodel.benchmarks.gpu"


def described(device: str, card: plan.Card, rows: dict[str, list[plan.Row]], seed: int) -> dict[str, Any]:
    """Return the plan as a JSON document: every row of every table, in order."""
    needed = plan.memory(rows, card)
    tables = {}
    for name, each in rows.items():
        columns = list(each[0])
        tables[name] = {
            "needed_bytes": needed[name],
            "rows": len(each),
            "columns": columns,
            "plan": [[row[column] for column in columns] for row in each],
        }
    return {
        "device": device, "l2_bytes": card.l2_bytes, "memory_bytes": card.memory_bytes, "precisions": card.precisions,
        "seed": seed, "tables": tables,
    }  # fmt: skip


def rehearse(header: dict[str, Any], rows: dict[str, list[plan.Row]]) -> None:
    """Write the plan as a run without times into a temporary folder and read it back.

    Raises
    ------
    SpecError
        If what is read is not what was planned.
    """
    with tempfile.TemporaryDirectory(prefix="accelmodel-") as folder:
        write_header(Path(folder), {**header, "dry": True})
        for name, each in rows.items():
            write_table(Path(folder), name, each)
        back = read_run(Path(folder))
    blank = {"time_s": None, "low_s": None, "high_s": None, "note": ""}
    for name, each in rows.items():
        if back.tables.get(name) != [{**row, **blank} for row in each]:
            raise SpecError(f"{name}: the table that was read back is not the plan; the schema lacks a column")


@app.command()
def measure_command(
    device: Annotated[str | None, typer.Option(help="Specification of the card, a name in hwspecs/devices.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run, such as hwspecs/measured/h100-sxm.")] = None,
    only: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(TABLES)}; repeatable.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of the order and of the data.")] = 0,
    dry: Annotated[bool, typer.Option("--dry", help="Print the plan as JSON and check the schema; no GPU.")] = False,
) -> None:
    """Measure matmuls, L2 and HBM bandwidth, and prefetching into L2 on one NVIDIA GPU."""
    tables = tuple(dict.fromkeys(only or TABLES))
    for name in tables:
        if name not in TABLES:
            raise unknown("table", name, TABLES)
    spec = load("device", device or ("h100-sxm" if dry else _needed("--device", "a name in hwspecs/devices")))
    command = f"python -m {MODULE} {shlex.join(sys.argv[1:])}"
    header = {"schema": SCHEMA, "device": spec.name, "seed": seed, "command": command, "accelmodel": __version__}
    if dry:
        card = plan.card_of(spec)
        rows = plan.plan(card, seed, tables)
        rehearse({**header, "l2_bytes": card.l2_bytes, "memory_bytes": card.memory_bytes}, rows)
        sys.stdout.write(json.dumps(described(spec.name, card, rows, seed), allow_nan=False) + "\n")
        return
    folder = out or Path(_needed("--out", "a new folder such as hwspecs/measured/h100-sxm"))
    if (folder / HEADER_FILE).exists():
        raise SpecError(f"{folder} holds a run already; name another folder with --out")
    try:
        from accelmodel.benchmarks.gpu import run
    except ModuleNotFoundError as error:
        raise SpecError(f"{error.name} is missing: install accelmodel[gpu] on a machine with an NVIDIA GPU") from None
    card = run.card_of_device(spec)
    header |= {"l2_bytes": card.l2_bytes, "memory_bytes": card.memory_bytes, "dry": False}
    run.run(folder, header, plan.plan(card, seed, tables), card, lambda line: typer.echo(line, err=True))
    typer.echo(f"written to {folder}", err=True)


def _needed(option: str, what: str) -> str:
    raise SpecError(f"{option} is missing: {what}; or --dry, which needs neither card nor folder")


def main() -> None:
    """Run the command: exit code 0 done, 2 wrong input."""
    try:
        app()
    except (SpecError, Infeasible) as error:
        sys.stderr.write(f"{MODULE}: {' '.join(str(error).split())}\n")
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
