"""InferSave's stages by hand numbers: KV cache, ratios, times of prefill and decode, whole hours."""

from __future__ import annotations

import numpy as np
import pytest

from accelmodel.cloud import infersave
from accelmodel.cloud.infersave import Server, Shape, Task

#: OPT-2.7B as the paper sees it, and the four instances of its Table IV (T4, L4, A10G, L40S)
OPT = Shape(32.0, 2560.0, 10240.0, 32.0, 2.652e9, 2.0)
TABLE_IV = Server(
    np.array([16e9, 24e9, 24e9, 48e9]), np.array([8.24e12, 30.29e12, 31.52e12, 91.61e12]),
    np.array([6e9, 12e9, 12e9, 12e9]), np.array([6e9, 12e9, 12e9, 12e9]),
)  # fmt: skip
ONLINE, OFFLINE = Task(32.0, 128.0, 512.0), Task(32.0, 1024.0, 128.0)


def test_kv_cache_and_footprint_by_hand():
    """2 x 32 x 1152 x 2560 x 2 x 32 = 12.08 GB, as the released code computes it."""
    assert infersave.kv_cache(OPT, OFFLINE) == 2 * 32 * 1152 * 2560 * 2 * 32
    need = infersave.algorithm_1(OPT, OFFLINE, 16e9)
    assert need.fixed == 2.652e9 * 2 + 2 * 1152 * 32 * 2560
    assert need.available == 16e9 - need.fixed


def test_printed_ratios_need_the_released_codes_rule():
    """Table VI prints 100, 60, 60 and 0 %; Algorithm 1 gives 13 % on 16 GB and nothing elsewhere."""
    code = infersave.cautious_ratio(infersave.released_code(OPT, OFFLINE, TABLE_IV.memory))
    assert code.tolist() == [1.0, 0.6, 0.6, 0.0]
    paper = infersave.offload_ratio(infersave.algorithm_1(OPT, OFFLINE, TABLE_IV.memory))
    assert paper == pytest.approx([0.1302, 0.0, 0.0, 0.0], abs=1e-4)


def test_a_layer_that_does_not_fit_is_infeasible():
    for rule, _ in infersave.MEMORY_RULES.values():
        need = rule(OPT, OFFLINE, np.array([5.0e9, 16e9]))
        assert infersave.feasible(need, OPT.layers).tolist() == [False, True]


def test_prefill_is_the_longer_of_computation_and_store():
    h, f, batch, tokens = 2560.0, 10240.0, 32.0, 1024.0
    flops = batch * (8 * tokens * h * h + 4 * tokens * h * f) + 4 * batch * tokens**2 * h
    slow = infersave.prefill_layer(OPT, OFFLINE, Server(0.0, 8.24e12, 1e15, 1e15), 1.0)
    assert slow == pytest.approx(flops / 8.24e12, rel=1e-12)
    stored = 2 * (tokens + 1) * h * 2 * batch / 6e9
    assert infersave.prefill_layer(OPT, OFFLINE, Server(0.0, 1e18, 6e9, 6e9), 1.0) == pytest.approx(stored, rel=1e-12)


def test_decode_adds_the_load_and_charges_the_answer_in_full():
    server = Server(0.0, 1e18, 6e9, 6e9)
    loaded = (0.5 * 2 * 1025 + 128) * 2560 * 2 * 32 / 6e9
    assert infersave.decode_layer(OPT, OFFLINE, server, 0.5) == pytest.approx(loaded, rel=1e-3)
    code = (0.5 * 2 * 1025 + 2) * 2560 * 2 * 32 / 6e9
    assert infersave.decode_layer(OPT, OFFLINE, server, 0.5, grown="two") == pytest.approx(code, rel=1e-3)
    assert infersave.decode_layer(OPT, OFFLINE, server, 0.0) < 1e-6


@pytest.mark.parametrize(
    ("task", "ratios", "derived"),
    [
        (ONLINE, [0.0, 0.0, 0.0, 0.0], [1605.0, 5900.0, 6139.0, 17843.0]),
        (OFFLINE, [1.0, 0.6, 0.6, 0.0], [139.0, 450.0, 452.0, 17071.0]),
    ],
)
def test_equations_give_throughputs_computed_apart(task, ratios, derived):
    prefill, decode = infersave.as_published(OPT, task, TABLE_IV, np.array(ratios))
    tps = infersave.total_tps(task, infersave.end_to_end(prefill, decode, task))
    assert tps == pytest.approx(derived, abs=0.6)


def test_whole_hours_and_cost_efficiency_by_hand():
    """1000 x 1152 tokens at 139 tokens/s take 2.30 h, billed as the 3 h of the paper's text: 3 x 0.71 = 2.13 USD."""
    assert infersave.billed_hours(1152000.0, 139.0) == 3.0
    assert infersave.billed_hours(1152000.0, 169.17) == 2.0
    assert infersave.billed_hours(3600.0, 1.0) == 1.0
    assert infersave.cost_efficiency(1152000.0, 139.0, 100.0, 0.71) == pytest.approx(100 * 3600 / (4 * 0.71))


def test_order_is_slo_then_efficiency_then_throughput():
    value, tps = np.array([5.0, 9.0, 5.0, 7.0]), np.array([10.0, 99.0, 20.0, 5.0])
    assert infersave.order(value, tps, [True, False, True, True]) == [3, 2, 0, 1]
