"""Measured attention that chooses its keys, its kernels alone, and attention of vision towers.

``dsa`` (DeepSeek-V3.2, GLM-5) and ``msa`` (MiniMax-M3) were timed as the whole mixing part of a layer on one device:
projections in and out, rotary embedding and cache, indexer, choice of keys, attention; heads are those of one device
(collectors of ai-dynamo/aiconfigurator: ``collect_mla_module.py``, ``collect_msa_module.py``).  Three kernels of
``dsa`` were timed alone, and attention of vision towers, in which every patch sees all of its image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from accelmodel.inference import attention, operator_time
from accelmodel.inference.columns import HIGH_BITS, STREAM, Row, Shard, pointwise
from accelmodel.laws import types
from accelmodel.measured import aiconfigurator
from accelmodel.measured.conditions import held
from accelmodel.specs.hardware import Cluster, Device, dense_peaks
from accelmodel.specs.language_model import LanguageModel, mixers
from accelmodel.specs.layer_kinds import Grouped, Latent
from accelmodel.specs.load import load
from accelmodel.specs.workload import Workload

if TYPE_CHECKING:
    import pandas as pd

_MODULE = ("batch", "heads", "new", "before", "kv_bits", "place", "shared")
_KERNEL = ("batch", "new", "before")
#: columns that say what was run, besides ``bits``
SHAPES = {
    "dsa prefill": _MODULE,
    "dsa decode": _MODULE,
    "msa prefill": _MODULE,
    "msa decode": _MODULE,
    "index scores": _KERNEL,
    "index top-k": _KERNEL,
    "gathered attention": _KERNEL,
    "encoder attention": ("batch", "heads", "head_dim", "tokens"),
}
#: models of the tables of whole parts, by their names on the hub; a row names one by its place
MODELS = (
    "deepseek-ai/DeepSeek-V3.2", "zai-org/GLM-5", "zai-org/GLM-5-FP8", "zai-org/GLM-5.2", "zai-org/GLM-5.2-FP8",
    "nvidia/GLM-5.2-NVFP4", "MiniMaxAI/MiniMax-M3",
)  # fmt: skip
#: kind → file, and the row of a step that a kernel timed alone is; all of GLM-5 at 8 bit
_KERNELS = {
    "index scores": ("glm5_mqa_logits_module", "index_scores"),
    "index top-k": ("glm5_topk_module", "index_top_k"),
    "gathered attention": ("glm5_dsa_attn_module", "attention"),
}
_ALONE, _ALONE_HEADS = "zai-org/GLM-5", 64.0
#: kernels that are not a step's, by kind, word of the source and word of the kernel: prefill on expanded keys where all
#: are kept; a reference in plain tensor operations, which TensorRT-LLM's prefill of msa falls back to on all cards
_OTHERS = (
    ("dsa prefill", "SGLang", "dense_mha"),
    ("msa prefill", "TensorRT-LLM", ""),
    ("msa decode", "TensorRT-LLM", "default"),
)
_GEMM_BITS = {"bfloat16": 16.0, "fp8_block": 8.0, "nvfp4": 4.0}
#: kinds whose every row some constant was read off: ``gather_time``, or the counts below
SEEN = ("dsa prefill", "dsa decode", "msa decode", "gathered attention")
#: small kernels that an engine runs beside the rows of a step, as norms, scales, roundings and copies that others fuse
UNFUSED = {
    ("TensorRT-LLM", "encoder"): 1.0,
    ("vLLM", "dsa"): 50.0,
    ("TensorRT-LLM", "dsa"): 15.0,
    ("TensorRT-LLM", "msa"): 50.0,
    ("SGLang", "msa"): 12.0,
}
#: FlashMLA's sparse kernel gathers a key on any card [s] (training rows of the kernel alone); it is not the fastest on
#: Blackwell
FLASH_MLA = 35e-9
#: parts that were launched from the host tell of it alone up to so many times the shortest of their source
_HOST = 2.0
#: rows of each source and precision that are looked at, those of smallest hash
SAMPLE = 400
_NAMES = {"isl": "new", "step": "before", "num_heads": "heads"}
_FLASH = ", FlashMLA"
#: vector operations per element of a conversion to fewer bits
QUANTISE_OPS = 3.0
_KV_BITS = {"bfloat16": 16.0, "fp8": 8.0}


def _sampled(frame: Any, kind: str) -> Any:
    """Return the sample of some rows."""
    return aiconfigurator.sampled(frame, SHAPES[kind], SAMPLE)


def _modules(device: str, kind: str) -> tuple[Any, int]:
    """Whole mixing parts of a layer."""
    word, phase = kind.split()
    file = f"{word}_{'context' if phase == 'prefill' else 'generation'}_module"
    parts, left_out = [], 0
    for source, path in aiconfigurator.tables(device, "msa" if word == "msa" else "sparse_attention", file):
        frame = aiconfigurator.read(path).rename(columns={**_NAMES, "dtype": "kv_dtype"})
        other = np.zeros(len(frame), dtype=bool)
        for of, engine, kernel in _OTHERS:
            if kind == of and source.startswith(engine):
                other |= frame["kernel_source"].str.contains(kernel, regex=False).to_numpy()
        strange = ~frame["model"].isin(MODELS) | ~frame["gemm_type"].isin(_GEMM_BITS)
        left_out += int((other | strange).sum())
        frame = frame[~(other | strange)]
        frame = frame.assign(
            kv_bits=frame["kv_dtype"].map(_KV_BITS),
            bits=frame["gemm_type"].map(_GEMM_BITS),
            place=frame["model"].map(MODELS.index),
            shared=frame["kernel_source"].str.contains("skip_indexer") * 1,
            flash=frame["kernel_source"].str.lower().str.contains("flashmla"),
        )
        for (bits, flash), group in frame.groupby(["bits", "flash"]):
            rows = aiconfigurator.median(group, list(SHAPES[kind]))
            if phase == "prefill":
                # launched one by one
                short = rows["time"] < _HOST * rows.groupby("shared")["time"].transform("min")
                left_out += int(short.sum())
                rows = rows[~short]
            parts.append(_sampled(rows, kind).assign(bits=bits, source=source + (_FLASH if flash else "")))
    return aiconfigurator.joined(parts, ("bits", *SHAPES[kind])), left_out


def _kernels(device: str, kind: str) -> tuple[Any, int]:
    """Kernels timed alone, in a prefill; where no more keys are seen than chosen nothing ran."""
    parts, left_out = [], 0
    for source, path in aiconfigurator.tables(device, "sparse_attention", _KERNELS[kind][0]):
        frame = aiconfigurator.read(path).rename(columns=_NAMES)
        # the kernel of prefill, which decode does not run; scores all alike or the best ones last; nothing was chosen
        other = (frame["new"] == 1) | (frame["time"] <= 0.0)
        other |= frame["score_mode"] == "top_last" if "score_mode" in frame else False
        left_out += int(other.sum())
        rows = aiconfigurator.median(frame[~other], list(SHAPES[kind]))
        flash = _FLASH if kind == "gathered attention" else ""
        parts.append(_sampled(rows, kind).assign(source=source + flash))
    return aiconfigurator.joined(parts, SHAPES[kind]).assign(bits=8.0 if kind == "index scores" else 16.0), left_out


def _encoder(device: str) -> tuple[Any, int]:
    """Attention of vision towers; SGLang's is Triton's where it has no other, as on B300."""
    parts = []
    for source, path in aiconfigurator.tables(device, "encoder_attention", "encoder_attention"):
        frame = aiconfigurator.read(path).rename(columns={"isl": "tokens", "num_heads": "heads"})
        for kernel, group in frame.groupby(frame["kernel_source"].map(aiconfigurator.kernel_of)):
            rows = aiconfigurator.median(group, list(SHAPES["encoder attention"]))
            parts.append(_sampled(rows, "encoder attention").assign(source=source + kernel))
    return aiconfigurator.joined(parts, SHAPES["encoder attention"]).assign(bits=16.0), 0


@cache
def rows(device: Device, kind: str) -> tuple[pd.DataFrame, int]:
    """Return the measured rows of a device and kind of ``SHAPES``, and how many were left out.

    Left out: prefill on expanded keys and reference implementations; prefill parts that take less than twice the
    shortest of their source, which tell of the host that launched them; kernels of prefill with one new token; choices
    where nothing is to choose or the best come last; whatever is faster than the dense peak or HBM's peak allows.
    """
    if kind in _KERNELS:
        frame, left_out = _kernels(device.name, kind)
    else:
        frame, left_out = _encoder(device.name) if kind == "encoder attention" else _modules(device.name, kind)
    if frame.empty:
        return frame, left_out
    bad = impossible(kind, frame, device)
    return frame[~bad].reset_index(drop=True), left_out + int(bad.sum())


def training(kind: str, frame: pd.DataFrame) -> Any:
    """Return to which rows constants were fitted: of kernels timed alone, 70 % by a hash; of whole parts none."""
    if kind not in _KERNELS:
        return np.zeros(len(frame), dtype=bool)
    return aiconfigurator.hashed(*(frame[name] for name in _KERNEL)) < 0.7


def impossible(kind: str, frame: pd.DataFrame, device: Device) -> Any:
    """Return where a row is faster than the device's peaks allow, data beyond four times L2 coming from HBM."""
    flops, moved, bits = work(kind, frame)
    from_memory = np.where(moved > 4.0 * device.l2.capacity, moved / device.hbm.bandwidth, 0.0)
    products = 0.0 if kind == "index top-k" else flops / dense_peaks(device.compute, bits)
    return np.maximum(products, from_memory) > frame["time"].to_numpy()


