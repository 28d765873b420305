"""What an engine's host adds to a step: the time that devices wait for it, in which they draw what they do at rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from accelmodel.errors import SpecError, brief
from accelmodel.inference.attributes import behind
from accelmodel.inference.energy import at_rest
from accelmodel.inference.figures import Figures, Variable
from accelmodel.inference.inputs import Inputs
from accelmodel.laws.energy import waited
from accelmodel.laws.kernels.batching import Rules, step_time
from accelmodel.laws.numeric import Number
from accelmodel.specs.cloud import Engine
from accelmodel.specs.facts import weakest
from accelmodel.specs.load import load
from accelmodel.units import show

#: rates and times of a token, which the waiting time belongs to
_SLOWER = ("tpot", "ttft")
_FEWER = ("tokens_per_s", "prefill_tokens_per_s")


#: what the host of an engine takes, and what a faster thread shortens
TIMES = ("step_time", "layer_time", "sequence_time", "prompt_time", "entry_time")


def on_cpu(engine: Engine, cpu: str) -> Engine:
    """Return an engine whose host runs on a processor; as it is where either is not known.

    Parameters
    ----------
    engine : Engine
    cpu : str
        Name or path of a ``cpu``; empty where nobody says.

    Returns
    -------
    Engine
        With all times of its host x the single thread of its own processor / that of this one.

    Raises
    ------
    SpecError
        If the name is unknown.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> slow = on_cpu(load("engine", "vllm"), "xeon-8259cl")
    >>> round(slow.step_time / load("engine", "vllm").step_time, 3)  # 3.8 GHz x 1.4 over 3.5 GHz x 1
    1.52
    """
    if not isinstance(engine, Engine):
        raise SpecError(f"engine must be load('engine', name), not {brief(engine)}")
    if not cpu or not engine.cpu:
        return engine
    slower = load("cpu", engine.cpu).single_thread / load("cpu", cpu).single_thread
    return replace(engine, **{name: getattr(engine, name) * slower for name in TIMES}, cpu=cpu)


def _times(engine: Engine, layers: Number) -> tuple[Any, ...]:
    return engine.layer_time * layers, engine.sequence_time, engine.prompt_time, engine.entry_time, engine.step_time


def host_rules(engine: Engine, layers: Number) -> Rules:
    """Return the rules of an engine with what its host takes for a model of ``layers`` layers; nothing else in them.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> round(host_rules(load("engine", "flexgen"), 32.0).fixed * 1e3, 6)
    9.568
    """
    captured: Any = engine.graph_tokens if engine.launch == "graph" else 0.0
    launch, sequence, prompt, entry, step = _times(engine, layers)
    return Rules(
        0, 0.0, 0, 0, launch, sequence, prompt, engine.host == "overlapped", entry, step=step, captured=captured
    )  # fmt: skip


def prompt_tokens(engine: Engine, tokens: Any) -> Any:
    """Return the tokens of a step of prompts by which a graph may hold it: more than any where they are apart.

    Graphs are captured of decode steps; engines that mix take those for a few tokens of prompts too.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> [float(prompt_tokens(load("engine", name), 128.0)) for name in ("vllm", "sglang")]
    [128.0, inf]
    """
    return tokens + (np.inf if engine.prompts == "apart" else 0.0)


def host_time(engine: Engine, inputs: Inputs, device: Any) -> Any:
    """Return how much longer than its kernels a step is in an engine [s], over the axes.

    Parameters
    ----------
    engine : Engine
    inputs : Inputs
        Of the step.
    device : ndarray
        Time of its kernels alone [s].
    """
    work, rules = inputs.work, host_rules(engine, inputs.model.layers)
    prompts = inputs.over_axes(work.batch) if work.phase == "prefill" else 0.0
    sequences = 0.0 if work.phase == "prefill" else inputs.over_axes(work.batch)
    rows = (1.0 + inputs.over_axes(work.speculative)) * sequences
    new = inputs.over_axes(work.context - work.prefix) * prompts + inputs.over_axes(work.prefill_tokens)
    if work.phase == "prefill":
        new = prompt_tokens(engine, new)
    within: Any = step_time
    return within(device / engine.efficiency, sequences, prompts, rows + new, rules) - device


#: engines of streams, one of which serves where nobody says which
STREAMS = ("in-flight", "vllm", "sglang", "tensorrt-llm")
#: processors between which one lies of which nothing is said
_UNSAID = ("xeon-e5-2690-v4", "epyc-9374f")


def spread(engine: Engine, added: Callable[[Engine], Any], said: bool = False) -> tuple[Any, Any]:
    """Return how much less and more an engine may add than its constants say [s].

    Parameters
    ----------
    engine : Engine
    added : callable
        What an engine adds to a step [s].
    said : bool
        Whether somebody says on which processor it runs; else also the slowest and the fastest that is usual.

    Returns
    -------
    tuple
        Each constant at the ends of its range, the differences in quadrature, as those of kinds of operators.
    """
    middle = added(engine)
    ends = [
        added(replace(engine, **{name: end}))
        for name in (*TIMES, "efficiency")
        for end in getattr(engine.facts.get(name), "range", None) or ()
    ]
    if not said and engine.cpu:
        ends += [added(on_cpu(engine, name)) for name in _UNSAID]
    less, more = (
        np.sqrt(sum((np.maximum(sign * (end - middle), 0.0) ** 2 for end in ends), 0.0 * middle))
        for sign in (-1.0, 1.0)
    )
    return less, more


def _put_ends(found: Figures, names: Any, less: Any, more: Any) -> dict[str, Variable]:
    """Return where the ends of the time of a token lie beside it: those of the kernels, and of the engine [s]."""
    step = found["step_time"]
    low, high = step - found["step_time_lower"], found["step_time_upper"] - step
    differences: dict[str, Variable] = {}
    for name in _SLOWER:
        if name in found.variables:
            yielded = step / found[name]
            for side, off in (("lower", -np.hypot(low, less)), ("upper", np.hypot(high, more))):
                differences[f"{name}_{side}"] = (names, off / yielded)
    return differences


def without_host(found: Figures, inputs: Inputs) -> Figures:
    """Return a step of which nobody says what serves it, with ends of its times that hold the engines of streams.

    Parameters
    ----------
    found : Figures
        What ``inference.step.figures`` returns.
    inputs : Inputs
        Of the same step.

    Returns
    -------
    Figures
        With ``tpot_lower`` and ``tpot_upper``, or ``ttft_lower`` and ``ttft_upper`` [s]; times are the kernels'.
    """
    step = found["step_time"]

    def added(engine: Engine) -> Any:
        return np.broadcast_to(host_time(engine, inputs, step), step.shape)

    most = np.max([added(each) + spread(each, added)[1] for each in (load("engine", name) for name in STREAMS)], axis=0)
    ends = _put_ends(found, inputs.axes.names, 0.0 * step, most)
    variables = {name: (names, found[name.rpartition("_")[0]] + value) for name, (names, value) in ends.items()}
    return replace(found, variables={**found.variables, **variables})


def with_host(found: Figures, inputs: Inputs, engine: Engine, cpu: str = "") -> Figures:
    """Return a step with the time that its devices wait for the host of an engine.

    Parameters
    ----------
    found : Figures
        What ``inference.step.figures`` returns.
    inputs : Inputs
        Of the same step.
    engine : Engine
        Its times are the host's work: of its launches an ``overlapped`` host adds only what is longer than the step.

    cpu : str
        Name or path of the ``cpu`` that its host runs on; that of the engine's own constants where nobody says.

    Returns
    -------
    Figures
        With ``host_time`` [s], which times of a token, rates and energy include, and ``power`` over all of the time;
        ``step_time`` is that of the devices, as before.  ``tpot`` or ``ttft`` have ends, ``tpot_lower`` and
        ``tpot_upper``: those of the devices, and the engine's constants at the ends of their ranges.

    Raises
    ------
    SpecError
        If a processor is given for an engine that states none of its own.

    Notes
    -----
    Of the engine's rules only these times: batching, waiting and the draft's launches are those of ``serve``.
    """
    if cpu and not engine.cpu:
        raise SpecError(
            f"cpu {cpu}: {engine.name} does not state on which processor its times were found, so that another one "
            "cannot be told; give cpu in a file of your own, or leave it out"
        )
    names = inputs.axes.names
    step = found["step_time"]
    engine = on_cpu(engine, cpu)

    def added(each: Engine) -> Any:
        return np.broadcast_to(host_time(each, inputs, step), step.shape)

    host = added(engine)
    ends = _put_ends(found, names, *spread(engine, added, bool(cpu)))
    variables: dict[str, Variable] = dict(found.variables)

    def put(name: str, value: Any) -> None:
        variables[name] = (names, np.broadcast_to(value, step.shape))

    put("host_time", host)
    longer = 1.0 + host / step
    for name in _SLOWER:
        if name in variables:
            put(name, found[name] * longer)
    for name in _FEWER:
        if name in variables:
            put(name, found[name] / longer)
    for name, (_, off) in ends.items():
        put(name, np.maximum(variables[name.rpartition("_")[0]][1] + off, 0.0))
    busy = step * found["power_stretch"]
    static = at_rest(inputs)
    taken = ("step_energy", "step_energy_lower", "step_energy_upper")
    for name, rest in zip(taken, static, strict=True):
        put(name, found[name] + rest * host)
    put("power", waited(found["power"], static[0], busy, host))
    put("joules_per_token", found["joules_per_token"] * variables["step_energy"][1] / found["step_energy"])
    about = {**found.attributes, "engine": engine.name, **_about(found.attributes, behind({"engine": engine}))}
    least, most = (show(float(end), "s") for end in (host.min(), host.max()))
    span = least if least == most else f"{least} to {most}"
    on = f" on {engine.cpu}" if engine.cpu else ""
    said = f"the host of {engine.name} adds {span} to the step{on}, in which its devices draw what they do at rest"
    about["notes"] = "; ".join(filter(None, (found.attributes["notes"], said)))
    return replace(found, variables=variables, attributes=about)


def _about(step: Mapping[str, str], engine: Mapping[str, str]) -> dict[str, str]:
    """Return digests, sources and the weakest fact of both."""
    return {
        "digests": f"{step['digests']}, {engine['digests']}",
        "sources": ", ".join(sorted({*step["sources"].split(", "), *engine["sources"].split(", ")})),
        "weakest_fact": weakest((step["weakest_fact"], engine["weakest_fact"])),
    }
