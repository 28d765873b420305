"""The numbers behind each figure of the report, computed from an exploration or from the model.

Plain lists and floats, in the unit that the axis shows; ``exploration_figures`` only draws them.
"""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np

from accelmodel.dse.enumeration.chips import BUDGET
from accelmodel.dse.enumeration.enumerated import Enumeration
from accelmodel.dse.evaluation.chip import design, parts_of_study
from accelmodel.dse.explore import Exploration
from accelmodel.dse.studies.objectives import sign
from accelmodel.dse.studies.space import groups
from accelmodel.dse.studies.study import Study, load_study
from accelmodel.dse.studies.terms import axis_words
from accelmodel.inference.policies import policy
from accelmodel.inference.request import BASELINE, RequestPhase, speedups
from accelmodel.report.quantities import axis, objective, spanned, worded
from accelmodel.report.timeline_points import bits_of
from accelmodel.specs.load import load
from accelmodel.units import show
from accelmodel.validation import claims, volume

#: a gain that moves by less than this counts as none [1]
STILL = 0.005
#: constants that the tornado shows at most
MOST = 15
#: part of an area or a price → what it is called
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
#: the study whose constants that are not public are held against its claims
_PUBLISHED = "preserve-l2"
_WHOLE, _ALONE = "whole space", "alone"


def value_words(study: Study, name: str, value: Any) -> str:
    """Return a value of an axis with its unit; a word as it is."""
    if isinstance(value, str):
        return value
    known = study.axes()
    unit = known[name].unit if name in known else "B/s" if name == BUDGET else "1"
    return f"{value:g}" if unit == "1" else worded(value, unit)


#: axis → how a chip with a value of it is spoken of
_HAS = {
    "l2_capacity": "{} of L2",
    "hbm_stacks": "{} HBM stacks",
    "links": "{} links",
    "link_bandwidth": "{} a link",
    "cores": "{} cores",
    "dies": "{} dies",
    "hbm_generation": "{}",
    "process": "{}",
    "link": "{}",
    "stacked_sram": "{} of stacked SRAM",
    "clock": "{}",
    "hbm_bandwidth": "{} of HBM bandwidth",
}


def lead_words(study: Study, name: str, row: dict[str, Any]) -> str:
    """Return what a chip has of one axis."""
    return _HAS.get(name, f"{axis_words(name)} {{}}").format(value_words(study, name, row[name]))


def chip_words(study: Study, row: dict[str, Any]) -> str:
    """Return the axes of a chip in a line."""
    return ", ".join(lead_words(study, name, row) for name in study.axes())


def _spaces(exploration: Exploration) -> dict[str, Enumeration]:
    found = {_WHOLE: exploration.every}
    if exploration.alone is not None and len(exploration.study.space) > 1:
        found[_ALONE] = exploration.alone
    return found


def curve_points(exploration: Exploration) -> dict[str, Any] | None:
    """Return the best objective at each value of each axis, with the optima; of the axis looked at alone that as well.

    None where no axis has two values.
    """
    study = exploration.study
    shown = objective(study.headline)
    panels = []
    together = {name for group in groups(study) if len(group.values) > 1 for name in group.values}
    for name, (values, _) in exploration.every.curves.items():
        # of axes that only count by their product the product is shown
        if len(values) < 2 or (name in together and name != exploration.every.axis):
            continue
        along = axis(study, name)
        lines = []
        for space, found in _spaces(exploration).items():
            if name not in found.curves or (space == _ALONE and name != found.axis):
                continue
            own, best = found.curves[name]
            lines += [
                _line(study, name, own, each, technique=technique, space=space) for technique, each in best.items()
            ]
        panels.append({"axis": name, "label": along.label, "word": isinstance(values[0], str), "lines": lines})
    if not panels:
        return None
    lead = exploration.every.axis
    panels.sort(key=lambda panel: (panel["axis"] != lead, panel["axis"] != BUDGET))
    return {"title": shown.title, "unit": shown.unit, "panels": panels, "less": sign(study.headline) < 0.0}


def _line(
    study: Study, name: str, values: list[Any], best: list[float], *, technique: str, space: str
) -> dict[str, Any]:
    """Return one line of a panel, nothing where no chip keeps to the limits."""
    along, shown = axis(study, name), objective(study.headline)
    known = [place for place, value in enumerate(best) if math.isfinite(value) and value > 0.0]
    x = [value if isinstance(value, str) else value * along.factor for value in values]
    y = [best[place] * shown.factor if place in set(known) else None for place in range(len(best))]
    if not known:
        return {"space": space, "technique": technique, "x": x, "y": y, "best": None}
    top = max(known, key=lambda place: sign(study.headline) * best[place])
    at = {"x": x[top], "y": y[top], "label": value_words(study, name, values[top])}
    return {"space": space, "technique": technique, "x": x, "y": y, "best": at}


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
    """Return the best chips: one axis alone, whole space, with each technique that has one; in SI."""
    study = exploration.study
    return [
        {"space": space, "technique": technique, **found.best[technique]}
        for space, found in reversed(_spaces(exploration).items())
        for technique in study.techniques
        if technique in found.best
    ]


