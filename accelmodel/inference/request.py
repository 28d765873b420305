"""Whole requests: a prefill and all decode steps after it, as time, throughput and prefetched bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import numpy as np

from accelmodel.errors import Infeasible, SpecError, unknown
from accelmodel.inference.attributes import BITS, DEGREES, behind, json_value, of_technique, on_cluster, parts_of
from accelmodel.inference.axes import carried, with_coordinates
from accelmodel.inference.named import ClusterLike, ModelLike, as_cluster, as_model
from accelmodel.inference.placement import fits as room
from accelmodel.inference.policies import Technique, chosen
from accelmodel.inference.precisions import in_words, precisions
from accelmodel.inference.preserve import prompt_length
from accelmodel.inference.speculation import tokens_per_step
from accelmodel.inference.step import Inputs, prepare, totals
from accelmodel.laws.numeric import Number
from accelmodel.specs.bits import told
from accelmodel.specs.given import workload
from accelmodel.specs.hardware import Cluster, Device
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.quantities import Quantity, several
from accelmodel.specs.workload import Phase, Workload

if TYPE_CHECKING:
    import xarray as xr

#: phases of a request, as type checkers know them
RequestPhase: TypeAlias = Literal["end-to-end", "decode", "prefill"]
#: precisions that are asked by their names: bits, or the name of a format
Asked: TypeAlias = "Mapping[str, float | str]"
PHASES = ("end-to-end", "decode", "prefill")
#: contexts at which the sum over decode steps is evaluated: Gauss-Legendre, exact for a polynomial of
#: degree 7 in the context; within 0.2 % of the sum over every step (tests)
NODES = 4
BASELINE = "none"
FUSED = "fused"
#: technique → the variable that holds its time alone
_VARIABLES = {BASELINE: "baseline", FUSED: "fused", "preserve": "preserve"}


def decode_contexts(prompt: Number, total: Number) -> tuple[xr.DataArray, xr.DataArray]:
    """Return contexts and weights, over a new axis ``node``, whose weighted sum is the sum over decode steps."""
    import xarray as xr

    points, weights = np.polynomial.legendre.leggauss(NODES)
    place = xr.DataArray((points + 1.0) / 2.0, dims="node")
    generated = total - prompt
    contexts = (prompt + 0.5 + place * generated).round()
    return contexts, xr.DataArray(weights / 2.0, dims="node") * generated


def prepare_request(
    model: LanguageModel, cluster: Cluster, phase: str, context: Number, **work: Any
) -> list[tuple[Inputs, Any]]:
    """Return the steps of a request as questions, each with the weight of its ``node`` axis (1 where it has none).

    Parameters
    ----------
    model, cluster
        What runs where.
    phase : {"end-to-end", "decode", "prefill"}
        ``end-to-end`` is the prefill of two thirds of ``context`` and the decode of the rest; the other
        two are a single step at ``context``.
    context : float or DataArray
        Total length [token].
    **work
        Other fields of ``Workload``; with a draft an answer takes as many fewer steps as each yields more tokens.

    Raises
    ------
    SpecError, Infeasible
        As ``step.prepare``.
    """
    if phase not in PHASES:
        raise unknown("phase", phase, PHASES)
    if phase != "end-to-end":
        return [(prepare(model, cluster, workload(phase=cast("Phase", phase), context=context, **work)), 1.0)]
    prompt = prompt_length(context)
    contexts, weights = decode_contexts(prompt, context)
    first = prepare(model, cluster, workload(phase="prefill", context=prompt, **_without_draft(work)))
    rest = prepare(model, cluster, workload(phase="decode", context=contexts, **work))
    return [(first, 1.0), (rest, weights / tokens_per_step(rest.work))]


def _without_draft(work: dict[str, Any]) -> dict[str, Any]:
    """Return fields of a workload for a prefill, which has nothing to draft."""
    return {name: value for name, value in work.items() if name not in ("speculative", "acceptance", "draft")}


def run_request(parts: list[tuple[Inputs, Any]], technique: str | Technique) -> xr.Dataset:
    """Return ``step_time`` [s], ``prefetched_bytes`` and ``hbm_bytes`` [B] of whole requests on one device."""
    beside = chosen(technique)
    total: Any = None
    for inputs, weights in parts:
        result = totals(inputs, beside)
        if "node" in result.dims:
            result = (result * weights).sum("node")
        total = result if total is None else total + result
    return cast("xr.Dataset", total)


def request_steps(phase: str, context: Number, work: dict[str, Any]) -> list[Workload]:
    """Return the steps of a request that take the most memory, as workloads."""
    if phase == "end-to-end":
        return [
            workload(phase="prefill", context=prompt_length(context), **_without_draft(work)),
            workload(phase="decode", context=context, **work),
        ]
    return [
        workload(phase=cast("Phase", phase), context=context, **(work if phase == "decode" else _without_draft(work)))
    ]


def fits(model: LanguageModel, cluster: Cluster, phase: str, context: xr.DataArray, **work: Any) -> Any:
    """Return 1 where the memory of a device holds the model and every step of its whole requests, else 0."""
    held: Any = 1.0
    for step in request_steps(phase, context, work):
        held = held * room(model, cluster.device, step)
    return held


def _compare(
    model: LanguageModel, cluster: Cluster, phase: str, prefetch: Technique, context: xr.DataArray, work: dict[str, Any]
) -> xr.Dataset:
    """Time requests of one model with nothing beside the operators, with fused kernels and with the technique."""
    import xarray as xr

    parts = prepare_request(model, cluster, phase, context, **work)
    compared: dict[str, str | Technique] = {BASELINE: BASELINE, FUSED: FUSED, prefetch.name: prefetch}
    runs = {name: run_request(parts, each) for name, each in compared.items()}
    data = {_VARIABLES[name]: run.step_time for name, run in runs.items() if name in _VARIABLES}
    data["time"] = xr.concat([run.step_time for run in runs.values()], xr.Variable("technique", list(runs)))
    data["speedup"] = runs[BASELINE].step_time / runs[prefetch.name].step_time
    data["prefetched_bytes"] = runs[prefetch.name].prefetched_bytes
    held = fits(model, cluster, phase, context, **work) + 0.0 * data["speedup"]
    if not (held > 0.5).any():
        raise Infeasible(f"{model.name}: no whole request fits; raise tp, or lower batch, context or the bits")
    data["feasible"] = held > 0.5
    return xr.Dataset(data).expand_dims(model=[model.name])


def _attributes(models: list[LanguageModel], cluster: Cluster, prefetch: Technique) -> dict[str, str]:
    """Return what the comparison says of what stands behind it."""
    parts = {**{f"model {each.name}": each for each in models}, **parts_of(cluster)}
    return {**behind(parts), **of_technique(prefetch), **on_cluster(cluster)}


def _each(models: list[LanguageModel], precision: Asked | Sequence[Asked] | None) -> list[Asked]:
    """Return the precisions that are asked of each model."""
    if precision is None or isinstance(precision, Mapping):
        return [precision or {}] * len(models)
    if len(precision) != len(models):
        raise SpecError(f"precision: {len(precision)} for {len(models)} models; give one for each, or one for all")
    return list(precision)


def _precisions(models: list[LanguageModel], bits: list[dict[str, Any]], device: Device, about: str) -> dict[str, str]:
    """Return the bits of models, a list where they differ, at which precisions each of them works, and all notes."""
    works = [workload(phase="decode", batch=1.0, context=1.0, **each) for each in bits]
    pairs = list(zip(models, works, strict=True))
    taken = [told([model], {name: getattr(work, name) for name in BITS}) for model, work in pairs]
    each = {name: [json_value(one[name]) for one in taken] for name in BITS}
    found = [precisions(model, work, device) for model, work in pairs]
    said = [
        note for rows, (model, work) in zip(found, pairs, strict=True) for note in in_words(rows, model, work, device)
    ]
    rows = [{"model": model.name, **row} for model, own in zip(models, found, strict=True) for row in own]
    return {
        "bits": json.dumps(
            {name: all_[0] if all_.count(all_[0]) == len(all_) else all_ for name, all_ in each.items()}
        ),
        "precision": json.dumps(rows),
        "notes": "; ".join(filter(None, [*dict.fromkeys(said), about])),
    }


def _axis(name: str, values: Sequence[int]) -> xr.DataArray:
    import xarray as xr

    numbers = several(name, values, Quantity(ge=1.0, le=1e9, whole=True))
    return xr.DataArray(numbers, dims=name, coords={name: numbers.astype(int).tolist()})


def speedups(
    models: ModelLike | Sequence[ModelLike],
    cluster: ClusterLike,
    tp: Sequence[int],
    batch: Sequence[int],
    context: Sequence[int],
    *,
    phase: RequestPhase = "end-to-end",
    prefetch: str | Technique = "preserve",
    precision: Asked | Sequence[Asked] | None = None,
) -> xr.Dataset:
    """Compare no prefetch, fused kernels and a technique over models, parallelism, batches and lengths.

    Parameters
    ----------
    models : str, LanguageModel or list of them
    cluster : str, Device or Cluster
        Its fields may carry labelled axes; the result then has them.
    tp, batch, context : sequence of int
        Tensor-parallel degrees [1], sequences [1] and total lengths [token].
    phase : {"end-to-end", "decode", "prefill"}
        The paper's mix by default.
    prefetch : str or Technique
        What is compared with the two baselines; the paper's by default, ``policy("preserve", threshold=...)`` with
        other parameters.
    precision : dict, or one for each model
        ``weight_bits``, ``activation_bits``, ``kv_bits``; what a model's file states where not given.

    Returns
    -------
    xarray.Dataset
        Over (model, tp, batch, context): ``time`` [s], also over ``technique``; the same alone as ``baseline``,
        ``fused`` and, if it is what was asked for, ``preserve`` [s]; of the technique asked for ``speedup`` over the
        baseline [1] and ``prefetched_bytes`` [B] on one device; ``feasible``: whether it fits the memory.  Attributes
        as ``time_step``; ``skipped``: why models that fit nowhere are left out.

    Raises
    ------
    SpecError
        If a name, a degree or the phase is not allowed.
    Infeasible
        If nothing of it fits.

    Notes
    -----
    Source of the mix: arXiv 2501.08192, evaluation: two thirds of a request are its prompt.  The sum over decode steps
    is a quadrature of four contexts, within 0.2 % of the sum over every step.

    Examples
    --------
    >>> result = speedups("llama-3-8b", "ascend-910b2", tp=[8], batch=[4], context=[4096], phase="decode")
    >>> bool(result.speedup.item() > 1.0)
    True
    """
    import xarray as xr

    cluster = as_cluster(cluster)
    given: list[Any] = list(models) if isinstance(models, list | tuple) else [models]
    if not given:
        raise SpecError("models is empty; name at least one")
    specs = [as_model(each) for each in given]

    work = {"tp": _axis("tp", tp), "batch": _axis("batch", batch)}
    bits = [dict(each) for each in _each(specs, precision)]
    ahead = chosen(prefetch)
    found, problems = [], []
    for model, own in zip(specs, bits, strict=True):
        try:
            found.append(_compare(model, cluster, phase, ahead, _axis("context", context), {**work, **own}))
        except Infeasible as problem:
            problems.append(str(problem))
    if not found:
        raise Infeasible("; ".join(problems))
    result = xr.concat(found, "model", combine_attrs="drop_conflicts")
    result = result.transpose("model", "tp", "batch", "context", ...)
    degrees = {**dict.fromkeys(DEGREES, 1.0), "tp": json_value(work["tp"])}
    asked = {
        "phase": phase,
        "degrees": json.dumps(degrees),
    }
    about = _attributes(specs, cluster, ahead)
    about |= _precisions(specs, bits, cluster.device, about["notes"])
    result.attrs = {**about, **asked, "skipped": "; ".join(problems)}
    return with_coordinates(result, carried(cluster.device, cluster.link, cluster.scale_out))
