"""Steps whose operators take longer or shorter than the laws say: errors of kinds of operators, followed through."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from accelmodel.errors import unknown
from accelmodel.inference.axes import Axes, axes_of, machines_over, spread
from accelmodel.inference.intervals import KINDS, kind_of
from accelmodel.inference.step import Inputs
from accelmodel.laws.numeric import Number
from accelmodel.laws.types import Operator

_KIND, _STRETCH = (Operator._fields.index(name) for name in ("kind", "stretch"))


def stretched(inputs: Inputs, factors: Mapping[str, Number]) -> Inputs:
    """Return the inputs of a step with the times of some kinds of operators multiplied.

    Parameters
    ----------
    inputs : Inputs
    factors : mapping
        Kind of ``intervals.KINDS`` → what the times of its operators are multiplied by [1]; along labelled axes each
        point has its own.

    Raises
    ------
    SpecError
        If a kind is unknown.

    Notes
    -----
    Operators of one kind go together: the factor is one for all of them.  What runs beside an operator that takes
    longer has more time.
    """
    for name in factors:
        if name not in KINDS:
            raise unknown("kind of operator", name, KINDS)
    wide = _over(inputs, axes_of(list(factors.values()), inputs.axes.workload))
    operators = wide.operators.copy()
    kinds = kind_of(operators[_KIND])
    for name, factor in factors.items():
        shape = tuple(len(labels) for labels in wide.axes.workload.values())
        values = np.broadcast_to(spread(factor, wide.axes.workload), shape).reshape(-1)
        operators[_STRETCH] = np.where(kinds == KINDS.index(name), operators[_STRETCH] * values, operators[_STRETCH])
    return replace(wide, operators=operators)


def _over(inputs: Inputs, labels: dict[str, np.ndarray]) -> Inputs:
    """Return the inputs with more axes among those of the workload, each point of which has operators of its own."""
    if not labels:
        return inputs
    before = inputs.axes
    after = Axes(
        {**before.workload, **labels}, {name: each for name, each in before.machine.items() if name not in labels}
    )
    copies = math.prod(len(each) for each in labels.values())
    # what was added comes last, so that it runs the fastest in the flat axis of the table
    operators = np.repeat(inputs.operators, copies, axis=2)
    return replace(inputs, axes=after, operators=operators, machines=machines_over(inputs.cluster, after))
