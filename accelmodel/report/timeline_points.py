"""The numbers behind the timeline and the L2 occupancy: one step of the best chip, operator by operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accelmodel.dse.evaluation.chip import design
from accelmodel.dse.explore import Exploration
from accelmodel.dse.studies.mix import Kind
from accelmodel.dse.studies.software import variants
from accelmodel.dse.studies.study import Study
from accelmodel.inference.policies import Technique
from accelmodel.inference.request import BASELINE
from accelmodel.inference.step import time_step
from accelmodel.specs.given import workload
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.load import load
from accelmodel.specs.workload import Workload
from accelmodel.units import show


def bits_of(study: Study) -> dict[str, float]:
    """Return the precisions of a study's workload, formats included [bit]."""
    return {name: getattr(study.workload, name) for name in ("weight_bits", "activation_bits", "kv_bits")}


def _largest(study: Study) -> tuple[Kind, LanguageModel]:
    """The kind of request on the study's largest model, by layers and width: its windows are the longest."""
    models: list[tuple[Kind, LanguageModel]] = [(kind, load("model", kind.model)) for kind in study.kinds()]
    return max(models, key=lambda each: float(each[1].layers) * float(each[1].hidden) ** 2)


def _used(study: Study, kind: Kind, row: Mapping[str, Any]) -> tuple[int, int]:
    """Return batch and tensor-parallel degree that software chose; of a single device the largest group asked for."""
    points = (1 if study.software.batch is not None else len(kind.batch)) * len(kind.context)
    label = kind.label if points == 1 else f"{kind.label} [{points - 1}]"
    batch, tp = row.get(f"chosen_batch.{label}", kind.batch[-1]), row.get(f"chosen_tp.{label}", 1.0)
    return int(batch), int(tp) if tp > 1.0 else max(study.software.tp or [1])


_FIGURES = ("time", "hbm_bytes", "l2_hit_bytes", "admitted_bytes", "fetched_bytes")


def _one_layer(result: Any) -> list[dict[str, Any]]:
    """Rows of one attention window and one mlp window, with the times of one invocation."""
    names = [str(name) for name in result.operator.values]
    openers = [i for i, name in enumerate(names) if "_into_" in name or name == "stage_transfer"]
    starts = [next(i for i in openers if word in names[i]) for word in ("_into_attention", "_into_mlp")]
    rows: list[dict[str, Any]] = []
    clock, window = 0.0, -1
    for start in starts:
        end = min((i for i in openers if i > start), default=len(names))
        for i in range(start, end):
            count = float(result["count"][i])
            if count == 0.0:
                continue
            collective = str(result.algorithm.values[i]) != "none"
            window = i if collective else window
            row = {"name": names[i], "window": window, "collective": collective, "start": clock}
            row |= {name: float(result[name][i]) / count for name in _FIGURES}
            row |= {"bound": str(result.bound.values[i]), "waiting": float(result.l2_resident_bytes[i])}
            rows.append(row)
            clock += rows[-1]["time"]
    return rows


def _fetching(row: dict[str, Any], hbm_rate: float) -> float:
    """Time for which the prefetch lane fetches while a row runs: HBM serves both, at most until the row ends [s]."""
    return min(float(row["time"]), float(row["fetched_bytes"] + row["hbm_bytes"]) / hbm_rate)


def prefetches(rows: list[dict[str, Any]], hbm_rate: float) -> list[dict[str, Any]]:
    """Return what the prefetch lane does: operand, start and end [s], bytes.

    The lane works through the admitted operands in graph order, and drops what an operator already reads.
    """
    pieces: list[dict[str, Any]] = []
    queue: list[tuple[str, float, float]] = []
    place, window = 0.0, -2
    for at, row in enumerate(rows):
        if row["window"] != window:
            window = row["window"]
            place = 0.0
            queue = []
            offered = 0.0
            for each in rows[at:]:
                if each["window"] == window and each["admitted_bytes"] > 0.0:
                    queue.append((each["name"], offered, offered + each["admitted_bytes"]))
                    offered += each["admitted_bytes"]
        place = max([place, *(end for name, _, end in queue if name == row["name"])])
        fetched, lasts = row["fetched_bytes"], _fetching(row, hbm_rate)
        for name, low, high in queue:
            first, last = max(low, place), min(high, place + fetched)
            if last - first <= 1.0:
                continue
            begins, ends = (row["start"] + lasts * (x - place) / fetched for x in (first, last))
            if pieces and pieces[-1]["name"] == name and begins - pieces[-1]["end"] < 1e-9:
                pieces[-1]["end"], pieces[-1]["bytes"] = ends, pieces[-1]["bytes"] + last - first
            else:
                pieces.append({"name": name, "start": begins, "end": ends, "bytes": last - first})
        place += fetched
    return pieces


