"""What is too much is refused with rows, time and memory; what is not passes."""

from __future__ import annotations

import pytest

from accelmodel import estimates
from accelmodel.errors import SpecError


def test_too_long_and_too_large_are_told_with_both_limits(monkeypatch):
    monkeypatch.setattr(estimates, "memory", lambda: 1e9)
    # 1000 x 1000 rows: 1e6 x 0.1 s are 27.8 hours, 1e6 x 2 kB are 2 GB
    with pytest.raises(SpecError) as told:
        estimates.need_affordable("sweep", {"batch": 1000, "context": 1000, "tp": 1}, seconds=0.1, room=2e3)
    assert str(told.value) == (
        "sweep: batch 1,000 x context 1,000 are 1e+06 rows, about 28 h and 2 GB; at most 6 h and 1 GB of "
        "memory; give shorter lists"
    )
    estimates.need_affordable("sweep", {"batch": 1000, "context": 400}, seconds=0.05, room=2e3)


def test_a_machine_that_does_not_tell_its_memory_has_some(monkeypatch):
    monkeypatch.delattr("os.sysconf")
    assert estimates.memory() == 4e9
