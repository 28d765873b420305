"""What a question about a stored prompt must keep: numbers above 0, a curve that reaches its end, steps to count."""

from __future__ import annotations

import math
from typing import Any

from accelmodel.errors import SpecError
from accelmodel.kvcache.traces import Array
from accelmodel.specs.quantities import Quantity, one

#: engine steps that one prompt may take; a smaller share of the budget is refused
MOST_STEPS = 1_000_000
#: least of what must be above 0, by its unit: less would be a slip
_LEAST = {"B/s": 1e-3, "B": 1e-3}
#: most of it, where more is absurd
_MOST = {"token": 1e9}


def check_above_zero(name: str, value: Any, unit: str, infinite: bool = False) -> None:
    """Raise SpecError unless the value is above 0, and finite unless ``infinite``."""
    if not (infinite and isinstance(value, float) and value == math.inf):
        one(name, value, Quantity("1" if unit == "bit" else unit, ge=_LEAST.get(unit, 1e-6), le=_MOST.get(unit, 1e36)))


def check_reach(times: Array, tokens: float, chunk: float) -> None:
    """Raise SpecError where the chunk curve ends before the prompt does."""
    needed = math.ceil(tokens / chunk)
    if len(times) < needed:
        raise SpecError(
            f"chunk times reach {len(times) * chunk:g} tokens, the prompt has {tokens:g}: give chunks 0 to {needed - 1}"
        )


def check_steps(tokens: float, per_step: float) -> None:
    """Raise SpecError where the share of the budget is so small that steps cannot be counted."""
    if tokens / per_step > MOST_STEPS:
        raise SpecError(
            f"{per_step:g} tokens a step take over {MOST_STEPS} steps for {tokens:g} tokens; raise utilisation"
        )
