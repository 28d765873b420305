"""Two lanes: laws and whole windows against an event simulation, admission against its words, invariants of steps."""

from __future__ import annotations

import numpy as np
import pytest
from builders import changed, make_machine, make_operator, step_detail, step_times, step_totals, streamed
from hypothesis import given, settings
from hypothesis import strategies as st
from resources import BETTER, better
from twins import lanes

from accelmodel.inference import preserve as technique
from accelmodel.inference.policies import policy
from accelmodel.inference.step import NONE
from accelmodel.laws.jit import compiled
from accelmodel.laws.prefetch import (
    ISSUED,
    RULES,
    admit_in_order,
    admit_partial,
    admit_set,
    cap,
    lane_progress,
    plans,
)
from accelmodel.laws.roofline import stream_time
from accelmodel.laws.types import ALGORITHMS, ALL_REDUCE, ATTENTION, DETAIL, Operator, Policy

MB = 1e6
SIZES = st.floats(0.0, 200.0).map(lambda x: x * MB)
#: megabytes, whole, so that sums are exact and a cap is met or missed by as much as one
WHOLE = st.integers(0, 60).map(float)


def opener(message=1e6, ranks=8, **other):
    blank = dict.fromkeys(("weight_bytes", "input_bytes", "output_bytes", "flops"), 0.0)
    return make_operator(kind=ALL_REDUCE, message_bytes=message, ranks=ranks, **{**blank, **other})


def vast(**overrides):
    """Machine whose L2 keeps everything and whose collective lasts ``start_up``."""
    start = {"direct_start_up": overrides["start_up"]} if "start_up" in overrides else {}
    return make_machine(**{"l2_bytes": 1e15, "hop": 0.0, "link_rate": 1e30, **start, **overrides})


def test_hand_values():
    # exact arithmetic: 40 MB at 5 TB/s and 15 MB at 1.5 TB/s
    assert stream_time(40e6, 15e6, 1.0 / 5e12, 1.0 / 1.5e12) == pytest.approx(8e-6 + 10e-6, rel=1e-12)
    # 20 us at 1.5 TB/s are 30 MB, of which the operator reads 15 MB: 15 MB are left over, or half of them
    assert lane_progress(20e6, 20e-6, 15e6, 1.5e12, 1.0) == pytest.approx(15e6, rel=1e-12)
    assert lane_progress(20e6, 20e-6, 15e6, 1.5e12, 0.5) == pytest.approx(7.5e6, rel=1e-12)
    # of 100 MB of L2 a compiler fills 60 at most; an engine issues what it was told
    assert cap(1.0, RULES["partial"], 100e6) == pytest.approx(60e6, rel=1e-12)
    assert cap(0.3, RULES["partial"], 100e6) == pytest.approx(30e6, rel=1e-12)
    assert cap(1.2, ISSUED, 100e6) == pytest.approx(120e6, rel=1e-12)
    # plan 5 of best fit, binary 101, takes the largest operand and the third
    assert [admit_set(5.0, place, 7.0) for place in (0.0, 1.0, 2.0, 3.0)] == [7.0, 0.0, 7.0, 0.0]
    assert [plans(rule, 4.0) for rule in (RULES["paper"], RULES["partial"], RULES["best-fit"], ISSUED)] == [4, 1, 15, 1]
    assert plans(RULES["best-fit"], 9.0) == 63


@given(SIZES, SIZES, SIZES, st.floats(0.0, 1e-4), st.floats(0.0, 1e-3), st.floats(1e12, 4e12), st.floats(1.5, 8.0),
       st.floats(0.05, 1.0))  # fmt: skip
