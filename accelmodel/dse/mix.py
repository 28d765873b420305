"""What a chip must serve, as kinds of requests: model, batches, lengths and phase, each with its weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from accelmodel.errors import SpecError

if TYPE_CHECKING:
    from accelmodel.dse.study import Part, Serving


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


def kinds(serving: Serving, mix: list[Part], chosen: list[int] | None) -> list[Kind]:
    """Return the kinds of requests of a study, in the order of its file.

    Parameters
    ----------
    serving, mix
        Tables ``[workload]`` and ``[[mix]]``.
    chosen : list of int, optional
        Batches that software chooses from, where it does; then none need be given.

    Raises
    ------
    SpecError
        If nothing is served, or something of it is missing.
    """
    usual = serving.batch or chosen
    if not mix:
        if not serving.models:
            raise SpecError("workload.models: needs at least one model, or tables [[mix]]")
        weights = serving.weights or [1.0] * len(serving.models)
        if len(weights) != len(serving.models):
            raise SpecError(f"workload.weights: {len(weights)} for {len(serving.models)} models; give one for each")
        batch = _several(None, usual, "workload.batch")
        context = _several(None, serving.context, "workload.context")
        return [
            Kind(model, model, weight, batch, context, serving.phase)
            for model, weight in zip(serving.models, weights, strict=True)
        ]
    if serving.models or serving.weights:
        raise SpecError("workload.models: stand in [[mix]] too; say what is served in one of the two")
    names = [part.model for part in mix]
    found = []
    for place, part in enumerate(mix):
        many = names.count(part.model) > 1
        label = f"{part.model} {names[: place + 1].count(part.model)}" if many else part.model
        batch = _several(part.batch, usual, f"mix.{place}.batch")
        context = _several(part.context, serving.context, f"mix.{place}.context")
        found.append(Kind(label, part.model, part.weight, batch, context, part.phase or serving.phase))
    return found
