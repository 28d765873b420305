"""What a step says of its precisions, and what it costs to widen weights."""

from __future__ import annotations

import pytest

from accelmodel.inference.operators import operator_table
from accelmodel.inference.precisions import by_class, in_words, precisions
from accelmodel.inference.step import total_time
from accelmodel.serving.step_times import device_times
from accelmodel.specs.given import cluster, override, workload
from accelmodel.specs.load import load

A100, H100 = load("device", "a100-sxm-80gb"), load("device", "h100-sxm")
MODEL = load("model", "llama-3-8b")


def work(phase="decode", **bits):
    return workload(phase=phase, batch=1, context=2048, **bits)


def rows(device, **bits):
    table = operator_table(MODEL, work(**bits), device)
    return {name: {column: each[place] for column, each in table.columns.items()}
            for place, name in enumerate(table.names)}  # fmt: skip


def test_an_fp8_model_on_a_chip_without_fp8_runs_at_16_bit_with_weights_of_8():
    row = rows(A100, weight_bits="fp8", activation_bits="fp8")["mlp_up"]
    assert (row["bits"], row["integer"], row["narrow"]) == (16.0, 0.0, 0.5)
    assert row["weight_bytes"] == 2 * 14336 * 4096
    assert row["input_bytes"] == 4096 * 2
    own = rows(H100, weight_bits="fp8", activation_bits="fp8")["mlp_up"]
    assert (own["bits"], own["integer"], own["narrow"], own["input_bytes"]) == (8.0, 0.0, 1.0, 4096)


def test_8_bit_is_what_the_chip_has():
    assert rows(A100, weight_bits=8, activation_bits=8)["mlp_up"]["integer"] == 1.0
    assert rows(H100, weight_bits=8, activation_bits=8)["mlp_up"]["integer"] == 0.0


def test_scales_do_not_cost_half_the_rate():
    """Blocks of 128 x 128 with a scale of 32 bit: 8.002 bit, worked on at 8."""
    row = rows(H100, weight_bits=8 + 32 / 128**2, activation_bits=8)["mlp_up"]
    assert row["bits"] == 8.0


def test_the_head_keeps_16_bit():
    head = rows(H100, weight_bits=4.25)["head"]
    assert (head["bits"], head["narrow"], head["weight_bytes"]) == (16.0, 1.0, 128256 * 4096 * 2.0)


def test_gpt_oss_is_read_class_by_class():
    found = precisions(load("model", "gpt-oss-120b"), work(), H100)
    assert [(each["weights"], each["weight_bits"], each["matrix"], each["widened"]) for each in found] == [
        (["attention", "router", "tables"], 16.0, "bf16", False),
        (["experts"], 4.25, "bf16", True),
    ]
    assert {each["from"] for each in found} == {"file"}


def test_a_flag_wins_over_the_file():
    found = precisions(load("model", "gpt-oss-120b"), work(weight_bits=8), H100)
    assert [(each["weights"], each["weight_bits"], each["from"]) for each in found] == [
        (["attention", "experts", "router"], 8.0, "asked"),
        (["tables"], 16.0, "default"),
    ]


def test_in_words():
    asked = work(weight_bits="fp8", activation_bits="fp8")
    said = in_words(precisions(MODEL, asked, A100), MODEL, asked, A100)
    assert said == [
        "weights: attention, mlp 8 bit (asked) with activations of 16 bit, worked on widened to bf16; "
        "tables 16 bit (default)",
        "a100-sxm-80gb has no matrix unit for fp8 that is faster than at 16 bit",
    ]
    assert in_words(precisions(MODEL, work(), A100), MODEL, work(), A100) == []


def test_widening_costs_where_it_computes_and_hides_where_it_fetches():
    """But for the share of the shorter of computing and fetching that a matmul shows."""
    fast = cluster(override(H100, {"matmul.convert_width": 1e6}))
    usual = cluster(H100)
    found = {}
    for phase in ("prefill", "decode"):
        longer, short = (
            total_time(MODEL, chip, work(phase, weight_bits=4.25)).step_time.item() for chip in (usual, fast)
        )
        found[phase] = longer / short
        widened = 7e9 / (H100.compute.cores * H100.matmul.convert_width * H100.compute.clock)
        if phase == "decode":
            # slices go whole to a core
            assert longer - short <= 5.0 / 3.0 * H100.matmul.exposed * widened
    assert 1.04 <= found["prefill"] <= 1.2
    assert found["decode"] >= 1.0


def test_servers_of_several_devices_each_work_at_their_own_format():
    """Integers of 8 bit on one, floats on the other: the times are those of each alone."""
    both = [cluster(A100, 1), cluster(H100, 1)]
    asked = work("prefill", weight_bits=8, activation_bits=8)
    together = device_times(MODEL, both, asked, [])
    assert together == pytest.approx([total_time(MODEL, each, asked).step_time.item() for each in both], rel=1e-12)


def test_a_note_by_class_is_known():
    asked = work(weight_bits=8.0)
    assert by_class(in_words(precisions(MODEL, asked, A100), MODEL, asked, A100))
    assert not by_class(["tp 4 is the smallest of a node that fits"])
