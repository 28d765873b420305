"""A cluster as the vector of numbers that laws read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from accelmodel.laws.elementwise import PARTS, ROW_WIDTH, SWEEP
from accelmodel.laws.numeric import Number, has_axes, least, most
from accelmodel.laws.types import ALGORITHMS
from accelmodel.specs.base import field_units, value_of, with_values
from accelmodel.specs.hardware import Cluster, Device
from accelmodel.specs.link import Link
from accelmodel.specs.memories import Tier, none

if TYPE_CHECKING:
    import xarray as xr

_PARTS = ("device", "link", "scale_out")
#: cores over those at work where plain split-K gives each tile to as many as go into their number: between 1 and 2, the
#: geometric mean
UNBALANCED = 2.0**0.5


def varied(cluster: Cluster) -> dict[str, xr.DataArray]:
    """Return the fields of a cluster's parts that lie along axes, by dotted name."""
    found = {}
    for part in _PARTS:
        spec = getattr(cluster, part)
        for name in field_units(type(spec)):
            value = value_of(spec, name)
            if has_axes(value):
                found[f"{part}.{name}"] = value
    return found


def with_numbers(cluster: Cluster, values: Mapping[str, Any]) -> Cluster:
    """Return the cluster with other numbers in its parts, by dotted name: numbers, DataArrays or plain arrays."""
    found = {part: getattr(cluster, part) for part in _PARTS}
    for name, value in values.items():
        part, _, field = name.partition(".")
        found[part] = with_values(found[part], {field: value})
    return with_values(cluster, found)


def _crossing(device: Device, copies: Number) -> Number:
    """Return the rate at which all cores together can be fed where ``copies`` dies hold each byte [B/s].

    Of what a die reads of data that lie evenly over all, ``1 - copies / dies`` comes in through its own links.
    """
    joint, dies = device.die_to_die, device.dies
    if none(joint.bandwidth):
        return math.inf
    # where each die holds all, nothing crosses: a rate beyond any other
    return joint.bandwidth * dies * dies / (joint.interleaved * most(dies - copies, 1e-9))


def _second_memory(tier: Tier, hbm_rate: Number) -> dict[str, Number]:
    """Return how much longer a byte of each class takes where it lies than from HBM, and what computes there."""
    found: dict[str, Number] = {"weight_excess": 0.0, "expert_excess": 0.0, "kv_excess": 0.0, "near_flop_time": 0.0}
    if not tier.holds:
        return found
    excess = hbm_rate / tier.bandwidth - 1.0
    held = {"kv": ("kv_excess",), "weights": ("weight_excess", "expert_excess"), "experts": ("expert_excess",)}
    found |= dict.fromkeys(held[tier.holds], excess)
    return found if none(tier.compute) else {**found, "near_flop_time": 1.0 / tier.compute}


def _called(link: Link, device: Device, offered: Mapping[str, float]) -> dict[str, Number]:
    """Return what a collective takes before it moves anything [s], by who calls it and how, and what he offers."""
    host = link.eager_start if link.launch == "eager" else 0.0
    # where a switch adds up, all devices see one memory: the message is copied to it by a kernel before
    copied = link.by == "symmetric-memory" and offered["in_switch"] > 0.0
    own = float(link.by != "library")
    return {
        "start_up": link.start_up + host,
        "direct_start_up": link.start_up * link.direct_start + copied * device.compute.launch_time + host,
        **{name: own * offered[name] for name in ("one_shot", "two_shot")},
        "multimem": max(own * offered["multimem"], float(copied)) * link.switch_share,
    }


def _rows(device: Device) -> dict[str, Number]:
    """Return what cores draw that work row by row: as many rows at a time as their width takes, a part of it at least.

    What rows draw together is held down by L2: where a core is wide, each draws more than its share.
    """
    compute, width = device.compute, device.rows.width
    alone = most(least(ROW_WIDTH, width), width / PARTS)
    return {
        "sweep_time": SWEEP / compute.clock,
        "row_time": 1.0 / (alone * compute.clock),
        "rows_held": most(width / ROW_WIDTH, 1.0) * compute.cores,
    }


