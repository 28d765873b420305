"""What a study is called where its trials are kept: readable, and another name once a number may come out otherwise."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from typing import Any

import numpy as np

from accelmodel import __version__
from accelmodel.costs.parts import Parts
from accelmodel.dse.studies.axes import Axis, role_of
from accelmodel.dse.studies.study import Study
from accelmodel.specs.base import Spec, field_units, value_of
from accelmodel.specs.load import load


def specs_of(study: Study, parts: Parts) -> dict[str, Spec]:
    """Return every specification that a number of the study rests on, by what it is there."""
    found = {each.name: getattr(parts, each.name) for each in fields(parts)}
    specs: dict[str, Spec] = {name: part for name, part in found.items() if isinstance(part, Spec)}
    specs["scale_out"] = load("link", parts.device.scale_out)
    for axis in study.axes().values():
        if axis.kind == "word":
            named = {f"{axis.name} {name}": load(role_of(axis.name).words, name) for name in axis.values}
            specs |= {
                **named,
                **{f"phy of {name}": load("phy", each.phy) for name, each in named.items() if _phy(each)},
            }
    return specs | {f"model {name}": load("model", name) for name in study.models}


def _phy(spec: Spec) -> str:
    return str(getattr(spec, "phy", ""))


def digest(study: Study, parts: Parts) -> str:
    """Return 16 hex digits that change with anything behind a number of the study.

    That is what the study asks, but for its title and the number of trials; every field of the chip, its links, bill,
    process and models, what was fitted to them, and the version of the package.
    """
    asked = study.model_dump(mode="json", exclude={"study": {"title", "trials"}, "name": True, "digest": True})
    # by content and never by path: a study may be asked from another folder
    specs = specs_of(study, parts)
    asked["study"].update(device=parts.device.name, bill=parts.bill.name)
    asked["workload"]["models"] = [load("model", name).name for name in study.workload.models]
    for part in asked["mix"]:
        part["model"] = load("model", part["model"]).name
    asked["space"] = {name: _axis(axis) for name, axis in study.axes().items()}
    content = [
        __version__,
        json.dumps(asked, sort_keys=True),
        repr(parts.markup),
        *(_content(spec) for spec in specs.values()),
    ]
    return hashlib.sha256("\n".join(content).encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _axis(axis: Axis) -> list[Any]:
    if axis.values is None:
        return [axis.log, axis.low, axis.high]
    kind = role_of(axis.name).words
    return [load(kind, name).name for name in axis.values] if kind else np.asarray(axis.values).tolist()


def _content(spec: Spec) -> str:
    values: dict[str, Any] = {name: value_of(spec, name) for name in field_units(type(spec))}
    return f"{type(spec).__name__} {spec.digest} {values!r} {spec.residuals!r}"


def name_of(study: Study, parts: Parts) -> str:
    """Return the name of the study among others: its own, what it is judged by, and the start of its digest."""
    return f"{study.name} / {study.headline} / {digest(study, parts)[:8]}"
