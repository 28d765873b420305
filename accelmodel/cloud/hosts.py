"""Engines on the processors of rented instances."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelmodel.inference.hosted import host_rules, on_cpu
from accelmodel.laws.kernels.batching import Rules
from accelmodel.laws.numeric import Number
from accelmodel.specs.cloud import Engine, Instance

#: instances named in a note
_NAMED = 3
#: rules that a processor changes
_TIMES = ("fixed", "each", "prompt", "step")


def rules_on(instances: list[Instance], engine: Engine, layers: Number) -> Rules:
    """Return the rules of an engine's host, its times on the processor of each instance: arrays (instance, 1)."""
    found = [host_rules(on_cpu(engine, each.cpu), layers) for each in instances]
    times: Any = {name: np.array([getattr(each, name) for each in found])[:, None] for name in _TIMES}
    return found[0]._replace(**times)


def unknown_hosts(instances: list[Instance], engine: Engine) -> list[str]:
    """Return what is said of the processors that an engine runs on."""
    names = sorted(each.name for each in instances if not each.cpu)
    if not names or not engine.cpu:
        return []
    few = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    return [f"the processor of {few} is not known: {engine.name} runs as on {engine.cpu}, and the interval is wider"]
