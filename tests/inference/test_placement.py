"""Where weights and KV cache lie, and what that does to a step: against hand-computed times and reversed knobs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from builders import make_machine, make_operator

import accelmodel as am
from accelmodel.errors import Infeasible
from accelmodel.inference.kept import kv_bytes_per_token
from accelmodel.inference.machine import machine
from accelmodel.inference.memory import expert_weights, memory_per_device
from accelmodel.inference.placement import fits, kv_room, whole_heads
from accelmodel.laws.attention import attention
from accelmodel.laws.matmul import matmul
from accelmodel.laws.types import ATTENTION

H100 = am.load("device", "h100-sxm")
KV = {"tier.holds": "kv", "tier.capacity": "1TB", "tier.bandwidth": "1TB/s"}
LLAMA = am.load("model", "llama-3-8b")


def step(device, devices=1, model="llama-3-8b", **work):
    asked = {"phase": "decode", "batch": 8, "context": 8192, "weight_bits": 16, "activation_bits": 16, "kv_bits": 16}
    return am.time_step(model, am.cluster(device, devices=devices), {**asked, **work})


def rows(found):
    return dict(zip(found.operator.values.tolist(), found.time.values.tolist(), strict=True))


# --- laws


def test_operands_come_from_where_they_lie():
    op = make_operator(m=1, n=4096, k=4096, weight_bytes=2.0 * 4096**2, input_bytes=0.0, output_bytes=0.0, bits=16.0)
    plain, far = matmul(op, make_machine()), matmul(op, make_machine(weight_excess=3.0))
    assert far.hbm_time == pytest.approx(4.0 / 1.5e12)
    assert far.hbm_bytes == plain.hbm_bytes
    routed = op._replace(experts=1.0)
    assert matmul(routed, make_machine(weight_excess=3.0)).hbm_time == plain.hbm_time
    assert matmul(routed, make_machine(expert_excess=1.0)).hbm_time == pytest.approx(2.0 / 1.5e12)


def test_attention_beside_its_memory_is_the_roofline_of_that_memory():
    """8 sequences x 8 KV heads, 4 query heads each, 1000 keys of 256 numbers: 2 bytes and 8 operations a number."""
    op = make_operator(
        kind=ATTENTION, groups=64.0, m=4.0, n=1000.0, k=256.0, bits=16.0, weight_bytes=64 * 1000 * 256 * 2.0,
        input_bytes=1e4, output_bytes=1e4,
    )  # fmt: skip
    # 33 us beside the memory, where a tile alone would begin for 100 us on the chip
    cost = attention(op, make_machine(kv_excess=0.5, near_flop_time=1e-13, attention_tile_time=1e-4))
    assert cost.compute == pytest.approx(64 * 4 * 1000 * 256 * 2 * 1e-13)
    assert cost.hbm_time == pytest.approx(1.5 / 1.5e12)
    assert cost.hbm_bytes == op.weight_bytes
    assert cost.l2 == pytest.approx(2e4 / 5e12)


# --- a second memory


def test_keys_from_a_slower_memory_take_as_much_longer():
    near, far = rows(step(H100)), rows(step(am.override(H100, KV)))
    keys = 8 * 8192 * kv_bytes_per_token(LLAMA) / 1e12
    assert far["attention"] == pytest.approx(keys, rel=0.05)
    assert far["attention"] > 2.0 * near["attention"]
    assert {name: time for name, time in far.items() if name != "attention"} == {
        name: time for name, time in near.items() if name != "attention"
    }


def test_a_memory_as_fast_as_hbm_changes_nothing_but_what_fits():
    same = am.override(H100, {**KV, "tier.bandwidth": H100.hbm.bandwidth * H100.hbm.share})
    assert rows(step(same)) == pytest.approx(rows(step(H100)))
    with pytest.raises(Infeasible, match="does not fit"):
        step(H100, batch=128)
    assert bool(step(same, batch=128).feasible)
    with pytest.raises(Infeasible, match="for kv alone, 10 GB in its second memory"):
        step(am.override(same, {"tier.capacity": "10GB"}), batch=128)


def test_more_of_a_second_memory_is_never_slower():
    base = am.override(H100, {**KV, "tier.compute": "8TFLOP/s"})
    for name, values in (("tier.bandwidth", [0.5e12, 1e12, 4e12, 16e12]), ("tier.compute", [1e12, 4e12, 2e13])):
        times = step(am.override(base, {name: values})).step_time.values
        assert (np.diff(times) <= 0.0).all(), name
        assert times[0] > times[-1], name


def test_compute_beside_the_memory_needs_none_of_the_chip():
    wide = am.override(H100, {**KV, "tier.bandwidth": "40TB/s", "tier.compute": "400TFLOP/s"})
    keys = 8 * 8192 * kv_bytes_per_token(LLAMA) / 40e12
    launches = 32 * (H100.compute.launch_time + H100.attention.time)
    assert rows(step(wide))["attention"] == pytest.approx(keys + launches, rel=0.01)


def test_experts_and_weights_in_a_second_memory():
    work = {"model": "mixtral-8x7b", "batch": 1, "context": 1024}
    big = am.override(H100, {"hbm.capacity": "200GB"})
    held = {"tier.capacity": "1TB", "tier.bandwidth": "60GB/s"}
    near = rows(step(big, **work))
    experts = rows(step(am.override(big, {**held, "tier.holds": "experts"}), **work))
    weights = rows(step(am.override(big, {**held, "tier.holds": "weights"}), **work))
    assert experts["expert_up_moe"] > 20.0 * near["expert_up_moe"]
    assert experts["qkv_projection"] == near["qkv_projection"]
    assert weights["qkv_projection"] > 20.0 * near["qkv_projection"]
    assert weights["attention"] == near["attention"]


def test_routed_experts_are_most_of_mixtral():
    model = am.load("model", "mixtral-8x7b")
    work = am.workload(phase="decode", batch=1, context=1024, weight_bits=16)
    assert expert_weights(model, work) == pytest.approx(2.0 * 32 * 8 * 3 * 4096 * 14336)


def test_what_lies_in_a_second_memory_is_not_prefetched():
    chip = am.override(H100, KV)
    asked = {"phase": "decode", "batch": 8, "context": 8192, "tp": 8, "weight_bits": 16, "kv_bits": 16}
    found = am.time_step("llama-3-70b", am.cluster(chip), asked, "preserve")
    fetched = dict(zip(found.operator.values.tolist(), found.admitted_bytes.values.tolist(), strict=True))
    assert fetched["attention"] == 0.0
    assert fetched["qkv_projection"] > 0.0


def test_answers_say_where_things_lie():
    assert "keys and values lie in its second memory" in step(am.override(H100, KV)).attrs["notes"]
    assert "no [hbm]" in step("wse-3").attrs["notes"]
    assert "second memory" not in step(H100).attrs["notes"]


def test_room_for_kv_is_that_of_the_memory_that_holds_it():
    work = am.workload(phase="decode", batch=1, context=128, weight_bits=16)
    near, far = kv_room(LLAMA, H100, work, 0.9), kv_room(LLAMA, am.override(H100, KV), work, 0.9)
    assert near == pytest.approx(0.9 * H100.hbm.capacity - memory_per_device(LLAMA, work)["weights"], rel=1e-4)
    assert far == pytest.approx(0.9e12)
    assert kv_room(LLAMA, am.override(H100, {**KV, "hbm.capacity": "10GB"}), work, 0.9) < 0.0


# --- chips without HBM


def test_weights_of_a_chip_without_hbm_come_at_the_rate_of_its_sram():
    """Llama 3 8B on one wafer whose SRAM brings 1 TB/s: 15 GB of matrices take 15 ms."""
    wafer = am.override(am.load("device", "wse-3"), {"l2.bandwidth": "1TB/s", "hbm.share": 1.0, "compute.cores": 8})
    assert float(step(wafer, batch=1, context=128).step_time) == pytest.approx(15.0e9 / 1e12, rel=0.06)


def test_a_chip_without_hbm_says_how_many_hold_a_model():
    with pytest.raises(Infeasible, match=r"all of it lies in SRAM, so for example \d+ devices, tp \d+ and pp \d+"):
        step("groq-lpu", devices=8, batch=1, context=128)


def test_heads_are_cut_inside_where_weights_lie_in_sram():
    work = am.workload(phase="decode", batch=1, context=1024, tp=128)
    cut = whole_heads(LLAMA, am.load("device", "groq-lpu"), work)
    assert (cut.heads, cut.kv_heads, cut.head_dim) == (512.0, 128.0, 8.0)
    assert kv_bytes_per_token(cut) == kv_bytes_per_token(LLAMA)
    assert memory_per_device(cut, work)["kv_cache"] == pytest.approx(1024 * kv_bytes_per_token(LLAMA) / 128)
    assert whole_heads(LLAMA, H100, work) is LLAMA


def test_tensor_ranks_may_be_more_than_heads_without_hbm():
    found = step("groq-lpu", devices=512, batch=1, context=1024, tp=64, pp=8, weight_bits=8)
    assert "heads are cut inside" in found.attrs["notes"]
    with pytest.raises(am.SpecError, match="tp above the 32 heads"):
        step("h100-sxm", devices=64, batch=1, context=1024, tp=64)


def test_fits_follows_the_axis_of_a_capacity():
    chips = am.override(am.load("device", "wse-3"), {"l2.capacity": [1e9, 44e9]})
    assert fits(LLAMA, chips, am.workload(phase="decode", batch=1, context=128)).values.tolist() == [0.0, 1.0]


# --- dies, slices


@pytest.mark.parametrize(("dies", "limit"), [(2.0, 4e12), (4.0, 16e12 / 3.0), (8.0, 64e12 / 7.0)])
def test_what_crosses_between_dies_limits_memory_and_cache(dies, limit):
    """Of a die's share 1 / n of all traffic, 1 - 1 / n comes over its own links: n / (1 - 1 / n) times 1 TB/s."""
    chip = am.override(H100, {"dies": dies, "die_to_die.bandwidth": "1TB/s", "l2.copies": 1.0})
    found = machine(am.cluster(chip))
    assert found["l2_rate"] == pytest.approx(min(limit, H100.l2.bandwidth))
    assert found["hbm_rate"] == pytest.approx(min(limit, H100.hbm.bandwidth * H100.hbm.share))


