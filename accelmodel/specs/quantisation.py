"""At which precision the checkpoint behind a ``config.json`` lies on disk, class of weights by class of weights.

Formats differ in how they name what is left as it was: module names, patterns with ``*``, regular expressions behind
``re:``, or a list of what is quantised.  They are asked about the modules that each layer of the model has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from accelmodel.errors import SpecError, brief, unknown
from accelmodel.specs.precision import HIGH


@dataclass(frozen=True)
class Format:
    """How numbers are written: bits of a weight with its scales and zeros, bits that it works at, and the word for it."""

    weights: float
    activations: float
    word: str


#: a module of a layer: class of weights, name behind ``model.layers.N.``, parameters
Module = tuple[str, str, float]
#: bits of a scale of fp8 blocks, of groups of integers, of mxfp4 and nvfp4
_SCALE = {"block": 32.0, "int": 16.0, "mxfp4": 8.0, "nvfp4": 8.0}
_FP8 = Format(8.0, 8.0, "fp8")
#: word of a quantisation algorithm → its format (NVIDIA's Model Optimizer)
_ALGORITHMS = {
    "FP8": _FP8,
    "FP8_PER_CHANNEL_PER_TOKEN": _FP8,
    "FP8_PB_WO": _FP8,
    "NVFP4": Format(4.0 + _SCALE["nvfp4"] / 16.0, 4.0, "nvfp4"),
    "W4A16_NVFP4": Format(4.0 + _SCALE["nvfp4"] / 16.0, 16.0, "nvfp4"),
    "W4A8_NVFP4_FP8": Format(4.0 + _SCALE["nvfp4"] / 16.0, 8.0, "nvfp4"),
    "W4A8_MXFP4_FP8": Format(4.0 + _SCALE["mxfp4"] / 32.0, 8.0, "mxfp4"),
    "MXFP8": Format(8.0 + _SCALE["mxfp4"] / 32.0, 8.0, "mxfp8"),
    "INT4_AWQ": Format(4.0 + _SCALE["int"] / 128.0, 16.0, "int4"),
    "W4A16_AWQ": Format(4.0 + _SCALE["int"] / 128.0, 16.0, "int4"),
    "W4A8_AWQ": Format(4.0 + _SCALE["int"] / 128.0, 8.0, "int4"),
    "W8A16": Format(8.0, 16.0, "int8"),
    "W8A8_SQ_PER_CHANNEL": Format(8.0, 8.0, "int8"),
    "INT8": Format(8.0, 8.0, "int8"),
}
#: precision of a KV cache by the words that files have for it
_KV = {"fp8": 8.0, "int8": 8.0, "nvfp4": 4.5, "fp8_e4m3": 8.0, "fp8_e5m2": 8.0, "auto": HIGH, "none": HIGH}


class Quantisation:
    """What one ``quantization_config`` says; ``path`` and ``where`` are what errors name."""

    def __init__(self, path: Any, content: Mapping[str, Any], where: str) -> None:
        self.path = path
        self.content = content
        self.where = where

    def fail(self, key: str, problem: str) -> SpecError:
        """Return the error about a key."""
        return SpecError(f"{self.path}: {self.where}.{key}: {problem}")

    def formats(self) -> list[tuple[Format, list[str] | None]]:
        """Return each format with the modules that have it, None for all; the first that names a module holds."""
        method = str(self.content.get("quant_method", "")).lower()
        layers = self.content.get("quantized_layers")
        if isinstance(layers, dict):
            return [*self._listed(layers), *([(_FP8, None)] if method == "fp8" else [])]
        if method in _METHODS:
            return [(_METHODS[method](self), None)]
        if "config_groups" in self.content:
            return self._groups()
        algorithm = self.content.get("quant_algo")
        if algorithm in (None, "", "NO_QUANT"):
            if method:
                raise self.fail("quant_method", str(unknown("quantisation", method, [*_METHODS, "compressed-tensors"])))
            return []
        return [(self.algorithm(algorithm), None)]

    def algorithm(self, word: Any) -> Format:
        """Return the format that a word stands for."""
        if word not in _ALGORITHMS:
            raise self.fail("quant_algo", str(unknown("quantisation", word, _ALGORITHMS)))
        return _ALGORITHMS[word]

    def _listed(self, layers: dict[str, Any]) -> list[tuple[Format, list[str] | None]]:
        """Return formats of what is listed module by module."""
        found: dict[Format, list[str]] = {}
        for name, entry in layers.items():
            found.setdefault(self.algorithm(entry.get("quant_algo")), []).append(name)
        return [(form, names) for form, names in found.items()]

    def _groups(self) -> list[tuple[Format, list[str] | None]]:
        """Return formats of compressed-tensors' groups."""
        found: list[tuple[Format, list[str] | None]] = []
        for name, group in self.content["config_groups"].items():
            weights, inputs = group.get("weights"), group.get("input_activations")
            if not isinstance(weights, dict):
                raise self.fail(f"config_groups.{name}.weights", "is missing; add num_bits and type")
            targets = [str(target) for target in group.get("targets") or ["Linear"]]
            everything = any(target in ("Linear", "re:.*") for target in targets)
            found.append((self._group(name, weights, inputs), None if everything else targets))
        return found

    def _group(self, name: str, weights: Mapping[str, Any], inputs: Any) -> Format:
        bits = self.number(weights, "num_bits", f"config_groups.{name}.weights")
        kind = weights.get("type", "int")
        size = weights.get("group_size") or 0
        scale = 0.0
        if isinstance(size, int) and size > 0:
            floating = _SCALE["nvfp4"] if kind == "float" and bits == 4.0 else _SCALE["int"]
            scale = floating / size
            if not weights.get("symmetric", True):
                scale += bits / size
        width = self.number(inputs, "num_bits", f"config_groups.{name}.input_activations") if inputs else HIGH
        words = {("float", 4.0, 32): "mxfp4", ("float", 4.0, 16): "nvfp4"}
        word = words.get((kind, bits, size), f"{'fp' if kind == 'float' else 'int'}{bits:g}")
        return Format(bits + scale, width, word)

    def number(self, table: Any, key: str, where: str) -> float:
        """Return a number of bits or of a group."""
        value = table.get(key) if isinstance(table, Mapping) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 64:
            raise self.fail(f"{where}.{key}", f"{brief(value)} is not a number of bits")
        return float(value)

    def left_out(self) -> list[str]:
        """Return the names and patterns of what is left at 16 bit."""
        found: list[str] = []
        for key in ("modules_to_not_convert", "ignore", "exclude_modules", "ignored_layers", "llm_int8_skip_modules"):
            value = self.content.get(key)
            if value is None:
                continue
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise self.fail(key, f"{brief(value)} is not allowed; it must be a list of names")
            found += value
        return found

    def kv(self) -> float | None:
        """Return the bits of the KV cache, None where nothing is said."""
        for key in ("kv_cache_quant_algo", "kv_cache_scheme"):
            value = self.content.get(key)
            if isinstance(value, Mapping):
                return self.number(value, "num_bits", key)
            if value is not None:
                word = str(value).lower()
                if word not in _KV:
                    raise self.fail(key, str(unknown("precision of a KV cache", value, _KV)))
                return _KV[word]
        return None


