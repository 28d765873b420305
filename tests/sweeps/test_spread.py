"""Chunks are computed here, by threads, processes or workers of a scheduler: each once, and what fails is told."""

from __future__ import annotations

import os
import threading

import pytest

from accelmodel.errors import Infeasible, SpecError
from accelmodel.sweeps.spread import computed


def double(number):
    return 2 * number


def ends(number):
    if number == 3:
        os._exit(1)
    return number


@pytest.mark.parametrize("more", [{}, {"workers": 2, "threads": True}, {"workers": 5, "threads": True}, {"workers": 2}])
def test_each_once(more):
    numbers = [5, 1, 4, 2, 9, 7, 0]
    assert dict(computed(double, numbers, **more)) == {number: 2 * number for number in numbers}
    assert list(computed(double, [], **more)) == []


def test_threads_hold_no_more_than_they_work_on():
    begun, lock = [0], threading.Lock()

    def count(number):
        with lock:
            begun[0] += 1
        return number

    for taken, _ in enumerate(computed(count, list(range(50)), 2, threads=True), 1):
        assert begun[0] <= taken + 2


@pytest.mark.parametrize("threads", [True, False])
@pytest.mark.parametrize("error", [SpecError, Infeasible])
def test_refusals_pass(threads, error):
    with pytest.raises(error, match="two"):
        list(computed({SpecError: wrong, Infeasible: impossible}[error], [1, 2, 3], 2, threads=threads))


def wrong(number):
    raise SpecError("two")


def impossible(number):
    raise Infeasible("two")


def test_a_lost_worker_is_told():
    with pytest.raises(SpecError, match="a worker was lost"):
        list(computed(ends, list(range(6)), 2))
