"""The kernels of the meeting fronts: hand-computed meetings, and the event-driven twin."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twins import cake_events

from accelmodel.laws.kernels import two_front_policies, two_fronts
from accelmodel.laws.kernels.two_fronts import Engine, Loader, Rate

#: relative rounding between the kernel's floats and the twin's fractions
EXACT = 1e-9


def plain(stored, io, latency, token):
    """A loader all of whose tokens cost the same."""
    return Loader(stored, io, latency, token, 0.0, 0.0, 0.0)


def traced(curve, chunk, stored, io, latency, token_bytes, shares, rates, kept=(0.0, 0.0, 0.0)):
    out = np.zeros(len(two_fronts.MEETING))
    nothing = np.empty((0, 2))
    budget, rate = (Rate(np.array(t, float), np.array(v, float), math.inf) for t, v in (shares, rates))
    loader = Loader(float(stored), float(io), float(latency), float(token_bytes), *map(float, kept))
    engine = Engine(np.array(curve, float), float(chunk))
    two_fronts.meet_traced(engine, loader, budget, rate, nothing, nothing, out)
    return out


def constant(curve, chunk, stored, io, latency, token_time, share=1.0, tail=0.0):
    out = np.zeros((1, len(two_fronts.MEETING)))
    row = np.array([[share, chunk, stored, io, latency, token_time, tail]], float)
    two_fronts.meet_many(np.array([curve], float), np.zeros(1, dtype=np.int64), row, out)
    return out[0]


def test_fronts_meet_where_hand_computation_says():
    """Steps of 1 s for 4 tokens, 0.5 s for 2 tokens: after 2 s 8 of 16 are computed and 8 loaded."""
    time, token, computed, loaded, waste = constant(np.ones(4), 4.0, 16.0, 2.0, 0.0, 0.25, tail=0.25)
    assert (time, token, computed, loaded, waste) == (2.25, 8.0, 8.0, 8.0, 0.0)


def test_step_in_flight_finishes_and_its_tokens_are_waste():
    """Steps of 1 s for 8 tokens against 0.2 s for 2: at 0.8 s all of the second half is there; the front
    goes on to 0.8 s and below, towards the compute front at 0; step 0 ends at 1 s."""
    time, _, computed, loaded, waste = constant(np.ones(2), 8.0, 16.0, 2.0, 0.0, 0.1)
    assert time == 1.0
    assert computed == 8.0
    assert loaded == 10.0
    assert waste == 2.0


def test_slow_loader_leaves_everything_to_compute_and_adds_no_tail():
    time, _, computed, loaded, _ = constant([1.0, 2.0], 8.0, 16.0, 2.0, 0.0, 5e8, tail=5.0)
    assert (time, computed, loaded) == (3.0, 16.0, 0.0)


def test_loader_that_needs_no_time_leaves_nothing_to_compute():
    time, token, computed, loaded, _ = constant(np.ones(2), 8.0, 16.0, 2.0, 0.0, 0.0, tail=0.5)
    assert (time, token, computed, loaded) == (0.5, 0.0, 0.0, 16.0)


def test_short_first_chunk_of_the_prefix_takes_its_part_of_the_time():
    """10 tokens in chunks of 4: 4, 4, then 2; compute never ends its first step before."""
    loader = plain(10.0, 4.0, 0.5, 1.0)
    assert two_fronts.arrival(8.0, loader) == pytest.approx(2 * 4.5, rel=EXACT)
    assert two_fronts.arrival(9.0, loader) == pytest.approx(2 * 4.5 + 2.5, rel=EXACT)
    assert two_fronts.load_time(9.0, loader) == pytest.approx(3 * 0.5 + 9.0, rel=EXACT)


def test_window_and_state_are_paid_where_they_lie():
    """10 tokens of 1 s in chunks of 4; the last 5 cost 2 s more each, the first request 3 s."""
    loader = Loader(10.0, 4.0, 0.5, 1.0, 2.0, 5.0, 3.0)
    assert [two_fronts.volume(n, loader) for n in (0.0, 1.0, 5.0, 6.0, 10.0)] == [0.0, 6.0, 18.0, 19.0, 23.0]
    assert two_fronts.arrival(3.0, loader) == pytest.approx(0.5 + 3 + 4 * 3, rel=EXACT)
    assert two_fronts.arrival(9.0, loader) == pytest.approx(3 * 0.5 + 23, rel=EXACT)
    assert two_fronts.load_time(5.0, loader) == pytest.approx(2 * 0.5 + 18, rel=EXACT)
    # requests end at 15.5, 22 (one token of the window and three beyond) and 24.5
    ends = [two_fronts.loaded_by(time, 10.0, loader) for time in (0.0, 2.0, 15.4, 15.5, 21.9, 22.0, 24.4, 24.5)]
    assert ends == [0.0, 0.0, 0.0, 4.0, 4.0, 8.0, 8.0, 10.0]


def test_states_alone_are_loaded_with_the_first_request():
    loader = Loader(10.0, 4.0, 0.0, 0.0, 0.0, 0.0, 3.0)
    assert two_fronts.arrival(1.0, loader) == two_fronts.arrival(10.0, loader) == 3.0
    assert two_fronts.loaded_by(2.0, 10.0, loader) == 0.0
    assert two_fronts.loaded_by(3.0, 10.0, loader) == 10.0


def test_half_of_the_budget_doubles_the_number_of_steps_at_the_cost_of_full_ones():
    """Places 0, 0.5, 1, 1.5 on the line 1, 3 cost 1, 2, 3, 4."""
    engine = Engine(np.array([1.0, 3.0]), 8.0)
    assert two_fronts.steps_time(engine, 4.0, 0.0, 16.0) == pytest.approx(10.0, rel=EXACT)


def test_transfer_waits_through_a_pause_and_ends_with_the_trace():
    rate = Rate(np.array([0.0, 1.0, 3.0]), np.array([10.0, 0.0, 5.0]), math.inf)
    assert two_fronts.transfer(0.0, 20.0, 0, rate) == (5.0, 2)
    assert two_fronts.transfer(0.0, 20.0, 0, Rate(rate.at, rate.value, 4.0))[0] == math.inf


numbers = st.integers(1, 997).map(lambda n: n / 64.0)
curves = st.lists(numbers, min_size=8, max_size=12)
trace = st.lists(st.tuples(st.integers(1, 400), st.integers(0, 64)), max_size=6)


def steps_of(rows, scale, last):
    """Return times and values of a trace whose last value is above 0."""
    times, values, now = [0.0], [], 0.0
    for width, value in rows:
        values.append(value * scale)
        now += width / 8.0
        times.append(now)
    return times, [*values, last]


@given(
    curve=curves, stored=st.integers(0, 64), io=st.integers(1, 9), latency=st.integers(0, 8), cost=st.integers(1, 64),
    share=st.sampled_from([0.125, 0.25, 0.5, 0.75, 1.0]),
)  # fmt: skip
def test_constant_kernels_equal_the_event_twin(curve, stored, io, latency, cost, share):
    """Binary fractions: the floats of the kernel are exact, so that no tie is decided by rounding."""
    chunk, latency, token = 8.0, latency / 16.0, cost / 32.0
    rates = [(0, Fraction(1))]
    time, computed, loaded = cake_events.run(curve, chunk, stored, io, latency, token, [(0, share)], rates)
    got = constant(curve, chunk, stored, io, latency, token, share)
    again = traced(curve, chunk, stored, io, latency, token, ([0.0], [share]), ([0.0], [1.0]))
    for out in (got, again):
        assert out[0] == pytest.approx(float(time), rel=EXACT)
        assert out[2] == pytest.approx(float(computed), rel=EXACT)
        assert out[3] == pytest.approx(float(loaded), rel=EXACT)


@given(
    curve=curves, stored=st.integers(1, 64), io=st.integers(1, 9), latency=st.integers(0, 8),
    shares=trace, rates=trace, last=st.integers(1, 64),
)  # fmt: skip
def test_traced_kernel_equals_the_event_twin(curve, stored, io, latency, shares, rates, last):
    """Exact but where the two see a chunk arrive on either side of a step's end: then within a step and a chunk."""
    budget = steps_of(shares, 1 / 64.0, last / 64.0)
    rate = steps_of(rates, 0.5, last * 0.5)
    args = (curve, 8.0, stored, io, latency / 16.0, 4.0)
    time, computed, loaded = cake_events.run(*args, list(zip(*budget, strict=True)), list(zip(*rate, strict=True)))
    out = traced(*args, budget, rate)
    if out[2] == pytest.approx(float(computed), rel=EXACT):
        assert out[0] == pytest.approx(float(time), rel=EXACT)
        assert abs(out[3] - float(loaded)) <= io + EXACT
    else:
        assert abs(out[0] - float(time)) <= max(curve) + EXACT
        assert abs(out[2] - float(computed)) <= 8.0 + EXACT


