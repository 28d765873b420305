"""Measured routed experts: whole layers of one device, by the kernels of serving engines.

Timed were sorting of the copies of tokens by expert, both matmuls, activation, and the sum over the experts of a token;
tensor- and expert-parallel degrees are cut out of the shapes.  Router and collectives are outside.  Tokens are those of
all ranks; rank 0 is the busiest (collectors of ai-dynamo/aiconfigurator: ``collect_moe.py``, ``helper.py``).
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.inference import mlps, operator_time
from accelmodel.inference.columns import STREAM
from accelmodel.inference.kernel_library import on_experts
from accelmodel.inference.padding import in_tiles
from accelmodel.laws.numeric import Number
from accelmodel.measured import aiconfigurator, routing
from accelmodel.measured.conditions import held
from accelmodel.specs.cloud import KernelLibrary
from accelmodel.specs.hardware import Cluster, Device, dense_peaks
from accelmodel.specs.load import available, load

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

_EXPERTS = ("hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size", "moe_ep_size", "exponent")
#: columns that say what was run, besides ``bits``
SHAPES = {"moe": ("num_tokens", *_EXPERTS)}
#: kernels of experts, by a word in ``kernel_source``, the first that is there; others compute on weights alone, without
#: a gate, or one sequence at a time, and are left out
_KERNELS = {
    "trtllm": "trtllm-gen", "moe_torch_flow_cutlass": "CUTLASS", "flashinfer_cutlass": "CUTLASS",
    "flashinferexperts": "CUTLASS", "deepgemm": "DeepGEMM", "fused_moe": "Triton", "triton": "Triton",
}  # fmt: skip
#: precisions of experts; block scales stand apart
_BITS = {"bfloat16": (16.0, ""), "fp8": (8.0, ""), "fp8_block": (8.0, ", block scales"), "nvfp4": (4.0, "")}
#: kernels that nobody chose by trial: balanced experts of one row take two to four times as long as those of 128
_UNTUNED = {"Hopper": ("vllm_modeloptfp8moe_flashinfer_cutlass", "sglang_flashinfer_cutlass")}
#: a row that takes so many times as long as one of the same experts and more tokens ran on such a kernel
_SLOWER = 1.5
#: rows of each source and precision that are looked at, those of smallest hash: there are 10^4 of each
SAMPLE = 600


def _kernel_of(source: str) -> str:
    return next((name for word, name in _KERNELS.items() if word in source), "")


def _exponent_of(distribution: str) -> float:
    found = re.search(r"([\d.]+)$", distribution)
    return float(found[1]) if found else 0.0


def _usable(path: Path, untuned: tuple[str, ...]) -> tuple[Any, int]:
    """Return the rows of a table of experts with a law, and how many others there are."""
    frame = aiconfigurator.read(path).rename(columns={"moe_dtype": "dtype"})
    # a table repeats a few words: each is looked at once
    for column, words, meaning in (("kernel", "kernel_source", _kernel_of), ("exponent", "distribution", _exponent_of)):
        frame[column] = frame[words].map({word: meaning(word) for word in frame[words].unique()})
    usable = frame["dtype"].isin(_BITS) & (frame["kernel"] != "")
    for word in untuned:
        usable &= ~frame["kernel_source"].str.startswith(word)
    return frame[usable], int((~usable).sum())


def _tuned(rows: Any) -> Any:
    """Return which rows take no longer than those of the same experts and more tokens, give or take ``_SLOWER``."""
    ordered = rows.sort_values([*_EXPERTS, "num_tokens"], ascending=False)
    least = ordered.groupby(list(_EXPERTS))["time"].cummin()
    return rows["time"] <= _SLOWER * least.reindex(rows.index)


def _measured(device: Device) -> Any:
    """Return the rows of the newest version of a framework that has any; ``exponent`` 0 is balanced routing."""
    parts, left_out = [], 0
    for versions in aiconfigurator.versions(device.name, "moe", "moe"):
        tables = ((source, *_usable(path, _UNTUNED.get(device.architecture, ()))) for source, path in versions)
        newest = next((each for each in tables if len(each[1])), None)
        if newest is None:
            continue
        source, frame, others = newest
        left_out += others
        for (dtype, kernel), group in frame.groupby(["dtype", "kernel"]):
            bits, scales = _BITS[dtype]
            rows = aiconfigurator.median(group, list(SHAPES["moe"]))
            tuned = _tuned(rows)
            left_out += int((~tuned).sum())
            hashes = aiconfigurator.hashed(*(rows[name] for name in SHAPES["moe"][:-1]), rows["exponent"] * 100.0)
            rows = rows.assign(hash=hashes)[tuned].nsmallest(SAMPLE, "hash")
            parts.append(rows.assign(dtype=dtype, bits=bits, source=f"{source}, {kernel}{scales}"))
    frame = aiconfigurator.joined(parts, ("dtype", "bits", "hash", *SHAPES["moe"]))
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
    """Return the measured rows of a device, and how many were left out.

    Left out: kernels or precisions without a law; kernels that were not chosen by trial; experts to which no token
    comes; whatever is faster than the dense peak or HBM's peak allows.
    """
    frame, left_out = _measured(device)
    if frame.empty:
        return frame, left_out
    bad = impossible(kind, frame, device)
    return frame[~bad].reset_index(drop=True), left_out + int(bad.sum())


def training(kind: str, frame: pd.DataFrame) -> Any:
    """Return to which rows the constants of kernel libraries were fitted: 70 % by a hash of the shape."""
    columns = [frame[name] for name in SHAPES["moe"][:-1]]
    return aiconfigurator.hashed(*columns, frame["exponent"] * 100.0, np.ones(len(frame))) < aiconfigurator.TRAINING


def impossible(kind: str, frame: pd.DataFrame, device: Device) -> Any:
    """Return where a row is faster than the device's peaks allow, data beyond four times L2 coming from HBM."""
    flops, moved, _ = work(kind, frame)
    peak = dense_peaks(device.compute, frame["bits"])
    from_memory = np.where(moved > 4.0 * device.l2.capacity, moved / device.hbm.bandwidth, 0.0)
    return np.maximum(flops / peak, from_memory) > frame["time"].to_numpy()


