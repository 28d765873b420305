"""Speculative decoding: what drafts, how many tokens a step yields, and the rows that the draft adds.

A draft is a model like any other: modules of the model's own that predict further tokens and EAGLE's heads are models
of one layer, which take the model's tables and hidden states.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from accelmodel.errors import SpecError
from accelmodel.inference.attributes import json_value
from accelmodel.inference.columns import Shard, anywhere, ceil_div, matmul, shard
from accelmodel.inference.named import as_model
from accelmodel.inference.rowwise import norm
from accelmodel.laws.numeric import Number, least, most
from accelmodel.specs.language_model import LanguageModel, mixers, perceptrons
from accelmodel.specs.layer_kinds import Dense, Experts, Grouped, Latent, Mixer, Mlp
from accelmodel.specs.quantities import Quantity, one
from accelmodel.specs.workload import Workload

#: name, count in a step, columns
CountedRow = tuple[str, Number, dict[str, Number]]
RowsOf = Callable[[LanguageModel, Workload, Shard], Iterator[CountedRow]]
CutOf = Callable[[LanguageModel, Workload], Shard]

MTP, EAGLE, N_GRAM = "mtp", "eagle", "n-gram"
#: drafts of these names are no models of their own; else a draft is a model
DRAFTS = (MTP, EAGLE, N_GRAM)
#: what the names of a draft's rows begin with, and what follows in those of its later passes
DRAFT, NEXT = "draft_", "next_"


#: fields of a workload that say how a step speculates
DRAFTING = ("speculative", "acceptance", "draft")


class Draft(NamedTuple):
    """What drafts: a model, and whether it is a head over the hidden states of another, whose tables it takes."""

    model: LanguageModel
    head: bool


def speculates(work: Workload) -> bool:
    """Return whether a step verifies drafted tokens at any point."""
    return anywhere(work.speculative > 0.0)


def check_phase(work: Workload) -> None:
    """Raise SpecError where a step is asked for drafts or for parts of prompts, and its phase has none."""
    if work.phase != "mixed" and anywhere(work.prefill_tokens > 0.0):
        raise SpecError(f"prefill_tokens are of a mixed step, and the phase is {work.phase}; ask for phase mixed")
    if work.phase == "prefill" and speculates(work):
        raise SpecError("speculative is of decode and mixed steps: a prefill has nothing to draft; leave it out")


def drafts_of(
    speculative: Number = 0.0, acceptance: Number | None = None, draft: str | LanguageModel = ""
) -> dict[str, Any]:
    """Return how the decode steps of a server or a rented instance speculate: numbers; empty where they do not.

    Raises
    ------
    SpecError
        If it is an axis, or no share is given of tokens that are drafted, or one is given for none.

    Examples
    --------
    >>> drafts_of(speculative=3, acceptance=0.7)
    {'speculative': 3.0, 'acceptance': 0.7, 'draft': ''}
    >>> drafts_of()
    {}
    """
    many = one("speculative", speculative, Quantity(ge=0.0, le=1e3, whole=True))
    share = one("acceptance", acceptance or 0.0, Quantity(ge=0.0, le=1.0))
    if not many:
        if share or draft:
            raise SpecError("acceptance and draft need speculative, such as 3: how many tokens are drafted")
        return {}
    if acceptance is None:
        raise SpecError("speculative needs acceptance, such as 0.8: what share of drafted tokens is taken")
    return {"speculative": many, "acceptance": share, "draft": draft}


def tokens_per_step(work: Workload) -> Number:
    """Return the tokens that a step is expected to yield for each sequence [token].

    Of ``K`` drafted tokens each is taken with probability ``A`` where all before it were, and the step itself yields
    one more: ``(1 - A^(K + 1)) / (1 - A)``.

    Notes
    -----
    Source: Leviathan et al., arXiv 2211.17192, equation 1, which takes acceptances as independent and alike; those of
    later tokens are lower, so that for long drafts it is optimistic where ``A`` is that of the first.

    Examples
    --------
    >>> tokens_per_step(Workload("decode", 1.0, 1024.0, speculative=3.0, acceptance=0.5))
    1.875
    """
    whole = (work.acceptance >= 1.0) * 1.0
    share = work.acceptance * (1.0 - whole)
    longest = work.speculative + 1.0
    return whole * longest + (1.0 - whole) * (1.0 - share**longest) / (1.0 - share)


def tokens_yielded(work: Workload) -> Number:
    """Return the tokens that a step yields for each sequence: of its answer, of a prefill those of its prompt [token].

    Examples
    --------
    >>> tokens_yielded(Workload("prefill", 1.0, 4096.0, prefix=1024.0))
    3072.0
    """
    return work.context - work.prefix if work.phase == "prefill" else tokens_per_step(work)


def drafter(model: LanguageModel, work: Workload) -> str:
    """Return the name of what drafts for a model; "" where nothing does.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> drafter(load("model", "deepseek-v3"), Workload("decode", 1.0, 1024.0, speculative=1.0))
    'mtp'
    """
    if not speculates(work):
        return ""
    if isinstance(work.draft, LanguageModel):
        return work.draft.name
    return work.draft or (MTP if _predicts(model) else EAGLE)


def _predicts(model: LanguageModel) -> bool:
    return anywhere(model.predictors > 0.0)


def draft_of(model: LanguageModel, work: Workload) -> Draft | None:
    """Return what drafts for a model; None where nothing does, or what costs nothing.

    Raises
    ------
    SpecError
        If the model has no modules that predict further tokens and they are asked to, or the draft is unknown.
    """
    name = drafter(model, work)
    if name in ("", N_GRAM):
        return None
    if name == MTP and not _predicts(model):
        raise SpecError(
            f"draft mtp: {model.name} has no modules that predict further tokens; take {EAGLE}, {N_GRAM} or the name "
            "of a model"
        )
    if name in (MTP, EAGLE):
        return Draft(_one_layer(model, name), True)
    return Draft(work.draft if isinstance(work.draft, LanguageModel) else as_model(name), False)


def draft_notes(model: LanguageModel, work: Workload) -> list[str]:
    """Return what to know of the draft of a step; nothing where nothing drafts.

    Raises
    ------
    SpecError
        As ``draft_of``, and if a draft model has fewer heads than tensor ranks.
    """
    name, draft = drafter(model, work), draft_of(model, work)
    if not name:
        return []
    taken = f"{name} drafts" if work.draft else f"{name} drafts, since no other draft is named"
    notes = [f"{taken}; of {_span(work.speculative)} drafted tokens {_span(tokens_per_step(work) - 1.0)} are taken"]
    if draft is not None and not draft.head:
        heads = min(float(np.min(np.asarray(kind_heads))) for kind_heads in _heads_of(draft.model))
        if anywhere(work.tp > heads):
            raise SpecError(f"tp above the {heads:g} heads of the draft {name}; lower tp, or take another draft")
        if draft.model.max_context and anywhere(work.context > draft.model.max_context):
            notes.append(f"context exceeds the {draft.model.max_context:g} tokens {name} was trained for")
        if anywhere(draft.model.vocabulary != model.vocabulary):
            notes.append(f"{name} has another vocabulary than {model.name}, for which vLLM would refuse it")
    return notes


def _heads_of(model: LanguageModel) -> list[Number]:
    return [getattr(kind, "heads", model.heads) for kind in mixers(model)]


def _span(values: Number) -> str:
    """Return a number as text, or the ends of those along axes."""
    low, high = float(np.min(np.asarray(values))), float(np.max(np.asarray(values)))
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"


def speculation(model: LanguageModel, work: Workload) -> dict[str, str]:
    """Return how a step speculates, for the attributes of an answer; nothing where it does not."""
    if not speculates(work):
        return {}
    asked = {name: json_value(getattr(work, name)) for name in ("speculative", "acceptance")}
    return {"speculation": json.dumps({**asked, "draft": drafter(model, work)})}


def _one_layer(model: LanguageModel, name: str) -> LanguageModel:
    """Return a model of one layer: like the last that a model lists, its attention whole, an EAGLE's mlp dense."""
    mixing, working = mixers(model), perceptrons(model)
    whole: list[Mixer] = [
        kind for kind in mixing if isinstance(kind, Latent) or (isinstance(kind, Grouped) and _sees_all(kind))
    ]
    mixer: Mixer = replace((whole or list(mixing))[-1], layers=1.0)
    mlp: tuple[Mlp, ...] = tuple(replace(kind, layers=1.0) for kind in working[-1:])
    if name == EAGLE and working:
        mlp = (Dense("dense", 1.0, _dense_width(working), model.gated),)
    none: dict[str, Any] = dict.fromkeys(_LEFT_OUT, 0.0)
    return replace(model, name=f"{model.name}-{name}", layers=1.0, attention=(mixer,), mlp=mlp, **none)


