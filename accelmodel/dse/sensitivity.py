"""How the optimum moves over the range of every uncertain constant."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from accelmodel.dse.chip import Parts
from accelmodel.dse.evaluate import evaluate
from accelmodel.dse.objectives import gain, sign
from accelmodel.dse.study import Study
from accelmodel.inference.intervals import KINDS, factors
from accelmodel.inference.request import BASELINE
from accelmodel.specs.bits import told
from accelmodel.specs.facts import Fact
from accelmodel.specs.given import override
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.load import load
from accelmodel.specs.names import flat

if TYPE_CHECKING:
    import xarray as xr

#: the order in which a device's constants are listed: what it computes, how, how much of it is reached, its memories
_ORDER = ("compute", "matmul", "attention", "compute.matrix_share", "hbm", "l2", "compute.launch_time")


def _place(name: str) -> int:
    """Return where a constant is listed, by its own name or its section's; what has neither comes last."""
    part = name if name in _ORDER else name.partition(".")[0]
    return _ORDER.index(part) if part in _ORDER else len(_ORDER)


def uncertain(parts: Parts) -> list[tuple[str, str, Fact]]:
    """Return (part, field in one word, fact) of every number behind a chip that has a range."""
    named = {"device": parts.device, "link": parts.link, "bill": parts.bill, "process": parts.process}
    return [
        (part, flat(type(spec), name), fact)
        for part, spec in named.items()
        for name, fact in sorted(spec.facts.items(), key=lambda each: _place(each[0]) if part == "device" else 0)
        if fact.range is not None and isinstance(fact.value, float) and fact.range[0] < fact.range[1]
    ]


def column(study: Study) -> str:
    """Return how rows call the best value of the axis that varies, before the name of a technique."""
    return "l2" if study.axis == "l2_capacity" else str(study.axis)


def _optimum(study: Study, result: xr.Dataset, sizes: npt.NDArray[np.float64]) -> dict[str, float]:
    """Return the best value of the axis for each technique and the candidate's gain [1], of what keeps to the limits.

    Where no value does, the best of all: the move is told, not lost.
    """
    best: dict[str, float] = {}
    top: dict[str, float] = {}
    for name in study.techniques:
        chosen = result[[study.objective, "feasible"]]
        chosen = chosen.sel(technique=name) if "technique" in chosen.dims else chosen
        score, ok = (chosen[each].broadcast_like(result.place).values for each in (study.objective, "feasible"))
        kept = np.where(ok, sign(study.objective) * score, -np.inf) if ok.any() else sign(study.objective) * score
        best[f"{column(study)}_{name}"] = float(sizes[kept.argmax()])
        top[name] = float(score[kept.argmax()])
    return {**best, "gain": gain(study.objective, top[study.candidate], top[BASELINE])}


def sensitivity(study: Study, parts: Parts, chip: dict[str, float]) -> list[dict[str, Any]]:
    """Return how the best value of ``study.axis`` and the gain move when each uncertain constant goes to an end.

    Only that axis varies; the other axes stay as in ``chip``.  All constants are one call: one that varies is an axis
    like any other.  Behind them stand the kinds of operators (``time.…``), all times of which go to an end of their
    interval: errors of one kind go together.

    Returns
    -------
    list of dict
        ``constant``, ``kind``, ``end`` ("as given", "low", "high"), ``value``, ``unit``, ``l2_none``,
        ``l2_preserve`` and so on for each technique [B], of another axis under its own name, ``gain`` of the study's
        candidate [1].
    """
    import xarray as xr

    facts = uncertain(parts)
    cases: list[tuple[str, str, Fact | None, float]] = [("", "as given", None, 0.0)]
    for part, name, fact in facts:
        low, high = fact.range or (fact.value, fact.value)
        cases += [(f"{part}.{name}", "low", fact, low), (f"{part}.{name}", "high", fact, high)]
    changed = {
        (part, name): xr.DataArray(
            [value if key == f"{part}.{name}" else fact.value for key, _, _, value in cases], dims="case"
        )
        for part, name, fact in facts
    }
    moved = {
        part: override(getattr(parts, part), {name: values for (p, name), values in changed.items() if p == part})
        for part in ("device", "link", "bill", "process")
    }
    axes: dict[str, Any] = {name: value for name, value in chip.items() if name in study.axes()}
    sizes = np.asarray(study.axes()[str(study.axis)].grid)
    axes[str(study.axis)] = xr.DataArray(sizes, dims="place", coords={"place": np.arange(len(sizes))})
    result = evaluate(study, replace(parts, **moved), **axes)
    rows = []
    for i, (key, end, behind, value) in enumerate(cases):
        rows.append(
            {
                "constant": key or "all",
                "kind": behind.kind if behind is not None else "",
                "end": end,
                "value": value,
                "unit": behind.unit if behind is not None else "1",
                **_optimum(study, result.isel(case=i) if "case" in result.dims else result, sizes),
            }
        )
    return [*rows, *_error_rows(study, parts, axes)]


def _error_rows(study: Study, parts: Parts, axes: dict[str, Any]) -> list[dict[str, Any]]:
    """Return how the best L2 and the gain move when all operators of a kind take as long as their interval allows."""
    asked = {name: getattr(study.workload, name) for name in ("weight_bits", "kv_bits")}
    # intervals are those of the first model's precisions, where the study says none
    bits = told([load("model", study.models[0])], asked)
    cluster = Cluster(parts.device, parts.link, parts.link, 1.0)
    ends = factors(cluster, bits=bits["weight_bits"], kv_bits=bits["kv_bits"])
    sizes = axes[str(study.axis)].values
    rows = []
    for kind, pair in zip(KINDS, ends, strict=True):
        for end, factor in zip(("low", "high"), pair, strict=True):
            result = evaluate(study, parts, {kind: float(factor)}, **axes)
            rows.append(
                {
                    "constant": f"time.{kind}",
                    "kind": "residual",
                    "end": end,
                    "value": float(factor),
                    "unit": "1",
                    **_optimum(study, result, sizes),
                }
            )
    return rows
