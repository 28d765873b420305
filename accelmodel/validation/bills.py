"""Bills of materials against analysts' estimates: no maker publishes one."""

from __future__ import annotations

from functools import cache

from accelmodel.costs.costing import cost

#: part of an estimate → parts of a bill that it holds
PARTS = {
    "dies": ("compute dies", "base dies"),
    "memory": ("memory",),
    "packaging": ("package", "bonding losses"),
    "test": ("assembly and test",),
}


@cache
def _bill(device: str) -> dict[str, float]:
    found = cost(device)
    prices = dict(zip(found.part.values.tolist(), found.part_price.values.tolist(), strict=True))
    return {"total": float(found.price), **{name: sum(prices[each] for each in own) for name, own in PARTS.items()}}


def quantity(name: str) -> float:
    """Return the price of a part of a device, or of all, by the name of a claim, such as ``bill.h100-sxm.total`` [USD].

    Examples
    --------
    >>> 2000.0 < quantity("bill.h100-sxm.total") < 5000.0
    True
    """
    _, device, part = name.split(".")
    return _bill(device)[part]
