"""Invariants of a prompt whose KV cache is stored: limits of Cake, and bounds of every policy."""

from __future__ import annotations

import math
from dataclasses import replace

from accelmodel.kvcache.evaluate import Inputs, prompt_at, step_curve
from accelmodel.kvcache.policies import POLICIES
from accelmodel.kvcache.prompt import Prompt
from accelmodel.testing.case import Stored
from accelmodel.testing.steps import Broken, slower

#: no byte comes in the time that any prompt takes [B/s]
_NOTHING = 1.0


def prompt_of(case: Stored) -> Prompt:
    """Return the prompt of a case, as the policies take it."""
    inputs = Inputs(
        case.model, case.cluster, case.tier, [case.tokens], [case.bandwidth], [case.utilisation], [0.0], case.tp
    )
    bits = inputs.precisions[0]
    at = {"tokens": case.tokens, "utilisation": case.utilisation, "kv_bits": bits}
    return prompt_at(inputs, step_curve(inputs, bits), {**at, "bandwidth_bytes_per_s": case.bandwidth})


def slack(prompt: Prompt) -> float:
    """Return what the size of steps and requests may cost: one of each, and the tail [s]."""
    load = prompt.loading
    state = load.state_bytes / load.rate
    return float(prompt.computing.times.max()) * 1.1 * load.slowdown + load.chunk_time + load.last + state


def _two(says: str, case: Stored, values: tuple[float, float]) -> Broken:
    return Broken(says, (case.command,) * 2, values)


def nothing_loaded_is_all_computed(case: Stored) -> Broken | None:
    """Where storage brings nothing, Cake computes all of the prompt."""
    prompt = prompt_of(case)
    slow = replace(prompt, loading=replace(prompt.loading, bandwidth=_NOTHING))
    ours, alone = POLICIES["cake"](slow), POLICIES["compute_only"](slow)
    if not math.isclose(ours, alone, rel_tol=1e-6):
        return _two("storage brings nothing, and Cake is not computing alone", case, (ours, alone))
    return None


def all_loaded_at_once_is_loading_alone(case: Stored) -> Broken | None:
    """Where storage brings all at once, Cake loads all that is stored."""
    prompt = prompt_of(case)
    load = replace(prompt.loading, bandwidth=math.inf, latency=0.0, compression=1.0, decompression_rate=math.inf)
    load = replace(load, copy_rate=math.inf)
    ours, alone = (POLICIES[name](replace(prompt, loading=load)) for name in ("cake", "load_only"))
    if not math.isclose(ours, alone, rel_tol=1e-6):
        return _two("storage brings all at once, and Cake is not loading alone", case, (ours, alone))
    return None


def nothing_beats_the_oracle(case: Stored) -> Broken | None:
    """No policy is faster than the best plan of one who knows the rates."""
    prompt = prompt_of(case)
    best = POLICIES["oracle"](prompt)
    for name, policy in POLICIES.items():
        if slower(best, time := policy(prompt)):
            return _two(f"{name} is faster than the oracle", case, (time, best))
    return None


def both_are_never_slower_than_one(case: Stored) -> Broken | None:
    """Cake is within a step and a chunk of the better of computing and loading."""
    prompt = prompt_of(case)
    single = min(POLICIES["compute_only"](prompt), POLICIES["load_only"](prompt))
    ours = POLICIES["cake"](prompt)
    if slower(ours, single + slack(prompt)):
        return _two("Cake is slower than one resource alone", case, (ours, single))
    return None


def faster_storage_is_never_slower(case: Stored) -> Broken | None:
    """Faster storage never takes longer, but for a step and a chunk of Cake."""
    prompt, faster = prompt_of(case), replace(case, bandwidth=case.bandwidth * case.factor)
    other = prompt_of(faster)
    for name, spare in (("cake", slack(prompt)), ("load_only", 0.0), ("oracle", 0.0), ("layerwise", 0.0)):
        before, after = POLICIES[name](prompt), POLICIES[name](other)
        if slower(after, before + spare):
            says = f"{name} is slower with faster storage"
            return Broken(says, (case.command, faster.command), (before, after))
    return None
