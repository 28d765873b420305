"""Holding the model against what others published and measured: the accuracy table.

Claims stand in ``hwspecs/published``.  Each names a quantity, a function below; a claim that a constant
was fitted to says so.  ``region`` shows for which of the constants that are not public all claims
of PRESERVE hold at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import pydantic
from pydantic import BaseModel, ConfigDict, Field

from accelmodel.costs.parts import Parts, closed_anew
from accelmodel.dse.evaluation.chip import parts_of_study
from accelmodel.dse.evaluation.evaluate import evaluate as evaluated
from accelmodel.dse.studies.study import Study, load_study
from accelmodel.errors import SpecError, unknown
from accelmodel.inference.axes import axes_of, carried, table_array, with_coordinates
from accelmodel.inference.machine import machine
from accelmodel.inference.operators import operator_table
from accelmodel.inference.policies import policy
from accelmodel.inference.request import speedups
from accelmodel.inference.run import run_kernel
from accelmodel.inference.step import NONE, time_step
from accelmodel.laws.prefetch import ISSUED
from accelmodel.laws.types import GIVEN, Machine, Operator, Policy
from accelmodel.specs import facts
from accelmodel.specs.given import cluster, override, workload
from accelmodel.specs.hardware import Device
from accelmodel.specs.load import load
from accelmodel.validation import bills, energy, experts, infersave, memories

if TYPE_CHECKING:
    import xarray as xr

#: the evaluation of PRESERVE: 8 devices, batch 1 to 64, 2K to 32K tokens, everything at 8 bit (KV: assumed)
BATCHES = [1, 2, 4, 8, 16, 32, 64]
CONTEXTS = [2048, 4096, 8192, 16384, 32768]
BITS = {"weight_bits": 8.0, "activation_bits": 8.0, "kv_bits": 8.0}
DEVICES = 8
#: admission of the operand that crosses the threshold: the paper's is not public
RULE = policy("preserve").parameters["rule"]
#: claims of PRESERVE that constants which are not public must meet at once
CLAIMED = ("max_speedup", "min_speedup", "best_l2_none", "best_l2_preserve", "gain")

#: constants of kernels that nobody measured on a 910B, and a GPU of which they were fitted
KERNELS = (
    "matmul.slice_clocks", "matmul.store_width", "matmul.split_time", "matmul.fill_time", "matmul.exposed",
    "matmul.scaling_time", "attention.softmax_width", "attention.time", "attention.tile_time", "attention.draw",
    "attention.combine_time", "attention.fill",
)  # fmt: skip
GPU = "h100-sxm"
#: what the prefetches of a window cost vllm-ascend, fitted to what it gains by 10 MB, from 0 to 6 us [s]
ENGINE_COST = 5.76e-6
#: start-up of its collectives [s]: profiles of decode show means of 43 to 170 us; from 80 us on 120 MB are fetched
ENGINE_START_UP = 100e-6

#: vLLM's measurement of a draft: chats of ShareGPT, whose length is assumed; share of drafted tokens taken, as printed
SPECULATION = {"context": 1024.0, "tp": 8.0}
DRAFT = {"speculative": 1.0, "acceptance": 0.815}


class Claim(BaseModel):
    """One published or measured figure."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
    name: str
    quantity: str
    value: float
    tolerance: Annotated[float, Field(gt=0.0, le=1.0)]
    calibrated_on_it: bool
    source: str
    locator: str


def claims(table: str = "claim") -> list[Claim]:
    """Return all claims of ``hwspecs/published`` under ``[[table]]``; raises SpecError naming file and field."""
    found: list[Claim] = []
    for path in sorted((facts.root() / "published").glob("*.toml")):
        content, _ = facts.read_toml(path)
        for entry in content.get(table, []):
            try:
                claim = Claim.model_validate(entry)
            except pydantic.ValidationError as error:
                raise SpecError(f"{path}: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}") from None
            if claim.source not in facts.sources():
                raise SpecError(f"{path}: {unknown('source', claim.source, facts.sources())}")
            found.append(claim)
    return found


def reference(study: Study) -> Study:
    """Return the study with L2 as its only axis and the default rule alone, as the paper explores."""
    software = study.software.model_copy(update={"threshold": [1.0], "rule": [RULE], "tp": [DEVICES]})
    return study.model_copy(update={"space": {"l2_capacity": study.space["l2_capacity"]}, "software": software})


