"""Attention: query x key pairs counted one by one, list scheduling of tiles, hand values, invariants."""

from __future__ import annotations

import heapq
import math

import pytest
from builders import changed, make_machine, make_operator
from hypothesis import given
from hypothesis import strategies as st
from resources import BETTER, better

from accelmodel.inference.keys import mean_keys
from accelmodel.laws.attention import KEY_CHUNK, attention, attention_from, dealt, query_tile
from accelmodel.laws.jit import compiled
from accelmodel.laws.roofline import body_time, stream_time
from accelmodel.laws.types import ATTENTION
from accelmodel.specs.given import workload


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
    lambda groups, m, n, width, cache, uneven, narrow: scores(
        groups, m, n, width, cache, longest=n * uneven, narrow=narrow
    ),
    st.integers(1, 64),
    st.integers(1, 2000),
    st.floats(1.0, 5000.0),
    st.sampled_from([128, 256, 512, 1088]),
    st.floats(1e3, 1e9),
    st.sampled_from([0.0, 1.0, 1.3, 2.0]),
    st.sampled_from([1.0, 0.5]),
)
MACHINES = st.builds(
    lambda cores, tile, l2, ways, split, narrow, reread: make_machine(
        cores=cores, attention_rows=tile, l2_bytes=l2, l2_ways=ways, attention_split=split, attention_narrow=narrow,
        attention_reread=reread,
    ),
    st.integers(1, 128),
    st.sampled_from([64, 128, 256]),
    st.floats(0.0, 3e8),
    st.sampled_from([8, 16, 32]),
    st.sampled_from([0.0, 1.0]),
    st.sampled_from([0.0, 1.0]),
    st.sampled_from([0.0, 1.0]),
)  # fmt: skip


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


def matrix_and_softmax(rows, width, machine):
    return 2 * rows * KEY_CHUNK * width / machine.rate_16bit, rows * KEY_CHUNK / machine.softmax_rate


def decode_chunk(rows, width, machine):
    return sum(matrix_and_softmax(rows, width, machine))


def prefill_chunk(rows, width, machine):
    return math.hypot(*matrix_and_softmax(rows, width, machine))


def test_hand_values_of_decode():
    # 4 sequences, 8 query heads on one KV head of width 128: 16 padded rows, 4 tiles of 8192 / 128 = 64 chunks
    machine = make_machine(cores=32, l2_bytes=0)
    moved = 4 * 8192 * 256.0 + 2 * 4 * 8 * 256
    cost = attention(scores(4, 8, 8192.0, 256, 4 * 8192 * 256.0), machine)
    # 8 cores on each tile: whole tiles would draw 4 / 32 of half the L2 rate.  A tile begins and ends in its own time
    # and that of a chunk, of which a quarter shows: the 5.6 us of the cache are longer
    begun = 1e-7 + decode_chunk(16, 256, machine)
    assert cost.start == pytest.approx(2e-6 + 1e-6 + 1e-6 + 0.25 * begun, rel=1e-12)  # launch, attention, combination
    assert cost.compute == pytest.approx(begun + 8 * decode_chunk(16, 256, machine), rel=1e-12)
    assert cost.l2 == pytest.approx(moved / (0.5 * 5e12), rel=1e-12)
    assert cost.hbm_bytes == pytest.approx(moved, rel=1e-12)
    assert cost.hbm_time == 1.0 / 1.5e12


def test_hand_values_of_prefill():
    # 2 heads, 1024 queries in 8 tiles of 128 rows; on average 512.5 keys, that is 4.5 chunks with the masked half.
    # Four tiles a core: three mean ones after the longest, of 8 chunks
    machine = make_machine(cores=4, l2_bytes=1e12)
    cost = attention(scores(2, 1024, 512.5, 256, 2 * 1024 * 256 * 2.0, longest=1024.0), machine)
    steps = 3 * (512.5 / 128 + 0.5) + 8
    # four tiles a core begin and end, each in a chunk's time more; a quarter of the 0.7 us for the keys shows
    assert cost.start == pytest.approx(2e-6 + 1e-6 + 0.25 * 2 * 1024 * 256 * 2 / 1.5e12, rel=1e-12)
    assert cost.compute == pytest.approx(4 * 1e-7 + (4 + steps) * prefill_chunk(128, 256, machine), rel=1e-12)
    assert cost.hbm_bytes == pytest.approx(2 * 1024 * 256 * 2.0, rel=1e-6)  # all else stays in L2


