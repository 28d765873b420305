"""Which part of a ``config.json`` is the language model, and of what family it is."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from accelmodel.errors import SpecError, brief
from accelmodel.specs.huggingface.defaults import class_sizes
from accelmodel.specs.huggingface.families import FAMILIES
from accelmodel.specs.huggingface.family import ATTENTION_BIAS, Family
from accelmodel.specs.huggingface.harmless import HARMLESS
from accelmodel.specs.huggingface.keys import REMEDY, Keys

#: files of the hub beside a config
_BESIDE = (
    "generation_config.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "special_tokens_map.json",
    "preprocessor_config.json",
    "processor_config.json",
    "hf_quant_config.json",
    "model.safetensors.index.json",
)
#: where multimodal files nest the language model
NESTS = ("thinker_config", "text_config", "llm_config", "language_config")
#: words behind a family that tell of its text part
_SUFFIXES = ("_text_model", "_text")
#: other ``model_type`` → family it has the shape of
ALIASES = {
    "kimi_k2": "deepseek_v3",
    "qwen2_vl": "qwen2",
    "qwen2_5_vl": "qwen2",
    "qwen2_5_omni": "qwen2",
    "qwen3_vl": "qwen3",
    "qwen3_vl_moe": "qwen3_moe",
    "qwen3_omni_moe": "qwen3_moe",
    "qwen3_asr": "qwen3",
    "glm4v": "glm4",
    "glm4v_moe": "glm4_moe",
    "minimax_text_01": "minimax",
    "minimax_m1": "minimax",
    "RefinedWeb": "falcon",
    "RefinedWebModel": "falcon",
    "stablelm_epoch": "stablelm",
    "phi3_v": "phi3",
    "phi-msft": "phi",
    "Yi": "llama",
    "xverse": "llama",
    "aquila": "llama",
    "step3p7": "step3p5",
    "deepseek_ref": "deepseek_v4",
    "minimax_m3_vl": "minimax_m3",
    "exaone4_5": "exaone4",
    "bailing_moe_v2": "bailing_moe",
    "bailing_moe_linear_v2": "bailing_moe_linear",
    "qwen2_5_omni_thinker": "qwen2",
    "qwen3_omni_moe_thinker": "qwen3_moe",
    "apertus1p5": "apertus",
    "mellum": "qwen3_moe",
    "axk1": "deepseek_v3",
    "sarvam_mla": "deepseek_v3",
    "unlimited_ocr": "deepseek",
    "hy_v4_vl": "hy_v4",
    "ernie4_5_moe_vl": "ernie4_5_vl_moe",
    "phi4_multimodal": "phi3",
    "granite_docling": "granite",
    "llava_llama": "llama",
    "llava_qwen": "qwen2",
    "llava_mistral": "mistral",
    "minicpmv 2.6": "qwen2",
    "minicpmo 2.6": "qwen2",
    "minicpmv 4.5": "qwen3",
    "deci": "nemotron-nas",
    "grok": "grok-1",
    "hunyuan_moe": "hunyuan",
    "ministral": "mistral",
    "gpt-sw3": "gpt2",
    "dots_ocr": "qwen2",
    "hunyuan_vl": "hunyuan_v1_dense",
}
#: families whose version says which language model is inside
_BY_VERSION = ("minicpmv", "minicpmo")
#: whole model → family of its text part where that does not say its own
_TEXT_OF = {
    "llava": "llama",
    "llava_next": "llama",
    "llava_onevision": "qwen2",
    "vipllava": "llama",
    "video_llava": "llama",
    "idefics3": "llama",
    "smolvlm": "llama",
    "mistral3": "mistral",
    "paligemma": "gemma",
    "aya_vision": "cohere2",
    "cohere2_vision": "cohere2",
    "kimi_k25": "deepseek_v3",
    "kimi_vl": "deepseek_v3",
    "internvl": "qwen2",
    "step3_vl": "step3",
    "deepseek_vl_v2": "deepseek_v2",
}
#: whole model that ties its embeddings whatever its text part says
_TIED_ALWAYS = ("paligemma", "colpali")
_TYING = "tie_word_embeddings"
#: whole model whose files of former years say in their text part alone that embeddings are tied
_TIED_INSIDE = (
    "qwen2_vl", "qwen2_5_vl", "llava", "llava_next", "llava_next_video", "llava_onevision", "video_llama_3", "glm4v",
    "glm4v_moe", "glm_ocr", "hunyuan_vl", "fast_vlm", "minimax_m3_vl", "paddleocr_vl", "shieldgemma2",
)  # fmt: skip
#: family that is known and not modelled → what it has
REFUSED = {
    "rwkv": "a recurrence of each channel that no kind describes (RWKV-4)",
    "xlstm": "layers that no kind describes (xLSTM)",
    "openelm": "layers of different widths",
    "gemma4_assistant": "no keys and values of its own: it drafts for a model whose cache it reads",
    "gemma4_unified_assistant": "no keys and values of its own: it drafts for a model whose cache it reads",
    "t5": "an encoder",
    "bert": "an encoder",
    "whisper": "an encoder",
}
#: in a family that is not known, LayerNorm tells that it is not built like Llama
_NOT_LLAMA = ("layer_norm_eps", "layer_norm_epsilon", "layernorm_epsilon", "layer_norm_elementwise_affine")
_STANDARD = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "intermediate_size")
#: activation of an unknown family → whether its perceptron is gated
_GATED = {"silu": True, "swiglu": True, "swish": True}


#: keys that tell of a file that is no config of a model → what it is, and what to give
_OTHERS = {
    ("peft_type",): ("an adapter's, of {base_model_name_or_path}", "give the config.json of that model"),
    ("dim", "n_layers"): ("Mistral's own params.json", "give the config.json that the hub has beside it"),
    ("_diffusers_version",): ("of a part of a pipeline of images", "only language models are read"),
}


def refuse_others(path: Path, content: Mapping[str, Any]) -> None:
    """Raise SpecError where a JSON file is another than the config of a model."""
    if "model_type" in content:
        return
    for keys, (what, remedy) in _OTHERS.items():
        if all(key in content for key in keys):
            told = what.format_map({"base_model_name_or_path": brief(content.get("base_model_name_or_path"))})
            raise SpecError(f"{path}: is {told}; {remedy}")
    if path.name in _BESIDE:
        raise SpecError(f"{path}: says nothing of the model's shape; give the config.json beside it")


def text_part(path: Path, content: dict[str, Any]) -> tuple[Keys | None, dict[str, Any], str]:
    """Return the keys around the language model, those of the language model, and where they stand.

    Raises
    ------
    SpecError
        If what should be an object is none.
    """
    inner, where = content, ""
    for name in NESTS:
        nested = inner.get(name)
        if nested is None:
            continue
        if not isinstance(nested, dict):
            raise SpecError(f"{path}: {where}{name}: {brief(nested)} is not allowed; it must be an object")
        whole = inner.get("model_type")
        if isinstance(whole, str) and whole in REFUSED:
            raise _refused(path, where, whole)
        passed = ("tie_word_embeddings", "quantization_config")
        outer: dict[str, Any] = {key: inner[key] for key in passed if key in inner}
        if "model_type" not in nested and isinstance(whole, str):
            outer["model_type"] = _TEXT_OF.get(whole, whole)
        tying = {_TYING: inner.get(_TYING, True)} if _tied_outside(inner, nested) else {}
        inner, where = {**outer, **nested, **tying}, f"{where}{name}."
    around = Keys(path, content) if where else None
    return around, inner, where


def _refused(path: Path, where: str, name: str) -> SpecError:
    return SpecError(f"{path}: {where}model_type: {name!r} has {REFUSED[name]}, which is not modelled; {REMEDY}")


def _tied_outside(around: Mapping[str, Any], nested: Mapping[str, Any]) -> bool:
    """Whether the whole model says whether embeddings are tied, and its text part does not overrule it."""
    if around.get("model_type") in _TIED_ALWAYS and _TYING not in around:
        return True
    if not isinstance(around.get(_TYING), bool):
        return False
    return around[_TYING] or nested.get(_TYING) is not True or around.get("model_type") not in _TIED_INSIDE


def family_name(model_type: str) -> str:
    """Return the family of a ``model_type``, whatever it is called inside a larger model.

    Examples
    --------
    >>> family_name("qwen2_5_vl_text")
    'qwen2'
    """
    for suffix in _SUFFIXES:
        model_type = model_type.removesuffix(suffix)
    return ALIASES.get(model_type, model_type)


def family_of(path: Path, text: Mapping[str, Any], where: str) -> tuple[str, Family, Keys]:
    """Return the family of the language model and its keys, with the defaults of its class.

    A family that is not known is read like Llama where each of its keys is understood and none tells otherwise.
    """
    model_type = text.get("model_type")
    if model_type is not None and not isinstance(model_type, str):
        raise SpecError(f'{path}: {where}model_type: {brief(model_type)} is not text; write for example "llama"')
    if text.get("is_encoder_decoder"):
        raise SpecError(f"{path}: {where}is_encoder_decoder: {brief(model_type)} has an encoder; {REMEDY}")
    name = family_name(model_type or "")
    if name in _BY_VERSION:
        name = family_name(f"{name} {text.get('version')}")
    if name in REFUSED:
        raise _refused(path, where, name)
    if name in FAMILIES:
        family = FAMILIES[name]
        own = (model_type or "").removesuffix("_model").removesuffix("_text")
        return name, family, Keys(path, text, {**class_sizes(own), **family.defaults}, where)
    return name, *_like_llama(path, text, where, name)


def _like_llama(path: Path, text: Mapping[str, Any], where: str, name: str) -> tuple[Family, Keys]:
    """Return the reading of a family that is not known."""
    keys = Keys(path, text, None, where)
    needed = (*_STANDARD, "tie_word_embeddings")
    if missing := [key for key in needed if not keys.has(key)]:
        close = get_close_matches(name, FAMILIES, n=1, cutoff=0.6)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise SpecError(
            f"{path}: {where}model_type: {brief(name)} is not known{hint}, and without {', '.join(missing)} it cannot "
            f"be read like llama; add the keys, or {REMEDY}"
        )
    for key in _NOT_LLAMA:
        if key in text:
            raise SpecError(
                f"{path}: {where}model_type: {brief(name)} is not known, and {key} tells that it is not like llama; "
                f"{REMEDY}"
            )
    activation = keys.text("activation", "silu")
    if activation not in _GATED:
        raise SpecError(
            f"{path}: {where}{keys.key('activation')}: {brief(name)} is not known, and {activation!r} does not tell "
            f"whether its perceptron is gated; {REMEDY}"
        )
    window = "last" if "use_sliding_window" in text else "all"
    family = Family(
        flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"},
        window=window,
        note=f"the family {name or 'of this file'} is not known; it was read like llama, whose keys alone it has",
    )
    return family, keys


def refuse_strangers(keys: Keys, name: str) -> None:
    """Raise SpecError where a file of an unknown family has a key that is neither used nor known to be harmless."""
    if name in FAMILIES:
        return
    for key, value in keys.given.items():
        if key not in keys.used and key not in HARMLESS and not key.startswith("_") and value not in (None, False):
            raise SpecError(
                f"{keys.path}: {keys.where}{key}: {brief(value)} is not understood, and the family {brief(name)} is "
                f"not known; {REMEDY}"
            )
