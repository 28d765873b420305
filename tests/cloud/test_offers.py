"""What is on offer: instances of one's own with their prices, and price lists that name what nobody knows."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from accelmodel.cloud.offers import Market, candidates
from accelmodel.errors import SpecError
from accelmodel.specs import facts
from accelmodel.specs.load import available, load
from accelmodel.specs.prices import Price, offers, shipped, stated

SHIPPED = (facts.root() / "instances" / "g6.xlarge.toml").read_text(encoding="utf-8")
PRICE = """
[default]
kind = "price"
source = "skypilot-catalog"
locator = "mine"
"""


def priced(usd):
    return f"price_per_hour = {{ value = {usd}, unit = 'USD/h' }}"


HEAD = "instance,region,price_per_hour,date\n"


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Write a copy of g6.xlarge under another name into the working directory, with more lines; return its path."""
    monkeypatch.chdir(tmp_path)

    def write(*lines, name="mine"):
        text = "\n".join([SHIPPED, *lines, PRICE])
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
        return f"{name}.toml"

    return write


def names(market):
    return [instance.name for instance, _ in market.offers()]


def test_the_shipped_market_is_the_shipped_price_list():
    found = Market().offers()
    prices = offers(shipped(), ["us-east-1"], "on-demand")
    unnamed = {name: price for name, price in prices.items() if not name.startswith(("inf", "trn", "ct"))}
    assert {instance.name: price for instance, price in found} == unnamed
    costs = [price.per_hour for _, price in found]
    assert costs == sorted(costs)
    assert all(instance == load("instance", instance.name) for instance, _ in found)


def test_an_instance_of_ones_own_stands_among_the_others_at_the_price_of_its_file(own):
    path = own(priced(0.25), "price_date = '2026-11-01'")
    market = Market(instances=[path])
    assert names(market) == ["mine", *names(Market())]  # 0.25 USD/h is below all others
    assert market.offers()[0][1] == Price("mine", "", "on-demand", 0.25, date(2026, 11, 1))
    assert names(replace(market, only=True)) == ["mine"]
    assert names(Market(instances=["mine"], only=True)) == ["mine"]
    assert names(Market(instances=[load("instance", path)], only=True)) == ["mine"]


def test_a_price_list_comes_before_the_price_of_a_file(own, tmp_path):
    path = own(priced(0.25), "price_date = '2026-11-01'")
    (tmp_path / "p.csv").write_text(f"{HEAD}mine,lab,0.5,2026-01-01\nmine,lab,0.4,2026-01-01\n", encoding="utf-8")
    market = Market(regions=["lab"], prices="p.csv", instances=[path])
    assert [(instance.name, price.per_hour) for instance, price in market.offers()] == [("mine", 0.4)]


def test_a_stated_price_is_on_demand_and_a_region_is_known(own):
    path = own(priced(0.25), "price_date = '2026-11-01'")
    with pytest.raises(SpecError, match="states its on-demand price, and spot is asked for"):
        Market(price_kind="spot", instances=[path], only=True).offers()
    with pytest.raises(SpecError, match="unknown region 'mars-1'"):
        Market(regions=["mars-1"], instances=[path], only=True).offers()


def test_one_of_ones_own_replaces_the_shipped_one_of_its_name(own):
    path = own("name = 'g6.xlarge'", priced(0.25), "price_date = '2026-11-01'")
    found = dict(zip(names(Market(instances=[path])), Market(instances=[path]).offers(), strict=True))
    assert sorted(found) == sorted(names(Market()))
    assert found["g6.xlarge"][1].per_hour == 0.25  # that of its file, before the shipped list's
    assert found["g6.xlarge"][0].digest != load("instance", "g6.xlarge").digest


@pytest.mark.parametrize(
    ("lines", "market", "message"),
    [
        ((), {}, "instance 'mine' has no on-demand price in us-east-1; add price_per_hour and price_date to its file"),
        ((priced(1.0),), {}, "price_date '' is no day"),
        ((priced(1.0), "price_date = 'soon'"), {}, "price_date 'soon' is no day"),
        (("price_date = '2026-11-01'",), {}, "price_date is given without price_per_hour"),
        ((priced(-1.0), "price_date = '2026-11-01'"), {}, "price_per_hour"),
        (
            (priced(1.0), "price_date = '2026-11-01'", "price_region = 'eastus'"),
            {},
            "'mine' has its price in eastus, not in us-east-1",
        ),
        (
            (priced(1.0), "price_date = '2026-11-01'"),
            {"instances": ["mine.toml"] * 2},
            "is given twice",
        ),
    ],
)
def test_what_is_wrong_with_an_own_instance_is_said(own, lines, market, message):
    path = own(*lines)
    with pytest.raises(SpecError, match=message):
        Market(**{"instances": [path], **market}).offers()


def test_a_region_that_is_asked_for_takes_the_price_of_the_file(own):
    path = own(priced(1.0), "price_date = '2026-11-01'", "price_region = 'eastus'")
    found = Market(regions=["eastus"], instances=[path], only=True).offers()
    assert [price.region for _, price in found] == ["eastus"]


def test_a_price_of_what_nobody_knows_is_refused_with_the_closest_match():
    price = Price("g6.xlrage", "here", "on-demand", 1.0, date(2026, 1, 1))
    with pytest.raises(SpecError, match=r"a price of 'g6.xlrage': unknown instance .* did you mean 'g6.xlarge'"):
        candidates({"g6.xlrage": price})


def test_only_own_instances_need_one():
    with pytest.raises(SpecError, match="none is given; name one with --instance"):
        Market(only=True).offers()


@pytest.mark.parametrize("name", available("instance"))
def test_shipped_instances_leave_prices_to_the_list(name):
    assert stated(load("instance", name)) is None


@pytest.mark.parametrize("market", [{}, {"only": True}, {"regions": ["us-east-1"]}])
def test_a_mistyped_name_in_a_price_list_is_never_left_out(own, tmp_path, market):
    path = own(priced(0.25), "price_date = '2026-11-01'")
    rows = "mine,lab,1.0,2026-01-01\nmine,us-east-1,1.0,2026-01-01\nmien,elsewhere,0.01,2026-01-01\n"
    (tmp_path / "p.csv").write_text(HEAD + rows, encoding="utf-8")
    with pytest.raises(SpecError, match=r"p\.csv:4: unknown instance 'mien', did you mean 'mine'\?"):
        Market(**{"regions": ["lab"], **market}, prices="p.csv", instances=[path]).offers()


def test_instances_on_which_no_engine_was_measured_are_offered_where_they_are_named():
    offered = {instance.name for instance, _ in Market().offers()}
    assert "g6.xlarge" in offered
    assert "inf2.xlarge" not in offered
    assert "inf2.xlarge" in {instance.name for instance, _ in Market(instances=["inf2.xlarge"]).offers()}
