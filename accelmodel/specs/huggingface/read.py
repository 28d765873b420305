"""Reading the ``config.json`` of a language model from the Hugging Face hub.

What a family does that its file does not say is in ``families``; which keys are used, harmless or refuse the file in
``keys``.  Of a model with towers the text part is read.  Multi-token prediction modules are left out.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from accelmodel.errors import SpecError, brief
from accelmodel.specs.huggingface import files
from accelmodel.specs.huggingface.family import Family
from accelmodel.specs.huggingface.hybrids import nemotron_words
from accelmodel.specs.huggingface.index import check_index, further, model_of, parts_beside, wide
from accelmodel.specs.huggingface.keys import REMEDY, SYNONYMS, Keys
from accelmodel.specs.huggingface.layers import Layers, counted, joined
from accelmodel.specs.huggingface.modules import modules
from accelmodel.specs.huggingface.quantisation import Quantisation, Stated, stated
from accelmodel.specs.huggingface.text import family_of, refuse_others, refuse_strangers, text_part
from accelmodel.specs.huggingface.towers import TOWERS, towers
from accelmodel.specs.language_model import mixers, perceptrons
from accelmodel.specs.layer_kinds import MIXERS, MLPS, Dense, Grouped, Latent, Mixer, Mlp
from accelmodel.specs.parameters import mixer_parameters, mlp_parameters

_MAX_LAYERS = 10_000
#: fields of ``LanguageModel`` that families state
_FIELDS = ("norm", "norms_per_layer", "parallel")
#: kinds of layers whose sizes stand in fields of their own
_MIXERS = (Grouped, Latent)
#: what mixes tokens, and what works on each
_MIXING, _WORKING = tuple(set(MIXERS.values())), tuple(MLPS.values())


#: field of a part → what the hub calls it
_WORDS = {
    "heads": "num_attention_heads", "kv_heads": "num_key_value_heads", "width": "intermediate_size",
    "used": "experts_used", "experts": "experts",
}  # fmt: skip
#: sizes that a file may repeat beside its text part
_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size")
#: words that keys of towers, and of what joins them to the stream, begin with
_TOWER_WORDS = (
    "vision", "visual", "vit", "image", "img", "video", "audio", "speech", "acoustic", "semantic", "projector",
    "projection", "resampler", "adapter", "alignment",
)  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """What the files of a model say: fields of ``LanguageModel``, digest, and what a reader must know."""

    name: str
    values: dict[str, Any]
    digest: str
    notes: tuple[str, ...]


def read_config(path: Path) -> Reading:
    """Return the language model that a ``config.json`` and the files beside it describe.

    Parameters
    ----------
    path : Path
        A ``config.json`` of the Hugging Face hub, at most 32 MiB; ``hf_quant_config.json`` and
        ``model.safetensors.index.json`` beside it are read where they are there.

    Raises
    ------
    SpecError
        If the file cannot be read, is not a JSON object, lacks a key, holds a value that is not allowed or a key
        that is not understood and may change the layers; names file, key and remedy.
    """
    content, digest = files.read_json(path)
    refuse_others(path, content)
    around, text, where = text_part(path, content)
    name, family, keys = family_of(path, text, where)
    number = _layers(keys, family, name)
    traits = _traits(keys, family)
    layers = _parts(keys, family, traits, number)
    for key in (*family.ignored, *family.beside):
        keys.get(key)
    for key, value in family.only.items():
        if keys.get(key) not in (None, value):
            raise keys.fail(key, f"{brief(keys.get(key))} is not modelled of this family, only {value!r}; {REMEDY}")
    values = _values(keys, family, traits, layers)
    values |= _folded(keys, values, layers, traits)
    other = family.other(keys, number)
    if other:
        values["other_parameters"] = other
    beside = towers(content, int(values["hidden"]))
    keys.used |= TOWERS.keys()
    if beside.parameters:
        values["tower_parameters"] = beside.parameters
    if beside.shapes:
        values["tower"] = beside.shapes
    notes = [note for note in (family.note, *beside.notes, *_defaulted(keys), _without_window(keys, family)) if note]
    precision = _precision(path, content, keys, layers, values)
    notes += _unread(keys, around, name, layers, values["hidden"])
    untold = [key for key in family.beside if keys.has(key)]
    if untold:
        notes.append(f"a tower stands beside it, whose size {', '.join(untold)} does not tell; it is not counted")
    uncounted = bool(untold) or (around is not None and bool(parts_beside(around)))
    notes += check_index(path, keys, values, precision, math.inf if uncounted else beside.slack)
    return Reading(files.name_of(path), {**values, **precision.fields}, digest, tuple(notes))


def _layers(keys: Keys, family: Family, name: str) -> int:
    """Return the number of layers; some files only list them."""
    if name == "nemotron_h":
        return len(nemotron_words(keys))
    return keys.whole("num_hidden_layers", high=_MAX_LAYERS)


def _parts(keys: Keys, family: Family, traits: dict[str, Any], number: int) -> Layers:
    """Return what each layer has."""
    try:
        layers = family.mixing(keys, traits, number)
        return joined(layers, family.mlps(keys, traits, len(layers)))
    except ValidationError as error:
        first = error.errors()[0]
        field, problem = _in_keys(keys, error.title, first["loc"], first["msg"].removeprefix("Value error, "))
        raise SpecError(f"{keys.path}: {keys.where}{field or 'a layer'}: {problem}") from None


def _in_keys(keys: Keys, part: str, place: tuple[int | str, ...], problem: str) -> tuple[str, str]:
    """Return the field of a part that is wrong, and what is wrong with it, in the words of the file."""
    fields = {kind.__name__: [each.name for each in dataclasses.fields(kind)] for kind in (*_MIXING, *_WORKING)}
    names = [fields[part][step] if isinstance(step, int) else step for step in place[:1]]
    words = {word: keys.key(name) for word, name in _WORDS.items()}

    def said(text: str) -> str:
        return re.sub(r"\b[a-z_]+\b", lambda found: words.get(found[0], found[0]), text)

    return said(".".join(names)), said(problem)


def _traits(keys: Keys, family: Family) -> dict[str, Any]:
    """Return what a family and its file say of all layers."""
    found: dict[str, Any] = {"gated": True, "window": family.window, "by_kind": family.by_kind, **family.fixed}
    found |= {name: keys.flag(key) for name, key in family.flags.items()}
    found |= family.further(keys)
    keys.text("activation")
    if keys.given.get("use_sliding_window") is False:
        # windows that are switched off
        for name in ("use_sliding_window", "sliding_window", "max_window_layers"):
            keys.get(name)
    return found


def _values(keys: Keys, family: Family, traits: dict[str, Any], layers: Layers) -> dict[str, Any]:
    """Return the fields that are the model's own."""
    values: dict[str, Any] = {
        "layers": float(len(layers)),
        "hidden": float(keys.whole("hidden_size")),
        "vocabulary": float(keys.whole("vocab_size")),
        "max_context": _context(keys, family),
        "tied_embeddings": keys.flag("tie_word_embeddings", family.tied),
        "gated": bool(traits["gated"]),
    }
    values |= {name: traits[name] for name in _FIELDS if name in traits}
    if predictors := further(keys):
        values["predictors"] = float(predictors)
    if family.learned:
        values |= {"learned_positions": values["max_context"], "position_offset": float(family.offset)}
    return values


