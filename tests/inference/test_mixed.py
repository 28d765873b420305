"""Steps that decode and work on part of a prompt: rows by hand, and the steps that they lie between."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import accelmodel as am
from accelmodel.errors import SpecError
from accelmodel.inference.memory import memory_per_device
from accelmodel.laws.types import RECURRENCE
from accelmodel.specs.layer_kinds import Linear

MODELS = ("llama-3-8b", "gpt-oss-120b", "deepseek-v3")
#: whatever is asked fits
ROOMY = am.cluster(am.override(am.load("device", "b200-sxm"), hbm_capacity=1e15))


def work(phase="mixed", **fields):
    return am.workload(**{"phase": phase, "batch": 32, "context": 4096, "tp": 4, **fields})


def rows(model, asked):
    table = am.operator_table(model, asked)
    return {name: {column: values[i] for column, values in table.columns.items()} for i, name in enumerate(table.names)}


def time(model, asked):
    return am.total_time(model, ROOMY, asked).step_time


def of_experts(model, asked):
    """Time of the matmuls of experts that a next larger tile may save [s].

    Where the tokens of an expert fill a tile, half of the experts take a second one: 1.5 tiles, of the next size 1.
    """
    found = am.time_step(model, ROOMY, asked)
    matmuls = [name for name in found.operator.values if name.startswith(("expert_up", "expert_down"))]
    return float(found.time.sel(operator=matmuls).sum()) / 3.0


def prompt(tokens, prefix=0, **fields):
    return work("prefill", batch=1, context=prefix + tokens, prefix=prefix, **fields)


def test_matmuls_have_the_tokens_of_both_and_attention_those_of_each():
    found = rows("llama-3-8b", work(prefill_tokens=512, prefix=1024))
    decode, prefill = rows("llama-3-8b", work("decode")), rows("llama-3-8b", prompt(512, 1024))
    for name in ("qkv_projection", "output_projection", "mlp_up", "mlp_down"):
        assert found[name]["m"] == 32.0 + 512.0, name
        assert found[name]["weight_bytes"] == decode[name]["weight_bytes"]
        assert found[name]["flops"] == decode[name]["flops"] + prefill[name]["flops"]
    assert found["head"]["m"] == 33.0  # the last token of the prompt's part has a next one too
    assert found["attention"] == decode["attention"]
    assert found["attention_of_prompt"] == prefill["attention"]
    assert found["all_reduce_into_mlp"]["message_bytes"] == (32 + 512) * 4096 * 2.0


def test_latent_attention_absorbs_for_decode_and_expands_for_the_prompt():
    found = rows("deepseek-v3", work(prefill_tokens=512))
    assert found["latent_projection"]["m"] == 32.0 + 512.0
    assert found["absorb_keys"]["m"] == 32.0
    assert found["expand_cache_of_prompt"]["m"] == 512.0
    assert found["attention_of_prompt"]["m"] == 512.0


def test_states_of_decode_and_of_the_prompt_are_rows_of_their_own():
    model = am.load("model", "llama-3-8b")
    linear = Linear("linear", model.layers, 16.0, 32.0, 128.0, 128.0)
    found = rows(replace(model, attention=(linear,)), work(prefill_tokens=512))
    assert found["state_projection_linear"]["m"] == 32.0 + 512.0
    assert found["state_update_linear"]["weight_bytes"] == 2 * 32 * 8 * 128 * 128 * 4.0  # read and written
    assert found["state_update_of_prompt_linear"]["kind"] == RECURRENCE


def test_each_rank_and_stage_has_a_prompt_of_its_own():
    asked = work(tp=1, dp=2, pp=2, prefill_tokens=1000, prefix=100)
    found = rows("llama-3-8b", asked)
    assert found["mlp_up"]["m"] == 32 / 4 + 250
    assert found["attention_of_prompt"]["n"] == (101 + 350) / 2
    parts = memory_per_device(am.load("model", "llama-3-8b"), asked)
    alone = memory_per_device(am.load("model", "llama-3-8b"), prompt(250, 100, tp=1))
    # keys of two micro-batches on half of the layers, and what works on one of them
    assert parts["prompt"] == pytest.approx(alone["kv_cache"] + alone["activations"])


@pytest.mark.parametrize("model", MODELS)
def test_no_tokens_of_a_prompt_is_a_decode_step(model):
    mixed = am.time_step(model, "b200-sxm", work(prefill_tokens=0, prefix=512))
    decode = am.time_step(model, "b200-sxm", work("decode"))
    for name in ("step_time", "tpot", "tokens_per_s", "memory_bytes", "time", "hbm_bytes"):
        assert mixed[name].identical(decode[name]), name
    along = am.time_step(model, "b200-sxm", work(prefill_tokens=[0, 64], prefix=512))
    assert float(along.step_time[0]) == float(decode.step_time)
    assert float(along.memory_bytes[0]) == float(decode.memory_bytes)
    assert float(along["count"].sel(operator="attention_of_prompt", prefill_tokens=0)) == 0.0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"phase": "decode", "prefill_tokens": 8}, "prefill_tokens are of a mixed step"),
        ({"phase": "prefill", "prefill_tokens": 8}, "prefill_tokens are of a mixed step"),
    ],
)
def test_prompts_beside_other_phases_are_refused(fields, message):
    with pytest.raises(SpecError, match=message):
        am.operator_table("llama-3-8b", work(**fields))


def test_answers_of_mixed_steps_count_both_kinds_of_tokens():
    found = am.time_step("llama-3-8b", "b200-sxm", work(prefill_tokens=512))
    assert float(found.tokens_per_s) == pytest.approx(32 / float(found.step_time))
    assert float(found.prefill_tokens_per_s) == pytest.approx(512 / float(found.step_time))
    assert float(found.tpot) == float(found.step_time)
    assert json.loads(found.attrs["sizes"])["prefill_tokens"] == 512.0


def test_a_prompt_longer_than_the_model_was_trained_for_is_noted():
    notes = am.operator_table("llama-3-8b", work(prefill_tokens=512, prefix=8000)).notes
    assert any("context exceeds" in note for note in notes)


@settings(deadline=None, max_examples=25)
@given(
    model=st.sampled_from(MODELS),
    batch=st.integers(1, 256),
    context=st.integers(16, 4096),
    tokens=st.integers(1, 2048),
    prefix=st.integers(0, 4096),
)
def test_a_mixed_step_lies_between_the_longer_of_both_and_their_sum(model, batch, context, tokens, prefix):
    mixed = float(time(model, work(batch=batch, context=context, prefill_tokens=tokens, prefix=prefix)))
    decode = float(time(model, work("decode", batch=batch, context=context)))
    alone = float(time(model, prompt(tokens, prefix)))
    saved = (
        of_experts(model, prompt(tokens, prefix)) if alone > decode else of_experts(model, work("decode", batch=batch))
    )
    assert max(decode, alone) * (1.0 - 1e-9) - saved <= mixed
    assert mixed <= (decode + alone) * (1.0 + 1e-9)


@settings(deadline=None, max_examples=20)
@given(
    model=st.sampled_from(MODELS),
    batch=st.integers(1, 256),
    # one token of a prompt is worked on as in decode, where heads that share keys go together
    tokens=st.integers(2, 1024),
    more=st.integers(1, 1024),
    prefix=st.integers(0, 4096),
)
def test_more_tokens_of_a_prompt_never_make_a_step_shorter(model, batch, tokens, more, prefix):
    found = time(model, work(batch=batch, prefill_tokens=[0, tokens, tokens + more], prefix=prefix)).values
    saved = of_experts(model, work(batch=batch, prefill_tokens=tokens, prefix=prefix))
    assert found[0] <= found[1] * (1.0 + 1e-9) + saved
    assert found[1] <= found[2] * (1.0 + 1e-9) + saved
