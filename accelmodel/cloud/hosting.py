"""What a batch takes on many instances: InferSave's memory and time stages, by the paper or by physics.

Both models of time answer with the same Dataset over (instance, batch), so that they can be compared and chosen
between by name.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.cloud import infersave
from accelmodel.cloud.infersave import Ctcf, Server, Shape, Task
from accelmodel.cloud.offload import POLICIES, Need, Offer, Placed
from accelmodel.errors import SpecError, unknown
from accelmodel.inference.attributes import behind, noted
from accelmodel.inference.hosted import host_rules, on_cpu
from accelmodel.inference.kept import kept_bytes
from accelmodel.inference.memory import draft_bytes, memory_per_device, usable_memory
from accelmodel.inference.precisions import in_words, precisions
from accelmodel.inference.speculation import draft_notes, draft_of, drafter, drafts_of
from accelmodel.laws.kernels.batching import Rules, launches, step_time
from accelmodel.laws.numeric import Number
from accelmodel.nomenclature import label
from accelmodel.serving.simulate import Drafts, layers_run, rows_of, yielded
from accelmodel.serving.step_times import axis, device_times, split_times
from accelmodel.specs.base import Spec, value_of
from accelmodel.specs.bits import told
from accelmodel.specs.cloud import Engine, Instance
from accelmodel.specs.given import cluster, workload
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.load import load
from accelmodel.specs.memories import none
from accelmodel.specs.parameters import parameters
from accelmodel.specs.workload import Workload

if TYPE_CHECKING:
    import xarray as xr

Array = Any
#: contexts at which the mean decode step is evaluated (Gauss-Legendre; see ``request.NODES``)
NODES = 3
#: rules that a processor changes
_TIMES = ("fixed", "each", "prompt", "step")
DEGREES = (1, 2, 4, 8)
#: what a model of time answers
VARIABLES = (
    "prefill", "decode", "host", "loads", "offload_ratio", "feasible", "tp", "tps_total", "tps_output", "short",
)  # fmt: skip


@dataclass(frozen=True)
class Setup:
    """How a model is run on rented instances.

    Attributes
    ----------
    engine : Engine
        As from ``load("engine", ...)``.
    policy : {"infersave", "none", "flexgen", "kvpr"}
        Where KV cache goes that does not fit the device.
    weight_bits, kv_bits : float
        Precisions [bit], as ``specs.formats.bits_of`` returns them; 0, the default, is what the model's file states.
    memory_rule : {"", "algorithm-1", "released-code"}
        The paper's rule of what is offloaded, in place of the policy's own.
    ctcf : tuple of Ctcf
        The paper's calibration of its times of prefill and decode.
    drafts : mapping
        ``speculative``, ``acceptance`` and ``draft`` of a ``Workload``, numbers; nothing drafts by default.

    Examples
    --------
    >>> Setup(load("engine", "flexgen"), "none", kv_bits=8.0).bits
    {'weight_bits': 0.0, 'kv_bits': 8.0}
    """

    engine: Engine
    policy: str = "infersave"
    weight_bits: float = 0.0
    kv_bits: float = 0.0
    memory_rule: str = ""
    ctcf: tuple[Ctcf, Ctcf] = (Ctcf(), Ctcf())
    drafts: Drafts = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "drafts", drafts_of(**self.drafts))
        if self.policy not in POLICIES:
            raise unknown("offloading policy", self.policy, POLICIES)
        if self.memory_rule and self.memory_rule not in infersave.MEMORY_RULES:
            raise unknown("memory rule", self.memory_rule, infersave.MEMORY_RULES)

    @property
    def bits(self) -> dict[str, float]:
        """Fields of ``Workload``; where weights are asked for, activations, and so the matmuls, stay at 16 bit."""
        return {"weight_bits": self.weight_bits, "kv_bits": self.kv_bits}

    def heads(self, model: LanguageModel) -> float:
        """Return the most tensor ranks that a model and its draft can be cut over [1]."""
        draft = draft_of(model, Workload("decode", 1.0, 1.0, **self.drafts)) if self.drafts else None
        return float(min(model.heads, draft.model.heads) if draft else model.heads)

    def told(self, model: LanguageModel) -> dict[str, float]:
        """Return the precisions of weights and KV cache, those of the model's file where none are asked [bit]."""
        found = told([model], self.bits)
        return {name: float(found[name]) for name in self.bits}


def devices_of(instance: Instance, tp: int) -> Cluster:
    """Return ``tp`` devices of an instance, joined by its link."""
    return cluster(load("device", instance.device), tp, link=load("link", instance.link))


def shape_of(model: LanguageModel, setup: Setup) -> Shape:
    """Return what the paper's equations read of a model."""
    width = setup.told(model)["weight_bits"] / 8.0
    return Shape(model.layers, model.hidden, model.ffn, model.heads, float(parameters(model)), width)


def _column(instances: list[Instance], field: str) -> Array:
    return np.array([float(getattr(each, field)) for each in instances])[:, None, None]


def _devices(instances: list[Instance], field: str) -> Array:
    found = [load("device", each.device) for each in instances]
    for each, device in zip(instances, found, strict=True):
        if none(device.hbm.capacity) or device.tier.holds:
            raise SpecError(
                f"{each.name}: offers place weights and KV cache in HBM, host memory and disk, and its device "
                f"{device.name} has {'a [tier]' if device.tier.holds else 'no [hbm]'}; use step or serve"
            )
    return np.array([float(value_of(each, field)) for each in found])[:, None, None]


