"""Which experts tokens go to: balanced, or drawn from a power law as benchmarks of experts do."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from accelmodel.inference.padding import tile_rows

#: routings that are averaged where they are drawn
DRAWS = 5
#: span of the power law [token], in tokens where there are more copies than experts
FEWEST, MOST, SPARSE = 1.0, 0.8, (0.01, 2.0)


def balanced(tokens: int, experts: int, per_token: int) -> Any:
    """Return the tokens of each expert where tokens go round the experts in turn, ``per_token`` to each."""
    stride = -(-experts // per_token)
    step = 1.0 if tokens >= stride else stride / tokens
    first = np.arange(tokens)[:, None] * step
    chosen = (first + np.arange(per_token) * stride).astype(np.int64) % experts
    return np.bincount(chosen.ravel(), minlength=experts)


def power_law(tokens: int, experts: int, per_token: int, exponent: float, rng: np.random.Generator) -> Any:
    """Return the tokens of each expert, drawn from a power law, at most all tokens each.

    A Pareto distribution cut at both ends, by the inverse of its distribution function (Newman, arXiv cond-mat/0412004,
    appendix D), scaled to the copies there are.
    """
    low, high = (FEWEST, MOST * tokens) if tokens * per_token > experts else SPARSE
    power = 1.0 - exponent
    drawn = ((high**power - low**power) * rng.random(experts) + low**power) ** (1.0 / power)
    counts = np.minimum(np.round(drawn / drawn.sum() * tokens * per_token).astype(np.int64), tokens)
    missing = tokens * per_token - int(counts.sum())
    while missing:
        # one token each to those that have fewest, or from those that have most
        sign = 1 if missing > 0 else -1
        order = np.argsort(sign * counts, kind="stable")
        able = order[counts[order] < tokens] if sign > 0 else order[counts[order] > 0]
        # as often as all of them can take one
        room = tokens - counts[able].max() if sign > 0 else counts[able].min()
        counts[able[: abs(missing)]] += sign * max(min(abs(missing) // len(able), int(room)), 1)
        missing = tokens * per_token - int(counts.sum())
    return counts


@lru_cache(maxsize=100_000)
def _drawn(tokens: int, experts: int, per_token: int, ranks: int, exponent: float) -> tuple[tuple[int, ...], ...]:
    """Return the tokens of each expert that gets any, on the rank with the most copies, of each routing drawn."""
    if exponent == 0.0:
        found = [balanced(tokens, experts, per_token)[: experts // ranks]]
    else:
        rng = np.random.default_rng([tokens, experts, per_token, ranks])
        found = []
        for _ in range(DRAWS):
            by_rank = power_law(tokens, experts, per_token, exponent, rng).reshape(ranks, -1)
            found.append(by_rank[np.argmax(by_rank.sum(axis=1))])
    return tuple(tuple(own[own > 0].tolist()) for own in found)


def busiest(tokens: int, experts: int, per_token: int, ranks: int, exponent: float) -> tuple[float, float]:
    """Return, on the rank with the most copies, how many experts get a token and how many copies come, on average.

    Parameters
    ----------
    tokens, experts, per_token : int
        Tokens of all ranks, experts of all ranks, experts that each token goes to [1].
    ranks : int
        Ranks that share the experts evenly, in their order.
    exponent : float
        Of the power law; 0 is balanced, of which the first rank is taken.

    Notes
    -----
    Every call with the same numbers draws the same routings.
    """
    found = _drawn(tokens, experts, per_token, ranks, exponent)
    return float(np.mean([len(own) for own in found])), float(np.mean([sum(own) for own in found]))


def padded(tokens: int, experts: int, per_token: int, ranks: int, exponent: float) -> float:
    """Return the rows that the tiles of an expert have there, on average over those that get a token."""
    active, copies = busiest(tokens, experts, per_token, ranks, exponent)
    if not active:
        return 0.0
    tile = float(tile_rows(copies / active))
    tiles = [np.ceil(np.array(own) / tile).sum() for own in _drawn(tokens, experts, per_token, ranks, exponent)]
    return float(np.mean(tiles)) * tile / active
