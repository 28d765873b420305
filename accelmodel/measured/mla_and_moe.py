"""Measured multi-head latent attention and experts: tables that no constant is fitted to.

Latent attention was timed as a single kernel with the write of its cache, ``heads`` being those of one device.  Experts
were timed as a whole layer of one device, tensor- and expert-parallel degrees being cut out of its shapes: sorting of
the copies of tokens by expert, both matmuls, activation, and the sum over the experts of a token.  Router and
collectives are outside.  Tokens are those of all ranks; rank 0 is the busiest (collectors of ai-dynamo/aiconfigurator:
``collect_mla.py``, ``collect_moe.py``, ``helper.py``).
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.inference import operator_time
from accelmodel.inference.columns import STREAM
from accelmodel.inference.columns import matmul as weight_matmul
from accelmodel.inference.kernel_library import NEVER
from accelmodel.inference.padding import in_tiles
from accelmodel.inference.rowwise import ACTIVATION_OPS
from accelmodel.measured import aiconfigurator, routing
from accelmodel.measured.conditions import ROUNDING_OPS, attention_warmth, held, writing
from accelmodel.specs.given import override
from accelmodel.specs.hardware import Cluster, Device, dense_peaks

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

#: columns that say what was run, besides ``bits``
SHAPES = {
    "mla prefill": ("batch", "heads", "context"),
    "mla decode": ("batch", "heads", "context"),
    "mla products": ("num_tokens", "heads", "after"),
    "moe": ("num_tokens", "hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size", "moe_ep_size", "exponent"),
}
_FILES = {"mla prefill": "context_mla", "mla decode": "generation_mla"}
#: prefill on the latent itself, 3.4 times the work, as SGLang's off Blackwell: the step model expands the keys
_LATENT_PREFILL = ("flash_attention", "triton")
#: TensorRT-LLM on Ampere and Ada, which has no kernel of latent attention there: that of a prompt takes the heads of a
#: sequence for its queries, all rows of a tile of 64, and one core all keys
_WITHOUT_MLA = "TensorRT-LLM 1.0"
_PROMPT_ROWS = 64.0
#: kernels of experts, by a word in ``kernel_source``; others compute on weights alone, without a gate, or one
#: sequence at a time, and are left out
_EXPERT_KERNELS = {
    "moe_torch_flow_cutlass": "CUTLASS", "flashinfer_cutlass": "CUTLASS", "flashinferexperts": "CUTLASS",
    "deepgemm": "DeepGEMM", "fused_moe": "Triton", "tritonexperts": "Triton",
}  # fmt: skip
#: precisions of experts; block scales stand apart
_EXPERT_BITS = {"bfloat16": (16.0, ""), "fp8": (8.0, ""), "fp8_block": (8.0, ", block scales")}
#: rows of each source and precision of experts that are looked at, those of smallest hash: there are 10^4 of each
SAMPLE = 600
#: small kernels that sort copies by expert before the matmuls
SORTING = {"TensorRT-LLM": 3, "vLLM": 2, "SGLang": 2}
#: vector operations per element of a conversion to 8 bit
_QUANTISE_OPS = 3.0


def _latent(device: str, kind: str) -> Any:
    parts, left_out = [], 0
    for source, path in aiconfigurator.tables(device, "mla", _FILES[kind]):
        frame = aiconfigurator.read(path)
        frame["context"] = frame["isl"] + (frame["step"] if kind == "mla decode" else 0)
        other = frame["kernel_source"].isin(_LATENT_PREFILL) & (kind == "mla prefill")
        # takes as long as at 16 bit, to a hundredth, where memory bounds it too: the cache was not narrow
        other = other | (frame["dtype"] == "fp8") & source.startswith(_WITHOUT_MLA)
        left_out += int(other.sum())
        parts.append(aiconfigurator.median(frame[~other], ["dtype", *SHAPES[kind]]).assign(source=source))
    frame = aiconfigurator.joined(parts, ("dtype", *SHAPES[kind]))
    return frame[frame["dtype"].isin(aiconfigurator.BITS)].assign(
        bits=frame["dtype"].map(aiconfigurator.BITS)
    ), left_out


def _absorbing(device: str) -> Any:
    """Matmuls that take queries into the latent, and, ``after`` attention, values out of it; 16 bit alone.

    Those of 8 bit hold the quantisation of a layout that the step model does not have.
    """
    parts, left_out = [], 0
    for source, path in aiconfigurator.tables(device, "mla_bmm", "mla_bmm"):
        frame = aiconfigurator.read(path).rename(columns={"bmm_dtype": "dtype"})
        frame["after"] = (frame["op_name"] == "mla_gen_post") * 1
        plain = frame["dtype"] == "bfloat16"
        left_out += int((~plain).sum())
        parts.append(aiconfigurator.median(frame[plain], ["dtype", *SHAPES["mla products"]]).assign(source=source))
    return aiconfigurator.joined(parts, ("dtype", *SHAPES["mla products"])).assign(bits=16.0), left_out


def _kernel_of(source: str) -> str:
    return next((name for word, name in _EXPERT_KERNELS.items() if word in source), "")


def _exponent_of(distribution: str) -> float:
    found = re.search(r"([\d.]+)$", distribution)
    return float(found[1]) if found else 0.0


def _usable(path: Path) -> tuple[Any, int]:
    """Return the rows of a table of experts with a law, and how many others there are."""
    frame = aiconfigurator.read(path).rename(columns={"moe_dtype": "dtype"})
    # a table repeats a few words: each is looked at once
    for column, words, meaning in (("kernel", "kernel_source", _kernel_of), ("exponent", "distribution", _exponent_of)):
        frame[column] = frame[words].map({word: meaning(word) for word in frame[words].unique()})
    usable = frame["dtype"].isin(_EXPERT_BITS) & (frame["kernel"] != "")
    return frame[usable], int((~usable).sum())


def _experts(device: str) -> Any:
    """Experts, by the newest version of a framework that has rows with a law; ``exponent`` 0 is balanced routing."""
    parts, left_out = [], 0
    for versions in aiconfigurator.versions(device, "moe", "moe"):
        tables = ((source, *_usable(path)) for source, path in versions)
        newest = next((each for each in tables if len(each[1])), None)
        if newest is None:
            continue
        source, frame, others = newest
        left_out += others
        for (dtype, kernel), group in frame.groupby(["dtype", "kernel"]):
            bits, scales = _EXPERT_BITS[dtype]
            rows = aiconfigurator.median(group, list(SHAPES["moe"]))
            hashes = aiconfigurator.hashed(*(rows[name] for name in SHAPES["moe"][:-1]), rows["exponent"] * 100.0)
            rows = rows.iloc[np.argsort(hashes)[:SAMPLE]]
            parts.append(rows.assign(dtype=dtype, bits=bits, source=f"{source}, {kernel}{scales}"))
    frame = aiconfigurator.joined(parts, ("dtype", "bits", *SHAPES["moe"]))
    held = [routing.busiest(*row) for row in _routings(frame)]
    active, copies = np.array(held, dtype=float).reshape(-1, 2).T
    frame = frame.assign(active=active, copies=copies)[copies >= 1.0]
    padded = [routing.padded(*row) for row in _routings(frame)]
    return frame.assign(padded=np.array(padded, dtype=float)), left_out + int((copies < 1.0).sum())


def _routings(frame: Any) -> list[tuple[int, int, int, int, float]]:
    """Return what a routing of each row is drawn from."""
    whole = frame[["num_tokens", "num_experts", "topk", "moe_ep_size"]].to_numpy(dtype=int).tolist()
    return [(*row, float(exponent)) for row, exponent in zip(whole, frame["exponent"], strict=True)]


@cache
def rows(device: Device, kind: str) -> tuple[pd.DataFrame, int]:
    """Return the measured rows of a device and kind of ``SHAPES``, and how many were left out.

    Left out: prefill of MLA on the latent; experts on kernels or precisions without a law, and those to which no
    token comes; whatever is faster than the dense peak or HBM's peak allows.
    """
    readers = {"moe": _experts, "mla products": _absorbing}
    frame, left_out = readers[kind](device.name) if kind in readers else _latent(device.name, kind)
    if frame.empty:
        return frame, left_out
    bad = impossible(kind, frame, device)
    return frame[~bad].reset_index(drop=True), left_out + int(bad.sum())


def training(kind: str, frame: pd.DataFrame) -> Any:
    """Return to which rows constants were fitted: none."""
    return np.zeros(len(frame), dtype=bool)


def impossible(kind: str, frame: pd.DataFrame, device: Device) -> Any:
    """Return where a row is faster than the device's peaks allow, data beyond four times L2 coming from HBM."""
    flops, moved, _ = work(kind, frame)
    peak = dense_peaks(device.compute, frame["bits"])
    from_memory = np.where(moved > 4.0 * device.l2.capacity, moved / device.hbm.bandwidth, 0.0)
    return np.maximum(flops / peak, from_memory) > frame["time"].to_numpy()


