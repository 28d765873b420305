"""Vision and audio towers beside a language model: parameters and shape, as far as a file tells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from accelmodel.specs.tower import Tower

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
    "heads": ("vt_num_attention_heads", "num_attention_heads", "num_heads", "encoder_attention_heads"),
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


def _shape(table: Mapping[str, Any], around: Mapping[str, Any], what: str, outer: int) -> Tower | None:
    """Return the shape of a tower, None where its file does not tell it whole."""
    hidden, layers, heads = (_size(table, name) for name in ("hidden", "layers", "heads"))
    inner = _size(table, "intermediate") or int(_number(table, "mlp_ratio") * hidden)
    if not (hidden and layers and heads and inner):
        return None
    kind = str(table.get("model_type", ""))
    sizes: dict[str, Any] = {
        "layers": float(layers),
        "attention_heads": float(heads),
        "inner": float(inner),
        "gate": any(kind.startswith(name) for name in _GATED),
        "attention_dim": _number(table, "qkv_hidden_size") / heads or float(_number(table, "head_dim")),
    }
    if "audio" in what:
        mels = _number(table, "num_mel_bins", default=128)
        # two convolutions over three frames each, the second of which leaves out every other one; Qwen pools pairs
        merged = 2.0 if kind.startswith(("qwen2_audio", "qwen2_5_omni")) else 1.0
        sizes |= {"inputs": 6.0 * mels + 3.0 * hidden, "frames": _FRAMES, "merged": merged}
        sizes["window"] = float(_number(table, "max_source_positions", default=1500))
        return Tower("audio", hidden=float(hidden), outer=float(_number(table, "output_dim", default=outer)), **sizes)
    if kind in ("qwen2_vl", "qwen2_vl_vision"):
        outer = _number(table, "hidden_size", default=outer)
        hidden = _number(table, "embed_dim", default=hidden)
    patch = _number(table, "patch_size", "spatial_patch_size")
    if not patch:
        return None
    channels = _number(table, "num_channels", "in_channels", "in_chans", default=3)
    sizes["inputs"] = float(channels * patch * patch * _number(table, "temporal_patch_size", default=1))
    sizes |= {"patch": float(patch), "image": float(_number(table, "image_size"))}
    sizes["merged"] = _merged(table, around, sizes["image"] / patch)
    full = table.get("fullatt_block_indexes")
    reach = _number(table, "window_size")
    if isinstance(full, list) and reach:
        sizes |= {"window": float((reach // patch) ** 2), "window_layers": float(layers - len(full))}
    own = float(_number(table, "out_hidden_size", default=outer))
    return Tower("vision", hidden=float(hidden), outer=own, **sizes)


#: patches of sound in a second: a convolution leaves out every other of 100 frames (Whisper, arXiv 2212.04356)
_FRAMES = 50.0


def _merged(table: Mapping[str, Any], around: Mapping[str, Any], edge: float) -> float:
    """Return how many patches become a token."""
    kernel = table.get("merge_kernel_size")
    if isinstance(kernel, list) and len(kernel) == 2 and all(isinstance(each, int) and each > 0 for each in kernel):
        return float(kernel[0] * kernel[1])
    compressed = around.get("img_token_compression_config")
    for place in (table, compressed if isinstance(compressed, dict) else {}, around):
        side = _number(place, "spatial_merge_size", "pooling_kernel_size")
        if side:
            return float(side**2)
        ratio = place.get("pixel_shuffle_ratio", place.get("downsample_ratio"))
        if isinstance(ratio, float) and 0.0 < ratio <= 1.0:
            return 1.0 / ratio**2
    tokens = _number(around, "mm_tokens_per_image")
    return max(edge * edge / tokens, 1.0) if tokens and edge else 1.0


class Beside(NamedTuple):
    """Towers of a file: parameters of all [1], shapes as far as it tells them, and what to say of them."""

    parameters: float
    shapes: tuple[Tower, ...]
    notes: list[str]


#: what asks for a tower's time
_ASKED = {"a vision tower": "--images", "an audio tower": "--audio-seconds"}


def towers(content: Mapping[str, Any], outer: int) -> Beside:
    """Return the towers of a file, whose tokens join a stream of ``outer`` numbers."""
    total, shapes, notes = 0.0, [], []
    inside = content.get("thinker_config")
    for place in (content, inside if isinstance(inside, dict) else {}):
        for name, what in TOWERS.items():
            table = place.get(name)
            if not isinstance(table, dict) or not table:
                continue
            count = tower_parameters(table, outer)
            total += count
            shape = _shape(table, place, what, outer) if count else None
            if shape:
                shapes.append(shape)
            timed = f"{_ASKED[what]} times it at prefill" if shape else "its time is not known"
            if count:
                notes.append(f"{what} of about {count / 1e9:.3g} billion parameters is counted in memory; {timed}")
            else:
                notes.append(f"{what} stands beside it, whose size {name} does not tell; it is not counted")
    return Beside(total, tuple(shapes), notes)
