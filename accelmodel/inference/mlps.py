"""Rows of what works on each token alone: perceptrons, and mixtures of experts with the exchange around them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from accelmodel.inference.columns import (
    STREAM,
    Row,
    Shard,
    ceil_div,
    collective,
    matmul,
    pointwise,
)
from accelmodel.inference.padding import in_tiles, padded_rows
from accelmodel.inference.routing import (
    NORMAL,
    active_experts,
    busiest_load,
    exchanged,
    held_experts,
    kernels,
    places,
)
from accelmodel.inference.rowwise import ACTIVATION_OPS, SWEEPS, activation_rows, blockwise, rowwise
from accelmodel.laws import types
from accelmodel.laws.numeric import Number, least, most
from accelmodel.laws.types import Operator
from accelmodel.specs.bits import activation_bits
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.layer_kinds import Dense, Experts
from accelmodel.specs.workload import Workload

#: bits of the scales that stand beside a value of 8 or fewer bits on its way: 32 for 128 of 8 bit, 8 for 16 of 4
_SCALES = {8.0: 0.25, 4.0: 0.5}
#: small kernels that sort the copies of tokens by expert before they are gathered (``measured.experts``)
SORTING = 2.0
#: vector operations per expert and token that choose the experts: exponential, comparison, mask
_CHOICE_OPS = 20.0
#: experts that are chosen of a token in the time of a sweep: each is the largest of those left, which a warp finds in
#: five exchanges of some 30 clocks
_CHOSEN = 4.0
#: bytes of the number of an expert, and of its weight in the sum
_CHOICE_BYTES = 8.0


def perceptron(
    prefix: str, tokens: Number, width: Number, gated: bool, model: LanguageModel, part: Shard
) -> Iterator[Row]:
    """Two-layer mlp, gated (SwiGLU, arXiv 2002.05202) or not."""
    branches = 2.0 if gated else 1.0
    yield f"{prefix}_up", matmul(tokens, branches * width, model.hidden, part)
    yield from activation_rows(prefix, tokens, width, gated, part)
    yield f"{prefix}_down", matmul(tokens, model.hidden, width, part)


def dense(kind: Dense, model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Perceptron, its columns cut over the tensor ranks."""
    if kind.receptance:
        yield "mlp_receptance", matmul(part.tokens, part.cut(model.hidden), model.hidden, part.at("mlp"))
    yield from perceptron("mlp", part.tokens, part.cut(kind.width), kind.gated, model, part.at("mlp"))


def expert_matmul(rows: Number, n: Number, k: Number, part: Shard, active: Number) -> dict[str, Number]:
    """Columns of a matmul of ``active`` experts with so many rows each, in one kernel; nothing of it is prefetched."""
    return {**matmul(rows, n, k, part, groups=active), "kind": types.GROUPED, "prefetch_bytes": 0.0}


