"""Joules of a token in the steady step of a server."""

from __future__ import annotations

import pytest

import accelmodel as am
from accelmodel.validation.energy import ANSWERS, PROMPT, joules_per_token, mean_power


def test_an_answers_token_brings_its_share_of_the_prompt_along(warm):
    # 64 x 634 / 396 tokens of prompts in each step, sequences of 634 + 198
    work = {"phase": "mixed", "batch": 64, "context": 832, "prefill_tokens": 102}
    assert PROMPT + ANSWERS["llama-3.1-8b"] / 2 == 832
    mixed = am.time_step("llama-3.1-8b", am.cluster("h100-sxm", 1), work, engine="in-flight")
    found = joules_per_token("joules_per_token.h100-sxm.1.64.llama-3.1-8b")
    assert found == pytest.approx(float(mixed.joules_per_token), rel=1e-12)
    assert found == pytest.approx(float(mixed.step_energy) / 64, rel=1e-12)


def test_power_of_chats_is_that_of_a_step_in_fp8(warm):
    # as many tokens of prompts as 220 / 200 for each sequence, contexts of 220 + 100
    work = {"phase": "mixed", "batch": 64, "context": 320, "prefill_tokens": 70, "tp": 4}
    work |= {"weight_bits": 8, "activation_bits": 8}
    step = am.time_step("llama-3.3-70b", am.cluster("h100-sxm", 4), work, engine="in-flight")
    assert mean_power("mean_power.h100-sxm.4.64.llama-3.3-70b") == pytest.approx(float(step.power), rel=1e-12)
