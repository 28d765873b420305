"""Memory-bound operators, at once and row by row: hand values, compiled against Python, invariants."""

from __future__ import annotations

import pytest
from builders import changed, make_machine, make_operator
from hypothesis import given
from hypothesis import strategies as st

from accelmodel.laws.elementwise import FAR, PLAIN, elementwise, rowwise
from accelmodel.laws.jit import compiled
from accelmodel.laws.types import ELEMENTWISE, ROW

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


#: 4 cores of 2 rows at a time, a sweep of 1 us, 1 ns a byte
AT_WORK = {"cores": 4, "rows_held": 8, "sweep_time": 1e-6, "row_time": 1e-9, "l2_rate": 1e15, "hbm_rate": 1e15}
ROWS = st.builds(
    lambda groups, sweeps, width, again, plain, ops: make_operator(
        kind=ROW, groups=groups, n=sweeps, m=plain, input_bytes=groups * width, output_bytes=groups * width,
        message_bytes=groups * width * again, vector_ops=ops,
    ),
    st.integers(1, 100_000), st.sampled_from([1.0, 2.0, 3.0]), st.floats(1.0, 1e5), st.floats(0.0, 3.0),
    st.sampled_from([1.0, PLAIN]), st.floats(0.0, 1e12),
)  # fmt: skip
CHIPS = st.builds(
    lambda l2, cores, held, sweep, byte: make_machine(
        l2_bytes=l2, cores=cores, rows_held=cores * held, sweep_time=sweep, row_time=byte
    ),
    st.floats(0.0, 1e9), st.integers(1, 500), st.floats(1.0, 4.0), st.floats(0.0, 1e-6), st.floats(1e-13, 1e-9),
)  # fmt: skip


def norm(rows: int, **other: float):
    """A norm of rows of 1,000 bytes in and out, read once more."""
    sizes = {"input_bytes": 1000 * rows, "output_bytes": 1000 * rows, "message_bytes": 1000 * rows}
    plain = {"groups": rows, "n": 2, "m": 1, "vector_ops": 0, "weight_bytes": 0}
    return make_operator(kind=ROW, **{**plain, **sizes, **other})


@pytest.mark.parametrize(("rows", "waves"), [(1, 1), (8, 1), (9, 2), (24, 3)])
def test_rows_go_in_waves_of_what_cores_hold(rows, waves):
    machine = make_machine(l2_bytes=1e12, **AT_WORK)
    # two sweeps of 1 us and 3,000 bytes of 1 ns each
    assert rowwise(norm(rows), machine).compute == pytest.approx(waves * 5e-6, rel=1e-3)  # tail of the L2 law: 3e-4
    assert rowwise(norm(rows), machine).start == 2e-6


def test_narrow_loads_draw_less_and_hold_fewer_rows():
    machine = make_machine(l2_bytes=1e12, **AT_WORK)
    # half as much at a time, and one row a core: two waves of 2 us and 6 us
    assert rowwise(norm(8, m=PLAIN), machine).compute == pytest.approx(2 * 8e-6, rel=1e-3)
    # a core holds one row at least
    alone = make_machine(l2_bytes=1e12, **{**AT_WORK, "rows_held": 4})
    assert rowwise(norm(8, m=PLAIN), alone).compute == pytest.approx(2 * 8e-6, rel=1e-3)


def test_rows_from_memory_come_more_slowly_and_again_where_those_at_work_do_not_fit():
    machine = make_machine(l2_bytes=16_000, l2_ways=16, **AT_WORK)
    # 8 rows at work fill L2: of 800 rows all bytes come from HBM, in each sweep
    cost = rowwise(norm(800), machine)
    assert cost.compute == pytest.approx(100 * (2e-6 + FAR * 3e-6), rel=1e-6)
    assert cost.hbm_bytes == pytest.approx(800 * 3000, rel=1e-6)
    # half of a larger one: the second sweep finds half of what it reads
    cost = rowwise(norm(800), make_machine(l2_bytes=32_000, **AT_WORK))
    assert cost.compute == pytest.approx(100 * (2e-6 + FAR * 2e-6 + (1 + FAR) / 2 * 1e-6), rel=1e-6)
    assert cost.hbm_bytes == pytest.approx(800 * 2500, rel=1e-6)


def test_without_a_chain_rows_are_elementwise():
    op = norm(1000, message_bytes=0.0, vector_ops=5e6)
    machine = make_machine(l2_bytes=1e6)
    assert tuple(rowwise(op, machine)) == pytest.approx(tuple(elementwise(op, machine)), rel=1e-12)


@given(ROWS, CHIPS)
def test_compiled_rows_equal_python(op, machine):
    # 1e-9: the compiler may contract a multiply and an add
    assert tuple(compiled(rowwise)(op, machine)) == pytest.approx(tuple(rowwise(op, machine)), rel=1e-9)


@given(ROWS, CHIPS, st.floats(1.0, 10.0))
def test_a_better_chip_is_never_slower_at_rows(op, machine, factor):
    before = rowwise(op, machine)
    slack = 1.0 + 1e-12  # rounding only
    for better in ("sweep_time", "row_time"):
        faster = rowwise(op, changed(machine, **{better: getattr(machine, better) / factor}))
        assert faster.compute <= before.compute * slack
    larger = rowwise(op, changed(machine, l2_bytes=machine.l2_bytes * factor))
    assert larger.compute <= before.compute * slack
    assert larger.hbm_bytes <= before.hbm_bytes * slack


@given(ROWS, CHIPS, st.integers(0, 10_000))
def test_more_rows_are_never_faster(op, machine, more):
    def of(rows: float):
        share = rows / op.groups
        grown = {
            name: getattr(op, name) * share for name in ("input_bytes", "output_bytes", "message_bytes", "vector_ops")
        }
        return rowwise(op._replace(groups=rows, **grown), machine)

    assert of(op.groups + more).compute >= of(op.groups).compute * (1.0 - 1e-9)
