"""At which precision the checkpoint behind a ``config.json`` lies on disk, class of weights by class of weights.

Formats differ in how they name what is left as it was: module names, patterns with ``*``, regular expressions behind
``re:``, or a list of what is quantised.  They are asked about the modules that each layer of the model has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import translate
from typing import Any

from accelmodel.errors import SpecError, brief, unknown
from accelmodel.specs.huggingface.methods import ALGORITHMS, METHODS, REFUSED, SCALE, Format, Formats, fp8, mxfp4
from accelmodel.specs.huggingface.modules import Module
from accelmodel.specs.precision import HIGH

#: precision of a KV cache by the words that files have for it
_KV = {"fp8": 8.0, "int8": 8.0, "nvfp4": 4.5, "fp8_e4m3": 8.0, "fp8_e5m2": 8.0, "auto": HIGH, "none": HIGH}

#: numbers that a group has at most
_NARROWEST, _WIDEST = 8, 1 << 20

#: keys that list what stays at 16 bit
_LEFT_OUT = (
    "modules_to_not_convert", "ignore", "exclude_modules", "ignored_layers", "llm_int8_skip_modules", "exclude",
    "skip_modules",
)  # fmt: skip
#: class of modules in compressed-tensors' targets → names of those that it has
_CLASSES: dict[str, list[str]] = {
    "Linear": ["Linear"],
    "Embedding": ["embed_tokens"],
    "VocabParallelEmbedding": ["embed_tokens"],
    "ParallelLMHead": ["lm_head"],
    "FusedMoE": ["mlp.experts"],
    "Attention": [],
    "LlamaAttention": [],
}


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

    def formats(self) -> Formats:
        """Return each format with the modules that have it, None for all; the first that names a module holds."""
        method = str(self.content.get("quant_method", "")).lower()
        if method in REFUSED:
            raise self.fail("quant_method", f"{method}: {REFUSED[method]}; give the bits in a TOML file")
        self._need_dense()
        layers = self.content.get("quantized_layers")
        if isinstance(layers, dict):
            return [*self._listed(layers), *([(fp8(self), None)] if self.beside_fp8 else [])]
        experts = self.content.get("expert_dtype")
        if experts not in (None, "fp4", "fp8"):
            raise self.fail("expert_dtype", str(unknown("precision of experts", experts, ("fp4", "fp8"))))
        if method == "fp8" and experts == "fp4":
            return [(Format(mxfp4(self).weights, 8.0, "mxfp4", "fp8"), ["mlp.experts"]), (fp8(self), None)]
        if method in METHODS:
            found = METHODS[method](self)
            return found if isinstance(found, list) else [(found, None)]
        if self.content.get("config_groups"):
            return self._groups()
        algorithm = self.content.get("quant_algo")
        if algorithm in (None, "", "NO_QUANT"):
            if not method and self.content and "quant_algo" not in self.content and self.kv() is None:
                raise self.fail("quant_method", "is missing; say how the weights are quantised, such as fp8")
            if method and not (method == "compressed-tensors" and self.kv() is not None):
                raise self.fail("quant_method", str(unknown("quantisation", method, [*METHODS, "compressed-tensors"])))
            return []
        return [(self.algorithm(algorithm), None)]

    def _need_dense(self) -> None:
        """Refuse weights of which files leave out the zeros."""
        sparsity = self.content.get("sparsity_config")
        kind = sparsity.get("format", "dense") if isinstance(sparsity, Mapping) else "dense"
        if kind != "dense":
            raise self.fail("sparsity_config.format", f"{brief(kind)} is not modelled; give the bits in a TOML file")

    def algorithm(self, word: Any) -> Format:
        """Return the format that a word stands for."""
        if not isinstance(word, str) or word not in ALGORITHMS:
            raise self.fail("quant_algo", str(unknown("quantisation", word, ALGORITHMS)))
        found = ALGORITHMS[word]
        size = self.whole("group_size", self.content.get("group_size") or 0)
        if found.word == "int4" and size > 0.0:
            # integers have groups of 128 where nothing is said
            return replace(found, weights=4.0 + SCALE["int"] / size)
        return found

    def _listed(self, layers: dict[str, Any]) -> Formats:
        """Return formats of what is listed module by module."""
        found: dict[Format, list[str]] = {}
        for name, entry in layers.items():
            if not isinstance(entry, Mapping):
                raise self.fail(f"quantized_layers.{name}", f"{brief(entry)} is not an object")
            found.setdefault(self.algorithm(entry.get("quant_algo")), []).append(name)
        return list(found.items())

    def _groups(self) -> Formats:
        """Return formats of compressed-tensors' groups."""
        found: Formats = []
        groups = self.content["config_groups"]
        if not isinstance(groups, Mapping) or not all(isinstance(group, Mapping) for group in groups.values()):
            raise self.fail("config_groups", f"{brief(groups)} is not an object of objects")
        for name, group in groups.items():
            weights, inputs = group.get("weights"), group.get("input_activations")
            if not isinstance(weights, dict):
                raise self.fail(f"config_groups.{name}.weights", "is missing; add num_bits and type")
            targets = group.get("targets") or ["Linear"]
            if not isinstance(targets, list) or not all(isinstance(target, str) for target in targets):
                raise self.fail(f"config_groups.{name}.targets", f"{brief(targets)} is not a list of names")
            everything = any(target in ("Linear", "re:.*") for target in targets)
            for target in targets:
                if re.fullmatch(r"[A-Z]\w*", target) and target not in _CLASSES:
                    raise self.fail(f"config_groups.{name}.targets", str(unknown("class of modules", target, _CLASSES)))
            given = [each for target in targets for each in _CLASSES.get(target, [target])]
            found.append((self._group(name, weights, inputs), None if everything else given))
        # the group that names modules holds before the one that is everyone's
        return sorted(found, key=lambda each: each[1] is None)

    def _group(self, name: str, weights: Mapping[str, Any], inputs: Any) -> Format:
        bits = self.number(weights, "num_bits", f"config_groups.{name}.weights")
        kind = weights.get("type", "int")
        if kind not in ("int", "float"):
            raise self.fail(
                f"config_groups.{name}.weights.type", str(unknown("type of weights", kind, ("int", "float")))
            )
        size, key = weights.get("group_size"), f"config_groups.{name}.weights.group_size"
        size = 0 if size is None else int(self.whole(key, size))
        if not size and (weights.get("group_size") == 0 or weights.get("strategy") in ("group", "tensor_group")):
            raise self.fail(key, f"{brief(weights.get('group_size'))} is no size of a group; write for example 128")
        scale = 0.0
        if size > 0:
            # floats in groups of up to 32 have exponents of 8 bit, or scales that are as wide
            scale = (SCALE["nvfp4"] if kind == "float" and size <= 32 else SCALE["int"]) / size
            if not weights.get("symmetric", True):
                scale += bits / size
        width = self.number(inputs, "num_bits", f"config_groups.{name}.input_activations") if inputs else HIGH
        words = {("float", 4.0, 32.0): "mxfp4", ("float", 4.0, 16.0): "nvfp4", ("float", 8.0, 32.0): "mxfp8"}
        word = words.get((kind, bits, size), f"{'fp' if kind == 'float' else 'int'}{bits:g}")
        if not inputs:
            return Format(bits + scale, HIGH, word)
        active = "fp" if inputs.get("type", "int") == "float" else "int"
        same = width == bits and active == ("fp" if kind == "float" else "int")
        return Format(bits + scale, bits + scale if same else width, word, "" if same else f"{active}{width:g}")

    def whole(self, key: str, value: Any) -> float:
        """Return the size of a group, -1 where a row is one; 0 is what callers have for a file that is silent."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.fail(key, f"{brief(value)} is not a whole number")
        told = value == 0 and 0 in (self.content.get("group_size"), self.content.get("q_group_size"))
        if told or not (value in (-1, 0) or _NARROWEST <= value <= _WIDEST):
            allowed = f"it must be {_NARROWEST} to {_WIDEST}, or -1 for a row"
            raise self.fail(key, f"{brief(value)} is no size of a group; {allowed}")
        return float(value)

    def number(self, table: Any, key: str, where: str) -> float:
        """Return a number of bits or of a group."""
        value = table.get(key) if isinstance(table, Mapping) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 64:
            raise self.fail(f"{where}.{key}", f"{brief(value)} is not a number of bits")
        return float(value)

    def left_out(self) -> list[str]:
        """Return the names and patterns of what is left at 16 bit."""
        found: list[str] = []
        for key in _LEFT_OUT:
            value = self.content.get(key)
            if value is None:
                continue
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise self.fail(key, f"{brief(value)} is not allowed; it must be a list of names")
            found += value
        return found

    def kv(self) -> float | None:
        """Return the bits of the KV cache, None where nothing is said."""
        by_layer = self.content.get("kv_cache_quant_config") or self._outcomes()
        if isinstance(by_layer, Mapping) and by_layer:
            table = next(iter(by_layer.values()))
            inner = table.get("output_tensors") if isinstance(table, Mapping) else None
            word = str(inner.get("dtype") if isinstance(inner, Mapping) else inner).lower()
            if word not in _KV:
                raise self.fail("kv_cache_quant_config", str(unknown("precision of a KV cache", word, _KV)))
            return _KV[word]
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

    def _outcomes(self) -> dict[str, Any]:
        """Return what older files of Quark say of the KV cache: what leaves the projections of keys and values."""
        export, named = self.content.get("export"), self.content.get("layer_quant_config")
        group = export.get("kv_cache_group") if isinstance(export, Mapping) else None
        if not isinstance(group, list) or not isinstance(named, Mapping):
            return {}
        found = {name: named.get(name) for name in group if isinstance(name, str)}
        return {name: each for name, each in found.items() if isinstance(each, Mapping) and each.get("output_tensors")}


#: what other checkpoints call the parts of a layer → the names of ``modules``
_NAMES = (
    (
        r"^(model\.language_model|language_model\.model|language_model|backbone|transformer|model)\.(?=layers|lm_head|emb)",
        "",
    ),
    # classes of modules in place of names
    (r"^[A-Z]\w*Attention$", "self_attn"),
    (r"^[A-Z]\w*(Experts|MoE)$", "mlp.experts"),
    (r"^[A-Z]\w*MLP$", "mlp"),
    (r"\b(block_sparse_moe|feed_forward|ffn)\b", "mlp"),
    (r"\b(attn|attention|linear_attn|self_attention|mamba|conv)\b", "self_attn"),
    (r"\bmixer\.(?=(in|out|q|k|v|o)_proj)", "self_attn."),
    (r"\bmixer\b", "mlp"),
    (r"\bshared_expert\b", "shared_experts"),
    (r"\bshared_mlp\b", "shared_experts"),
)


#: a layer by its number
_PLACE = re.compile(r"\blayers\.\d")
#: words for what keeps a state, and what its matrices are called
_OF_STATES = re.compile("linear_attn|mamba")
_STATES = re.compile(r"^(in_proj|out_proj|x_proj|dt_proj|f_[ab]_proj|g_[ab]_proj)")


def _spellings(module: str) -> Iterator[str]:
    """Yield a module's name as ``modules`` has it, and as families write it."""
    yield module
    before, found, after = module.partition(".self_attn.")
    if found:
        words = ("linear_attn", "mamba", "mixer") if _STATES.match(after) else ("attn", "attention", "mixer")
        yield from (f"{before}.{word}.{after}" for word in words)
    before, found, after = module.partition(".mlp.")
    if found:
        yield from (f"{before}.{word}.{after}" for word in ("block_sparse_moe", "feed_forward", "ffn", "mixer"))
    if ".shared_experts." in module:
        yield from (module.replace("shared_experts", word) for word in ("shared_expert", "shared_mlp"))


