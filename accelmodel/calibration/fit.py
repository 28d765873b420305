"""Fitting the few constants of a device that no data sheet gives to measured kernels.

Fits see the training rows alone (``aiconfigurator.training``); what the accuracy tables say is about the others.
The error that is minimised is that of the logarithm, with large errors counted linearly instead of
squared, so that neither large kernels nor outliers decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.calibration.exchanged import BY_ENGINES, exchange_times
from accelmodel.calibration.spread import around
from accelmodel.errors import SpecError
from accelmodel.inference import operator_time
from accelmodel.inference.columns import STREAM
from accelmodel.inference.rowwise import QUANTISE_OPS, rowwise
from accelmodel.measured import aiconfigurator
from accelmodel.measured.conditions import (
    attention_times,
    attention_warmth,
    beside_attention,
    cache_write,
    matmul_times,
    of_each_source,
)
from accelmodel.specs.base import Residual, value_of
from accelmodel.specs.given import override
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.names import dotted

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[str], None]
Frames = Mapping[str, "pd.DataFrame"]
#: how constants of the link are named among those of the device
_LINK = "link."
#: constant of a bus alone, of one server more than of its kind
CONTENTION = "link.contention"

#: kind of operator → constants that are fitted to it, each with the span in which it makes sense (SI); a difference
#: below the lowest must still be allowed
CONSTANTS: dict[str, dict[str, tuple[float, float]]] = {
    "quantise": {"launch_time": (3e-7, 5e-6)},
    "matmul": {
        "matrix_share": (0.2, 1.0),
        "hbm_share": (0.4, 1.0),
        "fill_time": (1e-8, 5e-6),
        "slice_clocks": (2.0, 1500.0),
    },
    "decode attention": {
        "softmax_width": (0.8, 60.0),
        "attention_time": (5e-7, 2e-5),
        "attention_tile_time": (1e-7, 1e-5),
        "combine_time": (1e-7, 1.5e-5),
    },
    "all-reduce": {
        "link.start_up": (5e-7, 5e-5),
        "link.hop_latency": (1e-7, 1e-5),
        "link.share": (0.2, 1.0),
        "link.switch_share": (0.2, 1.0),
        CONTENTION: (1.05, 6.0),
    },
}
#: kinds that are fitted together, with what the first of them names
TOGETHER = {
    "decode attention": ("prefill attention", "decode attention"),
    "all-reduce": ("all-reduce", "all-gather", "reduce-scatter", "all-to-all"),
}
#: kind whose constants serve another one, which is not fitted but whose spread is told as well
BESIDE = {"all-reduce": BY_ENGINES}
#: sources whose rows are fitted, by kind and precision: bf16 matmuls go to one library in every framework,
#: fp8 matmuls of other frameworks go to another library; attention to the one whose kernels are newest, without
#: windows, under which FlashAttention-2 reads the keys once a query head
FITTED: dict[tuple[str, float], tuple[str, ...]] = {
    ("matmul", 16.0): ("TensorRT-LLM", "vLLM", "SGLang"),
    ("matmul", 8.0): ("TensorRT-LLM",),
    ("quantise", 8.0): ("TensorRT-LLM", "vLLM"),
    ("prefill attention", 16.0): ("vLLM",),
    ("decode attention", 16.0): ("vLLM",),
    **{(kind, bits): ("NCCL",) for kind in TOGETHER["all-reduce"] for bits in (16.0, 8.0)},
}
#: links whose constants serve another link; over a bus it matters who sits where, so that they hold for one server
TOPOLOGIES = ("switch", "mesh")
#: links that are fitted to their own rows
FITTABLE = (*TOPOLOGIES, "bus")
#: logarithmic error from which it is counted linearly
SOFT = 0.05
#: step of a finite difference, downwards so that a share never exceeds one
STEP = 0.02
#: parts of the training rows that are fitted apart: the span of their results is a constant's range
FOLDS = 5
#: so close to an end of its span a constant counts as ended on it [1]
_NEAR = 1.02
#: fewest rows of a kind that are worth a fit
FEWEST = 30
#: kind whose smallest kernels are the shortest of all: what they take is what any kernel takes, its launch
SHORTEST = "quantise"
#: share of the training rows that are its smallest: a few, so that no single clock reading decides
_SMALLEST = 0.01


@dataclass(frozen=True)
class Fit:
    """Constants fitted to one kind of operator.

    Attributes
    ----------
    kind : str
    values : mapping
        Field of the device, or ``link.`` and a field of its link → value (SI).
    spans : mapping
        Field → lowest and highest value over fits to parts of the rows.
    rows : int
        Training rows.
    sources : str
        Where they were measured.
    residuals : tuple of Residual
        Spread of measured over predicted time on the training rows, by precision.
    """

    kind: str
    values: Mapping[str, float]
    spans: Mapping[str, tuple[float, float]]
    rows: int
    sources: str
    residuals: tuple[Residual, ...]

    def bound(self, name: str) -> str:
        """Return whether a constant ended at the ``lowest`` or ``highest`` value that makes sense; empty if neither."""
        return ended(self.values[name], CONSTANTS[self.kind][name])


def ended(value: float, span: tuple[float, float]) -> str:
    """Return on which end of its span a constant ended, ``lowest`` or ``highest``; empty if on neither.

    There the rows would have had it beyond: what it stands for is missing, or another constant takes its place.
    """
    low, high = span
    return "lowest" if value <= low * _NEAR else "highest" if value >= high / _NEAR else ""


def columns(kind: str, frame: pd.DataFrame) -> operator_time.Columns:
    """Return the operators that the rows of a frame describe; ``aiconfigurator.SHAPES`` names its columns."""
    value = {name: frame[name].to_numpy(dtype=float) for name in (*aiconfigurator.SHAPES[kind], "bits")}
    if kind == "matmul":
        return operator_time.matmul(value["m"], value["n"], value["k"], value["bits"])
    if kind == "quantise":
        return rowwise(value["m"], value["k"], QUANTISE_OPS, (STREAM, value["bits"] / 8.0, 0.0))
    if "elements" in value:
        size = value["elements"] * value["bits"] / 8.0
        return operator_time.collective(kind.removeprefix("custom "), size, value["devices"])
    shape = [value[name] for name in ("batch", "heads", "kv_heads", "head_dim", "context")]
    return operator_time.attention(kind.partition(" ")[0], *shape, window=value["window"], kv_bits=value["bits"])


def predict(kind: str, frame: pd.DataFrame, chip: Cluster) -> Any:
    """Return the times of the rows of a frame on a cluster [s]; axes of the cluster follow the rows.

    Attention was measured on the same data time
    after time, matmuls on copies of the weights in turn, so that what fits L2 is there.  Matmuls of a framework's
    own kernels (``library_of``) hold the quantisation of their activations.
    """
    given = columns(kind, frame)
    if kind == "matmul":
        return matmul_times(frame, given, chip)
    found = attention_warmth(given, chip.device) if kind.endswith("attention") else 0.0
    given = {**given, "warm": found}
    if "elements" in frame:
        return exchange_times(kind, frame, given, chip)
    if kind.endswith("attention"):
        times = attention_times(frame, given, chip) + beside_attention(kind, frame, found, chip)
    else:
        times, _ = operator_time.time_columns(given, chip)
    if kind == "prefill attention":
        written = cache_write(frame, found, chip.device)
        times = times + written.reshape(-1, *[1] * (times.ndim - 1))
    return times


def placed(chip: Cluster, values: Mapping[str, Any]) -> Cluster:
    """Return the cluster with constants in place: those named ``link.…`` in its link, others in its device."""
    device = {name: value for name, value in values.items() if not name.startswith(_LINK)}
    link = {name.removeprefix(_LINK): value for name, value in values.items() if name.startswith(_LINK)}
    return replace(
        chip,
        device=override(chip.device, **device) if device else chip.device,
        link=override(chip.link, **link) if link else chip.link,
    )


def constant(chip: Cluster, name: str) -> float:
    """Return a constant of a cluster by its name in ``CONSTANTS``."""
    owner = chip.link if name.startswith(_LINK) else chip.device
    return float(value_of(owner, dotted(type(owner), name.removeprefix(_LINK))))


def is_fitted(kind: str, frame: pd.DataFrame) -> Any:
    """Return which rows are of a source and precision that constants are fitted to."""
    chosen = np.zeros(len(frame), dtype=bool)
    if frame.empty:
        return chosen
    for (of, bits), names in FITTED.items():
        if of == kind:
            own = frame["source"].str.startswith((*names, "given"))
            chosen |= np.asarray((frame["bits"] == bits) & own) & ~np.asarray(aiconfigurator.windowed(frame))
    return chosen


def _log_errors(frames: Frames, chip: Cluster, points: Any, names: list[str]) -> Any:
    """Return log of predicted over measured time (row, point) at points (point, constant) of the constants."""
    import xarray as xr

    axes = {name: xr.DataArray(points[:, i], dims="point") for i, name in enumerate(names)}
    moved = placed(chip, axes)
    return np.concatenate(
        [np.log(predict(kind, frame, moved) / frame["time"].to_numpy()[:, None]) for kind, frame in frames.items()]
    )


def solve(kind: str, frames: Frames, chip: Cluster) -> dict[str, float]:
    """Return the constants of a kind that fit the rows best, all other constants being the cluster's.

    A constant on which no row depends is left out.

    Soft-L1 least squares of the logarithmic error in the logarithm of each constant, bounded
    (``scipy.optimize.least_squares``); all differences of a step are one call of the kernel.
    The launch is no mean over kernels but the least that one takes: all others are the launch and more.
    """
    from scipy.optimize import least_squares

    if kind == SHORTEST:
        return {"launch_time": float(np.quantile(np.concatenate([f["time"] for f in frames.values()]), _SMALLEST))}
    # behind a switch nothing is contended, and a constant on which no row depends slows the solver
    names = [name for name in CONSTANTS[kind] if name != CONTENTION or chip.link.topology == "bus"]
    low, high = (np.log([CONSTANTS[kind][name][end] for name in names]) for end in (0, 1))

    def errors(x: Any) -> Any:
        return _log_errors(frames, chip, np.exp(x)[None], names)[:, 0]

    def slopes(x: Any) -> Any:
        points = np.exp(np.vstack([x, x - STEP * np.eye(len(x))]))
        found = _log_errors(frames, chip, points, names)
        return (found[:, :1] - found[:, 1:]) / STEP

    # the solver creeps when it starts at a bound
    start = np.clip(np.log([max(constant(chip, name), 1e-12) for name in names]), low + 0.1, high - 0.1)
    result = least_squares(errors, start, jac=slopes, bounds=(low, high), loss="soft_l1", f_scale=SOFT, max_nfev=60)
    told = np.any(slopes(result.x) != 0.0, axis=0)
    return {name: float(np.exp(x)) for name, x, tells in zip(names, result.x, told, strict=True) if tells}


def telling(kind: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a kind that tell how wide its interval is: of matmuls and attention those of every source."""
    if kind.endswith("attention"):
        return of_each_source(kind, frame)
    return frame if kind in ("matmul", SHORTEST) else frame[is_fitted(kind, frame)]


