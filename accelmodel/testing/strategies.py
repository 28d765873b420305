"""Hypothesis strategies for chips, links, models, workloads and techniques: valid by construction, wide, physical.

Each takes the specification around which it draws, or none: then it begins from shipped ones.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from accelmodel.inference.policies import Technique, policy
from accelmodel.laws.prefetch import RULES
from accelmodel.specs import given
from accelmodel.specs.base import value_of
from accelmodel.specs.cores import with_cores
from accelmodel.specs.hardware import Cluster, Device, Storage
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.link import Link
from accelmodel.specs.load import load
from accelmodel.specs.memories import none
from accelmodel.specs.workload import Workload
from accelmodel.testing.resources import OF_LINK

S = TypeVar("S")

#: chips from which a drawn one begins, the plainest first: a failing example shrinks to it
DEVICES = (
    "h100-sxm", "a100-sxm-80gb", "ascend-910b2", "mi300x", "b200-sxm", "tpu-v5e", "gaudi2", "l40s", "dimm-pim-a100",
    "epyc-9755",
)  # fmt: skip
#: models of a step, the smallest and plainest first
MODELS = ("llama-3.2-1b", "llama-3-8b", "gemma-3-27b", "gpt-oss-20b", "qwen3-30b-a3b", "deepseek-v3", "llama-3-70b")
#: storage tiers of a stored prompt
TIERS = ("nvme", "host-dram-pcie4", "network-25g", "cloud-egress-7")
#: how far a drawn number may lie from the one that it begins from
_APART = 4.0
#: numbers of a device that are drawn; the others stay, as nothing tells what they may be
_DRAWN = (
    "compute.clock", "compute.launch_time", "compute.vector_rate", "compute.matrix_share", "hbm.share", "l2.usable",
    "matmul.split_time", "matmul.fill_time", "attention.time", "attention.tile_time", "attention.softmax_width",
)  # fmt: skip
_PEAKS = ("peak_16bit", "peak_8bit_float", "peak_8bit_int", "peak_6bit", "peak_4bit", "peak_4bit_int")
DEGREES = (1, 2, 4, 8)
_BITS = (16, 8, 4)


def factors(apart: float = _APART) -> SearchStrategy[float]:
    """Return factors about 1, as likely above as below; they shrink to 1."""
    top = math.log2(apart)
    return st.floats(-top, top, allow_nan=False).map(lambda power: 2.0**power)


def begun(base: str | S | None, kind: str, plain: tuple[str, ...]) -> SearchStrategy[Any]:
    """Return the specification to begin from: the one given, by name or as it is, or one of those that ship."""
    if base is None:
        return st.sampled_from(plain).map(lambda name: load(kind, name))
    return always(load(kind, base) if isinstance(base, str) else base)


def always(value: S) -> SearchStrategy[S]:
    """Return the strategy of one value, whose text is short where that of the value is long."""
    return st.none().map(lambda _: value)


def shipped_models(names: tuple[str, ...]) -> SearchStrategy[LanguageModel]:
    """Return a strategy for shipped models, which shrink to the first."""
    return st.sampled_from(names).map(lambda name: load("model", name))


def _scaled(draw: DrawFn, spec: Any, names: tuple[str, ...]) -> dict[str, float]:
    """Return some numbers of a specification, each drawn about what it is; shares stay within 1."""
    found = {}
    for name in draw(st.lists(st.sampled_from(names), max_size=4, unique=True)) if names else ():
        now = value_of(spec, name)
        value = now * draw(factors())
        found[name] = min(value, 1.0) if 0.0 < now <= 1.0 and name.endswith(("share", "usable")) else value
    return found


@st.composite
def devices(draw: DrawFn, base: str | Device | None = None) -> Device:
    """Return a strategy for devices, drawn around one.

    Cores, clock, peaks, memory and L2 lie within a factor of four of it; L2 stays faster and smaller than memory, and
    peaks at fewer bits are no lower.

    Parameters
    ----------
    base : str or Device, optional
        Name, path, or a device; a shipped one by default.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(devices("h100-sxm"), lambda chip: chip.l2.bandwidth >= chip.hbm.bandwidth).name
    'h100-sxm'
    """
    chip: Device = draw(begun(base, "device", DEVICES))
    changes: dict[str, Any] = _scaled(draw, chip, tuple(name for name in _DRAWN if value_of(chip, name)))
    if draw(st.booleans()):
        chip = with_cores(chip, float(max(1, round(chip.compute.cores * draw(factors())))))
    if draw(st.booleans()):
        faster = draw(factors())
        changes |= {f"compute.{name}": getattr(chip.compute, name) * faster for name in _PEAKS}
    if not none(chip.hbm.capacity) and draw(st.booleans()):
        changes["hbm.bandwidth"] = chip.hbm.bandwidth * draw(factors())
        changes["hbm.capacity"] = chip.hbm.capacity * draw(factors())
    if draw(st.booleans()):
        capacity = chip.l2.capacity * draw(factors(16.0))
        room = changes.get("hbm.capacity", chip.hbm.capacity)
        changes["l2.capacity"] = min(capacity, room) if room else capacity
    rate = max(chip.l2.bandwidth * draw(factors()), changes.get("hbm.bandwidth", chip.hbm.bandwidth))
    if rate != chip.l2.bandwidth and (draw(st.booleans()) or rate > chip.l2.bandwidth):
        changes["l2.bandwidth"] = rate
    return given.override(chip, changes) if changes else chip


@st.composite
def links(draw: DrawFn, base: str | Link | None = None) -> Link:
    """Return a strategy for links, drawn around one: rates, shares and times within a factor of four.

    Parameters
    ----------
    base : str or Link, optional
        Name, path, or a link; a shipped one by default.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(links("nvlink4-switch"), lambda link: link.bandwidth > 5e11).topology
    'switch'
    """
    link: Link = draw(begun(base, "link", ("nvlink4-switch", "hccs-mesh-8", "ici-v5e", "pcie4-x16")))
    names = tuple(name for name in OF_LINK if getattr(link, name) and name != "direct_limit" and not _whole(name))
    changes = {name: value for name, value in _scaled(draw, link, names).items() if name not in _RELATIVE}
    return given.override(link, changes) if changes else link


#: numbers of a link that have no room beside what was fitted
_RELATIVE = ("contention", "oversubscription", "barrier", "direct_start", "ramp", "own_copy")


def _whole(name: str) -> bool:
    return name in ("exchange_cores", "cores_taken")


@st.composite
def clusters(
    draw: DrawFn, device: SearchStrategy[Device] | None = None, link: SearchStrategy[Link] | None = None
) -> Cluster:
    """Return a strategy for clusters: a device, what joins it, and up to two nodes of it.

    Parameters
    ----------
    device, link : strategy, optional
        ``devices()``, and the device's own link by default.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(clusters().map(lambda chips: (chips.device.name, chips.devices)), lambda found: found[1] == 16)
    ('h100-sxm', 16.0)
    """
    chip = draw(devices() if device is None else device)
    wires = draw(link) if link is not None else load("link", chip.link)
    node = given.cluster(chip, link=wires)
    nodes = draw(st.sampled_from([1, 2]))
    if nodes == 1 or node.scale_out.devices < 2 * node.devices:
        return node
    return given.cluster(chip, nodes * node.devices, wires, None if wires.beyond else node.scale_out)


@st.composite
def models(draw: DrawFn, base: str | LanguageModel | None = None) -> LanguageModel:
    """Return a strategy for decoder-only transformers: dense or with experts, heads grouped or not.

    Parameters
    ----------
    base : str or LanguageModel, optional
        Name, path, or a model, which is then all that is drawn; layers and sizes are drawn by default.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(models(), lambda model: model.experts > 0.0).experts_per_token
    1.0
    """
    if base is not None:
        return load("model", base) if isinstance(base, str) else base
    head_dim, kv_heads = draw(st.sampled_from([64, 128, 256])), draw(st.sampled_from([1, 2, 4, 8, 16, 32]))
    heads = kv_heads * draw(st.sampled_from([1, 2, 4, 8]))
    hidden = 128 * draw(st.integers(4, 128))
    layers = draw(st.integers(1, 128))
    sizes: dict[str, Any] = {
        "layers": layers, "hidden": hidden, "heads": heads, "kv_heads": kv_heads, "head_dim": head_dim,
        "ffn": 128 * draw(st.integers(4, 512)), "vocabulary": draw(st.integers(1000, 260_000)),
        "gated": draw(st.booleans()), "tied_embeddings": draw(st.booleans()),
    }  # fmt: skip
    if draw(st.booleans()):
        experts = draw(st.sampled_from([4, 8, 16, 64, 128]))
        sizes |= {"experts": experts, "experts_per_token": draw(st.integers(1, min(8, experts)))}
        sizes |= {"expert_ffn": 128 * draw(st.integers(1, 64)), "dense_layers": draw(st.integers(0, layers - 1))}
    if draw(st.booleans()):
        sizes |= {"window": draw(st.sampled_from([128, 1024, 4096])), "window_layers": draw(st.integers(1, layers))}
    return LanguageModel(name="drawn", **{key: _number(value) for key, value in sizes.items()})


def _number(value: Any) -> Any:
    return value if isinstance(value, bool) else float(value)


@st.composite
def fields(draw: DrawFn, phase: str | None = None) -> dict[str, Any]:
    """Return a strategy for the fields of a workload, as a mapping: phase, sizes, degree and bits."""
    asked: dict[str, Any] = {"phase": phase or draw(st.sampled_from(["decode", "prefill", "mixed"]))}
    asked["batch"] = draw(st.sampled_from([1, 2, 4, 8, 16, 64]) | st.integers(1, 256))
    asked["context"] = draw(st.sampled_from([128, 1024, 4096, 16384]) | st.integers(1, 32768))
    asked["tp"] = draw(st.sampled_from(DEGREES))
    if asked["phase"] == "mixed":
        asked["prefill_tokens"] = draw(st.sampled_from([1, 64, 512]))
    if draw(st.booleans()):
        asked |= {name: draw(st.sampled_from(_BITS)) for name in ("weight_bits", "activation_bits", "kv_bits")}
    return asked


def workloads(phase: str | None = None) -> SearchStrategy[Workload]:
    """Return a strategy for workloads: phases, batches, contexts, tensor-parallel degrees and precisions.

    Parameters
    ----------
    phase : {"decode", "prefill", "mixed"}, optional
        Any by default.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(workloads("decode"), lambda work: work.tp > 1.0).tp
    2.0
    """
    return fields(phase).map(lambda asked: given.workload(**asked))


def techniques() -> SearchStrategy[Technique]:
    """Return a strategy for techniques with their parameters: none, fused, preserve by any rule and threshold.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(techniques(), lambda technique: technique.name == "fused").name
    'fused'
    """
    thresholds = st.sampled_from([1.0, 0.5, 2.0]) | st.floats(0.0, 2.0)
    preserve = st.builds(lambda t, r: policy("preserve", threshold=t, rule=r), thresholds, st.sampled_from([*RULES]))
    return st.just(policy("none")) | st.just(policy("fused")) | preserve


def storages(base: str | Storage | None = None) -> SearchStrategy[Storage]:
    """Return a strategy for storage tiers: those that ship, or the one that is given.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(storages(), lambda tier: tier.bandwidth > 1e10).name
    'host-dram-pcie4'
    """
    return begun(base, "storage", TIERS)