def test_lane_beside_an_operator(backlog, hot, cold, launch, floor, rate, ratio, share):
    machine = make_machine(hbm_rate=rate, l2_rate=rate * ratio, prefetch_share=share)
    time, fetched = lanes.operator(backlog, launch, hot, cold, machine, floor)
    # exact but for rounding: 1 byte in 200 MB
    assert lane_progress(backlog, time, cold, rate, share) == pytest.approx(fetched, rel=1e-9, abs=1.0)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.floats(1.0, 100.0), st.booleans()), min_size=1, max_size=7),
    st.floats(1e-7, 1e-4),
    st.floats(0.0, 1e-5),
    st.floats(0.5e12, 4e12),
    st.floats(2.0, 8.0),
)
def test_whole_window_against_the_event_simulation(warm, operands, collective, launch, rate, ratio):
    machine = vast(start_up=collective, launch=launch, hbm_rate=rate, l2_rate=rate * ratio)
    given_ = [(size * MB, size * MB if wanted else 0.0) for size, wanted in operands]
    rows = [opener(message=0.0)] + [streamed(size, prefetch_bytes=wanted) for size, wanted in given_]
    detail = dict(zip(DETAIL, step_detail(rows, machine, policy("preserve").numbers), strict=True))
    times, hits, fetched = lanes.window(collective, given_, machine)
    # 1e-6: exact but for the upper tail of the distribution function, 1 - 2e-8 where nothing is evicted
    assert detail["time"].sum() == pytest.approx(sum(times), rel=1e-6)
    assert detail["time"] == pytest.approx(times, rel=1e-5, abs=1e-11)
    assert detail["l2_hit_bytes"] == pytest.approx(hits, rel=1e-5, abs=10.0)
    assert detail["fetched_bytes"] == pytest.approx(fetched, rel=1e-5, abs=100.0)


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(RULES)),
    st.lists(st.integers(1, 60).map(float), min_size=1, max_size=5),
    st.integers(0, 150),
    st.floats(1e-7, 1e-4),
    st.floats(0.0, 2e-5),
    st.floats(0.1, 1.0),
)
def test_a_window_takes_the_fastest_plan_of_its_rule(warm, rule, sizes, most, collective, start, share):
    # so large a cache that nothing is evicted: 1 MB is 2^-24 of it
    unit, whole = 2.0**20, 2.0**44
    machine = vast(l2_bytes=whole, start_up=collective, prefetch_start=start, prefetch_share=share)
    rows = [opener(message=0.0)] + [streamed(size * unit) for size in sizes]
    what = policy("preserve", threshold=most * unit / whole, rule=rule).numbers
    expected = lanes.best(collective, [size * unit for size in sizes], rule, most * unit, machine)
    # 1e-6: the upper tail of the distribution function, and what does not pay
    assert step_totals(rows, machine, what)[0] == pytest.approx(expected, rel=1e-6)


@given(st.lists(WHOLE, min_size=1, max_size=6), st.floats(0.0, 200.0), st.integers(0, 63))
def test_no_plan_admits_more_than_its_operands(sizes, budget, plan):
    used = 0.0
    for place, size in enumerate(sizes):
        granted = admit_partial(size, used, budget)
        assert 0.0 <= granted <= size
        used += granted
        assert admit_set(float(plan), float(place), size) in (0.0, size)
        assert admit_in_order(float(plan), float(place), size) in (0.0, size)
    assert used <= budget + 1e-9  # rounding only


@pytest.mark.parametrize("rule", sorted(RULES))
def test_what_a_prefetch_costs_is_paid_or_it_is_left(warm, rule):
    # 20 us of collective fetch 30 of 60 MB, which saves 30 / 1.5 - 30 / 5 = 14 us
    rows = [opener(message=0.0), streamed(30e6), streamed(60e6)]
    times = {
        cost: step_totals(rows, vast(start_up=20e-6, prefetch_start=cost), policy("preserve", rule=rule).numbers)
        for cost in (0.0, 10e-6, 15e-6)
    }
    none = step_totals(rows, vast(start_up=20e-6), NONE)
    # beside the first operator, 2 us of launch and 6 of hits, the lane fetches 12 MB of the second
    saved = (30e6 + 12e6) * (1 / 1.5e12 - 1 / 5e12)
    assert none[0] - times[0.0][0] == pytest.approx(saved, rel=1e-6)
    assert none[0] - times[10e-6][0] == pytest.approx(saved - 10e-6, rel=1e-6)
    assert none[0] - times[15e-6][0] == pytest.approx(saved - 15e-6, rel=1e-5)
    dear = vast(start_up=20e-6, prefetch_start=20e-6)
    assert list(step_totals(rows, dear, policy("preserve", rule=rule).numbers)) == pytest.approx(list(none), rel=1e-12)


def test_an_engine_issues_what_does_not_pay(warm):
    rows = [opener(message=0.0), streamed(30e6)]
    machine = vast(l2_bytes=100e6, start_up=200e-6, prefetch_start=30e-6)
    none, issued = (step_totals(rows, machine, what) for what in (NONE, Policy(ISSUED, 0.1, 0.0)))
    saved = 10e6 * (1 / 1.5e12 - 1 / 5e12)
    assert issued[0] - none[0] == pytest.approx(30e-6 - saved, rel=1e-6)
    assert issued[1] == pytest.approx(10e6, rel=1e-9)


