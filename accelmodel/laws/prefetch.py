"""Two lanes: operators and collectives on the main lane, prefetches from HBM into L2 beside them.

A window is a collective and the operators up to the next one.  When the collective starts, the
prefetch lane starts on the operands that its policy admitted, in graph order.  It has the HBM
bandwidth that the main lane leaves over, while the collective runs and beside the operators after it
(PRESERVE, arXiv 2501.08192, section 4).  It fetches what pays: a byte for which an operator had to wait
would cost now what it saves later, and one that pushes another out of L2 before that is read saves nothing.
So the lane gives way to operators, and halts while what waits fills its part of L2.
"""

from __future__ import annotations

from accelmodel.laws.jit import law


@law
def admit_in_order(size: float, used: float, closed: float, cap: float) -> tuple[float, float]:
    """The paper's rule: whole operands in graph order; the first that would pass the cap ends admission."""
    fits = used + size <= cap
    shut = closed if fits else 1.0
    return (size if shut < 0.5 else 0.0), shut


@law
def admit_partial(size: float, used: float, closed: float, cap: float) -> tuple[float, float]:
    """As the paper's rule, but the operand that reaches the cap is admitted up to it."""
    return min(size, max(cap - used, 0.0)), closed


@law
def admit_if_fits(size: float, used: float, closed: float, cap: float) -> tuple[float, float]:
    """Whole operands, any that still fits; offered largest first this is best fit."""
    return (size if used + size <= cap else 0.0), closed


#: admission rule → its index in ``Policy.rule``; ``best-fit`` offers operands largest first
RULES = {"paper": 0.0, "partial": 1.0, "best-fit": 2.0}
NO_PREFETCH = -1.0
#: share of L2 that may wait to be read: of 16 ways it keeps 0.96, and more bytes would add few hits (none from 0.75 on)
WAITING_SHARE = 0.6


@law
def admit(rule: float, size: float, used: float, closed: float, cap: float) -> tuple[float, float]:
    """Bytes admitted of one operand, and whether admission is closed from here on, by the policy's rule."""
    if rule == 0.0:
        return admit_in_order(size, used, closed, cap)
    if rule == 1.0:
        return admit_partial(size, used, closed, cap)
    return admit_if_fits(size, used, closed, cap)


@law
def lane_backlog(total: float, reached: float, begun: float, l2_bytes: float) -> float:
    """Bytes that the lane may fetch next [B]: what is admitted and not fetched, as far as L2 has room for it.

    Parameters
    ----------
    total : float
        Bytes admitted in the window [B].
    reached : float
        Place of the lane in the queue [B].
    begun : float
        Place up to which operators have begun to read it [B].
    l2_bytes : float
        Usable L2 [B].
    """
    return max(min(total - reached, WAITING_SHARE * l2_bytes - (reached - begun)), 0.0)


@law
def lane_progress(backlog: float, duration: float, cold: float, hbm_rate: float) -> float:
    """Bytes the prefetch lane fetches while an operator or a collective runs, which it never delays [B].

    Parameters
    ----------
    backlog : float
        Bytes that it may fetch [B].
    duration : float
        Time of the operator, launch included [s].
    cold : float
        Bytes the operator reads from HBM [B].
    hbm_rate : float
        Sustained HBM bandwidth [B/s].

    Notes
    -----
    Asks for prefetches that are cut to what the main lane leaves over, as a compiler that knows the graph can cut
    them.  Optimistic where an engine issues whole operands at once: HBM serves both fairly, and the operator waits
    for at most as many bytes as it reads itself.
    """
    return min(backlog, max(duration * hbm_rate - cold, 0.0))
