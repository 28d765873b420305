"""A step whose quantised products run on a framework's own kernels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from accelmodel.errors import SpecError
from accelmodel.inference import operator_time as kernels
from accelmodel.inference.step import Question
from accelmodel.laws.types import MATMUL, Operator
from accelmodel.specs.schema import KernelLibrary

_STRETCH = Operator._fields.index("stretch")


def on_library(question: Question, library: KernelLibrary) -> Question:
    """Return a question whose products at a library's precision take its times, quantisation included.

    Parameters
    ----------
    question : Question
        As from ``step.pose``, of one chip.
    library : KernelLibrary

    Returns
    -------
    Question
        With those products stretched; products of experts and at other precisions keep the law.

    Raises
    ------
    SpecError
        If nothing runs at the library's precision, or the chip varies over axes.
    """
    if question.axes.machine:
        raise SpecError(
            f"{library.name} is relative to one chip; leave out the axes {', '.join(question.axes.machine)}"
        )
    columns = dict(zip(Operator._fields, question.operators, strict=True))
    alone = (columns["kind"] == MATMUL) & (columns["groups"] == 1.0) & (columns["count"] > 0.0)
    at = np.nonzero(alone & (columns["bits"] == library.bits))
    if not len(at[0]):
        raise SpecError(f"{library.name} is for products at {library.bits:g} bit, and there are none; set their bits")
    m, n, k = (columns[name][at] for name in ("m", "n", "k"))
    plain, _ = kernels.time_columns(kernels.matmul(m, n, k, library.bits), question.cluster)
    operators = question.operators.copy()
    operators[_STRETCH][at] *= kernels.library_times(m, n, k, library, question.cluster) / plain
    notes = (*question.table.notes, f"products at {library.bits:g} bit by the kernels of {library.framework}")
    return replace(question, operators=operators, table=replace(question.table, notes=notes))
