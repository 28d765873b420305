"""Cake and its rivals: limits, bounds, the grid against single prompts, adaptive scheduling, bad input."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelmodel.errors import Infeasible, SpecError
from accelmodel.kvcache import policies, recompute, traces
from accelmodel.kvcache import prompt as cake
from accelmodel.kvcache.adaptive import Request, adaptive_scheduling, batch_times
from accelmodel.kvcache.grid import ttft_grid, uniform_bound
from accelmodel.kvcache.policies import POLICIES, meet
from accelmodel.kvcache.prompt import Computing, Loading, Prompt
from accelmodel.kvcache.traces import BANDWIDTH, Trace, random_trace, read_chunk_times, read_trace
from accelmodel.specs import load as library

#: relative rounding of sums in another order
ROUNDING = 1e-9
CURVE = np.linspace(0.04, 0.08, 32)
KV = 512 * 1024.0
TAIL = 0.1


def prompt_of(**changes) -> Prompt:
    """Return 16384 tokens, all stored, 4 GB/s, all of the engine, with some fields of any part replaced."""
    parts = {"computing": Computing(CURVE), "loading": Loading(KV, 4e9, 32.0, TAIL)}
    whole = {"tokens": 16384.0, "stored": 16384.0}
    for name, value in changes.items():
        for part, spec in parts.items():
            if name in spec.__dataclass_fields__:
                parts[part] = replace(spec, **{name: value})
        if name in whole:
            whole[name] = value
    return Prompt(**whole, **parts)


def slack(prompt: Prompt) -> float:
    """A step and an I/O chunk of each, and the tail: what the discreteness of the fronts may cost [s]."""
    return float(prompt.computing.times.max()) * 1.1 + prompt.loading.chunk_time + prompt.loading.tail


rates = st.floats(1e8, 1e11)
shares = st.floats(0.05, 1.0)
curves = st.lists(st.floats(0.01, 0.2), min_size=12, max_size=12).map(np.array)


@st.composite
def prompts(draw, rising=False):
    curve = draw(curves)
    curve = np.sort(curve) if rising else curve
    tokens = draw(st.integers(100, 12 * 512))
    computing = Computing(curve, utilisation=draw(shares))
    latency, io = draw(st.floats(0.0, 0.01)), draw(st.integers(16, 1024))
    load = Loading(KV, draw(rates), 32.0, draw(st.floats(0.0, 0.2)), latency, io)
    return Prompt(float(tokens), float(draw(st.integers(0, tokens))), computing, load)


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


@settings(max_examples=40)
@given(prompt=prompts())
def test_grid_equals_single_prompts(prompt):
    """The traced kernel with constant traces, and the grid's kernel with its prefix sums."""
    load, computing = prompt.loading, prompt.computing
    one = ttft_grid(
        {"x": computing.times}, load, tokens=[prompt.tokens], bandwidth=[load.bandwidth],
        utilisation=[computing.utilisation], stored=prompt.stored,
    ).squeeze()  # fmt: skip
    for name, policy in POLICIES.items():
        assert float(one.ttft.sel(policy=name)) == pytest.approx(policy(prompt), rel=ROUNDING), name
    meeting = meet(prompt)
    assert float(one.computed_tokens) == pytest.approx(meeting.computed_tokens, rel=ROUNDING)
    assert float(one.loaded_tokens) == pytest.approx(meeting.loaded_tokens, rel=ROUNDING) or prompt.stored == 0.0


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


def test_uniform_costs_without_tail_approach_the_closed_form():
    """Within a step and a chunk of Tc Tl / (Tc + Tl)."""
    result = ttft_grid(
        {"x": np.full(64, 0.05)}, Loading(KV, 1e9, 32.0, 0.0), tokens=[32768], bandwidth=[1e9, 4e9, 2e10]
    )
    gap = result.ttft.sel(policy="oracle") / result.uniform_bound - 1.0
    assert float(abs(gap).max()) < 1e-6  # the fluid optimum is that form
    assert float((result.ttft.sel(policy="cake") - result.uniform_bound).max()) <= 0.05 + 128 * KV / 1e9


def test_uniform_bound_by_hand():
    assert uniform_bound(3.0, 6.0) == 2.0
    assert uniform_bound(3.0, 6.0, stages=2.0) == 1.0


