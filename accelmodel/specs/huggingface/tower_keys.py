"""Sizes of a vision or audio tower, whatever its file calls them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Table = Mapping[str, Any]

#: size of a transformer → keys that towers have for it
_NAMES = {
    "hidden": ("vt_hidden_size", "embed_dim", "hidden_size", "width", "d_model"),
    "layers": (
        "vt_num_hidden_layers", "num_hidden_layers", "depth", "layers", "encoder_layers", "conf_num_hidden_layers",
    ),
    "intermediate": ("vt_intermediate_size", "intermediate_size", "encoder_ffn_dim", "mlp_dim"),
    "heads": (
        "vt_num_attention_heads", "num_attention_heads", "num_heads", "heads", "attention_heads",
        "encoder_attention_heads", "conf_num_attention_heads",
    ),
}  # fmt: skip
_MOST = 10**6


def number(table: Table, *names: str, default: int = 0) -> int:
    """Return the first of some sizes that a table has, of an image that is no square the mean edge."""
    for name in names:
        value = table.get(name)
        if isinstance(value, list) and len(value) == 2 and all(isinstance(edge, int) and edge > 0 for edge in value):
            value = round((value[0] * value[1]) ** 0.5)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST:
            return value
    return default


def size(table: Table, name: str) -> int:
    """Return a size of the transformer, 0 where the table does not tell it."""
    return number(table, *_NAMES[name])


def depth(table: Table) -> int:
    """Return the number of layers; Llama 3.2 has some behind those that it numbers."""
    return size(table, "layers") + number(table, "num_global_layers")


def inner(table: Table) -> int:
    """Return the width of the perceptrons, which some files tell as a ratio."""
    ratio = table.get("mlp_ratio")
    known = isinstance(ratio, int | float) and not isinstance(ratio, bool) and 0.0 < ratio <= 100.0
    return size(table, "intermediate") or (int(ratio * size(table, "hidden")) if known and ratio else 0)


#: usual keys of a tower's sizes, and the class that has them where its file is silent (transformers 5.24)
_SIZES = ("hidden_size", "num_hidden_layers", "intermediate_size", "num_attention_heads", "patch_size", "image_size")
_CLASSES = {
    "siglip_vision_model": (768, 12, 3072, 12, 16, 224),
    "siglip2_vision_model": (768, 12, 3072, 12, 16, 0),
    "clip_vision_model": (768, 12, 3072, 12, 32, 224),
    "pixtral": (1024, 24, 4096, 16, 16, 1024),
    "internvl_vision": (1024, 24, 4096, 16, 14, 448),
    "aimv2_vision_model": (1024, 24, 2816, 8, 14, 224),
    "idefics2_vision": (768, 12, 3072, 12, 32, 224),
    "idefics3_vision": (1152, 12, 3072, 16, 32, 224),
    "smolvlm_vision": (1152, 12, 3072, 16, 32, 224),
    "gemma4_vision": (768, 16, 3072, 12, 16, 0),
    "janus_vision_model": (1024, 24, 4096, 16, 16, 384),
    "got_ocr2_vision": (768, 12, 3072, 12, 16, 1024),
    "kimi_k25_vision": (1152, 27, 4304, 16, 14, 0),
}


def whole(table: Table) -> Table:
    """Return a table with the sizes of its class where it is silent: the hub leaves out what equals them."""
    own = {name: value for name, value in zip(_SIZES, _CLASSES.get(kind(table), ()), strict=False) if value}
    told = {
        "hidden_size": size(table, "hidden"),
        "num_hidden_layers": size(table, "layers"),
        "intermediate_size": inner(table),
        "num_attention_heads": size(table, "heads"),
    }
    return {**{name: value for name, value in own.items() if not told.get(name)}, **table}


def kind(table: Table) -> str:
    """Return what the file calls the tower."""
    return str(table.get("model_type", ""))


def merged_side(table: Table, around: Table) -> float:
    """Return along how many patches of an edge those lie that become one token."""
    kernel = table.get("merge_kernel_size")
    if isinstance(kernel, list) and len(kernel) == 2 and all(isinstance(each, int) and each > 0 for each in kernel):
        return float((kernel[0] * kernel[1]) ** 0.5)
    compressed = around.get("img_token_compression_config")
    for place in (table, compressed if isinstance(compressed, dict) else {}, around):
        side = number(
            place, "spatial_merge_size", "pooling_kernel_size", "downsample_factor", "scale_factor", "hidden_stride"
        )
        if side:
            return float(side)
        ratio = place.get("pixel_shuffle_ratio", place.get("downsample_ratio"))
        if isinstance(ratio, float) and 0.0 < ratio <= 1.0:
            return 1.0 / ratio
    return 1.0
