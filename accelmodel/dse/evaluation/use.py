"""One kind of request on a cluster: its times under all that software may choose, and the memory that it takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from accelmodel.dse.studies.mix import Kind
from accelmodel.dse.studies.software import Degrees, possible
from accelmodel.dse.studies.study import Study
from accelmodel.errors import Infeasible, SpecError
from accelmodel.inference.energy import step_energy
from accelmodel.inference.placement import filled
from accelmodel.inference.policies import Technique
from accelmodel.inference.preserve import prompt_length
from accelmodel.inference.request import prepare_request, request_steps
from accelmodel.inference.step import Inputs, totals
from accelmodel.inference.stretched import stretched
from accelmodel.laws.numeric import Number, most
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.load import load

BITS = ("weight_bits", "activation_bits", "kv_bits")


def _axis(name: str, values: Any) -> Any:
    """Return values as an axis; one alone as a number, with which everything is quicker."""
    if len(values) == 1:
        return float(values[0])
    import xarray as xr

    return xr.DataArray(np.array(values, dtype=float), dims=name, coords={name: np.array(values, dtype=float)})


@dataclass(frozen=True)
class Question:
    """One kind of request on a cluster, over batch, context, way (a combination of degrees) and the cluster's axes."""

    kind: Kind
    model: LanguageModel
    cluster: Cluster
    degrees: Degrees
    bits: dict[str, float]
    errors: Mapping[str, Number] | None = None

    @property
    def context(self) -> Any:
        """Lengths of requests [token]."""
        return _axis("context", self.kind.context)

    @property
    def batch(self) -> Any:
        """Requests at once [1]."""
        return _axis("batch", self.kind.batch)

    def over_ways(self, values: npt.NDArray[np.float64]) -> Any:
        """Return what each combination of degrees has, as an axis."""
        ways = _axis("way", np.arange(len(values)))
        return float(values[0]) if len(values) == 1 else ways.copy(data=values)

    def work(self) -> dict[str, Any]:
        """Return batch, degrees and precisions as a workload takes them."""
        chosen = {
            name: self.over_ways(values) if name == "tp" or (values != 1.0).any() else 1.0
            for name, values in self.degrees.values.items()
        }
        return {"batch": self.batch, **chosen, **self.bits}

    def prepared(self, phase: str, **other: Any) -> list[tuple[Inputs, Any]]:
        """Return the steps of a request as the kernel takes them; raises Infeasible where it fits nowhere."""
        found = prepare_request(self.model, self.cluster, phase, self.context, **{**self.work(), **other})
        return [(stretched(inputs, self.errors), weights) for inputs, weights in found] if self.errors else found


def ask(kind: Kind, study: Study, cluster: Cluster, chosen: Degrees, errors: Mapping[str, Number] | None) -> Question:
    """Return the question of one kind of request, with all degrees that may be chosen."""
    bits = {name: getattr(study.workload, name) for name in BITS}
    return Question(kind, load("model", kind.model), cluster, chosen, bits, errors)


def prepare(question: Question) -> tuple[Question, list[tuple[Inputs, Any]]]:
    """Return the steps of a request, none where it fits nowhere, and the question with the degrees that are possible.

    Raises
    ------
    SpecError
        If the model can be cut by no combination of degrees.
    """
    try:
        return question, question.prepared(question.kind.phase)
    except Infeasible:
        return question, []
    except SpecError:
        kept = possible(question.model, question.cluster, question.degrees, **question.bits)
        if len(kept.devices) == len(question.degrees.devices):
            raise
    return prepare(replace(question, degrees=kept))


@dataclass(frozen=True)
class Times:
    """Over (batch, context, way, axes of the cluster): rate of a device [token/s], 0 without room; latencies [s].

    ``joules`` are those of a token on all devices that it takes [J/token].
    """

    rate: Any
    ttft: Any = None
    tpot: Any = None
    joules: Any = None


def _summed(value: Any, weights: Any) -> Any:
    return (value * weights).sum("node") if "node" in value.dims else value


def _total(inputs: Inputs, weights: Any, technique: Technique) -> Any:
    return _summed(totals(inputs, technique).step_time, weights)


def _energy(inputs: Inputs, weights: Any, technique: Technique) -> Any:
    return _summed(step_energy(inputs, technique, totals(inputs, technique)).step_energy, weights)


def times(
    question: Question, steps: list[tuple[Inputs, Any]], held: Any, technique: Technique, wanted: Collection[str]
) -> Times:
    """Return rates and latencies under one technique; ``wanted`` are what else is asked for: ``ttft``, ``joules``.

    Time to first token is that of the prefill which the phase times; of decode alone that of one prompt by itself.
    Time per output token is the mean over the answer.
    """
    phase = question.kind.phase
    each = [_total(inputs, weights, technique) for inputs, weights in steps]
    context = question.context
    tokens = 1.0 if phase == "decode" else context if phase == "prefill" else context - prompt_length(context)
    whole = each[0] if len(each) == 1 else each[0] + each[1]
    devices = question.over_ways(question.degrees.devices)
    rate = held * question.batch * tokens / devices / whole
    joules = None
    if "joules" in wanted:
        energy = sum(_energy(inputs, weights, technique) for inputs, weights in steps)
        joules = energy * devices / (question.batch * tokens)
    if phase == "prefill":
        return Times(rate, each[0], None, joules)
    first = _alone(question, technique) if "ttft" in wanted and phase == "decode" else None
    return Times(rate, first if phase == "decode" else each[0], each[-1] / tokens, joules)


def _alone(question: Question, technique: Technique) -> Any:
    """Return the prefill of one prompt by itself, on the same devices [s]; no number where none fits."""
    try:
        ((inputs, weights),) = question.prepared("prefill", batch=1.0)
    except Infeasible:
        return np.nan
    return _total(inputs, weights, technique)


def taken(question: Question) -> tuple[Any, Any]:
    """Return the share of a device's memory that the fullest step takes [1], and 1 where all fit, else 0."""
    share: Any = 0.0
    held: Any = 1.0
    for step in request_steps(question.kind.phase, question.context, question.work()):
        more, fits = filled(question.model, question.cluster.device, step)
        share, held = most(share, more), held * fits
    return share, held
