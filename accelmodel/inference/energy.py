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
from accelmodel.laws.energy import attention_l2_bytes, matmul_l2_bytes, step_joules, tiles_of, under_limit
from accelmodel.laws.numeric import Array, Number
from accelmodel.laws.types import ATTENTION, CHAIN, COLLECTIVE, DETAIL, ELEMENTWISE, MATMUL, RECURRENCE, Operator
from accelmodel.specs.hardware import Device
from accelmodel.specs.memories import none
from accelmodel.units import show

if TYPE_CHECKING:
    import xarray as xr

#: what takes energy on the chip, which a lower voltage saves, and beyond it: names of fields of ``Energy``
ON_CHIP = ("flop_16bit", "flop_8bit", "flop_4bit", "vector", "l2")
BEYOND = ("hbm", "link")
_RANGED = (*ON_CHIP, *BEYOND, "static")
#: of the limit, the most that the upper end of what a device draws at rest is taken for
_MOST_STATIC = 0.9
_LINK_BYTES = DETAIL.index("link_bytes")


def energy_numbers(device: Device) -> list[Number]:
    """Return the numbers of a device that only its energy asks for, whose axes an answer has too."""
    return [device.power, *(getattr(device.energy, name) for name in _RANGED)]


def _of_device(inputs: Inputs, value: Number) -> Array:
    """Return a number of the device over the axes, of length 1 where it does not vary."""
    return spread(value, {**inputs.axes.workload, **inputs.axes.machine})


def _beside_memory(inputs: Inputs, of: dict[str, Array]) -> Array:
    """Return where attention is computed beside a second memory (operator, *axes), whose own power is not known."""
    tier = inputs.cluster.device.tier
    if tier.holds != "kv" or none(tier.compute):
        return np.zeros(of["kind"].shape, dtype=bool)
    return (of["kind"] == ATTENTION) & (tiles_of(of["m"], _of_device(inputs, inputs.cluster.device.matmul.tile_m)) <= 1)


def _l2_bytes(inputs: Inputs, of: dict[str, Array]) -> Array:
    """Return bytes that cross between L2 and cores in each invocation (operator, *axes)."""
    matmul = inputs.cluster.device.matmul
    tiles = tuple(_of_device(inputs, each) for each in (matmul.tile_m, matmul.tile_n, matmul.multicast))
    kind = of["kind"]
    read, kept, written = of["input_bytes"], of["weight_bytes"], of["output_bytes"]
    moved = read + kept + written + (kind == RECURRENCE) * of["message_bytes"]
    moved = np.where(kind == MATMUL, matmul_l2_bytes(of["m"], of["n"], read, kept, written, tiles), moved)
    down = tiles_of(of["m"], tiles[0])
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
    matrix = count * np.where((kind == ELEMENTWISE) | (kind >= COLLECTIVE) | apart, 0.0, matrix)
    elsewhere = np.where(apart, of["weight_bytes"], 0.0)
    return {
        "flop_16bit": matrix * (bits > 8.0),
        "flop_8bit": matrix * ((bits > 4.0) & (bits <= 8.0)),
        "flop_4bit": matrix * (bits <= 4.0),
        "vector": count * np.where(apart, 0.0, of["vector_ops"]),
        "l2": count * (_l2_bytes(inputs, of) - elsewhere),
        "hbm": count * -elsewhere,
    }


def constants(inputs: Inputs) -> dict[str, Array]:
    """Return the constants of the device over the axes; raise SpecError where it draws its limit at rest."""
    device = inputs.cluster.device
    energy = device.energy
    found = {name: _of_device(inputs, getattr(energy, name)) for name in _RANGED}
    found["power"] = _of_device(inputs, device.power)
    if none(device.hbm.capacity):  # what lies in SRAM is counted as bytes of L2
        found["hbm"] = found["hbm"] * 0.0
    limit, static = np.broadcast_arrays(found["power"], found["static"])
    if ((limit > 0.0) & (static >= limit)).any():
        at = int(np.argmax((limit > 0.0) & (static >= limit)))
        raise SpecError(
            f"power {show(float(limit.flat[at]), 'W')} is not above energy.static "
            f"{show(float(static.flat[at]), 'W')}, which {device.name} draws at rest; raise power or lower it"
        )
    return found


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
    return (detail[_LINK_BYTES] * counts).sum(axis=0).reshape(inputs.axes.shape)


def _split(amounts: Mapping[str, Array], rates: Mapping[str, Array]) -> tuple[Array, Array]:
    """Return the energy of some work on the chip and beyond it [J], of its operators or of all together."""
    on_chip, beyond = (sum(amounts[name] * rates[name] for name in names) for names in (ON_CHIP, BEYOND))
    return np.asarray(on_chip), np.asarray(beyond)


