"""What a step takes of energy and power, from its operator table, what the kernel found and the device's constants.

All of it follows the kernel, and is worked out over all axes at a time.  Bytes that a technique prefetches come from
HBM and go through L2 like others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from accelmodel.errors import SpecError
from accelmodel.inference.axes import spread
from accelmodel.inference.inputs import Inputs
from accelmodel.inference.policies import Technique, chosen
from accelmodel.inference.run import run_kernel
from accelmodel.inference.speculation import tokens_yielded
from accelmodel.laws.energy import (
    attention_l2_bytes,
    matmul_l2_bytes,
    step_joules,
    tiled_l2_bytes,
    tiles_of,
    under_limit,
)
from accelmodel.laws.numeric import Array, Number, has_axes
from accelmodel.laws.types import (
    ATTENTION,
    CHAIN,
    COLLECTIVE,
    DETAIL,
    ELEMENTWISE,
    GROUPED,
    MATMUL,
    RECURRENCE,
    ROW,
    Operator,
)
from accelmodel.specs.hardware import Cluster, Device
from accelmodel.specs.link import Link
from accelmodel.specs.load import load
from accelmodel.specs.memories import none
from accelmodel.units import show

if TYPE_CHECKING:
    import xarray as xr

#: what takes energy on the chip, which a lower voltage saves, and beyond it: names of fields of ``Energy``
ON_CHIP = ("flop_16bit", "flop_8bit", "flop_4bit", "vector", "l2")
BEYOND = ("hbm", "link")
#: all fields of ``Energy``
NUMBERS = (*ON_CHIP, *BEYOND, "static")
#: of the limit, the most that the upper end of what a device draws at rest is taken for
_MOST_STATIC = 0.9
_LINK_BYTES = DETAIL.index("link_bytes")


def energy_numbers(device: Device) -> list[Number]:
    """Return the numbers of a device that only its energy asks for, whose axes an answer has too."""
    return [device.power, *(getattr(device.energy, name) for name in NUMBERS)]


def _of_device(inputs: Inputs, value: Number) -> Array:
    """Return a number of the device over the axes, of length 1 where it does not vary."""
    return spread(value, {**inputs.axes.workload, **inputs.axes.machine})


def _beside_memory(inputs: Inputs, of: dict[str, Array]) -> Array:
    """Return where attention is computed beside a second memory (operator, *axes), whose own power is not known."""
    tier = inputs.cluster.device.tier
    if tier.holds != "kv" or none(tier.compute):
        return np.zeros(of["kind"].shape, dtype=bool)
    one_tile: Array = tiles_of(of["m"], _of_device(inputs, inputs.cluster.device.matmul.tile_m)) <= 1.0
    found: Array = (of["kind"] == ATTENTION) & one_tile
    return found


def _l2_bytes(inputs: Inputs, of: dict[str, Array]) -> Array:
    """Return bytes that cross between L2 and cores in each invocation (operator, *axes)."""
    matmul = inputs.cluster.device.matmul
    tile_m, tile_n, multicast = (_of_device(inputs, each) for each in (matmul.tile_m, matmul.tile_n, matmul.multicast))
    tiles = tile_m, tile_n, multicast
    kind = of["kind"]
    read, kept, written = of["input_bytes"], of["weight_bytes"], of["output_bytes"]
    moved = read + kept + written + ((kind == RECURRENCE) | (kind == ROW)) * of["message_bytes"]
    moved = np.where(kind == MATMUL, matmul_l2_bytes(of["m"], of["n"], read, kept, written, tiles), moved)
    drawn = tiled_l2_bytes(of["groups"], of["m"], of["n"], of["k"], of["bits"] / 8.0, (tile_n, multicast))
    moved = np.where(kind == GROUPED, np.maximum(drawn, read + kept) + written, moved)
    down = tiles_of(of["m"], tile_m)
    keys = of["groups"] * of["n"] * of["k"] * of["bits"] / 8.0
    moved = np.where(kind == ATTENTION, attention_l2_bytes(keys, down, kept, read, written), moved)
    return np.where(kind >= COLLECTIVE, 2.0 * of["message_bytes"], moved)


def activity(inputs: Inputs) -> dict[str, Array]:
    """Return what the operators do in a whole step, by the fields of ``Energy`` [FLOP, B].

    Of ``hbm`` what is not the device's own: bytes that the kernel counts and a second memory works on itself.

    Returns
    -------
    dict
        Name → array over (operator, *axes), of length 1 along axes that it does not vary over.
    """
    table, axes = inputs.operators, inputs.axes
    ones = (1,) * len(axes.machine)
    shape = (table.shape[1], *(len(labels) for labels in axes.workload.values()), *ones)
    of = {name: column.reshape(shape) for name, column in zip(Operator._fields, table, strict=True)}
    kind, bits = of["kind"], of["bits"]
    count = np.where((kind >= COLLECTIVE) & (of["ranks"] <= 1.0), 0.0, of["count"])
    matrix = np.where(kind == CHAIN, of["groups"] * of["n"], of["flops"])
    apart = _beside_memory(inputs, of)
    matrix = count * np.where((kind == ELEMENTWISE) | (kind == ROW) | (kind >= COLLECTIVE) | apart, 0.0, matrix)
    elsewhere = np.where(apart, of["weight_bytes"], 0.0)
    return {
        "flop_16bit": matrix * (bits > 8.0),
        "flop_8bit": matrix * ((bits > 4.0) & (bits <= 8.0)),
        "flop_4bit": matrix * (bits <= 4.0),
        "vector": count * np.where(apart, 0.0, of["vector_ops"]),
        "l2": count * (_l2_bytes(inputs, of) - elsewhere),
        "hbm": count * -elsewhere,
    }


def _constants(inputs: Inputs) -> dict[str, Array]:
    """Return the constants of the device over (what they are and both ends of their ranges, *axes).

    Raises
    ------
    SpecError
        If it draws its power limit at rest.
    """
    device = inputs.cluster.device
    limit, static = _of_device(inputs, device.power), _of_device(inputs, device.energy.static)
    over = (limit > 0.0) & (static >= limit)
    if over.any():
        most, least = (np.broadcast_to(each, over.shape)[over].flat[0] for each in (limit, static))
        raise SpecError(
            f"power {show(float(most), 'W')} is not above energy.static {show(float(least), 'W')}, which {device.name} "
            "draws at rest; raise power or lower energy.static"
        )
    found = {name: _with_ends(inputs, name) for name in NUMBERS}
    if none(device.energy.link):
        found["link"] = _of_phy(inputs)
    # what is drawn at rest leaves something of the limit, also at the upper end of its range
    own, low, high = found["static"]
    most = np.maximum(own, _MOST_STATIC * np.where(limit > 0.0, limit, np.inf))
    found["static"] = np.stack(np.broadcast_arrays(own, low, np.minimum(high, most)))
    if none(device.hbm.capacity):  # what lies in SRAM is counted as bytes of L2
        found["hbm"] *= 0.0
    return {**found, "power": limit}


def at_rest(inputs: Inputs) -> Array:
    """Return the power of a device at rest over (what it is and both ends of its range, *axes) [W]."""
    return np.broadcast_to(_constants(inputs)["static"], (3, *inputs.axes.shape))


def _with_ends(inputs: Inputs, name: str) -> Array:
    """Return a constant over the axes, and below it the ends of its range, which what a caller gave has not."""
    device = inputs.cluster.device
    value, fact = getattr(device.energy, name), device.facts.get(f"energy.{name}")
    low, high = fact.range if fact is not None and fact.range else (np.inf, -np.inf)
    if has_axes(value):
        along = _of_device(inputs, value)
        return np.stack([along, np.minimum(along, low), np.maximum(along, high)])
    ends = np.array([value, min(value, low), max(value, high)])
    return ends.reshape(3, *(1,) * len(inputs.axes.names))


def _of_phy(inputs: Inputs) -> Array:
    """Return what a byte over the links takes, by their PHY, and its ends: one end sends it and the other receives."""
    ends = phy_joules(inputs.cluster.link)
    return np.array(ends).reshape(3, *(1,) * len(inputs.axes.names))


def phy_joules(link: Link) -> tuple[float, float, float]:
    """Return the energy of a byte over a link by the power of its PHY, and its range [J/B]; zeros without one.

    Power of a PHY is that of both directions at full rate, so that of a byte it is what both ends take.
    """
    if not link.phy:
        return 0.0, 0.0, 0.0
    phy = load("phy", link.phy)
    power, fact = float(phy.power), phy.facts.get("power")
    low, high = fact.range if fact is not None and fact.range else (power, power)
    value, least, most = (each / float(phy.bandwidth) for each in (power, low, high))
    return value, least, most


def _collective_bytes(inputs: Inputs, technique: Technique) -> Array:
    """Return bytes that a device sends in a step (*axes): a run of the collectives, or of all rows where they fuse."""
    table = inputs.operators
    sent = (table[Operator._fields.index("kind")] >= COLLECTIVE) & (table[Operator._fields.index("count")] > 0.0)
    sent &= table[Operator._fields.index("ranks")] > 1.0
    rows = sent.any(axis=1)
    if not rows.any():
        return np.zeros(inputs.axes.shape)
    numbers = technique.numbers
    columns = table if numbers.fused > 0.5 else table[:, rows]
    _, detail = run_kernel(np.ascontiguousarray(columns), inputs.machines, numbers, detail=True)
    counts = columns[Operator._fields.index("count")][:, :, None]
    total: Array = (detail[_LINK_BYTES] * counts).sum(axis=0)
    return total.reshape(inputs.axes.shape)


def _split(amounts: Mapping[str, Array], rates: Mapping[str, Array]) -> tuple[Array, Array]:
    """Return the energy of some work on the chip and beyond it [J], of its operators or of all together."""
    on_chip, beyond = (sum(amounts[name] * rates[name] for name in names) for names in (ON_CHIP, BEYOND))
    return np.asarray(on_chip), np.asarray(beyond)


def _of_step(inputs: Inputs, amounts: Mapping[str, Array], rates: Mapping[str, Array], time: Array) -> dict[str, Array]:
    """Return what ``step_energy`` does, and ``scale``: what the lower voltage leaves of the energy on the chip [1].

    ``amounts`` are operations and bytes by the fields of ``Energy`` [FLOP, B], over all operators.
    """
    on_chip, beyond = _split(amounts, rates)
    scale, longer = under_limit(on_chip, beyond, rates["static"], time, rates["power"])
    energy, low, high = step_joules(on_chip * scale, beyond, rates["static"], time * longer)
    work = inputs.work
    devices, tokens = work.tp * work.pp * work.dp, work.batch * tokens_yielded(work)
    return {
        "step_energy": energy,
        "step_energy_lower": np.minimum(low, energy),
        "step_energy_upper": np.maximum(high, energy),
        "power": energy / (time * longer[0]),
        "power_stretch": longer[0],
        "joules_per_token": energy * _of_device(inputs, devices / tokens),
        "scale": scale[0],
    }


def of_operators(inputs: Inputs, found: Mapping[str, Array], step_time: Array) -> dict[str, Array]:
    """Return the energy of each operator [J], which add up, and what the whole step takes.

    Parameters
    ----------
    inputs : Inputs
    found : mapping
        ``time`` [s], ``hbm_bytes``, ``fetched_bytes`` and ``link_bytes`` [B] of each operator (operator, *axes).
    step_time : ndarray
        Of the step (*axes) [s].
    """
    rates, amounts = _constants(inputs), activity(inputs)
    amounts["hbm"] = amounts["hbm"] + found["hbm_bytes"] + found["fetched_bytes"]
    amounts["link"] = found["link_bytes"]
    whole = _of_step(inputs, {name: values.sum(axis=0) for name, values in amounts.items()}, rates, step_time)
    own = {name: values[0] for name, values in rates.items() if name != "power"}
    on_chip, beyond = _split(amounts, own)
    longer = found["time"] * whole["power_stretch"]
    return {**whole, "energy": step_joules(on_chip * whole.pop("scale"), beyond, own["static"], longer)}


def energy_notes(cluster: Cluster, longer: Array) -> list[str]:
    """Return what to know of the energy of steps: what is not known of the device, and whether its limit holds it."""
    device = cluster.device
    unknown = [f"energy.{name}" for name in NUMBERS if none(getattr(device.energy, name))]
    if none(device.hbm.capacity):
        unknown = [name for name in unknown if name != "energy.hbm"]
    if cluster.link.phy:
        unknown = [name for name in unknown if name != "energy.link"]
    found = []
    if unknown:
        are = "is" if len(unknown) == 1 else "are"
        found.append(f"{', '.join(unknown)} of {device.name} {are} not known: its energy and power are told too low")
    least, most = float(np.min(longer)), float(np.max(longer))
    if most > 1.0:
        span = f"{most:.3g}" if most - least < 5e-4 * most else f"{least:.3g} to {most:.3g}"
        found.append(
            f"power of {device.name} holds down its clock: the step lasts {span} times as long as its time, which is "
            "that at full clock"
        )
    return found


def step_energy(inputs: Inputs, policy: str | Technique, time: xr.Dataset) -> xr.Dataset:
    """Return energy and power of whole steps of one device, over all axes of the inputs.

    Parameters
    ----------
    inputs : Inputs
        What ``inference.step.prepare`` returns.
    policy : str or Technique
        What runs beside the operators.
    time : xarray.Dataset
        What ``inference.step.totals`` or ``time_step`` returns of the same.

    Returns
    -------
    xarray.Dataset
        Over the axes: ``step_energy`` of one device [J], with all constants at the ends of their ranges
        ``step_energy_lower`` and ``step_energy_upper``; its mean ``power`` [W], never above the device's limit;
        ``power_stretch``: how many times as long the step lasts where the clock falls to keep to that limit [1], 1
        where it does not; ``joules_per_token`` of all devices that the step uses, together [J/token].

    Raises
    ------
    SpecError
        If the device draws its power limit at rest.

    Examples
    --------
    >>> from accelmodel.inference.step import prepare, totals
    >>> from accelmodel.specs.given import cluster, workload
    >>> from accelmodel.specs.load import load
    >>> work = workload(phase="decode", batch=8, context=1024)
    >>> inputs = prepare(load("model", "llama-3-8b"), cluster("h100-sxm"), work)
    >>> found = step_energy(inputs, "none", totals(inputs))
    >>> bool(found.power < 700.0), found.joules_per_token.attrs["units"]
    (True, 'J/token')
    """
    import xarray as xr

    from accelmodel.nomenclature import label

    shape, dims = inputs.axes.shape, inputs.axes.names

    def told(name: str) -> Array:
        value = time[name].sum("operator") if "operator" in time[name].dims else time[name]
        return np.asarray(value.transpose(*dims))

    by_operator = "operator" in time.dims
    amounts = {name: values.sum(axis=0) for name, values in activity(inputs).items()}
    amounts["hbm"] = amounts["hbm"] + told("hbm_bytes") + (told("fetched_bytes") if by_operator else 0.0)
    amounts["link"] = told("link_bytes") if by_operator else _collective_bytes(inputs, chosen(policy))
    found = _of_step(inputs, amounts, _constants(inputs), told("step_time"))
    del found["scale"]
    data = {name: (dims, np.broadcast_to(values, shape)) for name, values in found.items()}
    coords = {**inputs.axes.workload, **inputs.axes.machine}
    return label(xr.Dataset(data, coords=coords))
