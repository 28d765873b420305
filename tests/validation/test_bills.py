"""Bills against analysts' estimates: parts that are summed right, and the ends that were promised."""

from __future__ import annotations

import pytest

import accelmodel as am
from accelmodel.validation import bills
from accelmodel.validation.claims import claims


def test_parts_of_an_estimate_are_parts_of_the_bill():
    found = am.cost("mi300x")
    named = [name for own in bills.PARTS.values() for name in own]
    assert set(named) <= set(found.part.values.tolist())
    whole = sum(bills.quantity(f"bill.mi300x.{part}") for part in bills.PARTS)
    links = float(found.part_price.sel(part="links"))
    assert whole + links == pytest.approx(bills.quantity("bill.mi300x.total"), rel=1e-12)


@pytest.mark.parametrize(("device", "low", "high"), [("h100-sxm", 3320 * 0.85, 3320 * 1.15), ("h200-sxm", 4250, 4800)])
def test_whole_bills_lie_where_analysts_put_them(device, low, high):
    assert low <= bills.quantity(f"bill.{device}.total") <= high


def test_what_was_put_in_is_marked():
    marked = {claim.quantity for claim in claims() if claim.quantity.startswith("bill.") and claim.calibrated_on_it}
    assert {"bill.h100-sxm.memory", "bill.h100-sxm.test", "bill.h100-sxm.total", "bill.mi300x.total"} == marked