def test_where_each_die_keeps_what_it_reads_only_memory_crosses():
    chip = am.override(H100, {"dies": 4.0, "die_to_die.bandwidth": "0.1TB/s", "l2.copies": [1.0, 2.0, 4.0]})
    found = machine(am.cluster(chip))
    assert found["l2_rate"].values.tolist() == pytest.approx([0.1e12 * 16 / 3, 0.1e12 * 16 / 2, H100.l2.bandwidth])
    assert found["hbm_rate"] == pytest.approx(0.1e12 * 16 / 3)


def test_placing_data_brings_the_limit_back_and_one_die_has_none():
    one_copy = am.override(H100, {"l2.copies": 1.0})
    half = am.override(one_copy, {"dies": 2.0, "die_to_die.bandwidth": "0.5TB/s", "die_to_die.interleaved": 0.5})
    assert machine(am.cluster(half))["l2_rate"] == pytest.approx(4e12)
    alone = am.override(one_copy, {"dies": [1.0, 2.0], "die_to_die.bandwidth": "0.5TB/s"})
    assert machine(am.cluster(alone))["l2_rate"].values.tolist() == [H100.l2.bandwidth, 2e12]
    assert machine(am.cluster(H100))["l2_rate"] == H100.l2.bandwidth


def test_crossing_adds_its_latency_to_each_operator():
    far = am.override(H100, {"dies": 2.0, "die_to_die.bandwidth": "100TB/s", "die_to_die.latency": "1us"})
    one, two = rows(step(H100)), rows(step(far))
    assert two["mlp_norm"] - one["mlp_norm"] == pytest.approx(32e-6)


