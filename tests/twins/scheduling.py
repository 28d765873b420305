"""Dealing work to cores, item by item: whole tiles to whoever is free, or the k loop cut into equal runs."""

from __future__ import annotations

import heapq


def list_schedule(tiles: int, slices: int, cores: int) -> int:
    """Deal whole tiles to the core that is free first; return when the last core is done, in slices."""
    free = [0] * cores
    for _ in range(tiles):
        heapq.heappush(free, heapq.heappop(free) + slices)
    return max(free)


def split_schedule(tiles: int, slices: int, cores: int) -> int:
    """Deal the slices of all tiles in equal runs, one a core; who shares a tile adds one partial sum."""
    run = -(-tiles * slices // cores)
    sharers: dict[int, set[int]] = {}
    work: dict[int, int] = {}
    for item in range(tiles * slices):
        core, tile = item // run, item // slices
        work[core] = work.get(core, 0) + 1
        sharers.setdefault(tile, set()).add(core)
    extra = {core for group in sharers.values() if len(group) > 1 for core in group}
    return max(count + (core in extra) for core, count in work.items())


def best_schedule(tiles: int, slices: int, cores: int) -> int:
    return min(list_schedule(tiles, slices, cores), split_schedule(tiles, slices, cores))
