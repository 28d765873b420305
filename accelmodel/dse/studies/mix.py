"""What a chip must serve, as kinds of requests: model, batches, lengths and phase, each with its weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from accelmodel.dse.studies.ranges import Table
from accelmodel.errors import SpecError, brief
from accelmodel.specs.formats import bits_of
from accelmodel.specs.load import load
from accelmodel.specs.quantities import Quantity

Positive = Annotated[int, Field(ge=1, le=10**9)]
#: a limit: text with a unit, or a number in SI
Limit = str | int | float


def _bits(given: Any) -> float:
    """Return bits that are given as a number or as the name of a format, which they keep."""
    if isinstance(given, list):
        raise ValueError(f"{brief(given)} is a list; a study has one precision: write a study for each")
    found: float = bits_of(given)
    Quantity(ge=0.0, le=64.0).check(found)
    return found


#: bits of a number, or a format; 0 is what a model's file states
_Bits = Annotated[float, PlainValidator(_bits)]
Weight = Annotated[float, Field(gt=0.0, le=1e12)]


class Serving(Table):
    """What every chip must serve: each model with each batch and length, all alike or by ``weights`` of the models.

    ``mean`` is ``geometric`` (ratios count alike, whatever model is quick) or ``traffic`` (weights are shares of the
    tokens: what a token costs is averaged, in money, time and energy).
    """

    models: list[str] = Field(default_factory=list)
    weights: list[Weight] | None = None
    batch: list[Positive] | None = Field(default=None, min_length=1)
    context: list[Positive] | None = Field(default=None, min_length=1)
    phase: str = "end-to-end"
    mean: Literal["geometric", "traffic"] | None = None
    weight_bits: _Bits = 0
    activation_bits: _Bits = 0
    kv_bits: _Bits = 0


class Part(Table):
    """One kind of request of a mix: what is left out is as in ``[workload]``; latencies that it must keep to."""

    model: str
    weight: Weight = 1.0
    batch: list[Positive] | Positive | None = None
    context: list[Positive] | Positive | None = None
    phase: str | None = None
    tpot: Limit | None = None
    ttft: Limit | None = None


@dataclass(frozen=True)
class Kind:
    """One kind of request of a mix.

    Attributes
    ----------
    label : str
        What results call it: its model, numbered where several kinds are of one.
    model : str
    weight : float
        Relative to the others [1]; of a mean of what tokens cost, its share of the tokens.
    batch, context : tuple of int
        Requests at once [1] and lengths [token]; each combination counts alike.
    phase : str
    """

    label: str
    model: str
    weight: float
    batch: tuple[int, ...]
    context: tuple[int, ...]
    phase: str


def _several(given: list[int] | int | None, usual: list[int] | None, where: str) -> tuple[int, ...]:
    found = usual if given is None else [given] if isinstance(given, int) else given
    if not found:
        raise SpecError(f"{where}: is missing; give at least one")
    return tuple(found)


def _called(model: str) -> str:
    """Return what a model is called, which may be named by a path; what is none is told where names are checked."""
    try:
        return str(load("model", model).name)
    except SpecError:
        return model


def kinds(serving: Serving, mix: list[Part], chosen: list[int] | None) -> list[Kind]:
    """Return the kinds of requests of a study, in the order of its file.

    Parameters
    ----------
    serving, mix
        Tables ``[workload]`` and ``[[mix]]``.
    chosen : list of int, optional
        Batches that software chooses from, where it does; then no other is given.

    Raises
    ------
    SpecError
        If nothing is served, or something of it is missing.
    """
    if chosen:
        given = [(serving.batch, "workload"), *((part.batch, f"mix.{place}") for place, part in enumerate(mix))]
        for own, where in given:
            if own is not None:
                raise SpecError(f"{where}.batch: software chooses it, software.batch; leave one of the two out")
    usual = chosen or serving.batch
    if not mix:
        if not serving.models:
            raise SpecError("workload.models: needs at least one model, or tables [[mix]]")
        weights = serving.weights or [1.0] * len(serving.models)
        if len(weights) != len(serving.models):
            raise SpecError(f"workload.weights: {len(weights)} for {len(serving.models)} models; give one for each")
        batch = _several(None, usual, "workload.batch")
        context = _several(None, serving.context, "workload.context")
        return [
            Kind(_called(model), model, weight, batch, context, serving.phase)
            for model, weight in zip(serving.models, weights, strict=True)
        ]
    if serving.models or serving.weights:
        raise SpecError("workload.models: stand in [[mix]] too; say what is served in one of the two")
    names = [part.model for part in mix]
    found = []
    for place, part in enumerate(mix):
        many = names.count(part.model) > 1
        label = f"{_called(part.model)} {names[: place + 1].count(part.model)}" if many else _called(part.model)
        batch = _several(part.batch, usual, f"mix.{place}.batch")
        context = _several(part.context, serving.context, f"mix.{place}.context")
        found.append(Kind(label, part.model, part.weight, batch, context, part.phase or serving.phase))
    return found
