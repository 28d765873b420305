"""Cake and its rivals: limits, bounds, plans by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompts import CURVE, ROUNDING, TAIL, prompt_of, prompts, shares, slack

from accelmodel.kvcache import policies, traces
from accelmodel.kvcache.policies import POLICIES
from accelmodel.kvcache.prompt import Computing, Loading, Prompt
from accelmodel.kvcache.traces import random_trace


@given(prompt=prompts())
def test_oracle_is_a_lower_bound_for_every_policy(prompt):
    times = {name: policy(prompt) for name, policy in POLICIES.items()}
    for name, time in times.items():
        assert times["oracle"] <= time * (1 + ROUNDING), name


@given(prompt=prompts(), seed=st.integers(0, 100), width=st.floats(0.02, 1.0))
def test_oracle_is_a_lower_bound_with_traces(prompt, seed, width):
    budget = replace(random_trace(0.0, 1.0, width, 10 * width, seed), hold=True)
    bandwidth = replace(random_trace(1e8, 2e10, width, 10 * width, seed + 1), hold=True)
    moving = replace(
        prompt,
        computing=replace(prompt.computing, budget=budget),
        loading=replace(prompt.loading, trace=bandwidth),
    )
    times = {name: policy(moving) for name, policy in POLICIES.items()}
    for name, time in times.items():
        assert times["oracle"] <= time * (1 + ROUNDING), name


@given(prompt=prompts())
def test_cake_is_within_a_step_and_a_chunk_of_the_better_single_resource(prompt):
    behind = prompt.tokens - prompt.stored
    redone = slack(prompt) if behind else 0.0  # the rest starts a step of its own
    single = min(POLICIES["compute_only"](prompt), POLICIES["load_only"](prompt))
    assert POLICIES["cake"](prompt) <= single + slack(prompt) + redone


@given(prompt=prompts())
def test_plans_at_constant_rates_never_lose_to_a_single_resource(prompt):
    single = min(POLICIES["compute_only"](prompt), POLICIES["load_only"](prompt))
    for name in ("planned_split", "token_layer"):
        assert POLICIES[name](prompt) <= single * (1 + ROUNDING), name


@given(prompt=prompts(rising=True))
def test_plans_at_constant_rates_are_ordered(prompt):
    """Knowing the rates is worth something, cutting by layers more."""
    whole = replace(prompt, stored=prompt.tokens)
    times = {name: policy(whole) for name, policy in POLICIES.items()}
    assert times["token_layer"] <= times["planned_split"] * (1 + ROUNDING)
    assert times["planned_split"] <= times["cake"] * (1 + ROUNDING)
    assert times["planned_split"] <= times["fixed_split"] * (1 + ROUNDING)


@given(prompt=prompts(rising=True), factor=st.floats(1.0, 10.0))
def test_more_bandwidth_is_never_slower_than_a_step_and_a_chunk(prompt, factor):
    faster = replace(prompt, loading=replace(prompt.loading, bandwidth=prompt.loading.bandwidth * factor))
    assert POLICIES["cake"](faster) <= POLICIES["cake"](prompt) + slack(prompt)
    for name in ("load_only", "oracle", "layerwise"):
        assert POLICIES[name](faster) <= POLICIES[name](prompt) * (1 + ROUNDING), name


@given(prompt=prompts(rising=True), share=shares)
def test_more_budget_is_never_slower_than_a_step_and_a_chunk(prompt, share):
    more = replace(prompt, computing=replace(prompt.computing, utilisation=max(share, prompt.computing.utilisation)))
    margin = 2.0 * slack(prompt)
    assert POLICIES["cake"](more) <= POLICIES["cake"](prompt) + margin


def test_policies_of_a_prompt_by_hand():
    """Four steps of 1 s for 4 tokens; 1 s to load 4 tokens, in chunks of 2; no tail: 2 s together, 4 s alone."""
    load = Loading(1.0, 4.0, 4.0, 0.0, io_chunk=2.0)
    prompt = Prompt(16.0, 16.0, Computing(np.ones(4), 4.0), load)
    times = {name: policy(prompt) for name, policy in POLICIES.items()}
    assert times == pytest.approx(
        {"compute_only": 4.0, "load_only": 4.0, "cake": 2.0, "fixed_split": 2.0, "planned_split": 2.0,
         "oracle": 2.0, "layerwise": 4.0, "token_layer": 2.0}, rel=ROUNDING,
    )  # fmt: skip


def test_layers_cut_finer_than_steps_by_hand():
    """One step of 1 s against a load of 1 s: half of the four layers each."""
    prompt = Prompt(4.0, 4.0, Computing(np.ones(1), 4.0), Loading(1.0, 4.0, 4.0, 0.0, io_chunk=1.0))
    assert POLICIES["token_layer"](prompt) == pytest.approx(0.5, rel=ROUNDING)
    assert POLICIES["oracle"](prompt) == pytest.approx(0.5, rel=ROUNDING)
    assert POLICIES["planned_split"](prompt) == pytest.approx(1.0, rel=ROUNDING)
    assert POLICIES["cake"](prompt) == pytest.approx(1.0, rel=ROUNDING)


def test_layerwise_hides_the_rest_of_the_prompt_behind_the_load():
    """Load of 4 s in 4 layers, rest of 1 s: 4 s and one layer of the rest."""
    prompt = Prompt(20.0, 16.0, Computing(np.ones(5), 4.0), Loading(1.0, 4.0, 4.0, 0.0))
    assert POLICIES["layerwise"](prompt) == pytest.approx(4.25, rel=ROUNDING)
    assert POLICIES["load_only"](prompt) == pytest.approx(5.0, rel=ROUNDING)


def test_infinite_bandwidth_is_load_only_and_no_stored_prefix_is_compute_only():
    endless = prompt_of(bandwidth=math.inf)
    assert POLICIES["cake"](endless) == POLICIES["load_only"](endless) == TAIL
    none = prompt_of(stored=0.0)
    for name, policy in POLICIES.items():
        assert policy(none) == pytest.approx(float(CURVE.sum()), rel=ROUNDING), name
    slow = prompt_of(bandwidth=1.0)
    assert POLICIES["cake"](slow) == pytest.approx(POLICIES["compute_only"](slow), rel=ROUNDING)


def test_a_share_of_the_engine_slows_compute_only_as_the_paper_shows():
    """1/u, and a little more, as later steps start at a later place: the paper has 8.4 to 8.6 for u = 1/8."""
    whole, eighth = prompt_of(), prompt_of(utilisation=0.125)
    ratio = POLICIES["compute_only"](eighth) / POLICIES["compute_only"](whole)
    assert 8.0 <= ratio < 8.6


def test_fronts_over_time_run_towards_each_other_and_end_at_the_meeting():
    prompt = prompt_of(trace=random_trace(1e8, 4e9, 0.05, 5.0, 3), budget=random_trace(0.0, 1.0, 0.05, 5.0, 4))
    result = policies.fronts_over_time(prompt)
    assert float(result.compute_token[0]) == 0.0
    assert float(result.load_token[0]) == prompt.stored
    assert (np.diff(result.compute_time) > 0.0).all()
    assert (np.diff(result.compute_token) >= 0.0).all()
    assert (np.diff(result.load_token) < 0.0).all()
    assert result.attrs["meet_time"] == pytest.approx(float(result.compute_time[-1]), rel=ROUNDING)
    assert float(result.compute_token[-1]) >= float(result.load_token[-1])
    assert result.attrs["ttft"] == pytest.approx(POLICIES["cake"](prompt), rel=ROUNDING)


def test_log_of_positions_grows_past_its_first_rows():
    result = policies.fronts_over_time(prompt_of(io_chunk=4.0, bandwidth=4e10))
    assert result.sizes["request"] > 1024


def test_a_constant_trace_is_the_constant():
    steady = prompt_of(trace=traces.constant_trace(4e9), budget=traces.constant_trace(1.0))
    for name, policy in POLICIES.items():
        if name != "oracle":  # with traces a looser bound
            assert policy(steady) == pytest.approx(policy(prompt_of()), rel=ROUNDING), name