def attention_columns(kind: str, frame: pd.DataFrame) -> operator_time.Columns:
    """Return the operators that rows of latent attention describe."""
    shape = (frame[name].to_numpy(dtype=float) for name in SHAPES[kind])
    return operator_time.latent_attention(
        kind.removeprefix("mla "), *shape, kv_bits=frame["bits"].to_numpy(dtype=float)
    )


def absorbing(frame: pd.DataFrame) -> operator_time.Columns:
    """Return the matmuls by which queries come into the latent and values out of it, as a step has them."""
    tokens, heads, after = (frame[name].to_numpy(dtype=float) for name in SHAPES["mla products"])
    columns: Any = np.where(after > 0.0, operator_time.VALUE, operator_time.LATENT)
    depth: Any = np.where(after > 0.0, operator_time.LATENT, operator_time.NOPE)
    return weight_matmul(tokens, columns, depth, operator_time.precision(16.0), groups=heads)


def operators(kind: str, frame: pd.DataFrame) -> tuple[operator_time.Columns, ...]:
    """Return the operators of a step that measured rows of a kind are made of."""
    if kind == "moe":
        return matmuls(frame)
    return (absorbing(frame) if kind == "mla products" else attention_columns(kind, frame),)


def matmuls(frame: pd.DataFrame) -> tuple[operator_time.Columns, operator_time.Columns]:
    """Return the operators of both matmuls of the experts of a device, as a step has them."""
    hidden, active = frame["hidden_size"].to_numpy(dtype=float), frame["active"].to_numpy()
    inner = frame["inter_size"].to_numpy(dtype=float) / frame["moe_tp_size"].to_numpy()
    part = operator_time.precision(frame["bits"].to_numpy(dtype=float))
    held = frame["copies"].to_numpy() / active
    tiles = in_tiles(active, held, frame["padded"].to_numpy())
    return (
        weight_matmul(held, 2.0 * inner, hidden, part, groups=active) | tiles,
        weight_matmul(held, hidden, inner, part, groups=active) | tiles,
    )


