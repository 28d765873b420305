"""Sweeps over rented instances: what each reaches and costs, and which is chosen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from accelmodel.cloud.hosting import Setup
from accelmodel.cloud.infersave import HOUR
from accelmodel.cloud.offers import Market, Offers
from accelmodel.cloud.ranking import STATIC, STREAM, Inputs, Row, Slo, rank
from accelmodel.specs.load import load
from accelmodel.specs.quantities import Quantity
from accelmodel.sweeps.calls import NUMBER, TRUTH, WORD, At, Command, Variable
from accelmodel.sweeps.names import Field, plain

_COUNT = Quantity(ge=1.0, le=1e9, whole=True)
_OR_NONE = Quantity(ge=0.0, le=1e9, whole=True)
_BITS = Quantity(ge=1.0, le=64.0)
_TOKENS_PER_S = Quantity("token/s", gt=0.0, le=1e12)
_TIME = Quantity("s", gt=0.0, le=1e9)
_LEVELS = {
    "tps": _TOKENS_PER_S, "tps_output": _TOKENS_PER_S, "ttft": _TIME, "tpot": _TIME, "latency": _TIME,
    "deadline": _TIME,
}  # fmt: skip
#: instances that may share an arrival rate
_MOST = 100.0
_FIELDS: tuple[Field, ...] = (
    plain("model"),
    plain("input", _COUNT, whole=True),
    plain("output", _COUNT, whole=True),
    plain("batch", _OR_NONE, whole=True, default=0.0),
    plain("rate", Quantity("1/s", ge=0.0, le=1e9), whole=True, default=0.0),
    plain("requests", _OR_NONE, whole=True, default=0.0),
    plain("percentile", Quantity(gt=0.0, le=99.999), whole=True, default=95.0),
    plain("weight_bits", _BITS, whole=True, default=0.0),
    plain("kv_bits", _BITS, whole=True, default=0.0),
    plain("max_price", Quantity("USD/s", gt=0.0, le=1e6), whole=True, optional=True),
    plain("most_instances", _OR_NONE, whole=True, default=0.0),
    plain("region", default="us-east-1"),
    plain("price_kind", words=("on-demand", "spot", "reserved"), default="on-demand"),
    plain("offload", words=("infersave", "none", "flexgen", "kvpr"), default="infersave"),
    plain("time_model", words=("physical", "as-published"), default="physical"),
    plain("engine", optional=True),
    *(Field("slo", name, quantity, whole=True, optional=True) for name, quantity in _LEVELS.items()),
)


@cache
def offered(region: str, price_kind: str) -> Offers:
    """Return what may be rented, read once for a whole sweep."""
    return Market((region,), price_kind).offers()


def _market(at: At) -> Offers:
    return offered(at.word("region"), at.word("price_kind"))


def instances(at: At) -> Mapping[str, Any]:
    """Rank instances for one load and service level; Infeasible where none meets it."""
    import xarray as xr

    given = at.of("")
    slo = Slo(**at.of("slo"))
    rate = given["rate"]
    engine = load("engine", at.word("engine") or (STREAM if rate else STATIC))
    setup = Setup(engine, at.word("offload"), given["weight_bits"], given["kv_bits"])
    dearest = given.get("max_price", math.inf) * HOUR
    most = int(given["most_instances"]) or int(_MOST if rate else 1)
    counts = {name: int(given[name]) for name in ("input", "output", "batch", "requests")}
    inputs = Inputs(
        at.model(), slo=slo, rate=rate, percentile=given["percentile"], max_price=dearest,
        most_instances=most, time_model=at.word("time_model"), **counts,
    )  # fmt: skip
    rows = rank(inputs, _market(at), [setup])
    found = {name: [of(row) for row in rows] for name, of in _OF_ROW.items()}
    names = [row.instance.name for row in rows]
    data: dict[str, Any] = {
        name: xr.DataArray(values, dims="instance", coords={"instance": names}) for name, values in found.items()
    }
    met = [row for row in rows if not row.misses]
    cheapest = min(met, key=_cost)
    return data | {
        "choice": rows[0].instance.name,
        "cheapest": cheapest.instance.name,
        "least_cost_per_token": _cost(cheapest),
        "feasible": True,
    }


def names(at: At) -> dict[str, list[str]]:
    """Return the names of the instances on offer."""
    return {"instance": [instance.name for instance, _ in _market(at)]}


def _fits(row: Row) -> bool:
    return row.misses[:1] != (("memory", math.inf),)


def _reached(row: Row, name: str) -> float:
    value = float(row.reached[name])
    return value if _fits(row) and math.isfinite(value) else math.nan


def _cost(row: Row) -> float:
    """Return what a token costs, input and output alike [USD/token]."""
    rate = _reached(row, "tps_total")
    return row.copies * row.price.per_hour / HOUR / rate if rate > 0.0 else math.nan


_OF_ROW: dict[str, Callable[[Row], Any]] = {
    "tps_total": lambda row: _reached(row, "tps_total"),
    "tps_output": lambda row: _reached(row, "tps_output"),
    "ttft": lambda row: _reached(row, "ttft_s"),
    "tpot": lambda row: _reached(row, "tpot_s"),
    "latency": lambda row: _reached(row, "latency_s"),
    "offload_ratio": lambda row: float(row.ratio),
    "cost_per_token": _cost,
    "instances": lambda row: float(row.copies),
    "meets": lambda row: not row.misses,
}
_VARIABLES = {
    **{name: Variable(NUMBER if name != "meets" else TRUTH, ("instance",), absent=True) for name in _OF_ROW},
    "choice": Variable(WORD),
    "cheapest": Variable(WORD),
    "least_cost_per_token": Variable(),
    "feasible": Variable(TRUTH),
}
INSTANCES = Command(instances, _FIELDS, ("model",), _VARIABLES, (0.3, 0.0), 16, names, ("region", "price_kind"), False)
