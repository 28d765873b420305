"""Questions about a stored prompt, over lists of lengths, bandwidths, shares and precisions: answers as rows.

``Inputs`` is what ``accelmodel cake`` asks.  Constant rates go through the grid's kernel, traces prompt by prompt.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.errors import SpecError, unknown
from accelmodel.inference.intervals import by_kind
from accelmodel.inference.operators import check
from accelmodel.inference.placement import whole_heads
from accelmodel.inference.precisions import in_words, precisions
from accelmodel.inference.reading import reading
from accelmodel.inference.step import prepare
from accelmodel.inference.where import told
from accelmodel.kvcache.checks import check_above_zero
from accelmodel.kvcache.grid import BASE_BITS, ttft_grid
from accelmodel.kvcache.policies import POLICIES, fronts_over_time, meet
from accelmodel.kvcache.prompt import Computing, Loading, Prompt, chunk_times, loading
from accelmodel.kvcache.traces import Array, Trace, read_chunk_times
from accelmodel.specs.base import field_types
from accelmodel.specs.facts import weakest
from accelmodel.specs.given import workload
from accelmodel.specs.hardware import Cluster, Storage
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.quantities import Quantity, one
from accelmodel.specs.workload import Workload
from accelmodel.units import show

if TYPE_CHECKING:
    import xarray as xr

#: policies of every answer
ALWAYS = ("compute_only", "load_only", "cake", "oracle")
#: part by which Cake must be faster than the better single resource for both to count
WORTH_BOTH = 0.05
#: what a storage tier may move
_RATE = field_types(Storage)["bandwidth"].quantity or Quantity("B/s")
#: part by which Cake must be slower than another policy to be said to lose: rounding apart
LOSES = 1e-6


@dataclass(frozen=True)
class Inputs:
    """Lists that span the rows, and what is the same for all.

    Attributes
    ----------
    model, cluster, storage
        What runs where, and where the KV cache lies.
    tokens, bandwidth, utilisation, kv_bits : sequence of float
        Axes [token], [B/s], [1], [bit].
    tp : int
        Tensor-parallel degree.
    weight_bits : float
        Precision of weights [bit]; activations have 16.
    compute_chunk, io_chunk : float
        Token budget of a step, and tokens of one request [token].
    curve : str, optional
        CSV of measured chunk times instead of the step model.
    bandwidth_trace, budget_trace : Trace, optional
        Rates over time; each replaces its axis by its mean.
    policies : sequence of str
        Beyond those that every answer has.
    stored : float, optional
        Tokens from the start of the prompt that lie in storage; all by default.
    loads : mapping
        Fields of ``Loading`` that differ from the storage's: tail, latency, compression, decompression_rate, copy_rate,
        slowdown.
    """

    model: LanguageModel
    cluster: Cluster
    storage: Storage
    tokens: Sequence[float]
    bandwidth: Sequence[float]
    utilisation: Sequence[float] = (1.0,)
    kv_bits: Sequence[float] = (0.0,)
    tp: int = 1
    weight_bits: float = 0.0
    compute_chunk: float = 512.0
    io_chunk: float = 128.0
    curve: str | None = None
    bandwidth_trace: Trace | None = None
    budget_trace: Trace | None = None
    policies: Sequence[str] = ()
    stored: float | None = None
    loads: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.policies:
            if name not in POLICIES:
                raise unknown("policy", name, [*POLICIES, "all"])
        for value in self.bandwidth:
            one("bandwidth", value, _RATE)
        for value in self.precisions:
            check_above_zero("KV precision", value, "bit")
        if self.stored is not None and not 0.0 <= self.stored <= min(self.tokens):
            raise SpecError(f"stored prefix {self.stored:g} must lie between 0 and the {min(self.tokens):g} tokens")

    @property
    def precisions(self) -> list[float]:
        """Precisions of the KV cache; 0 is what the model's file states [bit]."""
        return [float(bits or self.model.precision.kv) for bits in self.kv_bits]

    @property
    def traced(self) -> bool:
        """Whether a rate is given over time."""
        return self.bandwidth_trace is not None or self.budget_trace is not None

    @property
    def names(self) -> list[str]:
        """Policies of the answer, in the order of ``POLICIES``."""
        return [name for name in POLICIES if name in ALWAYS or name in self.policies]


