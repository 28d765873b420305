"""The best chips, what each axis gives and the front as one labelled dataset."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel import __version__
from accelmodel.dse.enumeration.chips import BUDGET
from accelmodel.dse.enumeration.enumerated import Enumeration
from accelmodel.dse.enumeration.rows import Row
from accelmodel.dse.studies.study import Study
from accelmodel.nomenclature import FAMILIES, NOMENCLATURE, described

if TYPE_CHECKING:
    import xarray as xr


def dataset(study: Study, found: Enumeration) -> xr.Dataset:
    """Return an enumeration as a dataset.

    Returns
    -------
    xarray.Dataset
        ``best_…`` over ``technique``; ``curve_AXIS`` over (technique, AXIS); figures and axes of the front over
        ``point``, whose ``technique_of_point`` says under which technique it is.  Units on everything that has one.
    """
    import xarray as xr

    techniques = list(found.best)
    data: dict[str, Any] = {}
    for name, values in _columns([found.best[each] for each in techniques]).items():
        data[f"best_{name}"] = ("technique", values, _about(study, name))
    for axis, (_, best) in found.curves.items():
        about = _about(study, study.headline)
        data[f"curve_{axis}"] = (("technique", axis), np.array([best[each] for each in techniques]), about)
    points = [(name, row) for name, rows in found.front.items() for row in rows]
    for name, values in _columns([row for _, row in points]).items():
        data[f"front_{name}"] = ("point", values, _about(study, name))
    data["technique_of_point"] = ("point", np.array([name for name, _ in points], dtype=object))
    coords: dict[str, Any] = {"technique": np.array(techniques, dtype=object)}
    for axis, (values, _) in found.curves.items():
        words = axis in study.axes() and study.axes()[axis].kind == "word"
        coords[axis] = (axis, np.array(values, dtype=object if words else float), _about(study, axis))
    attrs = {
        "accelmodel_version": __version__,
        "study": study.name,
        "study_digest": study.digest,
        "objectives": ", ".join(study.objectives),
        "front_by": ", ".join(found.front_by),
        "evaluated": str(found.evaluated),
        "feasible": str(found.feasible),
        "excluded": json.dumps(found.misses.excluded),
    }
    return xr.Dataset(data, coords=coords, attrs=attrs)


def _columns(rows: list[Row]) -> dict[str, Any]:
    """Return rows as columns of numbers or words."""
    names = dict.fromkeys(name for row in rows for name in row)
    found = {}
    for name in names:
        values = [row.get(name) for row in rows]
        words = any(isinstance(value, str) for value in values)
        if words:
            found[name] = np.array(["" if value is None else str(value) for value in values], dtype=object)
        else:
            found[name] = np.array(values, dtype=float)
    return found


def _about(study: Study, name: str) -> Mapping[str, str]:
    axes = study.axes()
    if name in axes:
        return {"units": axes[name].unit, "long_name": axes[name].full}
    if name == BUDGET:
        return {"units": "B/s", "long_name": "links times the bandwidth of each"}
    known = name in NOMENCLATURE or name.partition("_")[0] in FAMILIES
    return described(name) if known else {}
