"""Memory-bound operators: hand values, compiled against Python, invariants."""

from __future__ import annotations

import pytest
from builders import changed, make_machine, make_operator
from hypothesis import given
from hypothesis import strategies as st

from accelmodel.laws.elementwise import elementwise
from accelmodel.laws.jit import compiled
from accelmodel.laws.types import ELEMENTWISE

BYTES = st.floats(0.0, 1e9)
OPERATORS = st.builds(
    lambda read, written, rows, ops: make_operator(
        kind=ELEMENTWISE, input_bytes=read, output_bytes=written, weight_bytes=rows, vector_ops=ops
    ),
    BYTES,
    BYTES,
    BYTES,
    st.floats(0.0, 1e12),
)
MACHINES = st.builds(
    lambda l2, ways, rate: make_machine(l2_bytes=l2, l2_ways=ways, vector_rate=rate),
    st.floats(0.0, 1e9),
    st.sampled_from([8, 16, 32]),
    st.floats(1e12, 1e14),
)


def test_hand_values_without_a_cache():
    op = make_operator(kind=ELEMENTWISE, input_bytes=3e6, output_bytes=1e6, weight_bytes=2e6, vector_ops=5e6)
    cost = elementwise(op, make_machine(l2_bytes=0, vector_rate=1e13, l2_rate=6e12, hbm_rate=2e12))
    # exact arithmetic: the launch, each byte once through L2 and once through HBM
    assert tuple(cost) == pytest.approx((2e-6, 5e6 / 1e13, 6e6 / 6e12, 6e6, 1.0 / 2e12), rel=1e-12)


def test_activations_that_fit_are_not_in_hbm():
    op = make_operator(kind=ELEMENTWISE, input_bytes=3e6, output_bytes=1e6, weight_bytes=2e6)
    # 4e6 x 3e-4: the tail of the approximate distribution function
    assert elementwise(op, make_machine(l2_bytes=1e12)).hbm_bytes == pytest.approx(2e6, abs=4e6 * 3e-4)


@given(OPERATORS, MACHINES)
def test_compiled_equals_python(op, machine):
    # 1e-9: the compiler may contract a multiply and an add
    assert tuple(compiled(elementwise)(op, machine)) == pytest.approx(tuple(elementwise(op, machine)), rel=1e-9)


@given(OPERATORS, MACHINES, st.floats(1.0, 10.0))
def test_more_cache_is_never_more_traffic(op, machine, factor):
    before = elementwise(op, machine).hbm_bytes
    after = elementwise(op, changed(machine, l2_bytes=machine.l2_bytes * factor)).hbm_bytes
    assert op.weight_bytes <= after <= before * (1.0 + 1e-12)  # rounding only
