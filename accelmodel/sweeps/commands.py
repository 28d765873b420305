"""The questions that a sweep may ask of each point: one function and one line here each."""

from __future__ import annotations

from accelmodel.sweeps import operators, rented, steps, stored
from accelmodel.sweeps.calls import Command

COMMANDS: dict[str, Command] = {
    "step": steps.STEP,
    "operators": steps.OPERATORS,
    "request": steps.REQUEST,
    "preserve": steps.PRESERVE,
    "cake": stored.CAKE,
    "instances": rented.INSTANCES,
    "matmul": operators.MATMUL,
    "attention": operators.ATTENTION,
    "collective": operators.COLLECTIVE,
}