def _best_variant(study: Study, technique: str, model: LanguageModel, chip: Cluster, work: Workload) -> Technique:
    """The parameters of a technique, of those that software may choose, that make this step shortest."""
    return min(variants(study, technique), key=lambda each: float(time_step(model, chip, work, each).step_time.values))


def step_points(exploration: Exploration) -> dict[str, Any]:
    """Return one attention window and one mlp window of a step, under each technique.

    On the candidate's best chip with one axis alone free, for the study's largest model, its last length and the batch
    that software chose; of an answer with its prompt a decode step;
    seconds and bytes of one invocation.  ``prefetches`` and ``caps`` [B] are of the techniques that prefetch.
    """
    study, parts = exploration.study, exploration.parts
    best = exploration.every.best if exploration.alone is None else exploration.alone.best
    chip, _ = design(parts, **{name: value for name, value in best[study.candidate].items() if name in study.axes()})
    capacity = float(chip.device.l2.capacity)
    kind, model = _largest(study)
    batch, tp = _used(study, kind, best[study.candidate])
    context, phase = kind.context[-1], "prefill" if kind.phase == "prefill" else "decode"
    work = workload(phase=phase, batch=batch, context=context, tp=tp, **bits_of(study))
    device = chip.device
    rate = float(device.memory.bandwidth) * float(device.memory.share)
    usable = capacity * float(device.l2.usable)
    chosen = {technique: _best_variant(study, technique, model, chip, work) for technique in study.techniques}
    rows = {name: _one_layer(time_step(model, chip, work, each)) for name, each in chosen.items()}
    fetching = [name for name in rows if any(row["fetched_bytes"] > 0.0 for row in rows[name])]
    return {
        "model": model.name,
        "phase": phase,
        "batch": batch,
        "context": context,
        "tp": tp,
        "l2": capacity,
        "usable": usable,
        "caps": {name: chosen[name].numbers.threshold * usable for name in fetching},
        "hbm_rate": rate,
        "rows": rows,
        "prefetches": {name: prefetches(rows[name], rate) for name in fetching},
    }


def timeline_points(exploration: Exploration) -> dict[str, Any]:
    """Return the bars of the main and the prefetch lanes [µs] by technique, and what was computed to get them."""
    step = step_points(exploration)
    lanes = {
        technique: [
            {
                "name": row["name"],
                "collective": row["collective"],
                "bound": row["bound"],
                "start": row["start"] * 1e6,
                "length": row["time"] * 1e6,
            }
            for row in rows
        ]
        for technique, rows in step["rows"].items()
    }
    fetches = {
        technique: [
            {
                "name": each["name"],
                "start": each["start"] * 1e6,
                "length": (each["end"] - each["start"]) * 1e6,
                "size": show(each["bytes"], "B", 3),
            }
            for each in pieces
        ]
        for technique, pieces in step["prefetches"].items()
    }
    totals = {technique: sum(bar["length"] for bar in bars) for technique, bars in lanes.items()}
    about = {name: step[name] for name in ("model", "phase", "batch", "context", "tp", "l2")}
    return {**about, "lanes": lanes, "prefetches": fetches, "total": totals}


def occupancy_points(exploration: Exploration) -> dict[str, Any]:
    """Return prefetched bytes that wait in L2 [MB] over the same layer [µs], and what L2 can hold.

    ``lines`` are those of the techniques that prefetch; of the candidate, which then has none, where none does.
    """
    step = step_points(exploration)
    shown = list(step["prefetches"]) or [exploration.study.candidate]
    lines = {}
    for technique in shown:
        spots = _waiting(step["rows"][technique], step["hbm_rate"])
        lines[technique] = {
            "time": [time * 1e6 for time, _ in spots],
            "waiting": [size / 1e6 for _, size in spots],
            "cap": step["caps"].get(technique, step["usable"]) / 1e6,
        }
    return {
        "lines": lines,
        "capacity": step["l2"] / 1e6,
        "usable": step["usable"] / 1e6,
        "end": sum(row["time"] for row in step["rows"][BASELINE]) * 1e6,
    }


def _waiting(rows: list[dict[str, Any]], hbm_rate: float) -> list[tuple[float, float]]:
    """Times [s] and prefetched bytes that wait in L2 then [B]."""
    spots = [(0.0, 0.0)]
    for row in rows:
        if row["collective"]:
            spots += [(row["start"], 0.0), (row["start"] + _fetching(row, hbm_rate), row["waiting"])]
        spots.append((row["start"] + row["time"], row["waiting"]))
    return spots
