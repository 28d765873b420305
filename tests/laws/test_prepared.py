"""What is derived of a machine: reciprocals and roots of given fields, and quotients found as products."""

from __future__ import annotations

import math

import numpy as np
import pytest
from builders import changed, make_machine
from hypothesis import given
from hypothesis import strategies as st

from accelmodel.laws.matmul import matmul
from accelmodel.laws.prepared import DERIVED, whole, whole_below
from accelmodel.laws.types import GIVEN, Machine, Operator


def test_every_field_is_given_or_derived_of_one_that_is():
    assert set(Machine._fields) == {*GIVEN, *DERIVED}
    assert Machine._fields[: len(GIVEN)] == GIVEN
    assert {given_field for _, given_field in DERIVED.values()} <= set(GIVEN)


def test_hand_values():
    machine = make_machine(cores=25, l2_rate=4e12, l2_ways=16, l2_bytes=0)
    assert (machine.core_share, machine.core_root, machine.l2_time) == (0.04, 5.0, 2.5e-13)
    assert machine.l2_full == pytest.approx(math.sqrt(15.55))
    assert changed(machine, cores=4).core_share == 0.25


def test_a_machine_that_is_not_prepared_answers_with_nothing():
    bare = Machine(*make_machine()[: len(GIVEN)])
    assert np.isnan(matmul(Operator(0.0, m=64.0, n=64.0, k=64.0, output_bytes=8192.0), bare).compute)


@given(st.integers(1, 10**9), st.integers(1, 10**6))
def test_quotients_that_are_found_as_products_are_cut_as_whole_numbers_are(size, piece):
    share = 1.0 / piece
    assert whole(size * share) == -(-size // piece)
    assert whole_below(size * share) == size // piece
    assert whole(float(size) * piece * share) == size