def _routed(kind: Experts, model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Routed experts on the busiest device.  They cannot be prefetched: the router decides which are needed.

    Kernels of low latency deliver the copies by expert and sum them on the way back; else they are sorted, gathered
    and summed in passes of their own.  Matmuls work on whole tiles of each expert's rows (``padding``).
    """
    group = work.tp * work.dp
    held = held_experts(kind, work)
    width = ceil_div(kind.width, group / work.ep)
    tokens = part.tokens * work.dp
    active = active_experts(tokens, kind, held, places(kind, work))
    copies = tokens * kind.used * held / places(kind, work) * busiest_load(tokens, kind, work)
    branches = 2.0 if kind.gated else 1.0
    hidden = kind.latent or model.hidden
    mean = copies / active
    tiles = in_tiles(active, mean, padded_rows(mean, active / held, kind.used / places(kind, work)))
    here = 1.0 - exchanged(work) * (kernels(work) != NORMAL)
    received = exchanged(work) * sent_bits(model, work) / 8.0 + (1.0 - exchanged(work)) * STREAM
    given = passes(tokens * kind.used, copies, (hidden, width, branches), (received, part.activation), kind.used)
    yield "expert_sorting", {**given["expert_sorting"], "count": SORTING * here}
    yield "expert_gather", {**given["expert_gather"], "count": here}
    yield "expert_up", expert_matmul(mean, branches * width, hidden, part, active) | tiles
    if part.runs_apart("activation"):
        yield from activation_rows("expert", copies, width, kind.gated, part)
    else:
        yield "expert_activation", given["expert_activation"]
    yield "expert_down", expert_matmul(mean, hidden, width, part, active) | tiles
    yield "expert_sum", {**given["expert_sum"], "count": here}


def passes(
    chosen: Number,
    copies: Number,
    sizes: tuple[Number, Number, float],
    widths: tuple[Number, Number],
    used: Number,
    elsewhere: Number = 0.0,
) -> dict[str, dict[str, Number]]:
    """Return the rows around the matmuls of experts, each by its name.

    Parameters
    ----------
    chosen, copies : float
        Experts that all tokens chose, and copies of tokens that come to the device [1].
    sizes : tuple
        Width of a token, columns between both matmuls, and branches of these (2 with a gate) [1].
    widths : tuple
        Bytes of a number as a copy arrives, and as the matmuls take it [B].
    used : float
        Experts of a token [1].
    elsewhere : float
        1 where activation and sum go over the copies of experts on other ranks too, which zeros stand for.
    """
    hidden, width, branches = sizes
    received, taken = widths
    idle = elsewhere * most(chosen - copies, 0.0)
    zeros = idle * (branches * width + hidden) * STREAM
    activation = blockwise((copies + idle) * width, ACTIVATION_OPS, branches * STREAM, taken)
    return {
        "expert_sorting": pointwise(chosen, 1.0, _CHOICE_BYTES, _CHOICE_BYTES),
        "expert_gather": pointwise(copies * hidden, 1.0, received, taken),
        "expert_activation": activation | {"output_bytes": activation["output_bytes"] + zeros},
        "expert_sum": pointwise((copies + idle) * hidden, 2.0, STREAM, STREAM / used),
    }


def experts(kind: Experts, model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Router, shared experts, and routed experts; with data-parallel attention, tokens travel to them."""
    if kind.dense_width:
        yield from perceptron("mlp", part.tokens, part.cut(kind.dense_width), kind.gated, model, part.at("mlp"))
    own = ceil_div(part.tokens, 1.0 + exchanged(work) * (work.tp - 1.0))
    yield "router", matmul(own, kind.experts, model.hidden, part.at("router"))
    kept = _CHOICE_BYTES * kind.used / kind.experts
    sweeps = SWEEPS + kind.used / _CHOSEN
    yield "router_choice", rowwise(own, kind.experts, _CHOICE_OPS, (STREAM, kept, 0.0), sweeps=sweeps)
    if kind.shared:
        width = part.cut(kind.shared * kind.shared_width)
        yield from perceptron("shared_expert", part.tokens, width, kind.gated, model, part.at("shared_experts"))
    if kind.latent:
        yield "expert_entry", matmul(part.tokens, kind.latent, model.hidden, part.at("experts"))
    yield "dispatch", dispatch(kind, model, work, part)
    yield from _routed(kind, model, work, part.at("experts"))
    if kind.latent:
        yield "expert_exit", matmul(part.tokens, model.hidden, kind.latent, part.at("experts"))


def dispatch(kind: Experts, model: LanguageModel, work: Workload, part: Shard) -> dict[str, Number]:
    """Collective before the experts: tokens go to theirs, at the precision of activations with its scales.

    Without expert parallelism all data-parallel ranks gather all tokens, at 16 bit.
    """
    return exchange(kind, model, work, part, sent_bits(model, work) / 8.0, types.ALL_GATHER)


def combine(kind: Experts, model: LanguageModel, work: Workload, part: Shard) -> dict[str, Number]:
    """Collective after the experts: what they made of tokens comes back, at 16 bit."""
    return exchange(kind, model, work, part, STREAM, types.REDUCE_SCATTER)


def sent_bits(model: LanguageModel, work: Workload) -> Number:
    """Return bits of a number on its way to the experts, its share of the scales included; 16 at most [bit]."""
    bits = activation_bits(model, work, "experts")
    return least(sum(((bits == width) * scales for width, scales in _SCALES.items()), start=bits), 8.0 * STREAM)


def exchange(
    kind: Experts, model: LanguageModel, work: Workload, part: Shard, width: Number, whole: float
) -> dict[str, Number]:
    """Collective around the experts: an exchange with expert parallelism, else ``whole`` over data-parallel ranks.

    Tokens are scattered over tensor ranks before it; where some ranks share each expert, a token goes to all of them.
    Without data-parallel attention every tensor rank holds all tokens, and there is no exchange.
    """
    travels, spread = exchanged(work), (work.dp > 1.0) * 1.0
    hidden = kind.latent or model.hidden
    load = busiest_load(part.tokens * work.dp, kind, work)
    sent_tokens = ceil_div(part.tokens * work.dp, work.ep)
    sent = {
        "kind": types.EXCHANGE + kernels(work) - 1.0,
        "message_bytes": sent_tokens * kind.used * hidden * width * load,
        "ranks": work.ep,
        "n": kind.experts,
        "k": kind.used,
        "groups": kind.groups,
        "m": kind.used_groups,
        "lane": types.SENDING * work.two_batch,
    }
    gathered = collective(whole, part.tokens * work.dp * hidden * STREAM, work.dp)
    return chosen(travels, sent, chosen(spread, gathered, collective(whole, 0.0, 1.0)))


def returned(model: LanguageModel, work: Workload, part: Shard) -> dict[str, Number]:
    """Collective over tensor ranks after tokens came back: they gather what was scattered over them, or sum parts."""
    travels = exchanged(work)
    kind = travels * types.ALL_GATHER + (1.0 - travels) * types.ALL_REDUCE
    return collective(kind, part.tokens * model.hidden * STREAM, work.tp)


def chosen(condition: Number, columns: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    """Return some columns where a condition is 1, and others where it is 0; what neither gives is left out."""
    known = Operator._field_defaults

    def of(found: dict[str, Any], name: str) -> Any:
        return found.get(name, known.get(name))

    names = [*columns, *(name for name in others if name not in columns)]
    return {name: condition * of(columns, name) + (1.0 - condition) * of(others, name) for name in names}
