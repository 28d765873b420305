"""At which precision the checkpoint behind a ``config.json`` lies on disk, class of weights by class of weights.

Formats differ in how they name what is left as it was: module names, patterns with ``*``, regular expressions behind
``re:``, or a list of what is quantised.  They are asked about the modules that each layer of the model has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from typing import Any

from accelmodel.errors import SpecError, brief, unknown
from accelmodel.specs.huggingface.modules import Module
from accelmodel.specs.precision import HIGH


@dataclass(frozen=True)
class Format:
    """How numbers are written: bits of a weight with scales and zeros, bits that it works at, the word for it."""

    weights: float
    activations: float
    word: str


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

    @property
    def beside_fp8(self) -> bool:
        """Whether modules are listed whose format differs from the fp8 of all others."""
        listed = isinstance(self.content.get("quantized_layers"), dict)
        return listed and str(self.content.get("quant_method", "")).lower() == "fp8"

    def formats(self) -> list[tuple[Format, list[str] | None]]:
        """Return each format with the modules that have it, None for all; the first that names a module holds."""
        method = str(self.content.get("quant_method", "")).lower()
        layers = self.content.get("quantized_layers")
        if isinstance(layers, dict):
            return [*self._listed(layers), *([(_fp8(self), None)] if self.beside_fp8 else [])]
        if method == "fp8" and self.content.get("expert_dtype") == "fp4":
            return [(Format(_mxfp4(self).weights, 8.0, "mxfp4"), ["mlp.experts"]), (_fp8(self), None)]
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
            if not isinstance(entry, Mapping):
                raise self.fail(f"quantized_layers.{name}", f"{brief(entry)} is not an object")
            found.setdefault(self.algorithm(entry.get("quant_algo")), []).append(name)
        return list(found.items())

    def _groups(self) -> list[tuple[Format, list[str] | None]]:
        """Return formats of compressed-tensors' groups."""
        found: list[tuple[Format, list[str] | None]] = []
        groups = self.content["config_groups"]
        if not isinstance(groups, Mapping) or not all(isinstance(group, Mapping) for group in groups.values()):
            raise self.fail("config_groups", f"{brief(groups)} is not an object of objects")
        for name, group in groups.items():
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
    "auto-round": _grouped_int,
    "intel/auto-round": _grouped_int,
}

#: what other checkpoints call the parts of a layer → the names of ``modules``
_NAMES = (
    (
        r"^(model\.language_model|language_model\.model|language_model|backbone|transformer|model)\.(?=layers|lm_head|emb)",
        "",
    ),
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


class _Matcher:
    """Names and patterns of a file; long lists of plain names are sets."""

    def __init__(self, asked: Quantisation, patterns: Iterable[str]) -> None:
        self.plain: set[str] = set()
        self.words: list[str] = []
        self.patterns: list[re.Pattern[str]] = []
        for pattern in patterns:
            short = _canonical(pattern)
            if pattern.startswith("re:"):
                self.patterns.append(self._compiled(asked, pattern))
            elif "*" in pattern:
                whole = short if short.startswith("*") else f"*{short}"
                self.patterns.append(re.compile(translate(whole) + "|" + translate(f"{whole}.*")))
            elif re.search(r"\blayers\.\d", pattern):
                self.plain.add(short)
            else:
                self.words.append(f".{short}.")
        self.parents = {name.rpartition(".experts.")[0] + ".experts" for name in self.plain if ".experts." in name}

    @staticmethod
    def _compiled(asked: Quantisation, pattern: str) -> re.Pattern[str]:
        try:
            return re.compile(pattern[3:])
        except re.error:
            raise asked.fail("ignore", f"{brief(pattern)} is no regular expression; correct it") from None

    def names(self, module: str) -> bool:
        """Whether a name of the file stands for a module, or for something that it is part of."""
        parts = module.split(".")
        if any(".".join(parts[:end]) in self.plain for end in range(2, len(parts) + 1)) or module in self.parents:
            return True
        if any(word in f".{module}." for word in self.words):
            return True
        texts = (f"model.{module}.weight", f"model.{module}", module)
        return any(pattern.match(text) for pattern in self.patterns for text in texts)


@dataclass(frozen=True)
class Stated:
    """The precision of a checkpoint: fields of a model, and what its matrices take in all [1], [B]."""

    fields: dict[str, Any]
    parameters: float
    bytes: float
    quantised: bool


def stated(asked: list[Quantisation], modules: Iterable[Module]) -> Stated:
    """Return the precision that the files of a checkpoint state.

    Parameters
    ----------
    asked : list of Quantisation
        What ``hf_quant_config.json`` and ``quantization_config`` say; empty where nothing is quantised.
    modules : iterable of Module
        Matrices of the model.

    Raises
    ------
    SpecError
        If a method or a word is not known: a precision is never guessed.
    """
    # what such a file leaves out of its list stays at fp8
    base = [each for each in asked if each.beside_fp8]
    formats, source = next(((found, each) for each in base + asked if (found := each.formats())), ([], None))
    left = [] if base else [_Matcher(each, each.left_out()) for each in asked]
    choices = [(form, None if names is None or source is None else _Matcher(source, names)) for form, names in formats]
    sums: dict[str, list[float]] = {}
    main: dict[Format, float] = {}
    for of, name, size in modules:
        form = None
        if not any(each.names(name) for each in left):
            form = _chosen(choices, of, name)
        total = sums.setdefault(of, [0.0, 0.0])
        total[0] += size
        total[1] += size * (form.weights if form else HIGH)
        if form:
            main[form] = main.get(form, 0.0) + size
    kv = next((bits for each in asked if (bits := each.kv()) is not None), HIGH)
    fields: dict[str, Any] = {} if kv == HIGH else {"precision.kv": kv}
    if main:
        first = max(main, key=lambda form: main[form])
        fields |= {f"precision.{of}": bits / size for of, (size, bits) in sums.items() if size}
        fields |= {"precision.weights": first.weights, "precision.activations": first.activations}
        fields["precision.format"] = first.word
    sizes, bits = (sum(total[place] for total in sums.values()) for place in (0, 1))
    return Stated(fields, sizes, bits / 8.0, bool(main))


#: classes that stay as they were unless a file names them
_KEPT = ("router", "tables")


def _chosen(choices: list[tuple[Format, _Matcher | None]], of: str, name: str) -> Format | None:
    """Return the format of a module: the first that names it, or the one that is everyone's."""
    for form, names in choices:
        if (names is None and of not in _KEPT) or (names is not None and names.names(name)):
            return form
    return None
