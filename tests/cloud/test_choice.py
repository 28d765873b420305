"""The two questions of renting: names and specifications give the same answer."""

from __future__ import annotations

from datetime import date

import pytest

from accelmodel.cloud.choice import rank_instances, ranking
from accelmodel.cloud.fleet import Bucket, plan_fleet
from accelmodel.cloud.hosting import Setup
from accelmodel.cloud.offers import Market
from accelmodel.cloud.ranking import Inputs, Slo
from accelmodel.errors import SpecError
from accelmodel.specs.load import load
from accelmodel.specs.prices import offers, shipped

FEW = Market(instances=["g6.xlarge", "g6e.xlarge"], only=True)


def test_names_and_specifications_give_the_same_ranking(warm):
    slo = Slo(tps=400.0)
    named = rank_instances("opt-2.7b", input=128, output=512, slo=slo, offered=FEW, batch=32)
    model, setup = load("model", "opt-2.7b"), Setup(load("engine", "flexgen"))
    market = Market(instances=[load("instance", "g6.xlarge"), load("instance", "g6e.xlarge")], only=True)
    prices = offers(shipped(), ["us-east-1"], "on-demand")
    by_name = {name: prices[name] for name in ("g6.xlarge", "g6e.xlarge")}
    for offered in (market, by_name):
        assert rank_instances(model, input=128, output=512, slo=slo, setups=[setup], offered=offered, batch=32) == named
    assert ranking(Inputs(model, 128, 512, slo, batch=32), FEW.offers(), [setup], date.today()) == named


def test_what_is_not_said_of_the_offer_is_what_ships(warm):
    found = rank_instances("opt-2.7b", input=128, output=512, batch=32)
    assert {row["instance"] for row in found["rows"]} == {each.name for each, _ in Market().offers()}


def test_neither_a_batch_nor_a_rate_is_refused():
    with pytest.raises(SpecError, match="either a batch or a rate"):
        rank_instances("opt-2.7b", input=128, output=512, offered=FEW)


def test_a_mix_is_a_file_or_its_rows(warm, tmp_path):
    (tmp_path / "mix.csv").write_text("input,output,rate\n128,128,4\n2048,256,1\n", encoding="utf-8")
    rows = [Bucket(128, 128, 4.0), Bucket(2048, 256, 1.0)]
    of_file = plan_fleet("llama-3.1-8b", tmp_path / "mix.csv", Slo(tpot=0.06), offered=FEW)
    setup = Setup(load("engine", "in-flight"), "none")
    assert plan_fleet(load("model", "llama-3.1-8b"), rows, Slo(tpot=0.06), setup=setup, offered=FEW) == of_file
    assert set(of_file["counts"]) <= {"g6.xlarge", "g6e.xlarge"}
