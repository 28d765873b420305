"""Kinds of operators: what each asks of a machine is one law and one line here."""

from __future__ import annotations

from accelmodel.laws.attention import attention
from accelmodel.laws.chain import chain
from accelmodel.laws.elementwise import elementwise, epilogue, rowwise
from accelmodel.laws.grouped import grouped
from accelmodel.laws.matmul import matmul
from accelmodel.laws.recurrence import recurrence

#: kind of operator → its law ``(op, machine) -> Cost``; its code in an operator table is its place here
KINDS = {
    "matmul": matmul,
    "grouped": grouped,
    "attention": attention,
    "elementwise": elementwise,
    "row": rowwise,
    "recurrence": recurrence,
    "chain": chain,
    "epilogue": epilogue,
}


def code(kind: str) -> float:
    """Return the code of a kind: ``Operator.kind``."""
    return float(list(KINDS).index(kind))