def test_tiles_of_one_length_go_in_whole_waves():
    # 5 groups on 4 cores: two waves, each of a beginning and 3 chunks; the keys of the fifth are not split
    machine = make_machine(cores=4, exposed=0.0)
    cost = attention(scores(5, 8, 300.0, 256, 5 * 300 * 512.0), machine)
    chunk = decode_chunk(16, 256, machine)
    assert cost.compute == pytest.approx(2 * (1e-7 + chunk + 3 * chunk), rel=1e-12)


def test_keys_are_split_only_where_it_pays():
    machine = make_machine(cores=32, combine_time=1e-6, exposed=0.0)
    short, long = scores(1, 8, 256.0, 256, 256 * 256 * 2.0), scores(1, 8, 1e6, 256, 1e6 * 256 * 2.0)
    assert attention(short, changed(machine, combine_time=1e-3)).start < 1e-4
    assert attention(long, machine).start == pytest.approx(4e-6)
    assert attention(long, changed(machine, cores=1.0)).start == pytest.approx(3e-6)


@given(st.integers(1, 64), st.integers(2, 40), st.integers(1, 150))
def test_causal_tiles_end_within_a_mean_tile_of_list_scheduling(heads, down, cores):
    # twin: tile i of a head has i + 1 chunks, the longest first to the core that is free first
    ends = [0.0] * cores
    for length in sorted((i + 1.0 for _ in range(heads) for i in range(down)), reverse=True):
        heapq.heapreplace(ends, ends[0] + length)
    machine = make_machine(cores=cores)
    op = scores(heads, 128 * down, 64.0 * down, 256, 1e6, longest=128.0 * down)
    steps = dealt(op, machine, 128.0, float(heads * down), 1.0, 1.0)[1] / prefill_chunk(128, 256, machine)
    mean = (down + 1.0) / 2.0
    assert abs(steps - max(ends)) <= mean * (1.0 + 1e-9)
    assert steps >= down  # the longest tile


@given(st.integers(1, 300), st.integers(1, 150))
def test_tiles_that_see_the_same_keys_go_in_whole_waves_in_a_prefill(tiles, cores):
    # a chunk of two tiles late in a long context, or a picture: the last tile of each head is no longer than the first
    machine = make_machine(cores=cores)
    op = scores(tiles, 256, 12800.0, 256, 1e6, longest=12800.0)
    steps = dealt(op, machine, 128.0, 2.0 * tiles, 1.0, 1.0)[1] / prefill_chunk(128, 256, machine)
    assert steps == pytest.approx(math.ceil(2 * tiles / cores) * 100)


def test_rows_of_a_tile():
    # in decode padded to the matrix unit, in prefill each half of a tile whole; wide heads leave room for fewer
    wide = make_machine(attention_rows=256)
    assert query_tile(scores(1, 17, 9.0, 256, 1.0), wide) == (32.0, 1.0)
    assert query_tile(scores(1, 17, 9.0, 256, 1.0, longest=17.0), wide) == (128.0, 1.0)
    assert query_tile(scores(1, 300, 150.0, 256, 1.0, longest=300.0), wide) == (256.0, 2.0)
    assert query_tile(scores(1, 300, 150.0, 512, 1.0, longest=300.0), wide) == (128.0, 3.0)
    assert query_tile(scores(1, 128, 9.0, 1088, 1.0), wide) == (64.0, 2.0)
    assert query_tile(scores(1, 128, 9.0, 1088, 1.0), make_machine(attention_rows=32)) == (32.0, 4.0)


