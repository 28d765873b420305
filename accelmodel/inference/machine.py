"""A cluster as the vector of numbers that laws read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from accelmodel.laws.numeric import Number, has_axes, most
from accelmodel.laws.types import ALGORITHMS
from accelmodel.specs.base import field_units, value_of, with_values
from accelmodel.specs.hardware import Cluster

if TYPE_CHECKING:
    import xarray as xr

_PARTS = ("device", "link", "scale_out")


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


def machine(cluster: Cluster) -> dict[str, Number]:
    """Return the fields of ``laws.types.Machine`` for a cluster; each a float or a DataArray."""
    device, link, out = cluster.device, cluster.link, cluster.scale_out
    compute = device.compute
    matmul = device.matmul
    attention = device.attention
    hbm = device.hbm
    l2 = device.l2
    per_core = compute.matrix_share / compute.cores
    peak_8bit = most(most(compute.peak_8bit_float, compute.peak_8bit_int), compute.peak_16bit)
    offered = {name.replace("-", "_"): float(name in link.algorithms) for name in ALGORITHMS}
    between = {name: float(name in out.algorithms) for name in ("ring", "tree", "hierarchical")}
    return {
        "cores": compute.cores,
        "rate_16bit": compute.peak_16bit * per_core,
        "rate_8bit": peak_8bit * per_core,
        "rate_4bit": most(compute.peak_4bit, peak_8bit) * per_core,
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
        "hbm_rate": hbm.bandwidth * hbm.share,
        "l2_rate": l2.bandwidth,
        "l2_bytes": l2.capacity * l2.usable,
        "l2_ways": l2.ways,
        "l2_copies": l2.copies,
        "launch": compute.launch_time,
        "node": link.devices,
        "mesh": float(link.topology == "mesh"),
        "link_rate": link.bandwidth * link.share / link.oversubscription,
        "contention": link.contention,
        "hop": link.hop_latency,
        "start_up": link.start_up,
        "direct_start_up": link.start_up * link.direct_start,
        "ramp": link.ramp,
        "own_copy": link.own_copy,
        "rendezvous": link.rendezvous,
        "barrier": link.barrier,
        "direct_share": link.direct_share,
        "direct_limit": link.direct_limit,
        **offered,
        "in_switch": offered["in_switch"] * link.switch_share,
        "out_rate": out.bandwidth * out.share / out.oversubscription,
        "out_hop": out.hop_latency,
        "softmax_rate": attention.softmax_width * compute.clock,
        "attention_time": attention.time,
        "attention_tile_time": attention.tile_time,
        "attention_draw": attention.draw,
        "combine_time": attention.combine_time,
        "attention_fill": attention.fill,
        "hierarchical": max(offered["hierarchical"], between["hierarchical"]),
        "out_ring": between["ring"],
        "out_tree": between["tree"],
        "out_start": out.start_up,
        "multimem": offered["multimem"] * link.switch_share,
        "crowding": compute.cores / most(compute.cores - link.cores_taken, 1.0),
    }
