"""Attention and experts on devices of their own, between which micro-batches go (attention/FFN disaggregation).

MegaScale-Infer (arXiv 2504.02263) and Step-3 (arXiv 2507.19427) serve so: attention is replicated over some devices,
experts are spread over others, and while one micro-batch is at the experts the next one is at attention.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.errors import Infeasible, SpecError
from accelmodel.inference.attributes import asked as told
from accelmodel.inference.attributes import behind, noted, on_cluster, parts_of
from accelmodel.inference.columns import STREAM, shard
from accelmodel.inference.memory import memory_per_device
from accelmodel.inference.mlps import sent_bits
from accelmodel.inference.named import ClusterLike, ModelLike, WorkLike, as_cluster, as_model, as_workload
from accelmodel.inference.operator_time import time_columns
from accelmodel.inference.routing import kernels, places
from accelmodel.inference.step import figures, prepare
from accelmodel.laws.types import EXCHANGE
from accelmodel.nomenclature import label
from accelmodel.specs.given import override
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.language_model import LanguageModel, perceptrons
from accelmodel.specs.layer_kinds import Experts
from accelmodel.specs.workload import Workload
from accelmodel.units import show

if TYPE_CHECKING:
    import xarray as xr

#: rows that run on the devices of the experts; the others of a layer run where attention does
_AWAY = ("expert_sorting", "expert_gather", "expert_up", "expert_activation", "expert_down", "expert_sum")
#: collectives around experts, in whose place micro-batches are sent
_SENT = ("dispatch", "combine")
#: a memory that holds everything: what each side must hold is asked by itself
_ROOMY = 1e15


def pipelined(attention: float, experts: float, there: float, back: float, micro_batches: float) -> float:
    """Return the time of layers through which micro-batches go one after another [s].

    Each of the four places is busy with one micro-batch at a time, and a micro-batch is in one place at a time: the
    busiest place, or the way of one micro-batch through all four, sets the pace.

    Parameters
    ----------
    attention, experts, there, back : float
        Time of all micro-batches in each place [s].
    micro_batches : float
        Micro-batches on the way at once [1].

    Examples
    --------
    >>> pipelined(3.0, 3.0, 1.5, 1.5, 3.0), pipelined(3.0, 3.0, 1.5, 1.5, 1.0)
    (3.0, 9.0)
    """
    return max(attention, experts, there, back, (attention + experts + there + back) / micro_batches)


def experts_apart(
    model: ModelLike, cluster: ClusterLike, work: WorkLike, expert_devices: float, micro_batches: float = 3.0
) -> xr.Dataset:
    """Time a step whose routed experts stand on devices of their own.

    Parameters
    ----------
    model, cluster, work
        As ``time_step`` takes them, without axes; ``tp`` and ``dp`` cut attention, ``ep`` is left out.
    expert_devices : float
        Devices over which the experts are spread, beside those of attention [1].
    micro_batches : float
        Parts of the batch that are on the way at once [1].

    Returns
    -------
    xarray.Dataset
        Without axes: ``attention_time``, ``experts_time``, ``dispatch_time`` and ``combine_time``, those of all
        micro-batches through the layers with experts in each of the four places, and ``step_time`` [s];
        ``tokens_per_s`` of all devices together; ``devices`` of both sides [1].  Attributes as of ``total_time``.

    Raises
    ------
    SpecError
        If the model has no experts, or the batch is too small to be cut.
    Infeasible
        If attention or experts do not fit their devices.

    Notes
    -----
    Pace as of ``pipelined``.  Experts see the tokens of all attention devices at once; a token's copies take the links
    of the side that is busier with them.  Devices of both sides are of one kind, and as many of a node's receive as of
    others: optimistic by a node's share of all devices where the sides have nodes of their own.

    Examples
    --------
    >>> work = {"phase": "decode", "batch": 4608, "context": 2048, "dp": 48}
    >>> found = experts_apart("deepseek-v3", "h200-sxm", work, expert_devices=32)
    >>> float(found.devices), bool(found.step_time >= found.attention_time)
    (80.0, True)
    """
    import xarray as xr

    spec, chip, asked = as_model(model), as_cluster(cluster), as_workload(work)
    kind = _experts_of(spec, asked, micro_batches)
    sources = asked.tp * asked.dp
    part = replace(asked, batch=float(np.ceil(asked.batch / micro_batches)))
    _check_memory(spec, chip, asked, kind, expert_devices)
    roomy = replace(chip, device=override(chip.device, hbm_capacity=_ROOMY), devices=max(sources, expert_devices))
    share = float(kind.layers / spec.layers)
    near, ends = _times(spec, roomy, part, share)
    there_alone = replace(part, tp=1.0, dp=expert_devices, ep=expert_devices)
    far = _away(spec, roomy, there_alone)
    tokens = float(shard(spec, part).tokens) * asked.dp
    busiest = tokens / min(sources, expert_devices)
    ways: list[float] = []
    for width in (float(sent_bits(spec, part)) / 8.0, STREAM):
        columns = {
            "kind": EXCHANGE + kernels(asked) - 1.0,
            "message_bytes": busiest * kind.used * (kind.latent or spec.hidden) * width,
            "ranks": sources + expert_devices,
            **{"n": kind.experts, "k": kind.used, "groups": kind.groups, "m": kind.used_groups},
        }
        times, _ = time_columns(columns, roomy)
        ways.append(float(np.asarray(times).flat[0]) * float(kind.layers) * micro_batches)
    attention, experts = near * micro_batches, far * micro_batches
    there, back = ways
    step_time = pipelined(attention, experts, there, back, micro_batches) + ends * micro_batches
    made = asked.batch * (1.0 if asked.phase == "decode" else asked.context - asked.prefix)
    found = {
        "attention_time": attention,
        "experts_time": experts,
        "dispatch_time": there,
        "combine_time": back,
        "step_time": step_time,
        "tokens_per_s": made / step_time,
        "devices": sources + expert_devices,
    }
    notes = f"experts on {expert_devices:g} devices of their own, {micro_batches:g} micro-batches on the way"
    parts = parts_of(chip)
    about = {
        **behind({"model": spec, **parts}),
        **told(asked),
        "model": spec.name,
        **on_cluster(replace(chip, devices=sources + expert_devices)),
        "notes": "; ".join([notes, *noted({"model": spec, **parts})]),
    }
    return label(xr.Dataset({name: ((), float(value)) for name, value in found.items()}, attrs=about))


def _experts_of(model: LanguageModel, work: Workload, micro_batches: float) -> Experts:
    kind = next((each for each in perceptrons(model) if isinstance(each, Experts)), None)
    if kind is None:
        raise SpecError(f"{model.name} has no experts that could stand apart; take time_step")
    if work.ep != 1.0 or work.pp != 1.0 or work.two_batch:
        raise SpecError("with experts apart, expert_devices say where these are; leave out ep, pp and two_batch")
    if micro_batches < 1.0 or work.batch < micro_batches * work.dp:
        raise SpecError(
            f"{micro_batches:g} micro-batches on {work.dp:g} data-parallel ranks need a batch of "
            f"{max(micro_batches, 1.0) * work.dp:g}, at least 1 of them, and it is {work.batch:g}; lower micro_batches"
        )
    return kind


def _rows(model: LanguageModel, cluster: Cluster, work: Workload) -> dict[str, float]:
    """Return the time of each row of a step [s]."""
    found = figures(prepare(model, cluster, work))
    return dict(zip(found.labels["operator"], np.asarray(found["time"]).tolist(), strict=True))


def _times(model: LanguageModel, cluster: Cluster, work: Workload, share: float) -> tuple[float, float]:
    """Return the time of a micro-batch in layers with experts where attention is, and in all else [s]."""
    layers: float = 0.0
    ends: float = 0.0
    whole = ("embedding", "stage", "head", "all_reduce_into_head", "all_gather_logits", "sampling")
    for name, time in _rows(model, cluster, work).items():
        if name.startswith((*_AWAY, *_SENT)):
            continue
        if name.endswith(("_after_experts", "_moe")):
            layers += time
        elif name.startswith(whole) or work.dp > 1.0 or name.startswith(("mlp", "all_reduce_into_mlp")):
            ends += time
        else:
            # without data-parallel ranks one row stands for attention of all layers
            layers += time * share
            ends += time * (1.0 - share)
    return layers, ends


def _away(model: LanguageModel, cluster: Cluster, work: Workload) -> float:
    """Return the time of a micro-batch on the devices of the experts [s]."""
    return sum(time for name, time in _rows(model, cluster, work).items() if name.startswith(_AWAY))


def _check_memory(model: LanguageModel, cluster: Cluster, work: Workload, kind: Experts, devices: float) -> None:
    """Raise Infeasible where attention, or the experts of a device, do not fit it."""
    part = shard(model, work).at("experts")
    matrices = (3.0 if kind.gated else 2.0) * (kind.latent or model.hidden) * kind.width * part.weight
    spread = replace(work, ep=devices)
    held = np.ceil(places(kind, spread) / devices) * matrices * kind.layers
    whole = sum(memory_per_device(model, work).values())
    alone = whole - kind.experts * matrices * kind.layers / (work.tp * work.dp)
    capacity = float(cluster.device.hbm.capacity)
    sides: dict[str, Any] = {"attention": alone, "the experts": held}
    for side, needed in sides.items():
        if needed > capacity:
            raise Infeasible(
                f"{model.name}, experts apart: a device of {side} needs {show(float(needed), 'B')} and "
                f"{cluster.device.name} has {show(capacity, 'B')}; raise tp, dp or expert_devices, or lower batch"
            )