def operators(frame: pd.DataFrame, elsewhere: Number = 0.0) -> dict[str, operator_time.Columns]:
    """Return the rows of a step that the experts of a device are, by their names.

    ``elsewhere`` is as of ``mlps.passes``.
    """
    tokens, hidden, inter, used, _, ranks, _ = (frame[name].to_numpy(dtype=float) for name in SHAPES["moe"][:-1])
    width, copies, active = inter / ranks, frame["copies"].to_numpy(), frame["active"].to_numpy()
    bits = frame["bits"].to_numpy(dtype=float)
    # 4 bit keeps a scale of 8 bit for 16 weights
    scaled: Any = bits / 8.0 * np.where(bits == 4.0, 1.125, 1.0)
    part = replace(operator_time.precision(bits), weight=scaled)
    mean = copies / active
    tiles = in_tiles(active, mean, frame["padded"].to_numpy())
    around = mlps.passes(tokens * used, copies, (hidden, width, 2.0), (STREAM, part.activation), used, elsewhere)
    return {
        "expert_sorting": around["expert_sorting"],
        "expert_gather": around["expert_gather"],
        "expert_up": mlps.expert_matmul(mean, 2.0 * width, hidden, part, active) | tiles,
        "expert_activation": around["expert_activation"],
        "expert_down": mlps.expert_matmul(mean, hidden, width, part, active) | tiles,
        "expert_sum": around["expert_sum"],
    }


def _matmuls(frame: pd.DataFrame) -> list[operator_time.Columns]:
    found = operators(frame)
    return [found["expert_up"], found["expert_down"]]


def work(kind: str, frame: pd.DataFrame) -> tuple[Any, Any, Any]:
    """Return FLOP, bytes that must move at least once [B] and bits of the matrix unit, by row."""
    parts = _matmuls(frame)
    flops = sum(np.asarray(part["flops"]) for part in parts)
    names = ("weight_bytes", "input_bytes", "output_bytes")
    moved = sum(np.asarray(part[name], dtype=float) for part in parts for name in names)
    return flops, moved, np.broadcast_to(parts[0]["bits"], len(frame))


@cache
def _libraries() -> tuple[KernelLibrary, ...]:
    found = (load("library", name) for name in available("library"))
    return tuple(each for each in found if each.expert_share > 0.0)


def library_of(source: str, bits: float) -> KernelLibrary | None:
    """Return whose kernels ran the experts of a source at a precision, None where only the law is known."""
    for library in _libraries():
        if library.bits == bits and library.runs(source):
            return library
    return None


def predict(kind: str, frame: pd.DataFrame, chip: Cluster) -> Any:
    """Return the times of measured rows by the laws [s]; on the same data each time, so that L2 holds what fits."""
    times = np.zeros(len(frame))
    for (source, bits), group in frame.assign(place=np.arange(len(frame))).groupby(["source", "bits"]):
        times[group["place"]] = times_on(group, chip, library_of(source, bits))
    return times


def times_on(frame: pd.DataFrame, chip: Cluster, library: KernelLibrary | None) -> Any:
    """Return the times of experts by the kernels of a library [s], of the best one where none is given."""
    given = operators(frame, library.elsewhere if library else 0.0)
    read = sum(np.asarray(given[name]["weight_bytes"]) for name in ("expert_up", "expert_down"))
    found = held(read, chip.device)
    longer: dict[str, Number] = {"expert_sorting": mlps.SORTING}
    if library is not None:
        chip = on_experts(chip, library)
        longer["expert_gather"] = library.gathers * library.expert_passes
        longer["expert_activation"] = library.activates
        longer["expert_sum"] = library.expert_passes
    total = np.zeros(len(frame))
    for name, columns in given.items():
        times_longer = longer.get(name, 1.0)
        if times_longer:
            weights = np.asarray(columns.get("weight_bytes", 0.0), dtype=float)
            activations = np.asarray(columns["input_bytes"] + columns["output_bytes"], dtype=float)
            cold = activations * (1.0 - held(activations * chip.device.l2.copies, chip.device))
            warm = found * weights / np.maximum(weights + cold, 1.0)
            total += times_longer * operator_time.time_columns({**columns, "warm": warm}, chip)[0]
    return total
