"""What more of each number of a device or a link is: better, worse, or neither and why."""

from __future__ import annotations

import math
from typing import Any

from accelmodel.specs.base import field_types, value_of
from accelmodel.specs.hardware import Cluster, Device
from accelmodel.specs.link import Link
from accelmodel.specs.quantities import Quantity

#: part of a cluster → what it is
PARTS: dict[str, type] = {"device": Device, "link": Link, "scale_out": Link}

#: field of a device → +1 where more of it never slows a step, -1 where less of it never does
OF_DEVICE = {
    **dict.fromkeys(
        (
            "compute.clock", "compute.peak_16bit", "compute.peak_8bit_float", "compute.peak_8bit_int",
            "compute.peak_6bit", "compute.peak_4bit", "compute.peak_4bit_int", "compute.vector_rate",
            "compute.matrix_share", "matmul.multicast", "matmul.store_width", "matmul.convert_width", "matmul.balanced",
            "matmul.expert_share", "attention.softmax_width", "attention.draw", "attention.share", "hbm.bandwidth",
            "hbm.capacity", "hbm.share", "l2.capacity", "l2.bandwidth", "l2.usable", "l2.slice_bandwidth",
            "l2.prefetch_bandwidth", "die_to_die.bandwidth", "tier.capacity", "tier.bandwidth", "tier.compute",
        ),
        1.0,
    ),
    **dict.fromkeys(
        (
            "compute.launch_time", "matmul.slice_clocks", "matmul.split_time", "matmul.fill_time", "matmul.exposed",
            "matmul.scaling_time", "matmul.group_fill", "matmul.expert_start", "matmul.expert_tile_time",
            "attention.time", "attention.tile_time", "attention.combine_time", "attention.fill",
            "attention.gather_time", "hbm.reserved", "l2.slice_capacity", "l2.prefetch_time", "die_to_die.latency",
            "die_to_die.interleaved",
        ),
        -1.0,
    ),
}  # fmt: skip
#: field of a link → the same
OF_LINK = {
    **dict.fromkeys(("bandwidth", "share", "direct_share", "direct_limit", "switch_share"), 1.0),
    **dict.fromkeys(
        (
            "hop_latency", "start_up", "direct_start", "barrier", "contention", "ramp", "own_copy", "rendezvous",
            "exchange_start", "eager_start", "exchange_cores", "oversubscription", "cores_taken",
        ),
        -1.0,
    ),
}  # fmt: skip
#: field → why more of it is neither better nor worse
NEITHER = {
    "compute.cores": "more groups at work push one another's keys out of L2, and kernels leave none idle",
    "matmul.tile_m": "a larger tile reuses more and wastes more",
    "matmul.tile_n": "as tile_m",
    "matmul.tile_k": "as tile_m",
    "matmul.tile_least": "as tile_m",
    "matmul.min_rows": "padded rows lengthen tiles, and may leave fewer of them",
    "attention.tile_m": "as that of matmuls",
    "attention.split": "a choice of the kernel",
    "attention.narrow": "as split",
    "attention.apart": "as split",
    "attention.widen_width": "0 says that it is matmul.convert_width",
    "attention.reread": "as split",
    "attention.scan_time": "0 says that no kernel does it, more that one does",
    "rows.width": "more rows at work push one another out of L2",
    "hbm.stacks": "counted, and read by costs alone",
    "l2.ways": "sharper: keeps more of what fits, less of what does not",
    "l2.copies": "more hold less, and less of it crosses between dies",
    "dies": "more make more cross between them",
    "die_area": "read by costs alone",
    "power": "read by costs and energy alone",
    "price": "read by costs alone",
    **{name: "read by energy alone" for name in field_types(Device) if name.startswith("energy.")},
    "links": "of a mesh each pair has its own",
    "devices": "of a mesh the links are shared among more",
    "fused_norm": "a choice of the software",
}
#: fields that are taken to be at least 1, whatever their bounds
_AT_LEAST_ONE = ("barrier", "contention", "direct_limit")


def resources(cluster: Cluster) -> dict[str, float]:
    """Return the resources that a cluster has, ``link.bandwidth``, with +1 where more is better and -1 where less is.

    What is 0 is not there.

    Examples
    --------
    >>> from accelmodel.specs.given import cluster
    >>> found = resources(cluster("h100-sxm"))
    >>> found["device.hbm.bandwidth"], found["link.start_up"], "device.tier.bandwidth" in found
    (1.0, -1.0, False)
    """
    found: dict[str, float] = {}
    for part, kind in PARTS.items():
        signs = OF_DEVICE if kind is Device else OF_LINK
        spec = getattr(cluster, part)
        found |= {f"{part}.{name}": sign for name, sign in signs.items() if value_of(spec, name)}
    return found


def more(cluster: Cluster, resource: str, factor: float) -> dict[str, float]:
    """Return the field of a cluster with so much more of a resource, within what it may hold.

    Examples
    --------
    >>> from accelmodel.specs.given import cluster
    >>> more(cluster("h100-sxm"), "device.hbm.share", 100.0)
    {'device.hbm.share': 1.0}
    """
    part, _, name = resource.partition(".")
    spec = getattr(cluster, part)
    sign = (OF_DEVICE if PARTS[part] is Device else OF_LINK)[name]
    return {resource: _bounded(type(spec), name, value_of(spec, name), factor**sign)}


def _bounded(kind: Any, name: str, value: float, times: float) -> float:
    """Return a value that is so many times as large, within the bounds of its field."""
    quantity = field_types(kind)[name].quantity or Quantity()
    low = -math.inf if quantity.ge is None else quantity.ge
    low = max(low, 1.0) if name in _AT_LEAST_ONE else low
    high = math.inf if quantity.le is None else quantity.le
    found = value * times
    if quantity.whole:
        found = float(math.ceil(found) if times > 1.0 else math.floor(found))
    found = min(max(found, low), high)
    return value if (found - value) * (times - 1.0) < 0.0 else found
