"""The words of the report of an exploration: what constants are called, and what is written below each figure."""

from __future__ import annotations

from typing import Any

from accelmodel.dse.explore import Exploration
from accelmodel.inference.request import BASELINE
from accelmodel.report import exploration_points
from accelmodel.report.exploration_figures import spoken
from accelmodel.units import show

#: constant → what it is, where its name alone does not say
WORDS = {
    "link.start_up": "start-up of a collective", "link.direct_start": "start-up of an all-reduce kernel of the engine",
    "link.ramp": "latency of a chunk of a collective", "link.own_copy": "copy of the own share in a collective",
    "link.rendezvous": "rendezvous of an all-to-all", "link.barrier": "barrier inside a two-shot all-reduce",
    "link.contention": "slowing of a link with each doubling of the group",
    "link.switch_share": "reachable share of reduction in the switch",
    "link.hop_latency": "latency of a hop between devices",
    "link.share": "reachable share of link bandwidth", "process.sram_area": "area of L2 per MB",
    "process.wafer_price": "price of a wafer", "bill.uncore_area": "area of the rest of the die",
    "bill.uncore_power": "power of the rest of the die", "bill.core_area": "area of a core",
    "bill.core_power": "power of a core", "bill.link_area": "area of a link",
    "bill.hbm_stack_area": "area of an HBM interface", "bill.sram_power": "power of L2 per MB",
    "bill.hbm_price": "HBM price", "bill.hbm_stack_power": "power of an HBM stack",
    "bill.hbm_stack_capacity": "capacity of an HBM stack", "bill.hbm_stack_bandwidth": "bandwidth of an HBM stack",
    "device.die_area": "published die area", "device.power": "published power",
    "device.launch_time": "launch of an operator", "device.hbm_share": "reachable share of HBM bandwidth",
    "device.hbm_bandwidth": "HBM bandwidth", "device.hbm_stacks": "HBM stacks", "device.l2_bandwidth": "L2 bandwidth",
    "device.l2_usable": "usable share of L2", "device.l2_ways": "associativity of L2 (ways)",
    "device.matrix_share": "reachable share of the matrix peak", "device.peak_16bit": "16-bit peak",
    "time.matmul": "time of matmuls", "time.attention": "time of attention",
    "time.memory-bound": "time of memory-bound operators", "time.collective": "time of collectives",
    "device.tile_m": "tile height", "device.tile_n": "tile width", "device.tile_k": "tile depth",
}  # fmt: skip


def words(constant: str) -> str:
    """Return a constant, given as part.field, in words.

    Examples
    --------
    >>> words("link.start_up"), words("bill.test_price")
    ('start-up of a collective', 'test price')
    """
    return WORDS.get(constant, constant.partition(".")[2].replace("_", " "))


def listed(names: list[str]) -> str:
    """Return names as a sentence lists them."""
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)


def caption_cost(exploration: Exploration, found: dict[str, Any]) -> str:
    """Return in words what L2 takes, and what the best chips cost."""
    areas, prices, dies = found["area"]["L2"], found["total_price"], found["price"]["Die"]
    # of each technique the chip of the whole space stands behind that of L2 alone
    place = {technique: at for at, (_, technique, _) in enumerate(found["chips"])}
    plain, best = place[BASELINE], place[exploration.study.candidate]
    return (
        f"L2 takes {areas[plain]:.0f} mm² of the best chip {spoken(BASELINE)} and {areas[best]:.0f} mm² of the best "
        f"one {spoken(exploration.study.candidate)}. The price of a device goes from {prices[plain]:,.0f} to "
        f"{prices[best]:,.0f} USD, of which the die is {dies[best]:,.0f}."
    )


