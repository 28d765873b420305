"""Sobol indices: of a sum, whose indices are known by hand, by the draws themselves and by Saltelli's design."""

from __future__ import annotations

import numpy as np
import pytest

from accelmodel.dse.posterior.draws import draw
from accelmodel.dse.posterior.influence import REST, by_chance, first_order, leading, saltelli
from accelmodel.dse.posterior.priors import Prior

#: of 3 x + 2 y + z + 0 w with all uniform from 0 to 1 the variances are as 9, 4, 1 and 0
WEIGHTS = np.array([3.0, 2.0, 1.0, 0.0])
SHARES = WEIGHTS**2 / (WEIGHTS**2).sum()


def constants(*groups: str) -> list[Prior]:
    return [
        Prior("device", f"c{i}", "assumed", "1", "uniform", "linear", 0.0, 0.5, 1.0, group)
        for i, group in enumerate(groups)
    ]


def test_first_order_of_a_sum():
    draws = draw(constants("", "", "", ""), 2000)
    assert first_order(draws, draws.values @ WEIGHTS) == pytest.approx(SHARES, abs=0.04)


def test_first_order_of_a_product_alone():
    """Centred factors say nothing each by itself."""
    draws = draw(constants("", ""), 2000)
    outcome = (draws.values[:, 0] - 0.5) * (draws.values[:, 1] - 0.5)
    assert first_order(draws, outcome) == pytest.approx([0.0, 0.0], abs=0.04)


def test_an_answer_that_never_changes_is_decided_by_nothing():
    draws = draw(constants("", ""), 200)
    assert first_order(draws, np.full(200, 7.0)).tolist() == [0.0, 0.0]
    assert first_order(draws, np.full(200, np.nan)).tolist() == [0.0, 0.0]
    assert leading(draws, np.zeros((1, 2))) == []


def test_draws_without_an_answer_are_left_out():
    draws = draw(constants("", "", "", ""), 3000)
    outcome = np.where(np.arange(3000) % 3 == 0, np.nan, draws.values @ WEIGHTS)
    assert first_order(draws, outcome) == pytest.approx(SHARES, abs=0.05)


def told(priors, lead, outcome, base=512):
    (found,) = saltelli(priors, lead, lambda draws: np.array([outcome(draws.values)]), base, seed=0)
    return {index.group: index for index in found}


def test_saltelli_of_a_sum():
    found = told(constants("", "", "", ""), ["device.c0", "device.c1"], lambda values: values @ WEIGHTS)
    assert set(found) == {"device.c0", "device.c1", REST}
    for group, share in {"device.c0": SHARES[0], "device.c1": SHARES[1], REST: SHARES[2] + SHARES[3]}.items():
        # a sum has no interactions: first order and total are one
        assert found[group].first == pytest.approx(share, abs=0.03)
        assert found[group].total == pytest.approx(share, abs=0.03)
    assert found[REST].constants == ("device.c2", "device.c3")


def test_saltelli_of_a_product_has_interactions():
    """Of (x - 1/2) (y - 1/2) nothing is first order, all is total."""
    found = told(constants("", "", ""), ["device.c0", "device.c1"], lambda v: (v[:, 0] - 0.5) * (v[:, 1] - 0.5))
    for group in ("device.c0", "device.c1"):
        assert found[group].first == pytest.approx(0.0, abs=0.06)
        assert found[group].total == pytest.approx(1.0, abs=0.08)
    assert found[REST].total == 0.0


def test_constants_that_go_together_are_one():
    """Of x + y with rank correlation both are one group, beside z: 2 (1 + r) to 1."""
    known = constants("g", "g", "")
    found = told(known, ["g"], lambda values: values.sum(axis=1), 1024)
    together = draw(known, 20_000).values[:, :2].sum(axis=1).var() * 12.0
    assert found["g"].first == pytest.approx(together / (together + 1.0), abs=0.03)


def test_one_group_decides_alone_and_needs_no_design():
    assert saltelli(constants("g", "g"), ["g"], lambda draws: pytest.fail("was asked"), 64) == []


def test_an_answer_that_never_changes():
    found = told(constants("", ""), ["device.c0"], lambda values: np.zeros(len(values)), 32)
    assert [(each.first, each.total) for each in found.values()] == [(0.0, 0.0)] * 2


def test_a_seed_gives_the_same_indices():
    known = constants("", "", "")
    assert told(known, ["device.c0"], lambda v: v @ WEIGHTS[:3], 64) == told(
        known, ["device.c0"], lambda v: v @ WEIGHTS[:3], 64
    )


@pytest.mark.parametrize("most", [1, 2])
def test_the_groups_that_lead(most):
    draws = draw(constants("g", "", "g"), 100)
    first = np.array([[0.1, 0.2, 0.0], [0.0, 0.1, 0.5]])
    assert leading(draws, first, most) == ["g", "device.c1"][:most]


@pytest.mark.parametrize("draws", [150, 1500])
def test_what_chance_alone_seldom_passes(draws):
    found = draw(constants(*[""] * 40), draws)
    nothing = first_order(found, np.random.default_rng(3).random(draws))
    assert nothing.max() < by_chance(draws)
    assert nothing.max() > 0.1 * by_chance(draws)
