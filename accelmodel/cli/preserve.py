"""The command ``preserve``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, cast

import numpy as np
import typer

from accelmodel.cli.completion import name_of, one_of, several
from accelmodel.cli.options import (
    By,
    ClusterName,
    DeviceName,
    Json,
    Launch,
    LinkName,
    PaperActivationBits,
    PaperKvBits,
    PaperWeightBits,
    answer,
    asked_bits,
    counts,
    hardware,
    is_given,
    names,
    of_cluster,
)
from accelmodel.cli.progress import working
from accelmodel.cli.sections import Grouped
from accelmodel.cli.step_options import (
    L2,
    SHORTCUTS,
    Cores,
    Devices,
    HbmBandwidth,
    HbmCapacity,
    L2Bandwidth,
    LinkBandwidth,
    Rule,
    Settings,
    Threshold,
    shown,
    technique_of,
)
from accelmodel.cli.terminal import print_table, say, say_intervals, say_notes
from accelmodel.estimates import need_affordable
from accelmodel.inference.attributes import BITS
from accelmodel.inference.calls import called, callers_note, paths_note
from accelmodel.inference.degree import largest_degree
from accelmodel.inference.intervals import by_kind
from accelmodel.inference.precisions import ASKED, rows_in_words
from accelmodel.inference.reading import in_words, readings
from accelmodel.inference.request import RequestPhase, speedups
from accelmodel.specs.bits import plain
from accelmodel.specs.load import load
from accelmodel.units import show

if TYPE_CHECKING:
    import xarray as xr

app = typer.Typer(add_completion=False)

#: precisions of the paper on PRESERVE, of models whose files state none [bit]
PAPER_BITS = dict.fromkeys(BITS, 8.0)
#: what an answer calls them
OWN_DEFAULT = "default of preserve"
#: tensor-parallel degree of the paper on PRESERVE
PAPER_DEGREE = 8
#: device of who asks for none
USUAL = "ascend-910b2"
#: time [s] and memory [B] of a printed comparison
_SECONDS, _ROOM = 3e-3, 2e4


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
        **{key: json.loads(result.attrs[key]) for key in ("bits", "precision")},
        **{key: result.attrs[key] for key in ("notes", "weakest_fact")},
        "rows": rows,
    }


def _say_default(data: dict[str, Any], bits: dict[str, float]) -> None:
    """Say of precisions that nobody asked for, and that this command takes where a file is silent, that it does."""
    for read in data["read"]:
        own = [name for name, origin in read["precision_from"].items() if origin == ASKED and name not in bits]
        read["precision_from"] |= dict.fromkeys(own, OWN_DEFAULT)
        for row in data["precision"] if "weight_bits" in own else ():
            if row["model"] == read["model"] and row["from"] == ASKED:
                row["from"] = OWN_DEFAULT
    if "weight_bits" not in bits:
        data["notes"] = data["notes"].replace(f"({ASKED})", f"({OWN_DEFAULT})")


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
    print_table(f"PRESERVE on {data['device']}, {data['phase']}", columns, rows, spare=["prefetched", "fused"])
    say(f"speed-up from {data['min_speedup']:.3f} to {data['max_speedup']:.3f} where it fits")
    if data["skipped"]:
        say(f"left out: {data['skipped']}")
    say_intervals(data["operator_intervals"])


@app.command(cls=Grouped)
def preserve(
    asked_for: typer.Context,
    device: DeviceName = USUAL,
    devices: Devices = None,
    link: LinkName = None,
    within: ClusterName = None,
    models: Annotated[
        str,
        typer.Option(
            "--models", "--model", help="Such as llama-3-8b,llama-3-70b.", autocompletion=several(name_of("model"))
        ),
    ] = "llama-3-8b,llama-3-70b",
    tp: Annotated[
        str | None, typer.Option("--tp", help="Such as 2,4,8; 8, or all of a smaller cluster, by default.")
    ] = None,
    batch: Annotated[str, typer.Option("--batch", help="Such as 1,4 or 1:64 (powers of two).")] = "4",
    context: Annotated[str, typer.Option("--context", help="Total length; such as 2048:32768.")] = "16384",
    phase: Annotated[
        str,
        typer.Option(
            "--phase",
            help="end-to-end (the paper's mix), decode or prefill.",
            autocompletion=one_of("end-to-end", "decode", "prefill"),
        ),
    ] = "end-to-end",
    weight_bits: PaperWeightBits = None,
    activation_bits: PaperActivationBits = None,
    kv_bits: PaperKvBits = None,
    by: By = "",
    launch: Launch = "",
    threshold: Threshold = None,
    rule: Rule = None,
    l2: L2 = None,
    hbm_bandwidth: HbmBandwidth = None,
    hbm_capacity: HbmCapacity = None,
    l2_bandwidth: L2Bandwidth = None,
    link_bandwidth: LinkBandwidth = None,
    cores: Cores = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Speed-up of prefetching during collectives, over models, tensor-parallel degrees, batches and lengths."""
    shortcuts = dict(
        zip(SHORTCUTS, (l2, hbm_bandwidth, hbm_capacity, l2_bandwidth, link_bandwidth, cores), strict=True)
    )
    device, link = of_cluster(within, device, is_given(asked_for, "device"), link)
    cluster = called(hardware(device, devices, link=link, shortcuts=shortcuts, settings=settings), by, launch)
    compared = {name: load("model", name) for name in names(models)}
    degrees = counts(tp, "--tp") if tp else [min(PAPER_DEGREE, largest_degree(cluster))]
    axes = {"tp": degrees, "batch": counts(batch, "--batch"), "context": counts(context, "--context")}
    bits = asked_bits(weight_bits=weight_bits, activation_bits=activation_bits, kv_bits=kv_bits)
    sizes = {"models": len(compared), **{name: len(values) for name, values in axes.items()}}
    need_affordable("preserve", sizes, seconds=_SECONDS, room=_ROOM)
    precision = [{**(PAPER_BITS if plain(each) else {}), **bits} for each in compared.values()]
    with working("speed-ups"):
        result = speedups(
            list(compared.values()),
            cluster,
            *axes.values(),
            phase=cast("RequestPhase", phase),
            prefetch=technique_of("preserve", threshold, rule),
            precision=precision,
        )
    data = speedup_data(result)
    taken = {name: float(np.max(each)) for name, each in data["bits"].items()}
    widest = max(taken["weight_bits"], taken["activation_bits"])
    data["operator_intervals"] = by_kind(cluster, "", widest, taken["kv_bits"])
    data["read"] = readings(compared.values(), precision)
    _say_default(data, bits)
    said = [*paths_note(cluster, np.array(degrees)), *callers_note(cluster, np.array(degrees))]
    data["notes"] = "; ".join(dict.fromkeys(filter(None, [*said, data["notes"]])))

    def printed(data: dict[str, Any]) -> None:
        print_speedups(data)
        for note in said:
            say(note)
        for read in data["read"]:
            told = rows_in_words([row for row in data["precision"] if row["model"] == read["model"]])
            say(f"{read['model']} {in_words(read, by_class=bool(told))}")
            if told:
                say(f"{read['model']}: {told}")
        say_notes({**compared, **shown(device, cluster)})

    answer(data, as_json, printed)
