"""What a figure asks for is checked against the question, before the work."""

from __future__ import annotations

import pytest

from accelmodel.errors import SpecError
from accelmodel.specs import find
from accelmodel.sweeps.figure import figure_of
from accelmodel.sweeps.grid import grid_of
from accelmodel.sweeps.question import load_sweep, read

QUESTION = {
    "fixed": {"device": "h100-sxm", "model": "llama-3-8b", "context": 4096},
    "axes": {"technique": ["none", "preserve"], "l2.capacity": [2e7, 5e7], "batch": [1, 2]},
}


def drawn(command="step", **figure):
    question = read({"sweep": {"command": command, "figure": figure}, **QUESTION}, "here", bare=True)
    return figure_of(question, grid_of(question).labels)


def test_names_and_values_are_those_of_the_answer():
    found = drawn(y="step_time", x="batch", lines=["technique"], at={"l2": {"capacity": "50MB"}})
    assert found == {"y": "step_time", "x": "batch", "lines": ["technique"], "at": {"l2_capacity": 5e7}}
    found = drawn("operators", y="time", x="l2.capacity", lines=["operator"], at={"technique": "none", "batch": 2})
    assert found["at"] == {"technique": "none", "batch": 2.0}


@pytest.mark.parametrize(
    ("figure", "says"),
    [
        ({"y": "time", "x": "batch"}, "figure.y: unknown variable 'time', did you mean 'step_time'"),
        ({"y": "step_time", "x": "bath"}, "figure.x: unknown axis 'bath', did you mean 'batch'"),
        ({"y": "step_time", "x": "batch", "lines": ["tecnique"]}, "figure.lines: unknown axis 'tecnique'"),
        ({"y": "step_time", "x": "batch"}, "technique has several values; add it to lines"),
        ({"y": "step_time", "x": "batch", "at": {"technique": "no"}}, "l2_capacity has several values"),
        (
            {"y": "step_time", "x": "batch", "lines": ["l2.capacity"], "at": {"technique": "fused"}},
            "figure.at.technique: unknown value 'fused'",
        ),
        (
            {"y": "step_time", "x": "batch", "lines": ["technique"], "at": {"l2.capacity": "51MB"}},
            "'51MB' is none of the values that are swept; the nearest is 5e+07",
        ),
    ],
)
def test_what_cannot_be_drawn_is_said(figure, says):
    with pytest.raises(SpecError) as error:
        drawn(**figure)
    assert says in str(error.value)


@pytest.mark.parametrize("name", find.available("sweep"))
def test_figures_of_shipped_questions_can_be_drawn(name):
    question = load_sweep(name)
    assert figure_of(question, grid_of(question).labels) is not None
