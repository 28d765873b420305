"""What families of Hugging Face models do that their ``config.json`` does not say, one line for each ``model_type``.

Facts of the classes in transformers (4.57 to 5.24) and of the code on the hub.
"""

from __future__ import annotations

from accelmodel.specs.huggingface.expert_families import EXPERT
from accelmodel.specs.huggingface.family import Family
from accelmodel.specs.huggingface.latent_families import LATENT
from accelmodel.specs.huggingface.mixed_families import MIXED
from accelmodel.specs.huggingface.plain_families import PLAIN
from accelmodel.specs.huggingface.recent_families import RECENT

#: ``model_type`` → what its modelling code does
FAMILIES: dict[str, Family] = {**PLAIN, **LATENT, **EXPERT, **MIXED, **RECENT}