def _context(keys: Keys, family: Family) -> float:
    """Return the longest context; linear RoPE scaling extends the positions that the file gives."""
    positions = float(keys.whole("max_position_embeddings", 0, low=0))
    scaling = keys.get("rope_scaling")
    if scaling is None or not family.stretched:
        return positions
    if not isinstance(scaling, dict):
        raise keys.fail("rope_scaling", f"{brief(scaling)} is not allowed; it must be an object or null")
    if scaling.get("rope_type", scaling.get("type")) not in ("linear", "dynamic"):
        return positions
    factor = scaling.get("factor", 1.0)
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 1.0 <= factor <= 1e4:
        raise keys.fail("rope_scaling", f"factor {brief(factor)} is not allowed; it must be 1 to 10000")
    return float(round(positions * factor))


def _folded(keys: Keys, values: dict[str, Any], layers: Layers, traits: dict[str, Any]) -> dict[str, Any]:
    """Return layers as fields of the model where these tell them, else as its lists ``attention`` and ``mlp``."""
    mixing, working = counted(layers, _MIXING), counted(layers, _WORKING)
    if not mixing:
        raise keys.fail("num_hidden_layers", "no layer mixes tokens; correct the file")
    found: dict[str, Any] = {"heads": 1.0, "kv_heads": 1.0, "head_dim": 1.0, "ffn": 0.0}
    found |= _mixer_fields(mixing) | _mlp_fields(working)
    plain = model_of(values | found)
    if plain is None or set(mixers(plain)) != set(mixing):
        found |= {"attention": mixing, "window": 0.0, "window_layers": 0.0, "kv_lora_rank": 0.0, "q_lora_rank": 0.0}
        found |= {"qk_rope_dim": 0.0, "qk_nope_dim": 0.0, "v_head_dim": 0.0}
    if plain is None or set(perceptrons(plain)) != set(working):
        found |= {"mlp": working, **dict.fromkeys(_EXPERT_FIELDS, 0.0), "router_bias": False, "expert_bias": False}
    return {name: value for name, value in found.items() if value != 0.0 or name in ("ffn", "gated") or value is False}


