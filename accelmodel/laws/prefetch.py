"""Two lanes: operators and collectives on the main lane, prefetches from HBM into L2 beside them.

A window is a collective and the operators up to the next one.  When the collective starts, the
prefetch lane starts on the operands that its policy admitted, in graph order.  It has the HBM
bandwidth that the collective leaves over; what is unfinished when the collective ends goes on and
contends with the main lane.  (PRESERVE, arXiv 2501.08192, section 4.)
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


@law
def admit(rule: float, size: float, used: float, closed: float, cap: float) -> tuple[float, float]:
    """Bytes admitted of one operand, and whether admission is closed from here on, by the policy's rule."""
    if rule == 0.0:
        return admit_in_order(size, used, closed, cap)
    if rule == 1.0:
        return admit_partial(size, used, closed, cap)
    return admit_if_fits(size, used, closed, cap)


@law
def lane_progress(backlog: float, duration: float, cold: float, hbm_rate: float) -> tuple[float, float]:
    """Bytes the prefetch lane fetches while an operator runs, and how many of them the operator waits for.

    The lane uses what the operator leaves over.  For the rest it shares HBM fairly, byte for byte,
    as long as the operator itself reads from HBM.

    Parameters
    ----------
    backlog : float
        Bytes admitted and not yet fetched [B].
    duration : float
        Time of the operator alone, launch included [s].
    cold : float
        Bytes the operator reads from HBM [B].
    hbm_rate : float
        Sustained HBM bandwidth [B/s].

    Returns
    -------
    tuple of float
        Bytes fetched, and those of them that delay the operator by their time at the bandwidth [B].

    Notes
    -----
    Exact for operators bound by memory.  Pessimistic, by at most ``cold / hbm_rate``, for those bound by
    compute, whose slack could absorb some of the delay.
    """
    spare = max(duration * hbm_rate - cold, 0.0)
    contended = min(max(backlog - spare, 0.0), cold)
    return min(backlog, spare) + contended, contended