def test_l2_bandwidth_grows_with_its_slices_up_to_what_cores_draw():
    slices = {"l2.slice_capacity": "0.5MB", "l2.slice_bandwidth": "0.1TB/s"}
    chip = am.override(H100, {**slices, "l2.capacity": [10e6, 25e6, 50e6, 100e6]})
    assert machine(am.cluster(chip))["l2_rate"].values.tolist() == pytest.approx([2e12, 5e12, 9.5e12, 9.5e12])


def test_the_two_dies_of_blackwell_take_nothing_from_what_was_measured_through_both():
    chip = am.load("device", "b200-sxm")
    apart = am.override(chip, {"die_to_die.bandwidth": 0.0})
    assert json.dumps(rows(step(chip))) == json.dumps(rows(step(apart)))


def test_slices_of_sram_limit_what_weights_come_at():
    """Ten slices of 0.1 TB/s are the 1 TB/s that the whole is not given to be."""
    slices = {"l2.capacity": "20GB", "l2.slice_capacity": "2GB", "l2.slice_bandwidth": "0.1TB/s"}
    wafer = am.override(am.load("device", "wse-3"), {**slices, "hbm.share": 1.0, "compute.cores": 8})
    plain = am.override(wafer, {"l2.slice_capacity": 0.0, "l2.slice_bandwidth": 0.0, "l2.bandwidth": "1TB/s"})
    sliced, whole = (float(step(chip, batch=1, context=128).step_time) for chip in (wafer, plain))
    assert sliced == pytest.approx(whole, rel=1e-12)


