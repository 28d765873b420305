"""Reading the ``config.json`` of a language model from the Hugging Face hub.

What a family does that its file does not say (biases, norms, tied embeddings, windows) is in the table
``FAMILIES``.  Of a model with a vision tower the text part is read.  Multi-token prediction modules and
scalar gates of shared experts are left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelmodel.errors import SpecError, brief
from accelmodel.specs import files
from accelmodel.specs.huggingface_families import ALIASES, ATTENTION_BIAS, FAMILIES, GPT2_NAMES, UNSUPPORTED, Family

_MAX_NUMBER = 10**9
_MAX_LAYERS = 10_000
_REMEDY = "describe the model in a TOML file instead, see hwspecs/models"

#: in a family that is not known, LayerNorm tells that it is not built like Llama
_NOT_LLAMA = ("layer_norm_eps", "layer_norm_epsilon", "layernorm_epsilon", "layer_norm_elementwise_affine")
#: keys where null is a value of its own: no window, no compression of queries
_NULLABLE = ("sliding_window", "q_lora_rank")
_STANDARD = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "intermediate_size")
_EXPERT_KEYS = ("num_local_experts", "num_experts", "n_routed_experts")
_TOP_KEYS = ("num_experts_per_tok", "experts_per_token", "top_k_experts")


@dataclass(frozen=True)
class _Config:
    """The keys of a file, read with their type; ``names`` maps usual keys to those of the family."""

    path: Path
    keys: Mapping[str, Any]
    names: Mapping[str, str]

    def key(self, name: str) -> str:
        return self.names.get(name, name)

    def has(self, name: str) -> bool:
        return self.keys.get(self.key(name)) is not None

    def fail(self, name: str, problem: str) -> SpecError:
        return SpecError(f"{files.json_place(self.path, self.key(name))}: {self.key(name)}: {problem}")

    def whole(self, name: str, default: int | None = None, low: int = 1, high: int = _MAX_NUMBER) -> int:
        """Return a whole number; null and a missing key give ``default``, or an error where there is none."""
        value = self.keys.get(self.key(name))
        if value is None:
            if default is None:
                raise self.fail(name, f"is missing; add a whole number, or {_REMEDY}")
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.fail(name, f"{brief(value)} is not a whole number; write for example 32")
        if not low <= value <= high:
            raise self.fail(name, f"{brief(value)} is not allowed; it must be {low} to {high}")
        return value

    def first(self, names: tuple[str, ...]) -> int:
        """Return the first of some numbers that is there, else 0."""
        return next((self.whole(name, low=0) for name in names if self.has(name)), 0)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.keys.get(self.key(name))
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.fail(name, f"{brief(value)} is not allowed; write true or false")
        return value

    def items(self, name: str, kind: type) -> list[Any]:
        """Return a list of texts or whole numbers; empty where there is none."""
        value = self.keys.get(self.key(name))
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
            raise self.fail(name, f"{brief(value)} is not allowed; it must be a list of {kind.__name__}")
        return value


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a number that JSON allows")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {brief(twice)} occurs twice; keep one")
    return table


def _read_json(path: Path) -> tuple[dict[str, Any], str]:
    raw = files.read_bytes(path)
    text = files.as_text(path, raw)
    try:
        content = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    except RecursionError:
        raise SpecError(f"{path}: is nested too deeply for a config.json") from None
    except json.JSONDecodeError as error:
        raise SpecError(f"{path}:{error.lineno}: is not valid JSON: {error.msg}; download it again") from None
    except ValueError as error:
        raise SpecError(f"{path}: is not valid JSON: {error}; download it again") from None
    if not isinstance(content, dict):
        raise SpecError(f"{path}: must hold one JSON object, not {brief(content)}; pass the config.json of a model")
    return content, hashlib.sha256(raw).hexdigest()[:16]


def _text_part(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of the text model, which multimodal files nest in ``text_config``."""
    nested = content.get("text_config")
    if nested is None:
        return content
    if not isinstance(nested, dict):
        raise SpecError(f"{path}: text_config: {brief(nested)} is not allowed; it must be an object")
    outer = {key: content[key] for key in ("model_type", "tie_word_embeddings") if key in content}
    return {**outer, **nested}


