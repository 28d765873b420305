"""Hosting: times of a hosted model against those of ``time_step``, and offloading as an axis."""

from __future__ import annotations

import numpy as np
import pytest

import accelmodel as am
from accelmodel.cloud.hosting import Setup, host
from accelmodel.cloud.infersave import Task
from accelmodel.errors import SpecError
from accelmodel.inference.memory import memory_per_device
from accelmodel.serving import step_times
from accelmodel.specs.load import load

ONLINE, OFFLINE = Task(32.0, 128.0, 512.0), Task(32.0, 1024.0, 128.0)
FLEXGEN = load("engine", "flexgen")
MODEL = load("model", "opt-2.7b")


def test_device_times_are_those_of_time_step(warm):
    chips = [am.cluster(load("device", name), 1) for name in ("t4", "l4")]
    sizes, lengths = step_times.axis("batch", [1.0, 32.0]), step_times.axis("context", [200.0, 700.0])
    work = am.workload(phase="decode", batch=sizes, context=lengths)
    found = step_times.device_times(MODEL, chips, work, [sizes, lengths])
    attention, rest = step_times.split_times(MODEL, chips, work, [sizes, lengths])
    assert attention + rest == pytest.approx(found, rel=1e-12)
    for i, chip in enumerate(chips):
        step = am.time_step(MODEL, chip, am.workload(phase="decode", batch=32, context=700))
        assert found[i, 1, 1] == pytest.approx(float(step.step_time), rel=1e-12)
        assert attention[i, 1, 1] == pytest.approx(float(step.time.sel(operator="attention")), rel=1e-12)


def test_mean_decode_step_is_the_mean_over_all_steps(warm):
    """Three nodes against every step of the answer, within 0.5 %."""
    instance = load("instance", "g6.xlarge")
    found = host(MODEL, [instance], ONLINE, Setup(FLEXGEN)).isel(instance=0, batch=0)
    lengths = step_times.axis("context", np.arange(129.0, 641.0))
    work = am.workload(phase="decode", batch=32, context=lengths)
    every = step_times.device_times(MODEL, [am.cluster(load("device", "l4"), 1)], work, [lengths])[0].mean()
    assert float(found.decode) == pytest.approx(every + 32 * FLEXGEN.layer_time, rel=0.005)


def test_ratios_are_an_axis_and_more_offloading_is_never_faster(warm):
    names = ["g4dn.xlarge", "g6e.xlarge"]
    found = host(MODEL, [load("instance", n) for n in names], OFFLINE, Setup(FLEXGEN), ratio=np.linspace(0, 1, 5))
    assert found.sizes == {"instance": 2, "batch": 1, "ratio": 5}
    fits = found.feasible.values
    assert not fits[0, 0, 0]  # 12 GB of KV cache beside 5 GB of weights on 16 GB
    for name in ("prefill", "decode", "loads", "host", "tps_total", "tps_output"):
        assert (np.isfinite(found[name].values) == fits).all()
    assert all((np.diff(row[fit]) >= 0.0).all() for row, fit in zip(found.decode.values[:, 0], fits[:, 0], strict=True))
    assert found.feasible.values[1, 0, 0]
    assert all("units" in found[name].attrs for name in found)


def test_memory_rule_of_the_released_code_works_with_physical_time(warm):
    four = [load("instance", n) for n in ("g4dn.xlarge", "g6.xlarge", "g5.xlarge", "g6e.xlarge")]
    found = host(MODEL, four, OFFLINE, Setup(FLEXGEN, memory_rule="released-code"))
    assert found.offload_ratio.values[:, 0].tolist() == [1.0, 0.6, 0.6, 0.0]


@pytest.mark.parametrize(("factor", "ratios"), [(0.8, [1.0, 0.7, 0.7, 0.0]), (0.85, [1.0, 0.6, 0.6, 0.0]),
                                                (0.87, [1.0, 0.5, 0.5, 0.0]), (0.9, [1.0, 0.4, 0.4, 0.0])])  # fmt: skip