def caption_sensitivity(exploration: Exploration, found: dict[str, Any]) -> str:
    """Return in words what a bar is, and which constants move nothing."""
    still = listed(sorted({words(name) for name in found["still"]}))
    tail = f" Left out for space: {listed([words(name) for name in found['left_out']])}." if found["left_out"] else ""
    none = (
        f"{len(found['still'])} more constants move neither the best L2 nor the gain "
        f"(by {exploration_points.STILL:g}× or more) "
        f"anywhere in their ranges: {still}."
    )
    return (
        "Each bar shows where the answer goes when one constant takes the ends of its range and the others stay; "
        f"the line is the answer as given, {found['base']['l2']:.4g} MB and {found['base']['gain']:.2f}×. "
        + (none if found["still"] else "Every uncertain constant moves the answer.")
        + tail
    )


def caption_speedup(exploration: Exploration, found: dict[str, Any]) -> str:
    """Return in words where the candidate helps most."""
    grid = next(iter(found["grids"].values()))
    cells = zip(found["batch"], grid, strict=True)
    top = max((x or 0.0, batch, n) for batch, row in cells for x, n in zip(row, found["context"], strict=True))
    blank = (
        f"{found['blank']} combinations do not fit the memory and are blank."
        if found["blank"]
        else "Everything fits the memory, so no cell is blank."
    )
    candidate = exploration.study.candidate
    fades = ""
    if candidate == "preserve":
        fades = ", and fades where the KV cache outgrows L2 or the collectives leave too little time"
    return (
        f"How much faster a whole request gets {spoken(candidate)} on {found['chip']}, {found['tp']} devices; the menu "
        f"shows each model. It is largest, {top[0]:.2f}×, at batch {top[1]} and {top[2]:,} tokens{fades}. {blank}"
    )


def caption_timeline(exploration: Exploration, found: dict[str, Any]) -> str:
    """Return in words what a layer takes with each technique."""
    total = found["total"]
    lane = "While a collective runs, the prefetch lane fetches what the operators after it will read. "
    others = [f"{total[name]:.0f} µs {spoken(name)}" for name in total if name != BASELINE]
    return (
        f"One layer of a decode step of {found['model']} (batch {found['batch']}, {found['context']:,} tokens, "
        f"{found['tp']} devices, {show(found['l2'], 'B')} of L2), all-reduces first. "
        f"{lane if found['prefetches'] else ''}The layer takes {listed(others)} instead of "
        f"{total[BASELINE]:.0f} µs; point at a narrow bar to read its name."
    )


def caption_occupancy(exploration: Exploration, found: dict[str, Any]) -> str:
    """Return in words how much waits in L2."""
    most = max(max(line["waiting"]) for line in found["lines"].values())
    return (
        "The same layer: prefetched bytes pile up during a collective and are used up by the operators behind it. "
        f"At most {most:.0f} MB wait at once, below the {found['usable']:.0f} MB that stay usable."
    )


def caption_curve(exploration: Exploration, found: dict[str, Any]) -> str:
    """Return in words what the lines are."""
    pays = ""
    if "preserve" in exploration.study.techniques:
        pays = "Without prefetching, more L2 mostly costs area; with it, L2 pays until what is worth prefetching fits. "
    return (
        f"{pays}Dots mark the best sizes. The solid lines are the best of all chips with that L2, the dashed the "
        "reference chip with nothing but its L2 changed."
    )


def caption_pareto(exploration: Exploration, found: dict[str, Any]) -> str:
    """Return in words what the fronts are."""
    return (
        "Each dot is a chip that no other beats on both area and throughput; point at it to see its parts. Where the "
        "line of a technique lies above the grey one, it gives more throughput from the same area; stars mark the "
        "best chips by the study's objective."
    )


def caption_region(exploration: Exploration, found: dict[str, Any]) -> str:
    """Return in words how many sets of constants reproduce the claims."""
    return (
        "Two constants are not public, and a third, the density of SRAM, is that of another maker's cache dies; "
        f"{found['holding']} of {found['points']} combinations of them reproduce the largest and smallest published "
        "speed-up, both L2 sizes and the gain all at once. The number in a cell says for how many SRAM densities they "
        "do; the square marks the constants in use, so the further it is from empty cells the firmer the answer."
    )
