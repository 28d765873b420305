"""What instances cost: price lists as CSV, the shipped ones and a user's own, one format for both.

Columns: ``instance``, ``region``, ``price_per_hour``, ``date`` (YYYY-MM-DD); optional ``cloud``, ``kind``
(``on-demand``, ``spot`` or ``reserved``), ``currency`` (USD), ``source`` and ``locator``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from accelmodel.errors import SpecError, brief, unknown
from accelmodel.specs import facts, files
from accelmodel.specs.base import field_types
from accelmodel.specs.cloud import Instance
from accelmodel.specs.quantities import Quantity
from accelmodel.units import parse

KINDS = ("on-demand", "spot", "reserved")
NEEDED = ("instance", "region", "price_per_hour", "date")
OPTIONAL = {"cloud": "", "kind": "on-demand", "currency": "USD", "source": "user", "locator": ""}
#: age from which a price is called stale [day]
STALE_AFTER = 180
HOUR = 3600.0
_NUMBER = re.compile(r"[-+\d.eE]+")


@dataclass(frozen=True)
class Price:
    """One row of a price list; ``per_hour`` is in USD, ``day`` when it held, ``where`` its file and line."""

    instance: str
    region: str
    kind: str
    per_hour: float
    day: date
    source: str = "user"
    where: str = ""


def read_prices(path: str | Path) -> list[Price]:
    """Return the rows of a price list.

    Parameters
    ----------
    path : str or Path
        CSV with the columns ``instance``, ``region``, ``price_per_hour`` [USD/h] and ``date`` (YYYY-MM-DD); optional
        ``cloud``, ``kind``, ``currency``, ``source`` and ``locator``.

    Returns
    -------
    list of Price

    Raises
    ------
    SpecError
        If the file cannot be read, a column is missing or unknown, or a row has another currency, a price that
        nobody asks, an unknown kind, or a day that is none; names file, line and remedy.

    Examples
    --------
    >>> len(read_prices(facts.root() / "prices" / "aws.csv")) > 20
    True
    """
    path = Path(path)
    columns, rows = files.read_table(path)
    for column in columns:
        if column not in (*NEEDED, *OPTIONAL):
            raise SpecError(f"{path}: {unknown('column', column, (*NEEDED, *OPTIONAL))}")
    if missing := [column for column in NEEDED if column not in columns]:
        raise SpecError(f"{path}: column {missing[0]!r} is missing; needed are {', '.join(NEEDED)}")
    if not rows:
        raise SpecError(f"{path}: has no prices; add a row for each instance and region")
    return [_price(row, f"{path}:{line}") for line, row in rows]


def _price(row: dict[str, str], where: str) -> Price:
    known = {name: row.get(name) or default for name, default in OPTIONAL.items()}
    given = {name: row[name] for name in NEEDED}
    if empty := [name for name, text in given.items() if not text]:
        raise SpecError(f"{where}: {empty[0]} is empty; fill it in")
    if known["currency"] != "USD":
        raise SpecError(f"{where}: currency {brief(known['currency'])} is not USD; convert the prices to USD")
    if known["kind"] not in KINDS:
        raise SpecError(f"{where}: {unknown('kind of price', known['kind'], KINDS)}")
    try:
        day = date.fromisoformat(given["date"])
    except ValueError:
        raise SpecError(f"{where}: date {brief(given['date'])} is no day; write it as 2025-04-11") from None
    price = _per_hour(given["price_per_hour"], where)
    return Price(given["instance"], given["region"], known["kind"], price, day, known["source"], where)


def _per_hour(text: str, where: str) -> float:
    """Return a price [USD/h]: the column's name has the unit, so that a bare number is one; within the field's bounds.

    A number is taken as it stands: to another unit and back it would lose its last digit.
    """
    quantity = field_types(Instance)["price_per_hour"].quantity or Quantity()
    try:
        price = parse(text, "1") if _NUMBER.fullmatch(text) else parse(text, "USD/s") * HOUR
        quantity.check(price / HOUR)
    except ValueError:
        price = 0.0
    if not price > 0.0:
        ends = " to ".join(f"{(end or 0.0) * HOUR:.6g}" for end in (quantity.ge, quantity.le))
        raise SpecError(f"{where}: price_per_hour {brief(text)} must be USD from {ends}; write for example 3.06")
    return price


@cache
def shipped() -> tuple[Price, ...]:
    """Return the price lists of ``hwspecs/prices``."""
    return tuple(row for path in sorted((facts.root() / "prices").glob("*.csv")) for row in read_prices(path))


def offers(
    prices: Sequence[Price] | None = None, regions: Sequence[str] = ("us-east-1",), kind: str = "on-demand"
) -> dict[str, Price]:
    """Return the cheapest price of each instance in some regions.

    Parameters
    ----------
    prices : sequence of Price, optional
        As from ``read_prices``; the shipped lists by default.
    regions : sequence of str
    kind : {"on-demand", "spot", "reserved"}

    Returns
    -------
    dict of str to Price
        Instance → its price.

    Raises
    ------
    SpecError
        If a region or the kind is not in the list (the closest match is named).

    Examples
    --------
    >>> offers(regions=["us-east-1"])["g5.xlarge"].kind
    'on-demand'
    """
    prices = shipped() if prices is None else prices
    check_market(prices, regions, kind)
    found: dict[str, Price] = {}
    for price in prices:
        cheaper = price.instance not in found or price.per_hour < found[price.instance].per_hour
        if price.region in regions and price.kind == kind and cheaper:
            found[price.instance] = price
    if not found:
        raise SpecError(f"no {kind} prices in {', '.join(regions)}; choose another kind or region, or give --prices")
    return found


def check_market(prices: Sequence[Price], regions: Sequence[str], kind: str, own: Sequence[str] = ()) -> None:
    """Raise SpecError if a kind of price is unknown, or a region is neither in the list nor among one's own."""
    if kind not in KINDS:
        raise unknown("kind of price", kind, KINDS)
    known = {price.region for price in prices} | set(own)
    for region in regions:
        if region not in known:
            raise unknown("region", region, known - {""})


def stated(instance: Instance) -> Price | None:
    """Return the price that an instance's own file states; None where it states none."""
    if not instance.price_per_hour:
        return None
    day = date.fromisoformat(instance.price_date)
    return Price(instance.name, instance.price_region, KINDS[0], float(instance.price_per_hour) * HOUR, day)


def stale(price: Price, today: date) -> bool:
    """Tell whether a price is older than ``STALE_AFTER`` days."""
    return (today - price.day).days > STALE_AFTER
