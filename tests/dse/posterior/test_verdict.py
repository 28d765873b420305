"""What a posterior says: numbers that are those of its draws, and words that are those of the numbers."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from accelmodel.dse.posterior.draws import Draws
from accelmodel.dse.posterior.influence import REST, Index
from accelmodel.dse.posterior.joint import Posterior
from accelmodel.dse.posterior.priors import Prior
from accelmodel.dse.posterior.verdict import sentences, verdict
from accelmodel.dse.studies.study import load_study

SIZES = np.array([8e6, 64e6, 104e6])


@pytest.fixture(scope="module")
def found() -> Posterior:
    """Ten draws of two constants: 8 MB is best in three, 64 MB in one, 104 MB in five; nothing is allowed in one."""
    best = [0, 0, 0, 1, 2, 2, 2, 2, 2]
    score = np.array([[4.0 if place == i else 2.0 for i in range(3)] for place in best] + [[0.0] * 3])
    area = Prior("process", "sram_area", "assumed", "m2/B", "uniform", "linear", 0.0, 1.0, 9.0)
    share = replace(area, part="device", field="hbm.share", unit="1")
    values = np.array([np.arange(10.0), [3.0, 1.0] * 5]).T
    return Posterior(
        study=load_study(),
        axis="l2_capacity",
        unit="B",
        words=(),
        chips={"l2_capacity": SIZES, "cores": np.array([24.0, 24.0, 20.0])},
        prior="uniform",
        seed=0,
        names=("process.sram_area", "device.hbm_share"),
        draws=Draws((area, share), values),
        impossible=0.0,
        score={"none": np.where(score > 0.0, [[3.0, 2.0, 1.0]], 0.0), "preserve": score},
        nominal={"none": np.array([3.0, 2.0, 1.0]), "preserve": np.array([2.0, 4.0, 3.0])},
        about={},
        sobol={
            "preserve": [Index(REST, ("device.hbm.share",), 0.1, 0.0, 0.2, 0.0)],
            "gain": [
                Index("process.sram_area", ("process.sram_area",), 0.5, 0.1, 0.6, 0.1),
                Index(REST, ("device.hbm.share",), 0.1, 0.0, 0.2, 0.0),
            ],
        },
    )


def test_probabilities_by_hand(found):
    told = verdict(found)
    rows = told["best"]["preserve"]["along"]
    assert [row["probability"] for row in rows] == [0.3, 0.1, 0.5]
    assert [row["at_least"] for row in rows] == [0.9, 0.6, 0.5]
    assert [row["feasible"] for row in rows] == [0.9] * 3
    assert told["best"]["preserve"]["at_end"] == {"lowest": 0.3, "highest": 0.5}
    assert told["answered"] == 0.9
    assert told["best"]["preserve"]["median"] == 104e6
    assert told["best"]["preserve"]["as_given"] == 64e6
    assert (told["best"]["none"]["low"], told["best"]["none"]["high"]) == (8e6, 8e6)
    assert told["gain"]["as_given"] == pytest.approx(4.0 / 3.0)
    assert sum(bar["probability"] for bar in told["gain"]["bars"]) == pytest.approx(0.9)


def test_the_robust_choice_by_hand(found):
    told = verdict(found)["robust"]["preserve"]
    # 104 MB misses half in four of the nine draws that have an answer
    assert told["value"] == 104e6
    assert told["expected_regret"] == pytest.approx(2.0 / 9.0)
    assert told["chip"] == {"l2_capacity": 104e6, "cores": 20.0}
    assert told["as_given"]["value"] == 64e6
    assert told["as_given"]["expected_regret"] == pytest.approx(4.0 / 9.0)


def test_a_claim_inside_and_outside(found):
    inside = verdict(found, {"none": 8e6, "preserve": 104e6, "gain": 4.0 / 3.0})["claim"]
    assert (inside["of"], inside["inside"], inside["outside"]) == ("published", True, [])
    outside = verdict(found, {"none": 8e6, "preserve": 208e6, "gain": 1.1})["claim"]
    assert (outside["inside"], outside["outside"], outside["holds_at"]) == (False, ["preserve", "gain"], 1.0)
    own = verdict(found)["claim"]
    assert own["of"] == "constants as given"
    assert own["numbers"] == pytest.approx({"none": 8e6, "preserve": 64e6, "gain": 4.0 / 3.0})


def test_words_are_those_of_the_numbers(found):
    text = "\n".join(verdict(found, {"none": 8e6, "preserve": 208e6, "gain": 4.0 / 3.0})["words"])
    assert "Best L2 with prefetch: 104 MB in 50 % of 10 joint draws of 2 constants (uniform priors)" in text
    assert "nine tenths of all draws lie between 8 MB and 104 MB" in text
    assert "In 50 % of the draws the best L2 with prefetch is the highest of the space" in text
    assert "gain 1.33×) lies outside" in text
    assert "208 MB with prefetch beside 8 MB to 104 MB" in text
    assert "Safest L2 to build with prefetch: 104 MB, which misses 22 % of the best on average" in text
    assert "64 MB, the best with every constant as given, misses 44 %" in text
    assert "In 10 % of the draws no chip keeps to the limits." in text
    assert "lies in the region" in "\n".join(verdict(found, {"preserve": 64e6})["words"])


def test_rare_is_not_never(found):
    told = verdict(found)
    told["answered"] = 0.999
    assert sentences(told)[-1] == "In under 1 % of the draws no chip keeps to the limits."
    told["answered"] = 1.0
    assert not any("limits" in each for each in sentences(told))


def test_constants_are_ranked_and_named(found):
    told = verdict(found)
    assert {row["constant"] for row in told["constants"]} == set(found.names)
    saved = [row["regret_saved"] for row in told["constants"]]
    assert saved == sorted(saved, reverse=True)
    assert [(row["of"], row["group"]) for row in told["sobol"]] == [
        ("best", "device.hbm_share"), ("gain", "process.sram_area"), ("gain", "device.hbm_share"),
    ]  # fmt: skip


def test_gains_that_differ_by_rounding_are_one_bar(found):
    same = {"none": np.ones((10, 3)), "preserve": np.ones((10, 3)) * (1.0 + 1e-16 * np.arange(10.0)[:, None])}
    (bar,) = verdict(replace(found, score=same))["gain"]["bars"]
    assert (bar["from"], bar["probability"]) == (1.0, 1.0)


def test_a_verdict_is_json_even_where_nothing_is_allowed(found):
    json.dumps(verdict(found), allow_nan=False)
    nothing = {technique: 0.0 * score for technique, score in found.score.items()}
    told = verdict(replace(found, score=nothing, nominal={name: np.zeros(3) for name in nothing}))
    json.dumps(told, allow_nan=False)
    assert told["best"]["preserve"]["median"] is None
    assert told["claim"]["inside"] is None
    assert told["robust"]["preserve"]["as_given"] is None
    assert told["words"][0] == "No chip keeps to the limits in any draw without prefetch."