_EXPERT_FIELDS = (
    "experts", "experts_per_token", "expert_ffn", "shared_experts", "shared_expert_ffn", "dense_layers",
    "expert_groups", "expert_groups_per_token",
)  # fmt: skip


def _mixer_fields(mixing: Iterable[Mixer]) -> dict[str, Any]:
    """Return the fields that tell attention where all layers but for windows are alike."""
    known = [kind for kind in mixing if isinstance(kind, _MIXERS)]
    if not known:
        return {}
    first = known[0]
    found: dict[str, Any] = {"heads": first.heads, "qkv_bias": first.qkv_bias, "output_bias": first.output_bias}
    if isinstance(first, Latent):
        sizes = ("q_lora_rank", "kv_lora_rank", "qk_rope_dim", "qk_nope_dim", "v_head_dim")
        found |= {name: getattr(first, name) for name in sizes}
        return {**found, "kv_heads": first.heads, "head_dim": first.qk_nope_dim + first.qk_rope_dim}
    found |= {"kv_heads": first.kv_heads, "head_dim": first.head_dim, "qk_norm": first.qk_norm}
    found["attention_sinks"] = first.sinks
    for kind in known:
        if kind.kind == "window" and isinstance(kind, Grouped):
            found |= {"window": kind.window, "window_layers": kind.layers}
    return found


def _mlp_fields(working: Iterable[Mlp]) -> dict[str, Any]:
    """Return the fields that tell perceptrons and experts where there is one of each."""
    found: dict[str, Any] = {}
    for kind in working:
        if isinstance(kind, Dense):
            found |= {"ffn": kind.width, "gated": kind.gated, "mlp_bias": kind.bias, "dense_layers": kind.layers}
        else:
            found |= {
                "experts": kind.experts,
                "experts_per_token": kind.used,
                "expert_ffn": kind.width,
                "gated": kind.gated,
                "shared_experts": kind.shared,
                "shared_expert_ffn": kind.shared_width,
                "expert_groups": kind.groups,
                "expert_groups_per_token": kind.used_groups,
                "router_bias": kind.router_bias,
                "expert_bias": kind.bias,
            }
    if "experts" not in found:
        found.pop("dense_layers", None)
    return found


def _defaulted(keys: Keys) -> list[str]:
    """Return a note of the sizes that the file leaves to its class."""
    sizes = ["vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"]
    if "kv_lora_rank" not in keys.used:
        sizes.append("head_dim")
    missing = [
        f"{name} {keys.defaults[name]}"
        for name in sizes
        if name in keys.defaults and name in keys.used and not any(key in keys.given for key in SYNONYMS[name])
    ]
    return [f"sizes that the file leaves to its class: {', '.join(missing)}"] if missing else []