def test_narrow_keys_come_no_faster_than_they_are_widened():
    # 64 heads of 131,072 keys of a byte: 2.1 GB take 1.4 ms of HBM, and 8.6 ms at 0.25 T values/s
    machine = make_machine(attention_widen_rate=2.5e11, exposed=0.0, rate_16bit=1e15, softmax_rate=1e15)
    values = 64 * 131072 * 256.0
    op = scores(64, 4, 131072.0, 256, values, narrow=0.5)
    assert total(op, machine) == pytest.approx(values / 2.5e11, rel=1e-3)  # launches and a tile beside 8.6 ms
    assert total(op, changed(machine, attention_widen_rate=1e15)) == pytest.approx(values / 1.5e12, rel=1e-2)


def test_kernels_without_groups_read_keys_again_for_each_head():
    # 64 groups of 131,072 keys of 16 bit: 4.3 GB from HBM, and eight times as much from L2
    machine = make_machine(attention_reread=1.0, exposed=0.0, rate_16bit=1e15, softmax_rate=1e15, l2_rate=6e12)
    values = 64 * 131072 * 256 * 2.0
    reach = machine.l2_rate * machine.attention_draw
    op = scores(64, 8, 131072.0, 256, values)
    assert total(op, machine) == pytest.approx(8.0 * values / reach, rel=1e-2)  # launches and a tile beside 10 ms
    once = changed(machine, attention_reread=0.0)
    assert total(op, once) < 0.5 * total(op, machine)
    # one head to a group reads its own, a latent has kernels of its own, and a prefill shares a tile's
    for alike in (
        scores(64, 1, 131072.0, 256, values),
        scores(8, 128, 131072.0, 1088, values),
        scores(64, 1024, 512.5, 256, values, longest=1024.0),
    ):
        assert total(alike, machine) == total(alike, once)


def test_products_run_at_the_precision_of_the_cache_where_kernels_can():
    machine = make_machine(exposed=0.0, softmax_rate=1e15, attention_share=0.5)
    op = scores(2, 1024, 512.5, 256, 1e6, longest=1024.0, narrow=0.5)
    same, narrow = (attention(op, changed(machine, attention_narrow=flag)).compute for flag in (0.0, 1.0))
    assert same - narrow == pytest.approx(0.5 * (same - 1e-7), rel=1e-6)  # a tile's begin stays; 1e-6: the softmax


def total(op, machine, hot=0.0):
    """Time of attention that finds a share of its traffic in L2 [s]."""
    cost = attention_from(op, machine, hot)
    memory = stream_time(hot * cost.hbm_bytes, (1.0 - hot) * cost.hbm_bytes, machine.l2_time, cost.hbm_time)
    return cost.start + body_time(max(cost.compute, cost.l2), memory, 0.0)


@given(OPERATORS, MACHINES, st.floats(1.0, 8.0), st.floats(0.0, 1.0))
def test_more_of_anything_is_never_slower(op, machine, factor, hot):
    before = total(op, machine, hot)
    for name in [*BETTER, "clock"]:
        assert total(op, better(machine, name, factor), hot) <= before * (1.0 + 1e-9), name  # rounding only


@given(OPERATORS, MACHINES, st.integers(1, 8), st.floats(0.0, 1.0))
def test_more_cores_are_never_slower(op, machine, factor, hot):
    # no cache, which more groups at work would share
    machine = changed(machine, l2_bytes=0.0)
    assert total(op, better(machine, "cores", factor), hot) <= total(op, machine, hot) * (1.0 + 1e-9)  # rounding only


