"""PRESERVE (Yuzuguler, Zhuang, Cavigelli, arXiv 2501.08192): weights and KV cache into L2 while collectives run.

The mechanism is the two-lane timeline of ``laws.prefetch``; here are its policy and the workload on
which the paper reports: equal-length requests of which two thirds are prompt and one third is generated.
"""

from __future__ import annotations

from accelmodel.errors import unknown
from accelmodel.laws.numeric import Number, rint
from accelmodel.laws.prefetch import RULES
from accelmodel.laws.types import Policy
from accelmodel.specs.quantities import Quantity, one

#: share of a request's total length that is its prompt (arXiv 2501.08192, evaluation; second-hand)
PROMPT_SHARE = 2.0 / 3.0
#: share of usable L2 that prefetches may fill
_THRESHOLD = Quantity(ge=0.0, le=16.0)


def preserve(threshold: float = 1.0, rule: str = "partial") -> Policy:
    """Return the policy of PRESERVE.

    Parameters
    ----------
    threshold : float
        Share of usable L2 that one window's prefetches may fill [1].
    rule : {"partial", "paper", "best-fit"}
        How operands are admitted; see ``laws.prefetch``.  What becomes of the operand that crosses the threshold is
        not public; part of it, which ``torch_npu.npu_prefetch`` can fetch, by default.

    Raises
    ------
    SpecError
        If the rule is unknown or the threshold is outside 0 to 16.
    """
    if str(rule) not in RULES:
        raise unknown("admission rule", rule, RULES)
    return Policy(RULES[rule], one("threshold", threshold, _THRESHOLD), 0.0)


def prompt_length(total: Number) -> Number:
    """Return tokens of the prompt in requests of ``total`` tokens.

    Examples
    --------
    >>> import numpy as np
    >>> prompt_length(np.array([2048.0, 16384.0])).tolist()
    [1365.0, 10923.0]
    """
    return rint(total * PROMPT_SHARE)