def test_a_share_of_the_engine_slows_compute_only_as_the_paper_shows():
    """1/u, and a little more, as later steps start at a later place: the paper has 8.4 to 8.6 for u = 1/8."""
    whole, eighth = prompt_of(), prompt_of(utilisation=0.125)
    ratio = POLICIES["compute_only"](eighth) / POLICIES["compute_only"](whole)
    assert 8.0 <= ratio < 8.6


def test_crossover_is_where_load_and_compute_are_equal():
    load = Loading(KV, 1e9, 32.0, TAIL, latency=1e-4)
    first = ttft_grid({"x": CURVE}, load, tokens=[8192, 16384], bandwidth=[1e9], utilisation=[0.5, 1.0])
    for tokens in (8192, 16384):
        for share in (0.5, 1.0):
            rate = float(first.crossover_bandwidth.sel(tokens=tokens, utilisation=share).squeeze())
            at = ttft_grid({"x": CURVE}, load, tokens=[tokens], bandwidth=[rate], utilisation=[share]).ttft.squeeze()
            assert float(at.sel(policy="load_only")) == pytest.approx(float(at.sel(policy="compute_only")), rel=1e-6)


def test_crossover_is_infinite_where_decompression_or_tail_forbid_it():
    slow = Loading(KV, 1e9, 32.0, TAIL, compression=4.0, decompression_rate=1e9)
    late = Loading(KV, 1e9, 32.0, tail=100.0)
    for load in (slow, late):
        found = ttft_grid({"x": CURVE}, load, tokens=[16384], bandwidth=[1e9]).crossover_bandwidth
        assert math.isinf(float(found.squeeze()))


def test_fewer_bits_are_fewer_bytes_and_compression_is_the_same():
    bits = ttft_grid({"x": CURVE}, Loading(KV, 1e9, 32.0, TAIL), tokens=[16384], bandwidth=[1e9], kv_bits=[16, 4]).ttft
    squeezed = ttft_grid(
        {"x": CURVE}, Loading(KV, 1e9, 32.0, TAIL, compression=4.0), tokens=[16384], bandwidth=[1e9]
    ).ttft
    assert bits.sel(kv_bits=4).values == pytest.approx(squeezed.squeeze("kv_bits").values, rel=ROUNDING)
    assert float(bits.sel(policy="load_only", kv_bits=4).squeeze()) < float(
        bits.sel(policy="load_only", kv_bits=16).squeeze()
    )


def test_devices_with_curves_of_other_lengths_share_a_grid():
    both = ttft_grid({"a": CURVE, "b": CURVE[:16]}, Loading(KV, 1e9, 32.0, TAIL), tokens=[8192], bandwidth=[1e9])
    one, two = (both.ttft.sel(device=name).values for name in ("a", "b"))
    assert one == pytest.approx(two, rel=ROUNDING)


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


@pytest.mark.parametrize(("flops", "expected"), [(1e30, 20), (1.0, 0)])
def test_partial_recomputation_goes_to_its_limits(flops, expected):
    """KVPR: activations are half as large as keys and values, so with free compute all are sent as activations."""
    plan = recompute.partial_recomputation(2.0, 20.0, 64.0, 64.0, 2.0, 1e9, flops)
    assert plan.tokens == expected
    assert plan.load_time == pytest.approx(2 * 2 * 20 * 64 * 2 / 1e9, rel=ROUNDING)
    assert plan.time <= plan.load_time


def test_partial_recomputation_by_hand():
    """b = h = w = p = B = 1, F = 4, s = 6: t_X = l, t_rec = l, t_KV = 2 (6 - l): least is l = 4 with 4 + 4."""
    plan = recompute.partial_recomputation(1.0, 6.0, 1.0, 1.0, 1.0, 1.0, 4.0)
    assert (plan.tokens, plan.time, plan.load_time) == (4, 8.0, 12.0)


def test_hidden_states_by_hand():
    """N = 6, 2 layers, h = w = p = 1, B = 1, F = 4: load 12, rebuild 12, one layer of it behind the last load."""
    assert recompute.hidden_states(6.0, 2.0, 1.0, 1.0, 1.0, 1.0, 4.0) == (18.0, 12.0, 12.0, 24.0)


def test_hidden_states_halve_the_load_and_are_worth_nothing_with_grouped_heads():
    wide = recompute.hidden_states(16384.0, 40.0, 5120.0, 5120.0, 2.0, 4e9, 2e14)
    assert wide.load_time == wide.kv_load_time / 2
    assert wide.load_time < wide.time < wide.kv_load_time
    grouped = recompute.hidden_states(16384.0, 80.0, 8192.0, 1024.0, 2.0, 4e9, 2e14)
    assert grouped.time > grouped.kv_load_time