@given(OPERATORS, MACHINES, st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_more_keys_in_l2_are_never_slower(op, machine, some, more):
    machine = changed(machine, l2_rate=max(machine.l2_rate, machine.hbm_rate))
    some, more = sorted((some, more))
    assert total(op, machine, more) <= total(op, machine, some) * (1.0 + 1e-9)  # rounding only


def test_keys_in_l2_are_dealt_otherwise_than_keys_in_hbm():
    # 8 tiles on 8 of 32 cores draw 1.25 TB/s, more than HBM gives: 4.2 MB take 7.0 us however they are dealt.  From
    # L2 they take 3.4 us, and 0.8 us on all cores: worth the 2 us of combining
    machine = make_machine(cores=32, combine_time=2e-6, hbm_rate=6e11, attention_draw=1.0, exposed=0.0)
    op = scores(8, 8, 1024.0, 256, 8 * 1024 * 512.0)
    cold, hot = attention_from(op, machine, 0.0), attention_from(op, machine, 1.0)
    assert (cold.start, hot.start) == pytest.approx((3e-6, 5e-6), rel=1e-12)  # arithmetic alone
    assert cold.l2 == pytest.approx(op.weight_bytes / 1.25e12 + 2 * 8 * 8 * 256 / 5e12, rel=1e-12)
    assert hot.l2 == pytest.approx((op.weight_bytes + 2 * 8 * 8 * 256) / 5e12, rel=1e-12)


@given(OPERATORS, MACHINES, st.floats(1.0, 8.0))
def test_longer_contexts_are_never_faster(op, machine, factor):
    longer = op._replace(n=op.n * factor, longest=op.longest * factor, weight_bytes=op.weight_bytes * factor)
    assert total(longer, machine) >= total(op, machine) * (1.0 - 1e-9)  # rounding only


def test_a_key_more_than_a_chunk_is_not_faster():
    # 129 keys are two chunks on two cores, of which one still draws 128
    machine = make_machine(cores=128, attention_draw=0.1, combine_time=0.0, exposed=0.0)
    one, more = (scores(2, 8, keys, 256, 2 * keys * 512.0) for keys in (128.0, 129.0))
    assert total(more, machine) >= total(one, machine)


def test_one_tile_is_computed_beside_its_memory_only_where_that_is_faster():
    op = scores(8, 64, 64.0, 256, 8 * 64 * 512.0)
    machine = make_machine(cores=32)
    slow, fast = (changed(machine, near_flop_time=time) for time in (1e-9, 1e-16))
    assert total(op, slow) == total(op, machine)
    assert total(op, fast) < total(op, machine)


def test_long_decode_is_its_bytes_over_the_bandwidth():
    machine = make_machine(cores=128, rate_16bit=1e15, softmax_rate=1e15, exposed=0.0)
    cache = 64 * 8 * 131072 * 128 * 2 * 2.0
    op = scores(64 * 8, 4, 131072.0, 256, cache)
    # 1e-3: launches and one tile beside 46 ms
    assert total(op, machine) == pytest.approx(cache / machine.hbm_rate, rel=1e-3)


@given(OPERATORS, MACHINES)
def test_never_below_the_plain_roofline(op, machine):
    flops = 2.0 * op.groups * op.m * op.n * op.k
    rate = machine.rate_8bit if op.narrow < 1.0 and machine.attention_narrow else machine.rate_16bit
    roofline = max(flops / (rate * machine.cores), op.weight_bytes / machine.hbm_rate)
    assert total(op, machine) >= roofline * (1.0 - 1e-9)  # rounding only


@given(OPERATORS, MACHINES)
def test_compiled_equals_python(op, machine):
    # 1e-9: the compiler may contract a multiply and an add
    assert tuple(compiled(attention)(op, machine)) == pytest.approx(tuple(attention(op, machine)), rel=1e-9)


@given(OPERATORS, MACHINES)
def test_finite_and_never_below_the_cache_once(op, machine):
    cost = attention(op, machine)
    assert all(math.isfinite(x) and x > 0.0 for x in cost)
    tiles = op.groups * query_tile(op, machine)[1]
    most = op.weight_bytes * tiles / op.groups + op.input_bytes + op.output_bytes
    assert op.weight_bytes * (1.0 - 1e-12) <= cost.hbm_bytes <= most * (1.0 + 1e-12)  # rounding only
