"""Two lanes: operators and collectives on the main lane, prefetches from HBM into L2 beside them.

A window is a collective and the operators up to the next one.  When the collective starts, the
prefetch lane starts on the operands that its policy admitted, in graph order.  It has the HBM
bandwidth that the main lane leaves over, while the collective runs and beside the operators after it
(PRESERVE, arXiv 2501.08192, section 4).

A compiler that knows the graph prefetches what pays: of the plans that its rule allows, a window takes the fastest, or
none.  What a plan fetches and what L2 keeps of it follow from the plan and from L2 alone, and more of any resource
allows no fewer plans, so that no resource slows a step.
"""

from __future__ import annotations

import numpy as np

from accelmodel.laws.jit import law

#: admission rule → its index in ``Policy.rule``
RULES = {"paper": 0.0, "partial": 1.0, "best-fit": 2.0}
PAPER, BEST_FIT = RULES["paper"], RULES["best-fit"]
#: no rule of a compiler: what an engine issues whether it pays or not, operands in graph order up to the cap
ISSUED = 3.0
NO_PREFETCH = -1.0
#: share of L2 that prefetches may fill at most: of 16 ways it keeps 0.96, and more bytes would leave few more there
MOST_OF_L2 = 0.6
#: whole operands of a window of which best fit tries all sets, the largest
MOST_OPERANDS = 6.0
#: share of a window's time by which a plan must be faster to be taken: more than rounding
PAYS = 1e-9


@law
def plans(rule: float, operands: float) -> float:
    """Plans that a rule weighs, beside none, for a window in which so many operands may be prefetched."""
    if rule == PAPER:
        return operands
    return 2.0 ** min(operands, MOST_OPERANDS) - 1.0 if rule == BEST_FIT else 1.0


@law
def admit_in_order(plan: float, place: float, size: float) -> float:
    """The paper's rule: whole operands in graph order, as many as the plan says [B]."""
    return size if place < plan else 0.0


@law
def admit_partial(size: float, used: float, budget: float) -> float:
    """As the paper's rule, but of the operand that reaches the budget what still fits [B]."""
    return min(size, max(budget - used, 0.0))


@law
def admit_set(plan: float, place: float, size: float) -> float:
    """Any set of whole operands, the bits of the plan; ``place`` counts from the largest [B]."""
    half = np.floor(plan * 0.5**place) * 0.5
    return size if half - np.floor(half) > 0.25 else 0.0


@law
def cap(threshold: float, rule: float, l2_bytes: float) -> float:
    """Bytes that a window may prefetch [B]: the policy's share of L2, of which a compiler fills no more than pays."""
    return (threshold if rule == ISSUED else min(threshold, MOST_OF_L2)) * l2_bytes


@law
def lane_progress(backlog: float, duration: float, cold: float, hbm_rate: float, share: float) -> float:
    """Bytes the prefetch lane fetches while an operator or a collective runs, which it never delays [B].

    Parameters
    ----------
    backlog : float
        Bytes admitted and not fetched [B].
    duration : float
        Time of the operator, launch included [s].
    cold : float
        Bytes the operator reads from HBM [B].
    hbm_rate : float
        Sustained HBM bandwidth [B/s].
    share : float
        Rate of the engine that copies, over that of HBM [1].

    Notes
    -----
    Asks for prefetches that are cut to what the main lane leaves over, as a compiler that knows the graph can cut
    them.  Optimistic where an engine issues whole operands at once: HBM serves both fairly, and the operator waits
    for at most as many bytes as it reads itself.
    """
    return min(backlog, max(duration * hbm_rate - cold, 0.0) * share)
