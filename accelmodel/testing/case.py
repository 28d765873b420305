"""What an invariant is tried on, and the command line that asks the same."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from accelmodel.errors import SpecError
from accelmodel.inference.machine import with_numbers
from accelmodel.inference.policies import Technique, policy
from accelmodel.inference.step import Inputs, prepare
from accelmodel.specs.base import Spec, field_units, value_of
from accelmodel.specs.given import workload
from accelmodel.specs.hardware import Cluster, Storage
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.load import load

#: field of a workload → the option that asks for it, where that has another name
_OPTIONS = {"two_batch": "--two-batch-overlap"}
#: part of a cluster → kind of specification that names it
_KINDS = {"device": "device", "link": "link", "scale_out": "link"}
#: unit of a field → how an option writes it, where that differs
_WRITTEN = {"1/s": "Hz", "1": ""}


@dataclass(frozen=True, repr=False)
class Case:
    """A step that an invariant is tried on.

    Attributes
    ----------
    cluster, model
        What runs where.
    work : mapping
        Fields of a workload.
    technique : Technique
    factor : float
        By how much more of a resource is taken [1].
    names : mapping
        Part → name or path by which a command calls it; without one it is called by its own.
    """

    cluster: Cluster
    model: LanguageModel
    work: Mapping[str, Any]
    technique: Technique = field(default_factory=lambda: policy("none"))
    factor: float = 2.0
    names: Mapping[str, str] = field(default_factory=dict)

    def inputs(self) -> Inputs:
        """Return the step prepared in numbers; SpecError or Infeasible where it cannot be."""
        return prepare(self.model, self.cluster, workload(**self.work))

    def having(self, changes: Mapping[str, Any]) -> Case:
        """Return the case with other numbers in the parts of its cluster, by dotted name."""
        return replace(self, cluster=with_numbers(self.cluster, changes))

    def asking(self, **work: Any) -> Case:
        """Return the case with other fields of its workload."""
        return replace(self, work={**self.work, **work})

    def using(self, technique: Technique) -> Case:
        """Return the case with another technique."""
        return replace(self, technique=technique)

    def __repr__(self) -> str:
        return f"<{self.command}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Show an example as its command, in what Hypothesis prints too."""
        printer.text(repr(self))

    @property
    def command(self) -> str:
        """The command line that asks the same."""
        words = ["accelmodel", "step", *hardware_options(self.cluster, self.names)]
        words += ["--model", self.names.get("model", self.model.name)]
        for name, value in self.work.items():
            option = _OPTIONS.get(name, f"--{name.replace('_', '-')}")
            words += [option, written(value)]
        if self.technique.name != "none":
            words += ["--technique", self.technique.name]
        for name, value in self.technique.parameters.items():
            words += [f"--{name}", written(value)]
        return shlex.join(words)


@dataclass(frozen=True, repr=False)
class Stored:
    """A prompt whose KV cache is stored, that an invariant is tried on.

    Attributes
    ----------
    cluster, model, tier
        What runs where, and where the KV cache lies.
    tokens, bandwidth, utilisation
        Length of the prompt [token], rate of the tier [B/s] and share of the engine [1].
    factor, names
        As of a ``Case``.
    """

    cluster: Cluster
    model: LanguageModel
    tier: Storage
    tokens: float
    bandwidth: float
    utilisation: float = 1.0
    tp: int = 1
    factor: float = 2.0
    names: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<{self.command}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Show an example as its command, in what Hypothesis prints too."""
        printer.text(repr(self))

    @property
    def command(self) -> str:
        """The command line that asks the same."""
        words = ["accelmodel", "cake", *hardware_options(self.cluster, self.names, ("device", "link"))]
        words += ["--model", self.names.get("model", self.model.name), "--tp", str(self.tp)]
        words += ["--tier", self.names.get("tier", self.tier.name), "--tokens", f"{self.tokens:g}"]
        words += ["--bandwidth", f"{written(self.bandwidth)}B/s", "--utilisation", written(self.utilisation)]
        return shlex.join([*words, "--policies", "all"])


def hardware_options(
    cluster: Cluster, names: Mapping[str, str], parts: tuple[str, ...] = ("device", "link", "scale_out")
) -> list[str]:
    """Return the options that name a cluster, and set what differs from what their files say."""
    words = ["--cluster", names["cluster"]] if "cluster" in names else []
    settings: list[str] = []
    for part in parts if not words else ():
        spec = getattr(cluster, part)
        name = names.get(part, spec.name)
        if part == "device" or name != getattr(cluster.device, part):
            words += [f"--{part.replace('_', '-')}", name]
        try:
            before = load(_KINDS[part], name)
        except SpecError:  # of one's own, without a file
            continue
        settings += [f"{part}.{each}" for each in changes(spec, before)]
    if "scale_out" in parts:
        words += ["--devices", f"{float(cluster.devices):g}"]
    for each in settings:
        words += ["--set", each]
    return words


def changes(spec: Spec, before: Spec) -> list[str]:
    """Return what differs between two specifications of a kind, as ``FIELD=VALUE``.

    Examples
    --------
    >>> from accelmodel.specs.given import override
    >>> chip = load("device", "h100-sxm")
    >>> changes(override(chip, {"l2.capacity": "60MB", "compute.clock": 2e9}), chip)
    ['compute.clock=2000000000Hz', 'l2.capacity=60000000B']
    """
    found = []
    for name, unit in field_units(type(spec)).items():
        value = value_of(spec, name)
        if value != value_of(before, name):
            found.append(f"{name}={written(value)}{_WRITTEN.get(unit, unit) if isinstance(value, float) else ''}")
    return found


def written(value: Any) -> str:
    """Return a value of an option that reads back as it is.

    Examples
    --------
    >>> written(8.0), written(0.1), written(1234567.0), written("paper")
    ('8', '0.1', '1234567', 'paper')
    """
    if not isinstance(value, float):
        return str(value)
    return repr(value).removesuffix(".0")
