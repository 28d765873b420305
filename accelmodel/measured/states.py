"""Measured layers that keep a state in place of tokens: gated delta rule and Kimi delta attention.

Timed were two kernels of such a layer apart, without its projections: the convolution over tokens, and what reads and
changes the state, whose q, k, v, decays and strengths lie ready (collectors of ai-dynamo/aiconfigurator:
``collect_gdn.py``, ``collect_kda.py``).  States are kept at 32 bit.  Heads are those of one device.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.inference import operator_time, state_mixers
from accelmodel.inference.columns import Shard
from accelmodel.laws import recurrence
from accelmodel.measured import aiconfigurator
from accelmodel.measured.conditions import held
from accelmodel.specs.hardware import Cluster, Device, dense_peaks
from accelmodel.specs.layer_kinds import Linear

if TYPE_CHECKING:
    import pandas as pd

_HEADS = ("batch", "tokens", "key_heads", "value_heads", "key_dim", "value_dim")
_CHANNELS = ("batch", "tokens", "channels", "taps", "calls")
#: columns that say what was run, besides ``bits``
SHAPES = {
    "gated delta prefill": _HEADS,
    "gated delta decode": _HEADS,
    "kda prefill": _HEADS,
    "kda decode": _HEADS,
    "convolution prefill": _CHANNELS,
    "convolution decode": _CHANNELS,
}
#: word of a kind → family of tables and file there
_TABLES = {"gated delta": ("linear_attention", "gdn"), "kda": ("kda", "kda")}
_PHASES = {"prefill": "context", "decode": "generation"}
_NAMES = {
    "seq_len": "tokens",
    "num_k_heads": "key_heads",
    "num_v_heads": "value_heads",
    "head_k_dim": "key_dim",
    "head_v_dim": "value_dim",
    "d_conv": "taps",
}
#: kernels that keep a state on its core, by a word in ``kernel_source``
_ON_ONE_CORE = ("flashinfer", "flashkda")
#: a convolution whose least call takes longer [s] holds work of the host
_HOSTED = 1e-5
#: columns whose hash says which rows were fitted, by kind
_FITTED = {
    "prefill": ("batch", "tokens", "key_heads", "value_heads"),
    "decode": ("batch", "key_heads", "value_heads"),
    "convolution": ("batch", "tokens", "channels"),
}
#: rows of each source that are looked at, those of smallest hash
SAMPLE = 600


def _table(path: Any) -> Any:
    frame = aiconfigurator.read(path).rename(columns=_NAMES)
    frame["channels"] = 2 * frame["key_heads"] * frame["key_dim"] + frame["value_heads"] * frame["value_dim"]
    frame["calls"] = np.where(frame["kernel_source"].str.endswith("qkv3"), 3, 1)
    frame["channels"] = frame["channels"] // frame["calls"]
    return frame


def _measured(device: str, kind: str) -> tuple[Any, int]:
    """Return the rows of a kind by source and kernel, and how many are not what a step does."""
    word, _, phase = kind.rpartition(" ")
    convolved = word == "convolution"
    parts, left_out = [], 0
    for family, file in _TABLES.values() if convolved else [_TABLES[word]]:
        for source, path in aiconfigurator.tables(device, family, file):
            frame = _table(path)
            # tokens that verify a draft keep a state each; they are of neither phase
            left_out += int((frame["phase"] == "verify").sum()) * (phase == "decode" and not convolved)
            frame = frame[frame["phase"] == _PHASES[phase]]
            frame = frame[frame["kernel_source"].str.contains("conv1d") == convolved]
            for kernel, group in frame.groupby("kernel_source"):
                # TensorRT-LLM's convolves keys alone
                other = source.startswith("TensorRT-LLM") or group["time"].min() > _HOSTED
                if convolved and other:
                    left_out += len(group)
                    continue
                rows = aiconfigurator.median(group, list(SHAPES[kind]))
                rows = aiconfigurator.sampled(rows, SHAPES[kind], SAMPLE)
                together = any(name in kernel for name in _ON_ONE_CORE)
                how = "" if convolved else ", one kernel" if together or phase == "decode" else ", kernels apart"
                parts.append(rows.assign(source=f"{source}{how}"))
    return aiconfigurator.joined(parts, SHAPES[kind]).assign(bits=16.0), left_out


@cache
def rows(device: Device, kind: str) -> tuple[pd.DataFrame, int]:
    """Return the measured rows of a device and kind of ``SHAPES``, and how many were left out.

    Left out: tokens that verify a draft; convolutions of TensorRT-LLM, which are of keys alone, and those whose
    shortest call takes over 10 us, which hold work of the host; whatever is faster than the peaks allow.
    """
    frame, left_out = _measured(device.name, kind)
    if frame.empty:
        return frame, left_out
    bad = impossible(kind, frame, device)
    return frame[~bad].reset_index(drop=True), left_out + int(bad.sum())


def training(kind: str, frame: pd.DataFrame) -> Any:
    """Return to which rows the constants of ``laws.recurrence`` and of convolutions were fitted: 70 % by a hash."""
    word, _, phase = kind.rpartition(" ")
    columns = _FITTED["convolution" if word == "convolution" else phase]
    return aiconfigurator.hashed(*(frame[name] for name in columns)) < 0.7


def impossible(kind: str, frame: pd.DataFrame, device: Device) -> Any:
    """Return where a row is faster than the device's peaks allow, data beyond four times L2 coming from HBM."""
    flops, moved, bits = work(kind, frame)
    from_memory = np.where(moved > 4.0 * device.l2.capacity, moved / device.hbm.bandwidth, 0.0)
    products = 0.0 if kind.startswith("convolution") else flops / dense_peaks(device.compute, bits)
    return np.maximum(products, from_memory) > frame["time"].to_numpy()


