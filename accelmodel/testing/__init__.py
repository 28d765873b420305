"""Hypothesis strategies and invariants for a chip, a model or a technique of one's own.

>>> from accelmodel.testing import check_device, devices
>>> check_device("h100-sxm", examples=1, invariants=["operators-add-up"])
"""

from importlib.util import find_spec

import lazy_loader

if find_spec("hypothesis") is None:
    raise ImportError("accelmodel.testing needs Hypothesis: pip install 'accelmodel[check]'")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
