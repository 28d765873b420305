"""The numbers behind each figure of the report, computed from an exploration or from the model.

Plain lists and floats, in the unit that the axis shows; ``exploration_figures`` only draws them.
"""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np

from accelmodel.dse.chip import design
from accelmodel.dse.explore import Exploration
from accelmodel.dse.objectives import OBJECTIVES, sign
from accelmodel.dse.parts import parts_of
from accelmodel.dse.study import Study, load_study
from accelmodel.dse.told import SHOWN
from accelmodel.errors import Infeasible
from accelmodel.inference.policies import policy
from accelmodel.inference.request import RequestPhase, speedups
from accelmodel.report.timeline_points import bits_of
from accelmodel.specs.load import load
from accelmodel.units import show
from accelmodel.validation import claims

#: SI unit → (unit it is shown in, factor from SI), where a decimal prefix does not read well
_READABLE = {
    "m2/B": ("mm²/MB", 1e12),
    "USD/B": ("USD/GB", 1e9),
    "W/B": ("W/MB", 1e6),
    "USD/J": ("USD/kWh", 3.6e6),
    "1/m2": ("per cm²", 1e-4),
    "1/s": ("GHz", 1e-9),
}
_YEAR = 365.25 * 86400.0
#: a gain that moves by less than this counts as none [1]
STILL = 0.005
#: constants that the tornado shows at most
MOST = 15
AREAS = {
    "area_cores": "Cores",
    "area_l2": "L2",
    "area_hbm": "HBM interfaces",
    "area_links": "Links",
    "area_joints": "Links between dies",
    "area_uncore": "Rest of the die",
}
PRICES = {
    "price_die": "Dies",
    "price_base": "Base dies",
    "price_stacked": "Stacked SRAM",
    "price_hbm": "HBM",
    "price_links": "Links",
    "price_package": "Package",
    "price_test": "Test",
    "price_loss": "Lost in assembly",
}


def worded(value: float | str, unit: str, digits: int = 3) -> str:
    """Return a quantity in SI as people write it.

    Examples
    --------
    >>> worded(5.722e-13, "m2/B")
    '0.572 mm²/MB'
    >>> worded(126230400.0, "s")
    '4 years'
    >>> worded(1.8e-5, "s")
    '18 µs'
    """
    if isinstance(value, str):
        return value
    if unit in _READABLE:
        shown, factor = _READABLE[unit]
        return f"{value * factor:.{digits}g} {shown}"
    if unit == "s" and value >= _YEAR:
        return f"{value / _YEAR:.{digits}g} years"
    if unit == "USD" and abs(value) >= 1000.0:
        return f"{value:,.0f} USD"
    return show(value, unit, digits)


def spanned(low: float, high: float, unit: str) -> str:
    """Return a range as people write it, its unit once where both ends have the same.

    Examples
    --------
    >>> spanned(1e-5, 1.5e-4, "s"), spanned(5e-7, 5e-6, "s")
    ('10 – 150 µs', '500 ns – 5 µs')
    """
    first, last = worded(low, unit), worded(high, unit)
    same = first.partition(" ")[2] == last.partition(" ")[2]
    return f"{first.partition(' ')[0] if same else first} – {last}"


def objective_words(study: Study) -> tuple[str, str, float]:
    """Return the objective's name, the unit it is shown in, and the factor from SI."""
    unit, factor = SHOWN[study.objective]
    return OBJECTIVES[study.objective].words.capitalize(), unit, factor


def size_of(exploration: Exploration, row: dict[str, Any]) -> float:
    """Return the L2 of a chip, that of the reference where it is no axis [B]."""
    return float(row.get("l2_capacity", exploration.parts.device.l2.capacity))


def _need_l2(exploration: Exploration) -> None:
    """Raise Infeasible where another axis than L2 is looked at alone."""
    if exploration.study.axis != "l2_capacity":
        raise Infeasible(f"this figure is of L2, and the study looks at {exploration.study.axis or 'words'} alone")


