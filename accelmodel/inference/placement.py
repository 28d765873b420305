"""Where weights and KV cache lie on a device, and whether they fit there: HBM, SRAM alone, a second memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from accelmodel.errors import Infeasible
from accelmodel.inference.memory import expert_weights, memory_per_device, usable_memory
from accelmodel.inference.operators import OperatorTable, operator_table
from accelmodel.inference.where import second_memory, told
from accelmodel.laws.numeric import Number, most
from accelmodel.laws.types import ATTENTION, PRODUCTS
from accelmodel.specs.hardware import Device
from accelmodel.specs.language_model import LanguageModel, mixers
from accelmodel.specs.layer_kinds import Grouped
from accelmodel.specs.memories import none
from accelmodel.specs.workload import Workload
from accelmodel.units import show


def _beside(model: LanguageModel, device: Device, work: Workload, parts: dict[str, Number]) -> Number:
    """Return the bytes of a device that its second memory holds [B]."""
    held = device.tier.holds
    if held == "experts":
        return expert_weights(model, work)
    return parts[{"kv": "kv_cache", "weights": "weights"}[held]] if held else 0.0


def fits(model: LanguageModel, device: Device, work: Workload) -> Number:
    """Return 1 where the memories of a device hold its part of a step, else 0.

    Examples
    --------
    >>> from accelmodel.specs.given import workload
    >>> from accelmodel.specs.load import load
    >>> work = workload(phase="decode", batch=1, context=2048)
    >>> float(fits(load("model", "llama-3-70b"), load("device", "h100-sxm"), work))
    0.0
    """
    cut = whole_heads(model, device, work)
    return _held(cut, device, work, memory_per_device(cut, work))


def _held(cut: LanguageModel, device: Device, work: Workload, parts: dict[str, Number]) -> Number:
    far = _beside(cut, device, work, parts)
    near = sum(parts.values()) - far
    held = (near <= usable_memory(device)) * 1.0
    return held * (far <= device.tier.capacity) if device.tier.holds else held


def filled(model: LanguageModel, device: Device, work: Workload) -> tuple[Number, Number]:
    """Return the share of a device's memories that its part of a step takes, of the fuller one [1], and ``fits``.

    Examples
    --------
    >>> from accelmodel.specs.given import workload
    >>> from accelmodel.specs.load import load
    >>> work = workload(phase="decode", batch=1, context=2048)
    >>> share, held = filled(load("model", "llama-3-70b"), load("device", "h100-sxm"), work)
    >>> bool(share > 1.0), float(held)
    (True, 0.0)
    """
    cut = whole_heads(model, device, work)
    parts = memory_per_device(cut, work)
    far = _beside(cut, device, work, parts)
    share = (sum(parts.values()) - far) / most(usable_memory(device), 1.0)
    held = _held(cut, device, work, parts)
    return (most(share, far / device.tier.capacity) if device.tier.holds else share), held


def need_room(model: LanguageModel, device: Device, work: Workload) -> tuple[Number, Number]:
    """Return bytes needed on a device [B] and whether they fit; raise Infeasible if no point does."""
    cut = whole_heads(model, device, work)
    parts = memory_per_device(cut, work)
    held = _held(cut, device, work, parts)
    if np.any(np.asarray(held)):
        return sum(parts.values()), held > 0.5
    least = {name: float(np.min(np.asarray(part))) for name, part in parts.items()}
    told = ", ".join(f"{name} {show(size, 'B')}" for name, size in least.items())
    has = f"{show(float(np.max(np.asarray(usable_memory(device)))), 'B')}{_kept_back(device)}"
    if device.tier.holds:
        other = show(float(np.max(np.asarray(device.tier.capacity))), "B")
        has = f"{has} and, for {device.tier.holds} alone, {other} in its {second_memory(device)}"
    raise Infeasible(
        f"{model.name} does not fit: a device needs at least {show(sum(least.values()), 'B')} ({told}) and "
        f"{device.name} has {has}; {_remedy(model, device, work)}"
    )


def _kept_back(device: Device) -> str:
    """Return in words what a device reports and keeps for itself, where it keeps anything."""
    capacity, reserved = (np.asarray(value) for value in (device.memory.capacity, device.memory.reserved))
    if not np.max(reserved):
        return ""
    return f" ({show(float(np.max(capacity)), 'B')} less {show(float(np.min(reserved)), 'B')} kept back)"


def _remedy(model: LanguageModel, device: Device, work: Workload) -> str:
    """Return what would make a step fit: of a chip without HBM how many hold the model."""
    usual = "raise tp or pp, or lower batch, context or the bits"
    if not none(device.hbm.capacity):
        return usual
    for tp in (8.0, 16.0, 64.0):
        for pp in range(1, int(np.max(np.asarray(model.layers))) + 1):
            try:
                able = np.any(np.asarray(fits(model, device, replace(work, tp=tp, pp=float(pp)))))
            except ValueError:  # cannot be cut so
                break
            if able:
                return f"{usual}: all of it lies in SRAM, so for example {tp * pp:g} devices, tp {tp:g} and pp {pp}"
    return usual


def whole_heads(model: LanguageModel, device: Device, work: Workload) -> LanguageModel:
    """Return the model as chips that cut inside heads see it: as many narrower heads as tensor ranks.

    A chip without HBM keeps a slice of each matrix, whatever head it is of, and no copy of keys and values.  Elsewhere
    engines cut between heads, and the model stays as it is; so does one with other attention than grouped.  What the
    ranks of one head add to each other's scores is left out.
    """
    if not none(device.hbm.capacity) or not all(isinstance(kind, Grouped) for kind in mixers(model)):
        return model
    ranks = float(np.max(np.asarray(work.tp)))
    narrow = tuple(_narrower(kind, ranks) for kind in model.attention)
    if narrow:
        return model if narrow == model.attention else replace(model, attention=narrow)
    cut: LanguageModel = _narrower(model, ranks)
    return cut


def _narrower(part: Any, ranks: float) -> Any:
    """Return a model, or a kind of attention, whose KV heads are cut until there is one for each rank."""
    fields = {name: getattr(part, name) for name in ("heads", "kv_heads", "head_dim")}
    if any(hasattr(value, "dims") for value in fields.values()) or fields["kv_heads"] >= ranks:
        return part
    width = int(fields["head_dim"])
    pieces = next((n for n in range(1, width + 1) if width % n == 0 and fields["kv_heads"] * n >= ranks), width)
    changed = {"heads": fields["heads"] * pieces, "kv_heads": fields["kv_heads"] * pieces, "head_dim": width / pieces}
    if getattr(part, "value_dim", 0.0):
        changed["value_dim"] = part.value_dim / pieces
    return replace(part, **changed)


#: what an answer must say where heads are cut
_CUT = "heads are cut inside, as weights lie in SRAM: what ranks of one head add to each other's scores is left out"
_LOOKED_AT = ("kind", "experts", "prefetch_bytes")


def placed(model: LanguageModel, device: Device, work: Workload, unfused: Iterable[str] = ()) -> OperatorTable:
    """Return the rows of a step on a device, with notes on where things lie.

    What lies in a second memory is not prefetched: it does not come through HBM.  Nor is what lies in SRAM alone, which
    is where it would be fetched to.
    """
    cut = whole_heads(model, device, work)
    table = operator_table(cut, work, device, unfused)
    notes = [*([] if cut is model else [_CUT]), *(f"{device.name}: {note}" for note in told(device))]
    if notes:
        table = replace(table, notes=(*table.notes, *notes))
    held = device.tier.holds
    sram = none(device.hbm.capacity)
    if not held and not sram:
        return table
    offered = []
    for kind, experts, prefetch in zip(*(table.columns[name] for name in _LOOKED_AT), strict=True):
        apart = {"": False, "kv": kind == ATTENTION, "weights": kind in PRODUCTS, "experts": experts > 0.0}[held]
        offered.append(0.0 if sram or bool(apart) else prefetch)
    return replace(table, columns={**table.columns, "prefetch_bytes": offered})


def kv_room(model: LanguageModel, device: Device, work: Workload, share: Number) -> Number:
    """Return the memory that is left for KV cache where a share of it is usable [B].

    Below 0 where the rest does not fit.  ``work`` is the step whose activations are kept free.
    """
    cut = whole_heads(model, device, work)
    parts = memory_per_device(cut, work)
    taken = parts["weights"] + parts["activations"]
    far = _beside(cut, device, work, parts)
    own = usable_memory(device, share)
    if device.tier.holds == "kv":
        return share * device.tier.capacity if bool(taken <= own) else own - taken
    left = own - taken + far
    return left if not device.tier.holds or bool(far <= device.tier.capacity) else device.tier.capacity - far