def fit(kind: str, frames: Frames, chip: Cluster, told: Frames | None = None) -> Fit:
    """Fit the constants of one kind of operator to training rows.

    Parameters
    ----------
    kind : str
        A key of ``CONSTANTS``.
    frames : mapping
        Kind → training rows, with the columns of ``aiconfigurator.SHAPES``, ``bits``, ``source`` and ``time`` [s].
    chip : Cluster
        Gives all other constants, and the starting point.
    told : mapping, optional
        Kind → training rows from which errors are read; those that are fitted where it is not given.
    """
    values = solve(kind, frames, chip)
    parts = []
    for part in range(FOLDS):
        own = {of: frame[_folds(frame) == part] for of, frame in frames.items()}
        parts.append(solve(kind, own, chip))
    spans = {
        name: (
            min(value, *(part.get(name, value) for part in parts)),
            max(value, *(part.get(name, value) for part in parts)),
        )
        for name, value in values.items()
    }
    sources = ", ".join(sorted({source for frame in frames.values() for source in frame["source"]}))
    near = placed(chip, values)
    looked_at = (told or frames).items()
    residuals = tuple(each for of, frame in looked_at for each in around(of, frame, predict(of, frame, near)))
    return Fit(kind, values, spans, sum(map(len, frames.values())), sources, residuals)


