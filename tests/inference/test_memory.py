"""What a device must hold, by hand."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import accelmodel as am
from accelmodel.errors import Infeasible
from accelmodel.inference.memory import memory_per_device, usable_memory
from accelmodel.specs.find import available
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.layer_kinds import Dense, Experts, Grouped
from accelmodel.specs.workload import Workload

#: of Qwen2.5-7B: q and o of 28 heads of 128, k and v of 4, and a gated mlp
QWEN_LAYER = 2 * 3584 * 3584 + 2 * 3584 * 512 + 3 * 3584 * 18944
QWEN_TABLE = 152_064 * 3584
HBM = 10e9


def qwen(**changes):
    return am.override(am.load("model", "qwen2-7b"), **changes)


def held(model, **work):
    return memory_per_device(model, Workload("decode", 1.0, 1024.0, **work))


def test_the_tables_lie_on_the_first_and_on_the_last_stage():
    found = held(qwen(), pp=4.0)
    assert found["weights"] == 2 * (7 * QWEN_LAYER + QWEN_TABLE)  # 4.35 GB, and not 5.44
    assert found["kv_cache"] == 7 * 2 * 4 * 128 * 2 * 1024
    assert held(qwen())["weights"] == 2 * (28 * QWEN_LAYER + 2 * QWEN_TABLE)


def test_tied_tables_are_one_on_one_stage_and_lie_on_both_ends_of_a_pipeline():
    assert held(qwen(tied_embeddings=True))["weights"] == 2 * (28 * QWEN_LAYER + QWEN_TABLE)
    assert held(qwen(tied_embeddings=True), pp=2.0)["weights"] == 2 * (14 * QWEN_LAYER + QWEN_TABLE)


def test_a_remainder_of_layers_goes_where_no_table_is():
    # 28 layers over 5 stages: 5, 6, 6, 6, 5; a table is worth more than two layers
    assert held(qwen(), pp=5.0)["weights"] == 2 * (5 * QWEN_LAYER + QWEN_TABLE)
    small = qwen(vocabulary=1024)
    assert held(small, pp=5.0)["weights"] == 2 * 6 * QWEN_LAYER
    assert held(small, pp=5.0)["kv_cache"] == 6 * 2 * 4 * 128 * 2 * 1024


def test_long_caches_decide_which_stage_is_the_fullest():
    work = Workload("decode", 64.0, 32768.0, pp=5.0)
    found = memory_per_device(qwen(), work)
    assert found["kv_cache"] == 6 * 2 * 4 * 128 * 2 * 64 * 32768
    assert found["weights"] == 2 * 6 * QWEN_LAYER


def test_a_tower_lies_on_the_first_stage_alone():
    tower = 600e6
    seen = qwen(tower_parameters=tower)
    assert held(seen, pp=4.0)["weights"] == 2 * (7 * QWEN_LAYER + QWEN_TABLE + tower)
    small = qwen(tower_parameters=1e6, vocabulary=1024)
    assert held(small, pp=5.0)["weights"] == 2 * 6 * QWEN_LAYER


def test_dense_layers_stand_first_and_the_fullest_stage_has_experts_in_all_of_its_layers():
    model = LanguageModel(
        name="mixture", layers=8, hidden=64, vocabulary=64, heads=4, kv_heads=4, head_dim=16, ffn=128, gated=True,
        experts=16, experts_per_token=2, expert_ffn=64, dense_layers=2,
    )  # fmt: skip
    attention, experts, router = 4 * 64 * 64, 16 * 3 * 64 * 64, 16 * 64
    found = memory_per_device(model, Workload("decode", 1.0, 1.0, pp=4.0))
    assert found["weights"] == pytest.approx(2 * (2 * (attention + experts + router) + 64 * 64), rel=1e-12)  # rounding
    alone = memory_per_device(model, Workload("decode", 1.0, 1.0))
    dense = 2 * 3 * 64 * 128
    whole = 8 * attention + 6 * (experts + router) + dense + 2 * 64 * 64
    assert alone["weights"] == pytest.approx(2 * whole, rel=1e-12)  # rounding


GEMMA = {"heads": 32, "kv_heads": 16, "head_dim": 128}


def gemma():
    """As Gemma 3 27B: of each six layers the last one looks back without end, ten of 62."""
    kinds = (Grouped("full", 10, **GEMMA), Grouped("window", 52, window=1024, **GEMMA))
    return LanguageModel(
        name="gemma", layers=62, hidden=5376, vocabulary=1024, ffn=21_504, gated=True, attention=kinds, **GEMMA
    )


def test_the_fullest_stage_has_one_more_of_the_layers_that_keep_most():
    """15, 16, 16 and 15 layers, with 2, 3, 2 and 3 that keep all 32768 tokens."""
    found = memory_per_device(gemma(), Workload("decode", 8.0, 32768.0, pp=4.0))
    assert found["kv_cache"] == pytest.approx(8 * 2 * 16 * 128 * 2 * (3 * 32768 + 13 * 1024), rel=1e-12)  # rounding
    alone = memory_per_device(gemma(), Workload("decode", 8.0, 32768.0))
    assert alone["kv_cache"] == pytest.approx(8 * 2 * 16 * 128 * 2 * (10 * 32768 + 52 * 1024), rel=1e-12)  # rounding


def test_experts_that_alternate_with_dense_layers_are_spread_as_they_stand():
    """As Llama 4 Maverick: every other layer; a stage of three has two with experts."""
    model = LanguageModel(
        name="alternating", layers=6, hidden=64, vocabulary=64, heads=4, kv_heads=4, head_dim=16, ffn=128, gated=True,
        mlp=(Dense("dense", 3, 128), Experts("experts", 3, 16, 1, 64)),
    )  # fmt: skip
    attention, dense, experts = 4 * 64 * 64, 3 * 64 * 128, 16 * 3 * 64 * 64 + 16 * 64
    found = memory_per_device(model, Workload("decode", 1.0, 1.0, pp=2.0))
    assert found["weights"] == pytest.approx(2 * (3 * attention + dense + 2 * experts + 64 * 64), rel=1e-12)  # rounding


def test_stages_along_an_axis_are_those_of_each_degree():
    degrees = [1.0, 2.0, 4.0, 5.0]
    axis = xr.DataArray(degrees, dims="pp", coords={"pp": degrees})
    found = held(qwen(), pp=axis)
    for part in ("weights", "kv_cache"):
        assert np.array_equal(found[part], [held(qwen(), pp=pp)[part] for pp in degrees])


# ------------------------------------------------------------------ what a device offers


def chip(**hbm):
    device = am.load("device", "a100-sxm-80gb")
    return am.override(device, {f"hbm.{name}": value for name, value in hbm.items()})


def test_what_the_driver_keeps_is_not_usable():
    device = chip(capacity=HBM, reserved=1e9)
    assert usable_memory(device) == 9e9
    assert usable_memory(device, 0.8) == 8e9  # an engine's share is of the whole device
    assert usable_memory(device, 0.95) == 9e9
    assert usable_memory(chip(capacity=HBM, reserved=2 * HBM)) == 0.0


def test_a_step_fits_up_to_what_is_usable():
    work = {"phase": "decode", "batch": 1, "context": 1024}
    needed = sum(memory_per_device(qwen(), am.workload(**work)).values())
    exact = chip(capacity=needed + 1e9, reserved=1e9)
    assert am.time_step(qwen(), am.cluster(exact, 1), work).feasible
    with pytest.raises(Infeasible, match=r"less 1\.001 GB kept back"):
        am.time_step(qwen(), am.cluster(replace(exact, hbm=replace(exact.hbm, reserved=1.001e9)), 1), work)


@pytest.mark.parametrize("name", available("device"))
def test_every_device_keeps_something_and_offers_most(name):
    device = am.load("device", name)
    if device.hbm.capacity == 0.0:
        assert (device.memory.reserved, device.memory.capacity) == (0.0, device.l2.capacity)
        return
    assert 0.0 < device.hbm.reserved < 0.1 * device.hbm.capacity
