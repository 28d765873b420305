"""One call of a question, and what a command is: its fields, its variables, the function that answers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from accelmodel.inference.calls import called
from accelmodel.inference.policies import TECHNIQUES, Technique, policy
from accelmodel.specs.cores import with_cores
from accelmodel.specs.given import cluster, override
from accelmodel.specs.hardware import Cluster, Device
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.link import CALLERS, LAUNCHES
from accelmodel.specs.workload import Workload
from accelmodel.sweeps.names import Field, plain

#: numeric field of a workload → its default; None where one must be given
WORKLOAD: dict[str, Any] = {"batch": None, "context": None} | {
    each: getattr(Workload("decode", 1.0, 1.0), each)
    for each in (
        "prefix",
        "tp",
        "pp",
        "ep",
        "dp",
        "weight_bits",
        "activation_bits",
        "kv_bits",
        "prefill_tokens",
        "speculative",
        "acceptance",
        "redundant_experts",
        "imbalance",
        "two_batch",
        "exchange",
    )
}
#: words of a workload: formats of its numbers
FORMAT_FIELDS = ("weight_format", "activation_format")
#: by name: a number, a word, or a labelled axis
Values = Mapping[Field, Any]
NUMBER, TRUTH, WORD = "f8", "?", "U"


class Variable(NamedTuple):
    """One variable of an answer: what it holds, the axes that it has beside those of the question, and whether it may
    hold no number although the point can be, as the time of an instance that the model does not fit."""

    dtype: str = NUMBER
    over: tuple[str, ...] = ()
    absent: bool = False


@dataclass(frozen=True)
class At:
    """One call of a question: what each field is there, and the specifications that its words name.

    Attributes
    ----------
    values : mapping of Field
        A number, a word or a labelled axis.
    specs : mapping
        (part, word) → specification, read once for the whole sweep.
    """

    values: Values
    specs: Mapping[tuple[str, str], Any] = field(default_factory=dict)

    def of(self, part: str) -> dict[str, Any]:
        """Return what is given of a part, by name."""
        return {each.name: value for each, value in self.values.items() if each.part == part}

    def word(self, name: str) -> str:
        """Return a word of the question; "" if none is given."""
        return str(self.of("").get(name) or "")

    def spec(self, part: str, name: str | None = None) -> Any:
        """Return the specification of a part, with what the question changes of it."""
        spec = self.specs[part, name or self.word(part)]
        changes = self.of(part)
        if isinstance(spec, Device) and "compute.cores" in changes:
            spec = with_cores(spec, changes.pop("compute.cores"))
        return override(spec, changes) if changes else spec

    def model(self) -> LanguageModel:
        """Return the model."""
        return cast("LanguageModel", self.spec("model"))

    def cluster(self, devices: float | None = None) -> Cluster:
        """Return devices and their links; as many as asked, a full node by default."""
        device = self.spec("device")
        link = self.spec("link", self.word("link") or device.link)
        named, changes = self.word("scale_out"), self.of("scale_out")
        if link.beyond and not named:
            outer = override(link.beyond[0], changes) if changes else link.beyond[0]
        else:
            outer = self.spec("scale_out", named or device.scale_out)
        count = self.of("").get("devices") if devices is None else devices
        return called(cluster(device, count, link=link, scale_out=outer), self.word("by"), self.word("launch"))

    def work(self, *left_out: str) -> dict[str, Any]:
        """Return the numeric fields of a workload that are given, and the formats of its numbers."""
        given = self.of("")
        numbers = {name: given[name] for name in WORKLOAD if name in given and name not in left_out}
        return numbers | {name: self.word(name) for name in FORMAT_FIELDS if self.word(name)}

    def technique(self, name: str | None = None) -> Technique:
        """Return the technique, with those of the parameters given that it takes."""
        name = name or self.word("technique")
        takes = inspect.signature(TECHNIQUES[name]).parameters
        return policy(name, **{key: value for key, value in self.of("technique").items() if key in takes})


def no_labels(at: At) -> dict[str, list[str]]:
    """Return that variables have no axes of their own."""
    return {}


#: who calls collectives and how, where a command has some
CALLING = (plain("by", words=CALLERS, optional=True), plain("launch", words=LAUNCHES, optional=True))


@dataclass(frozen=True)
class Command:
    """What can be asked of each point.

    Attributes
    ----------
    block : callable
        Takes an ``At`` and returns variables over its axes.
    fields : tuple of Field
        What may be fixed or varied, beside the fields of ``parts``.
    parts : tuple of str
        Keys of ``names.SPECS`` whose fields may be as well.
    variables : mapping
        Name → what it holds.
    labels : callable
        Labels of the axes that its variables have of their own, in one call.
    labels_by : tuple of str
        Names, or parts, of the fields on which these depend.
    chunk : int
        Points that are evaluated and kept at once.
    over_specs : bool
        Whether one call runs over axes of specifications; else each value is a call.
    seconds : tuple of float
        What a call and what a point take on one core [s]; for the estimate, within a factor of three.
    """

    block: Callable[[At], Mapping[str, Any]]
    fields: tuple[Field, ...]
    parts: tuple[str, ...]
    variables: Mapping[str, Variable]
    seconds: tuple[float, float]
    chunk: int = 1 << 17
    labels: Callable[[At], dict[str, list[str]]] = no_labels
    labels_by: tuple[str, ...] = ()
    over_specs: bool = True