def curve_points(exploration: Exploration) -> dict[str, Any]:
    """Return the best objective at each L2 size, for the whole space and for L2 alone, with their optima."""
    _need_l2(exploration)
    title, unit, factor = objective_words(exploration.study)
    spaces = {"whole space": exploration.every}
    if exploration.alone is not None:
        spaces["L2 alone"] = exploration.alone
    if next(iter(exploration.study.axes())) != "l2_capacity" or len(exploration.study.space) == 1:
        del spaces["whole space"]
    lines = []
    for space, found in spaces.items():
        for technique in exploration.study.techniques:
            sizes, values = found.curve[technique]
            shown = [value * factor if value > 0.0 else None for value in values]
            way = sign(exploration.study.objective)
            top = max(range(len(values)), key=[way * each if each > 0.0 else -math.inf for each in values].__getitem__)
            best = {"l2": sizes[top] / 1e6, "value": values[top] * factor, "label": show(sizes[top], "B")}
            sizes = [size / 1e6 for size in sizes]
            lines.append({"space": space, "technique": technique, "l2": sizes, "value": shown, "best": best})
    return {"title": title, "unit": unit, "lines": lines}


def speedup_points(exploration: Exploration) -> dict[str, Any]:
    """Return the candidate's speed-up on the reference chip over batch and length, for each model and their mean.

    None where a model does not fit; the geometric mean is over models and needs all of them.
    """
    study, parts = exploration.study, exploration.parts
    chip, _ = design(parts)
    tp = max(study.software.tp or [1])
    models = [load("model", name) for name in study.models]
    batches, contexts = claims.BATCHES, claims.CONTEXTS
    result = speedups(
        models,
        chip,
        [tp],
        batches,
        contexts,
        phase=cast("RequestPhase", study.workload.phase),
        prefetch=policy(study.candidate),
        precision=bits_of(study),
    )
    values = result.speedup.where(result.feasible).isel(tp=0).transpose("model", "batch", "context").values
    absent = len(models) - len(values)
    with np.errstate(invalid="ignore"):
        mean = np.exp(np.log(values).mean(0)) if not absent else np.full(values.shape[1:], np.nan)
    grids = {"geometric mean of the models": mean, **dict(zip(result.model.values.tolist(), values, strict=True))}
    if absent or len(values) == 1:
        del grids["geometric mean of the models"]
    return {
        "batch": batches,
        "context": contexts,
        "tp": tp,
        "chip": f"{parts.device.name} with {show(float(parts.device.l2.capacity), 'B')} of L2",
        "grids": {name: [[_or_none(x) for x in row] for row in grid.tolist()] for name, grid in grids.items()},
        "blank": int(np.isnan(values).sum()) + absent * len(batches) * len(contexts),
    }


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def chip_points(exploration: Exploration) -> list[dict[str, Any]]:
    """Return the best chips: L2 alone, then whole space, with each technique; every axis and figure in SI."""
    parts = exploration.parts
    base = {
        "l2_capacity": float(parts.device.l2.capacity),
        "cores": float(parts.device.compute.cores),
        "hbm_stacks": float(parts.device.hbm.stacks),
        "links": float(parts.link.links),
        "link_bandwidth": float(parts.link.bandwidth) / float(parts.link.links),
    }
    spaces = {"whole space": exploration.every.best}
    if exploration.alone is not None:
        spaces = {"L2 alone": exploration.alone.best, **spaces}
    if len(exploration.study.space) == 1 and exploration.alone is not None:
        del spaces["whole space"]
    return [
        {"space": space, "technique": technique, **base, **best[technique]}
        for space, best in spaces.items()
        for technique in exploration.study.techniques
    ]


