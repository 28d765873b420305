"""Sweeps over steps and whole requests: the blocks that run through compiled loops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from accelmodel.inference.energy import step_energy
from accelmodel.inference.operators import operator_table
from accelmodel.inference.policies import TECHNIQUES
from accelmodel.inference.request import BASELINE, FUSED, PHASES, fits, prepare_request, run_request
from accelmodel.inference.step import Inputs, evaluate, prepare, totals
from accelmodel.laws.prefetch import RULES
from accelmodel.specs import workload as workloads
from accelmodel.specs.formats import FORMATS
from accelmodel.specs.given import workload
from accelmodel.specs.quantities import Quantity
from accelmodel.specs.workload import Phase, Workload
from accelmodel.sweeps.calls import CALLING, FORMAT_FIELDS, NUMBER, TRUTH, WORD, WORKLOAD, At, Command, Variable
from accelmodel.sweeps.names import Field, of_workload, plain

_DEVICES = plain("devices", Quantity(ge=1.0, le=1e9, whole=True), whole=True, optional=True)
_TECHNIQUE = (
    plain("technique", words=tuple(TECHNIQUES), default=BASELINE),
    Field("technique", "threshold", Quantity(ge=0.0, le=16.0), whole=True, optional=True),
    Field("technique", "rule", words=tuple(RULES), optional=True),
)
_HARDWARE = (
    plain("model"),
    plain("device"),
    plain("link", optional=True),
    plain("scale_out", optional=True),
    _DEVICES,
    *CALLING,
)
_PARTS = ("device", "link", "scale_out", "model")
_FORMATS = tuple(plain(name, words=tuple(FORMATS), optional=True) for name in FORMAT_FIELDS)
_WORK = (*of_workload(WORKLOAD), *_FORMATS)
# the time of a step does not know how many of its tokens are taken
_OF_STEP = tuple(each for each in _WORK if each.name != "acceptance")
_DRAFT = plain("draft", optional=True)
_STEP = (*_HARDWARE, plain("phase", words=workloads.PHASES, default="decode"), *_OF_STEP, _DRAFT, *_TECHNIQUE)
_LENGTHS = tuple(each for each in _WORK if each.name not in ("prefix", "prefill_tokens"))
_REQUEST = (*_HARDWARE, plain("phase", words=PHASES, default=PHASES[0]), *_LENGTHS, _DRAFT, *_TECHNIQUE)


def _work(at: At) -> Workload:
    return workload(phase=cast("Phase", at.word("phase")), draft=at.word("draft"), **at.work())


def _inputs(at: At) -> Inputs:
    return prepare(at.model(), at.cluster(), _work(at))


def step(at: At) -> Mapping[str, Any]:
    """Time whole steps, and what they take: totals only, at the kernel's speed."""
    inputs, technique = _inputs(at), at.technique()
    found = totals(inputs, technique)
    taken = step_energy(inputs, technique, found)[list(_ENERGY)]
    return {**{str(name): value for name, value in (*found.items(), *taken.items())}, "feasible": inputs.fits}


def operators(at: At) -> Mapping[str, Any]:
    """Time steps operator by operator, with the interval of each."""
    found = evaluate(_inputs(at), at.technique())
    return {name: found[name] for name in _OPERATORS}


def operator_names(at: At) -> dict[str, list[str]]:
    """Return the operators of a step, in its order."""
    return {"operator": list(operator_table(at.model(), _work(at)).names)}


def _prepared(at: At) -> tuple[Any, Any]:
    """Return the steps of requests, and whether memory holds them."""
    import xarray as xr

    context = xr.DataArray(at.of("")["context"])
    asked = (at.model(), at.cluster(), at.word("phase"), context)
    more = {**at.work("context"), "draft": at.word("draft")}
    return prepare_request(*asked, **more), fits(*asked, **more) > 0.5


def request(at: At) -> Mapping[str, Any]:
    """Time whole requests: a prefill and all decode steps after it."""
    parts, held = _prepared(at)
    found = run_request(parts, at.technique()).rename(step_time="time")
    return {**{str(name): value for name, value in found.items()}, "feasible": held}


def preserve(at: At) -> Mapping[str, Any]:
    """Compare whole requests with a technique, with fused matmuls, and with nothing beside the operators."""
    parts, held = _prepared(at)
    ahead = run_request(parts, at.technique())
    baseline = run_request(parts, BASELINE).step_time
    return {
        "time": ahead.step_time,
        "baseline": baseline,
        "fused": run_request(parts, FUSED).step_time,
        "speedup": baseline / ahead.step_time,
        "prefetched_bytes": ahead.prefetched_bytes,
        "feasible": held,
    }


_TOTALS = {name: Variable() for name in ("prefetched_bytes", "hbm_bytes")} | {"feasible": Variable(TRUTH)}
_ENERGY = ("step_energy", "power", "power_stretch", "joules_per_token")
_ALONE = ("step_time", "step_time_lower", "step_time_upper", *_ENERGY)
_BY_OPERATOR = (
    "time",
    "lower",
    "upper",
    "count",
    "flops",
    "hbm_bytes",
    "l2_hit_bytes",
    "link_bytes",
    "fetched_bytes",
    "energy",
)
_OPERATORS = {
    **{name: Variable() for name in _ALONE},
    **{name: Variable(NUMBER, ("operator",)) for name in _BY_OPERATOR},
    "bound": Variable(WORD, ("operator",)),
    "feasible": Variable(TRUTH),
}
_COMPARED = ("time", "baseline", "fused", "speedup", "prefetched_bytes")

_OF_STEP_ALONE = {name: Variable() for name in ("step_time", *_ENERGY)}

STEP = Command(step, _STEP, _PARTS, {**_OF_STEP_ALONE, **_TOTALS}, (0.03, 1e-6))
OPERATORS = Command(
    operators, _STEP, _PARTS, _OPERATORS, (0.05, 5e-5), 1 << 12, operator_names, ("model", "phase", "draft", *WORKLOAD)
)
REQUEST = Command(request, _REQUEST, _PARTS, {"time": Variable(), **_TOTALS}, (0.1, 5e-6), 1 << 15)
PRESERVE = Command(
    preserve,
    tuple(replace(each, default="preserve") if each.name == "technique" else each for each in _REQUEST),
    _PARTS,
    {**{name: Variable() for name in _COMPARED}, "feasible": Variable(TRUTH)},
    (0.15, 1.5e-5),
    1 << 15,
)
