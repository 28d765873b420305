"""How a model is run on rented instances: what a user chooses, and what an instance and its devices have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from accelmodel.cloud import infersave
from accelmodel.cloud.infersave import Ctcf, Shape
from accelmodel.cloud.offload import POLICIES
from accelmodel.errors import SpecError, unknown
from accelmodel.inference.calls import as_engine, paired
from accelmodel.inference.memory import usable_memory
from accelmodel.inference.speculation import draft_of, drafts_of
from accelmodel.serving.simulate import Drafts
from accelmodel.specs.base import value_of
from accelmodel.specs.bits import told
from accelmodel.specs.cloud import Engine, Instance
from accelmodel.specs.formats import HIGH
from accelmodel.specs.given import cluster
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.load import load
from accelmodel.specs.memories import none
from accelmodel.specs.parameters import parameters
from accelmodel.specs.quantities import Quantity, one
from accelmodel.specs.workload import Workload

Array = Any
_SAFETY = Quantity(ge=0.01, le=1.0, or_zero=True)


@dataclass(frozen=True)
class Setup:
    """How a model is run on rented instances.

    Attributes
    ----------
    engine : Engine
        As from ``load("engine", ...)``.
    policy : {"infersave", "none", "flexgen", "kvpr"}
        Where KV cache goes that does not fit the device.
    weight_bits, kv_bits : float
        Precisions [bit], as ``specs.formats.bits_of`` returns them; 0, the default, is what the model's file states.
    memory_rule : {"", "algorithm-1", "released-code"}
        The paper's rule of what is offloaded, in place of the policy's own.
    safety_factor : float
        Share of the memory that the rule ``released-code`` dares to use [1]; 0, the default, is 0.85.
    ctcf : tuple of Ctcf
        The paper's calibration of its times of prefill and decode.
    drafts : mapping
        ``speculative``, ``acceptance`` and ``draft`` of a ``Workload``, numbers; nothing drafts by default.

    Examples
    --------
    >>> Setup(load("engine", "flexgen"), "none", kv_bits=8.0).bits
    {'weight_bits': 0.0, 'kv_bits': 8.0}
    """

    engine: Engine
    policy: str = "infersave"
    weight_bits: float = 0.0
    kv_bits: float = 0.0
    memory_rule: str = ""
    safety_factor: float = 0.0
    ctcf: tuple[Ctcf, Ctcf] = (Ctcf(), Ctcf())
    drafts: Drafts = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "drafts", drafts_of(**self.drafts))
        if self.policy not in POLICIES:
            raise unknown("offloading policy", self.policy, POLICIES)
        if self.memory_rule and self.memory_rule not in infersave.MEMORY_RULES:
            raise unknown("memory rule", self.memory_rule, infersave.MEMORY_RULES)
        if one("safety factor", self.safety_factor, _SAFETY) and self.memory_rule != infersave.RELEASED:
            raise SpecError(f"a safety factor is of the memory rule {infersave.RELEASED}; ask for it, or leave it out")

    @property
    def bits(self) -> dict[str, float]:
        """Fields of ``Workload``; where weights are asked for, activations, and so the matmuls, stay at 16 bit."""
        return {"weight_bits": self.weight_bits, "kv_bits": self.kv_bits}

    def heads(self, model: LanguageModel) -> float:
        """Return the most tensor ranks that a model and its draft can be cut over [1]."""
        draft = draft_of(model, Workload("decode", 1.0, 1.0, **self.drafts)) if self.drafts else None
        return float(min(model.heads, draft.model.heads) if draft else model.heads)

    def narrow(self, model: LanguageModel) -> bool:
        """Return whether weights or KV cache are below 16 bit."""
        return min(self.told(model).values()) < HIGH

    def told(self, model: LanguageModel) -> dict[str, float]:
        """Return the precisions of weights and KV cache, those of the model's file where none are asked [bit]."""
        found = told([model], self.bits)
        return {name: float(found[name]) for name in self.bits}


def devices_of(instance: Instance, tp: int, engine: Engine) -> Cluster:
    """Return ``tp`` devices of an instance, joined by its link, over which an engine calls its collectives."""
    chips = cluster(load("device", instance.device), tp, link=load("link", instance.link))
    return paired(as_engine(chips, engine), float(tp))


def shape_of(model: LanguageModel, setup: Setup) -> Shape:
    """Return what the paper's equations read of a model."""
    width = setup.told(model)["weight_bits"] / 8.0
    return Shape(model.layers, model.hidden, model.ffn, model.heads, float(parameters(model)), width)


def column(instances: list[Instance], field: str) -> Array:
    """Return a number of each instance, an array (instance, 1, 1)."""
    return np.array([float(getattr(each, field)) for each in instances])[:, None, None]


def of_devices(instances: list[Instance], field: str) -> Array:
    """Return a number of each instance's device, an array (instance, 1, 1)."""
    found = [load("device", each.device) for each in instances]
    for each, device in zip(instances, found, strict=True):
        if none(device.hbm.capacity) or device.tier.holds:
            raise SpecError(
                f"{each.name}: offers place weights and KV cache in HBM, host memory and disk, and its device "
                f"{device.name} has {'a [tier]' if device.tier.holds else 'no [hbm]'}; use step or serve"
            )
    return np.array([float(value_of(each, field)) for each in found])[:, None, None]


def usable(instances: list[Instance], engine: Engine) -> Array:
    """Return the memory of each instance's device that an engine may take [B], an array (instance, 1, 1)."""
    share = float(engine.gpu_memory_utilization)
    found = [float(usable_memory(load("device", each.device), share)) for each in instances]
    return np.array(found)[:, None, None]