def operators(kind: str, frame: pd.DataFrame) -> operator_time.Columns:
    """Return the operators of a step that measured rows of a kind are."""
    word, _, phase = kind.rpartition(" ")
    value = {name: frame[name].to_numpy(dtype=float) for name in SHAPES[kind]}
    new = 1.0 if phase == "decode" else value["tokens"]
    base = operator_time.precision(16.0)
    part: Shard = replace(
        base, sequences=value["batch"], new_tokens=new, tokens=value["batch"] * new, decoding=phase == "decode"
    )
    if word == "convolution":
        return state_mixers.convolution_pass(part, value["channels"], value["taps"])
    keys, values = value["key_heads"], value["value_heads"]
    # head widths are those of all measured models
    key, wide = (float(frame[name].iloc[0]) for name in ("key_dim", "value_dim"))
    layer = Linear("linear", 1.0, 1.0, 1.0, key, wide, decay=key if word == "kda" else 1.0)
    return state_mixers.delta_update(part, keys, values, layer)


def work(kind: str, frame: pd.DataFrame) -> tuple[Any, Any, Any]:
    """Return FLOP, bytes that must move at least once [B] and bits of the matrix unit, by row."""
    given = operators(kind, frame)
    names = ("weight_bytes", "input_bytes", "output_bytes")
    moved = sum(np.broadcast_to(np.asarray(given[name], dtype=float), len(frame)) for name in names)
    if kind.startswith("convolution"):
        moved = moved * frame["calls"].to_numpy()
    return np.broadcast_to(given["flops"], len(frame)), moved, np.full(len(frame), 16.0)


def predict(kind: str, frame: pd.DataFrame, chip: Cluster) -> Any:
    """Return the times of measured rows by the laws [s], by the way their kernels go; what fits lies in L2."""
    given = operators(kind, frame)
    _, moved, _ = work(kind, frame)
    warm = held(moved, chip.device) if "decode" in kind else np.zeros(len(frame))
    times = np.zeros(len(frame))
    apart = frame["source"].str.endswith("apart").to_numpy()
    begun = chip.device.attention.scan_time or recurrence.BEGUN
    times_of = {True: 0.0, False: begun}
    ways = {
        way: replace(chip.device, attention=replace(chip.device.attention, scan_time=time))
        for way, time in times_of.items()
    }
    for together, device in ways.items():
        own = np.flatnonzero(apart == together)
        if len(own):
            columns = {name: np.broadcast_to(column, len(frame))[own] for name, column in given.items()}
            times[own], _ = operator_time.time_columns({**columns, "warm": warm[own]}, replace(chip, device=device))
    return times * (frame["calls"].to_numpy() if kind.startswith("convolution") else 1.0)