def _fp8(asked: Quantisation) -> Format:
    """Blocks of 128 by 128 with a scale of 32 bit, or a scale for each row or matrix."""
    block = asked.content.get("weight_block_size")
    size = float(block[0] * block[1]) if isinstance(block, list) and len(block) == 2 else 0.0
    return Format(8.0 + (_SCALE["block"] / size if size else 0.0), 8.0, "fp8")


def _grouped_int(asked: Quantisation) -> Format:
    """AWQ and GPTQ: integers in groups with a scale, and a zero where they are not symmetric; activations at 16 bit."""
    key = "bits" if "bits" in asked.content else "w_bit"
    bits = asked.number(asked.content, key, "weights")
    size = asked.content.get("group_size", asked.content.get("q_group_size", 128))
    if isinstance(size, bool) or not isinstance(size, int):
        raise asked.fail("group_size", f"{brief(size)} is not a whole number")
    # GPTQ stores zeros even where they are all the same
    return Format(bits + ((_SCALE["int"] + bits) / size if size > 0 else 0.0), HIGH, f"int{bits:g}")


def _mxfp4(asked: Quantisation) -> Format:
    return Format(4.0 + _SCALE["mxfp4"] / 32.0, HIGH, "mxfp4")


def _bitsandbytes(asked: Quantisation) -> Format:
    """nf4 in blocks of 64 whose scales are 32 bit, or 8 bit where they are quantised too; int8 by rows."""
    if asked.content.get("load_in_8bit"):
        return Format(8.0, 8.0, "int8")
    if asked.content.get("load_in_4bit"):
        twice = asked.content.get("bnb_4bit_use_double_quant")
        return Format(4.0 + (8.0 / 64.0 + 32.0 / (64.0 * 256.0) if twice else 32.0 / 64.0), HIGH, "nf4")
    raise asked.fail("load_in_4bit", "neither load_in_4bit nor load_in_8bit is true; say which")


