"""Attention: query x key pairs counted one by one, list scheduling of tiles and chunks, hand values, invariants."""

from __future__ import annotations

import math

import pytest
from builders import make_machine, make_operator
from hypothesis import given
from hypothesis import strategies as st
from twins.scheduling import best_schedule

from accelmodel.laws.attention import KEY_CHUNK, attention
from accelmodel.laws.vectors import ATTENTION
from accelmodel.layers import mean_keys
from accelmodel.library import workload


def scores(groups, m, n, width, cache, **other):
    """An attention operator: ``m`` query rows on ``n`` keys in each group, and a cache of so many bytes."""
    columns = {
        "kind": ATTENTION,
        "groups": groups,
        "m": m,
        "n": n,
        "k": width,
        "weight_bytes": cache,
        "input_bytes": groups * m * width,
        "output_bytes": groups * m * width,
        "bits": 16,
        "flops": 2.0 * groups * m * n * width,
        "vector_ops": 21.0 * groups * m * n,
    }
    return make_operator(**{**columns, **other})


OPERATORS = st.builds(
    scores,
    st.integers(1, 64),
    st.integers(1, 2000),
    st.floats(1.0, 5000.0),
    st.sampled_from([128, 256, 1088]),
    st.floats(1e3, 1e9),
)
MACHINES = st.builds(
    lambda cores, tile, l2, ways: make_machine(cores=cores, tile_m=tile, l2_bytes=l2, l2_ways=ways),
    st.integers(1, 128),
    st.sampled_from([64, 128]),
    st.floats(0.0, 3e8),
    st.sampled_from([8, 16, 32]),
)


@given(st.integers(1, 60), st.integers(0, 59), st.integers(0, 70))
def test_prefill_pairs_are_counted_exactly(context, prefix, window):
    prefix = min(prefix, context - 1)
    pairs = sum(
        1
        for query in range(prefix, context)
        for key in range(context)
        if key <= query and (not window or query - key < window)
    )
    work = workload(phase="prefill", batch=1, context=context, prefix=prefix)
    # 1e-12: a division and a multiplication
    assert mean_keys(work, float(window)) * (context - prefix) == pytest.approx(pairs, rel=1e-12)


@given(st.integers(1, 1000), st.integers(0, 1200))
def test_decode_reads_every_key_in_reach(context, window):
    keys = sum(1 for key in range(context) if not window or context - 1 - key < window)
    assert mean_keys(workload(phase="decode", batch=1, context=context), float(window)) == keys


@given(st.integers(1, 400), st.integers(1, 64), st.integers(0, 90))
def test_chunks_of_a_prompt_add_up_to_the_whole(context, piece, window):
    def pairs(first, last):
        work = workload(phase="prefill", batch=1, context=last, prefix=first)
        return mean_keys(work, float(window)) * (last - first)

    pieces = sum(pairs(first, min(first + piece, context)) for first in range(0, context, piece))
    assert pieces == pytest.approx(pairs(0, context), rel=1e-12)  # rounding only


def test_hand_values_of_decode():
    # 4 sequences, 8 query heads on one KV head of width 128: 16 padded rows, 4 tiles of 8192 / 128 = 64 chunks
    machine = make_machine(cores=32, rate_16bit=8e12, vector_rate=1e15, l2_rate=5e12, hbm_rate=1.5e12, l2_bytes=0)
    cost = attention(scores(4, 8, 8192.0, 256, 4 * 8192 * 256.0), machine)
    steps = 4 * 64 // 32 + 1  # dealt evenly, and one to combine partial results
    busy = 4 * 64 / (steps * 32)
    assert cost.compute == pytest.approx(steps * 2 * 16 * 128 * 256 / 8e12, rel=1e-12)  # arithmetic alone
    assert cost.l2 == pytest.approx((4 * 8192 * 256 + 2 * 4 * 8 * 256) / (5e12 * busy), rel=1e-12)
    assert cost.hbm_bytes == pytest.approx(4 * 8192 * 256 + 2 * 4 * 8 * 256, rel=1e-12)
    assert cost.hbm_rate == pytest.approx(min(1.5e12, busy * 5e12), rel=1e-12)


def test_hand_values_of_the_softmax():
    machine = make_machine(cores=1, tile_m=128, rate_16bit=1e18, vector_rate=2e12, l2_bytes=1e12)
    op = scores(1, 128, 1024.0, 256, 1024 * 256.0)
    # one core, one tile: 8 chunks, no split; the vector unit is all there is
    assert attention(op, machine).compute == pytest.approx(21 * 128 * 1024 / 2e12, rel=1e-12)  # arithmetic alone


@given(OPERATORS, MACHINES)
def test_compiled_equals_python(op, machine):
    # 1e-9: the compiler may contract a multiply and an add
    assert tuple(attention(op, machine)) == pytest.approx(tuple(attention.py_func(op, machine)), rel=1e-9)


@given(OPERATORS, MACHINES)
def test_compute_time_is_that_of_dealing_tile_by_tile(op, machine):
    rows = min(machine.tile_m, 16 * math.ceil(op.m / 16))
    tiles, chunks = int(op.groups) * math.ceil(op.m / rows), math.ceil(op.n / KEY_CHUNK)
    steps = best_schedule(tiles, chunks, int(machine.cores))
    expected = steps * 2.0 * rows * KEY_CHUNK * op.k / machine.rate_16bit
    free = machine._replace(vector_rate=1e30)
    assert attention(op, free).compute == pytest.approx(expected, rel=1e-9)  # rounding only


@given(OPERATORS, MACHINES, st.floats(1.0, 8.0))
def test_more_of_anything_is_never_slower(op, machine, factor):
    before = attention(op, machine)
    for field in ("rate_16bit", "vector_rate", "l2_rate", "l2_bytes"):
        after = attention(op, machine._replace(**{field: getattr(machine, field) * factor}))
        # 1e-9: rounding only
        assert after.compute <= before.compute * (1.0 + 1e-9), field
        assert after.l2 <= before.l2 * (1.0 + 1e-9), field
        assert after.hbm_bytes <= before.hbm_bytes * (1.0 + 1e-9), field


@given(OPERATORS, MACHINES)
def test_finite_and_never_below_the_cache_once(op, machine):
    cost = attention(op, machine)
    assert all(math.isfinite(x) and x > 0.0 for x in cost)
    tiles = op.groups * math.ceil(op.m / min(machine.tile_m, 16 * math.ceil(op.m / 16)))
    most = op.weight_bytes * tiles / op.groups + op.input_bytes + op.output_bytes
    assert op.weight_bytes * (1.0 - 1e-12) <= cost.hbm_bytes <= most * (1.0 + 1e-12)  # rounding only