def _whole(amounts: Mapping[str, Array], rates: Mapping[str, Array], time: Array) -> dict[str, Array]:
    """Return what a step takes under the power limit, and by what its parts change with the clock."""
    on_chip, beyond = _split(amounts, rates)
    scale, longer = under_limit(on_chip, beyond, rates["static"], time, rates["power"])
    energy = step_joules(on_chip * scale, beyond, rates["static"], time * longer)
    return {"step_energy": energy, "power": energy / (time * longer), "power_stretch": longer, "scale": scale}


def _ends(device: Device, rates: Mapping[str, Array]) -> list[dict[str, Array]]:
    """Return the constants at the lower and at the upper ends of their ranges, all at once."""
    found = []
    for end in (0, 1):
        ranges = {name: device.facts[f"energy.{name}"].range for name in _RANGED if f"energy.{name}" in device.facts}
        numbers = {name: np.asarray(range_[end]) for name, range_ in ranges.items() if range_}
        at_end = {**rates, **{name: value for name, value in numbers.items() if (rates[name] > 0.0).any()}}
        most = np.where(rates["power"] > 0.0, rates["power"] * _MOST_STATIC, np.inf)
        found.append({**at_end, "static": np.minimum(at_end["static"], np.maximum(most, rates["static"]))})
    return found


def of_step(inputs: Inputs, amounts: Mapping[str, Array], time: Array) -> dict[str, Array]:
    """Return what a whole step takes, of amounts of work that are summed over its operators.

    Parameters
    ----------
    inputs : Inputs
    amounts : mapping
        Operations and bytes by the fields of ``Energy`` [FLOP, B].
    time : ndarray
        Of the step at full clock (*axes) [s].

    Returns
    -------
    dict
        As ``step_energy``, and ``scale``: what the lower voltage leaves of the energy on the chip [1].
    """
    rates = constants(inputs)
    found = _whole(amounts, rates, time)
    low, high = (_whole(amounts, each, time)["step_energy"] for each in _ends(inputs.cluster.device, rates))
    energy = found["step_energy"]
    found |= {"step_energy_lower": np.minimum(low, energy), "step_energy_upper": np.maximum(high, energy)}
    return {**found, "joules_per_token": joules_per_token(inputs, energy)}


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
    rates = constants(inputs)
    amounts = activity(inputs)
    amounts["hbm"] = amounts["hbm"] + found["hbm_bytes"] + found["fetched_bytes"]
    amounts["link"] = found["link_bytes"]
    whole = of_step(inputs, {name: values.sum(axis=0) for name, values in amounts.items()}, step_time)
    on_chip, beyond = _split(amounts, rates)
    longer = found["time"] * whole["power_stretch"]
    return {**whole, "energy": step_joules(on_chip * whole["scale"], beyond, rates["static"], longer)}


def joules_per_token(inputs: Inputs, energy: Array) -> Array:
    """Return the energy of a token that the step yields, of all devices that it uses [J/token].

    Each of them takes what the busiest does; others of the cluster are not counted.
    """
    work = inputs.work
    devices, tokens = work.tp * work.pp * work.dp, work.batch * tokens_yielded(work)
    return energy * _of_device(inputs, devices / tokens)


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
        Over the axes: ``step_energy`` of one device [J], its mean ``power`` [W], never above the device's limit;
        ``step_energy_lower`` and ``step_energy_upper``, with all constants at the ends of their ranges [J]; ``joules_per_token``
        of all devices that the step uses, together [J/token]; ``power_stretch``: how many times as long the step lasts
        where the clock falls to keep to the limit [1], 1 where it does not.

    Raises
    ------
    SpecError
        If the device draws its power limit at rest.

    Examples
    --------
    >>> from accelmodel.inference.step import prepare, totals
    >>> from accelmodel.specs.given import cluster, workload
    >>> from accelmodel.specs.load import load
    >>> inputs = prepare(load("model", "llama-3-8b"), cluster("h100-sxm"), workload(phase="decode", batch=8))
    >>> found = step_energy(inputs, "none", totals(inputs))
    >>> bool(found.power < 700.0), found.joules_per_token.attrs["units"]
    (True, 'J/token')
    """
    import xarray as xr

    from accelmodel.units import label

    shape, dims = inputs.axes.shape, inputs.axes.names

    def told(name: str) -> Array:
        value = time[name].sum("operator") if "operator" in time[name].dims else time[name]
        return np.asarray(value.transpose(*dims))

    by_operator = "operator" in time.dims
    amounts = {name: values.sum(axis=0) for name, values in activity(inputs).items()}
    amounts["hbm"] = amounts["hbm"] + told("hbm_bytes") + (told("fetched_bytes") if by_operator else 0.0)
    amounts["link"] = told("link_bytes") if by_operator else _collective_bytes(inputs, chosen(policy))
    found = of_step(inputs, amounts, told("step_time"))
    del found["scale"]
    data = {name: (dims, np.broadcast_to(values, shape)) for name, values in found.items()}
    coords = {**inputs.axes.workload, **inputs.axes.machine}
    return label(xr.Dataset(data, coords=coords))
