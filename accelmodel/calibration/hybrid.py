"""The law times an interpolated residual, where measured tables of that very device are installed.

A law knows how a time grows, a table knows what a library does with a shape; their ratio is interpolated between the
nearest measured shapes of one source and precision.  Far outside them the residual fades and the law stands alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.calibration import fit
from accelmodel.calibration.errors import PRECISIONS, statistics
from accelmodel.calibration.spread import TAIL
from accelmodel.errors import SpecError
from accelmodel.inference.columns import shard
from accelmodel.inference.speculation import speculates
from accelmodel.inference.step import Inputs
from accelmodel.laws.types import ATTENTION, MATMUL, Operator
from accelmodel.measured import aiconfigurator
from accelmodel.specs.base import Residual
from accelmodel.specs.given import cluster
from accelmodel.specs.hardware import Cluster, Device

if TYPE_CHECKING:
    import pandas as pd

#: nearest shapes that are averaged
NEIGHBOURS = 6
#: squared distance [octave²] added to all, so that a measured shape does not stand alone
SOFT = 1e-3
#: distance [octave] of one neighbour at which half of its residual counts
FAR = 2.0
_STRETCH = Operator._fields.index("stretch")


def _places(kind: str, frame: pd.DataFrame) -> Any:
    """Return shapes as points: octaves of each size; a window of 0 lies far from all others."""
    sizes = frame[list(aiconfigurator.SHAPES[kind])].to_numpy(dtype=float)
    return np.log2(np.where(sizes > 0.0, sizes, 2.0**-40))


def interpolated(values: Any, known: Any, wanted: Any, *, leave_out: bool = False, fade: float = 0.0) -> Any:
    """Return values at wanted points, averaged over the nearest known points by inverse squared distance.

    Parameters
    ----------
    values : ndarray (known point,)
    known, wanted : ndarray (point, dimension)
    leave_out : bool
        The wanted points are the known ones, each seen from the others.
    fade : float
        Weight of the value 0, which wins far from all known points.
    """
    from scipy.spatial import KDTree

    count = min(NEIGHBOURS, len(known) - leave_out)
    if count < 1:
        raise SpecError(f"{len(known)} measured shapes are too few to interpolate between; measure more")
    distance, near = KDTree(known).query(wanted, k=count + leave_out)
    distance, near = np.atleast_2d(distance.T).T, np.atleast_2d(near.T).T
    if leave_out:
        distance, near = distance[:, 1:], near[:, 1:]
    weights = 1.0 / (distance**2 + SOFT)
    return np.sum(weights * values[near], axis=1) / (np.sum(weights, axis=1) + fade)


def _residual(kind: str, table: pd.DataFrame, chip: Cluster, frame: pd.DataFrame | None = None) -> Any:
    """Return the logarithm of measured over predicted time at the shapes of a frame, or of the table left out."""
    known = np.log(table["time"].to_numpy() / fit.predict(kind, table, chip))
    places = _places(kind, table)
    wanted = places if frame is None else _places(kind, frame)
    return interpolated(known, places, wanted, leave_out=frame is None, fade=FAR**-2)


def predict(kind: str, frame: pd.DataFrame, chip: Cluster, table: pd.DataFrame) -> Any:
    """Return the times of the rows of a frame [s]: the law's, times the residual interpolated from a measured table.

    Parameters
    ----------
    kind : str
        A key of ``aiconfigurator.SHAPES``.
    frame : DataFrame
        Wanted shapes.
    chip : Cluster
    table : DataFrame
        Measured rows of one source and precision, with ``time`` [s].
    """
    return fit.predict(kind, frame, chip) * np.exp(_residual(kind, table, chip, frame))


def _measured(device: Device, kind: str, framework: str, bits: float) -> pd.DataFrame:
    """Return the rows of one framework and precision; none where it did not measure them."""
    frame, _ = aiconfigurator.rows(device, kind)
    sources = sorted(set(frame["source"]))
    chosen = [source for source in sources if source.lower().startswith(framework.lower())]
    if kind == "matmul" and not chosen:
        raise SpecError(f"{device.name} was not measured with {framework!r}; give one of {', '.join(sources)}")
    return frame[frame["source"].isin(chosen) & (frame["bits"] == bits)]


def _asked(inputs: Inputs) -> Iterator[tuple[str, Any, pd.DataFrame]]:
    """Yield kind, places (row, point) and shapes of the operators that tables know: matmuls, attention of heads."""
    import pandas as pd

    work, model = inputs.work, inputs.model
    columns = dict(zip(Operator._fields, inputs.operators, strict=True))
    at = np.nonzero((columns["kind"] == MATMUL) & (columns["groups"] == 1.0) & (columns["count"] > 0.0))
    yield "matmul", at, pd.DataFrame({name: columns[name][at] for name in ("m", "n", "k", "bits")})
    apart = work.phase == "mixed" or speculates(work) or np.any(np.asarray(work.prefix) > 0.0)
    if model.kv_lora_rank or model.attention or apart:
        return
    part, points = shard(model, work), columns["kind"].shape[1]
    sizes = {
        "batch": part.sequences, "heads": part.cut(model.heads), "kv_heads": part.cut(model.kv_heads),
        "head_dim": model.head_dim, "context": work.context, "bits": work.kv_bits,
    }  # fmt: skip
    spread = {name: np.broadcast_to(inputs.over_work(value).ravel(), points) for name, value in sizes.items()}
    windows = np.array([model.window if "window" in name else 0.0 for name in inputs.table.names])
    at = np.nonzero((columns["kind"] == ATTENTION) & (columns["count"] > 0.0))
    frame = pd.DataFrame({name: value[at[1]] for name, value in spread.items()})
    yield f"{work.phase} attention", at, frame.assign(window=windows[at[0]])


#: fields that say what fits, and change no time
_ROOM = ("hbm.capacity", "hbm.reserved")


def corrected(inputs: Inputs, framework: str) -> Inputs:
    """Return inputs whose matmuls and attention take what measured tables of its device add to the law.

    Parameters
    ----------
    inputs : Inputs
        As from ``step.prepare``, of a device as it was measured.
    framework : str
        Whose kernels: beginning of a name such as ``"TensorRT-LLM"``, ``"vLLM"`` or ``"SGLang"``.

    Returns
    -------
    Inputs
        With the times of those operators stretched, and the intervals of leave-one-out errors.  Latent attention,
        experts, prefills behind a prefix, mixed steps, drafts and precisions that were not measured keep the law.

    Raises
    ------
    SpecError
        If the device was not measured, not with this framework, or is not as it was measured; or if the tables are not
        installed.
    """
    device = inputs.cluster.device
    given = [name for name, fact in device.facts.items() if fact.kind == "given" and name not in _ROOM]
    if given:
        raise SpecError(f"{device.name} was measured as it is; leave {', '.join(given)} alone, or take the law alone")
    chip, found = cluster(device), dict[str, None]()
    operators, residuals = inputs.operators.copy(), list(device.residuals)
    for kind, (rows, points), frame in _asked(inputs):
        for bits, group in frame.groupby("bits"):
            table = _measured(device, kind, framework, float(bits))
            if len(table) <= NEIGHBOURS:
                continue
            found[kind] = None
            operators[_STRETCH, rows[group.index], points[group.index]] = np.exp(_residual(kind, table, chip, group))
            left = np.log(table["time"] / fit.predict(kind, table, chip)) - _residual(kind, table, chip)
            lower, upper = np.exp(np.quantile(left, [TAIL, 1.0 - TAIL]))
            residuals = [each for each in residuals if (each.kind, each.bits) != (kind, bits)]
            residuals.append(Residual(kind, float(bits), float(lower), float(upper), len(table)))
    known = replace(inputs.cluster, device=replace(device, residuals=tuple(residuals)))
    notes = (*inputs.table.notes, f"corrected by measured kernels of {framework}: {', '.join(found) or 'none fit'}")
    return replace(inputs, cluster=known, operators=operators, table=replace(inputs.table, notes=notes))


def leave_one_out(device: Device, kind: str) -> list[dict[str, Any]]:
    """Return the error of the hybrid where each row is predicted from all others, by source and precision.

    Beside it the error of the law alone, and of interpolating times without a law.
    """
    frame, _ = aiconfigurator.rows(device, kind)
    found = []
    for (source, bits), group in frame.groupby(["source", "bits"]):
        if len(group) <= NEIGHBOURS:
            continue
        places, time = _places(kind, group), group["time"].to_numpy()
        law = fit.predict(kind, group, cluster(device))
        residual = _residual(kind, group, cluster(device))
        plain = interpolated(np.log(time), places, places, leave_out=True)
        found.append(
            {
                "device": device.name,
                "kind": kind,
                "precision": PRECISIONS[bits],
                "source": source,
                **statistics(law * np.exp(residual), time),
                "law_median_ape": statistics(law, time)["median_ape"],
                "table_median_ape": statistics(np.exp(plain), time)["median_ape"],
                "split": "leave one out",
            }
        )
    return found
