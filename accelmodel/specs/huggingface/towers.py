"""Vision and audio towers beside a language model: how many parameters they have, as far as a file tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: objects of a file that describe a tower → what it is
TOWERS = {
    "vision_config": "a vision tower",
    "visual": "a vision tower",
    "vision_tower_config": "a vision tower",
    "audio_config": "an audio tower",
}
#: size of a transformer → keys that towers have for it
_NAMES = {
    "hidden": ("vt_hidden_size", "embed_dim", "hidden_size", "width", "d_model"),
    "layers": ("vt_num_hidden_layers", "num_hidden_layers", "depth", "layers", "encoder_layers"),
    "intermediate": ("vt_intermediate_size", "intermediate_size", "encoder_ffn_dim"),
}
#: ``model_type`` of towers whose perceptrons are gated
_GATED = ("qwen2_5_vl", "pixtral", "gemma4_vision", "glm4v", "glm4v_moe", "aimv2")


def _size(table: Mapping[str, Any], name: str) -> int:
    for key in _NAMES[name]:
        value = table.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 10**6:
            return value
    return 0


def _number(table: Mapping[str, Any], *names: str, default: int = 0) -> int:
    for name in names:
        value = table.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 10**6:
            return value
    return default


def tower_parameters(table: Mapping[str, Any], outer: int) -> float:
    """Return the parameters of a tower that is a plain transformer on patches, 0 where its shape is not told [1].

    Counted are its layers with biases and norms, the projection of patches and what joins it to a stream of ``outer``.
    """
    hidden, layers = _size(table, "hidden"), _size(table, "layers")
    kind = str(table.get("model_type", ""))
    if kind in ("qwen2_vl", "qwen2_vl_vision"):
        outer = _number(table, "hidden_size", default=outer)
    intermediate = _size(table, "intermediate") or int(_number(table, "mlp_ratio") * hidden)
    if not (hidden and layers and intermediate):
        return 0.0
    branches = 3 if any(kind.startswith(name) for name in _GATED) else 2
    layer = 4 * hidden * hidden + 4 * hidden + branches * hidden * intermediate + intermediate + hidden + 4 * hidden
    patch = _number(table, "patch_size", "spatial_patch_size")
    channels = _number(table, "num_channels", "in_channels", "in_chans", default=3)
    pixels = channels * patch * patch * _number(table, "temporal_patch_size", default=1)
    image = _number(table, "image_size")
    positions = _number(table, "num_position_embeddings", default=(image // patch) ** 2 if patch and image else 0)
    merged = hidden * _number(table, "spatial_merge_size", default=1) ** 2
    joint = merged * merged + merged * _number(table, "out_hidden_size", default=outer)
    return float(layers * layer + pixels * hidden + positions * hidden + joint)


def towers(content: Mapping[str, Any], outer: int) -> tuple[float, list[str]]:
    """Return the parameters of all towers of a file, and what to say of them."""
    total, notes = 0.0, []
    inside = content.get("thinker_config")
    for place in (content, inside if isinstance(inside, dict) else {}):
        for name, what in TOWERS.items():
            table = place.get(name)
            if not isinstance(table, dict) or not table:
                continue
            count = tower_parameters(table, outer)
            total += count
            if count:
                notes.append(f"{what} of about {count / 1e9:.3g} billion parameters lies in memory and is not timed")
            else:
                notes.append(f"{what} stands beside it, whose size {name} does not tell; it is not counted")
    return total, notes
