"""Law times interpolated residual: fades far from measured shapes, and reaches the operators of a step."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

import accelmodel as am
from accelmodel.calibration import fit, hybrid
from accelmodel.errors import SpecError
from accelmodel.inference.step import evaluate, prepare
from accelmodel.measured import aiconfigurator

LONGER = {"matmul": 1.25, "decode attention": 0.8, "prefill attention": 1.1}


@pytest.fixture
def chip():
    return am.cluster(am.load("device", "h100-sxm"), 1)


@pytest.fixture
def tables(monkeypatch, chip):
    """Tables in which every kernel takes a known multiple of the law, between 1/4 and 4 times what is asked below."""
    sizes = {
        "matmul": {"m": [8, 32, 128], "n": [1024, 4096, 16384, 65536], "k": [2048, 4096, 8192, 32768]},
        **{
            f"{phase} attention": {
                "batch": [4, 8, 16], "heads": [16, 32, 64], "kv_heads": [4, 8, 16], "head_dim": [64, 128],
                "context": [1024, 2048, 4096], "window": [0],
            }
            for phase in ("prefill", "decode")
        },
    }  # fmt: skip

    def rows(device, kind):
        grid = pd.DataFrame(list(itertools.product(*sizes[kind].values())), columns=list(sizes[kind]))
        grid = grid.assign(bits=16.0, source="vLLM 1.0")
        return grid.assign(time=LONGER[kind] * fit.predict(kind, grid, am.cluster(device))), 0

    monkeypatch.setattr(aiconfigurator, "rows", rows)


def prepared(chip, phase="decode", **work):
    sizes = {"batch": 8, "context": 2048, "phase": phase, **work}
    return prepare(am.load("model", "llama-3.1-8b"), chip, am.workload(**sizes))


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_operators_of_a_step_take_what_the_tables_say(warm, tables, chip, phase):
    inputs = prepared(chip, phase, batch=8 if phase == "decode" else 4, context=2048 if phase == "decode" else 1024)
    bare, known = evaluate(inputs), evaluate(hybrid.corrected(inputs, "vllm"))
    ratio = (known.time / bare.time).to_series()
    # a step's attention writes its cache too: the law sees what it sees in both, so that the ratio stays
    assert ratio["attention"] == pytest.approx(LONGER[f"{phase} attention"], rel=0.02)  # what fades within an octave
    if phase == "decode":
        assert ratio["mlp_up"] == pytest.approx(LONGER["matmul"], rel=0.02)
    assert f"{phase} attention" in known.notes
    assert ratio["mlp_norm"] == pytest.approx(1.0, rel=1e-12)  # no table holds it
    # all neighbours agree, so that the interval has no width but what fades
    width = (known.upper / known.lower).to_series()
    assert width["attention"] < 1.05 < (bare.upper / bare.lower).to_series()["attention"]


def test_far_from_all_measured_shapes_the_law_stands_alone(warm, tables, chip):
    inputs = prepared(chip, batch=np.float64(8), context=2048)
    wide = hybrid.corrected(prepared(chip, batch=1, context=131072), "vLLM")
    near = hybrid.corrected(inputs, "vLLM")
    stretch = [q.operators[hybrid._STRETCH][list(q.table.names).index("attention")].item() for q in (near, wide)]
    assert abs(np.log(stretch[1])) < 0.5 * abs(np.log(stretch[0]))


def test_axes_of_the_workload_are_kept(warm, tables, chip):
    import xarray as xr

    axis = xr.DataArray([2048.0, 4096.0], dims="context", coords={"context": [2048, 4096]})
    known = evaluate(hybrid.corrected(prepared(chip, context=axis), "vLLM"))
    alone = evaluate(hybrid.corrected(prepared(chip, context=4096), "vLLM"))
    assert float(known.step_time.sel(context=4096)) == pytest.approx(float(alone.step_time), rel=1e-12)


def test_what_was_not_measured_keeps_the_law(warm, tables, chip):
    eight = prepared(chip, weight_bits=8, activation_bits=8, kv_bits=8)
    matmuls = [r for r, name in enumerate(eight.table.names) if name == "mlp_up"]
    assert hybrid.corrected(eight, "vLLM").operators[hybrid._STRETCH, matmuls].item() == 1.0


def test_another_chip_or_framework_is_refused(tables, chip):
    with pytest.raises(SpecError, match="give one of vLLM 1.0"):
        hybrid.corrected(prepared(chip), "TensorRT-LLM")
    other = am.cluster(am.override(chip.device, l2_capacity="100MB"), 1)
    with pytest.raises(SpecError, match="l2.capacity"):
        hybrid.corrected(prepared(other), "vLLM")
    # how much of the memory an engine takes changes no time
    room = am.cluster(am.override(chip.device, {"hbm.reserved": "8GB"}), 1)
    found = hybrid.corrected(prepared(room), "vLLM").operators
    assert (found == hybrid.corrected(prepared(chip), "vLLM").operators).all()


def test_interpolation_between_neighbours():
    known = np.array([[0.0], [1.0], [2.0], [3.0]])
    values = np.array([0.0, 1.0, 2.0, 3.0])
    assert hybrid.interpolated(values, known, np.array([[1.0]]))[0] == pytest.approx(1.0, abs=0.02)
    left = hybrid.interpolated(values, known, known, leave_out=True)
    # the second from the others by inverse squared distance: (0 x 1/1 + 2 x 1/1 + 3 x 1/4) / (1 + 1 + 1/4)
    assert left[1] == pytest.approx((0.0 + 2.0 + 0.75) / 2.25, rel=0.01)
