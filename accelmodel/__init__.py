"""accelmodel: a performance model and design-space explorer for LLM-serving accelerators.

What users do, under one name each; everything else is inside and may move.

>>> import accelmodel as am
>>> work = am.workload(phase="decode", batch=4, context=16384, tp=8, weight_bits=8, activation_bits=8, kv_bits=8)
>>> result = am.time_step("llama-3-70b", "ascend-910b2", work, technique="preserve")
>>> sorted(result.dims)
['operator']
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

#: public name → module; loaded on first use, so that importing the package neither compiles nor imports xarray
_EXPORTS = {
    # what is known
    "load": "specs.load",
    "available": "specs.load",
    "override": "specs.load",
    "cluster": "specs.load",
    "workload": "specs.load",
    "provenance": "specs.load",
    "Device": "specs.hardware",
    "Link": "specs.hardware",
    "Storage": "specs.hardware",
    "Cluster": "specs.hardware",
    "LanguageModel": "specs.language_model",
    "Workload": "specs.workload",
    "read_prices": "specs.prices",
    "offers": "specs.prices",
    "parse": "units",
    "show": "units",
    "SpecError": "errors",
    "Infeasible": "errors",
    # steps, requests and operators
    "time_step": "inference.step",
    "total_time": "inference.step",
    "operator_table": "inference.operators",
    "policy": "inference.policies",
    "Technique": "inference.policies",
    "speedups": "inference.request",
    "matmul": "inference.single",
    "attention": "inference.single",
    "collective": "inference.single",
    # chips
    "load_study": "dse.study",
    "evaluate_study": "dse.evaluation",
    "explore": "dse.explore",
    # a stored KV cache
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
    # servers and instances
    "serve": "serving.serve",
    "rank_instances": "cloud.choice",
    "plan_fleet": "cloud.fleet",
    "Slo": "cloud.ranking",
    "Setup": "cloud.hosting",
    "Market": "cloud.offers",
    "Bucket": "cloud.fleet",
    # how far it holds
    "calibrate": "validation.calibrated",
    "validate": "validation.table",
}

if TYPE_CHECKING:
    from accelmodel.cloud.choice import rank_instances as rank_instances
    from accelmodel.cloud.fleet import Bucket as Bucket
    from accelmodel.cloud.fleet import plan_fleet as plan_fleet
    from accelmodel.cloud.hosting import Setup as Setup
    from accelmodel.cloud.offers import Market as Market
    from accelmodel.cloud.ranking import Slo as Slo
    from accelmodel.dse.evaluation import evaluate_study as evaluate_study
    from accelmodel.dse.explore import explore as explore
    from accelmodel.dse.study import load_study as load_study
    from accelmodel.errors import Infeasible as Infeasible
    from accelmodel.errors import SpecError as SpecError
    from accelmodel.inference.operators import operator_table as operator_table
    from accelmodel.inference.policies import Technique as Technique
    from accelmodel.inference.policies import policy as policy
    from accelmodel.inference.request import speedups as speedups
    from accelmodel.inference.single import attention as attention
    from accelmodel.inference.single import collective as collective
    from accelmodel.inference.single import matmul as matmul
    from accelmodel.inference.step import time_step as time_step
    from accelmodel.inference.step import total_time as total_time
    from accelmodel.kvcache.adaptive import adaptive_scheduling as adaptive_scheduling
    from accelmodel.kvcache.grid import ttft_grid as ttft_grid
    from accelmodel.kvcache.policies import cake as cake
    from accelmodel.kvcache.policies import fronts_over_time as fronts_over_time
    from accelmodel.kvcache.prompt import Computing as Computing
    from accelmodel.kvcache.prompt import Loading as Loading
    from accelmodel.kvcache.prompt import Prompt as Prompt
    from accelmodel.kvcache.prompt import chunk_times as chunk_times
    from accelmodel.kvcache.prompt import loading as loading
    from accelmodel.kvcache.recompute import hidden_states as hidden_states
    from accelmodel.kvcache.recompute import partial_recomputation as partial_recomputation
    from accelmodel.kvcache.traces import random_trace as random_trace
    from accelmodel.kvcache.traces import read_trace as read_trace
    from accelmodel.serving.serve import serve as serve
    from accelmodel.specs.hardware import Cluster as Cluster
    from accelmodel.specs.hardware import Device as Device
    from accelmodel.specs.hardware import Link as Link
    from accelmodel.specs.hardware import Storage as Storage
    from accelmodel.specs.language_model import LanguageModel as LanguageModel
    from accelmodel.specs.load import available as available
    from accelmodel.specs.load import cluster as cluster
    from accelmodel.specs.load import load as load
    from accelmodel.specs.load import override as override
    from accelmodel.specs.load import provenance as provenance
    from accelmodel.specs.load import workload as workload
    from accelmodel.specs.prices import offers as offers
    from accelmodel.specs.prices import read_prices as read_prices
    from accelmodel.specs.workload import Workload as Workload
    from accelmodel.units import parse as parse
    from accelmodel.units import show as show
    from accelmodel.validation.calibrated import calibrate as calibrate
    from accelmodel.validation.table import validate as validate
else:

    def __getattr__(name):
        if name not in _EXPORTS:
            raise AttributeError(f"module 'accelmodel' has no attribute {name!r}")
        value = getattr(import_module(f"accelmodel.{_EXPORTS[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = ["__version__", *_EXPORTS]