@given(SIZES, st.floats(0.0, 1e-3), SIZES, st.floats(1e11, 1e13), st.floats(0.1, 1.0))
def test_lane_compiled_equals_python(backlog, duration, cold, rate, share):
    expected = lane_progress(backlog, duration, cold, rate, share)
    # 1e-9, and a byte: the compiler may contract a multiply and an add before a difference
    assert compiled(lane_progress)(backlog, duration, cold, rate, share) == pytest.approx(expected, rel=1e-9, abs=1.0)


# ---- whole steps ---------------------------------------------------------------------------------------------


def matmul(m, n, k, into, prefetched):
    sizes = {"input_bytes": m * k, "weight_bytes": n * k, "output_bytes": 2.0 * m * n, "flops": 2.0 * m * n * k}
    return make_operator(m=m, n=n, k=k, feeds=into, prefetch_bytes=n * k * prefetched, **sizes)


def scores(groups, queries, keys, prefetched):
    cache = groups * keys * 256.0
    return make_operator(
        kind=ATTENTION,
        groups=groups,
        m=queries,
        n=keys,
        k=256,
        bits=16,
        weight_bytes=cache,
        prefetch_bytes=cache * prefetched,
        input_bytes=groups * queries * 256.0,
        output_bytes=groups * queries * 256.0,
        vector_ops=21.0 * groups * queries * keys,
    )


@st.composite
def steps(draw, tp=None):
    """A layer of two windows, each ended by a matmul that the next collective sums up."""
    tokens = draw(st.sampled_from([1, 4, 64, 2048]))
    width, inner = draw(st.sampled_from([1024, 4096, 8192])), draw(st.sampled_from([512, 3584, 7168]))
    ranks = tp or draw(st.sampled_from([2, 8]))
    count = draw(st.integers(1, 80))
    message = 2.0 * tokens * width
    rows = [
        opener(message, ranks),
        streamed(0.0, 4.0 * tokens * width),
        matmul(tokens, inner, width, -1.0, 1.0),
        scores(draw(st.sampled_from([1, 4, 32])), 8, draw(st.sampled_from([128, 4096, 16384])), 1.0),
        matmul(tokens, width, inner, 5.0, 1.0),
        opener(message, ranks),
        streamed(0.0, 4.0 * tokens * width),
        matmul(tokens, 2 * inner, width, -1.0, 1.0),
        matmul(tokens, width, inner, 0.0, draw(st.sampled_from([0.0, 1.0]))),
    ]
    return [row._replace(count=float(count)) for row in rows]


MACHINES = st.builds(
    lambda cores, l2, ways, rate, ratio, link, mesh, start_up: make_machine(
        cores=cores, l2_bytes=l2, l2_ways=ways, hbm_rate=rate, l2_rate=rate * ratio, link_rate=link, mesh=mesh,
        start_up=start_up, direct_start_up=start_up,
    ),
    st.integers(8, 128),
    st.floats(1e6, 4e8),
    st.sampled_from([8, 16, 32]),
    st.floats(5e11, 4e12),
    st.floats(1.5, 8.0),
    st.floats(2e10, 9e11),
    st.booleans(),
    st.floats(0.0, 3e-5),
)  # fmt: skip
POLICIES = st.builds(technique.preserve, st.floats(0.0, 2.0), st.sampled_from(sorted(RULES)))


@given(steps(), MACHINES, st.floats(1.0, 4.0), st.floats(0.05, 1.5), st.floats(0.0, 1e-5), st.floats(0.2, 1.0))
def test_more_of_anything_is_never_slower(warm, rows, machine, factor, threshold, start, share):
    machine = changed(
        machine, in_switch=0.5, ramp=1.0, own_copy=0.4, slice_time=1e-7, prefetch_start=start, prefetch_share=share
    )
    resources = [*BETTER, "clock"]
    for what in (NONE, policy("fused").numbers, *(technique.preserve(threshold, rule) for rule in RULES)):
        times = step_times(rows, [machine, *(better(machine, name, factor) for name in resources)], what)
        slower = {name: time for name, time in zip(resources, times[1:], strict=True) if time > times[0] * (1.0 + 1e-9)}
        assert not slower, what  # 1e-9: rounding, and what does not pay


@given(steps(), MACHINES, st.sampled_from([2, 3, 4]))
def test_more_cores_are_never_slower(warm, rows, machine, factor):
    before = step_totals(rows, machine, NONE)[0]
    # a core brings its port to L2 and its vector unit: with these held, its share of them would shrink
    larger = changed(
        machine, **{name: getattr(machine, name) * factor for name in ("cores", "l2_rate", "vector_rate", "store_rate")}
    )
    after = step_totals(rows, larger, NONE)[0]
    # 1 %: a wider wave streams more weights between two uses of a panel of activations, which a small L2 then loses
    assert after <= before * 1.01


