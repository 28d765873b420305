"""Joint draws: spread, together where they are of one kind, the same by seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from accelmodel.dse.evaluation.chip import parts_of_study
from accelmodel.dse.posterior import draws as under_test
from accelmodel.dse.posterior.draws import correlations, draw, groups
from accelmodel.dse.posterior.priors import TOGETHER, Prior, priors
from accelmodel.dse.studies.study import load_study
from accelmodel.errors import SpecError

SHARE = Prior("device", "hbm.share", "assumed", "1", "uniform", "linear", 0.6, 0.8, 1.0)


def constant(name: str, group: str = "") -> Prior:
    return replace(SHARE, field=name, group=group)


def test_each_constant_is_spread_evenly():
    found = draw([constant("a"), constant("b", "g"), constant("c")], 1000, seed=5).values
    for column in (0, 2):
        counts, _ = np.histogram(found[:, column], bins=100, range=(0.6, 1.0))
        assert (counts == 10).all()
    counts, _ = np.histogram(found[:, 1], bins=10, range=(0.6, 1.0))
    assert counts == pytest.approx([100] * 10)


def test_correlations_are_found_again_in_the_draws():
    known = [constant("a", "one"), constant("b"), constant("c", "one"), constant("d", "two"), constant("e", "two")]
    found = spearmanr(draw(known, 4000, seed=1).values).statistic
    wanted = np.eye(5)
    for pair in ((0, 2), (3, 4)):
        wanted[pair] = wanted[pair[::-1]] = TOGETHER
    np.testing.assert_allclose(found, wanted, atol=0.05)  # 1 / sqrt(4000) is 0.016


@pytest.mark.parametrize("together", [0.0, 0.3, 0.9])
def test_the_copula_has_the_rank_correlation_asked_for(together):
    shares = np.random.default_rng(2).random((20_000, 2))
    mixed = under_test.correlated(shares, [constant("a", "g"), constant("b", "g")], together)
    assert spearmanr(mixed).statistic == pytest.approx(together, abs=0.03)
    # and each by itself is spread as before
    assert np.quantile(mixed[:, 1], [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.02)


def test_no_constant_is_taken_for_another():
    """Of points in many dimensions no pair moves together, however it is looked at."""
    shares = under_test.shares(1500, 60, seed=0)
    for power in (1, 2):
        found = np.corrcoef(((shares - 0.5) ** power).T) - np.eye(60)
        assert np.abs(found).max() < 5.0 / np.sqrt(1500)


def test_a_seed_gives_the_same_draws():
    known = [constant("a"), constant("b", "g"), constant("c", "g")]
    assert np.array_equal(draw(known, 50, seed=7).values, draw(known, 50, seed=7).values)
    assert not np.array_equal(draw(known, 50, seed=7).values, draw(known, 50, seed=8).values)


def test_drawn_constants_stand_where_they_were_found():
    study = load_study()
    nominal = parts_of_study(study)
    known = priors(study, nominal)
    found = draw(known, 6)
    parts, errors = found.parts(nominal), found.errors()
    place = [each.name for each in known].index
    assert parts.device.hbm.share.dims == ("draw",)
    assert parts.device.hbm.share.values.tolist() == found.values[:, place("device.hbm.share")].tolist()
    assert parts.link.start_up.values.tolist() == found.values[:, place("link.start_up")].tolist()
    assert errors["attention"].values.tolist() == found.values[:, place("time.attention")].tolist()
    assert parts.device.l2.capacity == nominal.device.l2.capacity  # it has no range
    assert not hasattr(nominal.device.hbm.share, "dims")


def test_groups_by_name():
    known = [constant("a", "one"), constant("b"), constant("c", "one")]
    assert groups(known) == {"one": [0, 2], "device.b": [1]}
    assert correlations(known) == {"one": ["device.a", "device.c"]}


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(SpecError, match=r"prior: device\.a is given twice"):
        draw([constant("a"), constant("a")], 4)
    with pytest.raises(SpecError, match=r"time\.matmuls is no kind of operator"):
        draw([replace(SHARE, part="time", field="matmuls")], 4)
