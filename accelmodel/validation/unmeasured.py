"""How far measured times lie from predicted ones on chips that no constant was fitted to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from accelmodel.calibration import beside, fit
from accelmodel.calibration.errors import fitted, transferred
from accelmodel.calibration.spread import ends
from accelmodel.inference.intervals import EXPERTS, MEASURED
from accelmodel.measured import aiconfigurator
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.load import load

Progress = Callable[[str], None]
#: kind of ``calibration.beside`` → kind in ``hwspecs/uncalibrated.toml``
_BESIDE = {
    "unsaid matmul": "unsaid matmul",
    "unsaid matmul of a model": "unsaid matmul of a model",
    "weight-only matmul": "weight-only matmul",
    "mla prefill": "mla prefill",
    "mla decode": "mla decode",
    "unsaid moe": EXPERTS,
    "recurrence": "recurrence",
}
#: kind of matmuls below 16 bit, which each framework has kernels of its own for
NARROW, WIDE = "narrow matmul", 16.0
#: kind of collectives where the link is a bus
BUS = "collective over a bus"
#: most that may lie beyond either end of the rows of one source on one device, and the share of sources that may not
#: keep to it
OF_ONE, OF_SOURCES = 0.075, 0.05


def ratios(model: Cluster) -> Iterator[tuple[str, str, Any]]:
    """Yield kind in ``hwspecs/uncalibrated.toml``, kind measured, and measured over predicted times, by source.

    Parameters
    ----------
    model : Cluster
        A measured device with constants of others.
    """
    for kind, group in MEASURED.items():
        if kind not in aiconfigurator.SHAPES:
            continue
        frame, _ = aiconfigurator.rows(model.device, kind)
        frame = fit.telling(kind, frame) if len(frame) else frame
        if frame.empty:
            continue
        name = BUS if "elements" in frame and model.link.topology not in fit.TOPOLOGIES else group
        ratio = frame["time"].to_numpy() / fit.predict(kind, frame, model)
        for (_, bits), part in frame.assign(ratio=ratio).groupby(["source", "bits"]):
            yield NARROW if group == "matmul" and bits < WIDE else name, kind, part["ratio"].to_numpy()
    for kind, name in _BESIDE.items():
        for seen in (False, True):
            for _, _, ratio in beside.ratios(model, kind, seen=seen):
                yield name, kind, ratio


def uncalibrated(progress: Progress | None = None) -> dict[str, tuple[float, float]]:
    """Return between which factors of the prediction nine tenths of measured times lie on chips that were not fitted.

    Each measured device is taken for an unmeasured one, with the constants of others (``transferred``); every device
    counts the same, whatever its number of rows, as does each source of its kernels, since nobody says whose they are.
    Of kinds that go together the outermost ends are taken, and of 19 sources in 20 at most 7.5 % lie beyond one.

    Returns
    -------
    dict
        Kind → (lower, upper) [1]; what ``hwspecs/uncalibrated.toml`` holds.
    """
    places = np.linspace(0.0, 1.0, 1001)
    found: dict[tuple[str, str], list[Any]] = {}
    alone: dict[str, list[Any]] = {}
    for name in fitted():
        if progress:
            progress(f"{name} as a chip that was not measured")
        model, _ = transferred(load("device", name))
        own: dict[tuple[str, str], list[Any]] = {}
        for group, kind, ratio in ratios(model):
            own.setdefault((group, kind), []).append(np.quantile(ratio, places))
            alone.setdefault(group, []).append(np.quantile(ratio, [OF_ONE, 1.0 - OF_ONE]))
        for each, parts in own.items():
            found.setdefault(each, []).append(np.quantile(np.concatenate(parts), places))
    widest: dict[str, tuple[float, float]] = {}
    for (group, _), parts in found.items():
        before = widest.get(group, (np.inf, 0.0))
        lower, upper = ends(parts, each=0.5)
        widest[group] = (min(lower, before[0]), max(upper, before[1]))
    # at 16 bit every framework calls the same library of matmuls
    for group, parts in ((group, parts) for group, parts in alone.items() if group != "matmul"):
        lowers, uppers = np.array(parts).T
        lower, upper = float(np.quantile(lowers, OF_SOURCES)), float(np.quantile(uppers, 1.0 - OF_SOURCES))
        widest[group] = (min(lower, widest[group][0]), max(upper, widest[group][1]))
    return widest
