"""A cluster as the vector of numbers that laws read."""

from __future__ import annotations

import numpy as np

from accelmodel.laws.types import ALGORITHMS
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.quantities import Number


def machine(cluster: Cluster) -> dict[str, Number]:
    """Return the fields of ``laws.types.Machine`` for a cluster; each a float or a DataArray."""
    device, link, out = cluster.device, cluster.link, cluster.scale_out
    per_core = device.matrix_share / device.cores
    peak_8bit = np.maximum(np.maximum(device.peak_8bit_float, device.peak_8bit_int), device.peak_16bit)
    offered = {name.replace("-", "_"): float(name in link.algorithms) for name in ALGORITHMS}
    return {
        "cores": device.cores,
        "rate_16bit": device.peak_16bit * per_core,
        "rate_8bit": peak_8bit * per_core,
        "rate_4bit": np.maximum(device.peak_4bit, peak_8bit) * per_core,
        "vector_rate": device.vector_rate,
        "tile_m": device.tile_m,
        "tile_n": device.tile_n,
        "tile_least": device.tile_least,
        "tile_k": device.tile_k,
        "multicast": device.multicast,
        "slice_time": device.slice_clocks / device.clock,
        "store_rate": device.store_width * device.clock * device.cores,
        "split_time": device.split_time,
        "fill_time": device.fill_time,
        "exposed": device.exposed,
        "scaling_time": device.scaling_time,
        "hbm_rate": device.hbm_bandwidth * device.hbm_share,
        "l2_rate": device.l2_bandwidth,
        "l2_bytes": device.l2_capacity * device.l2_usable,
        "l2_ways": device.l2_ways,
        "l2_copies": device.l2_copies,
        "launch": device.launch_time,
        "node": link.devices,
        "mesh": float(link.topology == "mesh"),
        "link_rate": link.bandwidth * link.share,
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
        "out_rate": out.bandwidth * out.share,
        "out_hop": out.hop_latency,
        "softmax_rate": device.softmax_width * device.clock,
        "attention_time": device.attention_time,
        "attention_tile_time": device.attention_tile_time,
        "attention_draw": device.attention_draw,
        "combine_time": device.combine_time,
        "attention_fill": device.attention_fill,
    }
