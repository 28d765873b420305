"""The two kernels of the measurements, in Triton: one reads, one stands for a collective.

Both work in blocks of ``BLOCK_BYTES``, so that no access needs a mask: sizes are whole blocks.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from triton.language.extra.cuda import globaltimer

from accelmodel.benchmarks.gpu.plan import BLOCK_BYTES, COLLECTIVE_PROGRAMS, READERS_PER_SM

_BLOCK = BLOCK_BYTES // 4
_WARPS = 8
#: name in the tables → cache modifier and eviction policy of Triton's load, which PTX does not let combine
_HINTS = {"normal": (".cg", ""), "evict-last": ("", "evict_last")}


@triton.jit
def read_kernel(data, sums, blocks, reads, block: tl.constexpr, cache: tl.constexpr, policy: tl.constexpr):
    """Read ``reads`` blocks of 32-bit words, wrapping round after ``blocks``; each program stores what it summed up.

    The sum keeps the loads alive; the cache modifier ``.cg`` keeps lines out of L1, which would serve small footprints.
    """
    program = tl.program_id(0)
    offsets = tl.arange(0, block)
    total = tl.zeros((block,), dtype=tl.int32)
    for i in range(program, reads, tl.num_programs(0)):
        total += tl.load(data + (i % blocks) * block + offsets, cache_modifier=cache, eviction_policy=policy)
    tl.store(sums + program, tl.sum(total, axis=0))


@triton.jit
def hold_kernel(source, target, blocks, nanoseconds, block: tl.constexpr):
    """Copy ``blocks`` blocks, then hold the multiprocessors until ``nanoseconds`` have passed since the start."""
    start = globaltimer()
    offsets = tl.arange(0, block)
    for i in range(tl.program_id(0), blocks, tl.num_programs(0)):
        words = tl.load(source + i * block + offsets, cache_modifier=".cg")
        tl.store(target + i * block + offsets, words)
    now = globaltimer()
    while now - start < nanoseconds:
        now = globaltimer()


def read(data: Any, sums: Any, size: int, *, passes: int = 1, hint: str = "normal") -> None:
    """Launch a read of the first ``size`` bytes of ``data``, ``passes`` times over, on the current stream.

    Parameters
    ----------
    data : tensor of int32 (at least size / 4,)
    sums : tensor of int32 (``readers()``,)
        Filled with what each program summed up, modulo 2³².
    size : int
        Whole blocks [B].
    hint : {"normal", "evict-last"}
        Eviction policy of the loads.
    """
    blocks, (cache, policy) = size // BLOCK_BYTES, _HINTS[hint]
    grid = (sums.numel(),)
    read_kernel[grid](data, sums, blocks, blocks * passes, _BLOCK, cache, policy, num_warps=_WARPS)


def hold(source: Any, target: Any, size: int, seconds: float) -> None:
    """Launch what stands for a collective on the current stream: ``size`` bytes copied, ``seconds`` held.

    It lasts longer than ``seconds`` where the copy does.
    """
    nanoseconds = round(seconds * 1e9)
    grid = (COLLECTIVE_PROGRAMS,)
    hold_kernel[grid](source, target, size // BLOCK_BYTES, nanoseconds, _BLOCK, num_warps=_WARPS)


def readers() -> int:
    """Return the number of programs of a read: as many as reside on the device at once."""
    return int(READERS_PER_SM * torch.cuda.get_device_properties(0).multi_processor_count)