def work(kind: str, frame: pd.DataFrame) -> tuple[Any, Any, Any]:
    """Return FLOP, bytes that must move at least once [B] and bits of the matrix unit, by row."""
    parts = operators(kind, frame)
    flops = sum(np.asarray(part["flops"]) for part in parts)
    names = ("weight_bytes", "input_bytes", "output_bytes")
    moved = sum(np.asarray(part[name], dtype=float) for part in parts for name in names)
    return flops, moved, np.broadcast_to(parts[0]["bits"], len(frame))


def _passes(frame: pd.DataFrame, chip: Cluster) -> Any:
    """Return the time of what surrounds the matmuls of experts: sorting, gathering, activation, sum [s].

    CUTLASS's kernels gather the copies that stay and sum those.  Triton's gather as they multiply, but write zeros
    for copies of experts that are elsewhere, and activation and sum go over these too.
    """
    every = (frame["num_tokens"] * frame["topk"]).to_numpy(dtype=float)
    own, inner = frame["copies"].to_numpy(), (frame["inter_size"] / frame["moe_tp_size"]).to_numpy()
    hidden, narrow = frame["hidden_size"].to_numpy(dtype=float), frame["bits"].to_numpy() < 16.0
    triton = frame["source"].str.contains("Triton").to_numpy()
    passed, gathered = np.where(triton, every, own), np.where(triton, 0.0, own)
    width = frame["bits"].to_numpy(dtype=float) / 8.0

    def timed(elements: Any, ops: float, read: Any, written: Any) -> Any:
        found, _ = operator_time.time_columns(operator_time.pointwise(elements, ops, read, written), chip)
        return found * (np.asarray(elements) > 0.0)

    launch = chip.device.compute.launch_time
    sorting = frame["source"].map(lambda source: next(SORTING[name] for name in SORTING if source.startswith(name)))
    total = sorting.to_numpy() * launch + timed(gathered * hidden, 1.0, STREAM, width)
    total += timed(passed * inner, ACTIVATION_OPS, 2.0 * STREAM, width) + timed(passed * hidden, 1.0, STREAM, 0.0)
    zeros = (every - own) * (2.0 * inner + hidden) * triton
    total += np.maximum(timed(zeros, 0.0, 0.0, STREAM) - launch, 0.0)
    return total + narrow * triton * timed(frame["num_tokens"] * hidden, _QUANTISE_OPS, STREAM, width)