@pytest.mark.parametrize("name", ["tokens", "layers", "hidden", "kv_width", "number_bytes", "bandwidth", "rate"])
def test_hidden_states_refuse_nothing(name):
    fields = dict.fromkeys(("tokens", "layers", "hidden", "kv_width", "number_bytes", "bandwidth", "rate"), 1.0)
    with pytest.raises(SpecError, match=f"{name} 0 .*must be above 0"):
        recompute.hidden_states(**{**fields, name: 0.0})


def small_requests():
    return [Request(0.0, float(n)) for n in 3 * (256, 64, 448, 384, 16, 128)]


def test_adaptive_scheduling_serves_others_first_and_ends_earlier():
    sizes = np.array([1.0, 128.0, 256.0, 512.0]), np.array([0.02, 0.022, 0.03, 0.04])
    result = adaptive_scheduling(prompt_of(), small_requests(), sizes)
    off, on = result.sel(mode="default"), result.sel(mode="adaptive")
    assert float(on.finish) < float(off.finish)
    assert float(on.throughput) > float(off.throughput)
    assert float(on.mean_request_ttft) < float(off.mean_request_ttft)
    assert float(off.cake_ttft) == pytest.approx(POLICIES["cake"](prompt_of()), rel=ROUNDING)
    assert (on.step_tokens[:10] == 512.0).all()
    assert float(on.step_cake_tokens.sum()) < float(off.step_cake_tokens.sum())
    assert float((off.step_tokens - off.step_cake_tokens).sum()) == 3 * (256 + 64 + 448 + 384 + 16 + 128)


def test_decode_comes_before_everything():
    sizes = np.array([1.0, 512.0]), np.array([0.02, 0.04])
    result = adaptive_scheduling(prompt_of(), [Request(0.0, 16.0, decode=5.0)], sizes).sel(mode="adaptive")
    others = (result.step_tokens - result.step_cake_tokens).values
    assert list(others[:7]) == [16.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0]


def test_late_requests_are_waited_for():
    sizes = np.array([1.0, 512.0]), np.array([0.02, 0.04])
    result = adaptive_scheduling(prompt_of(), [Request(50.0, 512.0)], sizes)
    assert result.finish.values == pytest.approx([50.04, 50.04], rel=ROUNDING)
    assert result.request_ttft.values == pytest.approx(np.full((2, 1), 0.04), rel=ROUNDING)


@pytest.fixture(scope="module")
def a100():
    return library.cluster(library.load("device", "a100-sxm-80gb"), 1)


def test_chunk_times_of_the_step_model_grow_with_position(a100):
    times = cake.chunk_times(library.load("model", "longalpaca-7b"), a100, 16384.0)
    assert times.shape == (32,)
    assert (np.diff(times) > 0.0).all()


def test_step_time_against_batch_has_a_floor(a100):
    sizes, times = batch_times(library.load("model", "longalpaca-7b"), a100, [16, 32, 512])
    assert times[1] < 1.1 * times[0]
    assert times[2] > times[1]
    assert list(sizes) == [16.0, 32.0, 512.0]


def test_a_context_that_does_not_fit_is_infeasible(a100):
    with pytest.raises(Infeasible, match="does not fit"):
        cake.chunk_times(library.load("model", "longalpaca-13b"), a100, 131072.0)


def test_loading_takes_what_the_tier_says_unless_told():
    model = library.load("model", "longalpaca-13b")
    load = cake.loading(model, library.load("storage", "cloud-ssd"), kv_bits=8, io_chunk=64.0)
    assert load.kv_bytes == 400 * 1024  # Table 1 of the paper: 800 KiB at 16 bit
    assert load.bandwidth == 2.0**32
    assert load.io_chunk == 64.0
    assert cake.loading(model, library.load("storage", "nvme"), bandwidth=1e9).bandwidth == 1e9


@pytest.mark.parametrize("name", library.available("storage"))
def test_tail_of_every_tier_is_calibrated_with_a_range(name):
    fact = library.load("storage", name).facts["tail"]
    assert fact.kind == "calibrated"
    assert fact.range == (0.0, 0.152)


