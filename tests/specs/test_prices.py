"""Price lists: read, offered, refused with their line."""

from __future__ import annotations

from datetime import date

import pytest

from accelmodel.errors import SpecError
from accelmodel.specs import prices
from accelmodel.specs.load import available


def listed(tmp_path, text):
    path = tmp_path / "prices.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_prices_are_read_and_the_cheapest_of_regions_is_offered(tmp_path):
    head = "instance,region,price_per_hour,date,kind,currency\n"
    rows = prices.read_prices(listed(tmp_path, head + "a,x,2,2025-01-01,spot,USD\na,y,1.5,2025-01-02,spot,USD\n"))
    assert prices.offers(rows, ["x", "y"], "spot")["a"].per_hour == 1.5
    assert prices.stale(rows[0], date(2025, 7, 1))  # day 181
    assert not prices.stale(rows[0], date(2025, 6, 30))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "column 'instance' is missing"),
        ("instance,region,price_per_hour,date\n", "has no prices"),
        ("instance,region,price_per_hour\na,x,1\n", "column 'date' is missing"),
        ("instance,region,price_per_hour,date,colour\na,x,1,2025-01-01,red\n", "unknown column 'colour'"),
        ("instance,region,price_per_hour,date\na,x,-1,2025-01-01\n", ":2: price_per_hour '-1' must be"),
        ("instance,region,price_per_hour,date\na,x,nan,2025-01-01\n", "price_per_hour 'nan' must be"),
        ("instance,region,price_per_hour,date\na,x,1,yesterday\n", "'yesterday' is no day"),
        ("instance,region,price_per_hour,date,currency\na,x,1,2025-01-01,EUR\n", "currency 'EUR' is not USD"),
        ("instance,region,price_per_hour,date,kind\na,x,1,2025-01-01,spto\n", "did you mean 'spot'"),
        ("instance,region,price_per_hour,date\na,,1,2025-01-01\n", "region is empty"),
    ],
)
def test_price_lists_that_are_wrong_say_where(tmp_path, text, told):
    with pytest.raises(SpecError, match=told):
        prices.read_prices(listed(tmp_path, text))


def test_unknown_regions_name_the_closest():
    with pytest.raises(SpecError, match="did you mean 'us-east-1'"):
        prices.offers(prices.shipped(), ["us-east-1a"], "on-demand")


def test_shipped_prices_are_of_known_instances():
    assert {price.instance for price in prices.shipped()} <= set(available("instance"))
    assert {price.region for price in prices.shipped()} >= {"us-east-1", "ap-northeast-1", "eastus", "lambda-us"}
