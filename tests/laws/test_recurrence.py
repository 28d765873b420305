"""Recurrences: hand values of each way, the chain as a schedule, invariants."""

import pytest
from builders import changed, make_machine, make_operator
from hypothesis import given
from hypothesis import strategies as st

from accelmodel.laws.jit import compiled
from accelmodel.laws.recurrence import (
    APART,
    BEGUN,
    DECAYED_BYTE,
    DECAYED_STEP,
    GATED,
    KERNELS,
    PASSING,
    STEP,
    recurrence,
)
from accelmodel.laws.roofline import body_time
from accelmodel.laws.types import RECURRENCE

#: no L2, so that everything handed on goes through memory
APARTLY = make_machine(cores=4, rate_16bit=1e12, l2_bytes=0, launch=1e-6)
TOGETHER = changed(APARTLY, scan_time=5e-6)


def states(groups, tokens, **other):
    columns = {"kind": RECURRENCE, "groups": groups, "m": tokens, "n": 128, "k": 128, "bits": 16, "vector_ops": 0}
    moved = {"weight_bytes": 0, "input_bytes": 0, "output_bytes": 0, "message_bytes": 1, "prefetch_bytes": 0}
    return make_operator(**{**columns, **moved, "flops": 0, **other})


def time(op, machine):
    cost = recurrence(op, machine)
    return cost.start + body_time(max(cost.compute, cost.l2), cost.hbm_bytes * cost.hbm_time, 0.0)


def test_one_token_reads_and_writes_each_state():
    # two states of 64 KiB each way at 1.5 TB/s, one launch and one step
    op = states(2, 1, weight_bytes=4 * 65536, message_bytes=0)
    assert time(op, TOGETHER) == pytest.approx(1e-6 + STEP + 4 * 65536 / 1.5e12)
    assert time(op, APARTLY) == time(op, TOGETHER)
    decayed = op._replace(vector_ops=1.0)
    expected = 1e-6 + STEP + DECAYED_STEP + DECAYED_BYTE * 4 * 65536 / 1.5e12
    assert time(decayed, TOGETHER) == pytest.approx(expected)


def test_chunks_follow_one_another_on_the_core_of_a_state():
    # 6 states on 4 cores are two waves; 130 tokens are three chunks of 1e6 FLOP, 1 us each
    op = states(6, 130, flops=6 * 3 * 1e6)
    assert recurrence(op, TOGETHER).compute == pytest.approx(2 * (5e-6 + 3 * (PASSING + 1e-6)))


def test_decays_of_keys_are_prepared_by_all_cores():
    op = states(6, 130, flops=6 * 3 * 1e6)
    found = recurrence(op._replace(vector_ops=1.0), TOGETHER).compute
    assert found == pytest.approx(2 * (BEGUN + 3 * (PASSING + 1e-6)) + 6 * 3 / 4 * GATED)


def test_kernels_apart_hand_on_through_memory():
    # two full chunks of one head: products spread over four cores, what is handed on comes from memory
    op = states(1, 128, flops=2e6, message_bytes=9e8)
    found = recurrence(op, APARTLY)
    assert found.start == pytest.approx(KERNELS * 1e-6 + 2 * PASSING)
    assert found.compute == pytest.approx(2 / 4 * (APART + 1e-6))
    assert found.hbm_bytes == 9e8


@given(st.integers(1, 300), st.integers(9, 5000), st.integers(1, 64))
def test_as_a_schedule_of_chunks_that_wait_for_the_one_before(groups, tokens, cores):
    chunks = -(-tokens // 64)
    machine = make_machine(cores=cores, rate_16bit=1e12, scan_time=5e-6)
    free = [0.0] * cores
    for _ in range(groups):
        place = free.index(min(free))
        free[place] += 5e-6
        for _ in range(chunks):
            free[place] += PASSING + 1e-6
    found = recurrence(states(groups, tokens, flops=groups * chunks * 1e6), machine)
    # 1e-9: sums of many terms
    assert found.compute == pytest.approx(max(free), rel=1e-9)


@given(st.integers(1, 300), st.integers(9, 5000), st.sampled_from([APARTLY, TOGETHER]))
def test_more_tokens_and_more_heads_are_never_faster(groups, tokens, machine):
    def op(groups, tokens):
        chunks = -(-tokens // 64)
        return states(groups, tokens, flops=groups * chunks * 1e6, message_bytes=groups * tokens * 5120.0)

    alone = time(op(groups, tokens), machine)
    assert time(op(groups + 1, tokens), machine) >= alone * (1 - 1e-12)
    assert time(op(groups, tokens + 1), machine) >= alone * (1 - 1e-12)


@pytest.mark.parametrize("machine", [APARTLY, TOGETHER])
@pytest.mark.parametrize("tokens", [1, 100])
def test_compiled_as_interpreted(machine, tokens):
    op = states(6, tokens, flops=1e7, weight_bytes=1e6, message_bytes=1e6, vector_ops=1.0)
    assert compiled(recurrence)(op, machine) == pytest.approx(recurrence(op, machine), rel=1e-12)
