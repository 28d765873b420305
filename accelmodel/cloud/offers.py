"""What may be rented and for how much: the shipped instances and those of one's own, each with its price."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from accelmodel.errors import SpecError, unknown
from accelmodel.specs.cloud import Instance
from accelmodel.specs.find import available, is_known
from accelmodel.specs.load import load
from accelmodel.specs.prices import Price, check_market, offers, read_prices, shipped, stated

Offers = list[tuple[Instance, Price]]


@dataclass(frozen=True)
class Market:
    """Where instances are rented, and which.

    Attributes
    ----------
    regions : sequence of str
        The cheapest price of these counts.
    price_kind : {"on-demand", "spot", "reserved"}
    prices : path or str, optional
        CSV that replaces the shipped prices.
    instances : sequence of str or Instance
        Names, paths or specifications that stand beside what the price list names.  Of the shipped list only instances
        with devices of makers on which engines were measured are offered unnamed.
    only : bool
        Offer ``instances`` alone.

    Examples
    --------
    >>> [instance.name for instance, price in Market(instances=["g6.xlarge", "g5.xlarge"], only=True).offers()]
    ['g6.xlarge', 'g5.xlarge']
    """

    regions: Sequence[str] = ("us-east-1",)
    price_kind: str = "on-demand"
    prices: str | Path | None = None
    instances: Sequence[str | Instance] = ()
    only: bool = False

    def offers(self) -> Offers:
        """Return the instances on offer with their prices, the cheapest first.

        Raises
        ------
        SpecError
            If a price is of an instance that nobody knows, an instance has no price, two of one's own have the same
            name, or a name, region, kind or file is wrong.
        """
        own = _by_name(load("instance", each) if isinstance(each, str) else each for each in self.instances)
        if self.only and not own:
            raise SpecError("only instances of one's own are wanted, and none is given; name one with --instance")
        listed = read_prices(Path(self.prices)) if self.prices is not None else shipped()
        _check_names(listed, own)
        check_market(listed, self.regions, self.price_kind, [each.price_region for each in own.values()])
        found = [(each, self._price(each, listed)) for each in own.values()]
        if not self.only:
            others = offers(listed, list(self.regions), self.price_kind)
            rest = candidates({name: price for name, price in others.items() if name not in own})
            # who gives a list of his own has asked for what stands in it
            found += rest if self.prices is not None else [offer for offer in rest if _measured(offer[0])]
        return sorted(found, key=_cheapest)

    def _price(self, instance: Instance, listed: Iterable[Price]) -> Price:
        """The price of an instance of one's own: a list of one's own, then its file, then the shipped list."""
        where = ", ".join(self.regions)
        price = stated(instance)
        if price is not None and self.prices is None:
            return self._fitting(price)
        fitting = [
            price
            for price in listed
            if price.instance == instance.name and price.region in self.regions and price.kind == self.price_kind
        ]
        if fitting:
            return min(fitting, key=lambda price: price.per_hour)
        if price is None:
            raise SpecError(
                f"instance {instance.name!r} has no {self.price_kind} price in {where}; add price_per_hour and "
                "price_date to its file, or a row to the list of --prices"
            )
        return self._fitting(price)

    def _fitting(self, price: Price) -> Price:
        """The price that an instance's file states, where it is of the kind and region that are asked for."""
        where = ", ".join(self.regions)
        if price.kind != self.price_kind:
            raise SpecError(
                f"instance {price.instance!r} states its {price.kind} price, and {self.price_kind} is asked for; "
                "add a row to the list of --prices"
            )
        if price.region and price.region not in self.regions:
            raise SpecError(
                f"instance {price.instance!r} has its price in {price.region}, not in {where}; add --region"
            )
        return price


def _cheapest(offer: tuple[Instance, Price]) -> tuple[float, str]:
    instance, price = offer
    return price.per_hour, instance.name


def _by_name(instances: Iterable[Instance]) -> dict[str, Instance]:
    found: dict[str, Instance] = {}
    for each in instances:
        if each.name in found:
            raise SpecError(f"instance {each.name!r} is given twice; give each once, or another name in its file")
        found[each.name] = each
    return found


def _check_names(listed: Iterable[Price], own: Iterable[str]) -> None:
    """Raise SpecError if a price is of an instance that nobody knows, in whatever region.

    A name with a slip would be left out without a word where another region is asked for, or only one's own.
    """
    known = {*available("instance"), *own}
    for price in listed:
        if price.where and price.instance not in known and not is_known("instance", price.instance):
            wrong = unknown("instance", price.instance, known)
            raise SpecError(f"{price.where}: {wrong}; or give the file of your own with --instance")


#: makers on whose devices the engines' constants were measured
_MAKERS = ("NVIDIA",)


def _measured(instance: Instance) -> bool:
    """Whether an instance is offered without being named: the engines were measured on devices of its maker."""
    return load("device", instance.device).vendor in _MAKERS


def candidates(prices: Mapping[str, Price]) -> Offers:
    """Return the instances that have a price, found by name, the cheapest first.

    Raises
    ------
    SpecError
        If a price is of an instance that nobody knows; the closest match is named.
    """
    found = []
    for name, price in prices.items():
        try:
            found.append((load("instance", name), price))
        except SpecError as error:
            raise SpecError(f"a price of {name!r}: {error}; or give the file of your own with --instance") from None
    return sorted(found, key=_cheapest)


#: what stands for an offer: a market, or the price of each instance by name
OffersLike = Market | Mapping[str, Price]


def as_offers(given: OffersLike | None) -> Offers:
    """Return the instances on offer with their prices; the shipped ones in us-east-1 where nothing is given."""
    if isinstance(given, Mapping):
        return candidates(given)
    return (given or Market()).offers()
