"""What a batch takes on many instances: InferSave's memory and time stages, by the paper or by physics.

Both models of time answer with the same Dataset over (instance, batch), so that they can be compared and chosen
between by name.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.cloud import infersave
from accelmodel.cloud.hosts import rules_on, unknown_hosts
from accelmodel.cloud.infersave import Server, Task
from accelmodel.cloud.offload import POLICIES, Need, Offer, Placed
from accelmodel.cloud.setup import Setup as Setup
from accelmodel.cloud.setup import column as _column
from accelmodel.cloud.setup import devices_of as devices_of
from accelmodel.cloud.setup import of_devices as _devices
from accelmodel.cloud.setup import shape_of
from accelmodel.cloud.setup import usable as _usable
from accelmodel.errors import SpecError, unknown
from accelmodel.inference.attributes import behind, noted
from accelmodel.inference.columns import shard
from accelmodel.inference.hosted import prompt_tokens
from accelmodel.inference.kept import kept_bytes
from accelmodel.inference.memory import draft_bytes, layer_weights, memory_per_device
from accelmodel.inference.precisions import in_words, precisions
from accelmodel.inference.speculation import draft_notes, drafter
from accelmodel.laws.kernels.batching import launches, step_time
from accelmodel.nomenclature import label
from accelmodel.serving.simulate import layers_run, rows_of, yielded
from accelmodel.serving.step_times import axis, device_times, kernels_said, split_times
from accelmodel.specs.base import Spec
from accelmodel.specs.cloud import Instance
from accelmodel.specs.formats import HIGH
from accelmodel.specs.given import workload
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.load import load
from accelmodel.specs.workload import Workload

if TYPE_CHECKING:
    import xarray as xr

Array = Any
#: contexts at which the mean decode step is evaluated (Gauss-Legendre; see ``request.NODES``)
NODES = 3
DEGREES = (1, 2, 4, 8)
#: share of a device's memory that activations may take before a batch is tried in more parts
ROOM_OF_ACTIVATIONS = 0.02
#: what a model of time answers
VARIABLES = (
    "prefill", "decode", "host", "loads", "offload_ratio", "feasible", "tp", "tps_total", "tps_output", "short",
)  # fmt: skip
#: of these, what nobody reaches where the model does not fit
TIMES = ("prefill", "decode", "host", "loads", "tps_total", "tps_output")


def as_published(model: LanguageModel, instances: list[Instance], task: Task, setup: Setup) -> dict[str, Array]:
    """Return the paper's stages 2 and 3 for each instance and batch; several GPUs count as one that is larger.

    ``task.batch`` is an array (batch, 1); arrays of the result are (instance, batch, 1).  The equations know one
    precision, and KV cache as wide as the hidden state: too much of it with grouped queries.
    """
    if setup.policy not in ("none", "infersave"):
        raise SpecError(
            f"the paper's equations have no policy {setup.policy!r}; use infersave or none, or physical time"
        )
    if setup.drafts:
        raise SpecError("the paper's equations know no drafts: leave speculative out, or use physical time")
    if len(set(setup.told(model).values())) > 1:
        raise SpecError("the paper's equations have one precision: give kv-bits as weight-bits, or use physical time")
    count = _column(instances, "devices")
    server = Server(
        _devices(instances, "hbm.capacity") * count, _devices(instances, "compute.vector_rate") * count,
        _column(instances, "store_bandwidth") * count, _column(instances, "load_bandwidth") * count,
    )  # fmt: skip
    shape = shape_of(model, setup)
    footprint, ratio_of = infersave.memory_rule(setup.memory_rule or "algorithm-1", setup.safety_factor)
    need = footprint(shape, task, server.memory)
    ratio = ratio_of(need) if setup.policy != "none" else 0.0 * need.available
    fits = infersave.feasible(need, shape.layers) & ((ratio > 0.0) | (need.available >= need.kv))
    prefill, decode = infersave.as_published(shape, task, server, ratio, setup.ctcf)
    alone = infersave.as_published(shape, task, server, 0.0 * ratio, setup.ctcf)[1]
    short = np.maximum(need.kv - need.available, 0.0)
    found = {"prefill": prefill, "decode": decode, "host": 0.0 * decode, "loads": decode - alone, "short": short}
    return found | {"offload_ratio": ratio, "feasible": fits, "tp": count + 0.0 * ratio}


def physical(
    model: LanguageModel, instances: list[Instance], task: Task, setup: Setup, ratio: Array | None = None
) -> dict[str, Array]:
    """Return memory and time by the step model, as ``as_published`` does; the best tensor-parallel degree of each.

    Degrees that an instance's devices are a multiple of are tried; the rest of the devices are replicas that
    share the batch.  Host and disk are shared evenly between the devices.
    """
    best: dict[str, Array] = {}
    shape = len(instances), len(task.batch), 1 if ratio is None else len(ratio)
    for tp in DEGREES:
        able = [i for i, each in enumerate(instances) if each.devices % tp == 0 and tp <= setup.heads(model)]
        if not able:
            continue
        found = _at_degree(model, [instances[i] for i in able], task, setup, tp, ratio)
        if not best:
            best = {name: np.zeros(shape) for name in found} | {"feasible": np.zeros(shape, bool)}
            best["short"] = np.full(shape, np.inf)
        rows = np.array(able)
        better = _better(found, _rows(best, rows), task)
        for name, values in found.items():
            best[name][rows] = np.where(better, values, best[name][rows])
    return best


def _rows(found: dict[str, Array], rows: Array) -> dict[str, Array]:
    return {name: values[rows] for name, values in found.items()}


def _better(found: dict[str, Array], before: dict[str, Array], task: Task) -> Array:
    """Return where an arrangement is to be preferred: it fits and is faster, or nothing fits and it is less short."""
    spent, known = (infersave.end_to_end(each["prefill"], each["decode"], task) for each in (found, before))
    faster = found["feasible"] & (~before["feasible"] | (spent < known))
    return faster | (~found["feasible"] & ~before["feasible"] & (found["short"] < before["short"]))


def _at_degree(
    model: LanguageModel, instances: list[Instance], task: Task, setup: Setup, tp: int, ratio: Array | None
) -> dict[str, Array]:
    """Return what the policy makes of each instance and batch, ``tp`` devices working together.

    FlexGen's takes one part of the batch after the other through a layer, in the parts that serve it best.
    """
    best = _in_parts(model, instances, task, setup, tp, ratio)
    parts = 2.0
    while setup.policy == "flexgen" and parts <= task.batch.max() and best["crowded"].any():
        found = _in_parts(model, instances, task, setup, tp, ratio, parts=parts)
        better = _better(found, best, task)
        crowded = found["crowded"]
        best = {name: np.where(better, found[name], values) for name, values in best.items()} | {"crowded": crowded}
        parts *= 2.0
    return {name: values for name, values in best.items() if name != "crowded"}


def _in_parts(
    model: LanguageModel, instances: list[Instance], task: Task, setup: Setup, tp: int, ratio: Array | None, *,
    parts: float = 1.0,
) -> dict[str, Array]:  # fmt: skip
    """Return what the policy makes of batches of which one part after the other goes through a layer.

    ``crowded`` says whether the activations of a part take so much of the device that more parts may help.
    """
    replicas = _column(instances, "devices") / tp
    shared = np.ceil(task.batch / replicas)
    need = _need(model, instances, task._replace(batch=shared), setup, tp, parts)
    devices, engine = _column(instances, "devices"), setup.engine
    offer = Offer(
        _usable(instances, engine),
        _column(instances, "host_memory") * engine.host_memory_share / devices,
        _column(instances, "disk") / devices, _column(instances, "load_bandwidth"),
        _column(instances, "store_bandwidth"),
        _column(instances, "disk_bandwidth") / devices, engine.loads == "overlapped",
    )  # fmt: skip
    if setup.memory_rule:
        footprint, ratio_of = infersave.memory_rule(setup.memory_rule, setup.safety_factor)
        ratio = ratio_of(
            footprint(shape_of(model, setup), task._replace(batch=shared), _devices(instances, "hbm.capacity") * tp)
        )
    placed: Placed = POLICIES[setup.policy](need, offer, ratio)
    rules = rules_on(instances, engine, layers_run(model, setup.drafts))
    rows = rows_of(setup.drafts)
    fixed = (launches(shared[..., 0] * rows, rules) + rules.step + rules.each * shared[..., 0])[..., None]
    more = np.ceil(shared / np.ceil(shared / parts)) - 1.0
    launched: Any = rules_on(instances, engine, model.layers).fixed
    fixed = fixed + more * launched[..., None]
    short = np.maximum(need.weights + need.activations + need.kv - offer.memory, 0.0) * tp
    found = placed._asdict()
    found |= {"offload_ratio": found.pop("ratio"), "feasible": found.pop("fits")}
    # of a token: a step yields several where something drafts
    found |= {name: found[name] / yielded(setup.drafts) for name in ("decode", "loads")}
    found |= {"host": fixed / yielded(setup.drafts), "short": short, "tp": np.full(shared.shape, float(tp))}
    found["crowded"] = need.activations > ROOM_OF_ACTIVATIONS * offer.memory
    shape = np.broadcast_shapes(*(np.shape(values) for values in found.values()))
    return {name: np.broadcast_to(values, shape) for name, values in found.items()}


def _need(
    model: LanguageModel, instances: list[Instance], task: Task, setup: Setup, tp: int, parts: float = 1.0
) -> Need:
    """Return what each instance's share of each batch needs in so many parts, arrays (instance, batch)."""
    part = np.ceil(task.batch / parts)
    batches, where = np.unique(part, return_inverse=True)
    where = where.reshape(task.batch.shape)[:, :, 0]
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    contexts = np.unique(np.rint(task.input + 0.5 + (nodes + 1.0) / 2.0 * max(task.output - 1.0, 1.0)))
    weights = weights if len(contexts) == NODES else np.full(len(contexts), 2.0 / len(contexts))
    clusters, bits = [devices_of(each, tp, setup.engine) for each in instances], setup.bits | {"tp": float(tp)}
    first_rules = rules_on(instances, setup.engine, model.layers)
    rules = rules_on(instances, setup.engine, layers_run(model, setup.drafts))
    hosted: Any = step_time
    sizes, lengths = axis("batch", batches), axis("context", contexts)
    first = workload(phase="prefill", batch=sizes, context=task.input, **bits)
    later = workload(phase="decode", batch=sizes, context=lengths, **bits, **setup.drafts)
    prefill = device_times(model, clusters, first, [sizes])
    attention, rest = split_times(model, clusters, later, [sizes, lengths])
    decode = ((rest + setup.engine.attention_factor * attention) * weights / 2.0).sum(-1)
    prefill, decode = (each / setup.engine.efficiency for each in (prefill, decode))
    prefill = hosted(prefill, 0.0, batches, prompt_tokens(setup.engine, batches * task.input), first_rules)
    decode = hosted(decode, batches, 0.0, batches * rows_of(setup.drafts), rules)
    each = np.arange(len(instances))[:, None]
    prefill, decode = prefill[each, where][..., None], decode[each, where][..., None]
    parted = np.ceil(task.batch / part)
    prefill, decode = prefill * parted, decode * parted
    whole, mean = task.input + task.output, task.input + task.output / 2.0
    held = memory_per_device(model, workload(phase="decode", batch=1, context=whole, **bits))
    tokens = part * task.input
    if setup.engine.max_num_batched_tokens:
        tokens = np.minimum(tokens, setup.engine.max_num_batched_tokens)
    active = memory_per_device(model, workload(phase="prefill", batch=1, context=1, **bits))["activations"] * tokens
    width = setup.told(model)["kv_bits"]
    kv, kv_mean, kv_prompt = (float(kept_bytes(model, n, width, float(tp))) for n in (whole, mean, task.input))
    hidden = 2.0 * model.layers * model.hidden * mean / float(kept_bytes(model, mean, width))
    rate = _devices(instances, "compute.peak_16bit") * _devices(instances, "compute.matrix_share")
    made = 4.0 * model.hidden * model.kv_heads * model.head_dim * model.layers * task.batch * mean / (rate * tp)
    one = workload(phase="decode", batch=1, context=1, **bits, **setup.drafts)
    drafting, own = draft_bytes(model, whole, one)
    if setup.engine.widening_bytes:
        rate = _devices(instances, "hbm.bandwidth") * _devices(instances, "hbm.share")
        weights, prompt, cache = (setup.engine.widening_bytes / rate * each for each in _apart(model, task, setup, tp))
        prefill, decode = prefill + parted * weights + prompt, decode + parted * weights + cache
    fixed = float(held["weights"]) + drafting
    return Need(
        prefill, decode, fixed, active + own * task.batch, kv * task.batch, kv_mean * task.batch,
        kv_prompt * task.batch, hidden, made, model.layers, max(task.output - 1.0, 1.0) / yielded(setup.drafts),
    )  # fmt: skip


