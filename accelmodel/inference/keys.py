"""Which tokens a query sees, and which of them lie in the cache.

Drafted tokens of a decode step see what its own token sees; that each also sees the drafted ones before it is left out,
half of them on average.
"""

from __future__ import annotations

from accelmodel.laws.numeric import Number, floor, least, most
from accelmodel.specs.workload import Workload


def mean_keys(work: Workload, window: Number) -> Number:
    """Return keys per query, averaged over the new tokens; ``window`` 0 is full causal attention.

    Sum of min(position, window) over positions prefix + 1 … context, over their number.
    """
    if work.phase == "decode":
        return least(work.context, window) if window else work.context
    first, last = work.prefix, work.context
    if not window:
        return (first + 1.0 + last) / 2.0
    bend = least(most(window, first), last)
    rising = (first + 1.0 + bend) * (bend - first) / 2.0
    return (rising + window * (last - bend)) / (last - first)


def last_keys(work: Workload, window: Number) -> Number:
    """Return keys of the last query, which of a prefill sees most: in a chunk of its own that is whole."""
    return least(work.context, window) if window else work.context


def mean_chunk_keys(work: Workload, chunk: Number) -> Number:
    """Return keys per query where a query sees the tokens of its own chunk, averaged over the new tokens.

    In decode the token at the end of a chunk, whose step is the longest.
    """
    if work.phase == "decode":
        return least(work.context, chunk)

    def seen(tokens: Number) -> Number:
        whole = floor(tokens / chunk)
        rest = tokens - whole * chunk
        return whole * chunk * (chunk + 1.0) / 2.0 + rest * (rest + 1.0) / 2.0

    return (seen(work.context) - seen(work.prefix)) / (work.context - work.prefix)


def kv_tokens(work: Workload, window: Number) -> tuple[Number, Number]:
    """Tokens of KV cache that one sequence reads, and how many of them were there before the step."""
    if work.phase == "decode":
        read = least(work.context, window) if window else work.context
        return read, read - 1.0
    reach = least(work.context, window + (work.context - work.prefix) - 1.0) if window else work.context
    return reach, most(reach - (work.context - work.prefix), 0.0)