def preserve_speedups(parts: Parts) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the largest and smallest speed-up over what fits, over the axes of ``parts``."""
    models = [load("model", name) for name in load_study().workload.models]
    chip = cluster(parts.device, link=parts.link)
    result = speedups(models, chip, [DEVICES], BATCHES, CONTEXTS, precision=BITS)
    fitting = result.speedup.where(result.feasible)
    over = ("model", "tp", "batch", "context")
    return fitting.max(over), fitting.min(over)


def best_l2(parts: Parts) -> tuple[Any, Any, Any]:
    """Return best L2 without and with prefetch [B] and the gain in performance per area, over the axes of ``parts``."""
    import xarray as xr

    study = reference(load_study())
    sizes = study.axes()["l2_capacity"].grid
    result = evaluated(study, parts, l2_capacity=xr.DataArray(sizes, dims="l2", coords={"l2": sizes}))
    score = result[study.headline]
    best = score.idxmax("l2")
    top = score.max("l2")
    return (
        best.sel(technique="none"),
        best.sel(technique="preserve"),
        top.sel(technique="preserve") / top.sel(technique="none"),
    )


@cache
def _preserve() -> dict[str, float]:
    parts = parts_of_study(load_study())
    largest, smallest = preserve_speedups(parts)
    none, prefetch, gain = best_l2(parts)
    return dict(zip(CLAIMED, map(float, (largest, smallest, none, prefetch, gain)), strict=True))


def with_kernels_of(device: Device, other: str) -> Device:
    """Return a device whose kernels lose as much time as those of another, whose constants were fitted."""
    theirs = load("device", other)
    taken = {name: getattr(getattr(theirs, part), field) for name in KERNELS for part, field in [name.split(".")]}
    return override(device, taken)


@cache
def _preserve_elsewhere(where: str) -> dict[str, float]:
    """Return the claims of PRESERVE with other constants: kernels of a GPU, or the fixed cost of vllm-ascend."""
    parts = parts_of_study(load_study())
    if where == "gpu_like":
        device = with_kernels_of(parts.device, GPU)
    else:
        device = override(parts.device, {"l2.prefetch_time": ENGINE_COST})
    moved = replace(parts, device=device)
    return dict(zip(CLAIMED, map(float, (*preserve_speedups(moved), *best_l2(moved))), strict=True))


@cache
def _engine_window() -> tuple[npt.NDArray[np.float64], Machine]:
    """Return the window in which vllm-ascend prefetches (column, row, 1), and its machine, which starts up late.

    A collective over two servers and the first matmul of DeepSeek's routed experts, of which each device has a 16th.
    """
    names = ("all_reduce_into_mlp_moe", "expert_up_moe")
    table = operator_table("deepseek-v3", workload(phase="decode", batch=16, context=2048, tp=16, ep=16, **BITS))
    every = table_array(table, axes_of([value for column in table.columns.values() for value in column], {}))
    rows = every[:, [table.names.index(name) for name in names], :]
    fields = Operator._fields
    rows[fields.index("count")], rows[fields.index("feeds")] = 1.0, -1.0
    rows[fields.index("prefetch_bytes"), 1] = rows[fields.index("weight_bytes"), 1]
    link = override(load("link", "roce-200g"), start_up=ENGINE_START_UP)
    numbers = machine(cluster(load("device", "ascend-910b2"), 16, scale_out=link))
    return rows, Machine(**{name: float(value) for name, value in numbers.items()})


def budget_gain(budget: float) -> float:
    """Return time that a window gains where an engine prefetches ``budget`` bytes in it, whether they pay or not [s].

    Raises
    ------
    SpecError
        If the device is not known.
    """
    rows, chip = _engine_window()
    times = []
    for policy_, start in ((NONE, 0.0), (Policy(ISSUED, budget / chip.l2_bytes, 0.0), ENGINE_COST)):
        numbers = np.array(chip._replace(prefetch_start=start)[: len(GIVEN)])
        times.append(float(run_kernel(rows, numbers[:, None, None], policy_)[0][0, 0, 0]))
    return times[0] - times[1]


@cache
def _gpt3_layer() -> dict[str, float]:
    """Time of each operator of one GPT-3 175B layer in prefill on 4 A100 [s]."""
    chip = cluster(load("device", "a100-sxm-80gb"), 4, link=load("link", "nvlink3-mesh-4"))
    model = override(load("model", "gpt-3-175b"), layers=1.0)
    result = time_step(model, chip, workload(phase="prefill", batch=8, context=2048, tp=4))
    return dict(zip(result.operator.values.tolist(), result.time.values.tolist(), strict=True))


def speculation(batch: float) -> float:
    """Return how many times faster DeepSeek-V3 decodes on 8 H200 with one token drafted by its own module [1]."""
    asked = (workload(phase="decode", batch=batch, **SPECULATION, **draft) for draft in ({}, DRAFT))
    plain, drafted = (float(time_step("deepseek-v3", "h200-sxm", each).tpot) for each in asked)
    return plain / drafted


QUANTITIES: dict[str, Callable[[str], float]] = {
    **dict.fromkeys(CLAIMED, lambda name: _preserve()[name]),
    **dict.fromkeys(
        ("gpu_like", "at_engine_cost"), lambda name: _preserve_elsewhere(name.partition(".")[0])[name.partition(".")[2]]
    ),
    "budget_100_over_80": lambda _: budget_gain(100e6) / budget_gain(80e6),
    "budget_120_over_100": lambda _: budget_gain(120e6) / budget_gain(100e6),
    "budget_10_over_80": lambda _: budget_gain(10e6) / budget_gain(80e6),
    "speculation": lambda name: speculation(float(name.partition(".")[2])),
    "infersave": infersave.quantity,
    **dict.fromkeys(("one_user", "batch", "throughput"), memories.quantity),
    "bill": bills.quantity,
    "deepep": experts.deepep,
    "lmsys": experts.lmsys,
    "joules_per_token": energy.joules_per_token,
    "mean_power": energy.mean_power,
    "gpt3_layer": lambda name: _gpt3_layer()[name.partition(".")[2]],
}


def evaluate(given: list[Claim], quantities: Mapping[str, Callable[[str], float]]) -> list[dict[str, Any]]:
    """Return the accuracy table of some claims: one row for each.

    Returns
    -------
    list of dict
        ``claim``, ``source``, ``locator``, ``published``, ``model``, ``relative_error``, ``tolerance``,
        ``within``, ``calibrated_on_it``.

    Raises
    ------
    SpecError
        If a claim names a quantity that the model does not compute.
    """
    rows = []
    for claim in given:
        key = claim.quantity.partition(".")[0]
        if key not in quantities:
            raise unknown("quantity", claim.quantity, quantities)
        value = quantities[key](claim.quantity)
        error = value / claim.value - 1.0
        rows.append(
            {
                "claim": claim.name,
                "source": claim.source,
                "locator": claim.locator,
                "published": claim.value,
                "model": value,
                "relative_error": error,
                "tolerance": claim.tolerance,
                "within": abs(error) <= claim.tolerance,
                "calibrated_on_it": claim.calibrated_on_it,
            }
        )
    return rows


def validate(sources: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Return the accuracy table, as ``answer``, of all ``[[claim]]``, or of those of some sources."""
    return evaluate([each for each in claims() if sources is None or each.source in sources], QUANTITIES)