def _apart(model: LanguageModel, task: Task, setup: Setup, tp: int) -> tuple[float, Array, Array]:
    """Return the values below 16 bit on a device: weights, KV cache of the prompts and of a mean step [1]."""
    bits = setup.told(model)
    wide = workload(phase="decode", batch=1, context=1, weight_bits=HIGH, tp=float(tp))
    weights = float(layer_weights(model, wide, shard(model, wide))) / (HIGH / 8.0)
    prompt, mean = (
        float(kept_bytes(model, tokens, HIGH, float(tp))) / (HIGH / 8.0) * task.batch
        for tokens in (task.input, task.input + task.output / 2.0)
    )
    narrow = bits["kv_bits"] < HIGH
    return weights * (bits["weight_bits"] < HIGH), prompt * narrow, mean * narrow


TIME_MODELS: dict[str, Callable[..., dict[str, Array]]] = {"as-published": as_published, "physical": physical}


def host(
    model: LanguageModel, instances: list[Instance], task: Task, setup: Setup, time_model: str = "physical", **more: Any
) -> xr.Dataset:
    """Return what batches of a task take on instances.

    Parameters
    ----------
    model : LanguageModel
    instances : list of Instance
    task : Task
        ``batch`` an array of whole numbers, ``input`` and ``output`` numbers [token].
    setup : Setup
        Engine, policy and precisions.
    time_model : {"physical", "as-published"}
        The step model with host, or the paper's equations.
    **more
        ``ratio``: an axis of shares of the KV cache to offload, where the policy is not to choose it (physical).

    Returns
    -------
    xarray.Dataset
        Over (instance, batch[, ratio]): ``prefill`` and ``decode`` (one step; with drafts of a token), of which
        ``loads`` from the host and ``host`` overhead [s]; ``tps_total``, ``tps_output`` [token/s]; ``offload_ratio``,
        ``tp``, ``feasible`` [1]; ``short`` of device memory without offloading [B].  Times and throughputs are no
        numbers where it is not feasible.

    Raises
    ------
    SpecError
        If the time model is unknown or the task is none.
    """
    import xarray as xr

    if time_model not in TIME_MODELS:
        raise unknown("time model", time_model, TIME_MODELS)
    batches = np.atleast_1d(np.asarray(task.batch, float))
    task = task._replace(batch=batches[:, None])
    if min(task.batch.min(), task.input, task.output) < 1.0:
        raise SpecError("batch, input and output must be at least 1")
    found = TIME_MODELS[time_model](model, instances, task, setup, **more)
    spent = infersave.end_to_end(found["prefill"], found["decode"], task)
    found["tps_total"] = infersave.total_tps(task, np.maximum(spent, 1e-12))
    found["tps_output"] = found["tps_total"] * task.output / (task.input + task.output)
    found |= {name: np.where(found["feasible"], found[name], np.nan) for name in TIMES}
    dims, coords = ("instance", "batch", "ratio"), {"instance": [each.name for each in instances], "batch": batches}
    shape = np.broadcast_shapes(*(np.shape(values) for values in found.values()))
    data = {name: (dims, np.broadcast_to(found[name], shape)) for name in VARIABLES}
    answer = xr.Dataset(data, coords=coords, attrs=_attributes(model, instances, task, setup, time_model))
    return label(answer.isel(ratio=0) if more.get("ratio") is None else answer.assign_coords(ratio=more["ratio"]))