def test_the_safety_factor_of_the_released_code(factor, ratios):
    """The shares of the offline job on T4, L4, A10G and L40S as its code gives them, by the paper's time as well."""
    four = [load("instance", n) for n in ("g4dn.xlarge", "g6.xlarge", "g5.xlarge", "g6e.xlarge")]
    setup = Setup(FLEXGEN, memory_rule="released-code", safety_factor=factor)
    found = [
        host(MODEL, four, OFFLINE, setup, model).offload_ratio.values[:, 0] for model in ("physical", "as-published")
    ]
    assert found[0].tolist() == found[1].tolist() == ratios


def test_a_safety_factor_is_of_the_released_code_alone():
    for rule in ("", "algorithm-1"):
        with pytest.raises(SpecError, match="a safety factor is of the memory rule released-code"):
            Setup(FLEXGEN, memory_rule=rule, safety_factor=0.8)
    with pytest.raises(SpecError, match="safety factor"):
        Setup(FLEXGEN, memory_rule="released-code", safety_factor=1.2)


def test_flexgen_goes_through_a_layer_in_parts(warm):
    """Block of 144 prompts on one T4 with 208 GB beside it: activations of all of them at once would not fit."""
    instance = am.override(load("instance", "g4dn.xlarge"), host_memory=208e9, disk=1.5e12)
    task = Task(144.0, 512.0, 32.0)
    large = load("model", "opt-30b")
    found = host(large, [instance], task, Setup(FLEXGEN, "flexgen")).isel(instance=0, batch=0)
    assert bool(found.feasible)
    work = am.workload(phase="prefill", batch=144, context=512)
    assert float(memory_per_device(large, work)["activations"]) > load("device", "t4").hbm.capacity
    # all weights come over the host's link once a step, whatever the parts
    moved = 2.0 * 29.9e9 / instance.load_bandwidth
    assert moved * 0.75 < float(found.loads) <= float(found.decode) < 4.0 * moved


def test_values_below_16_bit_are_widened_by_passes_over_memory(warm):
    """A step on half of the bits takes longer by the bytes of its passes, less what fewer bytes save."""
    instance = load("instance", "g6e.xlarge")
    setup = Setup(FLEXGEN, "none", weight_bits=8.0, kv_bits=8.0)
    fused = Setup(am.override(FLEXGEN, widening_bytes=0.0), "none", weight_bits=8.0, kv_bits=8.0)
    apart, plain = (host(MODEL, [instance], OFFLINE, each).isel(instance=0, batch=0) for each in (setup, fused))
    chip = load("device", "l40s")
    weights = 12.0 * 32 * 2560**2
    cache = 32.0 * (1024 + 64) * 2 * 32 * 2560
    expected = 18.0 * (weights + cache) / (chip.hbm.bandwidth * chip.hbm.share)
    assert float(apart.decode - plain.decode) == pytest.approx(expected, rel=1e-6)
    wide = [host(MODEL, [instance], OFFLINE, Setup(each, "none")).decode.item() for each in (FLEXGEN, fused.engine)]
    assert wide[0] == wide[1]


def test_a_draft_of_fewer_heads_limits_the_tensor_ranks():
    drafts = {"speculative": 1, "acceptance": 0.5}
    large = load("model", "llama-3-70b")
    assert Setup(FLEXGEN).heads(large) == Setup(FLEXGEN, drafts=drafts).heads(large) == 64.0
    assert Setup(FLEXGEN, drafts={**drafts, "draft": "llama-3-8b"}).heads(large) == 32.0
    with pytest.raises(SpecError, match="speculative needs acceptance"):
        Setup(FLEXGEN, drafts={"speculative": 1})


def test_a_step_of_two_tokens_for_nothing_halves_the_time_of_one():
    """A draft without cost that is always taken: half of a step, its host included, of twice the rows."""
    instance = load("instance", "g6e.xlarge")
    free = Setup(FLEXGEN, drafts={"speculative": 1, "acceptance": 1.0, "draft": "n-gram"})
    plain, drafted = (
        host(MODEL, [instance], ONLINE, each).isel(instance=0, batch=0) for each in (Setup(FLEXGEN), free)
    )
    assert 0.5 <= float(drafted.decode / plain.decode) < 0.6
    assert float(drafted.host) == float(plain.host) / 2.0
    assert float(drafted.prefill) == float(plain.prefill)
