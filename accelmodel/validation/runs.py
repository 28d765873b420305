"""Whole runs that makers and others timed on chips of which no kernel was fitted: a batch's prompts, then its answers.

Series stand in ``hwspecs/published`` as ``[[run]]``.  No constant was fitted to them; where a choice was made with them
in view they are ``seen``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pydantic
import xarray as xr
from pydantic import BaseModel, ConfigDict, Field

from accelmodel.calibration.errors import PRECISIONS, statistics
from accelmodel.errors import SpecError, unknown
from accelmodel.inference.step import time_step
from accelmodel.specs import facts
from accelmodel.specs.given import cluster, workload
from accelmodel.specs.load import load

Numbers = Annotated[list[Annotated[float, Field(gt=0.0)]], Field(min_length=1)]
#: lists of a series, which go together
_LISTS = ("prompt", "answer", "batch", "time_s")


class Run(BaseModel):
    """Times of runs on one server: prompts of ``prompt`` tokens in one go, then ``answer`` tokens of each [s]."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    device: str
    devices: Annotated[int, Field(ge=1)] = 1
    link: str = ""
    engine: str = ""
    model: str
    weight_bits: float = 16.0
    activation_bits: float = 16.0
    kv_bits: float = 16.0
    prompt: Numbers
    answer: Numbers
    batch: Numbers
    time_s: Numbers
    split: Literal["never fitted", "held-out", "seen"] = "never fitted"
    source: str
    locator: str


class Span(NamedTuple):
    """Predicted times of a series of runs, and the ends between which nine of ten measured ones lie [s]."""

    time: npt.NDArray[np.float64]
    lower: npt.NDArray[np.float64]
    upper: npt.NDArray[np.float64]


def runs() -> list[Run]:
    """Return all series of ``hwspecs/published``; raises SpecError naming file and field."""
    found: list[Run] = []
    for path in sorted((facts.root() / "published").glob("*.toml")):
        content, _ = facts.read_toml(path)
        for entry in content.get("run", []):
            try:
                one = Run.model_validate(entry)
            except pydantic.ValidationError as error:
                raise SpecError(f"{path}: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}") from None
            if one.source not in facts.sources():
                raise SpecError(f"{path}: {unknown('source', one.source, facts.sources())}")
            for name in _LISTS:
                if len(getattr(one, name)) != len(one.time_s):
                    raise SpecError(
                        f"{path}: {one.device} {one.model}: {name} needs {len(one.time_s)} numbers, as time_s has"
                    )
            found.append(one)
    return found


def _step(
    one: Run, phase: Literal["prefill", "decode"], context: xr.DataArray, batch: xr.DataArray
) -> tuple[Any, Any, Any]:
    """Return the time of a step over the runs of a series with its host, and the ends of its interval [s].

    Where no engine is said the ends hold those that usually serve, as an answer tells a user.
    """
    chip = cluster(load("device", one.device), one.devices, link=load("link", one.link) if one.link else None)
    bits = {name: getattr(one, name) for name in ("weight_bits", "activation_bits", "kv_bits")}
    asked = workload(phase=phase, batch=batch, context=context, tp=float(one.devices), **bits)
    found = time_step(one.model, chip, asked, engine=one.engine)
    name = "ttft" if phase == "prefill" else "tpot"
    ends = (found[f"{name}{end}"] for end in ("", "_lower", "_upper"))
    return tuple(end.transpose("run").values for end in ends)  # type: ignore[return-value]


def times(one: Run) -> Span:
    """Return the times of the runs of a series: the prompts' step, and one for each further token.

    Each of these is taken at the mean context.  The first token comes out of the prompts' step.
    """
    prompt, answer, batch = (xr.DataArray(getattr(one, name), dims="run") for name in _LISTS[:3])
    first = _step(one, "prefill", prompt, batch)
    steps = answer.values - 1.0
    if not steps.any():
        return Span(*first)
    further = _step(one, "decode", prompt + np.ceil(answer / 2.0), batch)
    return Span(*(begin + steps * end for begin, end in zip(first, further, strict=True)))


def rows() -> list[dict[str, Any]]:
    """Return a row of the accuracy table for each series, with the share of runs that lie within their interval."""
    found = []
    for one in runs():
        measured, span = np.array(one.time_s), times(one)
        found.append(
            {
                "device": one.device, "kind": "run", "precision": PRECISIONS[one.weight_bits], "model": one.model,
                "quantity": f"x {one.devices}", "source": one.source, "locator": one.locator,
                **statistics(span.time, measured),
                "covered": float(np.mean((span.lower <= measured) & (measured <= span.upper))), "split": one.split,
            }
        )  # fmt: skip
    return found
