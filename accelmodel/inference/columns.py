"""Columns of one row of the operator table, and the shapes that a device has after parallelism.

Tensor parallelism is Megatron's (Shoeybi et al., arXiv 1909.08053).  Where the degree does not divide
the heads, query heads are padded up and KV heads replicated, so that the busiest device is modelled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from accelmodel.laws import types
from accelmodel.laws.numeric import Number, ceil, floor, most
from accelmodel.specs.bits import class_bits, kv_bits
from accelmodel.specs.formats import narrowness, plain_bits
from accelmodel.specs.hardware import Compute
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.precision import CLASSES
from accelmodel.specs.workload import Workload

#: the residual stream, logits and what collectives carry stay at 16 bit, as in w8a8 engines [B]
STREAM = 2.0
#: rows of queries in a tile of attention (FlashAttention-2, arXiv 2307.08691, section 3.3)
TILE_ROWS = 128.0
#: matmuls of scores are kept at this precision [bit]
HIGH_BITS = 16.0
#: vector operations per score: 4 for maximum, difference, sum and scale, and an exponential, which costs
#: as much as 17 FLOP (3.9 T exponentials/s beside 67 TFLOP/s on H100: FlashAttention-3, arXiv 2407.08608, section 3)
SOFTMAX_OPS = 21.0

Row = tuple[str, dict[str, Number]]


@dataclass(frozen=True)
class Shard:
    """What one device does of a step: tokens and precisions after parallelism."""

    sequences: Number
    new_tokens: Number
    tokens: Number
    vocabulary: Number
    tp: Number
    weight: Number = field(metadata={"unit": "B per weight"})
    activation: Number = field(metadata={"unit": "B per activation"})
    kv: Number = field(metadata={"unit": "B per KV element"})
    bits: Number = field(metadata={"unit": "bit"})
    integer: Number = 0.0
    narrow: Number = 1.0
    classes: Mapping[str, tuple[Number, Number]] = field(default_factory=dict)  # weights and activations [bit]
    matrix: Mapping[str, tuple[Number, Number]] = field(default_factory=dict)  # bits worked at [bit], on integers
    logits: Number = 1.0  # tokens that the head works on
    unfused: frozenset[str] = frozenset()  # kernels that an engine runs apart, of ``specs.cloud.FUSED``
    decoding: bool = False  # few new tokens of each sequence, whose heads are worked on together

    def at(self, of: str) -> Shard:
        """Return the shard with the precisions of a class of weights."""
        weights, activations = self.classes[of]
        bits, integer = self.matrix.get(of, (plain_bits(most(weights, activations)), 0.0))
        return replace(
            self,
            weight=weights / 8.0,
            activation=activations / 8.0,
            bits=bits,
            integer=integer,
            narrow=narrowness(weights, bits),
        )

    def runs_apart(self, kernel: str) -> bool:
        """Whether an engine runs a kernel apart that a fused form exists of, a word of ``specs.cloud.FUSED``."""
        return kernel in self.unfused

    @property
    def handed(self) -> Number:
        """Bytes of an activation as the kernel before a matmul leaves it [B]."""
        return STREAM if self.runs_apart("quantise") else self.activation

    def cut(self, amount: Number) -> Number:
        """Return the share of heads or columns that the busiest tensor rank has."""
        return ceil_div(amount, self.tp)

    def cut_groups(self, heads: Number, shared: Number) -> tuple[Number, Number]:
        """Return heads of the busiest tensor rank, and of the ``shared`` ones that they go with, kept or replicated.

        Heads that share keys stay together where there are fewer ranks than groups; else ranks share a group.
        """
        ranks = most(floor(self.tp / shared), 1.0)
        held = self.cut(shared)
        return held * ceil(heads / shared / ranks), held

    def tiles(self, heads: Number) -> Number:
        """Return over how many tiles the new tokens of a sequence are dealt, of ``heads`` rows each that share keys."""
        if not self.decoding:
            return 1.0
        return ceil_div(self.new_tokens, most(floor(TILE_ROWS / heads), 1.0))


def anywhere(condition: object) -> bool:
    """Return whether a condition holds at any point, of numbers or along axes."""
    return condition if isinstance(condition, bool) else bool(np.any(np.asarray(condition)))


def ceil_div(amount: Number, parts: Number) -> Number:
    return ceil(amount / parts)


def prompt_tokens(work: Workload) -> Number:
    """Return the tokens of a prompt in a mixed step on the busiest device [token]."""
    return ceil_div(work.prefill_tokens, work.dp * work.pp)


def shard(model: LanguageModel, work: Workload, compute: Compute | None = None, unfused: Iterable[str] = ()) -> Shard:
    """Return the shapes on the busiest device; without its rates each format has a matrix unit of its own."""
    found = {of: class_bits(model, work, of, compute) for of in CLASSES}
    classes = {of: (weights, activations) for of, (weights, activations, _) in found.items()}
    matrix = {of: (each.bits, each.integer) for of, (_, _, each) in found.items()}
    sequences = ceil_div(work.batch, work.dp * work.pp)
    decoding = work.phase != "prefill"
    new = 1.0 + work.speculative if decoding else work.context - work.prefix
    chunk = prompt_tokens(work)
    whole = Shard(
        sequences=sequences,
        new_tokens=new,
        tokens=sequences * new + chunk,
        logits=sequences * new + (chunk > 0.0) * 1.0 if decoding else sequences,
        decoding=decoding,
        unfused=frozenset(unfused),
        vocabulary=ceil_div(model.vocabulary, work.tp),
        tp=work.tp,
        weight=STREAM,
        activation=STREAM,
        kv=kv_bits(model, work) / 8.0,
        bits=HIGH_BITS,
        classes=classes,
        matrix=matrix,
    )
    return whole.at("attention")


def matmul(m: Number, n: Number, k: Number, part: Shard, *, groups: Number = 1.0, **other: Number) -> dict[str, Number]:
    """Columns of a matmul with weights; ``other`` overrides a column."""
    weights = groups * n * k * part.weight
    columns = {
        "kind": types.MATMUL,
        "groups": groups,
        "m": m,
        "n": n,
        "k": k,
        "bits": part.bits,
        "integer": part.integer,
        "narrow": part.narrow,
        "weight_bytes": weights,
        "prefetch_bytes": weights,
        "input_bytes": groups * m * k * part.activation,
        "output_bytes": groups * m * n * STREAM,
        "flops": 2.0 * groups * m * n * k,
    }
    return {**columns, **other}


def pointwise(elements: Number, ops: float, read: Number, written: Number, weights: Number = 0.0) -> dict[str, Number]:
    """Columns of a memory-bound operator: bytes read and written per element."""
    return {
        "kind": types.ELEMENTWISE,
        "vector_ops": elements * ops,
        "flops": elements * ops,
        "input_bytes": elements * read,
        "output_bytes": elements * written,
        "weight_bytes": weights,
    }


def collective(kind: Number, message: Number, ranks: Number) -> dict[str, Number]:
    return {"kind": kind, "message_bytes": message, "ranks": ranks}
