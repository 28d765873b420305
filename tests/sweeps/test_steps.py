"""Requests, comparisons and operators of a sweep are those of the door."""

from __future__ import annotations

import numpy as np
import pytest

import accelmodel as am

FIXED = {"device": "ascend-910b2", "tp": 8, "weight_bits": 8.0, "activation_bits": 8.0, "kv_bits": 8.0}
MODELS = ["llama-3-8b", "mixtral-8x7b"]


def alike(one, other):
    """Calls of other lengths may add in another order."""
    return np.allclose(one, other, rtol=1e-12, atol=0.0)


def asked(command, fixed, axes):
    return am.sweep({"sweep": {"command": command}, "fixed": fixed, "axes": axes})


def test_preserve_is_what_speedups_answers(warm):
    found = asked("preserve", FIXED, {"model": MODELS, "batch": [1, 8], "context": [2048, 8192]})
    bits = {name: FIXED[name] for name in ("weight_bits", "activation_bits", "kv_bits")}
    door = am.speedups(MODELS, "ascend-910b2", [8], [1, 8], [2048, 8192], precision=bits).isel(tp=0)
    for name in ("baseline", "fused", "speedup", "prefetched_bytes"):
        assert alike(found[name].values, door[name].transpose("model", "batch", "context").values), name
    assert alike(found.time.values, door.preserve.transpose("model", "batch", "context").values)
    assert found.feasible.all()


def test_a_request_is_the_time_of_its_technique(warm):
    axes = {"technique": ["none", "preserve"], "context": [2048, 8192]}
    fixed = {**FIXED, "model": "llama-3-8b", "batch": 4}
    found = asked("request", fixed, axes)
    compared = asked("preserve", fixed, {"context": axes["context"]})
    assert alike(found.time.sel(technique="none").values, compared.baseline.values)
    assert alike(found.time.sel(technique="preserve").values, compared.time.values)


def test_drafts_and_mixed_steps_are_swept(warm):
    fixed = {**FIXED, "model": "llama-3-8b", "batch": 4, "context": 2048}
    mixed = asked(
        "step", {**fixed, "phase": "mixed", "draft": "eagle"}, {"prefill_tokens": [0, 64], "speculative": [0, 2]}
    )
    work = {key: value for key, value in fixed.items() if key not in ("device", "technique", "model")}
    more = {"prefill_tokens": [0, 64], "speculative": [0, 2], "draft": "eagle"}
    alone = am.total_time("llama-3-8b", "ascend-910b2", {"phase": "mixed", **work, **more})
    assert alike(mixed.step_time.values, alone.step_time.values)
    drafted = {**fixed, "speculative": 1, "draft": "n-gram", "phase": "end-to-end"}
    request = asked("request", drafted, {"acceptance": [0.0, 1.0]})
    assert float(request.time[0]) > 1.5 * float(request.time[1])


def test_operators_are_those_of_each_model(warm):
    fixed = {**FIXED, "batch": 4, "context": 4096, "technique": "preserve"}
    found = asked("operators", fixed, {"model": MODELS, "l2.capacity": [8e6, 104e6]})
    for model in MODELS:
        chip = am.override(am.load("device", "ascend-910b2"), l2_capacity=[8e6, 104e6])
        work = {key: value for key, value in fixed.items() if key not in ("device", "technique")}
        alone = am.time_step(model, chip, {"phase": "decode", **work}, "preserve")
        mine = found.sel(model=model)
        there = mine.sel(operator=alone.operator.values)
        for name in ("time", "lower", "upper", "flops", "link_bytes", "count"):
            assert alike(there[name].values, alone[name].transpose("l2_capacity", "operator").values), name
        assert there.bound.values.tolist() == alone.bound.transpose("l2_capacity", "operator").values.tolist()
        others = [name for name in found.operator.values if name not in alone.operator.values]
        assert float(mine.time.sel(operator=others).sum()) == 0.0
        assert float(abs(mine.time.sum("operator") / alone.step_time - 1.0).max()) < 1e-9


@pytest.mark.parametrize(
    ("part", "values", "unit"),
    [
        ("link.bandwidth", [1e10, 2e11], "B/s"),
        ("scale_out.bandwidth", [1e10, 2e11], "B/s"),
        ("link.start_up", [1e-6, 1e-5], "s"),
        ("model.layers", [16, 32], "1"),
        ("hbm.capacity", [1e9, 64e9], "B"),
    ],
)
def test_any_number_of_a_part_may_be_an_axis(warm, part, values, unit):
    fixed = {**FIXED, "model": "llama-3-8b", "batch": 4, "context": 4096}
    found = asked("step", fixed, {part: values})
    dim = part.replace(".", "_")
    assert found.step_time.dims == (dim,)
    assert found[dim].attrs["units"] == unit
    if part == "hbm.capacity":
        assert found.feasible.values.tolist() == [False, True]


def test_formats_may_be_swept(warm):
    fixed = {"model": "llama-3-8b", "batch": 1, "context": 2048, "weight_bits": 8, "activation_bits": 8}
    axes = {"device": ["a100-sxm-80gb", "h100-sxm"], "weight_format": ["fp8", "int8"]}
    found = asked("step", fixed, axes)
    for device in axes["device"]:
        for word in axes["weight_format"]:
            work = {"phase": "decode", **fixed, "weight_bits": word, "activation_bits": 8}
            work.pop("model")
            alone = am.time_step("llama-3-8b", device, work)
            assert alike(found.step_time.sel(device=device, weight_format=word).values, alone.step_time.values)


def test_energy_of_steps_is_that_of_the_door(warm):
    fixed = {**FIXED, "model": "llama-3-8b", "context": 4096, "technique": "preserve"}
    axes = {"batch": [1, 16], "hbm.bandwidth": [1e12, 2e12]}
    found, by_operator = (asked(command, fixed, axes) for command in ("step", "operators"))
    chip = am.override(am.load("device", "ascend-910b2"), {"hbm.bandwidth": [1e12, 2e12]})
    work = {key: value for key, value in fixed.items() if key not in ("device", "technique", "model")}
    work |= {"phase": "decode", "batch": [1, 16]}
    alone = am.time_step("llama-3-8b", chip, work, technique="preserve")
    for name in ("step_energy", "power", "power_stretch", "joules_per_token"):
        assert alike(found[name].values, alone[name].values), name
        assert alike(by_operator[name].values, alone[name].values), name
        assert found[name].attrs["units"] == alone[name].attrs["units"]
    assert alike(by_operator.energy.sum("operator").values, found.step_energy.values)