def _family(path: Path, keys: Mapping[str, Any]) -> tuple[str, Family]:
    """Return the family of a file; a family that is not known is taken for Llama if its keys allow."""
    name = keys.get("model_type")
    if name is not None and not isinstance(name, str):
        raise SpecError(f'{path}: model_type: {brief(name)} is not text; write for example "llama"')
    name = ALIASES.get(name or "", name or "")
    for key, part in UNSUPPORTED.items():
        if keys.get(key):
            raise SpecError(f"{path}: {key}: {brief(name)} has {part}, which is not modelled; {_REMEDY}")
    if name in FAMILIES:
        return name, FAMILIES[name]
    if missing := [key for key in _STANDARD if keys.get(key) is None]:
        known = ", ".join(sorted(FAMILIES))
        raise SpecError(
            f"{path}: model_type: {brief(name)} is not known, and without {', '.join(missing)} it cannot be read "
            f"like llama; known are {known}; add the keys, or {_REMEDY}"
        )
    for key in _NOT_LLAMA:
        if key in keys:
            raise SpecError(
                f"{path}: model_type: {brief(name)} is not known, and {key} tells that it is not like llama; {_REMEDY}"
            )
    window = "last" if "use_sliding_window" in keys else "all"
    return name, Family(flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"}, window=window)


def _window(config: _Config, family: Family, layers: int) -> dict[str, float]:
    """Return the reach of the sliding window and the number of layers that have one; none if it never bites."""
    kinds = config.items("layer_types", str)
    if kinds:
        if len(kinds) != layers:
            raise config.fail("layer_types", f"has {len(kinds)} entries for {layers} layers; give one for each")
        for kind in kinds:
            if kind not in ("full_attention", "sliding_attention"):
                raise config.fail(
                    "layer_types", f"{brief(kind)} is not modelled; allowed are full_attention, sliding_attention"
                )
        count = kinds.count("sliding_attention")
    elif family.window == "none" or not config.has("sliding_window"):
        count = 0
    elif family.window == "all":
        count = layers
    elif family.window == "last":
        first = config.whole("max_window_layers", 28, low=0)
        count = max(layers - first, 0) if config.flag("use_sliding_window") else 0
    else:
        count = layers - layers // config.whole("sliding_window_pattern", 6)
    if not count:
        return {}
    reach, context = config.whole("sliding_window"), config.whole("max_position_embeddings", 0)
    if context and reach >= context:
        return {}
    return {"window": float(reach), "window_layers": float(count)}


def _attention(config: _Config, hidden: int) -> dict[str, float]:
    heads = config.whole("num_attention_heads")
    shape: dict[str, int] = {"heads": heads, "kv_heads": config.whole("num_key_value_heads", heads)}
    if config.has("kv_lora_rank"):
        shape |= {
            "q_lora_rank": config.whole("q_lora_rank", 0),
            "kv_lora_rank": config.whole("kv_lora_rank"),
            "qk_nope_dim": config.whole("qk_nope_head_dim"),
            "qk_rope_dim": config.whole("qk_rope_head_dim"),
            "v_head_dim": config.whole("v_head_dim"),
        }
        shape["head_dim"] = shape["qk_nope_dim"] + shape["qk_rope_dim"]
    elif config.has("head_dim"):
        shape["head_dim"] = config.whole("head_dim")
    elif hidden % heads:
        raise config.fail("head_dim", f"is missing, and {heads} heads do not divide hidden size {hidden}; add head_dim")
    else:
        shape["head_dim"] = hidden // heads
    return {name: float(value) for name, value in shape.items()}


def _dense_layers(config: _Config, layers: int) -> int:
    """Return how many layers of a mixture of experts have an ordinary mlp."""
    first, every = config.whole("first_k_dense_replace", 0, low=0), config.whole("moe_layer_freq", 1)
    step, only = config.whole("decoder_sparse_step", 1), set(config.items("mlp_only_layers", int))
    sparse = (
        layer
        for layer in range(layers)
        if layer >= first and layer % every == 0 and (layer + 1) % step == 0 and layer not in only
    )
    return layers - sum(1 for _ in sparse)


def _perceptron(config: _Config, hidden: int, layers: int) -> dict[str, float]:
    width = config.whole("intermediate_size", 4 * hidden if config.names is GPT2_NAMES else None)
    experts = config.first(_EXPERT_KEYS)
    if not experts:
        return {"ffn": float(width)}
    used = config.first(_TOP_KEYS)
    if not used:
        raise config.fail(_TOP_KEYS[0], "is missing; add the number of experts that a token goes to")
    dense = _dense_layers(config, layers)
    expert_ffn = config.whole("moe_intermediate_size", width)
    shared = config.whole("n_shared_experts", 0, low=0)
    shared_ffn = expert_ffn if shared else 0
    if config.has("shared_expert_intermediate_size"):
        shared_ffn = config.whole("shared_expert_intermediate_size", low=0)
        shared = 1 if shared_ffn else 0
    shape = {
        "ffn": width if dense else 0,
        "experts": experts,
        "experts_per_token": used,
        "expert_ffn": expert_ffn,
        "shared_experts": shared,
        "shared_expert_ffn": shared_ffn,
        "dense_layers": dense,
    }
    return {name: float(value) for name, value in shape.items()}


def _context(config: _Config, family: Family) -> float:
    """Return the longest context; linear RoPE scaling extends the positions that the file gives."""
    positions = float(config.whole("max_position_embeddings", 0))
    scaling = config.keys.get("rope_scaling")
    if scaling is None or not family.stretched:
        return positions
    if not isinstance(scaling, dict):
        raise config.fail("rope_scaling", f"{brief(scaling)} is not allowed; it must be an object or null")
    if scaling.get("rope_type", scaling.get("type")) not in ("linear", "dynamic"):
        return positions
    factor = scaling.get("factor", 1.0)
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 1.0 <= factor <= 1e4:
        raise config.fail("rope_scaling", f"factor {brief(factor)} is not allowed; it must be 1 to 10000")
    return float(round(positions * factor))


def read_config(path: Path) -> tuple[dict[str, Any], str]:
    """Return the shape of the language model that a ``config.json`` describes.

    Parameters
    ----------
    path : Path
        A ``config.json`` of the Hugging Face hub, at most 1 MiB.

    Returns
    -------
    values : dict
        Fields of ``LanguageModel`` and their values, without the name.
    digest : str
        First 16 hex digits of the SHA-256 of the file.

    Raises
    ------
    SpecError
        If the file cannot be read, is not a JSON object, lacks a key, holds a value that is not allowed,
        or describes a part that is not modelled; names file, key and remedy.
    """
    content, digest = _read_json(path)
    text = _text_part(path, content)
    name, family = _family(path, text)
    given = {key: value for key, value in text.items() if value is not None or key in _NULLABLE}
    config = _Config(path, {**family.defaults, **given}, family.names)
    hidden = config.whole("hidden_size")
    layers = config.whole("num_hidden_layers", high=_MAX_LAYERS)
    if name == "opt" and config.whole("word_embed_proj_dim", hidden) != hidden:
        raise config.fail("word_embed_proj_dim", f"projected embeddings (not {hidden}) are not modelled; {_REMEDY}")
    context = _context(config, family)
    values: dict[str, Any] = {
        "layers": float(layers),
        "hidden": float(hidden),
        "vocabulary": float(config.whole("vocab_size")),
        "gated": True,
        "max_context": context,
        "tied_embeddings": config.flag("tie_word_embeddings", family.tied),
        **_attention(config, hidden),
        **_perceptron(config, hidden, layers),
        **_window(config, family, layers),
        **{field_name: config.flag(key) for field_name, key in family.flags.items()},
        **family.fixed,
    }
    if family.learned:
        values |= {"learned_positions": context, "position_offset": float(family.offset)}
    return values, digest