def test_nothing_is_prefetched_where_all_lies_in_sram():
    found = step("wse-3", devices=8, tp=8, context=1024)
    ahead = am.time_step(
        "llama-3-8b",
        am.cluster("wse-3", devices=8),
        am.workload(phase="decode", batch=8, context=1024, tp=8),
        "preserve",
    )
    assert float(ahead.prefetched_bytes) == 0.0
    # 1e-12: windows are added up apart
    assert float(ahead.step_time) == pytest.approx(float(found.step_time), rel=1e-12)


#: a field of a second memory, of what joins dies, of slices or of widening → what more of it is worth
_RESOURCES = {
    "die_to_die.bandwidth": 2.0, "die_to_die.latency": 0.5, "die_to_die.interleaved": 0.5, "tier.bandwidth": 2.0,
    "tier.compute": 2.0, "l2.slice_bandwidth": 2.0, "l2.capacity": 2.0, "matmul.convert_width": 2.0,
    "hbm.bandwidth": 2.0,
}  # fmt: skip
_PARTS = {
    "dies": {"dies": 8, "die_to_die.bandwidth": "1TB/s", "die_to_die.latency": "300ns", "l2.copies": 8},
    "keys": KV,
    "attention": {**KV, "tier.bandwidth": "8TB/s", "tier.compute": "5TFLOP/s"},
    "weights": {**KV, "tier.holds": "weights"},
    "experts": {**KV, "tier.holds": "experts"},
    "slices": {"l2.slice_capacity": "1MB", "l2.slice_bandwidth": "100GB/s"},
    "sram": {
        "hbm.capacity": 0.0, "hbm.bandwidth": 0.0, "l2.capacity": "40GB", "l2.bandwidth": "40TB/s",
        "l2.slice_capacity": "1GB", "l2.slice_bandwidth": "0.7TB/s",
    },
}  # fmt: skip


@pytest.mark.parametrize("parts", _PARTS)
@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_more_of_any_part_is_never_slower(parts, phase):
    chip = am.override(H100, _PARTS[parts])
    given = {"model": "mixtral-8x7b", "phase": phase, "context": 2048, "weight_bits": 4, "kv_bits": 8}
    before = float(step(chip, **given).step_time)
    for field, factor in _RESOURCES.items():
        section, _, name = field.partition(".")
        held = getattr(getattr(chip, section), name)
        if held:
            after = float(step(am.override(chip, {field: held * factor}), **given).step_time)
            assert after <= before * (1.0 + 1e-9), field