@given(steps(tp=1), MACHINES, POLICIES)
def test_preserve_without_collectives_is_the_baseline(warm, rows, machine, preserve):
    assert list(step_totals(rows, machine, preserve)) == list(step_totals(rows, machine, NONE))


@given(steps(), MACHINES, st.floats(0.0, 1.0), st.sampled_from(sorted(RULES)))
def test_preserve_without_l2_is_the_baseline(warm, rows, machine, threshold, rule):
    bare = changed(machine, l2_bytes=0.0)
    ours = step_totals(rows, bare, policy("preserve", threshold=threshold, rule=rule).numbers)
    # 1e-12: a window is summed up before it is added
    assert list(ours) == pytest.approx(list(step_totals(rows, bare, NONE)), rel=1e-12)


@given(steps(), MACHINES, POLICIES)
def test_preserve_is_never_slower_than_the_baseline(warm, rows, machine, preserve):
    ours, baseline = step_totals(rows, machine, preserve)[0], step_totals(rows, machine, NONE)[0]
    assert ours <= baseline * (1.0 + 1e-9)  # rounding only


@given(steps(), MACHINES)
def test_fused_is_never_slower(warm, rows, machine):
    fused, baseline = step_totals(rows, machine, policy("fused").numbers), step_totals(rows, machine, NONE)
    assert fused[0] <= baseline[0] * (1.0 + 1e-9)  # rounding only
    assert list(fused[1:]) == list(baseline[1:])


@given(MACHINES, st.floats(1e3, 1e8), st.sampled_from([2.0, 8.0, 32.0]), st.floats(64.0, 16384.0))
def test_fused_takes_the_algorithm_that_is_fastest_so(warm, machine, message, ranks, n):
    names = ("ring", "tree", "one_shot", "two_shot", "in_switch")
    rows = [
        make_operator(m=64.0, n=n, feeds=1.0),
        make_operator(kind=ALL_REDUCE, message_bytes=message, ranks=ranks),
    ]
    machine = changed(machine, ramp=1.0, own_copy=0.4, direct_limit=1e9, node=64.0)
    alone = [changed(machine, **{name: float(name == each) for name in names}) for each in names]
    times = step_times(rows, alone, policy("fused").numbers)
    free = changed(machine, **dict.fromkeys(names, 1.0))
    assert step_times(rows, [free], policy("fused").numbers)[0] == pytest.approx(min(times), rel=1e-12)  # rounding only
    code = step_detail(rows, free, policy("fused").numbers)[DETAIL.index("algorithm"), 1]
    assert times[names.index(ALGORITHMS[int(code)].replace("-", "_"))] == pytest.approx(min(times), rel=1e-12)


@given(steps(), MACHINES, POLICIES)
def test_a_step_is_finite_and_reads_its_weights(warm, rows, machine, preserve):
    weights = sum(row.count * row.weight_bytes for row in rows)
    for what in (NONE, policy("fused").numbers, preserve):
        time, fetched, traffic = step_totals(rows, machine, what)
        assert np.isfinite([time, fetched, traffic]).all()
        assert time > 0.0
        assert fetched >= 0.0
        # 1e-6 of the weights: bytes that were fetched and hit are counted when fetched; the lane rounds
        assert traffic >= weights * (1.0 - 1e-6)


@given(steps(), MACHINES, POLICIES, st.integers(2, 9))
def test_time_is_linear_in_layers(warm, rows, machine, preserve, factor):
    more = [row._replace(count=row.count * factor) for row in rows]
    once, often = step_totals(rows, machine, preserve), step_totals(more, machine, preserve)
    assert list(often) == pytest.approx(list(once * factor), rel=1e-12)  # rounding only


@given(steps(), MACHINES, POLICIES)
def test_totals_are_the_sum_of_the_detail(warm, rows, machine, what):
    counts = np.array(rows)[:, Operator._fields.index("count")]
    for chosen in (NONE, what, policy("fused").numbers):
        detail = dict(zip(DETAIL, step_detail(rows, machine, chosen) @ np.diag(counts), strict=True))
        time, fetched, traffic = step_totals(rows, machine, chosen)
        assert time == pytest.approx(detail["time"].sum(), rel=1e-9)  # rounding only
        assert fetched == pytest.approx(detail["fetched_bytes"].sum(), rel=1e-9, abs=1.0)
        assert traffic == pytest.approx((detail["hbm_bytes"] + detail["fetched_bytes"]).sum(), rel=1e-9)
