"""What a study answers in numbers: any axis, any objective, whatever keeps to the limits."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from studies import STUDY

from accelmodel.dse.evaluation.chip import parts_of_study
from accelmodel.dse.evaluation.evaluate import evaluate
from accelmodel.dse.posterior.answers import along, lead_axis, numbers_of, scored
from accelmodel.dse.posterior.draws import Draws, draw
from accelmodel.dse.posterior.joint import posterior
from accelmodel.dse.posterior.priors import priors
from accelmodel.dse.posterior.sensitivity import sensitivity
from accelmodel.dse.posterior.verdict import verdict
from accelmodel.dse.studies.study import load_study

#: the answer with every constant as it is given
AS_GIVEN = Draws((), np.empty((1, 0)))


@pytest.fixture
def asked(tmp_path):
    """Return a function: changes of the small study → the study."""

    def of(*changes):
        text = STUDY.replace('from = "8MB", to = "256MB", step = "8MB"', 'values = ["8MB", "104MB", "192MB"]')
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / "tiny.toml"
        path.write_text(text, encoding="utf-8")
        return load_study(str(path))

    return of


def test_the_fewest_dollars_are_the_best(warm, asked):
    study = asked(('bill = "ascend-910b"', 'bill = "ascend-910b"\nobjectives = ["dollars_per_million_tokens"]'))
    parts = parts_of_study(study)
    chips = along(study, "l2_capacity", {})
    result = evaluate(study, parts, l2_capacity=xr.DataArray(chips["l2_capacity"], dims="design"))
    score = scored(study, parts, chips, AS_GIVEN)
    numbers = numbers_of(study, score, chips["l2_capacity"])
    least = {}
    for technique in study.techniques:
        one = result.sel(technique=technique)
        dollars = one.dollars_per_million_tokens.where(one.feasible).values
        np.testing.assert_allclose(score[technique][0] * np.where(one.feasible, dollars, 0.0), 1.0 * one.feasible)
        least[technique] = np.nanmin(dollars)
        assert numbers[technique][0] == chips["l2_capacity"][np.nanargmin(dollars)]
    assert numbers["gain"][0] == pytest.approx(least["none"] / least["preserve"], rel=1e-12)


def test_an_axis_of_words_is_decided_on_by_its_words(warm, asked):
    space = STUDY.partition("[space]\n")[2].partition("[workload]")[0]
    study = asked(
        (
            space.replace('from = "8MB", to = "256MB", step = "8MB"', 'values = ["8MB", "104MB", "192MB"]'),
            'process = { values = ["n7", "n5"] }\n',
        ),
        ('die_area = "700mm2"', "reticle = 3.0"),
    )
    assert lead_axis(study) == "process"
    found = posterior(study, parts_of_study(study), 24)
    told = verdict(found)
    rows = told["best"]["preserve"]["along"]
    assert {row["value"] for row in rows} == {"n5", "n7"}
    assert sum(row["probability"] for row in rows) == pytest.approx(told["answered"])
    assert told["best"]["preserve"]["median"] == max(rows, key=lambda row: row["probability"])["value"]
    assert told["robust"]["preserve"]["value"] in ("n5", "n7")
    # what a word names is as its file gives it
    assert not [name for name in found.names if name.startswith("process.")]


def test_an_axis_by_its_own_field_is_no_constant(warm, asked):
    study = asked(("[workload]", 'hbm_share = { values = ["0.6", "0.9"] }\n[workload]'))
    parts = parts_of_study(study)
    chips = {"hbm_share": [0.6, 0.9], "l2_capacity": [8e6, 8e6]}
    found = posterior(study, parts, 4, chips=chips)
    assert "device.hbm_share" not in found.names
    assert "device.hbm_share" in posterior(study, parts, 4).names


def test_a_technique_alone_gains_nothing(warm, asked):
    study = asked(("[software]", '[software]\ntechniques = ["none"]'))
    found = posterior(study, parts_of_study(study), 8)
    told = verdict(found)
    assert told["gain"] is None
    assert set(told["best"]) == {"none"}
    assert not any("Gain" in each for each in told["words"])
    rows = sensitivity(study, parts_of_study(study), {})
    assert {row["gain"] for row in rows if row["l2_none"] is not None} == {1.0}


def test_a_constant_at_whose_end_no_chip_is_allowed_has_no_optimum(warm, asked):
    # with 8 MB the known die is 555 mm² as given, and 562 mm² where a megabyte takes the least
    study = asked(('die_area = "700mm2"', 'die_area = "558mm2"\nshoreline = 20'))
    parts = parts_of_study(study)
    rows = {(row["constant"], row["end"]): row for row in sensitivity(study, parts, {})}
    assert rows["process.sram_area", "low"]["l2_preserve"] is None
    assert rows["process.sram_area", "low"]["gain"] is None
    assert rows["process.sram_area", "high"]["l2_preserve"] is not None
    assert rows["all", "as given"]["l2_preserve"] is not None


def test_ends_of_ranges_are_draws_like_any_other(warm, asked):
    study = asked()
    parts = parts_of_study(study)
    chips = along(study, "l2_capacity", {})
    known = priors(study, parts)
    draws = draw(known, 3)
    values = draws.values.copy()
    values[:] = [prior.nominal for prior in known]
    nominal = scored(study, parts, chips, Draws(draws.priors, values))
    for technique, score in scored(study, parts, chips, AS_GIVEN).items():
        np.testing.assert_allclose(nominal[technique], np.repeat(score, 3, axis=0), rtol=1e-12)
