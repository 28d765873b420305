"""Keys of a ``config.json``, read with their type and remembered: what was used, what is harmless, and all others.

A list of harmless keys is finite, a list of harmful ones is not.  So a key that is not used and speaks of layers,
experts, attention, sharing and the like refuses the file, whatever its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from accelmodel.errors import SpecError, brief
from accelmodel.specs import files
from accelmodel.specs.huggingface.harmless import HARMLESS, NEUTRAL

_MAX_NUMBER = 10**9
REMEDY = "describe the model in a TOML file instead, see hwspecs/models"

#: usual key → other keys that hold the same; where a file has two of them they must agree
SYNONYMS: dict[str, tuple[str, ...]] = {
    "hidden_size": ("hidden_size", "n_embd", "d_model", "n_embed"),
    "num_hidden_layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "num_attention_heads": ("num_attention_heads", "n_head", "n_heads"),
    "num_key_value_heads": (
        "num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num", "num_attention_groups",
    ),
    "head_dim": ("head_dim", "attention_head_dim", "kv_channels"),
    "vocab_size": ("vocab_size", "padded_vocab_size"),
    "max_position_embeddings": (
        "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length",
        "max_sequence_length",
    ),
    "intermediate_size": (
        "intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "ff_intermediate_size",
    ),
    "tie_word_embeddings": ("tie_word_embeddings", "tie_embedding"),
    "activation": ("hidden_act", "hidden_activation", "activation_function", "activation", "mlp_hidden_act"),
    "layer_types": ("layer_types", "layers_block_type"),
    "sliding_window": ("sliding_window", "sliding_window_size", "attention_window_size"),
    "sliding_window_pattern": ("sliding_window_pattern", "global_attn_every_n_layers", "layer_switch"),
    "experts": ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"),
    "experts_used": (
        "num_experts_per_tok", "num_experts_per_token", "experts_per_token", "top_k_experts", "moe_k", "moe_topk",
        "moe_top_k",
    ),
    "expert_width": ("moe_intermediate_size", "expert_ffn_hidden_size"),
    "experts_shared": ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_shared_expert"),
    "shared_width": (
        "shared_expert_intermediate_size", "moe_shared_expert_intermediate_size", "shared_intermediate_size",
        "share_expert_dim",
    ),
    "dense_first": ("first_k_dense_replace", "num_dense_layers", "moe_layer_start_index"),
    "dense_width": ("dense_intermediate_size", "intermediate_size_mlp"),
    "qkv_bias": ("qkv_bias", "use_qkv_bias", "add_qkv_bias"),
}  # fmt: skip

#: of these the first that a file has holds, whatever others say: positions, words, lists in an older spelling
_FIRST_HOLDS = ("max_position_embeddings", "activation", "layer_types")

#: parts of a name that tell of something that changes an answer, wherever they stand in it
_ANYWHERE = (
    "expert", "layer", "block", "attn", "attention", "window", "slid", "chunk", "shar", "activation", "residual",
    "compress", "recur", "state", "linear", "spars", "latent", "lora", "hybrid", "pattern", "parallel", "mamba",
    "mixer", "router", "routed", "cross", "convol", "gating", "gated", "altup", "laurel",
)  # fmt: skip
#: words of a name that do
_WORDS = frozenset(
    [
        "moe",
        "kv",
        "mlp",
        "ffn",
        "act",
        "ssm",
        "swa",
        "cla",
        "qk",
        "head",
        "heads",
        "gate",
        "sink",
        "sinks",
        "lru",
        "rank",
        "conv",
        "index",
        "indexer",
        "topk",
        "interleave",
    ]
)


#: names of keys that say whether a perceptron is gated
_GATE = re.compile("gated_(mlp|ffn|linear|act)")


def speaks(key: str) -> bool:
    """Return whether a key, by its name, may tell of experts, kinds of layer, attention, sharing and the like.

    Examples
    --------
    >>> [speaks(key) for key in ("num_moe_layers", "useCLA", "moe_k", "rope_theta")]
    [True, True, True, False]
    """
    spread = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[a-zA-Z])(?=\d)|(?<=\d)(?=[a-zA-Z])", "_", key).lower()
    return any(part in key.lower() for part in _ANYWHERE) or not _WORDS.isdisjoint(re.split(r"[^a-z0-9]+", spread))


class Keys:
    """The keys of a file or of an object in it, read with their type; ``used`` remembers what was asked for."""

    def __init__(
        self, path: Path, given: Mapping[str, Any], defaults: Mapping[str, Any] | None = None, where: str = ""
    ) -> None:
        self.path = path
        self.given = given
        self.defaults = defaults or {}
        self.where = where
        self.used: set[str] = set()
        self.parts: list[Keys] = []

    def key(self, name: str) -> str:
        """Return the key that a file has for what is usually called ``name``."""
        return next((key for key in SYNONYMS.get(name, (name,)) if key in self.given), SYNONYMS.get(name, (name,))[0])

    def get(self, name: str) -> Any:
        """Return a value as it stands, else the default of its class, else None."""
        names = SYNONYMS.get(name, (name,))
        self.used.update(names)
        found = {key: self.given[key] for key in names if self.given.get(key) is not None}
        if found:
            first, *others = found
            for other in () if name in _FIRST_HOLDS else others:
                if _one(found[other]) != _one(found[first]):
                    problem = f"{brief(found[other])} contradicts {first} {brief(found[first])}; correct one of them"
                    raise SpecError(f"{self.path}: {self.where}{other}: {problem}")
            return found[first]
        if any(key in self.given for key in names):
            return None
        return next((self.defaults[key] for key in names if key in self.defaults), None)

    def has(self, name: str) -> bool:
        return self.get(name) is not None

    def fail(self, name: str, problem: str) -> SpecError:
        place = files.json_place(self.path, self.key(name))
        return SpecError(f"{place}: {self.where}{self.key(name)}: {problem}")

    def whole(self, name: str, default: int | None = None, low: int = 1, high: int = _MAX_NUMBER) -> int:
        """Return a whole number; null and a missing key give ``default``, or an error where there is none."""
        value = self.get(name)
        if value is None:
            if default is None:
                raise self.fail(name, f"is missing; add a whole number, or {REMEDY}")
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.fail(name, f"{brief(value)} is not a whole number; write for example 32")
        if not low <= value <= high:
            raise self.fail(name, f"{brief(value)} is not allowed; it must be {low} to {high}")
        return value

    def alike(self, name: str, default: int | None = None, low: int = 1) -> int:
        """Return a whole number that a file may give for each layer too; they must then be one and the same."""
        value = self.get(name)
        if not isinstance(value, list) or not value:
            return self.whole(name, default, low)
        numbers = self.items(name, int)
        if len(set(numbers)) > 1 or not low <= numbers[0] <= _MAX_NUMBER:
            raise self.fail(name, f"{brief(value)} differs from layer to layer, which is not modelled; {REMEDY}")
        return int(numbers[0])

    def each(self, name: str, layers: int, default: int | None = None, low: int = 0) -> list[int]:
        """Return a whole number for each layer, where a file gives one for all or a list."""
        value = self.get(name)
        if isinstance(value, list):
            numbers = self.items(name, int, layers)
            if not all(low <= number <= _MAX_NUMBER for number in numbers):
                raise self.fail(name, f"{brief(value)} is not allowed; numbers must be {low} to {_MAX_NUMBER}")
            return numbers
        return [self.whole(name, default, low)] * layers

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.fail(name, f"{brief(value)} is not allowed; write true or false")
        return value

    def text(self, name: str, default: str = "") -> str:
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.fail(name, f"{brief(value)} is not text")
        return value

    def items(self, name: str, kind: type, length: int = 0) -> list[Any]:
        """Return a list of texts or whole numbers, empty where there is none; of ``length``, where that is asked."""
        value = self.get(name)
        if value is None:
            return []
        whole = isinstance(value, list | tuple)
        if not whole or not all(isinstance(item, kind) and not isinstance(item, bool) for item in value):
            raise self.fail(name, f"{brief(value)} is not allowed; it must be a list of {kind.__name__}")
        if length and len(value) != length:
            raise self.fail(name, f"has {len(value)} entries for {length} layers; give one for each")
        return list(value)

    def table(self, name: str, defaults: Mapping[str, Any] | None = None) -> Keys:
        """Return the keys of an object inside; an empty one where there is none."""
        value = self.get(name)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise self.fail(name, f"{brief(value)} is not allowed; it must be an object")
        self.parts.append(Keys(self.path, value, defaults, f"{self.where}{self.key(name)}."))
        return self.parts[-1]

    def unread(self) -> Iterator[tuple[Keys, str]]:
        """Yield the keys that nothing asked for and that are not known to be harmless, where they say something."""
        for key, value in self.given.items():
            if key in self.used or key in HARMLESS or key.startswith("_") or _says_nothing(key, value):
                continue
            yield self, key
        for part in self.parts:
            yield from part.unread()

    def refuse_unread(self) -> list[str]:
        """Return the keys that were left out; raise SpecError where one of them may change an answer."""
        left = []
        for part, key in self.unread():
            if speaks(key):
                value = brief(part.given[key])
                raise SpecError(
                    f"{self.path}: {part.where}{key}: {value} is not understood and may change the layers; {REMEDY}"
                )
            if not re.search(r"_token(_id|_ids|_index)?$", key):
                left.append(part.where + key)
        return left


def _one(value: Any) -> Any:
    """Return the item of a list whose items are all alike, anything else as it is."""
    alike = isinstance(value, list) and value and all(item == value[0] for item in value)
    return value[0] if alike else value


def _says_nothing(key: str, value: Any) -> bool:
    """Whether a value is null, false, zero, empty, or what the key's absence means."""
    if value is False:
        # without a gate a perceptron is another one
        return not _GATE.search(key)
    if value is None or value in (0, "", [], {}) or value == "none":
        return True
    return key in NEUTRAL and (
        value == NEUTRAL[key] or (isinstance(value, list) and set(map(str, value)) == {str(NEUTRAL[key])})
    )