def longest(inputs: Inputs, bits: float) -> Workload:
    """Return the prefill of the longest prompt, which must fit the device."""
    precision = {"weight_bits": inputs.weight_bits, "kv_bits": bits}
    return workload(phase="prefill", batch=1.0, context=max(inputs.tokens), tp=inputs.tp, **precision)


def step_curve(inputs: Inputs, bits: float) -> Array:
    """Return chunk times for the longest prompt: measured where a curve is given, else from the step model [s].

    Raises
    ------
    SpecError, Infeasible
        Where the curve has a gap or ends too early, or the longest context does not fit the device.
    """
    work = longest(inputs, bits)
    if inputs.curve is None:
        precision = {"weight_bits": inputs.weight_bits, "kv_bits": bits}
        chunk = inputs.compute_chunk
        return chunk_times(inputs.model, inputs.cluster, float(work.context), chunk, tp=inputs.tp, **precision)
    check_above_zero("compute chunk", inputs.compute_chunk, "token")
    prepare(inputs.model, inputs.cluster, work)
    return read_chunk_times(inputs.curve, math.ceil(work.context / inputs.compute_chunk))


def back(inputs: Inputs, bits: float) -> Loading:
    """Return how the KV cache at one precision is loaded."""
    fields = {"io_chunk": inputs.io_chunk, **inputs.loads}
    return loading(inputs.model, inputs.storage, kv_bits=bits, trace=inputs.bandwidth_trace, **fields)


def prompt_at(inputs: Inputs, curve: Array, at: dict[str, float]) -> Prompt:
    """Return what one row asks of the policies."""
    engine = Computing(curve, inputs.compute_chunk, at["utilisation"], inputs.budget_trace)
    stored = at["tokens"] if inputs.stored is None else inputs.stored
    load = replace(back(inputs, at["kv_bits"]), bandwidth=at["bandwidth_bytes_per_s"])
    return Prompt(at["tokens"], stored, engine, load)


def points_of(inputs: Inputs) -> Iterator[dict[str, float]]:
    wire, budget = inputs.bandwidth_trace, inputs.budget_trace
    for tokens in inputs.tokens:
        for bandwidth in inputs.bandwidth if wire is None else [wire.mean]:
            for share in inputs.utilisation if budget is None else [budget.mean]:
                for bits in inputs.precisions:
                    yield {
                        "tokens": float(tokens),
                        "bandwidth_bytes_per_s": float(bandwidth),
                        "utilisation": float(share),
                        "kv_bits": float(bits),
                    }


def constant_grid(inputs: Inputs, curve: Array, tokens: float, bits: float) -> xr.Dataset:
    """Return the grid of one length and precision over bandwidth and utilisation."""
    return ttft_grid(
        {inputs.cluster.device.name: curve},
        back(inputs, bits),
        tokens=[tokens],
        bandwidth=inputs.bandwidth,
        utilisation=inputs.utilisation,
        kv_bits=[BASE_BITS],  # bytes are those of the precision already: not all of them go with it
        chunk=inputs.compute_chunk,
        stored=inputs.stored,
    )


def _row(at: dict[str, float], ttft: dict[str, float], meet_token: float) -> dict[str, Any]:
    return {
        **at,
        "tokens": int(at["tokens"]),
        "ttft_s": ttft,
        "meet_token": meet_token,
        "speedup_over_compute": ttft["compute_only"] / ttft["cake"],
        "speedup_over_load": ttft["load_only"] / ttft["cake"],
    }


def regime(ttft: dict[str, Any]) -> Any:
    """Return "compute", "load" or "both": which single resource comes within 5 % of Cake, the faster one first."""
    single = np.minimum(ttft["compute_only"], ttft["load_only"])
    faster = np.where(np.asarray(ttft["compute_only"]) <= ttft["load_only"], "compute", "load")
    return np.where(single > (1.0 + WORTH_BOTH) * ttft["cake"], "both", faster)


