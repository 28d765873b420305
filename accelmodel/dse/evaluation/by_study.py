"""Some chips of a study, each judged by its best use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from accelmodel.dse.evaluation.chip import parts_of_study
from accelmodel.dse.evaluation.evaluate import described, evaluate
from accelmodel.dse.studies.axes import AXES, axis_name, role_of
from accelmodel.dse.studies.software import DEGREES
from accelmodel.dse.studies.study import Study, load_study
from accelmodel.errors import SpecError, brief
from accelmodel.inference.attributes import BITS, behind
from accelmodel.inference.axes import gathered, joined
from accelmodel.specs.base import Spec
from accelmodel.specs.bits import told
from accelmodel.specs.load import load
from accelmodel.specs.quantities import Values, checked
from accelmodel.units import parse

if TYPE_CHECKING:
    import xarray as xr


def _axis(name: str, value: Any) -> Any:
    """Return what is given for an axis as a number or a labelled array; text is read in the unit of the axis."""
    role = role_of(name)
    if role.words:
        return _words(name, value)
    if isinstance(value, str):
        value = parse(value, role.unit, what=name)
    if isinstance(value, list | tuple):
        value = [parse(each, role.unit, what=name) if isinstance(each, str) else each for each in value]
    axis = checked(name, value, replace(role.quantity, ge=0.0, gt=None) if name in AXES else role.quantity)
    if not hasattr(axis, "dims"):
        return axis
    own = axis[name] if name in axis.coords else None
    return axis if own is None else axis.assign_coords({name: own.assign_attrs({"units": role.unit, **own.attrs})})


def _words(name: str, value: Any) -> Any:
    import xarray as xr

    if isinstance(value, list | tuple):
        return xr.DataArray(list(value), dims=name, coords={name: list(value)})
    if not isinstance(value, str) and not hasattr(value, "dims"):
        raise SpecError(f"{name}: {brief(value)} is no name of a file of kind {role_of(name).words}")
    return value


def _by_name(axes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is given for the axes of a chip by the names that they have in results."""
    found: dict[str, Any] = {}
    for given, value in axes.items():
        name = axis_name(given)
        if name in found:
            raise SpecError(f"{given}: the same axis as {name}, which is given too; leave one of them out")
        found[name] = _axis(name, value)
    return found


def evaluate_study(study: str | Study = "preserve-l2", **axes: Values | str | list[str]) -> xr.Dataset:
    """Return everything about some chips of a study, each judged by its best use.

    Parameters
    ----------
    study : str or Study
        Name of a shipped study, path of a TOML file, or what ``load_study`` returns.
    **axes
        Axis of a chip → number in SI, text with a unit, a list or an array of them, or a DataArray; of a word a name
        or a list of names.  Any axis that a study may have: ``l2_capacity`` [B], ``link_bandwidth`` of one link [B/s],
        ``links``, ``hbm_stacks``, ``cores`` [1] …, or by its dotted name, ``**{"l2.capacity": ...}``.  What is not
        given stays as in the study's reference chip; nothing need be in the study's space.

    Returns
    -------
    xarray.Dataset
        Over the axes: the objectives by their names, of use also over ``technique``: ``throughput`` [token/s] of a
        device, ``throughput_per_area`` [token/(s m2)], ``tokens_per_dollar`` [token/USD],
        ``dollars_per_million_tokens`` [USD/Mtoken], ``tpot`` and ``ttft`` [s] where the phase has them; ``die_area``
        and its parts [m2], ``power`` [W], ``price`` and ``carbon`` with their parts [USD, kg], ``dollars_per_s``
        [USD/s]; ``excess_…``: how far beyond each limit, as a share of it, and beyond the memory [1]; ``feasible``:
        every model is served within all limits; ``chosen_…``: what software chose, also over ``model``.

    Raises
    ------
    SpecError
        If the study or an axis is unknown, or a value not allowed.

    Notes
    -----
    Throughput is the mean over the study's kinds of requests, each at the best degrees, batch, threshold and rule that
    software may choose; area, yield and price follow ``laws.cost``.

    Examples
    --------
    >>> found = evaluate_study("preserve-l2", l2_capacity=["8MB", "104MB"])
    >>> bool((found.throughput.sel(technique="preserve") >= found.throughput.sel(technique="none")).all())
    True
    """
    asked = load_study(study) if isinstance(study, str) else study
    parts = parts_of_study(asked)
    chips = _by_name(axes)
    result = evaluate(asked, parts, **chips)
    models = {name: load("model", name) for name in asked.models}
    given = {name: getattr(asked.workload, name) for name in BITS}
    specs: dict[str, Spec] = {**models}
    specs |= parts.specs
    result.attrs = {
        **behind(specs),
        "study": asked.name,
        "study_digest": asked.digest,
        "objective": asked.headline,
        "mean": asked.mean,
        "price_kind": asked.study.price,
        "models": ", ".join(asked.models),
        "device": parts.device.name,
        "link": parts.link.name,
        "phase": ", ".join(dict.fromkeys(kind.phase for kind in asked.kinds())),
        "bits": json.dumps(told(list(models.values()), given)),
        "degrees": json.dumps({name: getattr(asked.software, name) for name in DEGREES}),
        "technique_parameters": json.dumps({"threshold": asked.software.threshold, "rule": asked.software.rule}),
        "constraints": json.dumps(asked.limits()),
    }
    return described(joined(result, gathered(value for value in chips.values() if hasattr(value, "dims"))))
