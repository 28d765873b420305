"""What more of each field of a machine is: an exponent that makes the machine better, or why it is neither."""

from __future__ import annotations

from builders import changed

from accelmodel.laws.types import Machine

#: field → +1 where more is better, -1 where less is
BETTER = {
    **dict.fromkeys(
        (
            "rate_16bit", "rate_8bit", "rate_6bit", "rate_4bit", "rate_8bit_int", "rate_4bit_int", "convert_rate",
            "vector_rate", "multicast", "store_rate", "hbm_rate", "l2_rate", "l2_bytes", "link_rate", "direct_share",
            "direct_limit", "in_switch", "prefetch_share", "out_rate", "softmax_rate", "attention_draw",
            "attention_share", "attention_widen_rate", "expert_share",
        ),
        1.0,
    ),
    **dict.fromkeys(
        (
            "slice_time", "split_time", "fill_time", "exposed", "scaling_time", "l2_copies", "launch", "contention",
            "hop", "start_up", "direct_start_up", "ramp", "own_copy", "rendezvous", "barrier", "out_hop",
            "exchange_start", "exchange_cores", "prefetch_start",
            "attention_time", "attention_tile_time", "combine_time", "attention_fill", "gather_time",
            "sweep_time", "row_time",
            "group_fill", "expert_start", "expert_tile_time",
        ),
        -1.0,
    ),
}  # fmt: skip
#: what comes with another: a core brings its ports and its vector unit, a clock drives all that is on the chip
TOGETHER = {
    "cores": ("cores", "l2_rate", "store_rate", "vector_rate"),
    "clock": (
        "rate_16bit",
        "rate_8bit",
        "rate_6bit",
        "rate_4bit",
        "rate_8bit_int",
        "rate_4bit_int",
        "convert_rate",
        "vector_rate",
        "slice_time",
        "store_rate",
        "softmax_rate",
        "sweep_time",
        "row_time",
        "attention_widen_rate",
    ),
}
#: field → why more of it is neither better nor worse
NEITHER = {
    "cores": "alone it thins the L2 rate of each",
    "tile_m": "a larger tile reuses more and wastes more",
    "tile_n": "as tile_m",
    "tile_least": "as tile_m",
    "tile_k": "as tile_m",
    "l2_ways": "sharper: keeps more of what fits, less of what does not",
    "node": "in a mesh the links are shared among more",
    "mesh": "a topology",
    "rows_held": "more rows at work push one another out of L2",
    "scan_time": "0 says that no kernel does it, more that one does",
    **dict.fromkeys(("ring", "tree", "one_shot", "two_shot", "direct"), "offered or not"),
}
#: fields that are at least, or at most, 1
AT_LEAST_ONE = {"l2_copies", "contention", "barrier"}
AT_MOST_ONE = {"prefetch_share", "direct_share", "in_switch", "attention_draw"}


def better(machine: Machine, resource: str, factor: float) -> Machine:
    """Return the machine with so much more of a resource."""
    found = {}
    for field in TOGETHER.get(resource, (resource,)):
        value = getattr(machine, field) * factor ** BETTER.get(field, 1.0)
        value = max(value, 1.0) if field in AT_LEAST_ONE else value
        found[field] = min(value, 1.0) if field in AT_MOST_ONE else value
    return changed(machine, **found)
