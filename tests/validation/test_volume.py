"""The volume in which the claims of PRESERVE hold: priors by their quantiles, draws by their seed and their ranges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import accelmodel as am
from accelmodel.dse.evaluation.chip import parts_of_study
from accelmodel.dse.studies.study import load_study
from accelmodel.errors import SpecError
from accelmodel.validation import claims
from accelmodel.validation.volume import DRAWN, PRIORS, drawn, quantile, volume


@given(st.sampled_from(PRIORS), st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(-5.0, 5.0), st.floats(0.1, 9.0))
def test_quantiles_lie_in_the_range_and_rise(prior, share, mode, low, width):
    place = low + mode * width
    found = [float(quantile(each, low, place, low + width, prior)) for each in (0.0, 0.5 * share, share, 1.0)]
    assert found == sorted(found)
    assert found[0] == pytest.approx(low)
    assert found[-1] == pytest.approx(low + width)


def test_a_triangle_has_its_mode_where_the_density_is_highest():
    # area left of the mode 1 of 0 to 4 is a quarter; half of the rest lies beyond 4 - sqrt(0.375 x 12)
    assert float(quantile(0.25, 0.0, 1.0, 4.0, "triangular")) == pytest.approx(1.0)
    assert float(quantile(0.625, 0.0, 1.0, 4.0, "triangular")) == pytest.approx(4.0 - np.sqrt(0.375 * 12.0))


def test_draws_lie_in_the_ranges_of_the_facts_and_close_the_die():
    parts = parts_of_study(load_study())
    moved = drawn(parts, 50, 0, "triangular", True)
    for part, names in DRAWN.items():
        for name in names:
            low, high = getattr(parts, part).facts[name].range
            values = getattr(moved, part)
            for field in name.split("."):
                values = getattr(values, field)
            assert low * (1 - 1e-9) <= float(values.min()) <= float(values.max()) <= high * (1 + 1e-9), name
    silicon = moved.device.l2.capacity * moved.process.sram_area + moved.bill.uncore_area
    assert np.allclose(silicon, silicon[0])


def test_the_volume_is_a_part_of_that_of_each_claim(warm):
    found = volume(draws=12, kernels=False)
    assert set(found) == {"all", *claims.CLAIMED}
    assert all(0.0 <= found["all"] <= share <= 1.0 for share in found.values())
    assert found == volume(draws=12, kernels=False)


def test_what_is_not_known_is_refused():
    with pytest.raises(SpecError, match="unknown prior 'triangle', did you mean 'triangular'"):
        volume(prior="triangle")
    with pytest.raises(SpecError, match="draws must be at least 1"):
        volume(draws=0)
    assert am.load("device", "ascend-910b2").facts["l2.prefetch_time"].range == (0.0, 6e-6)