def predict(kind: str, frame: pd.DataFrame, chip: Cluster) -> Any:
    """Return the times of measured rows by the laws [s]; on the same data each time, so that L2 holds what fits."""
    if kind in _FILES:
        return _attention_times(kind, frame, chip)
    parts = operators(kind, frame)
    warm = held(sum(np.asarray(part["weight_bytes"]) for part in parts), chip.device)
    times = sum(operator_time.time_columns({**part, "warm": warm}, chip)[0] for part in parts)
    return times + (_passes(frame, chip) if kind == "moe" else 0.0)


def _attention_times(kind: str, frame: pd.DataFrame, chip: Cluster) -> Any:
    return _prefill_times(frame, chip) if kind == "mla prefill" else _decode_times(frame, chip)


def _decode_times(frame: pd.DataFrame, chip: Cluster) -> Any:
    given = attention_columns("mla decode", frame)
    given = {**given, "warm": attention_warmth(given, chip.device)}
    times, _ = operator_time.time_columns(given, chip)
    prompt = frame["source"].str.startswith(_WITHOUT_MLA).to_numpy()
    if prompt.any():
        rows = {**given, "m": np.maximum(given["m"], _PROMPT_ROWS)}
        alone = replace(chip, device=override(chip.device, {"attention.combine_time": NEVER}))
        times[prompt] = operator_time.time_columns(rows, alone)[0][prompt]
    return times


def _prefill_times(frame: pd.DataFrame, chip: Cluster) -> Any:
    given = attention_columns("mla prefill", frame)
    # Ampere and Ada round nothing, and Hopper, where values would have to be turned, computes at 16 bit all the same
    narrow = (frame["bits"].to_numpy() < 16.0) & bool(chip.device.attention.narrow)
    share = np.where(narrow & (chip.device.architecture != "Hopper"), 0.5, 1.0)
    given = {**given, "narrow": share, "weight_bytes": given["weight_bytes"] * share}
    found = attention_warmth(given, chip.device)
    times, _ = operator_time.time_columns({**given, "warm": found}, chip)
    rotated = 2.0 * STREAM * frame["heads"] * operator_time.ROPE
    cached = (operator_time.LATENT + operator_time.ROPE) * (STREAM + frame["bits"] / 8.0)
    size = frame["batch"] * frame["context"] * (cached + rotated)
    width = 2.0 * (operator_time.NOPE + operator_time.ROPE) + operator_time.VALUE
    elements = (frame["batch"] * frame["context"] * frame["heads"]).to_numpy(dtype=float) * width
    rounded, _ = operator_time.time_columns(operator_time.pointwise(elements, ROUNDING_OPS, STREAM, 1.0), chip)
    # a kernel of its own rotates queries and writes the cache; with a cache of 8 bit another rounds what was expanded
    return times + chip.device.compute.launch_time + writing(size, found, chip.device) + narrow * rounded
