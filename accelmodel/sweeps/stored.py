"""Sweeps over prompts whose KV cache is stored: Cake and its rivals, and where loading beats computing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from accelmodel.kvcache.evaluate import Inputs, back, step_curve
from accelmodel.kvcache.grid import BASE_BITS, NAMES, ttft_grid
from accelmodel.specs.quantities import Quantity
from accelmodel.sweeps.calls import NUMBER, At, Command, Variable
from accelmodel.sweeps.names import Field, plain

_RATE = Quantity("B/s", gt=0.0, le=1e18)
_COUNT = Quantity(ge=1.0, le=1e9, whole=True)
_BITS = Quantity(ge=1.0, le=64.0)
_TIME = Quantity("s", ge=0.0, le=1e3)
#: axes of the grid that one call fills
_GRID = ("tokens", "bandwidth", "utilisation")
#: what a load takes beside what its tier says
_LOADS = {
    "tail": _TIME,
    "latency": _TIME,
    "compression": Quantity(ge=1.0, le=1e6),
    "decompression_rate": _RATE,
    "copy_rate": _RATE,
    "slowdown": Quantity(ge=1.0, le=10.0),
}
_FIELDS: tuple[Field, ...] = (
    *(plain(name) for name in ("model", "device", "tier")),
    *(plain(name, optional=True) for name in ("link", "scale_out")),
    plain("tokens", _COUNT),
    plain("bandwidth", _RATE, optional=True),
    plain("utilisation", Quantity(gt=0.0, le=1.0), default=1.0),
    plain("kv_bits", _BITS, whole=True, default=0.0),
    plain("weight_bits", _BITS, whole=True, default=0.0),
    plain("tp", _COUNT, whole=True, default=1.0),
    plain("compute_chunk", _COUNT, whole=True, default=512.0),
    plain("io_chunk", _COUNT, whole=True, default=128.0),
    plain("stored", Quantity(ge=0.0, le=1e9, whole=True), whole=True, optional=True),
    *(plain(name, quantity, whole=True, optional=True) for name, quantity in _LOADS.items()),
)


def cake(at: At) -> Mapping[str, Any]:
    """Time prompts by every policy, each call over lengths, bandwidths and shares of the engine."""
    given = at.of("")
    tier, tp = at.spec("tier"), int(given["tp"])
    axes = {name: given[name] for name in _GRID if name in given}
    axes.setdefault("bandwidth", tier.bandwidth)
    lists = {name: np.atleast_1d(np.asarray(axes[name], dtype=float)).tolist() for name in _GRID}
    inputs = Inputs(
        at.model(),
        at.cluster(float(tp)),
        tier,
        **lists,
        kv_bits=[given["kv_bits"]],
        tp=tp,
        weight_bits=given["weight_bits"],
        compute_chunk=given["compute_chunk"],
        io_chunk=given["io_chunk"],
        stored=given.get("stored"),
        loads={name: given[name] for name in _LOADS if name in given},
    )
    curve = step_curve(inputs, inputs.precisions[0])
    found = ttft_grid(
        {"one": curve},
        back(inputs, inputs.precisions[0]),
        **lists,
        kv_bits=[BASE_BITS],  # bytes are those of the precision already
        chunk=inputs.compute_chunk,
        stored=inputs.stored,
    ).isel(device=0, kv_bits=0)
    alone = [name for name in _GRID if not hasattr(axes[name], "dims")]
    found = found.isel(dict.fromkeys(alone, 0))
    found["crossover_bandwidth"] = found.crossover_bandwidth.where(np.isfinite(found.crossover_bandwidth))
    return {name: found[name] for name in _VARIABLES if name != "feasible"} | {"feasible": True}


def policies(at: At) -> dict[str, list[str]]:
    """Return the policies, which are the same in all calls."""
    return {"policy": list(NAMES)}


_FIGURES = (
    "meet_token", "computed_tokens", "loaded_tokens", "waste", "speedup_over_compute", "speedup_over_load",
    "uniform_bound", "crossover_bandwidth",
)  # fmt: skip
_VARIABLES = {
    "ttft": Variable(NUMBER, ("policy",)),
    **{name: Variable() for name in _FIGURES},
    "feasible": Variable("?"),
}
CAKE = Command(
    cake, _FIELDS, ("device", "link", "tier", "model"), _VARIABLES, (0.2, 1e-3), 1 << 12, policies, over_specs=False
)
