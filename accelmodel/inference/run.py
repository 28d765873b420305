"""Designs over labelled axes, and the step kernel over them on all cores in bounded memory.

Only fields that vary are made and spread out, a part of the axes at a time: a part is whole inner axes, so that what
varies over outer axes alone is a single number in it.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from accelmodel.laws.kernels import step
from accelmodel.laws.kernels.block import Designs, Span
from accelmodel.laws.numeric import Array, Floats
from accelmodel.laws.types import DETAIL, GIVEN, TOTALS, Policy

#: designs of a part at most, and at least where there is work for several cores
MOST, LEAST = 2**15, 2**11
#: parts for each core where there are few designs, so that cores end together
_PARTS = 4


@dataclass(frozen=True)
class Machines:
    """Machines over axes of the workload and axes of their own.

    Attributes
    ----------
    sources : tuple of ndarray
        What machines are made of, over all axes, of length 1 along those that it does not vary over.
    workload, design : tuple of int
        Lengths of the axes of the workload and of those only the machine varies over.
    made : callable
        Of a part of the sources: each given field of ``laws.types.Machine``, a number or an array over the part.  As
        a rule the sources are these fields.
    router : callable, optional
        What puts the routes of collectives into an operator table, where their cluster asks for it: tables, and where
        over (workload, design) each holds, None for everywhere.
    """

    sources: tuple[Array, ...]
    workload: tuple[int, ...]
    design: tuple[int, ...]
    made: Callable[[tuple[Array, ...]], tuple[Floats, ...]] = tuple
    router: Callable[[Array], list[tuple[Array, Array | None]]] | None = None

    @property
    def shared(self) -> bool:
        """Whether machines vary over axes of the workload."""
        return any(math.prod(values.shape[: len(self.workload)]) > 1 for values in self.sources)

    @property
    def designs(self) -> int:
        """Designs for each workload."""
        return math.prod(self.design)

    def base(self) -> Array:
        """Return the first machine (field,)."""
        first = tuple(values[(slice(0, 1),) * values.ndim] for values in self.sources)
        return np.array([np.asarray(value).flat[0] for value in self.made(first)], dtype=float)


@dataclass(frozen=True)
class Part:
    """Part of a question: its numbers as the kernel takes them."""

    designs: Designs
    span: Span


def machines_of(array: Array) -> Machines:
    """Return machines that are given as an array (field of ``Machine``, workload or 1, design)."""
    numbers = np.ascontiguousarray(array[: len(GIVEN)], dtype=float)
    differ = (numbers != numbers[:, :1, :1]).any(axis=(1, 2))
    fields = tuple(values if varies else values[:1, :1] for values, varies in zip(numbers, differ, strict=True))
    return Machines(fields, numbers.shape[1:2], numbers.shape[2:])


def slices(shape: tuple[int, ...], most: int) -> Iterator[tuple[slice, ...]]:
    """Yield slices that cover a grid in row-major order, each contiguous and of at most so many points.

    Examples
    --------
    >>> [tuple((s.start, s.stop) for s in each) for each in slices((2, 3), 2)]
    [((0, 1), (0, 2)), ((0, 1), (2, 3)), ((1, 2), (0, 2)), ((1, 2), (2, 3))]
    """
    whole = len(shape)
    while whole > 0 and math.prod(shape[whole - 1 :]) <= most:
        whole -= 1
    tail = tuple(slice(0, length) for length in shape[whole:])
    if whole == 0:
        yield tail
        return
    step_of = max(most // math.prod(shape[whole:]), 1)
    for lead in itertools.product(*map(range, shape[: whole - 1])):
        for begin in range(0, shape[whole - 1], step_of):
            end = min(begin + step_of, shape[whole - 1])
            yield (*(slice(i, i + 1) for i in lead), slice(begin, end), *tail)


def _flat(shape: tuple[int, ...], place: tuple[slice, ...]) -> tuple[int, int]:
    """Return where contiguous slices of a grid begin and end in row-major order."""
    if not shape:
        return 0, 1
    first = int(np.ravel_multi_index(tuple(each.start for each in place), shape))
    return first, first + math.prod(each.stop - each.start for each in place)


def part(machines: Machines, place: tuple[slice, ...], span: Span) -> Part:
    """Return the numbers of some slices of all axes, for a span of workloads and designs."""
    varying, columns = [], []
    size = (span.last - span.first if machines.shared else 1), span.end - span.begin
    wanted = tuple(each.stop - each.start for each in place)
    here = tuple(
        values[tuple(each if n > 1 else slice(0, 1) for each, n in zip(place, values.shape, strict=True))]
        for values in machines.sources
    )
    base = np.empty(len(GIVEN))
    for field, value in enumerate(machines.made(here)):
        values = np.asarray(value)
        base[field] = values.flat[0]
        if values.size > 1:
            varying.append(field)
            columns.append(np.broadcast_to(values, wanted).reshape(size))
    numbers = np.array(columns) if columns else np.empty((0, *size))
    designs = Designs(base, np.array(varying, dtype=np.int64), numbers, span.first, span.begin)
    return Part(designs, span)


def parts(machines: Machines, workloads: int, most: int) -> Iterator[Callable[[], Part]]:
    """Yield what makes each part of a question of about so many points at most; made where it is run."""
    if machines.shared:
        for place in slices((*machines.workload, *machines.design), most):
            outer = len(machines.workload)
            span = Span(*_flat(machines.workload, place[:outer]), *_flat(machines.design, place[outer:]))
            yield partial(part, machines, place, span)
        return
    ahead = (slice(0, 1),) * len(machines.workload)
    for place in slices(machines.design, most):
        begin, end = _flat(machines.design, place)
        at_once = max(most // (end - begin), 1)
        for first in range(0, workloads, at_once):
            span = Span(first, min(first + at_once, workloads), begin, end)
            yield partial(part, machines, (*ahead, *place), span)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def on_all_cores(machines: Machines, workloads: int, work: Callable[[Part], None], *, shuffled: bool = False) -> None:
    """Do some work on each part of a question, on all cores where it is large enough; in any order if shuffled."""
    points = workloads * machines.designs
    most = min(max(points // (_PARTS * cores()), LEAST), MOST)
    todo = parts(machines, workloads, most)
    if shuffled:
        listed = list(todo)
        np.random.default_rng(0).shuffle(listed)
        todo = iter(listed)
    if points <= LEAST or cores() == 1:
        for make in todo:
            work(make())
        return
    with ThreadPoolExecutor(cores()) as pool:
        # a few at a time: what is queued is small, but a space may have millions of parts
        while batch := list(itertools.islice(todo, 64 * cores())):
            for _ in pool.map(lambda make: work(make()), batch):
                pass


def run_kernel(
    table: Array, machines: Machines | Array, policy: Policy, *, detail: bool = False
) -> tuple[Array, Array]:
    """Return totals (TOTALS, workload, design) and detail (DETAIL, row, workload, design) of whole steps.

    Parameters
    ----------
    table : ndarray (column of Operator, row, workload)
    machines : Machines, or ndarray (field of Machine, workload or 1, design)
    policy : Policy
    detail : bool
        Also return each operator's figures; else that array is empty.
    """
    known = machines if isinstance(machines, Machines) else machines_of(machines)
    points = table.shape[2], known.designs
    totals = np.empty((len(TOTALS), *points))
    details = np.zeros((len(DETAIL), table.shape[1], *points) if detail else (0, 0, 0, 0))
    # decided once for the whole question, not for each of its parts
    whole = step.evaluate.form(step.seconds(table.shape[1], table.shape[2] * known.designs))

    def fill(columns: Array, totals: Array, details: Array) -> None:
        def work(each: Part) -> None:
            whole(columns, each.designs, policy, each.span, totals, details)

        on_all_cores(known, table.shape[2], work)

    for columns, where in [(table, None)] if known.router is None else known.router(table):
        if where is None:
            fill(np.ascontiguousarray(columns), totals, details)
            continue
        own, shown = np.empty_like(totals), np.zeros_like(details)
        fill(np.ascontiguousarray(columns), own, shown)
        np.copyto(totals, own, where=where)
        if detail:
            np.copyto(details, shown, where=where)
    return totals, details
