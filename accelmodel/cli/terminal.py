"""Answers as JSON-ready data, and as tables and progress bars for a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.errors import SpecError, unknown
from accelmodel.specs import facts
from accelmodel.specs.load import TYPES, available, field_units, load
from accelmodel.units import show

if TYPE_CHECKING:
    import xarray as xr
    from rich.console import Console

FOLDERS = {folder: kind for kind, (folder, _) in TYPES.items()}


def print_table(title: str, columns: list[str], rows: list[list[str]], left: int = 1) -> None:
    """Print a table; the first ``left`` columns are words."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    _console().print(table)


def _console() -> Console:
    """Standard output; as wide as the terminal, or wide enough for every column where there is none."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=200)


def say(text: str) -> None:
    """Print one line."""
    _console().print(text, highlight=False, markup=False)


@contextmanager
def watching() -> Iterator[Callable[[str, int, int], None]]:
    """Give a callable (stage, total, done) that draws progress bars on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, Any] = {}

        def watch(stage: str, total: int, done: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total)
            progress.advance(tasks[stage], done)

        yield watch


def known(kind: str) -> dict[str, list[str]]:
    """Return the names of one kind of specification, or of all."""
    studies = sorted(path.stem for path in (facts.root() / "studies").glob("*.toml"))
    everything = {**{folder: available(of) for folder, of in FOLDERS.items()}, "studies": studies}
    if not kind:
        return everything
    if kind not in everything:
        raise unknown("kind", kind, everything)
    return {kind: everything[kind]}


def print_known(found: dict[str, list[str]]) -> None:
    """Print names by kind."""
    print_table(
        "Known specifications", ["kind", "names"], [[kind, ", ".join(names)] for kind, names in found.items()], 2
    )


def specification(name: str) -> dict[str, Any]:
    """Return one specification with the facts behind it, whatever its kind."""
    kinds = [kind for kind in TYPES if name in available(kind)]
    if not kinds and (name.endswith((".toml", ".json")) or "/" in name):
        kinds = [_kind_of(Path(name))]
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


def step_data(result: xr.Dataset) -> dict[str, Any]:
    """Return a scalar step as JSON-ready data."""
    operators = []
    for name in result.operator.values.tolist():
        row = result.sel(operator=name)
        if not float(row["count"]):
            continue
        operators.append(
            {
                "name": name,
                "count": float(row["count"]),
                "time_s": float(row.time),
                "bound": str(row.bound.item()),
                "algorithm": str(row.algorithm.item()),
                "flops": float(row.flops),
                "hbm_bytes": float(row.hbm_bytes),
                "l2_hit_bytes": float(row.l2_hit_bytes),
                "link_bytes": float(row.link_bytes),
                "fetched_bytes": float(row.fetched_bytes),
            }
        )
    totals = {f"{name}_s": float(result[name]) for name in ("tpot", "ttft") if name in result}
    return {
        **{key: result.attrs[key] for key in ("model", "device", "link", "technique", "phase")},
        "time_s": float(result.step_time),
        **totals,
        "tokens_per_s": float(result.tokens_per_s),
        "prefetched_bytes": float(result.prefetched_bytes),
        "memory_bytes": float(result.memory_bytes),
        "operators": operators,
        **{key: result.attrs[key] for key in ("notes", "weakest_fact", "sources", "digests", "accelmodel_version")},
    }


def print_step(data: dict[str, Any]) -> None:
    """Print a step, operator by operator."""
    rows = [
        [
            row["name"],
            f"{row['count']:g}",
            show(row["time_s"], "s", 3),
            f"{row['time_s'] / data['time_s']:.1%}",
            row["bound"] + (f" ({row['algorithm']})" if row["algorithm"] != "none" else ""),
            show(row["flops"], "FLOP", 3),
            show(row["hbm_bytes"], "B", 3),
            show(row["l2_hit_bytes"], "B", 3),
            show(row["link_bytes"], "B", 3),
        ]
        for row in data["operators"]
    ]
    columns = ["operator", "count", "time", "share", "bound", "FLOPs", "HBM", "L2 hits", "link"]
    print_table(f"{data['phase']} step of {data['model']} on {data['device']}, {data['technique']}", columns, rows)
    say(
        f"step {show(data['time_s'], 's')}, {data['tokens_per_s']:.4g} tokens/s, memory per device "
        f"{show(data['memory_bytes'], 'B')}, prefetched {show(data['prefetched_bytes'], 'B')}; "
        f"weakest fact behind it: {data['weakest_fact']}"
    )
    if data["notes"]:
        say(data["notes"])


