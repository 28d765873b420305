"""Tasks dealt whole to cores: hand values, and a schedule that deals them one by one."""

import pytest
from builders import make_machine, make_operator
from hypothesis import given
from hypothesis import strategies as st

from accelmodel.laws.chain import chain
from accelmodel.laws.jit import compiled
from accelmodel.laws.types import CHAIN

MACHINE = make_machine(cores=4, rate_16bit=1e12, gather_time=1e-8, launch=2e-6)


def tasks(count, **other):
    columns = {"kind": CHAIN, "groups": count, "m": 0, "n": 0, "k": 0, "bits": 16}
    return make_operator(**{**columns, "weight_bytes": 0, "input_bytes": 0, "output_bytes": 0, "flops": 0, **other})


def test_nine_tasks_on_four_cores_take_three_waves():
    # 2e6 FLOP at 1e12 FLOP/s are 2 us, which the 1 us of waiting hides behind
    assert chain(tasks(9, n=2e6, k=1e-6), MACHINE).compute == pytest.approx(3 * 2e-6)


def test_gathering_longer_than_products_counts():
    # 1000 keys at 10 ns and 5 us beside them; products of 2 us are hidden
    assert chain(tasks(4, n=2e6, m=1000, k=5e-6), MACHINE).compute == pytest.approx(15e-6)


def test_the_cache_comes_from_memory():
    found = chain(tasks(1, weight_bytes=3e6), MACHINE)
    assert (found.start, found.hbm_bytes) == (2e-6, 3e6)


@given(st.integers(1, 200), st.integers(1, 64), st.floats(1e-7, 1e-4))
def test_as_a_schedule_that_deals_tasks_one_by_one(count, cores, time):
    free = [0.0] * cores
    for _ in range(count):
        place = free.index(min(free))
        free[place] += time
    found = chain(tasks(count, k=time), make_machine(cores=cores))
    # 1e-9: sums of up to 200 terms
    assert found.compute == pytest.approx(max(free), rel=1e-9)


def test_compiled_as_interpreted():
    op = tasks(9, n=2e6, m=50, k=1e-6, weight_bytes=1e6, input_bytes=1e5, output_bytes=1e5)
    assert compiled(chain)(op, MACHINE) == pytest.approx(chain(op, MACHINE), rel=1e-12)
