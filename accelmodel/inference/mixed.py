"""A step that decodes and works on part of a prompt at once: rows that share weights are one, attention is separate.

Chunked prefill (Sarathi-Serve, arXiv 2403.02310, section 4): matmuls see the tokens of both, sequences their own keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from accelmodel.inference.columns import Row, Shard, anywhere, prompt_tokens
from accelmodel.laws import types
from accelmodel.laws.numeric import Number, most
from accelmodel.specs.workload import Workload

#: what each row of a prompt that has keys, states or weights of its own is called by
PROMPT = "_of_prompt"
#: columns that grow with the tokens of a row
_GROWING = {
    types.MATMUL: ("m", "input_bytes", "output_bytes", "flops"),
    types.ELEMENTWISE: ("vector_ops", "flops", "input_bytes", "output_bytes"),
    types.ROW: ("groups", "vector_ops", "flops", "input_bytes", "output_bytes", "message_bytes"),
}


def decoding(work: Workload) -> Workload:
    """Return a mixed step without its prompts; any other as it is.

    Examples
    --------
    >>> found = decoding(Workload("mixed", 8.0, 4096.0, prefill_tokens=512.0, prefix=1024.0))
    >>> found.phase, found.prefill_tokens, found.prefix
    ('decode', 0.0, 0.0)
    """
    return replace(work, phase="decode", prefix=0.0, prefill_tokens=0.0) if work.phase == "mixed" else work


def at_end(work: Workload) -> Workload:
    """Return a step of its sequences alone, which have all tokens that it works on: for what they keep in memory."""
    alone = decoding(work)
    return replace(alone, context=alone.context + alone.speculative)


def prompting(work: Workload) -> Workload:
    """Return the prompts of a mixed step alone, one on each data-parallel rank and pipeline stage.

    At least a token of each, so that their rows are numbers where there is none; ``has_prompt`` tells.

    Examples
    --------
    >>> found = prompting(Workload("mixed", 8.0, 4096.0, prefill_tokens=512.0, prefix=1024.0))
    >>> found.phase, found.batch, found.context
    ('prefill', 1.0, 1536.0)
    """
    ranks, tokens = work.dp * work.pp, most(prompt_tokens(work), 1.0)
    alone: dict[str, Any] = {"speculative": 0.0, "acceptance": 0.0, "prefill_tokens": 0.0, "draft": ""}
    return replace(work, phase="prefill", batch=ranks, context=work.prefix + tokens, **alone)


def parts(part: Shard) -> tuple[Shard, Shard]:
    """Return what a device does for the sequences of a mixed step, and for its prompt, at least a token of it."""
    tokens = most(part.tokens - part.sequences * part.new_tokens, 1.0)
    alone: dict[str, Any] = {"sequences": 1.0, "new_tokens": tokens, "tokens": tokens, "logits": 1.0, "decoding": False}
    return replace(part, tokens=part.sequences * part.new_tokens), replace(part, **alone)


def has_prompt(work: Workload) -> bool:
    """Return whether a step works on a prompt beside its sequences, at any point."""
    return work.phase == "mixed" and anywhere(work.prefill_tokens > 0.0)


def together(decode: list[Row], prompt: list[Row], present: Number) -> Iterator[tuple[str, Number, dict[str, Number]]]:
    """Yield (name, share of the count, columns) of the rows of decoding sequences and of a prompt in one step.

    Parameters
    ----------
    decode, prompt : list of Row
        Of the same layer, in graph order.
    present : float
        1 where there is a prompt, else 0 [1].
    """
    beside = dict(prompt)
    known = dict(decode)
    for name, columns in prompt:
        if name not in known:
            yield name + PROMPT, present, columns
    for name, columns in decode:
        if name not in beside:
            yield name, 1.0, columns
        elif _alike(columns, beside[name]):
            growing = _GROWING[float(columns["kind"])]
            yield name, 1.0, columns | {each: columns[each] + present * beside[name][each] for each in growing}
        else:
            yield name + PROMPT, present, beside[name]
            yield name, 1.0, columns


def _alike(one: dict[str, Number], other: dict[str, Number]) -> bool:
    """Whether two rows are one operator on more tokens: a matmul with the same weights, or a pass without any."""
    if one["kind"] != other["kind"] or one["kind"] not in _GROWING:
        return False
    held = anywhere(one["weight_bytes"] > 0.0), anywhere(other["weight_bytes"] > 0.0)
    return held == ((True, True) if one["kind"] == types.MATMUL else (False, False))
