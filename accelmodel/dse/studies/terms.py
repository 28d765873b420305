"""What constants, axes and techniques are called, as an architect says it."""

from __future__ import annotations

#: constant → what it is, where its name alone does not say
WORDS = {
    "link.start_up": "start-up of a collective",
    "link.direct_start": "start-up of an all-reduce kernel of the engine",
    "link.ramp": "latency of a chunk of a collective",
    "link.own_copy": "copy of the own share in a collective",
    "link.rendezvous": "rendezvous of an all-to-all",
    "link.barrier": "barrier inside a two-shot all-reduce",
    "link.contention": "slowing of a link with each doubling of the group",
    "link.switch_share": "reachable share of reduction in the switch",
    "link.hop_latency": "latency of a hop between devices",
    "link.share": "reachable share of link bandwidth",
    "process.sram_area": "area of L2 per MB",
    "process.wafer_price": "price of a wafer",
    "bill.uncore_area": "area of the rest of the die",
    "bill.uncore_power": "power of the rest of the die",
    "bill.core_area": "area of a core",
    "bill.core_power": "power of a core",
    "bill.sram_power": "power of L2 per MB",
    "device.die_area": "published die area",
    "device.power": "published power",
    "device.launch_time": "launch of an operator",
    "device.hbm_share": "reachable share of HBM bandwidth",
    "device.hbm_bandwidth": "HBM bandwidth",
    "device.hbm_stacks": "HBM stacks",
    "device.l2_bandwidth": "L2 bandwidth",
    "device.l2_usable": "usable share of L2",
    "device.l2_ways": "associativity of L2 (ways)",
    "device.matrix_share": "reachable share of the matrix peak",
    "device.peak_16bit": "16-bit peak",
    "time.matmul": "time of matmuls",
    "time.attention": "time of attention",
    "time.memory-bound": "time of memory-bound operators",
    "time.collective": "time of collectives",
    "device.slice_clocks": "clocks that a slice of a tile costs",
    "device.split_time": "time to split a matmul",
    "device.fill_time": "time to fill the matmul pipeline",
    "device.exposed": "exposed share of a matmul's memory time",
    "device.scaling_time": "time to scale narrow weights",
    "device.convert_width": "weights widened per clock",
    "device.store_width": "bytes a core stores per clock",
    "device.softmax_width": "softmax width of a core",
    "device.attention_draw": "share of HBM bandwidth that attention draws",
    "device.attention_time": "fixed time of an attention kernel",
    "device.attention_tile_time": "time of an attention tile beside its operations",
    "device.combine_time": "time to combine split attention",
    "device.attention_fill": "fill of attention's pipeline",
    "device.attention_share": "share of the matrix rate that attention reaches",
    "device.widen_width": "keys and values widened per clock",
    "device.attention_reread": "keys read again for each query head",
    "device.hbm_reserved": "memory that driver and libraries keep",
    "device.vector_rate": "vector peak",
    "process.defect_density": "defect density of the process",
    "memory.area": "area of an HBM interface",
    "memory.price": "price of memory",
    "memory.power": "power of a stack of memory",
    "memory.edge": "die edge of an HBM interface",
    "memory.footprint": "footprint of an HBM stack",
    "phy.area": "area of a link",
    "phy.price": "price of a link",
    "phy.power": "power of a link",
    "phy.edge": "die edge of a link",
    "package.test_price": "price of testing",
    "package.interposer_price": "price of the interposer",
    "package.stack_yield": "yield of bonding an HBM stack",
    "package.die_yield": "yield of bonding a die",
    "site.host_price": "price of the host",
    "site.utilisation": "utilisation",
    "site.lifetime": "lifetime",
    "site.electricity_price": "price of electricity",
    "process.sram_fatal": "share of defects in SRAM that are fatal",
    "device.energy_flop_16bit": "energy of a 16-bit FLOP",
    "device.energy_flop_8bit": "energy of an 8-bit FLOP",
    "device.energy_l2": "energy of a byte of L2",
    "device.energy_hbm": "energy of a byte of HBM",
    "device.energy_link": "energy of a byte on the links",
    "device.energy_static": "power at rest",
    "device.tile_m": "tile height",
    "device.tile_n": "tile width",
    "device.tile_k": "tile depth",
}


#: part of a name → how it is written
_SPELLED = {"hbm": "HBM", "l2": "L2", "usd": "USD", "sram": "SRAM", "ttft": "TTFT", "tpot": "TPOT"}


def spelled(name: str) -> str:
    """Return a name of a field as words.

    Examples
    --------
    >>> spelled("l2_prefetch_time")
    'L2 prefetch time'
    """
    return " ".join(_SPELLED.get(part, part) for part in name.split("_"))


def words(constant: str) -> str:
    """Return a constant, given as part.field, in words.

    Examples
    --------
    >>> words("link.start_up"), words("site.host_power")
    ('start-up of a collective', 'host power')
    """
    return WORDS.get(constant, spelled(constant.partition(".")[2]))


#: axis of a chip → what it is called, where its name alone does not say
_AXES = {"l2_capacity": "L2", "hbm_stacks": "number of HBM stacks", "link_bandwidth": "bandwidth of a link"}
#: technique → how one speaks of what runs under it
_TECHNIQUES = {"none": "without prefetch", "preserve": "with prefetch", "fused": "with fused kernels"}


def axis_words(axis: str) -> str:
    """Return an axis of a chip in words.

    Examples
    --------
    >>> axis_words("l2_capacity"), axis_words("hbm_bandwidth")
    ('L2', 'HBM bandwidth')
    """
    return _AXES.get(axis, spelled(axis))


def technique_words(technique: str) -> str:
    """Return how one speaks of what runs under a technique.

    Examples
    --------
    >>> technique_words("preserve"), technique_words("overlap")
    ('with prefetch', 'with overlap')
    """
    return _TECHNIQUES.get(technique, f"with {technique}")
