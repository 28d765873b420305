"""One server under load: a model on a cluster, an engine, and requests that arrive or users who wait."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

import numpy as np

from accelmodel.errors import SpecError, brief
from accelmodel.inference.attributes import BITS, DEGREES, behind, json_value, of_technique, on_cluster, parts_of
from accelmodel.inference.axes import carried
from accelmodel.inference.calls import as_engine, paired
from accelmodel.inference.hosted import on_cpu
from accelmodel.inference.memory import draft_bytes, memory_per_device
from accelmodel.inference.named import ClusterLike, ModelLike, as_cluster, as_model
from accelmodel.inference.placement import kv_room, whole_heads
from accelmodel.inference.policies import chosen
from accelmodel.inference.precisions import need_fused
from accelmodel.inference.reading import reading
from accelmodel.inference.speculation import DRAFTING, drafts_of, speculation
from accelmodel.laws.kernels.batching import Rules, Times
from accelmodel.laws.numeric import has_axes
from accelmodel.nomenclature import label
from accelmodel.serving.simulate import (
    Drafts,
    closed_loop,
    layers_run,
    open_loop,
    rules_of,
    simulate,
    step_tables,
    summary,
    under,
    with_drafts,
)
from accelmodel.serving.step_times import kernels_said
from accelmodel.specs.bits import told
from accelmodel.specs.cloud import Engine
from accelmodel.specs.given import workload
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.load import load
from accelmodel.specs.quantities import Quantity, Values, checked, one
from accelmodel.specs.workload import Drafted, Workload

if TYPE_CHECKING:
    import xarray as xr

#: requests of a simulation: enough for a 95th percentile; and their seed
REQUESTS, SEED = 600, 1
#: what a prompt and an answer may have [token], and what may be asked of a server
TOKENS = Quantity(ge=1.0, le=1e7, whole=True)
_RATE, _USERS = Quantity("1/s", ge=0.0, le=1e9), Quantity(ge=0.0, le=1e5, whole=True)
#: requests of each user of a closed loop, at least
_EACH = 4


class Replica(NamedTuple):
    """Devices that serve a model together: times of their steps and rules of their engine."""

    times: Times
    rules: Rules


def replicas_on(
    model: LanguageModel,
    clusters: list[Cluster],
    engine: Engine,
    longest: int,
    drafts: Drafts | None = None,
    processors: Sequence[str] = (),
    **cut: Any,
) -> list[Replica]:
    """Return one replica on each cluster, for requests of up to ``longest`` tokens, cut as ``cut`` says.

    Decode steps verify what ``drafts`` says; empty, they do not.  The host of each runs on one of ``processors``, or
    where they are left out on that of the engine's constants.
    """
    most = float(engine.max_num_seqs)
    step = max(float(engine.max_num_batched_tokens), 4.0 * longest)
    tables = step_tables(model, clusters, most, longest, step, **cut)
    tokens = float(engine.max_num_batched_tokens) or 4.0 * longest
    first = workload(phase="prefill", batch=1, context=tokens, **cut)
    last = workload(phase="decode", batch=1, context=longest, **cut)
    tables = [under(engine, table) for table in tables]
    beside = own = 0.0
    if drafts:
        tables = with_drafts(model, clusters, engine, tables, drafts, **cut)
        beside, own = draft_bytes(model, longest, workload(phase="decode", batch=1, context=1, **cut, **drafts))
    layers = layers_run(model, drafts or {})
    ranks = one("dp", cut.get("dp", 1.0), Quantity(ge=1.0, whole=True))
    rooms = []
    for each in clusters:
        kept = float(memory_per_device(whole_heads(model, each.device, last), last)["kv_cache"]) + own
        free = float(kv_room(model, each.device, first, engine.gpu_memory_utilization)) - beside
        # a sequence lies on one of the data-parallel ranks
        rooms.append(ranks * free / (kept / longest) if kept else math.inf)
    hosts = [on_cpu(engine, name) for name in processors or [""] * len(clusters)]
    return [
        Replica(times, rules_of(host, layers, room, drafts))
        for times, host, room in zip(tables, hosts, rooms, strict=True)
    ]


def serve(
    model: ModelLike,
    cluster: ClusterLike,
    *,
    prompt: int,
    answer: int,
    rate: Values = 0.0,
    users: Values = 0,
    engine: str | Engine = "in-flight",
    percentile: float = 50.0,
    **cut: Unpack[Drafted],
) -> xr.Dataset:
    """Return what users of one server see: continuous batching, simulated request by request.

    Parameters
    ----------
    model : str or LanguageModel
    cluster : str, Device or Cluster
        The server; fields are numbers, not axes.
    prompt, answer : int
        Tokens of each prompt and of each answer [token].
    rate : float
        Requests that arrive per second, at random (Poisson) [1/s]; a list or an array is an axis.
    users : int
        Instead of a rate: users who each send the next request as soon as an answer is complete [1]; a list or an array
        is an axis.
    engine : str or Engine
        Name or path of the rules of batching and of what the host adds; ``on_cpu`` gives it another processor.
    percentile : float
        Of requests at which times are told, from 0 to 100.
    **cut
        ``tp``, ``weight_bits``, ``activation_bits``, ``kv_bits`` … as in ``workload``; ``speculative``, ``acceptance``
        and ``draft``: a decode step then takes as long as its drafts and their verification do, and yields as many
        tokens as are expected.  Numbers, not axes.

    Returns
    -------
    xarray.Dataset
        Over ``rate`` or ``users`` where it is an axis: ``ttft``, ``tpot`` (mean of a request after its first token),
        ``latency`` and ``gap`` (between any two tokens; with drafts between any two steps, each of which brings
        several at once) [s] at the percentile; ``requests_per_s`` [1/s] and ``tokens_per_s`` of output [token/s].

    Raises
    ------
    SpecError
        If a name is unknown, a value not allowed, or not one of ``rate`` and ``users`` is given.
    Infeasible
        If a request does not fit the memory that is left for its KV cache.

    Notes
    -----
    All requests are alike, and a prefix cache is left out; 600 requests, of which the first tenth is not counted, are
    enough for a 95th percentile.  Of a draft the pass over the prompt, which fills its own KV cache, is left out, and
    every step is taken to yield the mean: percentiles of ``tpot`` are too narrow.  With ``dp`` prompts are worked on
    one after another and not on all ranks at once: pessimistic.  Beyond the rate that the server sustains, times grow
    with the number of requests and mean nothing.

    Examples
    --------
    >>> found = serve("llama-3-8b", "h100-sxm", prompt=512, answer=128, rate=[1.0, 4.0])
    >>> bool(found.tpot.sel(rate=1.0) < found.tpot.sel(rate=4.0)), found.ttft.attrs["units"]
    (True, 's')

    With a draft of one layer over the model's last one:

    >>> drafts = {"speculative": 3, "acceptance": 0.7}
    >>> drafted = serve("llama-3-8b", "h100-sxm", prompt=512, answer=128, rate=1.0, **drafts)
    >>> bool(drafted.tpot < found.tpot.sel(rate=1.0))
    True
    """
    import xarray as xr

    spec, chip = as_model(model), as_cluster(cluster)
    if has_axes(chip.devices) or carried(*parts_of(chip).values()) is not None:
        raise SpecError("the server varies over axes; serve one at a time: its fields must be numbers")
    rules = load("engine", engine) if isinstance(engine, str) else engine
    if not isinstance(rules, Engine):
        raise SpecError(f"engine must be a name, a path as text or load('engine', name), not {brief(engine)}")
    prompt, answer = (int(one(name, each, TOKENS)) for name, each in (("prompt", prompt), ("answer", answer)))
    percentile = one("percentile", percentile, Quantity(gt=0.0, le=99.999))
    name, values = _load(rate, users)
    whole: dict[str, Any] = dict(cut)
    need_fused(rules, spec, whole)
    drafts = drafts_of(**{each: whole.pop(each) for each in DRAFTING if each in whole})
    chip = paired(as_engine(chip, rules), one("tp", cut.get("tp", 1.0), Quantity(ge=1.0, whole=True)))
    (replica,) = replicas_on(spec, [chip], rules, prompt + answer, drafts, **whole)
    rows = []
    for value in np.atleast_1d(np.asarray(values, dtype=float)):
        if name == "rate":
            traffic = open_loop(float(value), REQUESTS, np.array(prompt), np.array(answer), SEED)
        else:
            many = max(REQUESTS, _EACH * int(value))
            traffic = closed_loop(int(value), many, np.array(prompt), np.array(answer))
        rows.append(summary(simulate(replica.times, replica.rules, traffic), percentile))
    axes = (name,) if hasattr(values, "dims") else ()
    data = {
        key if key.endswith("_per_s") else key.removesuffix("_s"): (
            axes,
            np.array([row[key] for row in rows]).reshape([len(rows)] if axes else []),
        )
        for key in rows[0]
    }
    about = {"prompt": str(prompt), "answer": str(answer), "percentile": str(percentile), "engine": rules.name}
    result = xr.Dataset(data, coords={name: values[name]} if axes else {})
    asked = {each: whole[each] for each in (*BITS, "tp") if each in whole}
    said = kernels_said(spec, [chip], workload(phase="decode", batch=1, context=1, **asked))
    result.attrs = {
        **behind({"model": spec, "engine": rules, **parts_of(chip)}),
        **on_cluster(chip),
        "model": spec.name,
        **about,
        **of_technique(chosen("none")),
        "degrees": json.dumps({**dict.fromkeys(DEGREES, 1.0), **_given(cut, DEGREES)}),
        "bits": json.dumps({**told([spec], {}), **_given(cut, BITS)}),
        "read": json.dumps(reading(spec, _given(cut, BITS))),
        "cut": json.dumps(_given(whole, tuple(whole))),
        **(speculation(spec, Workload("decode", 1.0, 1.0, **drafts)) if drafts else {}),
        "kernels": json.dumps(said),
        name: str(json_value(values)),
    }
    return label(result)


def _given(cut: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return for JSON what was given of some fields of a cut."""
    return {name: json_value(cut[name]) for name in names if name in cut}


def _load(rate: Values, users: Values) -> tuple[str, Any]:
    """Return which of the two is given, and its values."""
    given = {"rate": checked("rate", rate, _RATE), "users": checked("users", users, _USERS)}
    asked = [name for name, value in given.items() if np.any(np.asarray(value))]
    if len(asked) != 1:
        raise SpecError("give either a rate [1/s] or users, and not both")
    values = given[asked[0]]
    if getattr(values, "ndim", 0) > 1:
        raise SpecError(f"{asked[0]}: one axis at most; call once for each value of the other")
    return asked[0], values
