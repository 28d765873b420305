"""The whole step in vectorised NumPy: what one would write without Numba, and a check of the kernel.

Written from the laws' definitions, not from the kernel's loops: windows are found first, all candidates of
a choice are stacked and the best is selected, and every quantity is an array over designs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from accelmodel.benchmarks.numpy_collectives import exchange, fused_with
from accelmodel.benchmarks.numpy_operators import Array, Ask, ask_for, attend, resident
from accelmodel.laws.prefetch import MOST_OF_L2, MOST_OPERANDS, PAYS, RULES
from accelmodel.laws.types import ATTENTION, COLLECTIVE, TOTALS, Machine, Operator, Policy

#: designs at a time: the temporaries of a row stay in the caches (1.7x faster than all at once)
CHUNK = 8192
#: row → time [s], bytes prefetched beside it and own HBM bytes [B]
Figures = dict[int, tuple[Array, ...]]


class Window(NamedTuple):
    """A collective, the operators up to the next one, and what may be prefetched for them."""

    opener: int
    members: range
    offered: list[int]  #: rows of which something may be prefetched


def windows(operators: list[Operator], policy: Policy) -> dict[int, Window]:
    """Return the windows of a step by their opening row."""
    found = {}
    for opener, op in enumerate(operators):
        if not (op.count and op.kind >= COLLECTIVE and op.ranks > 1.0):
            continue
        end = opener + 1
        while end < len(operators) and operators[end].count == op.count:
            if operators[end].kind >= COLLECTIVE and operators[end].ranks > 1.0:
                break
            end += 1
        members = range(opener + 1, end)
        offered = [row for row in members if operators[row].prefetch_bytes > 0.0]
        found[opener] = Window(opener, members, offered if policy.rule >= 0.0 else [])
    return found


def plans(offered: list[int], operators: list[Operator], cap: Array, rule: float) -> list[dict[int, Array]]:
    """Return the bytes [B] of each row in each plan that a rule weighs; what does not fit admits nothing."""
    sizes = {row: operators[row].prefetch_bytes for row in offered}
    if rule == RULES["partial"]:
        left, plan = cap, {}
        for row, size in sizes.items():
            plan[row] = np.minimum(size, left)
            left = left - plan[row]
        return [plan]
    by_size = sorted(offered, key=lambda row: -sizes[row])[: int(MOST_OPERANDS)]
    if rule == RULES["paper"]:
        sets = [set(offered[: count + 1]) for count in range(len(offered))]
    else:
        sets = [{row for place, row in enumerate(by_size) if bits >> place & 1} for bits in range(1, 1 << len(by_size))]
    found = []
    for each in sets:
        fits = sum(sizes[row] for row in each) <= cap
        found.append({row: np.where(fits, sizes[row] if row in each else 0.0, 0.0) for row in offered})
    return found


class Lane(NamedTuple):
    """The prefetch lane between two operators; outside every window it is empty."""

    granted: Mapping[int, Array] = MappingProxyType({})  #: bytes admitted of each row [B]
    admitted: Array = 0.0  #: of all rows of the window [B]
    fetched: Array = 0.0  #: how far the lane has come [B]
    position: Array = 0.0  #: where the next operator's bytes begin [B]
    touched: float = 0.0  #: by the main lane since the window began [B]


def beside(duration: Array, cold: Array, lane: Lane, position: Array, machine: Machine) -> Array:
    """Bytes [B] that the lane fetches beside an operator, with what that leaves over."""
    backlog = np.maximum(lane.admitted - np.maximum(lane.fetched, position), 0.0)
    spare = np.maximum(duration - cold / machine.hbm_rate, 0.0)
    return np.minimum(backlog, spare * machine.hbm_rate * machine.prefetch_share)


def streamed(ask: Ask, hot: Array, machine: Machine) -> Array:
    """Time of an operator of which ``hot`` bytes lie in L2 [s]."""
    memory = hot / machine.l2_rate + (ask.hbm - hot) / ask.rate
    body = np.maximum(ask.chip, memory) + ask.exposed * np.minimum(ask.chip, memory)
    return ask.stretch * (ask.launch + body)


def run_operator(row: int, op: Operator, cold_ask: Ask, machine: Machine, lane: Lane) -> tuple[Array, ...]:
    """Return time [s], bytes prefetched beside it and own HBM bytes [B] of an operator, and the lane after it."""
    ask, want = cold_ask, lane.granted.get(row, 0.0)
    hot: Array = op.warm * ask.hbm
    if row in lane.granted:
        waiting = np.minimum(np.maximum(lane.fetched - lane.position, 0.0), want)
        since = lane.touched + op.input_bytes + lane.admitted - lane.position
        hot = hot + waiting * resident(since, machine)
        if op.kind == ATTENTION:
            ask = attend(op, machine, hot / ask.hbm)._replace(stretch=op.stretch)
    cold, duration = ask.hbm - hot, streamed(ask, hot, machine)
    position = lane.position + want
    served = beside(duration, cold, lane, position, machine)
    touched = lane.touched + op.input_bytes + op.weight_bytes + op.output_bytes
    after = Lane(lane.granted, lane.admitted, np.maximum(lane.fetched, position) + served, position, touched)
    return duration, served, cold, after


def run_window(
    window: Window, operators: list[Operator], asks: Mapping[int, Ask], plan: Mapping[int, Array], machine: Machine
) -> Figures:
    """Return time [s], bytes prefetched and own HBM bytes [B] of each row by one plan."""
    op = operators[window.opener]
    buffers, time = 2.0 * op.message_bytes, asks[window.opener].launch
    own = buffers * (1.0 - resident(buffers, machine))
    lane = Lane(plan, sum(plan.values(), np.zeros_like(machine.cores)), touched=buffers)
    fetched = beside(time, own, lane, 0.0, machine)
    found: Figures = {window.opener: (time, fetched, own)}
    lane = lane._replace(fetched=fetched)
    for row in window.members:
        if operators[row].kind < COLLECTIVE:
            duration, served, cold, lane = run_operator(row, operators[row], asks[row], machine, lane)
            found[row] = (duration, served, cold)
    return found


def best_of(window: Window, operators: list[Operator], machine: Machine, policy: Policy) -> Figures:
    """Return the figures of each row of a window by the fastest of its plans, or by none."""
    op = operators[window.opener]
    asks = {row: ask_for(operators[row], machine) for row in window.members if operators[row].kind < COLLECTIVE}
    asks[window.opener] = Ask(0.0, 0.0, 0.0, op.stretch * sum(exchange(op, machine)))
    chosen = {row: np.zeros_like(machine.cores) for row in window.offered}
    found = run_window(window, operators, asks, {}, machine)
    if not window.offered:
        return found

    def spent(rows: Figures) -> Array:
        return sum(each[0] for row, each in rows.items() if window.opener < row <= window.offered[-1])

    best = spent(found)
    cap = np.minimum(policy.threshold, MOST_OF_L2) * machine.l2_bytes
    for plan in plans(window.offered, operators, cap, policy.rule):
        time = spent(run_window(window, operators, asks, plan, machine)) + machine.prefetch_start
        pays = time < best * (1.0 - PAYS)
        best = np.where(pays, time, best)
        chosen = {row: np.where(pays, plan[row], chosen[row]) for row in window.offered}
    found = run_window(window, operators, asks, chosen, machine)
    issued = sum(chosen.values()) > 0.0
    time, *rest = found[window.opener]
    return {**found, window.opener: (time + np.where(issued, machine.prefetch_start, 0.0), *rest)}


def fusion_gain(operators: list[Operator], times: dict[int, Array], machine: Machine) -> Array:
    """Time won by overlapping matmuls with the collective that reduces them [s]."""
    gain = np.zeros_like(machine.cores)
    for row, op in enumerate(operators):
        into = int(op.feeds)
        if into < 0 or op.count <= 0.0 or operators[into].ranks <= 1.0:
            continue
        reducer = operators[into]
        found = exchange(reducer, machine, times[row] / reducer.stretch)
        start, hops, wire = (reducer.stretch * part for part in found)
        together = fused_with(times[row], start, hops, wire)
        gain += op.count * (times[row] + times.get(into, 0.0) - together)
    return gain


def step(operators: list[Operator], opened: dict[int, Window], machine: Machine, policy: Policy) -> Array:
    """Return totals (TOTALS, design) of the step on one chunk of designs."""
    totals = np.zeros((len(TOTALS), np.size(machine.cores)))
    figures: Figures = {}
    for window in opened.values():
        figures |= best_of(window, operators, machine, policy)
    for row, op in enumerate(operators):
        if op.count and op.kind < COLLECTIVE and row not in figures:
            figures[row] = run_operator(row, op, ask_for(op, machine), machine, Lane())[:3]
    for row, (time, fetched, own) in figures.items():
        count = operators[row].count
        totals[0] += count * time
        totals[1] += count * fetched
        totals[2] += count * (own + fetched)
    times = {row: each[0] for row, each in figures.items()}
    if policy.fused > 0.5:
        totals[0] -= fusion_gain(operators, times, machine)
    return totals


def evaluate(table: Array, machines: Array, policy: Policy) -> Array:
    """Time whole steps of one workload.

    Parameters
    ----------
    table : ndarray (column of Operator, row)
    machines : ndarray (field of Machine, design)
    policy : Policy

    Returns
    -------
    ndarray (TOTALS, design)
        Step time [s], prefetched bytes and HBM bytes [B].
    """
    operators = [Operator(*map(float, row)) for row in table.T]
    opened = windows(operators, policy)
    totals = np.empty((len(TOTALS), machines.shape[1]))
    for start in range(0, machines.shape[1], CHUNK):
        machine = Machine(*machines[:, start : start + CHUNK])
        totals[:, start : start + CHUNK] = step(operators, opened, machine, policy)
    return totals
