"""Parts of a question: they cover it, and no answer depends on how it was cut, on what varies or on rows alike."""

from __future__ import annotations

import math

import numpy as np
import pytest
from builders import make_machine, make_operator, streamed, table_of
from hypothesis import given, settings
from hypothesis import strategies as st

from accelmodel.inference import run
from accelmodel.inference.policies import policy
from accelmodel.inference.run import Machines, machines_of, run_kernel, slices
from accelmodel.laws.kernels.block import BLOCK
from accelmodel.laws.types import ALL_REDUCE, ATTENTION, DETAIL, GIVEN, Operator

#: relative: a number is computed beside others in a vector register, and rounded in another order
SAME = 1e-12
POLICIES = {name: policy(name).numbers for name in ("none", "fused", "preserve")}
VARIED = ("cores", "rate_8bit", "hbm_rate", "l2_rate", "l2_bytes", "link_rate", "hop", "launch")
NORM = streamed(1e4, 1e5, prefetch_bytes=0.0)
ROWS = [
    make_operator(kind=ALL_REDUCE, message_bytes=1e6, ranks=8, count=3),
    NORM._replace(count=3.0),
    make_operator(feeds=5, prefetch_bytes=4096.0 * 4096.0, count=3),
    make_operator(kind=ATTENTION, groups=8.0, m=8.0, n=4000.0, k=256.0, prefetch_bytes=2e7, weight_bytes=2e7, count=3),
    make_operator(n=8192.0, weight_bytes=8192.0 * 4096.0, prefetch_bytes=8192.0 * 4096.0, count=3),
    make_operator(kind=ALL_REDUCE, message_bytes=1e6, ranks=8, count=2),
    NORM._replace(count=2.0),
    make_operator(prefetch_bytes=4096.0 * 4096.0, count=2),
    NORM,
]


def random_machines(count, seed=0, varied=VARIED):
    """Return machines (field, 1, design) that differ in some fields by up to a factor of four."""
    rng = np.random.default_rng(seed)
    numbers = np.repeat(np.array(make_machine()[: len(GIVEN)])[:, None, None], count, axis=2)
    for name in varied:
        numbers[GIVEN.index(name), 0] *= np.exp(rng.uniform(-1.4, 1.4, count))
    numbers[GIVEN.index("cores")] = np.ceil(numbers[GIVEN.index("cores")])
    return numbers


@given(st.lists(st.integers(1, 6), max_size=4), st.integers(1, 40))
def test_slices_cover_a_grid_in_order(shape, most):
    grid = np.arange(math.prod(shape)).reshape(shape)
    seen = []
    for place in slices(tuple(shape), most):
        points = grid[place].ravel()
        assert points.size <= most
        assert run._flat(tuple(shape), place) == (points[0], points[-1] + 1)
        seen += points.tolist()
    assert seen == list(range(grid.size))


@pytest.mark.parametrize("name", POLICIES)
def test_a_design_does_not_depend_on_those_beside_it(warm, name):
    numbers = random_machines(2 * BLOCK + 7)
    together, detail = run_kernel(table_of(ROWS), numbers, POLICIES[name], detail=True)
    for design in (0, 1, BLOCK - 1, BLOCK, 2 * BLOCK, 2 * BLOCK + 6):
        alone, figures = run_kernel(table_of(ROWS), numbers[:, :, design : design + 1], POLICIES[name], detail=True)
        np.testing.assert_allclose(together[:, 0, design], alone[:, 0, 0], rtol=SAME)
        np.testing.assert_allclose(detail[:, :, 0, design], figures[:, :, 0, 0], rtol=SAME, atol=1e-3)
    mirrored, _ = run_kernel(table_of(ROWS), numbers[:, :, ::-1], POLICIES[name])
    np.testing.assert_allclose(mirrored[:, :, ::-1], together, rtol=SAME)


