"""What lies beside a config: parts that are not the language model, and the index that tells the weights' bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelmodel.errors import SpecError
from accelmodel.specs.huggingface import files
from accelmodel.specs.huggingface.keys import Keys
from accelmodel.specs.huggingface.quantisation import Stated
from accelmodel.specs.huggingface.text import NESTS
from accelmodel.specs.huggingface.towers import TOWERS
from accelmodel.specs.language_model import LanguageModel, mixers, perceptrons
from accelmodel.specs.parameters import mixer_parameters, mlp_parameters, parameters

#: share by which the size of the files may differ from what was read
_TOLERANCE = 0.02
#: keys that tell how many modules predict further tokens
FURTHER = (
    "num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_layers", "num_mtp_modules", "num_mtp_heads",
)  # fmt: skip

#: objects beside the text part that are counted with its towers, or hold no weights
_COUNTED = ("perceiver_config", "quantization_config", "compression_config")


def model_of(values: dict[str, Any]) -> LanguageModel | None:
    """Return the model that some fields tell, None where they cannot."""
    try:
        return LanguageModel(name="", **values)
    except ValueError:
        return None


def further(keys: Keys) -> int:
    """Return how many modules that predict further tokens the files hold."""
    return max(keys.whole(name, 0, low=0) for name in FURTHER)


def parts_beside(around: Keys) -> list[str]:
    """Return a note of objects beside the text part that describe something with layers, and are no tower."""
    found = [
        name
        for name, value in around.given.items()
        if name not in (*NESTS, *TOWERS, *_COUNTED) and isinstance(value, dict) and any(map(_sized, value))
    ]
    return [f"{', '.join(found)}: parts beside the language model, which are not counted"] if found else []


def _sized(key: str) -> bool:
    """Whether a key, by its name, is a size of a network."""
    return any(word in key for word in ("layers", "depth", "hidden_size", "channels"))


def wide(keys: Keys) -> bool:
    """Whether the files hold numbers of 32 bit."""
    return "float32" in (keys.get("torch_dtype"), keys.get("dtype"))


def check_index(path: Path, keys: Keys, values: dict[str, Any], precision: Stated, slack: float) -> list[str]:
    """Refuse a file whose weights, as its index tells, are another number of bytes than what was read.

    ``slack`` parameters more or fewer the towers may have, infinite where the files hold parts that are not counted.
    """
    index = files.total_size(path)
    model = model_of({name: value for name, value in values.items() if not name.startswith("precision.")})
    if index is None or model is None:
        return []
    other, size = index
    high = 4.0 if wide(keys) else 2.0
    rest = float(parameters(model)) + float(model.tower_parameters) - precision.parameters
    read = precision.bytes * (high / 2.0 if not precision.quantised else 1.0) + rest * high
    most = read + further(keys) * _predictor_bytes(model, precision, high)
    more = slack * high
    fewer = min(more, 0.5 * float(model.tower_parameters) * high)
    if not read * (1.0 - _TOLERANCE) - fewer <= size <= most * (1.0 + _TOLERANCE) + more:
        raise SpecError(
            f"{other}: metadata.total_size is {size:.6g} B and {path.name} was read as {read:.6g} B of weights, "
            f"{abs(size / read - 1.0):.1%} apart; one of them belongs to another model, or the config is not understood"
        )
    return [f"its files hold {size:.6g} B of weights, {size / read - 1.0:+.2%} of what was read"]


def _predictor_bytes(model: LanguageModel, precision: Stated, high: float) -> float:
    """Return the most that a module that predicts a further token takes: a layer, and two tables of its own [B]."""
    layer = mixer_parameters(mixers(model)[-1], model.hidden)
    layer = layer + sum(mlp_parameters(kind, model.hidden) for kind in perceptrons(model)[-1:])
    tables = 2.0 * (model.hidden + model.vocabulary) * model.hidden
    return float(layer) * precision.bytes / max(precision.parameters, 1.0) + float(tables) * high