def speedup_data(result: xr.Dataset) -> dict[str, Any]:
    """Return the comparison of techniques as JSON-ready rows."""
    rows = []
    for index in np.ndindex(*(result.sizes[dim] for dim in ("model", "tp", "batch", "context"))):
        at = result.isel(dict(zip(("model", "tp", "batch", "context"), index, strict=True)))
        rows.append(
            {
                "model": str(at.model.item()),
                **{dim: int(at[dim]) for dim in ("tp", "batch", "context")},
                **{f"{name}_s": float(at[name]) for name in ("baseline", "preserve", "fused")},
                "speedup": float(at.speedup),
                "prefetched_bytes": float(at.prefetched_bytes),
                "feasible": bool(at.feasible),
            }
        )
    fitting = result.speedup.where(result.feasible)
    return {
        "device": result.attrs["device"],
        "phase": result.attrs["phase"],
        "max_speedup": float(fitting.max()),
        "min_speedup": float(fitting.min()),
        "skipped": result.attrs["skipped"],
        "rows": rows,
    }


def print_speedups(data: dict[str, Any]) -> None:
    """Print the comparison of techniques."""
    rows = [
        [
            row["model"],
            *(str(row[key]) for key in ("tp", "batch", "context")),
            *(show(row[f"{name}_s"], "s") for name in ("baseline", "fused", "preserve")),
            f"{row['speedup']:.3f}" if row["feasible"] else "does not fit",
            show(row["prefetched_bytes"], "B"),
        ]
        for row in data["rows"]
    ]
    columns = ["model", "tp", "batch", "context", "baseline", "fused", "PRESERVE", "speed-up", "prefetched"]
    print_table(f"PRESERVE on {data['device']}, {data['phase']}", columns, rows)
    say(f"speed-up from {data['min_speedup']:.3f} to {data['max_speedup']:.3f} where it fits")


def print_exploration(data: dict[str, Any]) -> None:
    """Print the best chips and where the report is."""
    rows = []
    for technique, chip in data["best"].items():
        rows.append(
            [
                technique,
                show(chip["l2_bytes"], "B"),
                f"{chip.get('cores', float('nan')):g}",
                f"{chip.get('hbm_stacks', float('nan')):g}",
                show(chip["die_area_m2"], "m2"),
                f"{chip['power_w']:.0f} W",
                f"{chip['price_usd']:.0f} USD",
                f"{chip['tokens_per_s_per_device']:.4g}",
                f"{chip['tokens_per_s_per_m2'] * 1e-6:.4g}",
            ]
        )
    columns = ["technique", "L2", "cores", "HBM stacks", "die", "power", "price", "tokens/s", "tokens/s/mm²"]
    print_table(f"Best chips of {data['study']}", columns, rows)
    alone = data["l2_alone"]
    say(
        f"gain {data['gain']:.3f} over {data['exhaustive']['chips']} chips; with L2 as the only axis "
        f"{show(alone['none']['l2_bytes'], 'B')} → {show(alone['preserve']['l2_bytes'], 'B')}, gain {alone['gain']:.3f}"
    )
    say(f"Optuna's regret {data['regret']:.2%}; report: {data['report']}; study: {data['storage']}")


def print_benchmark(data: dict[str, Any]) -> None:
    """Print rates and ratios."""
    rates = [[name, "not measured" if rate is None else f"{rate:,.0f}"] for name, rate in data["rates"].items()]
    print_table("Full decode steps per second", ["form", "steps/s"], rates)
    ratios = [[name, "not measured" if ratio is None else f"{ratio:,.3g}"] for name, ratio in data["ratios"].items()]
    print_table("Ratios", ["ratio", "value"], ratios)
    cake = [
        [name, "not measured" if value is None else f"{value:,.0f}"] for name, value in data["cake"]["rates"].items()
    ]
    print_table("Cake decisions per second", ["form", "decisions/s"], cake)


def write_text(path: Path, text: str) -> None:
    """Write a file; SpecError if it cannot be."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SpecError(f"{path}: cannot be written ({error.strerror}); choose another place") from None
