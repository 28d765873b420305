"""The words of the report of an exploration: what is written below each figure."""

from __future__ import annotations

from typing import Any

from accelmodel.dse.explore import Exploration
from accelmodel.dse.terms import words
from accelmodel.inference.request import BASELINE
from accelmodel.report import exploration_points
from accelmodel.report.exploration_figures import spoken
from accelmodel.units import show


def listed(names: list[str]) -> str:
    """Return names as a sentence lists them."""
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)


def caption_cost(exploration: Exploration, found: dict[str, Any]) -> str:
    """Return in words what L2 takes, and what the best chips cost."""
    areas, prices, dies = found["area"]["L2"], found["total_price"], found["price"]["Dies"]
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
    if found["closed"]:
        closed = listed([words(name) for name in found["closed"]])
        tail += f" At an end of the range of {closed} no chip keeps to the limits."
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
        f"Three constants are not public; {found['holding']} of {found['points']} combinations of them reproduce the "
        "published speed-up, L2 sizes and gain all at once. The number in a cell says for how many SRAM densities they "
        "do; the square marks the constants in use, so the further it is from empty cells the firmer the answer."
    )