def _folds(frame: pd.DataFrame) -> Any:
    """Return to which of the parts each row belongs."""
    return np.floor(FOLDS * aiconfigurator.hashed(np.arange(len(frame)))).astype(int)


def training_rows(kind: str, measured: Frames) -> Frames:
    """Return what may be fitted of the measured rows of a kind, and of those fitted together with it."""
    found = {}
    for of in TOGETHER.get(kind, (kind,)):
        frame = measured.get(of)
        if frame is not None and not frame.empty:
            found[of] = frame[np.asarray(aiconfigurator.training(frame, of)) & is_fitted(of, frame)]
            if of == "quantise":
                # what a kernel takes at least is the device's; what one framework's takes more is not
                found[of] = found[of].loc[found[of].groupby(list(aiconfigurator.SHAPES[of]))["time"].idxmin()]
    return {of: frame for of, frame in found.items() if len(frame)}


def calibrate(chip: Cluster, measured: Frames, progress: Progress | None = None) -> list[Fit]:
    """Fit all constants that the measured rows can tell, kind by kind, the later ones with the earlier in place.

    Parameters
    ----------
    chip : Cluster
    measured : mapping
        Kind → rows; the training rows among them are fitted, the others not looked at.
    progress : callable, optional
        Told what is being fitted.

    Raises
    ------
    SpecError
        If no kind has ``FEWEST`` training rows.
    """
    fits: list[Fit] = []
    for kind in CONSTANTS:
        frames = training_rows(kind, measured)
        rows = sum(map(len, frames.values()))
        if rows < FEWEST or (kind in aiconfigurator.COLLECTIVES and chip.link.topology not in FITTABLE):
            continue
        if progress:
            progress(f"{kind}: {rows} rows")
        seen = {of: measured[of][np.asarray(aiconfigurator.training(measured[of], of))] for of in frames}
        found = fit(kind, frames, chip, {of: telling(of, frame) for of, frame in seen.items()})
        chip = placed(chip, found.values)
        fits.append(replace(found, residuals=(*found.residuals, *_beside(kind, measured, chip))))
    if not fits:
        raise SpecError(
            f"{chip.device.name}: no kind of operator has {FEWEST} measured training rows; measure more shapes of "
            + " or ".join(CONSTANTS)
        )
    return fits


def _beside(kind: str, measured: Frames, chip: Cluster) -> Iterator[Residual]:
    """Yield the spread of a kind that follows from the constants of another, and that none is fitted to."""
    of = BESIDE.get(kind)
    frame = measured.get(of) if of else None
    if of and frame is not None and not frame.empty:
        seen = frame[np.asarray(aiconfigurator.training(frame, of))]
        yield from around(of, seen, predict(of, seen, chip))


def calibrated(chip: Cluster, fits: list[Fit]) -> Cluster:
    """Return the cluster with the fitted constants in place."""
    return placed(chip, {name: value for part in fits for name, value in part.values.items()})
