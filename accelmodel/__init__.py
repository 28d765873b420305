"""accelmodel: a performance model and design-space explorer for LLM-serving accelerators.

>>> import accelmodel as am
>>> chip = am.load("device", "ascend-910b2")
>>> model = am.load("model", "llama-3-70b")
>>> work = am.workload(phase="decode", batch=4, context=16384, tp=8, weight_bits=8, activation_bits=8, kv_bits=8)
>>> result = am.time_step(model, am.cluster(chip), work)
>>> sorted(result.dims)
['operator']
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

#: public name → module; loaded on first use, so that importing the package neither compiles nor imports xarray
_EXPORTS = {
    "SpecError": "errors",
    "Infeasible": "errors",
    "parse": "units",
    "show": "units",
    "load": "library",
    "available": "library",
    "override": "library",
    "cluster": "library",
    "workload": "library",
    "provenance": "library",
    "operator_table": "operators",
    "time_step": "step",
    "policy": "techniques",
    "speedups": "request",
    "load_study": "study",
    "Prompt": "techniques.cake",
    "Computing": "techniques.cake",
    "Loading": "techniques.cake",
    "chunk_times": "techniques.cake",
    "loading": "techniques.cake",
    "cake": "techniques.cake_policies",
    "fronts_over_time": "techniques.cake_policies",
    "ttft_grid": "techniques.cake_grid",
    "adaptive_scheduling": "techniques.cake_adaptive",
    "read_trace": "techniques.traces",
    "random_trace": "techniques.traces",
    "hidden_states": "techniques.kv_rebuilding",
    "partial_recomputation": "techniques.kv_rebuilding",
}
__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'accelmodel' has no attribute {name!r}")
    value = getattr(import_module(f"accelmodel.{_EXPORTS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
