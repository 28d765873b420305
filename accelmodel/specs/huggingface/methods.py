"""What each way to quantise a checkpoint says of its numbers: a method is a function and a line in ``METHODS``.

Effective bits include scales and zeros, as they lie in the files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from accelmodel.errors import SpecError, brief, unknown
from accelmodel.specs.precision import HIGH


class Quantisation(Protocol):
    """What one ``quantization_config`` says."""

    content: Mapping[str, Any]

    def fail(self, key: str, problem: str) -> SpecError:
        """Return the error about a key."""

    def number(self, table: Any, key: str, where: str) -> float:
        """Return a number of bits."""

    def whole(self, key: str, value: Any) -> float:
        """Return the size of a group, 0 for none."""


@dataclass(frozen=True)
class Format:
    """How numbers are written: bits of a weight with scales and zeros, bits that it works at, the words for both."""

    weights: float
    activations: float
    word: str
    active: str = ""


#: formats with the modules that have them, None for all
Formats = list[tuple[Format, list[str] | None]]

#: bits of a scale of fp8 blocks, of groups of integers, of mxfp4 and nvfp4
SCALE = {"block": 32.0, "int": 16.0, "mxfp4": 8.0, "nvfp4": 8.0}
#: what a file calls the head
_HEAD = "lm_head"
_FP8 = Format(8.0, 8.0, "fp8")
_NVFP4 = 4.0 + SCALE["nvfp4"] / 16.0
_MXFP4 = 4.0 + SCALE["mxfp4"] / 32.0
_MXFP8 = 8.0 + SCALE["mxfp4"] / 32.0
_AWQ = 4.0 + SCALE["int"] / 128.0
#: word of a quantisation algorithm → its format (NVIDIA's Model Optimizer)
ALGORITHMS = {
    "FP8": _FP8,
    "FP8_PER_CHANNEL_PER_TOKEN": _FP8,
    "FP8_PB_WO": _FP8,
    "FP8_PB_REAL": _FP8,
    "NVFP4": Format(_NVFP4, _NVFP4, "nvfp4"),
    "NVFP4_AWQ": Format(_NVFP4, _NVFP4, "nvfp4"),
    "W4A16_NVFP4": Format(_NVFP4, 16.0, "nvfp4"),
    "W4A8_NVFP4_FP8": Format(_NVFP4, 8.0, "nvfp4", "fp8"),
    "W4A8_MXFP4_FP8": Format(_MXFP4, 8.0, "mxfp4", "fp8"),
    "MXFP4": Format(_MXFP4, _MXFP4, "mxfp4"),
    "MXFP8": Format(_MXFP8, _MXFP8, "mxfp8"),
    "INT4_AWQ": Format(_AWQ, 16.0, "int4"),
    "W4A16_AWQ": Format(_AWQ, 16.0, "int4"),
    "W4A8_AWQ": Format(_AWQ, 8.0, "int4", "fp8"),
    "W4A16": Format(4.0, 16.0, "int4"),
    "W8A16": Format(8.0, 16.0, "int8"),
    "W8A8_SQ_PER_CHANNEL": Format(8.0, 8.0, "int8"),
    "INT8": Format(8.0, 8.0, "int8"),
}


def fp8(asked: Quantisation) -> Format:
    """Blocks of 128 by 128 with a scale of 32 bit, or a scale for each row or matrix."""
    block = asked.content.get("weight_block_size")
    if block is None:
        return _FP8
    edges = block if isinstance(block, list) else []
    if len(edges) != 2 or not all(_is_length(edge) for edge in edges):
        raise asked.fail("weight_block_size", f"{brief(block)} is not two lengths; write for example [128, 128]")
    size = float(edges[0] * edges[1])
    return Format(8.0 + SCALE["block"] / size, 8.0, "fp8")


def _is_length(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1 << 20


def mxfp4(asked: Quantisation) -> Format:
    """Floats of 4 bit in groups of 32 with an exponent of 8 bit."""
    return Format(_MXFP4, HIGH, "mxfp4")


def integers(bits: float, size: float, zeros: float | None = None) -> Format:
    """Integers in groups with a scale of 16 bit and a zero, as wide as they are where it is not said otherwise."""
    beside = SCALE["int"] + (bits if zeros is None else zeros)
    return Format(bits + (beside / size if size > 0.0 else 0.0), HIGH, f"int{bits:g}")


def _grouped(asked: Quantisation) -> Formats:
    """AWQ, GPTQ and AutoRound: groups of integers, other bits for modules that are named; activations at 16 bit.

    GPTQ stores zeros even where they are all the same.
    """
    key = "bits" if "bits" in asked.content else "w_bit"
    bits = asked.number(asked.content, key, "weights")
    size = asked.content.get("group_size", asked.content.get("q_group_size", 128))
    main = integers(bits, asked.whole("group_size", size))
    floating = str(asked.content.get("data_type", "")).lower()
    if "fp4" in floating:
        main = ALGORITHMS["NVFP4" if "nv" in floating else "MXFP4"]
    others: Formats = []
    for name, each in _others(asked):
        own = asked.number({"bits": each.get("bits", bits)}, "bits", name)
        kept = (
            Format(HIGH, HIGH, "bf16")
            if own >= HIGH
            else integers(own, asked.whole(name, each.get("group_size", size)))
        )
        others.append((kept, [name]))
    head: Formats = [(main, [_HEAD])] if asked.content.get(_HEAD) is True else []
    return [*others, *head, (main, None)]


def _others(asked: Quantisation) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the modules whose bits a file says apart: of GPTQModel's ``dynamic`` and AutoRound's ``extra_config``."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    for key in ("dynamic", "extra_config"):
        table = asked.content.get(key) or {}
        if not isinstance(table, Mapping):
            raise asked.fail(key, f"{brief(table)} is not an object")
        for name, each in table.items():
            if key == "dynamic" and name.startswith("-:"):
                found.append((f"re:{name[2:]}", {"bits": HIGH}))
            else:
                pattern = f"re:{name.removeprefix('+:')}" if key == "dynamic" else name
                found.append((pattern, each if isinstance(each, Mapping) else {}))
    return found


def _bitsandbytes(asked: Quantisation) -> Format:
    """nf4 in blocks of 64 whose scales are 32 bit, or 8 bit where they are quantised too; int8 by rows."""
    if asked.content.get("load_in_8bit"):
        return Format(8.0, 8.0, "int8")
    if asked.content.get("load_in_4bit"):
        twice = asked.content.get("bnb_4bit_use_double_quant")
        return Format(4.0 + (8.0 / 64.0 + 32.0 / (64.0 * 256.0) if twice else 32.0 / 64.0), HIGH, "nf4")
    raise asked.fail("load_in_4bit", "neither load_in_4bit nor load_in_8bit is true; say which")


def _hqq(asked: Quantisation) -> Formats:
    """Groups of integers with a scale and a zero of 16 bit each; of one kind for all, or by the name of the module."""
    given = asked.content.get("quant_config")
    if not isinstance(given, Mapping) or not given:
        raise asked.fail("quant_config", f"{brief(given)} is not an object; it says bits and groups")
    tables = {None: given} if "weight_quant_params" in given else dict(given)
    found: Formats = []
    for name, table in tables.items():
        where = f"quant_config.{name}" if name else "quant_config"
        inner = table.get("weight_quant_params") if isinstance(table, Mapping) else None
        bits = asked.number(inner, "nbits", f"{where}.weight_quant_params")
        size = asked.whole(where, inner.get("group_size") or 0) if isinstance(inner, Mapping) else 0.0
        found.append((integers(bits, size, zeros=16.0), None if name is None else [name]))
    return found


#: word of torchao, by its old name or its class → its format, given the size of groups
_TORCHAO: dict[str, Callable[[float], Format]] = {
    "int4weightonly": lambda size: integers(4.0, size, zeros=16.0),
    "int8weightonly": lambda size: Format(8.0, HIGH, "int8"),
    "int8dynamicactivationint8weight": lambda size: Format(8.0, 8.0, "int8"),
    "int8dynamicactivationint4weight": lambda size: Format(4.0 + 32.0 / (size or 32.0), 8.0, "int4", "int8"),
    "float8weightonly": lambda size: Format(8.0, HIGH, "fp8"),
    "float8dynamicactivationfloat8weight": lambda size: _FP8,
    "float8staticactivationfloat8weight": lambda size: _FP8,
    "float8dynamicactivationint4weight": lambda size: Format(4.0 + 32.0 / (size or 128.0), 8.0, "int4", "fp8"),
}


def _torchao(asked: Quantisation) -> Formats:
    given = asked.content.get("quant_type")
    table = given.get("default", given) if isinstance(given, Mapping) else {"_type": given}
    word = table.get("_type") if isinstance(table, Mapping) else None
    key = str(word).removesuffix("Config").replace("_", "").lower()
    if key not in _TORCHAO:
        raise asked.fail("quant_type", str(unknown("type of torchao", word, _TORCHAO)))
    beside = table.get("_data", {}) if "_data" in table else asked.content.get("quant_type_kwargs") or {}
    default = 128 if "int4weightonly" in key else 0
    size = asked.whole("group_size", (beside if isinstance(beside, Mapping) else {}).get("group_size") or default)
    form = _TORCHAO[key](size)
    tables: Formats = [(form, [_HEAD, "embed_tokens"])] if asked.content.get("include_input_output_embeddings") else []
    return [*tables, (form, None)]


#: type of numbers in Quark's files → their bits and word
_QUARK = {
    "fp8_e4m3": (8.0, "fp8"),
    "fp8_e5m2": (8.0, "fp8"),
    "int8": (8.0, "int8"),
    "uint8": (8.0, "int8"),
    "int4": (4.0, "int4"),
    "uint4": (4.0, "int4"),
    "fp4": (4.0, "fp4"),
    "fp6_e2m3": (6.0, "fp6"),
    "fp6_e3m2": (6.0, "fp6"),
    "bfloat16": (16.0, "bf16"),
    "float16": (16.0, "fp16"),
}


def _quark(asked: Quantisation) -> Formats:
    """AMD Quark: a table for all layers, and tables for those that are named."""
    named = asked.content.get("layer_quant_config") or {}
    tables: list[tuple[str, Any]] = list(named.items()) if isinstance(named, Mapping) else []
    found: Formats = []
    for name, table in [*tables, ("", asked.content.get("global_quant_config"))]:
        where = f"layer_quant_config.{name}" if name else "global_quant_config"
        if not isinstance(table, Mapping):
            raise asked.fail(where, f"{brief(table)} is not an object")
        weights, word = _quark_bits(asked, where, table.get("weight"))
        inputs, active = _quark_bits(asked, where, table.get("input_tensors"))
        found.append((Format(weights, inputs, word, active if inputs < HIGH else ""), [name] if name else None))
    return found


def _quark_bits(asked: Quantisation, where: str, table: Any) -> tuple[float, str]:
    """Return bits of a number with its scales, and the word for its format; 16 where nothing is said."""
    inner = table[0] if isinstance(table, list) and table else table
    if inner is None:
        return HIGH, "bf16"
    kind = inner.get("dtype") if isinstance(inner, Mapping) else None
    if not isinstance(kind, str) or kind not in _QUARK:
        raise asked.fail(f"{where}.dtype", str(unknown("type of Quark", kind, _QUARK)))
    bits, word = _QUARK[kind]
    size = asked.whole(f"{where}.group_size", inner.get("group_size") or 0)
    if inner.get("qscheme") != "per_group" or not size:
        return bits, word
    scale = SCALE["mxfp4"] if word.startswith("fp") else SCALE["int"]
    wide = {"fp4": "mxfp4", "fp6": "mxfp6", "fp8": "mxfp8"}
    return bits + scale / size, wide.get(word, word)


def _quanto(asked: Quantisation) -> Format:
    kinds = {"int8": 8.0, "float8": 8.0, "int4": 4.0, "int2": 2.0}
    word = asked.content.get("weights")
    if not isinstance(word, str) or word not in kinds:
        raise asked.fail("weights", str(unknown("type of Quanto", word, kinds)))
    bits = kinds[word]
    scales = (SCALE["int"] * 2.0) / 128.0 if bits < 8.0 else 0.0
    active = kinds.get(str(asked.content.get("activations")), HIGH)
    return Format(bits + scales, active, word.replace("float", "fp"))


def _expert_integers(asked: Quantisation) -> Formats:
    return [(Format(8.0, HIGH, "int8"), ["mlp.experts"])]


def _fp8_with_integer_experts(asked: Quantisation) -> Formats:
    size = asked.whole("group_size", asked.content.get("group_size", 128))
    scales = SCALE["int"] / size if size else 0.0
    return [(Format(4.0 + scales, 8.0, "int4", "fp8"), ["mlp.experts"]), (fp8(asked), None)]


def _fp_quant(asked: Quantisation) -> Format:
    word = str(asked.content.get("forward_dtype", "")).upper()
    if word not in ("MXFP4", "NVFP4"):
        raise asked.fail("forward_dtype", str(unknown("type of FP-Quant", word.lower(), ("mxfp4", "nvfp4"))))
    return ALGORITHMS[word]


def _all(form: Format) -> Callable[[Quantisation], Format]:
    return lambda asked: form


#: method → how it is read
METHODS: dict[str, Callable[[Quantisation], Format | Formats]] = {
    "fp8": fp8,
    "fbgemm_fp8": fp8,
    "w8a8_fp8": fp8,
    "ptpc_fp8": fp8,
    "w4afp8": _fp8_with_integer_experts,
    "awq": _grouped,
    "awq_marlin": _grouped,
    "gptq": _grouped,
    "gptq_marlin": _grouped,
    "moe_wna16": _grouped,
    "auto-round": _grouped,
    "intel/auto-round": _grouped,
    "mxfp4": mxfp4,
    "mxfp8": _all(ALGORITHMS["MXFP8"]),
    "nvfp4": _all(ALGORITHMS["NVFP4"]),
    "fp_quant": _fp_quant,
    "bitsandbytes": _bitsandbytes,
    "hqq": _hqq,
    "torchao": _torchao,
    "quark": _quark,
    "quanto": _quanto,
    "eetq": _all(Format(8.0, HIGH, "int8")),
    "w8a8_int8": _all(Format(8.0, 8.0, "int8")),
    "experts_int8": _expert_integers,
}

#: method whose bits no file of a model says → why
REFUSED = {
    "exl2": "its bits differ from layer to layer, and the config says only their mean",
    "exl3": "its bits differ from layer to layer, and the config says only their mean",
    "gguf": "its types stand in the .gguf file, which is not read",
    "aqlm": "codebooks are not modelled",
    "vptq": "codebooks are not modelled",
    "quip": "codebooks are not modelled",
    "higgs": "codebooks are not modelled",
    "spqr": "sparse outliers are not modelled",
    "bitnet": "weights of three values are not modelled",
    "compressed_sparse": "sparse weights are not modelled",
}