_METHODS = {
    "fp8": _fp8,
    "fbgemm_fp8": _fp8,
    "awq": _grouped_int,
    "gptq": _grouped_int,
    "mxfp4": _mxfp4,
    "bitsandbytes": _bitsandbytes,
}

#: what other checkpoints call the parts of a layer → the names of ``modules``
_NAMES = (
    (r"^(model\.language_model|language_model\.model|language_model|backbone|transformer|model)\.(?=layers|h\b)", ""),
    (r"\b(block_sparse_moe|feed_forward|ffn)\b", "mlp"),
    (r"\b(attn|attention|linear_attn|self_attention|mamba|conv)\b", "self_attn"),
    (r"\bmixer\.(?=(in|out|q|k|v|o)_proj)", "self_attn."),
    (r"\bmixer\b", "mlp"),
    (r"\bshared_expert\b", "shared_experts"),
    (r"\bshared_mlp\b", "shared_experts"),
)


def _canonical(name: str) -> str:
    for pattern, other in _NAMES:
        name = re.sub(pattern, other, name)
    return name


def _names(pattern: str, module: str) -> bool:
    """Whether a pattern of a file names a module, or something that it is part of."""
    if pattern.startswith("re:"):
        expression = pattern[3:]
        return any(re.match(expression, text) for text in (f"model.{module}.weight", f"model.{module}", module))
    short = _canonical(pattern)
    if "*" in short:
        whole = short if short.startswith("*") else f"*{short}"
        return fnmatch(module, whole) or fnmatch(module, f"{whole}.*")
    return module == short or module.startswith(f"{short}.") or f".{short}." in f".{module}."


def _sorted_out(patterns: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Yield patterns, and whether each is the plain name of a module of one layer, which is looked up quicker."""
    for pattern in patterns:
        yield (
            pattern,
            not pattern.startswith("re:") and "*" not in pattern and bool(re.search(r"\blayers\.\d", pattern)),
        )


class _Matcher:
    """Names and patterns of a file; long lists of plain names are sets."""

    def __init__(self, patterns: Iterable[str]) -> None:
        parts = list(_sorted_out(patterns))
        self.plain = {_canonical(pattern) for pattern, plain in parts if plain}
        self.parents = {name.rpartition(".experts.")[0] + ".experts" for name in self.plain if ".experts." in name}
        self.others = [pattern for pattern, plain in parts if not plain]

    def names(self, module: str) -> bool:
        parts = module.split(".")
        if any(".".join(parts[:end]) in self.plain for end in range(2, len(parts) + 1)):
            return True
        return module in self.parents or any(_names(pattern, module) for pattern in self.others)


def stated(
    asked: list[Quantisation], layers: Iterable[list[Module]], tables: float = 0.0, dtype: str = "bf16"
) -> dict[str, Any]:
    """Return the fields of ``Precision`` that the files of a checkpoint state.

    Parameters
    ----------
    asked : list of Quantisation
        What ``quantization_config`` and ``hf_quant_config.json`` say, the latter first; empty where nothing is quantised.
    layers : iterable of list of Module
        Modules of each layer in turn.
    tables : float
        Parameters of the tables of embeddings and head [1].
    dtype : str
        Word for what is not quantised.

    Returns
    -------
    dict
        Dotted names below ``precision`` → value.

    Raises
    ------
    SpecError
        If a method or a word is not known: a precision is never guessed.
    """
    formats = next((found for each in asked if (found := each.formats())), [])
    kv = next((bits for each in asked if (bits := each.kv()) is not None), HIGH)
    if not formats:
        return {"precision.format": dtype, "precision.kv": kv}
    left = _Matcher(name for each in asked for name in each.left_out())
    choices = [(form, None if names is None else _Matcher(names)) for form, names in formats]
    sums: dict[str, list[float]] = {}
    main: dict[Format, float] = {}
    for place, modules in enumerate(layers):
        for of, name, size in modules:
            module = f"layers.{place}.{name}"
            form = (
                None
                if left.names(module)
                else next((form for form, names in choices if names is None or names.names(module)), None)
            )
            total = sums.setdefault(of, [0.0, 0.0])
            total[0] += size
            total[1] += size * (form.weights if form else HIGH)
            if form:
                main[form] = main.get(form, 0.0) + size
    if not main:
        return {"precision.format": dtype, "precision.kv": kv}
    first = max(main, key=lambda form: main[form])
    found = {f"precision.{of}": bits / size for of, (size, bits) in sums.items() if size}
    return {
        **found,
        "precision.weights": first.weights,
        "precision.activations": first.activations,
        "precision.format": first.word,
        "precision.kv": kv,
    }
