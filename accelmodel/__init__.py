"""accelmodel: a performance model and design-space explorer for LLM-serving accelerators.

What users do, under one name each; everything else is inside and may move.

>>> import accelmodel as am
>>> work = am.workload(phase="decode", batch=4, context=16384, tp=8, weight_bits=8, activation_bits=8, kv_bits=8)
>>> result = am.time_step("llama-3-70b", "ascend-910b2", work, technique="preserve")
>>> sorted(result.dims)
['operator']
"""

import lazy_loader

__version__ = "0.1.0"

# loaded on first use, so that importing the package neither compiles nor imports xarray
__getattr__, _, _names = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["__version__", *_names]


def __dir__() -> list[str]:
    return sorted(__all__)
