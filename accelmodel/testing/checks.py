"""Checks of one thing of one's own: the invariants tried on it with Hypothesis, the smallest example of a failure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy

from accelmodel.errors import Infeasible, SpecError, unknown
from accelmodel.inference.policies import Technique, chosen
from accelmodel.laws.jit import running
from accelmodel.specs import given as from_given
from accelmodel.specs.hardware import Cluster, Device, Storage
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.link import Link
from accelmodel.specs.load import load
from accelmodel.testing import asked, strategies
from accelmodel.testing.invariants import INVARIANTS
from accelmodel.testing.steps import Broken
from accelmodel.units import show

#: examples that each invariant is tried on
EXAMPLES = 30
Told = Callable[[str, int, int], None]


class BrokenInvariant(AssertionError):
    """An invariant does not hold: the message shows the smallest example as a command line, and the two numbers."""


@dataclass(frozen=True)
class Result:
    """What came of an invariant: how many examples it was tried on, and the smallest one that breaks it."""

    name: str
    words: str
    examples: int
    broken: Broken | None

    @property
    def lines(self) -> list[str]:
        """What broke it, a line each; none where it holds."""
        return [] if self.broken is None else [f"{self.name}: {self.broken.says}", *shown(self.broken)]


def shown(broken: Broken) -> list[str]:
    """Return the commands of the smallest example, each with what it gives."""
    values = [show(value, broken.unit) if math.isfinite(value) else "no number" for value in broken.values]
    if len(set(broken.commands)) == 1:
        return [f"  {broken.commands[0]}", f"  gives {' against '.join(values)}"]
    return [f"  {command}  gives {value}" for command, value in zip(broken.commands, values, strict=True)]


class _Failed(Exception):
    """What tells Hypothesis that an example breaks an invariant."""


def smallest(name: str, cases: SearchStrategy[Any], examples: int = EXAMPLES) -> Result:
    """Try one invariant on examples, the same ones each time, and return the smallest that breaks it.

    Parameters
    ----------
    name : str
        Key of ``INVARIANTS``.
    cases : strategy
        ``cases(...)``, ``stored(...)`` or ``rented(...)``.
    examples : int
        How many are tried [1].

    Raises
    ------
    SpecError
        If there is no such invariant.
    """
    if name not in INVARIANTS:
        raise unknown("invariant", name, INVARIANTS)
    law = INVARIANTS[name].law
    tried = 0
    found: list[Broken] = []

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def holds(case: Any) -> None:
        nonlocal tried
        try:
            broken = law(case)
        except (SpecError, Infeasible):
            reject()
        except ArithmeticError as error:
            broken = Broken(f"fails with {type(error).__name__}: {error}", (case.command,), (math.nan,))
        tried += not found
        if broken is not None:
            found.append(broken)
            raise _Failed

    try:
        holds()
    except _Failed:
        pass
    except Unsatisfiable:
        pass
    return Result(name, INVARIANTS[name].words, tried, found[-1] if found else None)


def tried(
    cases: Mapping[str, SearchStrategy[Any]],
    examples: int = EXAMPLES,
    names: Iterable[str] | None = None,
    told: Told | None = None,
) -> list[Result]:
    """Try all invariants for which there are cases, step or stored; return what came of each, in their order."""
    wanted = [name for name in names or INVARIANTS if name not in INVARIANTS or INVARIANTS[name].of in cases]
    results = []
    with running("compiled"):
        for name in wanted:
            of = INVARIANTS[name].of if name in INVARIANTS else "step"
            results.append(smallest(name, cases[of], examples))
            if told:
                told("invariants", len(wanted), 1)
    return results


def sound(results: Iterable[Result]) -> None:
    """Raise BrokenInvariant with the smallest example of each invariant that does not hold."""
    lines = [line for result in results for line in result.lines]
    if lines:
        raise BrokenInvariant("\n".join(lines))


def cases_of(cluster: Cluster, names: Mapping[str, str] | None = None) -> dict[str, SearchStrategy[Any]]:
    """Return what a cluster is tried on: steps and stored prompts of several models on it."""
    chips = strategies.always(cluster)
    return {
        "step": asked.cases(chips, names=names),
        "stored": asked.stored(chips, names=names),
    }


def check_device(device: str | Device, examples: int = EXAMPLES, invariants: Iterable[str] | None = None) -> None:
    """Try the invariants on a device, on its own link, with several models, workloads and techniques.

    Parameters
    ----------
    device : str or Device
        Name, path, or what ``load`` or ``override`` returns.
    examples : int
        That each invariant is tried on [1].
    invariants : iterable of str, optional
        Keys of ``INVARIANTS``; all by default.

    Raises
    ------
    BrokenInvariant
        An AssertionError that shows the smallest example as a command line, and the numbers that contradict.
    SpecError
        If the file is wrong.

    Examples
    --------
    >>> check_device("h100-sxm", examples=2, invariants=["operators-add-up", "numbers-are-sound"])
    """
    named = {"device": device} if isinstance(device, str) else {}
    sound(tried(cases_of(roomy(from_given.cluster(device)), named), examples, invariants))


def roomy(cluster: Cluster) -> Cluster:
    """Return a cluster of as many devices as hold a model of a billion parameters, where a node does not."""
    room = float(cluster.device.memory.capacity)
    node = float(cluster.devices)
    if room * node > 2e10 or float(cluster.scale_out.devices) < 8 * node:
        return cluster
    return from_given.cluster(
        cluster.device, 8 * node, cluster.link, None if cluster.link.beyond else cluster.scale_out
    )


def check_link(link: str | Link, examples: int = EXAMPLES, invariants: Iterable[str] | None = None) -> None:
    """Try the invariants on a link, between devices of the first of ``strategies.DEVICES``.

    Parameters, errors
    ------------------
    As ``check_device``.

    Examples
    --------
    >>> check_link("nvlink4-switch", examples=2, invariants=["never-below-the-roofline"])
    """
    named = {"link": link} if isinstance(link, str) else {}
    sound(tried(cases_of(between(link), named), examples, invariants))


def between(link: str | Link) -> Cluster:
    """Return shipped devices that a link joins: of the first whose memory is no slower."""
    chips = (from_given.cluster(name, link=link) for name in strategies.DEVICES)
    found = list(chips)
    rate = float(found[0].link.bandwidth)
    return next((each for each in found if float(each.device.memory.bandwidth) >= rate), found[0])


def check_model(model: str | LanguageModel, examples: int = EXAMPLES, invariants: Iterable[str] | None = None) -> None:
    """Try the invariants on a model, on several devices, with workloads and techniques.

    Parameters, errors
    ------------------
    As ``check_device``.

    Examples
    --------
    >>> check_model("llama-3.2-1b", examples=2, invariants=["weights-are-read"])
    """
    sound(tried(cases_of_model(model), examples, invariants))


def cases_of_model(model: str | LanguageModel) -> dict[str, SearchStrategy[Any]]:
    """Return what a model is tried on: steps and stored prompts of it on shipped devices, two nodes of each."""
    named = {"model": model} if isinstance(model, str) else {}
    shape = strategies.always(load("model", model) if isinstance(model, str) else model)
    chips = strategies.clusters(st.sampled_from(strategies.DEVICES).map(lambda name: load("device", name)))
    return {
        "step": asked.cases(chips, shape, names=named),
        "stored": asked.stored(chips, shape, names=named),
    }


def cases_of_instance(name: str) -> dict[str, SearchStrategy[Any]]:
    """Return what a rented server is tried on: batches of requests, and steps on its devices."""
    server = load("instance", name)
    devices = from_given.cluster(server.device, server.devices, server.link)
    return {
        "rented": asked.rented(instance=strategies.always(server), names={"instance": name}),
        **cases_of(devices),
    }


def cases_of_engine(name: str) -> dict[str, SearchStrategy[Any]]:
    """Return what a serving engine is tried on: batches of requests on rented servers."""
    return {"rented": asked.rented(engine=strategies.always(load("engine", name)), names={"engine": name})}


def cases_of_storage(tier: str | Storage) -> dict[str, SearchStrategy[Any]]:
    """Return what a storage tier is tried on: prompts whose KV cache lies there."""
    named = {"tier": tier} if isinstance(tier, str) else {}
    return {"stored": asked.stored(tier=strategies.storages(tier), names=named)}


def check_technique(
    technique: str | Technique, examples: int = EXAMPLES, invariants: Iterable[str] | None = None
) -> None:
    """Try the invariants on a technique: never slower than none, and the rest of what holds of any step.

    Parameters
    ----------
    technique : str or Technique
        A key of ``TECHNIQUES``, one's own among them, or what ``policy(name, ...)`` returns.
    examples, invariants
        As of ``check_device``.

    Raises
    ------
    BrokenInvariant, SpecError
        As ``check_device``.

    Examples
    --------
    >>> check_technique("fused", examples=2, invariants=["technique-is-never-slower"])
    """
    beside = strategies.always(chosen(technique))
    sound(tried({"step": asked.cases(technique=beside)}, examples, invariants))