#: fields of a model that lists of its layers tell, and what a head over it has not
_LEFT_OUT = (
    "window", "window_layers", "q_lora_rank", "kv_lora_rank", "qk_rope_dim", "qk_nope_dim", "v_head_dim", "experts",
    "experts_per_token", "expert_ffn", "shared_experts", "shared_expert_ffn", "dense_layers",
    "other_parameters", "tower_parameters", "predictors",
)  # fmt: skip


def _sees_all(kind: Grouped) -> bool:
    return kind.kind == "full"


def _dense_width(working: tuple[Mlp, ...]) -> Number:
    """Return the width of a dense mlp of a model; where it has none, what a token uses of its experts."""
    for kind in working:
        if isinstance(kind, Dense):
            return kind.width
    return sum(kind.used * kind.width for kind in working[-1:] if isinstance(kind, Experts))


def drafting(draft: Draft, work: Workload) -> tuple[Workload, Workload]:
    """Return the first pass of a draft, over all tokens of a step, and a later one, over the token it has just drafted.

    Engines draft so (vLLM, SGLang): the first pass writes the keys of what was verified.  A draft works on the devices
    of the last pipeline stage, a draft model at the precision of its own files.
    """
    cut: dict[str, Any] = {"pp": 1.0, "batch": ceil_div(work.batch, work.pp), "draft": "", "acceptance": 0.0}
    cut["prefill_tokens"] = ceil_div(work.prefill_tokens, work.pp)
    if not draft.head:
        cut |= {"weight_bits": 0.0, "activation_bits": 0.0, "weight_format": "", "activation_format": ""}
        if not any(isinstance(kind, Experts) for kind in perceptrons(draft.model)):
            cut["ep"] = 1.0
    first = replace(work, **cut)
    later = replace(first, phase="decode", prefix=0.0, prefill_tokens=0.0, speculative=0.0)
    return first, later