def _parts(model: LanguageModel, instances: list[Instance], setup: Setup) -> dict[str, Spec]:
    """Return the specifications behind an answer by the part they play."""
    parts: dict[str, Spec] = {"model": model, "engine": setup.engine}
    for each in instances:
        parts[f"instance {each.name}"] = each
        parts[f"device {each.device}"] = load("device", each.device)
        parts[f"link {each.link}"] = load("link", each.link)
        if each.cpu and setup.engine.cpu:
            parts[f"cpu {each.cpu}"] = load("cpu", each.cpu)
    return parts


def _one(setup: Setup) -> Workload:
    """Return the smallest step of a setup: what its precisions are asked of."""
    return workload(phase="decode", batch=1.0, context=1.0, **setup.bits)


def _of_passes(model: LanguageModel, setups: tuple[Setup, ...]) -> list[str]:
    """Return what an engine does with values below 16 bit, where it does not widen them as it reads them."""
    moved = setups[0].engine.widening_bytes
    if not moved or not any(setup.narrow(model) for setup in setups):
        return []
    return [f"{setups[0].engine.name} widens values below 16 bit by passes of its own, which move {moved:g} B for each"]


def _kernels(model: LanguageModel, instances: list[Instance], setups: tuple[Setup, ...]) -> list[str]:
    """Return what to say of the kernel libraries that matmuls run on, on each device and at each precision."""
    engine = setups[0].engine
    chips = list({each.device: devices_of(each, 1, engine) for each in instances}.values())
    works = {tuple(setup.bits.values()): _one(setup) for setup in setups}.values()
    return list(dict.fromkeys(note for work in works for note in kernels_said(model, chips, work)))


