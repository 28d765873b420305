"""Vision and audio towers beside a language model: parameters and shape, as far as a file tells them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from accelmodel.specs.huggingface.tower_keys import Table, depth, kind, merged_side, number, size, whole
from accelmodel.specs.huggingface.tower_sizes import body, known, perceptron_width, tower_parameters
from accelmodel.specs.tower import Tower

#: objects of a file that describe a tower → what it is
TOWERS = {
    "vision_config": "a vision tower",
    "visual": "a vision tower",
    "vision_tower_config": "a vision tower",
    "vit_config": "a vision tower",
    "audio_config": "an audio tower",
}


def _shape(table: Table, around: Table, what: str, outer: int) -> Tower | None:
    """Return the shape of a tower, None where its file does not tell it whole, or tells none that a tower can have."""
    try:
        return _told(table, around, what, outer)
    except ValueError:
        return None


def _told(table: Table, around: Table, what: str, outer: int) -> Tower | None:
    hidden, layers, heads = size(table, "hidden"), depth(table), size(table, "heads")
    inner = perceptron_width(table)
    if not (hidden and layers and heads and inner):
        return None
    name = kind(table)
    sizes: dict[str, Any] = {
        "layers": float(layers),
        "attention_heads": float(heads),
        "inner": float(inner),
        "gate": body(table).gated,
        "attention_dim": number(table, "qkv_hidden_size") / heads or float(number(table, "head_dim")),
    }
    if "audio" in what:
        mels = number(table, "num_mel_bins", default=128)
        frames, merged = next((of for word, of in _SOUND.items() if name.startswith(word)), (_FRAMES, 1.0))
        # two convolutions over three frames each, the second of which leaves out every other one
        stacked = float(number(around, "stack_factor", default=1))
        sizes |= {"inputs": 6.0 * mels + 3.0 * hidden, "frames": frames, "merged": merged * stacked}
        sizes["window"] = float(number(table, "max_source_positions", default=1500))
        return Tower("audio", hidden=float(hidden), outer=float(number(table, "output_dim", default=outer)), **sizes)
    if name in ("qwen2_vl", "qwen2_vl_vision"):
        outer = number(table, "hidden_size", default=outer)
        hidden = number(table, "embed_dim", default=hidden)
    patch = number(table, "patch_size", "spatial_patch_size")
    if not patch:
        return None
    channels = number(table, "num_channels", "in_channels", "in_chans", default=3)
    sizes["inputs"] = float(channels * patch * patch * number(table, "temporal_patch_size", default=1))
    sizes |= {"patch": float(patch), "image": float(number(table, "image_size"))}
    sizes["merged"] = _merged(table, around, sizes["image"] / patch)
    full = table.get("fullatt_block_indexes")
    reach = number(table, "window_size")
    if isinstance(full, list) and reach:
        sizes |= {"window": float((reach // patch) ** 2), "window_layers": float(layers - len(full))}
    own = float(number(table, "out_hidden_size", default=outer))
    return Tower("vision", hidden=float(hidden), outer=own, **sizes)


#: patches of sound in a second: a convolution leaves out every other of 100 frames (Whisper, arXiv 2212.04356)
_FRAMES = 50.0
#: beginning of a tower's ``model_type`` → patches of sound in a second, and how many of them become a token
_SOUND = {
    "qwen2_audio": (_FRAMES, 2.0),
    "qwen2_5_omni": (_FRAMES, 2.0),
    "qwen3_omni": (12.5, 1.0),
    "qwen3_asr": (12.5, 1.0),
    "voxtral": (_FRAMES, 4.0),
}
#: whole models that make as many tokens of an image whatever its size, where their file is silent
_TOKENS = {"gemma3": 256, "idefics2": 64, "got_ocr2": 256, "shieldgemma2": 256}
#: whole models whose class merges patches along an edge: two convolutions of stride 2, one, queries of a fourth
_SIDES = {"step3_vl": 4.0, "chatglm": 2.0, "qwen": 2.0}
#: patches of a slice that MiniCPM-V cuts images into, each of which becomes as many tokens as it has queries
_SLICE = 1024.0


def _merged(table: Table, around: Table, edge: float) -> float:
    """Return how many patches become a token."""
    side = max(merged_side(table, around), _SIDES.get(kind(around), 1.0))
    if kind(around) in ("minicpmv", "minicpmo"):
        return _SLICE / number(around, "query_num", default=64)
    tokens = number(around, "mm_tokens_per_image", default=_TOKENS.get(kind(around), 0))
    if side == 1.0 and tokens and edge:
        return max(edge * edge / tokens, 1.0)
    return side**2


class Beside(NamedTuple):
    """Towers of a file: parameters of all [1], shapes as far as it tells them, and what to say of them.

    ``slack`` parameters more or fewer the towers may have; infinite where the size of one is not told [1].
    """

    parameters: float
    shapes: tuple[Tower, ...]
    notes: list[str]
    slack: float = 0.0


#: what asks for a tower's time
_ASKED = {"a vision tower": "--images", "an audio tower": "--audio-seconds"}
#: share of a tower's parameters that may be wrong: where its classes are known, and where they are not
_KNOWN, _GUESSED = 0.02, 1.0
#: key of a tower that is told by its name
_NAMED = "mm_vision_tower"
#: whole models with a second tower of the same shape, for moving images
_TWICE = ("video_llava",)


def towers(content: Table, outer: int) -> Beside:
    """Return the towers of a file, whose tokens join a stream of ``outer`` numbers."""
    total, slack = 0.0, 0.0
    shapes: list[Tower] = []
    notes: list[str] = []
    inside = content.get("thinker_config")
    for place in (content, inside if isinstance(inside, dict) else {}):
        for name, what in TOWERS.items():
            given = place.get(name)
            if not isinstance(given, dict):
                continue
            # a tower that does not say what it is, is what its whole model is
            table = whole({"model_type": kind(place), **given})
            count = tower_parameters(table, outer, place) * (2.0 if kind(place) in _TWICE else 1.0)
            total += count
            slack += count * (_KNOWN if known(table, place) else _GUESSED) if count else math.inf
            shape = _shape(table, place, what, outer) if count else None
            if shape:
                shapes.append(shape)
            timed = f"{_ASKED[what]} times it at prefill" if shape else "its time is not known"
            if count:
                notes.append(f"{what} of about {count / 1e9:.3g} billion parameters is counted in memory; {timed}")
            else:
                notes.append(f"{what} stands beside it, whose size {name} does not tell; it is not counted")
    if isinstance(content.get(_NAMED), str) and not total:
        slack = math.inf
        notes.append(f"a vision tower stands beside it, of which {_NAMED} tells the name alone; it is not counted")
    return Beside(total, tuple(shapes), notes, slack)