@settings(max_examples=10)
@given(st.sets(st.sampled_from(VARIED)), st.sampled_from(sorted(POLICIES)))
def test_what_varies_does_not_matter(warm, varied, name):
    numbers = random_machines(40, varied=varied)
    found, _ = run_kernel(table_of(ROWS), machines_of(numbers), POLICIES[name])
    written_out = Machines(tuple(numbers), (1,), (40,))
    np.testing.assert_allclose(run_kernel(table_of(ROWS), written_out, POLICIES[name])[0], found, rtol=SAME)


@pytest.mark.parametrize("name", POLICIES)
def test_rows_alike_are_what_they_are_alone(warm, name):
    numbers = random_machines(30)
    alike, _ = run_kernel(table_of(ROWS), numbers, POLICIES[name])
    apart = table_of(ROWS)
    # by a ten-billionth of their input, so that none asks for the same as another
    apart[Operator._fields.index("input_bytes"), :, 0] *= 1.0 + 1e-13 * np.arange(len(ROWS))
    apart[Operator._fields.index("message_bytes"), :, 0] *= 1.0 + 1e-13 * np.arange(len(ROWS))
    np.testing.assert_allclose(run_kernel(apart, numbers, POLICIES[name])[0], alike, rtol=1e-9)


@pytest.mark.parametrize("name", POLICIES)
def test_totals_are_the_sum_of_the_detail(warm, name):
    totals, detail = run_kernel(table_of(ROWS), random_machines(30), POLICIES[name], detail=True)
    figures = dict(zip(DETAIL, detail[:, :, 0], strict=True))
    count = np.array([row.count for row in ROWS])[:, None]
    np.testing.assert_allclose((count * figures["time"]).sum(0), totals[0, 0], rtol=SAME)
    np.testing.assert_allclose((count * figures["fetched_bytes"]).sum(0), totals[1, 0], rtol=SAME)
    read = (count * (figures["hbm_bytes"] + figures["fetched_bytes"])).sum(0)
    np.testing.assert_allclose(read, totals[2, 0], rtol=SAME)


def test_axes_that_workload_and_machine_share(warm, monkeypatch):
    # parts of a few points: cut inside the workload's axis, inside the machine's, and beside either
    table = np.concatenate([table_of([row._replace(m=m) for row in ROWS]) for m in (1.0, 64.0, 500.0)], axis=2)
    numbers = random_machines(5)
    shared = np.repeat(numbers, 3, axis=1)
    shared[GIVEN.index("hbm_rate")] *= np.array([1.0, 2.0, 0.5])[:, None]
    whole, _ = run_kernel(table, shared, POLICIES["preserve"])
    plain, _ = run_kernel(table, numbers, POLICIES["preserve"])
    for most in (1, 2, 5, 7):
        monkeypatch.setattr(run, "LEAST", most)
        monkeypatch.setattr(run, "MOST", most)
        np.testing.assert_allclose(run_kernel(table, shared, POLICIES["preserve"])[0], whole, rtol=SAME)
        np.testing.assert_allclose(run_kernel(table, numbers, POLICIES["preserve"])[0], plain, rtol=SAME)
    for w in range(3):
        alone, _ = run_kernel(table[:, :, w : w + 1], shared[:, w : w + 1], POLICIES["preserve"])
        np.testing.assert_allclose(whole[:, w : w + 1], alone, rtol=SAME)


def test_a_field_that_varies_over_outer_axes_is_one_number_of_a_part():
    fields = [np.full((1, 1), value) for value in make_machine()[: len(GIVEN)]]
    fields[GIVEN.index("l2_bytes")] = np.arange(1.0, 4.0).reshape(3, 1)
    fields[GIVEN.index("cores")] = np.arange(1.0, 5.0).reshape(1, 4)
    found = [make() for make in run.parts(Machines(tuple(fields), (), (3, 4)), 1, 5)]
    assert [each.designs.fields.tolist() for each in found] == [[GIVEN.index("cores")]] * 3
    assert [each.designs.base[GIVEN.index("l2_bytes")] for each in found] == [1.0, 2.0, 3.0]
    assert [(each.span.begin, each.span.end) for each in found] == [(0, 4), (4, 8), (8, 12)]
