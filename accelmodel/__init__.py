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
    "load": "specs.load",
    "available": "specs.load",
    "override": "specs.load",
    "cluster": "specs.load",
    "workload": "specs.load",
    "provenance": "specs.load",
    "operator_table": "inference.operators",
    "time_step": "inference.step",
    "policy": "inference.policies",
    "speedups": "inference.request",
    "load_study": "dse.study",
    "Prompt": "kvcache.prompt",
    "Computing": "kvcache.prompt",
    "Loading": "kvcache.prompt",
    "chunk_times": "kvcache.prompt",
    "loading": "kvcache.prompt",
    "cake": "kvcache.policies",
    "fronts_over_time": "kvcache.policies",
    "ttft_grid": "kvcache.grid",
    "adaptive_scheduling": "kvcache.adaptive",
    "read_trace": "kvcache.traces",
    "random_trace": "kvcache.traces",
    "hidden_states": "kvcache.recompute",
    "partial_recomputation": "kvcache.recompute",
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
