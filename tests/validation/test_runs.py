"""Whole runs that others timed on chips of makers of whom no tables were fitted: read, and held against the model."""

from __future__ import annotations

import numpy as np
import pytest

import accelmodel as am
from accelmodel.errors import SpecError
from accelmodel.specs import facts
from accelmodel.validation import runs

TEXT = """
[[run]]
device = "mi300x"
devices = 8
model = "llama-3.1-8b"
prompt = [128, 128]
answer = [1, 3]
batch = [2, 2]
time_s = [0.01, 0.02]
source = "rocm-vllm-docs"
locator = "here"
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    (tmp_path / "published").mkdir()
    (tmp_path / "sources.toml").write_text((facts.root() / "sources.toml").read_text(encoding="utf-8"))
    monkeypatch.setattr(facts, "root", lambda: tmp_path)
    return tmp_path / "published" / "x.toml"


def test_a_run_is_its_prompts_and_a_step_for_each_further_token(warm):
    one = runs.Run.model_validate(
        {
            "device": "mi300x", "devices": 8, "model": "llama-3.1-8b", "prompt": [128.0, 128.0], "answer": [1.0, 3.0],
            "batch": [2.0, 2.0], "time_s": [1.0, 1.0], "source": "rocm-vllm-docs", "locator": "here",
        }
    )  # fmt: skip
    chip = am.cluster("mi300x", devices=8)
    first = am.time_step("llama-3.1-8b", chip, am.workload(phase="prefill", batch=2, context=128, tp=8))
    further = am.time_step("llama-3.1-8b", chip, am.workload(phase="decode", batch=2, context=130, tp=8))
    found = runs.times(one)
    # where no engine is said the ends are those of a token, which hold one
    assert found.upper[0] == pytest.approx(float(first.ttft_upper), rel=1e-9)
    assert found.time[0] == pytest.approx(float(first.step_time), rel=1e-9)
    assert found.time[1] == pytest.approx(float(first.step_time) + 2.0 * float(further.step_time), rel=1e-9)
    assert np.all(found.lower < found.time)
    assert np.all(found.time < found.upper)


def test_runs_of_other_makers(warm):
    rows = runs.rows()
    by_device = {}
    for row in rows:
        by_device.setdefault(row["device"], []).append(row)
    assert {"mi250-die", "mi300x", "gaudi2", "gaudi3", "inferentia2", "ascend-910b3", "tpu-v5e"} == set(by_device)
    # asked of AMD's servers, to which nothing was fitted
    assert max(row["median_ape"] for row in by_device["mi250-die"]) <= 0.25
    assert max(row["median_ape"] for row in by_device["mi300x"]) <= 0.25
    assert np.median([row["median_ape"] for row in by_device["gaudi3"]]) <= 0.25
    # each maker's own runs, not those of all together: nine of ten, or of fewer than ten all but one
    for device, found in by_device.items():
        runs_of = sum(row["n"] for row in found)
        outside = sum((1.0 - row["covered"]) * row["n"] for row in found)
        assert outside <= max(0.15 * runs_of, 1.0) + 1e-9, device
    assert {row["split"] for row in by_device["mi250-die"]} == {"seen"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("[2, 2]", "[2]"), "batch needs 2 numbers"),
        (("[0.01, 0.02]", "[0.01, -0.02]"), "time_s"),
        (('"rocm-vllm-docs"', '"nobody"'), "nobody"),
        (("locator", "place"), "locator"),
    ],
)
def test_wrong_series_are_named(root, change, words):
    root.write_text(TEXT.replace(*change), encoding="utf-8")
    with pytest.raises(SpecError, match=words):
        runs.runs()