@pytest.mark.parametrize(
    "changes",
    [
        {"bandwidth": 0.0}, {"bandwidth": -1.0}, {"bandwidth": math.nan}, {"utilisation": 0.0},
        {"utilisation": 1.01}, {"utilisation": -0.5}, {"utilisation": math.nan}, {"stored": 20000.0}, {"stored": -1.0},
        {"tokens": 0.0}, {"tokens": 20000.0}, {"tail": -0.1}, {"latency": math.inf}, {"compression": 0.5},
        {"decompression_rate": 0.0}, {"io_chunk": 0.0}, {"chunk": 0.0}, {"chunk": math.inf}, {"times": CURVE[:31]},
        {"times": np.append(CURVE, 0.0)}, {"times": np.append(CURVE, math.nan)}, {"utilisation": 1e-9},
        {"budget": Trace(np.zeros(1), np.array([1.5]))},
    ],
)  # fmt: skip
def test_prompt_refuses(changes):
    with pytest.raises(SpecError):
        prompt_of(**changes)


@pytest.mark.parametrize(
    "changes",
    [{"bandwidth": [0.0]}, {"bandwidth": [-1.0]}, {"utilisation": [0.0]}, {"utilisation": [1.5]}, {"tokens": [20000]},
     {"tokens": []}, {"kv_bits": [0]}, {"chunk": 0.0}, {"stored": 20000.0}, {"stored": -1.0}, {"utilisation": [1e-9]}],
)  # fmt: skip
def test_grid_refuses(changes):
    with pytest.raises(SpecError):
        ttft_grid({"x": CURVE}, Loading(KV, 1e9, 32.0, TAIL), **{"tokens": [16384], "bandwidth": [1e9], **changes})


def test_grid_refuses_curves_that_are_none():
    for curves in ({}, {"x": np.append(CURVE, -1.0)}):
        with pytest.raises(SpecError):
            ttft_grid(curves, Loading(KV, 1e9, 32.0, TAIL), tokens=[16384], bandwidth=[1e9])


def test_traces_that_end_too_early_are_refused_unless_held():
    short = Trace(np.array([0.0, 0.1]), np.array([1e9, 1e9]), name="bw.csv")
    budget = Trace(np.array([0.0, 0.1]), np.array([0.5, 0.5]), name="budget.csv")
    with pytest.raises(SpecError, match=r"bw\.csv ends at 0\.1 s"):
        POLICIES["load_only"](prompt_of(trace=short))
    with pytest.raises(SpecError, match=r"budget\.csv ends at 0\.1 s"):
        POLICIES["cake"](prompt_of(budget=budget))
    held = replace(short, hold=True), replace(budget, hold=True)
    expected = POLICIES["cake"](prompt_of(bandwidth=1e9, utilisation=0.5))
    assert POLICIES["cake"](prompt_of(trace=held[0], budget=held[1])) == pytest.approx(expected, rel=ROUNDING)
    with pytest.raises(SpecError, match="stays at 0"):
        POLICIES["compute_only"](prompt_of(budget=Trace(np.array([0.0, 0.1]), np.array([1.0, 0.0]), hold=True)))


@pytest.mark.parametrize(
    ("time", "value"),
    [([0.0, 1.0], [1.0]), ([], []), ([1.0], [1.0]), ([0.0, 0.0], [1.0, 1.0]), ([0.0], [-1.0]), ([0.0], [0.0]),
     ([0.0, math.nan], [1.0, 1.0]), ([0.0], [math.inf])],
)  # fmt: skip
def test_trace_refuses(time, value):
    with pytest.raises(SpecError):
        Trace(np.array(time), np.array(value))