def _usable(instances: list[Instance], engine: Engine) -> Array:
    share = float(engine.gpu_memory_utilization)
    found = [float(usable_memory(load("device", each.device), share)) for each in instances]
    return np.array(found)[:, None, None]


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
    footprint, ratio_of = infersave.MEMORY_RULES[setup.memory_rule or "algorithm-1"]
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
        spent, before = (infersave.end_to_end(x["prefill"], x["decode"], task) for x in (found, _rows(best, rows)))
        better = found["feasible"] & (~best["feasible"][rows] | (spent < before))
        better |= ~found["feasible"] & ~best["feasible"][rows] & (found["short"] < best["short"][rows])
        for name, values in found.items():
            best[name][rows] = np.where(better, values, best[name][rows])
    return best


def _rules(instances: list[Instance], engine: Engine, layers: Number) -> Rules:
    """Return the rules of an engine's host, its times on the processor of each instance: arrays (instance, 1)."""
    found = [host_rules(on_cpu(engine, each.cpu), layers) for each in instances]
    times: Any = {name: np.array([getattr(each, name) for each in found])[:, None] for name in _TIMES}
    return found[0]._replace(**times)


def _rows(found: dict[str, Array], rows: Array) -> dict[str, Array]:
    return {name: values[rows] for name, values in found.items()}


def _at_degree(
    model: LanguageModel, instances: list[Instance], task: Task, setup: Setup, tp: int, ratio: Array | None
) -> dict[str, Array]:
    """Return what the policy makes of each instance and batch, ``tp`` devices working together."""
    replicas = _column(instances, "devices") / tp
    shared = np.ceil(task.batch / replicas)
    need = _need(model, instances, task._replace(batch=shared), setup, tp)
    devices, engine = _column(instances, "devices"), setup.engine
    offer = Offer(
        _usable(instances, engine),
        _column(instances, "host_memory") * engine.host_memory_share / devices,
        _column(instances, "disk") / devices, _column(instances, "load_bandwidth"),
        _column(instances, "store_bandwidth"),
        _column(instances, "disk_bandwidth") / devices, engine.loads == "overlapped",
    )  # fmt: skip
    if setup.memory_rule:
        footprint, ratio_of = infersave.MEMORY_RULES[setup.memory_rule]
        ratio = ratio_of(
            footprint(shape_of(model, setup), task._replace(batch=shared), _devices(instances, "hbm.capacity") * tp)
        )
    placed: Placed = POLICIES[setup.policy](need, offer, ratio)
    rules = _rules(instances, engine, layers_run(model, setup.drafts))
    rows = rows_of(setup.drafts)
    fixed = (launches(shared[..., 0] * rows, rules) + rules.step + rules.each * shared[..., 0])[..., None]
    short = np.maximum(need.weights + need.activations + need.kv - offer.memory, 0.0) * tp
    found = placed._asdict()
    found |= {"offload_ratio": found.pop("ratio"), "feasible": found.pop("fits")}
    # of a token: a step yields several where something drafts
    found |= {name: found[name] / yielded(setup.drafts) for name in ("decode", "loads")}
    found |= {"host": fixed / yielded(setup.drafts), "short": short, "tp": np.full(shared.shape, float(tp))}
    shape = np.broadcast_shapes(*(np.shape(values) for values in found.values()))
    return {name: np.broadcast_to(values, shape) for name, values in found.items()}


def _need(model: LanguageModel, instances: list[Instance], task: Task, setup: Setup, tp: int) -> Need:
    """Return what each instance's share of each batch needs, arrays (instance, batch)."""
    batches, where = np.unique(task.batch, return_inverse=True)
    where = where.reshape(task.batch.shape)[:, :, 0]
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    contexts = np.unique(np.rint(task.input + 0.5 + (nodes + 1.0) / 2.0 * max(task.output - 1.0, 1.0)))
    weights = weights if len(contexts) == NODES else np.full(len(contexts), 2.0 / len(contexts))
    clusters, bits = [devices_of(each, tp) for each in instances], setup.bits | {"tp": float(tp)}
    first_rules = _rules(instances, setup.engine, model.layers)
    rules = _rules(instances, setup.engine, layers_run(model, setup.drafts))
    hosted: Any = step_time
    sizes, lengths = axis("batch", batches), axis("context", contexts)
    first = workload(phase="prefill", batch=sizes, context=task.input, **bits)
    later = workload(phase="decode", batch=sizes, context=lengths, **bits, **setup.drafts)
    prefill = device_times(model, clusters, first, [sizes])
    attention, rest = split_times(model, clusters, later, [sizes, lengths])
    decode = ((rest + setup.engine.attention_factor * attention) * weights / 2.0).sum(-1)
    prefill, decode = (each / setup.engine.efficiency for each in (prefill, decode))
    prefill = hosted(prefill, 0.0, batches, batches * task.input, first_rules)
    decode = hosted(decode, batches, 0.0, batches * rows_of(setup.drafts), rules)
    each = np.arange(len(instances))[:, None]
    prefill, decode = prefill[each, where][..., None], decode[each, where][..., None]
    whole, mean = task.input + task.output, task.input + task.output / 2.0
    held = memory_per_device(model, workload(phase="decode", batch=1, context=whole, **bits))
    tokens = task.batch * task.input
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
    fixed = float(held["weights"]) + drafting
    return Need(
        prefill, decode, fixed, active + own * task.batch, kv * task.batch, kv_mean * task.batch,
        kv_prompt * task.batch, hidden, made, model.layers, max(task.output - 1.0, 1.0) / yielded(setup.drafts),
    )  # fmt: skip


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
        ``tp``, ``feasible`` [1]; ``short`` of device memory without offloading [B].

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
    return parts


def _one(setup: Setup) -> Workload:
    """Return the smallest step of a setup: what its precisions are asked of."""
    return workload(phase="decode", batch=1.0, context=1.0, **setup.bits)


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
        "notes": [*dict.fromkeys(said), *draft_notes(model, drafted), *noted(parts)],
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
