"""Invariants of a rented server and of the engine on it: sound numbers, and nothing better for more to do."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from accelmodel.cloud.hosting import Setup, host
from accelmodel.cloud.infersave import Task
from accelmodel.errors import Infeasible
from accelmodel.specs.cloud import Engine, Instance
from accelmodel.specs.given import override
from accelmodel.specs.language_model import LanguageModel
from accelmodel.testing.case import written
from accelmodel.testing.steps import Broken, slower


@dataclass(frozen=True, repr=False)
class Rented:
    """A batch of requests on a rented server, that an invariant is tried on.

    Attributes
    ----------
    instance, engine, model
        What is rented, and what serves which model on it.
    batch, prompt, answer
        Requests at once [1], tokens of a prompt and of an answer [token].
    factor, names
        As of a ``Case``.
    """

    instance: Instance
    engine: Engine
    model: LanguageModel
    batch: int
    prompt: int
    answer: int
    factor: float = 2.0
    names: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<{self.command}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Show an example as its command, in what Hypothesis prints too."""
        printer.text(repr(self))

    @property
    def command(self) -> str:
        """The command line that asks the same; an instance needs a price, in its file or with ``--prices``."""
        words = ["accelmodel", "instances", "--instance", self.names.get("instance", self.instance.name), "--only"]
        words += ["--engine", self.names.get("engine", self.engine.name)]
        words += ["--model", self.names.get("model", self.model.name), "--batch", written(self.batch)]
        return shlex.join([*words, "--input", written(self.prompt), "--output", written(self.answer)])


def _hosted(case: Rented) -> Any:
    task = Task(np.array([float(case.batch)]), case.prompt, case.answer)
    found = host(case.model, [case.instance], task, Setup(case.engine)).isel(instance=0, batch=0)
    if not bool(found.feasible):
        raise Infeasible(f"{case.model.name} does not fit {case.instance.name}")
    return found


def _time(case: Rented) -> float:
    """Return what a batch takes from its first prompt to its last token [s]."""
    return case.batch * (case.prompt + case.answer) / float(_hosted(case).tps_total)


def a_server_gives_sound_numbers(case: Rented) -> Broken | None:
    """Every number of a rented server is finite and not negative, and it yields tokens."""
    found = _hosted(case)
    for name, values in found.data_vars.items():
        value = values.item()
        if isinstance(value, float) and not (math.isfinite(value) and value >= 0.0):
            return Broken(f"{name} is no number of its kind", (case.command,), (value,), values.attrs["units"])
    rate = float(found.tps_total)
    return Broken("no tokens come", (case.command,), (rate,), "token/s") if rate <= 0.0 else None


def more_requests_are_never_done_sooner(case: Rented) -> Broken | None:
    """A batch of more, or of longer, requests is never done sooner on a rented server."""
    before = _time(case)
    for name in ("batch", "prompt", "answer"):
        more = replace(case, **{name: math.ceil(getattr(case, name) * case.factor)})
        try:
            after = _time(more)
        except Infeasible:
            continue
        if slower(before, after):
            return Broken(f"it is done sooner with a larger {name}", (case.command, more.command), (before, after))
    return None


def a_faster_host_is_never_slower(case: Rented) -> Broken | None:
    """A rented server with faster ways to host memory is never slower."""
    rates = ("load_bandwidth", "store_bandwidth")
    faster = override(case.instance, {name: getattr(case.instance, name) * case.factor for name in rates})
    before, after = _time(case), _time(replace(case, instance=faster))
    if slower(after, before):
        return Broken("it is slower with a faster way to the host", (case.command,) * 2, (before, after))
    return None