def cost_points(exploration: Exploration) -> dict[str, Any]:
    """Return area [mm²] and price [USD] of the best chips by part."""
    chips = chip_points(exploration)
    return {
        "chips": [(chip["space"], chip["technique"], show(chip["l2_capacity"], "B")) for chip in chips],
        "area": {label: [chip[name] * 1e6 for chip in chips] for name, label in AREAS.items()},
        "price": {label: [chip[name] for chip in chips] for name, label in PRICES.items()},
        "die_area": [chip["die_area"] * 1e6 for chip in chips],
        "total_price": [chip["price"] for chip in chips],
    }


def pareto_points(exploration: Exploration) -> dict[str, Any]:
    """Return the Pareto front of each technique: die area [mm²], throughput per device [token/s], and the best."""

    def spot(row: dict[str, float]) -> dict[str, Any]:
        axes = exploration.study.axes()
        chip = {name: row[name] for name in axes}
        words = ", ".join(f"{name.replace('_', ' ')} {worded(value, axes[name].unit)}" for name, value in chip.items())
        return {"area": row["die_area"] * 1e6, "throughput": row["throughput"], "chip": words}

    found = exploration.every
    limit = exploration.study.limits().get("die_area")
    return {
        "fronts": {technique: [spot(row) for row in rows] for technique, rows in found.front.items()},
        "best": {
            technique: {**spot(row), "label": show(size_of(exploration, row), "B")}
            for technique, row in found.best.items()
        },
        "limit": None if limit is None else limit * 1e6,
    }


def sensitivity_points(exploration: Exploration) -> dict[str, Any]:
    """Return how best L2 [MB] and gain move with each uncertain constant, the strongest first.

    ``still`` names the constants that move neither; ``left_out`` those beyond the first ``MOST``.
    """
    _need_l2(exploration)
    base, ends = exploration.moves[0], exploration.moves[1:]
    size = f"l2_{exploration.study.candidate}"
    bars, still = [], []
    for low, high in zip(ends[::2], ends[1::2], strict=True):
        l2 = [low[size] / 1e6, high[size] / 1e6]
        gains = [low["gain"], high["gain"]]
        moves = max(abs(best - base[size] / 1e6) for best in l2)
        shifts = max(abs(gain - base["gain"]) for gain in gains)
        if moves == 0.0 and shifts < STILL:
            still.append(low["constant"])
            continue
        span = spanned(low["value"], high["value"], low["unit"])
        bars.append({"constant": low["constant"], "kind": low["kind"], "range": span, "l2": l2, "gain": gains})
    bars.sort(key=lambda bar: max(abs(gain - base["gain"]) for gain in bar["gain"]), reverse=True)
    left_out = [bar["constant"] for bar in bars[MOST:]]
    sizes = exploration.study.axes()["l2_capacity"].grid / 1e6
    return {
        "technique": exploration.study.candidate,
        "base": {"l2": base[size] / 1e6, "gain": base["gain"]},
        "axis": [float(sizes[0]), float(sizes[-1])],
        "bars": bars[:MOST],
        "still": still,
        "left_out": left_out,
    }


def region_points() -> dict[str, Any]:
    """Return how many SRAM densities satisfy all claims of PRESERVE, over start-up [µs] and usable L2 [%]."""
    result = claims.region()
    counts = result.holds.sum("sram_area").transpose("l2_usable", "start_up")
    head = load_study().study
    parts = parts_of(head.device, head.bill or "")
    return {
        "start_up": (result.start_up.values * 1e6).round(6).tolist(),
        "usable": (result.l2_usable.values * 100.0).round(6).tolist(),
        "counts": counts.values.astype(int).tolist(),
        "densities": int(result.sizes["sram_area"]),
        "points": int(result.holds.size),
        "holding": int(counts.sum()),
        "calibrated": {
            "start_up": float(parts.link.start_up) * 1e6,
            "usable": float(parts.device.l2.usable) * 100.0,
            "sram_area": worded(float(parts.process.sram_area), "m2/B"),
        },
    }
