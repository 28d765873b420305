"""What an engine's host adds to a step: the time that devices wait for it, in which they draw what they do at rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from accelmodel.inference.attributes import behind
from accelmodel.inference.energy import at_rest
from accelmodel.inference.figures import Figures, Variable
from accelmodel.inference.inputs import Inputs
from accelmodel.laws.energy import waited
from accelmodel.laws.numeric import Number
from accelmodel.specs.cloud import Engine
from accelmodel.specs.facts import weakest
from accelmodel.units import show

#: rates and times of a token, which the waiting time belongs to
_SLOWER = ("tpot", "ttft")
_FEWER = ("tokens_per_s", "prefill_tokens_per_s")


def host_work(engine: Engine, layers: Number, batch: Number) -> Number:
    """Return what the host does for a step [s]: launches of its layers, and scheduling and sampling of its sequences.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> round(host_work(load("engine", "in-flight"), 32.0, 64.0) * 1e3, 9)
    1.28
    """
    return engine.layer_time * layers + engine.sequence_time * batch


def with_host(found: Figures, inputs: Inputs, engine: Engine) -> Figures:
    """Return a step with the time that its devices wait for the host of an engine.

    Parameters
    ----------
    found : Figures
        What ``inference.step.figures`` returns.
    inputs : Inputs
        Of the same step.
    engine : Engine
        Its ``layer_time`` and ``sequence_time`` are the host's work, of which an ``overlapped`` host adds only what is
        longer than the step.

    Returns
    -------
    Figures
        With ``host_time`` [s], which times of a token, rates and energy include, and ``power`` over all of the time;
        ``step_time`` is that of the devices, as before.

    Notes
    -----
    Of the engine's rules only these two times: batching, prompts and the draft's launches are those of ``serve``.
    """
    names = inputs.axes.names
    work = inputs.over_axes(host_work(engine, inputs.model.layers, inputs.work.batch))
    step = found["step_time"]
    host = work if engine.host == "serial" else np.maximum(work - step, 0.0)
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
    busy = step * found["power_stretch"]
    static = at_rest(inputs)
    ends = ("step_energy", "step_energy_lower", "step_energy_upper")
    for name, rest in zip(ends, static, strict=True):
        put(name, found[name] + rest * host)
    put("power", waited(found["power"], static[0], busy, host))
    put("joules_per_token", found["joules_per_token"] * variables["step_energy"][1] / found["step_energy"])
    about = {**found.attributes, "engine": engine.name, **_about(found.attributes, behind({"engine": engine}))}
    least, most = (show(float(end), "s") for end in (host.min(), host.max()))
    span = least if least == most else f"{least} to {most}"
    said = f"the host of {engine.name} adds {span} to the step, in which its devices draw what they do at rest"
    about["notes"] = "; ".join(filter(None, (found.attributes["notes"], said)))
    return replace(found, variables=variables, attributes=about)


def _about(step: Mapping[str, str], engine: Mapping[str, str]) -> dict[str, str]:
    """Return digests, sources and the weakest fact of both."""
    return {
        "digests": f"{step['digests']}, {engine['digests']}",
        "sources": ", ".join(sorted({*step["sources"].split(", "), *engine["sources"].split(", ")})),
        "weakest_fact": weakest((step["weakest_fact"], engine["weakest_fact"])),
    }
