"""Checks of one file: whether it reads, whether its numbers fit each other, and the invariants on what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from hypothesis.strategies import SearchStrategy

from accelmodel.dse.studies.study import load_study
from accelmodel.errors import SpecError, unknown
from accelmodel.specs import facts
from accelmodel.specs.find import FOLDERS, available, is_known, is_path, kind_of, need_local, path_of
from accelmodel.specs.given import cluster
from accelmodel.specs.hardware import Device
from accelmodel.specs.inherit import refused
from accelmodel.specs.link import Link
from accelmodel.specs.load import TYPES, implausible, load
from accelmodel.specs.plausible_parts import DOUBTS, of_join, of_link
from accelmodel.specs.read import read
from accelmodel.testing import checks
from accelmodel.testing.checks import EXAMPLES, Told
from accelmodel.testing.invariants import INVARIANTS

#: how a check of a file ends
HOLDS, BROKEN, NOT_TRIED = "holds", "broken", "not tried"
_READS = "the file reads: keys, units, sources and bounds"
_FITS = "its numbers fit each other, and what such a thing is"


@dataclass(frozen=True)
class Check:
    """One check of a file, and how it ended.

    Attributes
    ----------
    name, words : str
        ``reads``, ``plausible`` or a key of ``INVARIANTS``, and what must hold.
    result : str
        ``holds``, ``broken``, or ``not tried`` where no example could be.
    examples : int
        How many it was tried on [1].
    faults : tuple of str
        What is wrong, a line each.
    commands, values, unit
        Of the smallest example: command lines, and what they give, null where that is no number.
    """

    name: str
    words: str
    result: str
    examples: int = 1
    faults: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    values: tuple[float | None, ...] = ()
    unit: str = ""


@dataclass(frozen=True)
class Checked:
    """All checks of one file."""

    name: str
    kind: str
    checks: tuple[Check, ...]

    @property
    def sound(self) -> bool:
        """Whether none is broken."""
        return all(each.result != BROKEN for each in self.checks)

    def data(self) -> dict[str, Any]:
        """Return them as JSON-ready data."""
        return {"name": self.name, "kind": self.kind, "sound": self.sound, "checks": [asdict(c) for c in self.checks]}


def _plain(name: str, words: str, faults: tuple[str, ...]) -> Check:
    return Check(name, words, BROKEN if faults else HOLDS, faults=faults)


def kind_named(name: str) -> str:
    """Return the kind of file that a shipped name, a path, or a name in the working directory stands for.

    Raises
    ------
    SpecError
        If there is no such file, or it has no table of any kind.
    """
    for kind in FOLDERS:
        if name in available(kind):
            return kind
    if is_path(name):
        need_local(name)
        found = kind_of(path_of("model", name))
        if found is None:
            facts.read_toml(path_of("device", name))  # says why, where it cannot be read
            raise SpecError(f"{name}: has none of the tables {', '.join(f'[{kind}]' for kind in FOLDERS)}")
        return found
    for kind in FOLDERS:
        if is_known(kind, name):
            return kind
    raise unknown("file", name, {each for kind in FOLDERS for each in available(kind)})


def _read(kind: str, name: str) -> Any:
    """Return what a file says; SpecError with all that is wrong in it."""
    if kind in TYPES:
        return load(kind, name)
    if kind == "study":
        return load_study(name)
    if kind == "sweep":
        from accelmodel.sweeps.question import load_sweep

        return load_sweep(name)
    file = read(kind, Device, path_of(kind, name), extra=("derive",))
    if file.faults:
        raise refused(file)
    return file


def _doubts(kind: str, spec: Any) -> tuple[str, ...]:
    """Return what looks wrong in what a file says, a line each."""
    if kind == "device":
        return (*implausible(spec), *of_join(spec, load("link", spec.link)))
    if kind == "cluster":
        return tuple(f"level {level.name}: {note}" for level in spec.node.levels for note in of_link(level))
    if isinstance(spec, Link) and len(spec.levels) > 1:
        return tuple(f"level {level.name}: {note}" for level in spec.levels for note in of_link(level))
    return DOUBTS[kind](spec) if kind in DOUBTS else ()


def _of_device(name: str) -> dict[str, SearchStrategy[Any]]:
    return checks.cases_of(checks.roomy(cluster(name)), {"device": name})


def _of_link(name: str) -> dict[str, SearchStrategy[Any]]:
    return checks.cases_of(checks.between(name), {"link": name})


def _of_cluster(name: str) -> dict[str, SearchStrategy[Any]]:
    return checks.cases_of(cluster(name), {"cluster": name})


#: kind of file → what it is tried on; of the others only numbers are looked at
CASES: dict[str, Callable[[str], dict[str, SearchStrategy[Any]]]] = {
    "device": _of_device,
    "link": _of_link,
    "cluster": _of_cluster,
    "model": checks.cases_of_model,
    "storage": checks.cases_of_storage,
    "instance": checks.cases_of_instance,
    "engine": checks.cases_of_engine,
}


def check_file(name: str, examples: int = EXAMPLES, told: Told | None = None) -> Checked:
    """Return all checks of a file: first whether it reads, then whether its numbers fit, then the invariants.

    Parameters
    ----------
    name : str
        Shipped name, path, or name in the working directory, of any kind of file.
    examples : int
        That each invariant is tried on [1].
    told : callable, optional
        Told (stage, all, done) after each invariant.

    Raises
    ------
    SpecError
        If there is no such file.

    Examples
    --------
    >>> found = check_file("nvme", examples=1)
    >>> found.kind, found.sound, found.checks[0].name
    ('storage', True, 'reads')
    """
    kind = kind_named(name)
    try:
        spec = _read(kind, name)
        # what it names must read as well
        cases = CASES[kind](name) if kind in CASES else {}
    except SpecError as error:
        return Checked(name, kind, (_plain("reads", _READS, tuple(error.lines or [str(error)])),))
    found = [_plain("reads", _READS, ()), _plain("plausible", _FITS, _doubts(kind, spec))]
    for result in checks.tried(cases, examples, told=told) if cases else ():
        found.append(_of_result(result))
    return Checked(name, kind, tuple(found))


def _of_result(result: checks.Result) -> Check:
    words = INVARIANTS[result.name].words
    broken = result.broken
    if broken is None:
        return Check(result.name, words, HOLDS if result.examples else NOT_TRIED, result.examples)
    values = tuple(value if value - value == 0.0 else None for value in broken.values)
    return Check(result.name, words, BROKEN, result.examples, (broken.says,), broken.commands, values, broken.unit)