def _canonical(name: str) -> str:
    for pattern, other in _NAMES:
        name = re.sub(pattern, other, name)
    return name


#: what makes a regular expression slow: a group that is repeated, and how many stars and pluses are too many
_REPEATED, _OPEN, _MOST_OPEN = re.compile(r"\)[*+{]"), re.compile(r"(?<!\\)[*+]"), 6
_MOST_PATTERNS = 2_000


class _Matcher:
    """Names and patterns of a file; long lists of plain names are sets."""

    def __init__(self, asked: Quantisation, patterns: Iterable[str]) -> None:
        self.plain: set[str] = set()
        self.words: list[str] = []
        self.patterns: list[re.Pattern[str]] = []
        listed = list(patterns)
        number = sum(1 for each in listed if each.startswith("re:") or "*" in each or not _PLACE.search(each))
        if number > _MOST_PATTERNS:
            raise asked.fail(
                "ignore", f"{number:,} patterns beside names of layers' modules; at most {_MOST_PATTERNS:,}"
            )
        for pattern in listed:
            # where layers differ in kind, a word may be of one of them
            short = pattern if _OF_STATES.search(pattern) and not _PLACE.search(pattern) else _canonical(pattern)
            if pattern.startswith("re:"):
                self.patterns.append(self._compiled(asked, pattern))
            elif "*" in pattern:
                whole = short if short.startswith("*") else f"*{short}"
                self.patterns.append(re.compile(translate(whole) + "|" + translate(f"{whole}.*")))
            elif _PLACE.search(pattern):
                self.plain.add(short)
            else:
                self.words.append(f".{short}.")
        self.parents = {name.rpartition(".experts.")[0] + ".experts" for name in self.plain if ".experts." in name}

    @staticmethod
    def _compiled(asked: Quantisation, pattern: str) -> re.Pattern[str]:
        if _REPEATED.search(pattern) or len(_OPEN.findall(pattern)) > _MOST_OPEN:
            raise asked.fail("ignore", f"{brief(pattern)} may take for ever to match; write it without repeated groups")
        try:
            return re.compile(pattern[3:])
        except re.error:
            raise asked.fail("ignore", f"{brief(pattern)} is no regular expression; correct it") from None

    def names(self, module: str) -> bool:
        """Whether a name of the file stands for a module, or for something that it is part of."""
        parts = module.split(".")
        if any(".".join(parts[:end]) in self.plain for end in range(2, len(parts) + 1)) or module in self.parents:
            return True
        spelled = list(_spellings(module))
        if any(word in f".{each}." for word in self.words for each in spelled):
            return True
        texts = [text for each in spelled for text in (f"model.{each}.weight", f"model.{each}", each)]
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
    classes: dict[str, dict[Format, float]] = {}
    for of, name, size in modules:
        form = None
        if not any(each.names(name) for each in left):
            form = _chosen(choices, of, name)
        total = sums.setdefault(of, [0.0, 0.0])
        total[0] += size
        total[1] += size * (form.weights if form else HIGH)
        if form and form.weights < HIGH:
            main[form] = main.get(form, 0.0) + size
            own = classes.setdefault(of, {})
            own[form] = own.get(form, 0.0) + size
    kv = next((bits for each in asked if (bits := each.kv()) is not None), HIGH)
    fields: dict[str, Any] = {} if kv == HIGH else {"precision.kv": kv}
    if main:
        first = max(main, key=lambda form: main[form])
        fields |= {f"precision.{of}": bits / size for of, (size, bits) in sums.items() if size}
        fields |= {"precision.weights": first.weights, "precision.activations": first.activations}
        fields["precision.format"] = first.word
        fields |= {"precision.activation_format": first.active} if first.active else {}
        most = {of: max(own, key=lambda form: own[form]) for of, own in classes.items() if of in _ACTIVE}
        fields |= {
            f"precision.{of}_activations": form.activations
            for of, form in most.items()
            if form.activations != first.activations
        }
    sizes, bits = (sum(total[place] for total in sums.values()) for place in (0, 1))
    return Stated(fields, sizes, bits / 8.0, bool(main))


#: classes whose activations a model may say apart
_ACTIVE = ("attention", "mlp", "experts", "shared_experts")
#: classes that stay as they were unless a file names them
_KEPT = ("router", "tables")


def _chosen(choices: list[tuple[Format, _Matcher | None]], of: str, name: str) -> Format | None:
    """Return the format of a module: the first that names it, or the one that is everyone's."""
    for form, names in choices:
        if (names is None and of not in _KEPT) or (names is not None and names.names(name)):
            return form
    return None
