"""Cake against its paper, on two levels that are reported apart.

"Measured curve" takes the paper's chunk times and asks whether the fronts are right.  "Own step model" takes
nothing from the paper but the inputs, so that it also judges the step model, with the host of the engine.  Data and
claims stand in ``hwspecs/published/cake.toml``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Literal

import numpy as np
import pydantic
from pydantic import BaseModel, ConfigDict, Field

from accelmodel.errors import SpecError, unknown
from accelmodel.inference.kept import kv_bytes_per_token
from accelmodel.kvcache.adaptive import Request, adaptive_scheduling, batch_times
from accelmodel.kvcache.policies import cake, compute_only, load_only, meet
from accelmodel.kvcache.prompt import Computing, Loading, Prompt, chunk_times
from accelmodel.kvcache.traces import Array, random_trace
from accelmodel.specs import facts
from accelmodel.specs.given import cluster
from accelmodel.specs.load import load
from accelmodel.validation.claims import claims, evaluate

#: bytes per second of one Gibit/s, the "Gbps" of the paper, and of one Mibit/s [B/s]
GIBPS, MIBPS = 2.0**30 / 8.0, 2.0**20 / 8.0
#: speed-ups above which the paper leaves a cell out of its averages
OUTLIER = 10.0
#: engine of the paper, whose published times hold what it does between steps
ENGINE = "vllm"
#: assumed ratio of CacheGen's compression in v1
V1_COMPRESSION = 4.0
#: device and how many of them stand for the paper's hardware in level "own step model"; the H100 may be either
STANDS_FOR = {("a100-sxm-80gb", 1): "A100", ("a100-sxm-80gb", 2): "2xA100", ("h100-sxm", 1): "H100",
              ("h100-pcie", 1): "H100"}  # fmt: skip

Positive = Annotated[float, Field(gt=0.0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class _Sourced(_Strict):
    source: str
    locator: str


class Curve(_Sourced):
    """Measured times of prefill chunks."""

    chunk: Positive
    unit: Literal["ms"]
    times: Annotated[list[Positive], Field(min_length=2)]


class Cell(_Strict):
    """One cell of Table 3: two speed-ups of Cake."""

    hardware: str
    utilisation: Annotated[float, Field(gt=0.0, le=1.0)]
    gibps: Positive
    over_load: Positive
    over_compute: Positive


class Fitted(_Strict):
    """What was fitted to Table 3: compute-only times [s], whose curve has their shape, and the copy rate [B/s]."""

    compute_only: dict[str, Positive]
    shape: dict[str, str]
    copy_rate: Positive


class Table3(_Sourced):
    """Speed-ups over hardware, utilisation and bandwidth."""

    model: str
    curve_model: str
    tokens: Positive
    chunk: Positive
    io_chunk: Positive
    cells: Annotated[list[Cell], Field(min_length=1)]
    fitted: Fitted


class Figure5(_Sourced):
    """Fluctuating resources: ranges and intervals [s] of the random draws."""

    model: str
    tokens: Positive
    gibps: Positive
    bandwidth_interval: Positive
    budget_interval: Positive
    seeds: Annotated[int, Field(ge=1)]


class Figure6(_Sourced):
    """Adaptive scheduling: the ordinary requests, and step time [ms] against tokens in the batch."""

    model: str
    tokens: Positive
    gibps: Positive
    requests: list[Positive]
    decode: Annotated[float, Field(ge=0.0)]
    batch_tokens: list[Positive]
    batch_ms: list[Positive]


class First(_Sourced):
    """Set-up of version 1, as far as it is known."""

    models: list[str]
    tokens: list[Positive]
    mibps: list[Positive]


class Published(_Strict):
    """All of ``published/cake.toml`` but its claims, which ``validation.claims`` reads."""

    curve: dict[str, Curve]
    table3: Table3
    figure5: Figure5
    figure6: Figure6
    v1: First
    check: list[Any]


def read_published() -> Published:
    """Return what the paper publishes; raises SpecError naming file and field."""
    path = facts.root() / "published" / "cake.toml"
    content, _ = facts.read_toml(path)
    try:
        found = Published.model_validate(content)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise SpecError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    for part in (*found.curve.values(), found.table3, found.figure5, found.figure6, found.v1):
        if part.source not in facts.sources():
            raise SpecError(f"{path}: {unknown('source', part.source, facts.sources())}")
    for cell in found.table3.cells:
        if cell.hardware not in found.table3.fitted.compute_only:
            raise SpecError(f"{path}: {unknown('hardware', cell.hardware, found.table3.fitted.compute_only)}")
    return found


published = cache(read_published)


def measured(name: str) -> Array:
    """Return a measured curve of the paper (A100, H100) [s]."""
    return np.array(published().curve[name].times) * 1e-3


def scaled(name: str) -> Array:
    """Return a measured curve taken to the model of Table 3 by FLOPs [s].

    What the curve's straight line has at its start grows with the FLOPs of the weights, its slope with layers x
    width (attention), and what lies off the line with the weights.
    """
    times = measured(name)
    small, large = (load("model", model) for model in (published().table3.curve_model, published().table3.model))

    def weights(model: Any) -> float:
        return float(model.layers * model.hidden * (4.0 * model.hidden + 3.0 * model.ffn))

    matrix = weights(large) / weights(small)
    attention = large.layers * large.hidden / (small.layers * small.hidden)
    at = np.arange(len(times))
    slope, _ = np.polyfit(at, times, 1)
    return np.asarray(matrix * (times - slope * at) + attention * slope * at, dtype=float)


def table3_curve(hardware: str) -> Array:
    """Return chunk times of Table 3's model: scaled curve, its sum set to the fitted compute-only time [s]."""
    table = published().table3
    times = scaled(table.fitted.shape[hardware])
    steps = int(table.tokens // table.chunk)
    return np.asarray(times * table.fitted.compute_only[hardware] / times[:steps].sum(), dtype=float)


def _slowdown() -> float:
    """Return how much longer a step takes beside a load, of the tier that the paper simulates [1]."""
    return float(load("storage", "cloud-ssd").slowdown)


def cell_prompt(cell: Cell, times: Array, copy_rate: float) -> Prompt:
    """Return the question of one cell of Table 3; one step of the engine stands behind a load."""
    table = published().table3
    model = load("model", table.model)
    stored = Loading(
        float(kv_bytes_per_token(model)), cell.gibps * GIBPS, float(model.layers), io_chunk=table.io_chunk,
        copy_rate=copy_rate, slowdown=_slowdown(),
    )  # fmt: skip
    return Prompt(table.tokens, table.tokens, Computing(times, table.chunk, cell.utilisation), stored)


def cell_speedups(cell: Cell, times: Array, copy_rate: float) -> tuple[float, float]:
    """Return Cake's speed-ups over loading and over computing in one cell [1]."""
    prompt = cell_prompt(cell, times, copy_rate)
    both = cake(prompt)
    return load_only(prompt) / both, compute_only(prompt) / both


@cache
def table3_points() -> list[dict[str, Any]]:
    """Return the cells of Table 3 with the model's speed-ups at level "measured curve", for tests and figures."""
    table = published().table3
    curves = {name: table3_curve(name) for name in table.fitted.compute_only}
    points = []
    for cell in table.cells:
        load_gain, compute_gain = cell_speedups(cell, curves[cell.hardware], table.fitted.copy_rate)
        points.append({**cell.model_dump(), "model_over_load": load_gain, "model_over_compute": compute_gain})
    return points


def _errors(points: list[dict[str, Any]]) -> Array:
    pairs = [(p[f"model_over_{way}"], p[f"over_{way}"]) for p in points for way in ("load", "compute")]
    return np.array([ours / theirs - 1.0 for ours, theirs in pairs])


def _rms(errors: Array) -> float:
    return float(np.sqrt(np.mean(errors**2)))


def _of_curve(hardware: str, times: Array) -> list[dict[str, Any]]:
    points = []
    for cell in published().table3.cells:
        if cell.hardware == hardware:
            load_gain, compute_gain = cell_speedups(cell, times, math.inf)
            points.append({**cell.model_dump(), "model_over_load": load_gain, "model_over_compute": compute_gain})
    return points


def _unfitted_rms(_: str) -> float:
    return 1.0 + _rms(_errors([point for name in published().curve for point in _of_curve(name, scaled(name))]))


def _scaled_compute(name: str) -> float:
    table = published().table3
    return float(scaled(name.partition(".")[2])[: int(table.tokens // table.chunk)].sum())


def _slowed_compute(name: str) -> float:
    hardware = name.partition(".")[2]
    slowest = min((c for c in published().table3.cells if c.hardware == hardware), key=lambda cell: cell.utilisation)
    return compute_only(cell_prompt(slowest, table3_curve(hardware), math.inf))


def _average(name: str) -> float:
    """Mean of the cells as printed: what the paper's own averages should be."""
    column = "over_" + name.partition(".")[2]
    return float(np.mean([getattr(cell, column) for cell in published().table3.cells]))


def _headline(_: str) -> float:
    kept = [p for p in table3_points() if max(p["over_load"], p["over_compute"]) <= OUTLIER]
    return float(np.mean([p[f"model_over_{way}"] for p in kept for way in ("load", "compute")]))


def _figure5_meeting(_: str) -> float:
    data = published().figure5
    model = load("model", data.model)
    times, longest = measured("A100"), 60.0
    met = []
    for seed in range(data.seeds):
        budget = random_trace(0.0, 1.0, data.budget_interval, longest, 2 * seed)
        wire = random_trace(0.0, data.gibps * GIBPS, data.bandwidth_interval, longest, 2 * seed + 1)
        # fronts of fetches and steps alone, as before copies were known: with them the figure is missed by 61 %, not 59
        loading = Loading(float(kv_bytes_per_token(model)), wire.mean, float(model.layers), 0.0, trace=wire)
        met.append(meet(Prompt(data.tokens, data.tokens, Computing(times, budget=budget), loading)).meet_time)
    return float(np.mean(met))


def _schedule(times: Array, batch: tuple[Array, Array]) -> dict[str, float]:
    data = published().figure6
    model = load("model", data.model)
    stored = Loading(
        float(kv_bytes_per_token(model)), data.gibps * GIBPS, float(model.layers),
        copy_rate=published().table3.fitted.copy_rate, slowdown=_slowdown(),
    )  # fmt: skip
    prompt = Prompt(data.tokens, data.tokens, Computing(times), stored)
    others = [Request(0.0, tokens, data.decode) for tokens in data.requests]
    result = adaptive_scheduling(prompt, others, batch)
    finish = {str(mode): float(result.finish.sel(mode=mode)) for mode in result.mode.values}
    steps = meet(prompt).computed_tokens / prompt.computing.chunk
    return {**finish, "gain": finish["default"] / finish["adaptive"], "steps": steps}


@cache
def _figure6() -> dict[str, float]:
    data = published().figure6
    return _schedule(measured("A100"), (np.array(data.batch_tokens), np.array(data.batch_ms) * 1e-3))


@cache
def _own_figure6() -> dict[str, float]:
    data = published().figure6
    model, chip = load("model", data.model), cluster(load("device", "a100-sxm-80gb"), 1)
    tokens, alone = batch_times(model, chip, data.batch_tokens)
    return _schedule(chunk_times(model, chip, data.tokens) + _between(), (tokens, alone + _between()))


@cache
def _first_version() -> dict[str, float]:
    """Largest cuts of the time to first token over what is known of v1's set-up, on an A100."""
    data, table = published().v1, published().table3
    curves = {table.curve_model: measured("A100"), table.model: table3_curve("A100")}
    cuts: dict[str, list[float]] = {"load": [], "compute": [], "compressed": []}
    for name in data.models:
        model = load("model", name)
        for tokens in data.tokens:
            for mibps in data.mibps:
                for compression in (1.0, V1_COMPRESSION):
                    stored = Loading(
                        float(kv_bytes_per_token(model)), mibps * MIBPS, float(model.layers),
                        compression=compression, copy_rate=table.fitted.copy_rate, slowdown=_slowdown(),
                    )  # fmt: skip
                    prompt = Prompt(tokens, tokens, Computing(curves[name]), stored)
                    both = cake(prompt)
                    if compression == 1.0:
                        cuts["load"].append(1.0 - both / load_only(prompt))
                    cuts["compute" if compression == 1.0 else "compressed"].append(1.0 - both / compute_only(prompt))
    return {name: max(values) for name, values in cuts.items()}


@cache
def _own(model: str, device: str, devices: int, tokens: float) -> Array:
    chip = cluster(load("device", device), devices)
    return chunk_times(load("model", model), chip, tokens, tp=devices) + _between()


def _between() -> float:
    """Return what the engine of the paper takes between two steps of whole chunks [s], as the file of today's says."""
    return float(load("engine", ENGINE).step_time)


def _place(name: str) -> tuple[str, int]:
    _, device, count = name.split(".")
    return device, int(count)


def _own_compute(name: str) -> float:
    device, count = _place(name)
    table = published().table3
    return float(_own(table.model, device, count, table.tokens).sum())


def _own_rms(name: str) -> float:
    place = _place(name)
    table = published().table3
    times = _own(table.model, *place, table.tokens)
    return 1.0 + _rms(_errors(_of_curve(STANDS_FOR[place], times)))


def _own_curve(name: str) -> float:
    _, device, what = name.split(".")
    table = published().table3
    times = _own(table.curve_model, device, 1, len(published().curve["A100"].times) * table.chunk)
    sums = {"first": times[0], "last": times[-1], "sum": times[: int(table.tokens // table.chunk)].sum()}
    return float(sums[what])


QUANTITIES: dict[str, Callable[[str], float]] = {
    "measured_rms": lambda _: 1.0 + _rms(_errors(table3_points())),
    "measured_worst": lambda _: 1.0 + float(np.abs(_errors(table3_points())).max()),
    "unfitted_rms": _unfitted_rms,
    "scaled_compute": _scaled_compute,
    "slowed_compute": _slowed_compute,
    "average": _average,
    "headline": _headline,
    "figure5_meeting": _figure5_meeting,
    "figure6": lambda name: _figure6()[name.partition(".")[2]],
    "overhead": lambda _: _slowdown(),
    "v1": lambda name: _first_version()[name.partition(".")[2]],
    "own_compute": _own_compute,
    "own_curve": _own_curve,
    "own_rms": _own_rms,
    "own_figure6": lambda name: _own_figure6()[name.partition(".")[2]],
}


def validate() -> list[dict[str, Any]]:
    """Return the accuracy table of Cake, with the rows of ``validation.claims.validate``."""
    return evaluate(claims("check"), QUANTITIES)