def draft_rows(model: LanguageModel, work: Workload, rows: RowsOf, cut: CutOf = shard) -> Iterator[CountedRow]:
    """Yield the rows that a draft adds to a step: a first pass, and one for each further token that it drafts.

    Parameters
    ----------
    model, work
        What is drafted for, and its step.
    rows, cut : callable
        Return the rows of whole steps of any model, and what a device does of them.
    """
    draft = draft_of(model, work)
    if draft is None:
        return
    first, later = drafting(draft, work)
    passes = (
        (DRAFT, least(work.speculative, 1.0), first),
        (DRAFT + NEXT, most(work.speculative - 1.0, 0.0), later),
    )
    for prefix, times, asked in passes:
        if not anywhere(times > 0.0):
            continue
        part = cut(draft.model, asked)
        # of each sequence the token after the last that is taken
        part = replace(part, logits=part.logits - part.sequences * asked.speculative)
        if draft.head:
            for name, count, columns in _joined(draft.model, part):
                yield prefix + name, count * times, columns
        for name, count, columns in rows(draft.model, asked, part):
            yield prefix + name, count * times, columns


def _joined(model: LanguageModel, part: Shard) -> Iterator[CountedRow]:
    """Norms of a token's embedding and hidden state, and the projection of both to one; each tensor rank does it whole.

    DeepSeek-V3 (arXiv 2412.19437), section 2.2, equation 21; EAGLE (arXiv 2401.15077), section 4.1.
    """
    yield "input_norms", 2.0, norm(model, part)
    yield "input_projection", 1.0, matmul(part.tokens, model.hidden, 2.0 * model.hidden, part.at("tables"))


def joined_weights(model: LanguageModel, part: Shard) -> Number:
    """Return the bytes of the projection before the layer of a head, less those of tables, which it has none of [B]."""
    tables = part.vocabulary * (1.0 if model.tied_embeddings else 2.0)
    return (2.0 * model.hidden - tables) * model.hidden * part.at("tables").weight