def standing(model: LanguageModel, instances: list[Instance], *setups: Setup) -> dict[str, Any]:
    """Return for JSON what stands behind an answer.

    The ``precision`` that each device works at, the ``notes`` of the specifications and on it, and the
    ``weakest_fact`` among them.
    """
    parts = _parts(model, instances, setups[0])
    works = {tuple(setup.bits.values()): _one(setup) for setup in setups}.values()
    devices = {each.device: load("device", each.device) for each in instances}
    pairs = [(name, device, work) for name, device in devices.items() for work in works]
    found = [(name, precisions(model, work, device)) for name, device, work in pairs]
    said = [
        note
        for (_, rows), (_, device, work) in zip(found, pairs, strict=True)
        for note in in_words(rows, model, work, device)
    ]
    drafted = workload(phase="decode", batch=1.0, context=1.0, **setups[0].drafts)
    return {
        **({"drafts": {**setups[0].drafts, "draft": drafter(model, drafted)}} if setups[0].drafts else {}),
        "precision": [{"device": name, **row} for name, rows in found for row in rows],
        "notes": [
            *dict.fromkeys(said),
            *_of_passes(model, setups),
            *_kernels(model, instances, setups),
            *unknown_hosts(instances, setups[0].engine),
            *draft_notes(model, drafted),
            *noted(parts),
        ],
        "weakest_fact": behind(parts)["weakest_fact"],
    }


def _attributes(
    model: LanguageModel, instances: list[Instance], task: Task, setup: Setup, time_model: str
) -> dict[str, str]:
    """Return what an answer says of the question behind it."""
    return {
        **behind(_parts(model, instances, setup)),
        "model": model.name,
        "time_model": time_model,
        "engine": setup.engine.name,
        "policy": setup.policy,
        "bits": json.dumps(setup.told(model)),
        "sizes": json.dumps({"input": float(task.input), "output": float(task.output)}),
    }
