"""The commands ``step`` and ``preserve``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from accelmodel.cli.options import counts, hardware, names
from accelmodel.inference.figures import Figures
from accelmodel.inference.policies import Technique, policy
from accelmodel.inference.request import RequestPhase, speedups
from accelmodel.inference.step import figures, prepare
from accelmodel.specs.base import Spec
from accelmodel.specs.given import workload
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.load import load
from accelmodel.units import show

if TYPE_CHECKING:
    import xarray as xr
from typing import Annotated

import typer

from accelmodel.cli.options import DeviceName, Json, LinkName, ModelName, WeightBits, emit
from accelmodel.cli.terminal import print_table, say, say_notes

app = typer.Typer(add_completion=False)


#: variable of a step over operators → its key in JSON
OPERATOR_KEYS = {
    "count": "count",
    "time": "time_s",
    "bound": "bound",
    "algorithm": "algorithm",
    "flops": "flops",
    "hbm_bytes": "hbm_bytes",
    "l2_hit_bytes": "l2_hit_bytes",
    "link_bytes": "link_bytes",
    "fetched_bytes": "fetched_bytes",
}


def step_data(found: Figures) -> dict[str, Any]:
    """Return a step without axes as JSON-ready data."""
    operators = []
    for row, name in enumerate(found.labels["operator"]):
        if found["count"][row]:
            operators.append({"name": name, **{key: found[each][row].item() for each, key in OPERATOR_KEYS.items()}})
    totals = {f"{name}_s": found[name].item() for name in ("tpot", "ttft") if name in found.variables}
    about = found.attributes
    return {
        **{key: about[key] for key in ("model", "device", "link", "technique", "phase")},
        "time_s": found["step_time"].item(),
        **totals,
        **{name: found[name].item() for name in ("tokens_per_s", "prefetched_bytes", "memory_bytes")},
        "operators": operators,
        "overrides": json.loads(about["overrides"]),
        **{key: about[key] for key in ("notes", "weakest_fact", "sources", "digests", "accelmodel_version")},
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
        **{key: result.attrs[key] for key in ("notes", "weakest_fact")},
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


Devices = Annotated[int | None, typer.Option("--devices", min=1, help="Devices in the cluster; one node by default.")]


L2 = Annotated[str | None, typer.Option("--l2", help="L2 capacity, such as 104MB.")]


HbmBandwidth = Annotated[str | None, typer.Option("--hbm-bandwidth", help="Such as 3.35TB/s.")]


HbmCapacity = Annotated[str | None, typer.Option("--hbm-capacity", help="Such as 80GB.")]


LinkBandwidth = Annotated[str | None, typer.Option("--link-bandwidth", help="One way, all links of a device.")]


L2Bandwidth = Annotated[str | None, typer.Option("--l2-bandwidth", help="Such as 7TB/s.")]


Cores = Annotated[str | None, typer.Option("--cores", help="Cores; the rates scale with them.")]


Settings = Annotated[
    list[str] | None, typer.Option("--set", help="FIELD=VALUE of the device, link.… or scale_out.…; repeatable.")
]


Hybrid = Annotated[
    str | None,
    typer.Option("--hybrid", help="Correct the laws by installed tables of the device: TensorRT-LLM, vLLM or SGLang."),
]


Library = Annotated[
    str | None, typer.Option("--library", help="A framework's own 8 or 4 bit matmuls, such as vllm-8bit.")
]


ActivationBits = Annotated[float, typer.Option("--activation-bits", help="Precision of activations.")]


KvBits = Annotated[float, typer.Option("--kv-bits", help="Precision of the KV cache.")]


Threshold = Annotated[
    float | None, typer.Option("--threshold", help="Share of usable L2 that prefetches may fill; 1 by default.")
]


Rule = Annotated[
    str | None, typer.Option("--rule", help="Admission: paper, partial or best-fit; the paper's by default.")
]


#: fields of the device and its link that have an option of their own
SHORTCUTS = ("l2_capacity", "hbm_bandwidth", "hbm_capacity", "l2_bandwidth", "link_bandwidth", "cores")


def _technique(name: str, threshold: float | None, rule: str | None) -> Technique:
    """Return a technique with the parameters that were given; SpecError where it takes none of that name."""
    given: dict[str, float | str | None] = {"threshold": threshold, "rule": rule}
    return policy(name, **{key: value for key, value in given.items() if value is not None})


def _hardware(device: str, devices: int | None, link: str | None, shortcuts: dict[str, Any], settings: Any) -> Any:
    return hardware(device, devices, link=link, shortcuts=shortcuts, settings=settings)


def _shown(device: str, cluster: Cluster) -> dict[str, Spec]:
    """Return the specifications of a cluster by the names under which ``show`` tells of them."""
    links = {spec.name: spec for spec in (cluster.link, cluster.scale_out)}
    return {device: cluster.device, **links}


@app.command()
def step(
    model: ModelName = "llama-3-70b",
    device: DeviceName = "ascend-910b2",
    devices: Devices = None,
    link: LinkName = None,
    phase: Annotated[str, typer.Option("--phase", help="prefill or decode.")] = "decode",
    batch: Annotated[int, typer.Option("--batch", min=1, help="Sequences.")] = 1,
    context: Annotated[
        int, typer.Option("--context", min=1, help="Tokens of each sequence when the step ends.")
    ] = 2048,
    prefix: Annotated[int, typer.Option("--prefix", min=0, help="Tokens whose KV is already there.")] = 0,
    tp: Annotated[int, typer.Option("--tp", min=1, help="Tensor parallelism.")] = 1,
    pp: Annotated[int, typer.Option("--pp", min=1, help="Pipeline parallelism.")] = 1,
    ep: Annotated[int, typer.Option("--ep", min=1, help="Expert parallelism.")] = 1,
    dp: Annotated[int, typer.Option("--dp", min=1, help="Data-parallel attention.")] = 1,
    weight_bits: WeightBits = 16,
    activation_bits: ActivationBits = 16,
    kv_bits: KvBits = 16,
    technique: Annotated[str, typer.Option("--technique", help="none, fused or preserve.")] = "none",
    threshold: Threshold = None,
    rule: Rule = None,
    hybrid: Hybrid = None,
    library: Library = None,
    l2: L2 = None,
    hbm_bandwidth: HbmBandwidth = None,
    hbm_capacity: HbmCapacity = None,
    l2_bandwidth: L2Bandwidth = None,
    link_bandwidth: LinkBandwidth = None,
    cores: Cores = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """One prefill or decode step, operator by operator."""
    shortcuts = dict(
        zip(SHORTCUTS, (l2, hbm_bandwidth, hbm_capacity, l2_bandwidth, link_bandwidth, cores), strict=True)
    )
    chosen = _technique(technique, threshold, rule)
    cluster = _hardware(device, devices, link, shortcuts, settings)
    parallel = {"tp": tp, "pp": pp, "ep": ep, "dp": dp}
    sizes: dict[str, Any] = {"phase": phase, "batch": batch, "context": context, "prefix": prefix, **parallel}
    bits: dict[str, Any] = {"weight_bits": weight_bits, "activation_bits": activation_bits, "kv_bits": kv_bits}
    inputs = prepare(load("model", model), cluster, workload(**sizes, **bits))
    if hybrid:
        from accelmodel.calibration.hybrid import corrected

        inputs = corrected(inputs, hybrid)
    if library:
        from accelmodel.inference.kernel_library import on_library

        inputs = on_library(inputs, load("library", library))
    data = step_data(figures(inputs, chosen))
    if as_json:
        emit(data)
        return
    print_step(data)
    for note in inputs.table.notes:
        say(note)
    say_notes({model: inputs.model, **_shown(device, cluster)})


@app.command()
def preserve(
    device: DeviceName = "ascend-910b2",
    devices: Devices = None,
    link: LinkName = None,
    models: Annotated[str, typer.Option("--models", "--model", help="Comma-separated.")] = "llama-3-8b,llama-3-70b",
    tp: Annotated[str, typer.Option("--tp", help="Such as 2,4,8.")] = "8",
    batch: Annotated[str, typer.Option("--batch", help="Such as 1,4 or 1:64 (powers of two).")] = "4",
    context: Annotated[str, typer.Option("--context", help="Total length; such as 2048:32768.")] = "16384",
    phase: Annotated[
        str, typer.Option("--phase", help="end-to-end (the paper's mix), decode or prefill.")
    ] = "end-to-end",
    weight_bits: WeightBits = 8,
    activation_bits: ActivationBits = 8,
    kv_bits: KvBits = 8,
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
    cluster = _hardware(device, devices, link, shortcuts, settings)
    compared = {name: load("model", name) for name in names(models)}
    result = speedups(
        list(compared.values()),
        cluster,
        counts(tp, "tp"),
        counts(batch, "batch"),
        counts(context, "context"),
        phase=cast("RequestPhase", phase),
        prefetch=_technique("preserve", threshold, rule),
        precision={"weight_bits": weight_bits, "activation_bits": activation_bits, "kv_bits": kv_bits},
    )
    if as_json:
        emit(speedup_data(result))
        return
    print_speedups(speedup_data(result))
    say_notes({**compared, **_shown(device, cluster)})
