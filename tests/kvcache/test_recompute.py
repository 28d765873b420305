"""Rebuilding keys and values from what is smaller: by hand, and its limits."""

from __future__ import annotations

import pytest
from prompts import ROUNDING

from accelmodel.errors import SpecError
from accelmodel.kvcache import recompute


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
    with pytest.raises(SpecError, match=f"{name}: 0 .*must be at least"):
        recompute.hidden_states(**{**fields, name: 0.0})