def cost_points(exploration: Exploration) -> dict[str, Any]:
    """Return area [mm²] and price [USD] of the best chips by part."""
    chips = chip_points(exploration)
    lead = exploration.every.axis

    def parts(names: dict[str, str], factor: float) -> dict[str, list[float]]:
        found = {label: [chip.get(name, 0.0) * factor for chip in chips] for name, label in names.items()}
        return {label: values for label, values in found.items() if any(values)}

    return {
        "chips": [
            (chip["space"], chip["technique"], value_words(exploration.study, lead, chip[lead]) if lead in chip else "")
            for chip in chips
        ],
        "area": parts(AREAS, 1e6),
        "price": parts(PRICES, 1.0),
        "die_area": [chip["die_area"] * 1e6 for chip in chips],
        "total_price": [chip["price"] for chip in chips],
    }


def sensitivity_points(exploration: Exploration) -> dict[str, Any] | None:
    """Return how the best value of the axis and the gain move with each uncertain constant, the strongest first.

    ``still`` names the constants that move neither; ``left_out`` those beyond the first ``MOST``; ``broken`` those at
    an end of whose range no chip keeps to the limits.  None where nothing was varied, or no chip keeps to them now.
    """
    study = exploration.study
    if not exploration.moves:
        return None
    lead = str(study.axis)
    along = axis(study, lead)
    base, ends = exploration.moves[0], exploration.moves[1:]
    size = f"{'l2' if lead == 'l2_capacity' else lead}_{study.candidate}"
    if base[size] is None or base["gain"] is None:
        return None
    bars, still, broken = [], [], []
    for low, high in zip(ends[::2], ends[1::2], strict=True):
        if any(end[name] is None for end in (low, high) for name in (size, "gain")):
            broken.append(low["constant"])
            continue
        best = [low[size] * along.factor, high[size] * along.factor]
        gains = [low["gain"], high["gain"]]
        moves = max(abs(each - base[size] * along.factor) for each in best)
        shifts = max(abs(gain - base["gain"]) for gain in gains)
        if moves == 0.0 and shifts < STILL:
            still.append(low["constant"])
            continue
        span = spanned(low["value"], high["value"], low["unit"])
        bars.append({"constant": low["constant"], "kind": low["kind"], "range": span, "best": best, "gain": gains})
    bars.sort(key=lambda bar: max(abs(gain - base["gain"]) for gain in bar["gain"]), reverse=True)
    values = np.asarray(study.axes()[lead].grid, dtype=float) * along.factor
    return {
        "technique": study.candidate,
        "label": along.label,
        "base": {
            "best": base[size] * along.factor,
            "gain": base["gain"],
            "words": lead_words(study, lead, {lead: base[size]}),
        },
        # whether any constant moves the gain, so that it is worth a picture
        "gained": any(abs(gain - base["gain"]) >= STILL for bar in bars for gain in bar["gain"]),
        "axis": [float(values[0]), float(values[-1])],
        "bars": bars[:MOST],
        "still": still,
        "left_out": [bar["constant"] for bar in bars[MOST:]],
        "broken": broken,
    }


def region_points(exploration: Exploration) -> dict[str, Any] | None:
    """Return how many SRAM densities satisfy all claims of PRESERVE, over start-up [µs] and usable L2 [%].

    None of a study whose claims are not PRESERVE's.
    """
    if exploration.study.name != _PUBLISHED:
        return None
    result = claims.region()
    counts = result.holds.sum("sram_area").transpose("l2_usable", "start_up")
    volumes: list[dict[str, Any]] = [
        {
            "prior": prior,
            "kernels": kernels,
            "draws": volume.DRAWS,
            "shares": volume.volume(prior=prior, kernels=kernels),
        }
        for prior in volume.PRIORS
        for kernels in (False, True)
    ]
    single = {name: share for name, share in volumes[1]["shares"].items() if name != "all"}
    hardest = min(single, key=single.__getitem__)
    named = {claim.quantity: claim.name for claim in claims.claims()}
    parts = parts_of_study(load_study())
    return {
        "start_up": (result.start_up.values * 1e6).round(6).tolist(),
        "usable": (result.l2_usable.values * 100.0).round(6).tolist(),
        "counts": counts.values.astype(int).tolist(),
        "densities": int(result.sizes["sram_area"]),
        "points": int(result.holds.size),
        "holding": int(counts.sum()),
        "claims": sum(each.quantity in result for each in claims.claims()),
        "volumes": [{**each, "share": each["shares"]["all"]} for each in volumes],
        "hardest": {"claim": named[hardest], "share": single[hardest]},
        "calibrated": {
            "start_up": float(parts.link.start_up) * 1e6,
            "usable": float(parts.device.l2.usable) * 100.0,
            "sram_area": worded(float(parts.process.sram_area), "m2/B"),
        },
    }


def prefetches(exploration: Exploration) -> bool:
    """Tell whether a technique is explored beside the baseline, on more than one device."""
    study = exploration.study
    return study.candidate != BASELINE and max(study.software.tp or [2]) > 1