def machine(cluster: Cluster) -> dict[str, Number]:
    """Return the fields of ``laws.types.Machine`` for a cluster; each a float or a DataArray."""
    device, link, out = cluster.device, cluster.link, cluster.scale_out
    compute = device.compute
    matmul = device.matmul
    attention = device.attention
    l2 = device.l2
    memory = device.memory
    hbm_rate = least(memory.bandwidth * memory.share, _crossing(device, 1.0))
    per_core = compute.matrix_share / compute.cores
    # what is not offered is worked on at the next wider that is (``specs.formats``)
    peak_8bit = most(compute.peak_8bit_float, compute.peak_16bit)
    peak_8bit_int = most(compute.peak_8bit_int, compute.peak_16bit)
    peak_6bit = most(compute.peak_6bit, peak_8bit)
    offered = {name.replace("-", "_"): float(name in link.algorithms) for name in ALGORITHMS}
    between = {name: float(name in out.algorithms) for name in ("ring", "tree", "hierarchical")}
    return {
        "cores": compute.cores,
        "rate_16bit": compute.peak_16bit * per_core,
        "rate_8bit": peak_8bit * per_core,
        "rate_6bit": peak_6bit * per_core,
        "rate_4bit": most(compute.peak_4bit, peak_6bit) * per_core,
        "rate_8bit_int": peak_8bit_int * per_core,
        "rate_4bit_int": most(compute.peak_4bit_int, peak_8bit_int) * per_core,
        "vector_rate": compute.vector_rate,
        "tile_m": matmul.tile_m,
        "tile_n": matmul.tile_n,
        "tile_least": matmul.tile_least,
        "tile_k": matmul.tile_k,
        "multicast": matmul.multicast,
        "slice_time": matmul.slice_clocks / compute.clock,
        "store_rate": matmul.store_width * compute.clock * compute.cores,
        "split_time": matmul.split_time,
        "fill_time": matmul.fill_time,
        "exposed": matmul.exposed,
        "scaling_time": matmul.scaling_time,
        "convert_rate": matmul.convert_width * compute.clock,
        "min_rows": matmul.min_rows,
        "split_loss": UNBALANCED - (UNBALANCED - 1.0) * matmul.balanced,
        "hbm_rate": hbm_rate,
        **_second_memory(device.tier, hbm_rate),
        "l2_rate": least(l2.rate, _crossing(device, l2.copies)),
        "l2_bytes": l2.capacity * l2.usable,
        "l2_ways": l2.ways,
        "l2_copies": l2.copies,
        "launch": compute.launch_time + device.die_to_die.latency,
        "node": link.devices,
        "mesh": float(link.topology == "mesh"),
        "link_rate": link.bandwidth * link.share / link.oversubscription,
        "contention": link.contention,
        "hop": link.hop_latency,
        "ramp": link.ramp,
        "own_copy": link.own_copy,
        "rendezvous": link.rendezvous,
        "barrier": link.barrier,
        "direct_share": link.direct_share,
        "direct_limit": link.direct_limit,
        **offered,
        **_called(link, device, offered),
        "in_switch": offered["in_switch"] * link.switch_share,
        "out_rate": out.bandwidth * out.share / out.oversubscription,
        "out_hop": out.hop_latency,
        "softmax_rate": attention.softmax_width * compute.clock,
        "attention_time": attention.time,
        "attention_tile_time": attention.tile_time,
        "attention_draw": attention.draw,
        "combine_time": attention.combine_time,
        "attention_fill": attention.fill,
        "attention_rows": attention.tile_m + (attention.tile_m == 0.0) * matmul.tile_m,
        "attention_share": attention.share,
        "attention_split": attention.split,
        "attention_narrow": attention.narrow,
        "attention_apart": attention.apart,
        "attention_widen_rate": (attention.widen_width + (attention.widen_width == 0.0) * matmul.convert_width)
        * compute.clock
        * compute.cores,
        "attention_reread": attention.reread,
        "exchange_start": link.exchange_start + (link.exchange_start == 0.0) * link.start_up,
        "exchange_cores": least(link.exchange_cores / compute.cores, 1.0),
        "gather_time": attention.gather_time,
        "scan_time": attention.scan_time,
        "hierarchical": max(offered["hierarchical"], between["hierarchical"]),
        "out_ring": between["ring"],
        "out_tree": between["tree"],
        "out_start": out.start_up + (link.eager_start if link.launch == "eager" else 0.0),
        **_rows(device),
        "prefetch_start": l2.prefetch_time,
        "prefetch_share": l2.prefetched(hbm_rate) / hbm_rate,
        "group_fill": most(matmul.fill_time, matmul.group_fill),
        "expert_start": matmul.expert_start,
        "expert_tile_time": matmul.expert_tile_time,
        "expert_share": matmul.expert_share,
        "crowding": compute.cores / most(compute.cores - link.cores_taken, 1.0),
    }
