"""At which precision a model's numbers lie in memory, class by class, as its files state it."""

from __future__ import annotations

from typing import Annotated

from pydantic.dataclasses import dataclass

from accelmodel.laws.numeric import Number
from accelmodel.specs.base import CONFIG, Section
from accelmodel.specs.quantities import Quantity

Bits = Annotated[Number, Quantity("1", ge=1.0, le=64.0)]
BitsOrNone = Annotated[Number, Quantity("1", ge=0.0, le=64.0)]
#: tables of embeddings, the head and what routes tokens stay at this precision unless a file says otherwise [bit]
HIGH = 16.0
#: classes of weights
CLASSES = ("attention", "mlp", "experts", "shared_experts", "router", "tables")


@dataclass(frozen=True, config=CONFIG)
class Precision(Section):
    """Bits that a number takes in memory, scales and zeros included, by what it belongs to [bit].

    A class that is 0 has the bits of ``weights``, the router and the tables of embeddings and head 16; what it is
    multiplied with has those of ``activations``, and no fewer than the class.  ``format`` says
    how they are written: bf16, fp8, int8, mxfp4, nvfp4, int4 …; ``activation_format`` how what they are multiplied with
    is, where that differs.
    """

    weights: Bits = 16.0
    attention: BitsOrNone = 0.0
    mlp: BitsOrNone = 0.0
    experts: BitsOrNone = 0.0
    shared_experts: BitsOrNone = 0.0
    router: BitsOrNone = 0.0
    tables: BitsOrNone = 0.0
    activations: Bits = 16.0
    attention_activations: BitsOrNone = 0.0
    mlp_activations: BitsOrNone = 0.0
    experts_activations: BitsOrNone = 0.0
    shared_experts_activations: BitsOrNone = 0.0
    kv: Bits = 16.0
    format: str = ""
    activation_format: str = ""