def _precision(path: Path, content: dict[str, Any], keys: Keys, layers: Layers, values: dict[str, Any]) -> Stated:
    """Return the precision that the files state."""
    asked: list[Quantisation] = []
    seen: list[Any] = []
    beside = files.beside(path, files.QUANTISATION)
    if beside is not None:
        other, found = beside
        inside = found.get("quantization", found)
        if not isinstance(inside, dict):
            raise SpecError(f"{other}: quantization: {brief(inside)} is not allowed; it must be an object")
        asked.append(Quantisation(other, inside, "quantization"))
    for holder in (keys.given, content):
        for name in ("quantization_config", "compression_config"):
            inside = holder.get(name)
            if inside is None or any(inside is known for known in seen):
                continue
            if not isinstance(inside, dict):
                raise SpecError(f"{path}: {name}: {brief(inside)} is not allowed; it must be an object")
            seen.append(inside)
            asked.append(Quantisation(path, {**_experts(keys), **inside}, name))
    return stated(asked, modules(layers, values["hidden"], values["vocabulary"], values["tied_embeddings"]))


def _experts(keys: Keys) -> dict[str, Any]:
    """Return what a file says of its experts' precision outside of its quantisation."""
    return {"expert_dtype": keys.get("expert_dtype")} if keys.has("expert_dtype") else {}


def _predictors(keys: Keys, layers: Layers, hidden: float) -> str:
    """Return what to say of modules that predict further tokens: a layer each, and what joins two streams."""
    mixing, working = counted(layers[-1:], _MIXING), counted(layers[-1:], _WORKING)
    one = 2.0 * hidden * hidden + sum(float(mixer_parameters(kind, hidden)) for kind in mixing)
    one += sum(float(mlp_parameters(kind, hidden)) for kind in working)
    number = further(keys)
    return f"modules that predict further tokens ({number} of {one / 1e9:.3g} billion parameters) are not counted"


def _unread(keys: Keys, around: Keys | None, name: str, layers: Layers, hidden: float) -> list[str]:
    """Return a note of keys that were left out; refuse the file where one may change an answer."""
    refuse_strangers(keys, name)
    left = keys.refuse_unread()
    if around is not None:
        around.used |= {key for key, value in around.given.items() if isinstance(value, dict) or _of_towers(key)}
        around.get("tie_word_embeddings")
        _agree(keys, around)
        left += around.refuse_unread()
    notes = [*_left(left), *(parts_beside(around) if around is not None else [])]
    if further(keys):
        notes.append(_predictors(keys, layers, hidden))
    if wide(keys):
        notes.append("its files hold 32 bit a weight; engines serve 16, which is counted")
    return notes


def _without_window(keys: Keys, family: Family) -> str:
    """Return a note of a window that a file gives and its class does not know, as engines might."""
    window = keys.given.get("sliding_window")
    if not window or "sliding_window" not in family.ignored:
        return ""
    return f"sliding_window {brief(window)} is not used by models of its class: each layer sees all tokens"


def _agree(keys: Keys, around: Keys) -> None:
    """Refuse sizes beside the text part that contradict it; mark what repeats it as read."""
    around.used |= {key for key, value in around.given.items() if key in keys.given and keys.given[key] == value}
    for name in _SIZES:
        for key in SYNONYMS[name]:
            outer, inner = around.given.get(key), keys.get(name)
            if inner is not None and outer is not None and outer != inner:
                raise SpecError(
                    f"{keys.path}: {key}: {brief(outer)} contradicts {keys.where}{keys.key(name)} {brief(inner)}; "
                    "correct one of them"
                )
            around.used.add(key)


def _of_towers(key: str) -> bool:
    """Whether a key beside the text part speaks of the towers, by the first word of its name."""
    return key.split("_", 1)[0] in _TOWER_WORDS


def _left(keys: list[str]) -> list[str]:
    named = ", ".join(keys[:8]) + (f" and {len(keys) - 8} more" if len(keys) > 8 else "")
    return [f"keys that say nothing of the layers by their name, left out: {named}"] if keys else []
