"""The simulation of continuous batching: limits with closed forms, a plain twin, conservation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import FLAT, LINEAR, RULES
from hypothesis import given, settings
from hypothesis import strategies as st
from twins.batching import served as served_one_by_one

import accelmodel as am
from accelmodel.errors import Infeasible, SpecError
from accelmodel.laws.jit import running
from accelmodel.laws.kernels.batching import Rules, Times, curve, serve, surface
from accelmodel.serving.simulate import closed_loop, open_loop, rules_of, simulate, steady, step_tables, summary
from accelmodel.specs.load import load


def test_one_request_alone():
    """A prompt step and 9 decode steps."""
    served = simulate(FLAT, RULES, closed_loop(1, 1, 100, 10))
    assert served.first.tolist() == pytest.approx([0.01])
    assert served.finish.tolist() == pytest.approx([0.1])
    assert served.gaps.tolist() == pytest.approx([0.01] * 9)


def test_single_server_queue_is_pollaczek_khinchine():
    """One slot and answers of one token is M/D/1: mean wait = rho S / 2 (1 - rho).

    20,000 requests at load 0.7: the mean wait's standard error is about 3 %, so within 10 %.
    """
    rules = RULES._replace(max_num_seqs=1)
    served = simulate(FLAT, rules, open_loop(70.0, 20000, 16, 1))
    wait = float(np.mean(served.first - served.traffic.arrival)) - 0.01
    assert wait == pytest.approx(0.7 * 0.01 / (2 * 0.3), rel=0.1)


def test_service_of_two_lengths_is_m_g_1():
    """Prompts of 100 and 900 tokens, 2 and 10 ms: wait = rate E[S^2] / 2 (1 - rho), within 10 %."""
    draw = np.random.default_rng(3)
    lengths = np.where(draw.random(30000) < 0.5, 128, 1024)
    sizes = np.array([curve(LINEAR.other, float(n)) for n in lengths])
    rate = 0.6 / sizes.mean()
    served = simulate(LINEAR, RULES._replace(max_num_seqs=1), open_loop(rate, 30000, lengths, 1))
    wait = float(np.mean(served.first - served.traffic.arrival - sizes))
    assert wait == pytest.approx(rate * (sizes**2).mean() / (2 * 0.4), rel=0.1)


def test_closed_loop_is_the_steady_closed_form():
    """Eight users, separate prompts: throughput within 3 % of the cycle of ``steady``."""
    served = simulate(LINEAR, RULES, closed_loop(8, 2000, 200, np.random.default_rng(0).integers(40, 61, 2000)))
    told, twin = summary(served), steady(LINEAR, RULES, 8, 200, 50)
    assert told["requests_per_s"] == pytest.approx(twin["requests_per_s"], rel=0.03)
    assert told["tpot_s"] == pytest.approx(twin["tpot_s"], rel=0.05)


@pytest.mark.parametrize(("model", "tp", "most"), [("llama-3-8b", 1, 0.01), ("deepseek-v3", 8, 0.03)])
def test_a_step_that_mixes_prompts_and_answers_is_a_mixed_step(model, tp, most):
    """Tables of matmuls by all tokens and of both attentions add up to it; what MLA does to either apart is short."""
    spec, chips = am.load("model", model), am.cluster("h200-sxm", tp)
    (times,) = step_tables(spec, [chips], 256.0, 8192.0, 8192.0, tp=float(tp))
    for batch, context, new, before in ((32, 4096, 480, 1024), (128, 1024, 384, 0), (8, 4096, 2040, 4096)):
        tables = curve(times.other, float(batch + new)) + surface(times.decode_attention, float(batch), float(context))
        tables += surface(times.prompt_attention, float(new), float(before))
        work = {"batch": batch, "context": context, "prefill_tokens": new, "prefix": before, "tp": tp}
        assert tables == pytest.approx(
            am.total_time(spec, chips, {"phase": "mixed", **work}).step_time.item(), rel=most
        )


def test_lockstep_users_by_hand():
    """Two users in step: one step for both prompts, then three decode steps: 40 ms for each answer of four tokens."""
    served = simulate(FLAT, RULES, closed_loop(2, 4, 100, 4))
    assert served.finish.tolist() == pytest.approx([0.04, 0.04, 0.08, 0.08])
    assert served.traffic.arrival.tolist() == pytest.approx([0.0, 0.0, 0.04, 0.04])


def test_chunks_share_steps_with_decoding():
    """Budget 10: the first prompt of 20 takes two steps, then its decoding leaves 9 tokens of a step to the second."""
    rules = RULES._replace(max_num_batched_tokens=10)
    served = simulate(FLAT, rules, closed_loop(2, 2, 20, 5))
    assert served.first.tolist() == pytest.approx([0.02, 0.05])  # 10 + 10; then 9 + 9 + 2
    assert served.gaps.max() == pytest.approx(0.01)  # nobody's decoding is interrupted


def test_patience_holds_prompts_back():
    """With whole prompts in their own steps and patience 5, a request waits for five decode steps."""
    arrival = np.array([0.0, 0.011])
    lengths = np.array([16, 16]), np.array([20, 1])
    traffic = closed_loop(2, 2, *lengths)._replace(arrival=arrival)
    at_once = simulate(FLAT, RULES, traffic)
    patient = simulate(FLAT, RULES._replace(patience=5), traffic)
    assert at_once.first[1] == pytest.approx(0.03)
    assert patient.first[1] == pytest.approx(0.07)


def test_the_host_adds_or_runs_beside():
    one = closed_loop(1, 1, 16, 2)
    added = RULES._replace(fixed=0.004, each=0.001, prompt=0.1)
    assert simulate(FLAT, added, one).finish[0] == pytest.approx(0.014 + 0.1 + 0.015)
    assert simulate(FLAT, added._replace(overlapped=True), one).finish[0] == pytest.approx(0.01 + 0.1 + 0.011)


def test_a_request_enters_the_queue_after_its_host_time():
    """4 ms and 1 ms for each of 5 tokens, prompts one after another: ready at 9, 14 ms, so that only one is in time."""
    rules = RULES._replace(entry=0.004, entry_token=0.001)
    served = simulate(FLAT, rules, closed_loop(2, 2, 5, 3))
    assert served.first.tolist() == pytest.approx([0.019, 0.029])  # 9 + 10; the second waits for that step
    assert served.finish.tolist() == pytest.approx([0.049, 0.049])  # its prompt took a step that decoded nothing


def test_prompts_in_steps_of_their_own_stop_decoding_and_keep_users_in_step():
    """Budget 10, three prompts of 10: three steps without decoding, then two decode steps for all; and again."""
    apart = RULES._replace(max_num_batched_tokens=10, apart=True)
    served = simulate(FLAT, apart, closed_loop(3, 6, 10, 3))
    assert served.first[:3].tolist() == pytest.approx([0.01, 0.02, 0.03])
    assert served.finish.tolist() == pytest.approx([0.05] * 3 + [0.1] * 3)
    mixed = simulate(FLAT, apart._replace(apart=False), closed_loop(3, 6, 10, 3))
    assert mixed.finish[0] < served.finish[0]


def test_a_waiting_prompt_lets_steps_pass_to_gather_others():
    arrival = np.array([0.0, 0.011])
    traffic = closed_loop(2, 2, np.array([16, 16]), np.array([20, 1]))._replace(arrival=arrival)
    waited = simulate(FLAT, RULES._replace(gather=5), traffic)
    assert waited.first[1] == pytest.approx(0.08)  # in the queue at 20 ms; five decode steps; its own
    assert simulate(FLAT, RULES, traffic).first[1] == pytest.approx(0.03)


def test_a_queue_that_is_looked_at_every_fifth_decode_step():
    """The request is there at 11 ms; the queue is looked at after the first prompt and five decode steps, at 60 ms."""
    arrival = np.array([0.0, 0.011])
    traffic = closed_loop(2, 2, np.array([16, 16]), np.array([20, 1]))._replace(arrival=arrival)
    polled = RULES._replace(poll=5)
    assert simulate(FLAT, polled, traffic).first[1] == pytest.approx(0.07)
    late = traffic._replace(arrival=np.array([0.0, 0.065]))
    assert simulate(FLAT, polled, late).first[1] == pytest.approx(0.12)


def test_kv_cache_limits_who_is_admitted():
    """Room for two requests of 26 tokens: the third starts when the first two have finished."""
    served = simulate(FLAT, RULES._replace(room=52.0), closed_loop(3, 3, 16, 10))
    assert served.first.tolist() == pytest.approx([0.01, 0.01, 0.11])
    with pytest.raises(Infeasible, match="a request of 26 tokens does not fit the KV cache of 20 tokens"):
        simulate(FLAT, RULES._replace(room=20.0), closed_loop(1, 1, 16, 10))


#: how an engine makes up steps, and when it looks at the queue
ENGINES = st.builds(
    Rules,
    max_num_seqs=st.integers(1, 9),
    room=st.integers(60, 400).map(float),
    max_num_batched_tokens=st.sampled_from([0, 0, 1, 7, 30]),
    patience=st.sampled_from([0, 0, 3, 20]),
    fixed=st.sampled_from([0.0, 0.0011, 0.01]),
    each=st.sampled_from([0.0, 0.0003]),
    prompt=st.sampled_from([0.0, 0.002]),
    overlapped=st.booleans(),
    entry=st.sampled_from([0.0, 0.0031]),
    entry_token=st.sampled_from([0.0, 1.3e-4]),
    gather=st.sampled_from([0, 0, 2, 15]),
    apart=st.booleans(),
    poll=st.sampled_from([0, 0, 4, 25]),
    rows=st.sampled_from([1, 1, 2, 5]),
    yields=st.sampled_from([1.0, 1.0, 1.75, 3.0]),
    step=st.sampled_from([0.0, 0.0017]),
    captured=st.sampled_from([0.0, 4.0, 8.0, 40.0]),
)


@given(ENGINES, st.booleans(), st.integers(0, 10**6))
@settings(max_examples=60)
def test_events_are_the_steps_one_by_one(rules, closed, seed):
    """Sums of runs of steps, steps one by one in the same code, and the twin: the same times of every token."""
    draw = np.random.default_rng(seed)
    prompt, answer = draw.integers(1, 30, 20), draw.integers(1, draw.integers(2, 32), 20)
    traffic = closed_loop(int(draw.integers(1, 21)), 20, prompt, answer)
    if not closed:
        traffic = open_loop(float(draw.choice([3.0, 30.0, 300.0])), 20, prompt, answer, seed)
    times = Times(*(draw.random(shape) * 0.01 for shape in ((20,), (12, 20), (20, 20))))
    events, steps = (simulate(times, rules, traffic, gaps=gaps) for gaps in (False, True))
    twin = served_one_by_one(traffic, times, rules)
    for found in (events, steps):
        assert found.first == pytest.approx([each.tokens[0] for each in twin], rel=1e-12)
        assert found.finish == pytest.approx([each.tokens[-1] for each in twin], rel=1e-12)
        assert found.traffic.arrival == pytest.approx([each.arrival for each in twin], rel=1e-12)
    between = np.concatenate([np.diff(each.tokens) for each in twin])
    assert np.sort(steps.gaps) == pytest.approx(np.sort(between), rel=1e-9, abs=1e-12)
    assert len(events.gaps) == 0


@given(ENGINES, st.integers(0, 10**6))
@settings(max_examples=20)
def test_compiled_is_plain_and_tokens_come_in_order(rules, seed):
    """The same code without compilation gives the same times; order and causality hold."""
    draw = np.random.default_rng(seed)
    traffic = closed_loop(20, 30, draw.integers(1, 30, 30), draw.integers(1, 30, 30))
    with running("compiled"):
        served = simulate(LINEAR, rules, traffic)
    first, finish, gaps = np.zeros(30), np.zeros(30), np.zeros((2, int(traffic.answer.sum())))
    plain = traffic._replace(arrival=traffic.arrival.copy())
    count = serve.plain(plain, LINEAR, rules, first, finish, gaps)
    assert finish == pytest.approx(served.finish, rel=1e-12)
    assert np.repeat(gaps[0, :count], gaps[1, :count].astype(int)) == pytest.approx(served.gaps, rel=1e-12)
    assert (served.first > served.traffic.arrival).all()
    assert (served.finish >= served.first).all()
    assert (np.diff(served.first) >= -1e-12).all()


def test_a_million_steps_are_an_arithmetic_series():
    """Two users in step, steps of 8 ms and 1 us for each token of context."""
    line = 2.0 ** np.arange(25) * 1e-6
    times = Times(np.full(25, 0.008), np.broadcast_to(line, (12, 25)).copy(), np.zeros((25, 25)))
    served = simulate(times, RULES, closed_loop(2, 2, 100, 1_000_001), gaps=False)
    contexts = 100 + 1 + np.arange(1, 1_000_001)
    assert served.finish - served.first == pytest.approx([0.008 * 1_000_000 + 1e-6 * contexts.sum()] * 2, rel=1e-12)


def test_tables_are_the_step_model(warm):
    """Steps from the tables against ``time_step``: within 1 % at powers of two, 10 % between (waves of tiles)."""
    model, chip = load("model", "llama-3.1-8b"), am.cluster(load("device", "l40s"), 1)
    times = step_tables(model, [chip], 64, 4096, 4096)[0]
    for batch, context, off in ((16, 1024, 1e-9), (24, 1500, 0.1)):
        told = surface(times.decode_attention, batch, context) + curve(times.other, batch)
        step = am.time_step(model, chip, am.workload(phase="decode", batch=batch, context=context))
        assert told == pytest.approx(float(step.step_time), rel=off)
    for tokens, before, off in ((2048, 0, 0.01), (512, 1024, 0.01), (700, 1300, 0.1)):
        told = surface(times.prompt_attention, tokens, before + 1.0) + curve(times.other, tokens)
        work = am.workload(phase="prefill", batch=1, context=tokens + before, prefix=before)
        assert told == pytest.approx(float(am.time_step(model, chip, work).step_time), rel=off)


def test_traffic_that_is_none():
    with pytest.raises(SpecError, match="rate 0 requests/s must be above 0"):
        open_loop(0.0, 10, 1, 1)
    with pytest.raises(SpecError, match="users 0 must be from 1"):
        closed_loop(0, 10, 1, 1)


def test_engine_rules_carry_over():
    engine = am.override(load("engine", "tgis"), layer_time="1ms")
    rules = rules_of(engine, 32.0, 1000.0)
    assert (rules.fixed, rules.room, rules.overlapped) == (0.032, 1000.0, True)
    with pytest.raises(ValueError, match="unknown overlap"):
        replace(engine, host="sometimes")