def policies(curve, stored, loader, share, layers=1.0):
    """Return what the grid's kernel tells of one prompt that is stored whole, without tail."""
    out = np.zeros((1, 1, 1, 1, 1, len(two_fronts.MEETING) + len(two_front_policies.POLICY_TIMES)))
    two_front_policies.policies_grid(
        np.array([curve], float),
        np.array([[stored, stored, loader.reach]], float),
        np.array([share]),
        np.array([1.0]),
        np.array([[loader.token, loader.near, loader.fixed]]),
        (8.0, loader.io, loader.latency, layers, 0.0, 1.0),
        out,
    )
    return out[0, 0, 0, 0, 0]


@given(
    curve=curves, stored=st.integers(1, 64), io=st.integers(1, 9), latency=st.integers(0, 8), cost=st.integers(0, 64),
    near=st.integers(0, 64), reach=st.integers(0, 64), fixed=st.integers(0, 64),
    share=st.sampled_from([0.25, 0.5, 1.0]),
)  # fmt: skip
def test_kernels_with_windows_and_states_equal_the_event_twin(
    curve, stored, io, latency, cost, near, reach, fixed, share
):
    """Binary fractions: exact, so that no tie is decided by rounding."""
    latency, token, near, fixed, reach = latency / 16.0, cost / 32.0, near / 32.0, fixed / 8.0, min(reach, stored)
    rates = [(0, Fraction(1))]
    args = (curve, 8.0, stored, io, latency, token)
    time, computed, loaded = cake_events.run(*args, [(0, share)], rates, near, reach, fixed)
    loader = Loader(float(stored), float(io), latency, token, near, float(reach), fixed)
    again = traced(*args, ([0.0], [share]), ([0.0], [1.0]), (near, reach, fixed))
    for out in (policies(curve, stored, loader, share), again):
        assert out[0] == pytest.approx(float(time), rel=EXACT)
        assert out[2] == pytest.approx(float(computed), rel=EXACT)
        assert out[3] == pytest.approx(float(loaded), rel=EXACT)


