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
import pydantic
from pydantic import BaseModel, ConfigDict, Field

from accelmodel.dse.chip import parts_of_study
from accelmodel.dse.evaluate import evaluate as evaluated
from accelmodel.dse.parts import Parts
from accelmodel.dse.study import Study, load_study
from accelmodel.errors import SpecError, unknown
from accelmodel.inference.axes import carried, with_coordinates
from accelmodel.inference.request import speedups
from accelmodel.inference.step import time_step
from accelmodel.laws.l2cache import resident_share
from accelmodel.specs import facts
from accelmodel.specs.given import cluster, override, workload
from accelmodel.specs.load import load
from accelmodel.validation import energy, experts, infersave, memories

if TYPE_CHECKING:
    import xarray as xr

#: the evaluation of PRESERVE: 8 devices, batch 1 to 64, 2K to 32K tokens, everything at 8 bit (KV: assumed)
BATCHES = [1, 2, 4, 8, 16, 32, 64]
CONTEXTS = [2048, 4096, 8192, 16384, 32768]
BITS = {"weight_bits": 8.0, "activation_bits": 8.0, "kv_bits": 8.0}
DEVICES = 8

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
    """Return the study with L2 as its only axis and the paper's rule alone, as the paper explores."""
    software = study.software.model_copy(update={"threshold": [1.0], "rule": ["paper"], "tp": [DEVICES]})
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
    score = result[study.study.objective]
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
    return {
        "max_speedup": float(largest),
        "min_speedup": float(smallest),
        "best_l2_none": float(none),
        "best_l2_preserve": float(prefetch),
        "gain": float(gain),
    }


def surviving(budget: float) -> float:
    """Return bytes of a prefetch of ``budget`` bytes that are still in a 910B's L2 when they are used [B]."""
    device = load("device", "ascend-910b2")
    return budget * resident_share(budget, float(device.l2.capacity * device.l2.usable), float(device.l2.ways))


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
    **dict.fromkeys(
        ("max_speedup", "min_speedup", "best_l2_none", "best_l2_preserve", "gain"), lambda name: _preserve()[name]
    ),
    "budget_100_over_80": lambda _: surviving(100e6) / surviving(80e6),
    "budget_120_over_100": lambda _: surviving(120e6) / surviving(100e6),
    "budget_10_over_80": lambda _: surviving(10e6) / surviving(80e6),
    "speculation": lambda name: speculation(float(name.partition(".")[2])),
    "infersave": infersave.quantity,
    **dict.fromkeys(("one_user", "batch", "throughput"), memories.quantity),
    "deepep": experts.deepep,
    "lmsys": experts.lmsys,
    "joules_per_token": energy.quantity,
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
START_UPS = np.array([10, 14, 18, 22, 26, 30, 40, 60, 100, 150]) * 1e-6
USABLE = np.array([0.55, 0.6, 0.65, 0.7, 0.8, 0.9, 1.0])
SRAM = np.array([0.26, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.5, 2.0, 2.61]) * 1e-6 / 2**20


def closed(parts: Parts, sram_area: Any) -> Parts:
    """Return the parts at another SRAM density, the uncore taking what the published die leaves."""
    device, bill, link = parts.device, parts.bill, parts.link
    known = device.compute.cores * bill.core_area + device.hbm.stacks * parts.memory.area + link.links * parts.phy.area
    rest = np.maximum(device.die_area - known - device.l2.capacity * sram_area, 0.0)
    return replace(parts, process=override(parts.process, sram_area=sram_area), bill=override(bill, uncore_area=rest))


def region() -> xr.Dataset:
    """Return where the claims of PRESERVE hold, over the constants that are not public.

    Returns
    -------
    xarray.Dataset
        Over (start_up [s], l2_usable [1], sram_area [m²/B]): ``max_speedup``, ``best_l2_none`` and
        ``best_l2_preserve`` [B], ``gain``, ``holds``: all four within their tolerances at once.
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
    none, prefetch, gain = best_l2(moved)
    computed = {
        "max_speedup": preserve_speedups(moved)[0],
        "best_l2_none": none,
        "best_l2_preserve": prefetch,
        "gain": gain,
    }
    holds: Any = True
    for claim in claims():
        if claim.quantity in computed:
            holds = holds & (abs(computed[claim.quantity] / claim.value - 1.0) <= claim.tolerance)
    result = xr.Dataset({name: value.drop_vars("technique", errors="ignore") for name, value in computed.items()})
    result["holds"] = holds.drop_vars("technique", errors="ignore")
    return with_coordinates(result, carried(moved.device, moved.link, moved.process))
