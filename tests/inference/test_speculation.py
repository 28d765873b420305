"""Speculative decoding against hand arithmetic: rows that are verified, rows and memory of drafts, tokens of a step."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import accelmodel as am
from accelmodel.errors import SpecError
from accelmodel.inference.memory import memory_per_device
from accelmodel.inference.request import prepare_request, run_request
from accelmodel.inference.speculation import tokens_per_step

#: whatever is asked fits
ROOMY = am.cluster(am.override(am.load("device", "b200-sxm"), hbm_capacity=1e15))
#: DeepSeek-V3's module: attention, router, shared and routed experts of one layer, as its config.json tells them
MTP_ATTENTION = 7168 * (1536 + 576) + (1536 * 128 * 192 + 512 * 128 * 256 + 128 * 128 * 7168) / 8
MTP_EXPERTS = 257 * 3 * 7168 * 2048 / 8


def work(**fields):
    return am.workload(**{"phase": "decode", "batch": 4, "context": 4096, **fields})


def rows(model, **fields):
    table = am.operator_table(model, work(**fields))
    return {name: {column: values[i] for column, values in table.columns.items()} for i, name in enumerate(table.names)}


def tpot(model="llama-3-8b", device="h100-sxm", **fields):
    return float(am.time_step(model, device, work(**fields)).tpot)


@pytest.mark.parametrize(
    ("drafted", "share", "tokens"),
    [(0, 0.9, 1.0), (1, 0.815, 1.815), (3, 0.5, 1.875), (5, 1.0, 6.0), (4, 0.0, 1.0)],
)
def test_tokens_of_a_step_by_hand(drafted, share, tokens):
    assert tokens_per_step(work(speculative=drafted, acceptance=share)) == pytest.approx(tokens, rel=1e-12)


@given(drafted=st.integers(0, 12), share=st.floats(0.0, 0.999))
def test_tokens_of_a_step_are_the_mean_over_where_the_first_is_refused(drafted, share):
    # i tokens are taken and the next refused; or all are
    mean = sum((i + 1) * share**i * (1.0 - share) for i in range(drafted)) + (drafted + 1) * share**drafted
    assert tokens_per_step(work(speculative=drafted, acceptance=share)) == pytest.approx(mean, rel=1e-9)


def test_drafted_tokens_are_verified_in_the_rows_of_every_matmul():
    plain = rows("llama-3-70b", tp=8)
    found = rows("llama-3-70b", tp=8, speculative=3, acceptance=0.7, draft="n-gram")
    assert found.keys() == plain.keys()
    for name in ("qkv_projection", "output_projection", "mlp_up", "mlp_down", "head"):
        assert (plain[name]["m"], found[name]["m"]) == (4.0, 16.0), name
        assert found[name]["weight_bytes"] == plain[name]["weight_bytes"]
    # four queries of the 8 heads that share the one KV head of a device; keys are read once
    attention = found["attention"]
    assert (attention["groups"], attention["m"]) == (4.0, 4.0 * 8.0)
    assert attention["weight_bytes"] == plain["attention"]["weight_bytes"]
    assert attention["flops"] == 4.0 * plain["attention"]["flops"]
    assert found["sampling"]["vector_ops"] == 4.0 * plain["sampling"]["vector_ops"]


def test_more_rows_than_a_tile_are_dealt_to_tiles_that_find_the_keys_in_l2():
    one, two = rows("deepseek-v3"), rows("deepseek-v3", speculative=1, acceptance=0.8, draft="n-gram")
    assert (one["attention"]["groups"], one["attention"]["m"], one["attention"]["warm"]) == (4.0, 128.0, 0.0)
    assert (two["attention"]["groups"], two["attention"]["m"], two["attention"]["warm"]) == (8.0, 128.0, 0.5)
    assert two["attention"]["weight_bytes"] == 2.0 * one["attention"]["weight_bytes"]
    result = am.time_step("deepseek-v3", "h200-sxm", work(tp=8, speculative=1, acceptance=0.8, draft="n-gram"))
    plain = am.time_step("deepseek-v3", "h200-sxm", work(tp=8))
    read = [float(each.hbm_bytes.sel(operator="attention")) for each in (plain, result)]
    assert read[1] == pytest.approx(read[0], rel=0.05)  # queries and results are twice


def test_a_module_of_the_model_drafts_with_its_projection_its_layer_and_the_head():
    found = rows("deepseek-v3", tp=8, speculative=3, acceptance=0.8)
    first, later = found["draft_input_projection"], found["draft_next_input_projection"]
    assert (first["m"], first["n"], first["k"], first["count"]) == (16.0, 7168.0, 14336.0, 1.0)
    assert (later["m"], later["count"]) == (4.0, 2.0)
    assert first["weight_bytes"] == 2.0 * 7168.0 * 14336.0
    assert (found["draft_head"]["m"], found["draft_next_head"]["m"]) == (4.0, 4.0)
    assert found["draft_attention"]["count"] == 1.0
    assert found["draft_expert_up_moe"]["groups"] == pytest.approx(256.0 * (1.0 - (1.0 - 8.0 / 256.0) ** 16))
    assert found["draft_input_norms"]["count"] == 2.0
    assert "draft_next_head" not in rows("deepseek-v3", tp=8, speculative=1, acceptance=0.8)


def test_memory_of_a_module_is_its_layer_its_projection_and_its_keys():
    parts = memory_per_device(am.load("model", "deepseek-v3"), work(tp=8, speculative=1, acceptance=0.8))
    router = 7168 * 256 * 2.0
    weights = (MTP_ATTENTION + MTP_EXPERTS) * 8.001953125 / 8.0 + router + 2.0 * 7168 * 14336
    keys = 4 * 4097 * 576 * 2.0
    assert parts["draft"] == pytest.approx(weights + keys, rel=1e-9)
    assert "draft" not in memory_per_device(am.load("model", "deepseek-v3"), work(tp=8))


def test_a_draft_model_works_whole_steps():
    found = rows("llama-3-70b", tp=8, speculative=3, acceptance=0.7, draft="llama-3-8b")
    assert found["draft_mlp_up"]["count"] == 32.0
    assert found["draft_next_mlp_up"]["count"] == 2.0 * 32.0
    assert (found["draft_mlp_up"]["m"], found["draft_next_mlp_up"]["m"]) == (16.0, 4.0)
    parts = memory_per_device(
        am.load("model", "llama-3-70b"), work(tp=8, speculative=3, acceptance=0.7, draft="llama-3-8b")
    )
    small = memory_per_device(am.load("model", "llama-3-8b"), work(tp=8, context=4099))
    assert parts["draft"] == small["weights"] + small["kv_cache"]
    given_whole = work(tp=8, speculative=3, acceptance=0.7, draft=am.load("model", "llama-3-8b"))
    assert am.operator_table("llama-3-70b", given_whole).names == tuple(found)


def test_one_draft_step_and_one_verification_add_up():
    plain = am.time_step("llama-3-70b", "h100-sxm", work(tp=8, speculative=1, acceptance=0.7, draft="n-gram"))
    both = am.time_step("llama-3-70b", "h100-sxm", work(tp=8, speculative=1, acceptance=0.7, draft="llama-3-8b"))
    small = am.time_step("llama-3-8b", "h100-sxm", work(tp=8, speculative=1, draft="n-gram"))
    # the draft needs logits of one token a sequence alone
    difference = float(both.step_time - plain.step_time) / float(small.step_time)
    assert difference == pytest.approx(1.0, abs=0.01)


def test_an_answer_tells_of_its_draft():
    result = am.time_step("deepseek-v3", "h200-sxm", work(tp=8, speculative=1, acceptance=0.815))
    assert json.loads(result.attrs["speculation"]) == {"speculative": 1.0, "acceptance": 0.815, "draft": "mtp"}
    assert "mtp drafts, since no other draft is named" in result.attrs["notes"]
    assert float(result.tokens_per_step) == pytest.approx(1.815)
    assert float(result.tpot) == pytest.approx(float(result.step_time) / 1.815)
    assert float(result.tokens_per_s) == pytest.approx(4 * 1.815 / float(result.step_time))
    drafted = am.time_step("llama-3-70b", "h100-sxm", work(tp=8, speculative=1, acceptance=0.7, draft="llama-3-8b"))
    assert "llama-3-8b:" in drafted.attrs["digests"]
    other = am.time_step("llama-3-70b", "h100-sxm", work(tp=8, speculative=1, acceptance=0.7, draft="opt-2.7b"))
    assert "opt-2.7b has another vocabulary" in other.attrs["notes"]


@pytest.mark.parametrize(
    ("model", "fields", "message"),
    [
        ("llama-3-8b", {"draft": "mtp"}, "llama-3-8b has no modules that predict further tokens"),
        ("llama-3-8b", {"phase": "prefill"}, "speculative is of decode and mixed steps"),
        ("llama-3-8b", {"draft": "no-such-model"}, "no-such-model"),
        ("llama-3-70b", {"draft": "opt-2.7b", "tp": 64}, "tp above the 32 heads of the draft opt-2.7b"),
    ],
)
def test_drafts_that_cannot_be_are_refused(model, fields, message):
    with pytest.raises(SpecError, match=message):
        rows(model, **{"speculative": 2, "acceptance": 0.5, **fields})


def test_numbers_of_a_draft_may_be_axes():
    fields = {"speculative": [0, 1, 4], "acceptance": [0.0, 0.6, 1.0]}
    result = am.time_step("llama-3-8b", "h100-sxm", work(**fields))
    assert result.tpot.dims == ("speculative", "acceptance")
    for drafted in (1, 4):
        alone = am.time_step("llama-3-8b", "h100-sxm", work(speculative=drafted, acceptance=0.6))
        assert float(result.tpot.sel(speculative=drafted, acceptance=0.6)) == float(alone.tpot)
    assert float(result.tpot.sel(speculative=0, acceptance=0.6)) == tpot()


def test_requests_take_fewer_steps_where_each_yields_more_tokens():
    context = work(context=[3072]).context
    model, chips = am.load("model", "llama-3-8b"), am.cluster("h100-sxm")
    draft = {"speculative": 1.0, "draft": "n-gram"}
    none, some, all_taken = (
        run_request(prepare_request(model, chips, "end-to-end", context, batch=1.0, **each), "none").step_time.item()
        for each in ({}, {**draft, "acceptance": 0.5}, {**draft, "acceptance": 1.0})
    )
    assert all_taken < some < none
    assert none / all_taken > 1.8  # a prefill and half as many steps


#: what a step may be asked, small enough to fit
STEPS = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["llama-3-8b", "gpt-oss-120b", "deepseek-v3"]),
        "batch": st.integers(1, 300),
        "context": st.integers(8, 4096),
        "draft": st.sampled_from(["", "eagle", "n-gram"]),
        "tp": st.sampled_from([4, 8]),
    }
)


@settings(deadline=None, max_examples=25)
@given(asked=STEPS, drafted=st.integers(1, 6), shares=st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)))
def test_drafts_that_are_never_taken_gain_nothing_and_more_that_are_taken_more(asked, drafted, shares):
    model, draft = asked["model"], asked["draft"]
    fields = {name: asked[name] for name in ("batch", "context", "tp")}
    plain = am.total_time(model, ROOMY, work(**fields)).step_time.item()
    low, high = sorted(shares)
    asked_drafts = {"speculative": drafted, "acceptance": [0.0, low, high], "draft": draft}
    with_draft = am.time_step(model, ROOMY, work(**fields, **asked_drafts))
    times, yields = with_draft.tpot.values, with_draft.tokens_per_s.values
    assert times[0] >= plain * (1.0 - 1e-12)
    assert times[0] >= times[1] >= times[2]
    assert yields[0] <= yields[1] <= yields[2]
    assert math.isfinite(times[2])


@settings(deadline=None, max_examples=10)
@given(asked=STEPS, share=st.floats(0.0, 1.0))
def test_no_drafted_token_is_a_plain_step_byte_for_byte(asked, share):
    model, draft = asked.pop("model"), asked.pop("draft")
    plain = am.time_step(model, ROOMY, work(**asked))
    none = am.time_step(model, ROOMY, work(**asked, speculative=0, acceptance=share, draft=draft))
    assert plain.identical(none)
