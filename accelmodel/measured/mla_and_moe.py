"""Measured multi-head latent attention, and the matmuls by which queries come into the latent and values out of it.

Latent attention was timed as a single kernel with the write of its cache, ``heads`` being those of one device
(collectors of ai-dynamo/aiconfigurator: ``collect_mla.py``, ``collect_mla_bmm.py``).
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.inference import operator_time
from accelmodel.inference.columns import STREAM
from accelmodel.inference.columns import matmul as weight_matmul
from accelmodel.inference.kernel_library import NEVER
from accelmodel.measured import aiconfigurator
from accelmodel.measured.conditions import ROUNDING_OPS, attention_warmth, held, writing
from accelmodel.specs.given import override
from accelmodel.specs.hardware import Cluster, Device, dense_peaks

if TYPE_CHECKING:
    import pandas as pd

#: columns that say what was run, besides ``bits``
SHAPES = {
    "mla prefill": ("batch", "heads", "context"),
    "mla decode": ("batch", "heads", "context"),
    "mla products": ("num_tokens", "heads", "after"),
}
_FILES = {"mla prefill": "context_mla", "mla decode": "generation_mla"}
#: prefill on the latent itself, 3.4 times the work, as SGLang's off Blackwell: the step model expands the keys
_LATENT_PREFILL = ("flash_attention", "triton")
#: TensorRT-LLM on Ampere and Ada, which has no kernel of latent attention there: that of a prompt takes the heads of a
#: sequence for its queries, all rows of a tile of 64, and one core all keys
_WITHOUT_MLA = "TensorRT-LLM 1.0"
_PROMPT_ROWS = 64.0


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


@cache
def rows(device: Device, kind: str) -> tuple[pd.DataFrame, int]:
    """Return the measured rows of a device and kind of ``SHAPES``, and how many were left out.

    Left out: prefill of MLA on the latent; whatever is faster than the dense peak or HBM's peak allows.
    """
    products = kind == "mla products"
    frame, left_out = _absorbing(device.name) if products else _latent(device.name, kind)
    if frame.empty:
        return frame, left_out
    bad = impossible(kind, frame, device)
    return frame[~bad].reset_index(drop=True), left_out + int(bad.sum())


def training(kind: str, frame: pd.DataFrame) -> Any:
    """Return to which rows ``matmul.group_fill`` was fitted: 70 % of the products, by a hash of the shape."""
    if kind != "mla products":
        return np.zeros(len(frame), dtype=bool)
    return aiconfigurator.hashed(*(frame[name] for name in SHAPES[kind])) < aiconfigurator.TRAINING


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
    return (absorbing(frame) if kind == "mla products" else attention_columns(kind, frame),)


def work(kind: str, frame: pd.DataFrame) -> tuple[Any, Any, Any]:
    """Return FLOP, bytes that must move at least once [B] and bits of the matrix unit, by row."""
    parts = operators(kind, frame)
    flops = sum(np.asarray(part["flops"]) for part in parts)
    names = ("weight_bytes", "input_bytes", "output_bytes")
    moved = sum(np.asarray(part[name], dtype=float) for part in parts for name in names)
    return flops, moved, np.broadcast_to(parts[0]["bits"], len(frame))


def predict(kind: str, frame: pd.DataFrame, chip: Cluster) -> Any:
    """Return the times of measured rows by the laws [s]; on the same data each time, so that L2 holds what fits."""
    if kind in _FILES:
        return _attention_times(kind, frame, chip)
    given, copies = absorbing(frame), chip.device.l2.copies
    weights = np.asarray(given["weight_bytes"], dtype=float)
    activations = np.asarray(given["input_bytes"] + given["output_bytes"], dtype=float)
    cold = activations * (1.0 - held(activations * copies, chip.device))
    warm = held(weights * copies, chip.device) * weights / (weights + cold)
    times, _ = operator_time.time_columns({**given, "warm": warm}, chip)
    return times


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