def why_cake_loses(ttft: dict[str, float], every: dict[str, float], done: dict[str, float], tail: float) -> str:
    """Return in words why Cake loses to a single resource and what gains more; empty where it does not lose."""
    single = min(("compute_only", "load_only"), key=ttft.__getitem__)
    lost = ttft["cake"] - ttft[single]
    if lost <= LOSES * ttft["cake"]:
        return ""
    causes = [f"{done['waste']:g} tokens were done twice by the step in flight"] if done["waste"] > 0.0 else []
    if single == "compute_only" and done["loaded_tokens"] > 0.0 and tail > 0.0:
        causes.append(f"what is loaded costs a tail of {show(tail, 's')}")
    if single == "load_only":
        causes.append("the step in flight had to finish")
    others = {name: time for name, time in every.items() if name not in ("cake", "oracle")}
    best = min(others, key=others.__getitem__)
    return (
        f"slower than {single} by {show(lost, 's')}: {', and '.join(causes) or 'rounding'}; "
        f"{best} would save {show(ttft['cake'] - others[best], 's')}"
    )


def _detail(ttft: dict[str, float], every: dict[str, float], done: dict[str, float], tail: float) -> dict[str, Any]:
    reachable = {name: time for name, time in every.items() if name != "oracle"}
    best = min(reachable, key=reachable.__getitem__)
    return {
        "regime": str(regime(ttft)),
        "best_policy": best,
        "best_over_cake": ttft["cake"] / reachable[best],
        "oracle_over_cake": ttft["cake"] / ttft["oracle"],
        **done,
        "why_cake_loses": why_cake_loses(ttft, every, done, tail),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _constant_rows(inputs: Inputs, curves: dict[float, Array]) -> tuple[list[Any], list[Any]]:
    grids = {
        (float(n), float(bits)): constant_grid(inputs, curves[bits], float(n), bits)
        for n in inputs.tokens
        for bits in inputs.precisions
    }
    rows, details = [], []
    for at in points_of(inputs):
        found = grids[at["tokens"], at["kv_bits"]].isel(device=0, tokens=0, kv_bits=0)
        here = found.sel(bandwidth=at["bandwidth_bytes_per_s"], utilisation=at["utilisation"])
        every = {str(name): float(time) for name, time in zip(here.policy.values, here.ttft.values, strict=True)}
        ttft = {name: every[name] for name in inputs.names}
        done = {name: float(here[name]) for name in ("computed_tokens", "loaded_tokens", "waste")}
        tail = back(inputs, at["kv_bits"]).after(float(curves[at["kv_bits"]][0])).last
        more = {
            "uniform_bound_s": float(here.uniform_bound),
            "crossover_bandwidth_bytes_per_s": _finite(float(here.crossover_bandwidth)),
        }
        rows.append(_row(at, ttft, float(here.meet_token)))
        details.append({**_detail(ttft, every, done, tail), **more})
    return rows, details


def _traced_rows(inputs: Inputs, curves: dict[float, Array]) -> tuple[list[Any], list[Any]]:
    rows, details = [], []
    for at in points_of(inputs):
        prompt = prompt_at(inputs, curves[at["kv_bits"]], at)
        ttft = {name: POLICIES[name](prompt) for name in inputs.names}
        met = meet(prompt)
        done = {name: float(getattr(met, name)) for name in ("computed_tokens", "loaded_tokens", "waste")}
        rows.append(_row(at, ttft, float(met.meet_token)))
        details.append(
            {
                **_detail(ttft, ttft, done, prompt.loading.last),
                "uniform_bound_s": None,
                "crossover_bandwidth_bytes_per_s": None,
            }
        )
    return rows, details


def _pairs(found: xr.Dataset, front: str) -> list[dict[str, float]]:
    times, places = found[f"{front}_time"].values.tolist(), found[f"{front}_token"].values.tolist()
    return [{"time_s": time, "token": place} for time, place in zip(times, places, strict=True)]


def front_points(inputs: Inputs, curves: dict[float, Array]) -> list[dict[str, Any]]:
    """Return for each row the positions of both fronts over time, and where they meet."""
    fronts = []
    for at in points_of(inputs):
        prompt = prompt_at(inputs, curves[at["kv_bits"]], at)
        found = fronts_over_time(prompt)
        fronts.append(
            {
                **at,
                "tokens": int(at["tokens"]),
                "stored": float(prompt.stored),
                "meet_time_s": float(found.attrs["meet_time"]),
                "meet_token": float(found.attrs["meet_token"]),
                "compute": _pairs(found, "compute"),
                "load": _pairs(found, "load"),
            }
        )
    return fronts


def curves_of(inputs: Inputs) -> dict[float, Array]:
    """Return chunk times by KV precision [s]."""
    return {bits: step_curve(inputs, bits) for bits in inputs.precisions}


def _operator_intervals(inputs: Inputs) -> dict[str, list[float]]:
    """Return the factors between which measured operators of a chunk lie, by kind; none where chunks were measured."""
    if inputs.curve is not None:
        return {}
    widest = max(inputs.weight_bits or float(inputs.model.precision.weights), 16.0)
    found = by_kind(inputs.cluster, "prefill", widest, max(inputs.precisions))
    return found if inputs.tp > 1 else {kind: ends for kind, ends in found.items() if kind != "collective"}


def evaluate(inputs: Inputs) -> dict[str, Any]:
    """Return the answer as JSON-ready data.

    Returns
    -------
    dict
        ``rows``: one for each length, bandwidth, utilisation and precision; ``details`` beside them: which resource
        decides, the best policy, what was done twice, the crossover bandwidth, why Cake loses where it does;
        ``fronts`` where traces are given.

    Raises
    ------
    SpecError, Infeasible
        Where a value is not allowed, a curve or trace is too short, or the context does not fit the device.
    """
    curves = curves_of(inputs)
    rows, details = (_traced_rows if inputs.traced else _constant_rows)(inputs, curves)
    used = back(inputs, inputs.precisions[0]).after(float(curves[inputs.precisions[0]][0]))
    asked = longest(inputs, inputs.precisions[0])
    precision = precisions(inputs.model, asked, inputs.cluster.device)
    behind = (inputs.model, inputs.cluster.device, inputs.storage)
    data = {
        "model": inputs.model.name,
        "device": inputs.cluster.device.name,
        "tp": inputs.tp,
        "tier": inputs.storage.name,
        "chunk_times": inputs.curve or "step model",
        "read": reading(inputs.model, {"weight_bits": inputs.weight_bits, "kv_bits": inputs.kv_bits[0]}),
        "tail_s": used.last,
        "latency_s": used.latency,
        "copy_rate_bytes_per_s": _finite(used.copy_rate),
        "slowdown": used.slowdown,
        "weakest_fact": weakest(fact.standing for spec in behind for fact in spec.facts.values()),
        "precision": precision,
        "notes": [
            *check(whole_heads(inputs.model, inputs.cluster.device, asked), asked),
            *(f"{inputs.cluster.device.name}: {note}" for note in told(inputs.cluster.device)),
            *in_words(precision, inputs.model, asked, inputs.cluster.device),
            *(f"{spec.name}: {note}" for spec in behind for note in spec.notes),
        ],
        "operator_intervals": _operator_intervals(inputs),
        "rows": rows,
        "details": details,
    }
    if inputs.traced:
        data["fronts"] = front_points(inputs, curves)
    return data


#: policy → heading
HEADINGS = {
    "compute_only": "compute", "load_only": "load", "cake": "Cake", "fixed_split": "half", "planned_split": "planned",
    "oracle": "oracle", "layerwise": "layer-wise", "token_layer": "token x layer",
}  # fmt: skip


def bandwidth_words(value: float) -> str:
    """Return a bandwidth in bit/s, binary where that is the rounder number.

    Examples
    --------
    >>> bandwidth_words(4 * 2**30), bandwidth_words(4e9)
    ('32 Gibps', '32 Gbps')
    """
    binary, decimal = f"{value * 8 / 2**30:.4g}", f"{value * 8 / 1e9:.4g}"
    return f"{binary} Gibps" if len(binary) <= len(decimal) and len(binary) < 5 else f"{decimal} Gbps"
