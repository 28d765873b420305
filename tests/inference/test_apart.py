"""Experts on devices of their own: the pace by hand, sides against steps, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import accelmodel as am
from accelmodel.errors import Infeasible, SpecError
from accelmodel.inference.apart import experts_apart, pipelined

WORK = {"phase": "decode", "batch": 6912.0, "context": 2048.0, "dp": 48.0}
TIMES = st.floats(1e-6, 1.0)


def walked(places: list[float], layers: int, micro_batches: int) -> float:
    """Time until all micro-batches are through: each place takes one at a time, in the order in which they come."""
    free = [0.0] * len(places)
    ready = [0.0] * micro_batches
    for _ in range(layers):
        for place, time in enumerate(places):
            for each in range(micro_batches):
                ready[each] = free[place] = max(ready[each], free[place]) + time
    return max(ready)


@pytest.mark.parametrize("micro_batches", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("places", [[3.0, 1.0, 2.0, 1.0], [1.0, 1.0, 1.0, 1.0], [2.0, 3.0, 2.0, 3.0]])
def test_pace_against_micro_batches_that_walk(places, micro_batches):
    layers = 200
    there, back = places[1], places[3]
    whole = [time * layers * micro_batches for time in (places[0], places[2], there, back)]
    # 1 %: the first and the last of 200 layers fill and drain the line
    expected = walked(places, layers, micro_batches)
    assert pipelined(*whole, float(micro_batches)) == pytest.approx(expected, rel=0.01)


@given(TIMES, TIMES, TIMES, TIMES, st.integers(1, 8))
def test_more_micro_batches_are_never_slower_and_one_is_the_sum(attention, experts, there, back, micro_batches):
    sides = attention, experts, there, back
    assert pipelined(*sides, micro_batches + 1.0) <= pipelined(*sides, float(micro_batches))
    assert pipelined(*sides, 1.0) == pytest.approx(sum(sides))
    assert pipelined(*sides, float(micro_batches)) >= max(sides)


def times(fields):
    result = am.time_step("deepseek-v3", am.cluster("h200-sxm", 48), fields)
    return dict(zip(result.operator.values.tolist(), result.time.values.tolist(), strict=True))


def test_sides_are_those_of_steps():
    """Of three parts of the batch each: attention as in a step on 48 devices, experts as in one on 32."""
    found = experts_apart("deepseek-v3", "h200-sxm", WORK, 32.0)
    third = {**WORK, "batch": 2304.0}
    near, far = times({**third, "ep": 48.0}), times({**third, "dp": 32.0, "ep": 32.0})
    away = ("expert_up", "expert_activation", "expert_down")
    assert float(found.experts_time) == pytest.approx(3.0 * sum(far[f"{name}_moe"] for name in away), rel=1e-9)
    stays = [
        n for n in near if n.endswith(("_after_experts", "_moe")) and not n.startswith((*away, "dispatch", "combine"))
    ]
    assert float(found.attention_time) == pytest.approx(3.0 * sum(near[name] for name in stays), rel=1e-9)
    ends = ("attention", "latent_", "query_", "rotary_", "absorb_", "output_", "mlp_", "embedding", "head", "sampling")
    rest = sum(time for name, time in near.items() if name.startswith(ends) and not name.endswith(("_experts", "_moe")))
    places = [float(found[f"{name}_time"]) for name in ("attention", "experts", "dispatch", "combine")]
    pace = max(*places, sum(places) / 3.0)
    assert float(found.step_time) == pytest.approx(pace + 3.0 * rest, rel=1e-9)
    assert float(found.tokens_per_s) == pytest.approx(6912.0 / float(found.step_time))
    # the busier side has 2,304 / 32 tokens of 8 copies a device, of which 72 of 80 devices are on other nodes
    back = 72 * 8 * 7168 * 2 * 72 / 80 / (50e9 * 0.92) + 25e-6 + 2.5e-6
    assert float(found.combine_time) == pytest.approx(3 * 58 * back, rel=1e-9)


def test_tensor_ranks_without_data_parallel_ones():
    found = experts_apart("deepseek-v3", "h200-sxm", {**WORK, "batch": 512.0, "dp": 1.0, "tp": 8.0}, 32.0)
    assert float(found.devices) == 40.0
    assert float(found.step_time) > float(found.attention_time) > 0.0


@pytest.mark.parametrize(
    ("model", "fields", "devices", "micro_batches", "error", "message"),
    [
        ("llama-3-8b", {}, 8.0, 3.0, SpecError, "has no experts that could stand apart"),
        ("deepseek-v3", {"ep": 48.0}, 32.0, 3.0, SpecError, "leave out ep"),
        ("deepseek-v3", {"batch": 96.0}, 32.0, 3.0, SpecError, "need a batch of 144"),
        ("deepseek-v3", {}, 2.0, 3.0, Infeasible, "a device of the experts needs"),
        ("deepseek-v3", {"batch": 69120.0}, 32.0, 3.0, Infeasible, "a device of attention needs"),
    ],
)
def test_what_cannot_stand_apart_is_refused(model, fields, devices, micro_batches, error, message):
    with pytest.raises(error, match=message):
        experts_apart(model, "h200-sxm", {**WORK, **fields}, devices, micro_batches)
