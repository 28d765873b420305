"""Matmuls of experts: a hand-computed case, limits, and what must never make them faster."""

from __future__ import annotations

import pytest
from builders import changed, make_machine, make_operator
from hypothesis import given
from hypothesis import strategies as st

from accelmodel.laws.grouped import grouped
from accelmodel.laws.types import GROUPED

MACHINE = make_machine(
    cores=4, rate_16bit=1e12, tile_n=128, tile_k=64, store_rate=1e12, slice_time=0.0, expert_share=0.5,
    expert_tile_time=1e-6, expert_start=3e-6, launch=2e-6, l2_rate=1e15, l2_bytes=1e9, hbm_rate=1e12,
)  # fmt: skip


def product(**overrides):
    columns = {"kind": GROUPED, "groups": 3, "m": 16, "n": 256, "k": 640, "bits": 16, "experts": 1, "flops": 0}
    tiles = overrides.get("groups", columns["groups"])
    sizes = {
        "weight_bytes": 3 * 256 * 640 * 2,
        "input_bytes": tiles * 16 * 640 * 2,
        "output_bytes": tiles * 16 * 256 * 2,
    }
    return make_operator(**{**columns, **sizes, **overrides})


def test_tiles_of_experts_by_hand():
    cost = grouped(product(), MACHINE)
    # 3 x 2 tiles on 4 cores: 2 waves; 10 slices of 64 of 16 x 128 numbers each, at half of the rate
    slices = 10 * 2 * 16 * 128 * 64 / 0.5e12
    # 16 x 128 results of two bytes leave a core at a quarter of the rate
    assert cost.compute == pytest.approx(2 * (1e-6 + slices + 16 * 128 * 2 / 0.25e12), rel=1e-12)
    assert cost.start == pytest.approx(5e-6)
    # activations lie in L2
    assert cost.hbm_bytes == pytest.approx(3 * 256 * 640 * 2, rel=1e-6)


def test_few_tiles_draw_what_their_cores_can():
    machine = changed(MACHINE, l2_rate=2e12)
    assert grouped(product(groups=1, n=128), machine).hbm_time == pytest.approx(4 / 2e12)
    assert grouped(product(groups=8), machine).hbm_time == pytest.approx(1 / 1e12)


def test_narrow_weights_are_widened_once_a_tile():
    machine = changed(MACHINE, convert_rate=1e9)
    plain, narrow = (grouped(product(narrow=narrow), machine).compute for narrow in (1.0, 0.5))
    # two waves of 640 x 128 weights at 10⁹ a second, by what works at half of its rate
    assert narrow - plain == pytest.approx(2 * 640 * 128 / 1e9 / 0.5, rel=1e-9)


@given(st.floats(1.0, 500.0), st.floats(1.0, 4.0), st.sampled_from((16.0, 64.0, 128.0)))
def test_more_tiles_are_never_faster(tiles, more, rows):
    few, many = (grouped(product(groups=count, m=rows), MACHINE) for count in (tiles, tiles * more))
    assert many.compute >= few.compute
    assert many.l2 >= few.l2 * (1 - 1e-12)


@given(st.sampled_from(("rate_16bit", "expert_share", "store_rate", "l2_rate")), st.floats(1.0, 4.0), st.floats(1, 99))
def test_more_of_a_resource_is_never_slower(name, factor, tiles):
    machine = changed(MACHINE, l2_rate=1e12)
    better = changed(machine, **{name: getattr(machine, name) * factor})
    before, after = (grouped(product(groups=tiles), each) for each in (machine, better))
    assert max(after.compute, after.l2) <= max(before.compute, before.l2) * (1 + 1e-12)
