"""Which tokens a query sees, and which of them lie in the cache."""

from __future__ import annotations

from accelmodel.laws.numeric import Number, floor, least, most
from accelmodel.specs.workload import Workload


def _ends(work: Workload) -> tuple[Number, Number]:
    """Return the tokens of a sequence before a step, and with those that it works on, drafted ones included."""
    if work.phase == "prefill":
        return work.prefix, work.context
    return work.context - 1.0, work.context + work.speculative


def mean_keys(work: Workload, window: Number) -> Number:
    """Return keys per query, averaged over the new tokens; ``window`` 0 is full causal attention.

    Sum of min(position, window) over the positions of the new tokens, over their number.
    """
    first, last = _ends(work)
    if not window:
        return (first + 1.0 + last) / 2.0
    bend = least(most(window, first), last)
    rising = (first + 1.0 + bend) * (bend - first) / 2.0
    return (rising + window * (last - bend)) / (last - first)


def mean_chunk_keys(work: Workload, chunk: Number) -> Number:
    """Return keys per query where a query sees the tokens of its own chunk, averaged over the new tokens.

    In decode the token at the end of a chunk, whose step is the longest.
    """
    if work.phase != "prefill":
        return least(work.context + work.speculative, chunk)

    def seen(tokens: Number) -> Number:
        whole = floor(tokens / chunk)
        rest = tokens - whole * chunk
        return whole * chunk * (chunk + 1.0) / 2.0 + rest * (rest + 1.0) / 2.0

    return (seen(work.context) - seen(work.prefix)) / (work.context - work.prefix)


def kv_tokens(work: Workload, window: Number) -> tuple[Number, Number]:
    """Tokens of KV cache that one sequence reads, and how many of them were there before the step."""
    first, last = _ends(work)
    reach = least(last, window + (last - first) - 1.0) if window else last
    return reach, most(reach - (last - first), 0.0)