def test_random_traces_are_seeded_and_bounded():
    first, again, other = (random_trace(0.2, 0.8, 0.1, 2.0, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.value, again.value)
    assert not np.array_equal(first.value, other.value)
    assert first.value.min() >= 0.2
    assert first.value.max() <= 0.8
    assert first.end >= 2.0
    with pytest.raises(SpecError):
        random_trace(0.5, 0.1, 0.1, 1.0, 0)


def test_files_are_read(tmp_path):
    curve, trace = tmp_path / "curve.csv", tmp_path / "trace.csv"
    curve.write_text("# measured\nchunk_index,time_s\n0,0.04\n1,0.05\n", encoding="utf-8")
    trace.write_text("time_s,value\n0,1e9\n0.5,2e9\n", encoding="utf-8")
    assert list(read_chunk_times(curve, 2)) == [0.04, 0.05]
    found = read_trace(trace, BANDWIDTH)
    assert (list(found.time), list(found.value), found.end, found.mean) == ([0.0, 0.5], [1e9, 2e9], 0.5, 1e9)
    assert math.isinf(read_trace(trace, BANDWIDTH, hold=True).end)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("chunk_index,time_s\n0,0.04\n2,0.05\n", "line 3: chunk_index 2, expected 1"),
        ("chunk_index,time_s\n0,0.04\n", "line 2: ends at chunk 0"),
        ("chunk_index,time_s\n0,0.04\n1,-1\n", "line 3: time_s -1"),
        ("chunk_index,time_s\n0,fast\n", "line 2: .* must be numbers"),
        ("chunk_index,time_s\n0,nan\n", "line 2: .* must be finite"),
        ("chunk_index,time_s\n0\n", "line 2: .* must be numbers"),
        ("index,time\n0,1\n", "must name 'chunk_index' and one of 'time_s'"),
        ("chunk_index,time_s\n", "no rows"),
        ("", "must name 'chunk_index' and one of 'time_s'"),
    ],
)
def test_bad_curves_are_named_by_file_and_line(tmp_path, text, said):
    path = tmp_path / "curve.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=said) as problem:
        read_chunk_times(path, 2)
    assert "curve.csv" in str(problem.value)


@pytest.mark.parametrize(
    ("column", "columns", "factor"),
    [("bandwidth_bytes_per_s", BANDWIDTH, 1.0), ("bandwidth_gibps", BANDWIDTH, 2**27),
     ("bandwidth_gbps", BANDWIDTH, 1.25e8),
     ("utilisation", traces.budget(512.0), 1.0), ("budget_tokens", traces.budget(512.0), 1 / 512)],
)  # fmt: skip
def test_the_name_of_a_column_is_its_unit(tmp_path, column, columns, factor):
    path = tmp_path / "trace.csv"
    path.write_text(f"time_s,{column}\n0,0.5\n1,0.25\n", encoding="utf-8")
    assert list(read_trace(path, columns).value) == [0.5 * factor, 0.25 * factor]
    path.write_text("time_s,speed\n0,1\n", encoding="utf-8")
    with pytest.raises(SpecError, match=f"one of 'value', .*'{column}'"):
        read_trace(path, columns)


def test_bad_trace_files_are_named(tmp_path):
    path = tmp_path / "bw.csv"
    with pytest.raises(SpecError, match=r"bw\.csv: cannot be read"):
        read_trace(path, BANDWIDTH)
    path.write_text("time_s,value\n0,1\n0,2\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"bw\.csv: line 3: time_s 0 does not follow 0"):
        read_trace(path, BANDWIDTH)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match="UTF-8"):
        read_trace(path, BANDWIDTH)


@pytest.mark.parametrize("changes", [{"tokens": 0.0}, {"arrival": -1.0}, {"decode": math.inf}])
def test_requests_refuse(changes):
    with pytest.raises(SpecError):
        Request(**{"arrival": 0.0, "tokens": 10.0, **changes})


def test_adaptive_refuses_bad_curves_and_short_traces():
    for sizes, times in (([1.0, 1.0], [0.1, 0.1]), ([1.0], [0.0]), ([], [])):
        with pytest.raises(SpecError):
            adaptive_scheduling(prompt_of(), [], (np.array(sizes), np.array(times)))
    with pytest.raises(SpecError, match="prefills"):
        adaptive_scheduling(prompt_of(), [], (np.array([1.0]), np.array([0.1])), prefills=0)


def test_a_trace_that_starts_with_a_pause_is_planned_with_what_follows():
    late = Trace(np.array([0.0, 0.2]), np.array([0.0, 1.0]), hold=True)
    assert late.mean == 1.0
    paused = prompt_of(budget=late)
    # steps of 0.04 s that serve others: the fifth ends at the 0.2 s where the budget opens, or just before
    expected = POLICIES["compute_only"](prompt_of()) + 0.2
    assert POLICIES["compute_only"](paused) == pytest.approx(expected, abs=0.04 + ROUNDING)
    with pytest.raises(SpecError, match="all values are 0"):
        Trace(np.array([0.0, 0.2]), np.array([0.0, 1.0]))


def test_a_constant_trace_is_the_constant():
    steady = prompt_of(trace=traces.constant_trace(4e9), budget=traces.constant_trace(1.0))
    for name, policy in POLICIES.items():
        if name != "oracle":  # with traces a looser bound
            assert policy(steady) == pytest.approx(policy(prompt_of()), rel=ROUNDING), name
