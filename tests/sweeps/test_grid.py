"""Chunks cover the grid once, and each point holds what the door answers of it alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import accelmodel as am
from accelmodel.sweeps.grid import Grid, cut, evaluate, grid_of
from accelmodel.sweeps.question import read

QUESTION = {
    "sweep": {"command": "step"},
    "fixed": {"device": "ascend-910b2", "weight_bits": 8, "kv_bits": 8, "technique": "preserve"},
    "axes": {
        "model": ["llama-3-8b", "llama-3-70b"],
        "l2.capacity": [8e6, 104e6],
        "tp": [1, 4, 64],
        "batch": [1, 16],
        "context": [1024, 16384],
    },
}


def asked(**changes):
    return read(QUESTION | changes, "here", bare=True)


@given(st.lists(st.integers(1, 7), min_size=1, max_size=4), st.integers(1, 40))
def test_chunks_cover_each_point_once(sizes, most):
    names = ("batch", "context", "tp", "prefix")
    axes = {name: list(range(1, size + 1)) for name, size in zip(names, sizes, strict=False)}
    fixed = {"device": "h100-sxm", "model": "llama-3-8b", "batch": 1, "context": 4096}
    question = asked(fixed={name: each for name, each in fixed.items() if name not in axes}, axes=axes)
    grid = Grid(question, cut(question, most), {})
    assert math.prod(grid.lengths) <= most
    seen = np.zeros(question.shape, dtype=int)
    for number in range(grid.chunks):
        seen[grid.place(number)] += 1
    assert (seen == 1).all()


def test_each_point_is_what_the_door_answers(warm):
    grid = grid_of(asked(), 16)
    assert grid.chunks > 2
    found = {name: grid.room(variable) for name, variable in grid.question.command.variables.items()}
    reasons = set()
    for number in range(grid.chunks):
        arrays, why = evaluate(grid, grid.place(number))
        reasons.update(why)
        for name, values in arrays.items():
            found[name][grid.place(number)] = values
    labels = [axis.values for axis in grid.question.axes]
    refused = 0
    for at in np.ndindex(*grid.question.shape):
        model, l2, tp, batch, context = (values[i] for values, i in zip(labels, at, strict=True))
        chip = am.override(am.load("device", "ascend-910b2"), {"l2.capacity": l2})
        work = {
            "phase": "decode", "batch": batch, "context": context, "tp": tp, "weight_bits": 8.0, "kv_bits": 8.0,
        }  # fmt: skip
        try:
            alone = am.time_step(model, chip, work, "preserve")
        except (am.SpecError, am.Infeasible):
            refused += 1
            assert not found["feasible"][at]
            continue
        assert found["feasible"][at] == bool(alone.feasible)
        for name in ("step_time", "prefetched_bytes") if alone.feasible else ():
            assert found[name][at] == pytest.approx(float(alone[name]), rel=1e-12), name
    assert refused
    assert any("64 exceeds the 8 devices" in reason for reason in reasons)
    assert np.isnan(found["step_time"][:, :, 2]).all()


def test_a_parameter_goes_to_the_techniques_that_take_it(warm):
    axes = {"technique": ["none", "preserve"], "technique.threshold": [0.0, 1.0]}
    fixed = {
        "device": "ascend-910b2",
        "model": "llama-3-8b",
        "tp": 8,
        "batch": 4,
        "context": 8192,
        "l2.capacity": 104e6,
    }
    found = am.sweep(QUESTION | {"fixed": fixed, "axes": axes})
    assert found.step_time.dims == ("technique", "technique_threshold")
    none, ahead = found.step_time.sel(technique="none"), found.step_time.sel(technique="preserve")
    assert float(none.sel(technique_threshold=0.0)) == float(none.sel(technique_threshold=1.0))
    assert float(ahead.sel(technique_threshold=1.0)) < float(ahead.sel(technique_threshold=0.0))


def test_cores_bring_their_peaks():
    fixed = {"device": "ascend-910b2", "model": "llama-3-8b", "phase": "prefill", "context": 4096, "batch": 1}
    found = am.sweep(QUESTION | {"fixed": fixed, "axes": {"cores": [6, 12, 24]}}).step_time
    assert (np.diff(found.values) < 0.0).all()


def test_nothing_feasible_is_refused():
    fixed = {"device": "l4", "model": "llama-3-70b", "context": 4096, "batch": 1}
    with pytest.raises(am.Infeasible, match="no point can be: llama-3-70b does not fit"):
        am.sweep(QUESTION | {"fixed": fixed, "axes": {"weight_bits": [8, 16]}})


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_an_answer_does_not_depend_on_its_chunks(warm, chunk):
    """What does not fit holds no number, whether it is alone in a chunk or not."""
    fixed = {"device": "h100-sxm", "model": "llama-3-8b", "context": 4096}
    question = QUESTION | {"fixed": fixed, "axes": {"batch": [1, 100_000], "technique": ["none", "preserve"]}}
    found = am.sweep(question, chunk=chunk)
    assert found.feasible.values.tolist() == [[True, True], [False, False]]
    for name in ("step_time", "prefetched_bytes", "hbm_bytes"):
        assert np.isfinite(found[name].values).tolist() == found.feasible.values.tolist()
