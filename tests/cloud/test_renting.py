"""The two questions of renting: names and specifications give the same answer, and the command's."""

from __future__ import annotations

from datetime import date

import pytest

from accelmodel.cloud.fleet import Bucket
from accelmodel.cloud.hosting import Setup
from accelmodel.cloud.offers import Market
from accelmodel.cloud.ranking import Inputs, Slo, ranking
from accelmodel.cloud.renting import plan_fleet, rank_instances
from accelmodel.errors import SpecError
from accelmodel.specs.load import load

FEW = Market(instances=["g6.xlarge", "g6e.xlarge"], only=True)


def test_names_and_specifications_give_the_same_ranking(warm):
    slo = Slo(tps=400.0)
    named = rank_instances("opt-2.7b", 128, 512, slo, market=FEW, batch=32)
    market = Market(instances=[load("instance", "g6.xlarge"), load("instance", "g6e.xlarge")], only=True)
    model, engine = load("model", "opt-2.7b"), load("engine", "flexgen")
    assert rank_instances(model, 128, 512, slo, market=market, engine=engine, batch=32) == named
    inputs = Inputs(model, 128, 512, slo, batch=32)
    assert ranking(inputs, FEW.offers(), [Setup(engine)], date.today()) == named


def test_several_precisions_are_a_row_each(warm):
    found = rank_instances("opt-2.7b", 128, 512, market=FEW, batch=32, weight_bits=[16.0, 8.0], kv_bits=8)
    bits = sorted((row["instance"], row["detail"]["weight_bits"], row["detail"]["kv_bits"]) for row in found["rows"])
    assert bits == [(name, weights, 8.0) for name in ("g6.xlarge", "g6e.xlarge") for weights in (8.0, 16.0)]


def test_neither_a_batch_nor_a_rate_is_refused():
    with pytest.raises(SpecError, match="either a batch or a rate"):
        rank_instances("opt-2.7b", 128, 512, market=FEW)


def test_a_mix_is_a_file_or_its_rows(warm, tmp_path):
    (tmp_path / "mix.csv").write_text("input,output,rate\n128,128,4\n2048,256,1\n", encoding="utf-8")
    rows = [Bucket(128, 128, 4.0), Bucket(2048, 256, 1.0)]
    of_file = plan_fleet("llama-3.1-8b", tmp_path / "mix.csv", Slo(tpot=0.06), market=FEW)
    assert plan_fleet(load("model", "llama-3.1-8b"), rows, Slo(tpot=0.06), market=FEW, engine="in-flight") == of_file
    assert set(of_file["counts"]) <= {"g6.xlarge", "g6e.xlarge"}
