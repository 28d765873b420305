"""What bounds the steps of a rented instance, and how far their times may be off."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from accelmodel.cloud.hosting import Setup, devices_of
from accelmodel.inference.hosted import host_rules, on_cpu, spread
from accelmodel.inference.speculation import DRAFT
from accelmodel.inference.step import evaluate, prepare
from accelmodel.laws.kernels.batching import step_time
from accelmodel.serving.simulate import layers_run, yielded
from accelmodel.specs.cloud import Engine, Instance
from accelmodel.specs.given import workload
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.workload import Phase

#: what bounds a step beside its device: KV cache that comes over the host's link, and the engine on the host
HOST_LINK, ENGINE = "host link", "engine"
#: memory that holds every batch: what is offloaded leaves the device's own time as it is [B]
_ROOMY = 1e18


class DeviceStep(NamedTuple):
    """A step on the device alone.

    Attributes
    ----------
    parts : dict of str to float
        Time of the operators by what bounds them [s].
    lower, upper : float
        Factors of their sum between which nine of ten measured times lie [1].
    """

    parts: dict[str, float]
    lower: float
    upper: float

    @property
    def time(self) -> float:
        """Time of the step on the device [s]."""
        return sum(self.parts.values())


def sequences(instance: Instance, tp: int, batch: float) -> float:
    """Return the sequences of the busiest replica where ``tp`` devices of an instance work together [1]."""
    return max(float(np.ceil(batch / (float(instance.devices) / tp))), 1.0)


def device_step(
    model: LanguageModel, chips: Cluster, setup: Setup, phase: Phase, batch: float, context: float
) -> DeviceStep:
    """Return a step of devices that all work together, attention as long as the engine makes it.

    With drafts of a token, of which a step yields several.
    """
    drafts = setup.drafts if phase == "decode" else {}
    work = workload(phase=phase, batch=batch, context=context, tp=chips.devices, **setup.bits, **drafts)
    roomy = dataclasses.replace(chips.device, hbm=dataclasses.replace(chips.device.hbm, capacity=_ROOMY))
    step = evaluate(prepare(model, dataclasses.replace(chips, device=roomy), work))
    factor = float(setup.engine.attention_factor) if phase == "decode" else 1.0
    parts: dict[str, float] = {}
    for time, bound, name in zip(step.time.values, step.bound.values, step.operator.values, strict=True):
        if time:
            longer = factor if name.removeprefix(DRAFT).startswith("attention") and "norm" not in name else 1.0
            longer /= yielded(drafts) * float(setup.engine.efficiency)
            parts[str(bound)] = parts.get(str(bound), 0.0) + float(time) * longer
    whole = float(step.step_time)
    return DeviceStep(parts, float(step.step_time_lower) / whole, float(step.step_time_upper) / whole)


def bound_of(step: DeviceStep, time: float, loads: float) -> str:
    """Return what takes most of a decode step of ``time`` [s], of which ``loads`` comes over the host's link [s]."""
    beside = {HOST_LINK: loads, ENGINE: time - loads - step.time}
    parts = {**step.parts, **beside}
    return max(parts, key=lambda name: parts[name])


def span(step: DeviceStep, time: float, engine: tuple[float, float] = (0.0, 0.0)) -> tuple[float, float]:
    """Return the ends of the interval of a time that holds a step of the device [s].

    Parameters
    ----------
    step : DeviceStep
    time : float
        What is between the ends [s].
    engine : tuple of float
        How much less and more its engine may add [s], as ``hosted.spread`` says; the rest is taken as exact.

    Examples
    --------
    >>> span(DeviceStep({"hbm": 2.0}, 0.5, 1.5), 3.0)
    (2.0, 4.0)
    >>> span(DeviceStep({"hbm": 6.0}, 0.5, 1.5), 10.0, (0.0, 4.0))
    (7.0, 15.0)
    """
    low, high = step.time * (1.0 - step.lower), step.time * (step.upper - 1.0)
    return max(time - math.hypot(low, engine[0]), 0.0), time + math.hypot(high, engine[1])


def engine_span(
    model: LanguageModel, instance: Instance, setup: Setup, step: DeviceStep, asked: tuple[float, float, float]
) -> tuple[float, float]:
    """Return how much less and more the engine on an instance may add to a step [s].

    Parameters
    ----------
    asked : tuple of float
        Sequences that decode in the step, prompts that it finishes [1], and its tokens [token].
    """
    alone = step.time * float(setup.engine.efficiency)

    def added(engine: Engine) -> Any:
        whole = alone / float(engine.efficiency)
        return np.asarray(step_time(whole, *asked, host_rules(engine, layers_run(model, setup.drafts))))

    less, more = spread(on_cpu(setup.engine, instance.cpu), added, bool(instance.cpu))
    return float(less), float(more)


def steps_of(
    model: LanguageModel, instance: Instance, setup: Setup, lengths: tuple[int, int], row: Mapping[str, float]
) -> tuple[DeviceStep, DeviceStep]:
    """Return the prefill of a replica's share of a batch, and a decode step of it in the middle of the answer.

    Parameters
    ----------
    lengths : tuple of int
        Tokens of a prompt and of an answer [token].
    row : mapping
        ``tp``, and the ``batch`` on the whole instance [1]; ``prompts`` that are computed together, all by default.
    """
    prompt, answer = lengths
    tp = int(row["tp"])
    chips = devices_of(instance, tp)
    first = sequences(instance, tp, row.get("prompts", row["batch"]))
    later = sequences(instance, tp, row["batch"])
    return (
        device_step(model, chips, setup, "prefill", first, prompt),
        device_step(model, chips, setup, "decode", later, round(prompt + answer / 2.0)),
    )