#: grid of the constants that are not public: start-up of a collective [s], usable share of L2, SRAM area [mm²/MiB]
START_UPS = np.array([10, 14, 16, 18, 20, 22, 26, 30, 40, 60, 100, 150]) * 1e-6
USABLE = np.array([0.55, 0.56, 0.58, 0.6, 0.65, 0.7, 0.8, 0.9, 1.0])
SRAM = np.array([0.5625, 0.58, 0.6, 0.62, 0.64]) * 1e-6 / 2**20


def closed(parts: Parts, sram_area: Any) -> Parts:
    """Return the parts at another SRAM density, the rest taking what the published die leaves."""
    denser = replace(parts, process=override(parts.process, sram_area=sram_area))
    return closed_anew(denser)


def held(parts: Parts) -> xr.Dataset:
    """Return what the model says of the five claims of PRESERVE over the axes of ``parts``, and whether all hold."""
    import xarray as xr

    computed = dict(zip(CLAIMED, (*preserve_speedups(parts), *best_l2(parts)), strict=True))
    result = xr.Dataset({name: value.drop_vars("technique", errors="ignore") for name, value in computed.items()})
    holds: Any = True
    for claim in claims():
        if claim.quantity in CLAIMED:
            holds = holds & (abs(result[claim.quantity] / claim.value - 1.0) <= claim.tolerance)
    result["holds"] = holds
    return result


def region() -> xr.Dataset:
    """Return where the claims of PRESERVE hold, over the constants that are not public.

    Returns
    -------
    xarray.Dataset
        Over (start_up [s], l2_usable [1], sram_area [m²/B]): ``max_speedup``, ``min_speedup``, ``best_l2_none`` and
        ``best_l2_preserve`` [B], ``gain``, ``holds``: all five within their tolerances at once.
    """
    import xarray as xr

    def axis(name: str, values: Any) -> xr.DataArray:
        return xr.DataArray(values, dims=name, coords={name: values})

    parts = parts_of_study(load_study())
    moved = replace(
        closed(parts, axis("sram_area", SRAM)),
        device=override(parts.device, l2_usable=axis("l2_usable", USABLE)),
        link=override(parts.link, start_up=axis("start_up", START_UPS)),
    )
    return with_coordinates(held(moved), carried(moved.device, moved.link, moved.process))
