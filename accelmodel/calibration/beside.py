"""How measured kernels lie around predicted ones that no constant of a device is fitted to, or of which nobody says
whose they are; by training rows, so that others tell whether it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.calibration.file import residual_text
from accelmodel.calibration.fit import columns
from accelmodel.calibration.spread import ends
from accelmodel.inference import operator_time
from accelmodel.measured import aiconfigurator, experts, mla_and_moe, states, weight_only
from accelmodel.measured.conditions import matmul_warmth
from accelmodel.specs.base import Residual
from accelmodel.specs.hardware import Cluster, Device

if TYPE_CHECKING:
    import pandas as pd

#: kinds of residuals that are found here: the last ones of a device's file
KINDS = (
    "unsaid matmul", "unsaid matmul of a model", "weight-only matmul", "mla prefill", "mla decode", "moe", "unsaid moe",
    "recurrence",
)  # fmt: skip
#: columns and depth that matmuls of models have at least
OF_A_MODEL = 1024
#: rows looked at of each kind and source
ROWS = 3000


def training(tables: Any, kind: str, frame: pd.DataFrame) -> Any:
    """Return which rows may be looked at: those that constants were fitted to, else 70 % by a hash of the shape."""
    if tables is aiconfigurator:
        return aiconfigurator.training(frame, kind)
    seen = np.asarray(tables.training(kind, frame))
    if seen.any():
        return seen
    shape = (frame[name] for name in tables.SHAPES[kind])
    return aiconfigurator.hashed(*shape) < aiconfigurator.TRAINING


def by_law(kind: str, frame: pd.DataFrame, chip: Cluster) -> Any:
    """Return the times of matmuls by the law alone [s], whosever kernels ran."""
    given = columns(kind, frame)
    return operator_time.time_columns({**given, "warm": matmul_warmth(frame, given, chip.device)}, chip)[0]


def _narrow_by_law(_: str, frame: pd.DataFrame, chip: Cluster) -> Any:
    return weight_only.by_law(frame, chip)


def _experts_by_law(_: str, frame: pd.DataFrame, chip: Cluster) -> Any:
    return experts.times_on(frame, chip, None)


def _rows(tables: Any, kind: str, device: Device, seen: bool) -> pd.DataFrame:
    """Return rows of a kind that were looked at or not, at most ``ROWS`` of each source and precision."""
    frame, _ = tables.rows(device, kind)
    if frame.empty:
        return frame
    frame = frame[training(tables, kind, frame) == seen]
    parts = [part.sample(min(len(part), ROWS), random_state=0) for _, part in frame.groupby(["source", "bits"])]
    return frame.loc[sorted(place for part in parts for place in part.index)].reset_index(drop=True)


def ratios(chip: Cluster, kind: str, *, seen: bool = True) -> Iterator[tuple[float, str, Any]]:
    """Yield precision, source and measured over predicted times of a kind of ``KINDS`` on a cluster.

    Parameters
    ----------
    chip : Cluster
    kind : str
    seen : bool
        Training rows; else the others.
    """
    device = chip.device
    for tables, of, predict in _TOLD[kind]:
        frame = _rows(tables, of, device, seen)
        if kind.startswith("unsaid matmul") and len(frame):
            # bf16 matmuls go to one library in every framework, of 4 bit an engine's own is taken
            least = OF_A_MODEL if kind.endswith("of a model") else 0.0
            frame = frame[(frame["bits"] == 8.0) & (frame[["n", "k"]].min(axis=1) >= least)].reset_index(drop=True)
        if frame.empty:
            continue
        ratio = frame["time"].to_numpy() / predict(of, frame, chip)
        for (bits, source), part in frame.assign(ratio=ratio).groupby(["bits", "source"]):
            yield float(bits), f"{of} {source}", part["ratio"].to_numpy()


#: kind → (tables, their kind, how it is predicted)
_TOLD: dict[str, tuple[tuple[Any, str, Any], ...]] = {
    "unsaid matmul": ((aiconfigurator, "matmul", by_law),),
    "unsaid matmul of a model": ((aiconfigurator, "matmul", by_law),),
    "weight-only matmul": (
        (weight_only, "weight-only matmul", weight_only.predict),
        (weight_only, "weight-only matmul", _narrow_by_law),
    ),
    "mla prefill": ((mla_and_moe, "mla prefill", mla_and_moe.predict),),
    "mla decode": ((mla_and_moe, "mla decode", mla_and_moe.predict),),
    "moe": ((experts, "moe", experts.predict),),
    "unsaid moe": ((experts, "moe", _experts_by_law),),
    "recurrence": tuple((states, kind, states.predict) for kind in states.SHAPES if "convolution" not in kind),
}


def residuals(chip: Cluster) -> Iterator[Residual]:
    """Yield the residuals of ``KINDS`` of a measured chip, by precision; each source counts the same."""
    for kind in KINDS:
        found: dict[float, list[Any]] = {}
        for bits, _, ratio in ratios(chip, kind):
            found.setdefault(bits, []).append(ratio)
        for bits, parts in sorted(found.items()):
            lower, upper = ends(parts)
            yield Residual(kind, bits, lower, upper, sum(map(len, parts)))


def with_residuals(text: str, found: Iterable[Residual]) -> str:
    """Return the text of a device's calibrated file with these residuals of ``KINDS`` in the place of its own."""
    blocks = re.split(r"\n(?=\[\[residual\]\]\n)", text.rstrip("\n") + "\n")
    kept = [each for each in blocks if not re.match(rf'\[\[residual\]\]\nkind = "({"|".join(KINDS)})"\n', each)]
    return "\n".join([*kept, *map(residual_text, found)])
