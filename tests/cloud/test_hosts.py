"""Engines on the processors of instances: arrays of their times by hand, and what is said where nobody knows."""

from __future__ import annotations

import pytest

import accelmodel as am
from accelmodel.cloud.hosts import rules_on, unknown_hosts
from accelmodel.specs.load import load


def test_each_instance_has_the_times_of_its_own_processor():
    """FlexGen's 299 us of a layer on a 7R13 (3.6 GHz x 1.25) are 384 on an 8259CL (3.5 x 1)."""
    engine = load("engine", "flexgen")
    found = rules_on([load("instance", name) for name in ("g6.xlarge", "g4dn.xlarge")], engine, 32.0)
    assert found.fixed.shape == (2, 1)
    assert found.fixed[0, 0] == pytest.approx(32 * 299e-6)
    assert found.fixed[1, 0] == pytest.approx(32 * 299e-6 * 3.6 * 1.25 / 3.5)
    assert not found.overlapped


def test_unknown_processors_are_said_and_known_ones_not():
    known, unknown = load("instance", "g6.xlarge"), load("instance", "gpu-1x-h100-pcie")
    engine = load("engine", "vllm")
    assert unknown_hosts([known], engine) == []
    (said,) = unknown_hosts([known, unknown], engine)
    assert "gpu-1x-h100-pcie is not known" in said
    assert "xeon-8480c" in said
    (many,) = unknown_hosts([unknown] * 5, engine)
    assert "and 2 more" in many
    assert unknown_hosts([unknown], am.override(engine, cpu="")) == []