@given(costs=st.lists(numbers, min_size=1, max_size=4), layers=st.integers(1, 3), token=numbers)
def test_oracle_is_below_every_plan_of_cells_and_near_the_best(costs, layers, token):
    """Every plan of layers by chunks is tried; the bound lies below the best by at most one cell's time."""
    finish = np.append(0.0, np.cumsum(costs))
    loader = plain(4.0 * len(costs), 4.0, 0.0, token)
    least = two_front_policies.least_time(two_front_policies.cheapest_sums(finish, len(costs)), 4.0, loader, 0.0)
    best = cake_events.best_cells(costs, [4.0] * len(costs), token, layers)
    assert least <= best * (1 + EXACT)
    assert best <= least + max(*costs, 4.0 * token) / layers + EXACT


@given(costs=st.lists(numbers, min_size=1, max_size=4), layers=st.integers(1, 3), token=numbers)
def test_token_layer_plan_is_the_best_of_all_cells_where_costs_rise(costs, layers, token):
    """Within one cell: the best plan may split two chunks, this one splits one."""
    costs = sorted(costs)
    finish = np.append(0.0, np.cumsum(costs))
    loader = plain(4.0 * len(costs), 4.0, 0.0, token)
    time, _ = two_front_policies.token_layer_time(finish, 4.0, loader, float(layers))
    best = cake_events.best_cells(costs, [4.0] * len(costs), token, layers)
    assert best <= time * (1 + EXACT)
    assert time <= best + max(*costs, 4.0 * token) / layers + EXACT


def test_pipeline_of_layers_is_the_recurrence_written_out():
    load, compute, layers = 3.0, 5.0, 7
    loaded = done = 0.0
    for _ in range(layers):
        loaded += load / layers
        done = max(done, loaded) + compute / layers
    assert two_front_policies.pipeline_time(load, compute, float(layers)) == pytest.approx(done, rel=EXACT)


def test_many_traced_decisions_equal_single_ones():
    rng = np.random.default_rng(7)
    engine = Engine(np.linspace(0.04, 0.1, 16), 512.0)
    at = np.tile(np.arange(20) * 0.05, (5, 1))
    budgets = Rate(at, rng.uniform(0.1, 1.0, at.shape), math.inf)
    rates = Rate(at, rng.uniform(1e8, 4e9, at.shape), math.inf)
    out, one, nothing = np.zeros((5, 5)), np.zeros(5), np.empty((0, 2))
    two_fronts.meet_traced_many(engine, np.tile([8192.0, 128.0, 1e-4, 524288.0], (5, 1)), budgets, rates, out)
    for i in range(5):
        loader = plain(8192.0, 128.0, 1e-4, 524288.0)
        budget = Rate(at[i], budgets.value[i], math.inf)
        two_fronts.meet_traced(engine, loader, budget, Rate(at[i], rates.value[i], math.inf), nothing, nothing, one)
        assert out[i] == pytest.approx(one, rel=EXACT)


@given(rows=trace, span=st.integers(1, 64), last=st.integers(1, 64), ends=st.booleans())
def test_largest_within_equals_a_look_at_every_row(rows, span, last, ends):
    at, value = steps_of(rows, 1 / 64.0, last / 64.0)
    end, span = (at[-1] + 1.0 if ends else math.inf), span / 16.0
    pieces = list(zip(at, [*at[1:], end], value, strict=True))
    times = np.arange(0.0, at[-1] + 8.0, 0.25)
    slow = [max([v for a, b, v in pieces if a <= t < b + span], default=0.0) for t in times]
    assert list(two_fronts.largest_within(Rate(np.array(at), np.array(value), end), span, times)) == slow
