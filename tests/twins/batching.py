"""Slow twin of the serving simulation: one server, step after step, every request an object."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Request:
    """Tokens of a prompt and those that are computed, tokens of its answer, and when steps brought some of them [s]."""

    prompt: int
    answer: int
    arrival: float
    ready: float = np.inf
    computed: int = 0
    tokens: list[float] = field(default_factory=list)


def along(table, x):
    """Return a table over powers of two at x on its first axis: linear between them, and on beyond the last."""
    low = min(int(np.log2(x)), len(table) - 2)
    part = x / 2.0**low - 1.0
    return (1.0 - part) * table[low] + part * table[low + 1]


def prompt_chunks(requests, budget):
    """Compute prompts in order; return the chunks as pairs (new tokens, tokens there before)."""
    chunks = []
    for each in requests:
        taken = min(each.prompt - each.computed, budget)
        if taken > 0:
            chunks.append((taken, each.computed))
        each.computed += taken
        budget -= taken
    return chunks


def steps(request):
    """Return the decode steps that a request has had, each of which brings as many tokens as the rules say."""
    return len(request.tokens) - 1


def served(traffic, times, rules):
    """Return the requests with the times of their tokens."""
    coming = [Request(int(p), int(a), float(t)) for t, p, a in zip(*traffic, strict=True)]
    requests = list(coming)
    queue, admitted, host, now = [], [], 0.0, 0.0
    quiet = held = looked = 0

    def arrive(request, time):
        nonlocal host
        request.arrival = time
        host = request.ready = max(time + rules.entry, host) + rules.entry_token * request.prompt
        queue.append(request)

    while coming and np.isfinite(coming[0].arrival):
        arrive(coming[0], coming.pop(0).arrival)
    mixed = rules.max_num_batched_tokens > 0 and not rules.apart
    while queue or admitted:
        decoding = [each for each in admitted if each.tokens]
        if not decoding or (quiet >= rules.patience and held >= rules.gather and looked >= rules.poll):
            looked = 0
            while queue and queue[0].ready <= now and len(admitted) < rules.max_num_seqs:
                if sum(each.prompt + each.answer for each in [*admitted, queue[0]]) > rules.room:
                    break
                admitted.append(queue.pop(0))
                quiet = held = 0
        if not admitted:
            now = max(now, queue[0].ready)
            continue
        held = held + 1 if queue and queue[0].ready <= now else 0
        budget = (
            rules.max_num_batched_tokens - mixed * rules.rows * len(decoding) if rules.max_num_batched_tokens else 10**9
        )
        waiting = [each for each in admitted if not each.tokens]
        chunks = prompt_chunks(waiting, max(budget, 1))
        if chunks and not mixed:
            decoding = []
        looked = rules.poll if chunks else looked + 1
        begun = [each for each in waiting if each.computed == each.prompt]
        device = sum(along(along(times.prompt_attention, new), before + 1.0) for new, before in chunks)
        if decoding:
            quiet += 1
            context = np.mean([each.prompt + 2 + (len(each.tokens) - 1) * rules.yields for each in decoding])
            device += along(along(times.decode_attention, len(decoding)), context)
        device += along(times.other, sum(new for new, _ in chunks) + rules.rows * len(decoding))
        tokens = sum(new for new, _ in chunks) + rules.rows * len(decoding)
        launched = 0.0 if tokens <= rules.captured else rules.fixed
        now += max(device, launched) if rules.overlapped else device + launched
        now += rules.step + rules.each * len(decoding) + rules.prompt * len(begun)
        for each in [*decoding, *begun]:
            each.tokens.append(now)
        for each in [
            each for each in admitted if len(each.tokens) and steps(each) >= (each.answer - 1) / rules.yields - 1e-9
        ]:
            admitted.remove(each)
            if coming:
                arrive(coming.pop(0), now)
    return requests