@cache
def _model(name: str) -> LanguageModel:
    """Return the shape of a model by the file that comes with the tables."""
    folder = aiconfigurator.root().parent / "model_configs"
    found: LanguageModel = load("model", str(folder / f"{name.replace('/', '--')}_config.json"))
    return found


def _layer(name: str, heads: Any, shared: bool) -> Latent | Grouped:
    """Return the layer of a model that chooses keys, with the heads of one device."""
    for kind in mixers(_model(name)):
        if isinstance(kind, Latent) and kind.top_k:
            return replace(kind, heads=heads, shared_index=shared)
        if isinstance(kind, Grouped) and kind.top_k:
            cut = max(1.0, heads * kind.kv_heads // kind.heads)
            return replace(kind, heads=heads, kv_heads=cut, index_heads=cut)
    raise ValueError(f"{name} has no layer that chooses keys")


def _along(frame: pd.DataFrame, name: str) -> Any:
    """Return a column as an axis over the rows."""
    import xarray as xr

    return xr.DataArray(frame[name].to_numpy(dtype=float), dims="row")


def _part(frame: pd.DataFrame, phase: str, bits: float, kv_bits: float) -> tuple[Workload, Shard]:
    """Return what rows of one precision ask, and the share of a device."""
    batch, new, before = (_along(frame, name) for name in ("batch", "new", "before"))
    prefix = 0.0 if phase == "decode" else before
    new = 1.0 if phase == "decode" else new
    context = before + new
    question = Workload(phase, batch=batch, context=context, prefix=prefix)
    base = operator_time.precision(bits, kv_bits)
    # 4 bit keeps a scale of 8 bit for 16 weights
    weight = 4.5 / 8.0 if bits == 4.0 else base.weight
    shapes = {"sequences": batch, "new_tokens": new, "tokens": batch * new, "decoding": phase == "decode"}
    part = replace(base, **shapes, weight=weight)
    return question, part


def operators(kind: str, frame: pd.DataFrame) -> Iterator[tuple[Any, list[Row]]]:
    """Yield places of rows that are alike but for their sizes, and the rows of a step that they are."""
    if kind == "encoder attention":
        batch, heads, width, tokens = (frame[name].to_numpy(dtype=float) for name in SHAPES[kind])
        part = replace(operator_time.precision(16.0), sequences=batch, new_tokens=tokens, tokens=batch * tokens)
        each = attention.Heads(heads, heads, width, width)
        yield (
            np.arange(len(frame)),
            [("attention", attention.grouped_attention(part, each, tokens, tokens, 0.0, tokens))],
        )
        return
    if kind in _KERNELS:
        question, part = _part(frame, "prefill", 8.0, 8.0)
        layer = _layer(_ALONE, _ALONE_HEADS, False)
        found = dict(attention.latent(cast("Latent", layer), _model(_ALONE), question, part))
        name = _KERNELS[kind][1]
        yield np.arange(len(frame)), [(name, found[name])]
        return
    word, phase = kind.split()
    whole: Any = attention.latent if word == "dsa" else attention.grouped
    # heads of latent attention, which all have the same keys, may lie along the rows
    same = ["bits", "kv_bits", "place", "shared", *([] if word == "dsa" else ["heads"])]
    for (bits, kv_bits, place, shared, *_), group in frame.assign(row=np.arange(len(frame))).groupby(same):
        question, part = _part(group, phase, bits, kv_bits)
        name = MODELS[int(place)]
        heads = _along(group, "heads") if word == "dsa" else float(group["heads"].iloc[0])
        rows = whole(_layer(name, heads, bool(shared)), _model(name), question, part)
        yield group["row"].to_numpy(), list(rows)


def _spread(column: Any, count: int) -> Any:
    return np.broadcast_to(np.asarray(column, dtype=float), count)


def work(kind: str, frame: pd.DataFrame) -> tuple[Any, Any, Any]:
    """Return FLOP, bytes that must move at least once [B] and bits of the matrix unit, by row."""
    flops, moved = np.zeros(len(frame)), np.zeros(len(frame))
    for places, rows in operators(kind, frame):
        for _, row in rows:
            flops[places] += _spread(row.get("flops", 0.0), len(places))
            for name in ("weight_bytes", "input_bytes", "output_bytes"):
                moved[places] += _spread(row.get(name, 0.0), len(places))
    return flops, moved, frame["bits"].to_numpy(dtype=float)


def predict(kind: str, frame: pd.DataFrame, chip: Cluster) -> Any:
    """Return the times of measured rows by the laws [s]; on the same data each time, so that L2 holds what fits."""
    total = np.zeros(len(frame))
    slower = replace(chip.device.attention, gather_time=FLASH_MLA)
    flash = replace(chip, device=replace(chip.device, attention=slower))
    of_flash = frame["source"].str.endswith(_FLASH).to_numpy()
    for used, own in ((flash, of_flash), (chip, ~of_flash)):
        if own.any():
            total[own] = _times(kind, frame[own], used)
    for (engine, word), kernels in UNFUSED.items():
        own = frame["source"].str.startswith(engine).to_numpy() & kind.startswith(word)
        total[own] += kernels * chip.device.compute.launch_time
    return total


def _times(kind: str, frame: pd.DataFrame, chip: Cluster) -> Any:
    """Return the sums over the rows of a step [s]."""
    total = np.zeros(len(frame))
    names = ("weight_bytes",) if kind.split()[0] in ("dsa", "msa") else ("weight_bytes", "input_bytes", "output_bytes")
    for places, rows in operators(kind, frame):
        touched = sum(_spread(row.get(name, 0.0), len(places)) for _, row in rows for name in names)
        warm = held(touched, chip.device)
        bits = float(frame["bits"].iloc[places[0]])
        rounded = [_rounding(row, bits) for _, row in rows if row["kind"] == types.MATMUL and bits < HIGH_BITS]
        for row in (*(row for _, row in rows), *rounded):
            columns = {name: _spread(column, len(places)) for name, column in row.items()}
            times, _ = operator_time.time_columns({**columns, "warm": warm}, chip)
            total[places] += times
    return total


def _rounding(row: dict[str, Any], bits: float) -> dict[str, Any]:
    """Return the kernel that finds scales of activations and rounds them before a product of fewer bits."""
    return pointwise(row["groups"] * row["m"] * row["k"], QUANTISE_OPS, STREAM, bits / 8.0)
