"""The best that software finds for one kind of request: by the headline objective, of what keeps to the latencies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelmodel.dse.evaluation.use import Question, Times, taken, times
from accelmodel.dse.studies.objectives import OBJECTIVES, OF_ENERGY
from accelmodel.dse.studies.software import policies
from accelmodel.dse.studies.study import PER_MODEL, Study
from accelmodel.inference.policies import Technique
from accelmodel.inference.step import Inputs
from accelmodel.laws.numeric import Array as Floats

#: what does not fit is further from any limit than what does [1]
_NO_ROOM = 1e6
_OVER = ("batch", "context", "way")


@dataclass(frozen=True)
class Used:
    """One kind of request under one technique, each point of batch and context by the best choice.

    Attributes
    ----------
    rate, ttft, tpot, joules : DataArray or None
        Over (point, axes of the cluster): tokens a second of a device, 0 without room; latencies [s]; energy of a
        token [J].
    memory : DataArray
        Share of the memory taken less 1 [1].
    chosen : dict
        Knob → what was chosen, over (point, axes of the cluster).
    """

    rate: Any
    ttft: Any
    tpot: Any
    joules: Any
    memory: Any
    chosen: dict[str, Any]


def limits_of(study: Study, label: str, model: str) -> dict[str, float]:
    """Return the latencies that a kind of request must keep to: name of the limit → the smallest that holds [s]."""
    limits = study.limits()
    found: dict[str, float] = {}
    for name in PER_MODEL:
        held = [limits[each] for each in dict.fromkeys((name, f"{name}.{model}", f"{name}.{label}")) if each in limits]
        if held:
            found[name] = min(held)
    return found


def best(question: Question, steps: list[tuple[Inputs, Any]], study: Study) -> dict[str, Used]:
    """Return technique → the best that software finds for a kind of request."""
    limits = limits_of(study, question.kind.label, question.kind.model)
    phase = question.kind.phase
    wanted = asked_for(study, limits, phase)
    share, held = taken(question)
    timed: dict[Technique, Times] = {}
    found: dict[str, Used] = {}
    for technique in study.techniques:
        ways = policies(study, technique)
        for each in ways:
            if each not in timed:
                timed[each] = times(question, steps, held, each, wanted) if steps else _nothing(held, phase, wanted)
        options = Options(question, study.software.batch is not None, ways)
        found[technique] = _chosen(options, study.headline, [timed[each] for each in ways], share, limits)
    return found


def asked_for(study: Study, limits: Mapping[str, float], phase: str) -> list[str]:
    """Return what must be worked out beside the rate and the latencies that come with it."""
    figures = {*study.objectives, *limits, *study.limits()}
    found = ["ttft"] if phase != "decode" or "ttft" in limits or "ttft" in study.objectives else []
    return [*found, "joules"] if figures & OF_ENERGY else found


def _nothing(held: Any, phase: str, wanted: list[str]) -> Times:
    """Return the times of what fits nowhere: no tokens, no latency, no energy."""
    none = held * np.nan
    ttft, joules = (none if name in wanted else None for name in ("ttft", "joules"))
    return Times(held * 0.0, ttft, None if phase == "prefill" else none, joules)


@dataclass(frozen=True)
class Options:
    """All that may be chosen for a kind of request; the batch too where it is ``free``."""

    question: Question
    free: bool
    techniques: list[Technique]

    def flat(self, values: list[Any], like: Any) -> Floats:
        """Return (choice, point, …) of one value for each technique over (batch, context, way, …)."""
        each = np.stack([_over(value, like) for value in values])
        if self.free:
            each = np.moveaxis(each, 3, 2)  # technique, batch, way, context
            return each.reshape(-1, *each.shape[3:])
        each = np.moveaxis(each, 3, 1)  # technique, way, batch, context
        return each.reshape(each.shape[0] * each.shape[1], -1, *each.shape[4:])

    def knobs(self, index: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        """Return knob → what the choices of these numbers are; one value where it is the same for all."""
        ways = len(self.question.degrees.devices)
        batches = self.question.kind.batch
        place, which = (index % ways, index // ways) if ways > 1 else (np.zeros(1, dtype=np.int64), index)
        found = {name: values[place] for name, values in self.question.degrees.values.items()}
        if self.free:
            found["batch"] = np.array(batches, dtype=float)[which % len(batches)]
            which = which // len(batches)
        for name, absent in (("threshold", 0.0), ("rule", "")):
            found[name] = np.array([each.parameters.get(name, absent) for each in self.techniques])[which]
        return found


def _over(value: Any, like: Any) -> Floats:
    """Return a value over all dimensions of another."""
    if not hasattr(value, "dims"):
        return np.full(like.shape, float(value))
    here = value.transpose(*(dim for dim in like.dims if dim in value.dims))
    shape = tuple(value.sizes.get(dim, 1) for dim in like.dims)
    return np.broadcast_to(here.values.reshape(shape), like.shape)


def _best_of(score: Floats, rate: Floats, room: Floats, late: Mapping[str, tuple[Floats, float]]) -> npt.NDArray[Any]:
    """Return the number of the best choice at each point; a single 0 where there is but one, as in large spaces."""
    if len(rate) == 1:
        return np.zeros((1,) * (rate.ndim - 1), dtype=np.int64)
    missed = np.where(rate > 0.0, 0.0, _NO_ROOM + room)
    for latency, limit in late.values():
        missed = np.maximum(missed, np.where(rate > 0.0, latency / limit - 1.0, 0.0))
    keeps = missed <= 0.0
    best = np.where(keeps, score, -np.inf).argmax(0)
    return np.asarray(best if keeps.any(0).all() else np.where(keeps.any(0), best, missed.argmin(0)))


def _taken_at(values: Floats, index: npt.NDArray[Any]) -> Floats:
    """Return values (choice, point, …) at the choice of each point."""
    if len(values) == 1:
        return np.asarray(values[0])
    if len(values) == 2:  # four times as quick, and the most frequent: with a technique or without
        return np.asarray(np.where(index == 1, values[1], values[0]))
    return np.asarray(np.take_along_axis(values, index[None], 0)[0])


def _chosen(options: Options, headline: str, found: list[Times], share: Any, limits: Mapping[str, float]) -> Used:
    """Return at each point the best choice by the headline that fits and keeps to the limits.

    Where none keeps to them that which misses them least, and where none fits that which misses the memory least.
    """
    import xarray as xr

    like = xr.DataArray(sum(each.rate for each in found) + share)
    like = like.expand_dims([dim for dim in _OVER if dim not in like.dims])
    like = like.transpose(*_OVER, *(dim for dim in like.dims if dim not in _OVER))
    rate, room = options.flat([each.rate for each in found], like), options.flat([share] * len(found), like)
    late = {
        name: options.flat(values, like)
        for name in (*PER_MODEL, "joules")
        if (values := [getattr(each, name) for each in found]) and all(value is not None for value in values)
    }
    by = OBJECTIVES[headline].by
    held = {name: (late[name], limit) for name, limit in limits.items() if name in late}
    index = _best_of(-late[by] if by in late else rate, rate, room, held)
    dims = ("point", *like.dims[len(_OVER) :])

    def at(values: Floats) -> Any:
        return xr.DataArray(_taken_at(values, index), dims=dims)

    knobs = options.knobs(index)
    chosen = {name: xr.DataArray(np.broadcast_to(values, rate.shape[1:]), dims=dims) for name, values in knobs.items()}
    ttft, tpot, joules = (at(late[name]) if name in late else None for name in ("ttft", "tpot", "joules"))
    return Used(at(rate), ttft, tpot, joules, at(room) - 1.0, chosen)
