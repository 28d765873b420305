"""Measured kernels of the package aiconfigurator-core, read where it is installed.

Every table becomes one frame with the shape columns of ``SHAPES``, ``bits``, ``source`` and ``time`` [s].
Latencies there are in ms; the weights of matmuls rotate through six copies, so that they come from HBM.
Rows that no machine could have measured, or of which it is not known what they measured, are left out by
the stated rules below, and counted.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.errors import SpecError, unknown
from accelmodel.specs.hardware import Device, dense_peaks
from accelmodel.specs.load import load

if TYPE_CHECKING:
    import pandas as pd

#: device of accelmodel → system of the package
SYSTEMS = {
    "a100-sxm-80gb": "a100_sxm",
    "arc-pro-b60": "b60",
    "b200-sxm": "b200_sxm",
    "b300-sxm": "b300_sxm",
    "gb200": "gb200",
    "gb300": "gb300",
    "h100-sxm": "h100_sxm",
    "h200-sxm": "h200_sxm",
    "l40s": "l40s",
    "rtx-pro-6000-server": "rtx_pro_6000_server",
}
#: link of a measured server, where its cards reach one another in a way that the device's own link leaves open
SERVERS = {
    "arc-pro-b60": "pcie5-x8-peer-8",
    "l40s": "pcie4-staged-8",
    "rtx-pro-6000-server": "pcie5-host-8",
}
#: columns that say what was run, besides ``bits``
SHAPES = {
    "matmul": ("m", "n", "k"),
    "prefill attention": ("batch", "heads", "kv_heads", "head_dim", "context", "window"),
    "decode attention": ("batch", "heads", "kv_heads", "head_dim", "context", "window"),
    "quantise": ("m", "k"),
    "all-reduce": ("operation", "devices", "elements"),
    "all-gather": ("operation", "devices", "elements"),
    "reduce-scatter": ("operation", "devices", "elements"),
    "all-to-all": ("operation", "devices", "elements"),
    "custom all-reduce": ("operation", "devices", "elements"),
}
#: collectives, and their names there, in the order of the column ``operation``
COLLECTIVES = {
    "all-reduce": "all_reduce",
    "all-gather": "all_gather",
    "reduce-scatter": "reduce_scatter",
    "all-to-all": "alltoall",
}
_FRAMEWORKS = {"nccl": "NCCL", "oneccl": "oneCCL", "trtllm": "TensorRT-LLM", "vllm": "vLLM", "sglang": "SGLang"}
#: columns of the package → ours
_NAMES = {
    "batch_size": "batch",
    "num_heads": "heads",
    "num_key_value_heads": "kv_heads",
    "window_size": "window",
    "gemm_dtype": "dtype",
    "kv_cache_dtype": "dtype",
    "quant_dtype": "dtype",
    "nccl_dtype": "dtype",
    "allreduce_dtype": "dtype",
    "num_gpus": "devices",
    "message_size": "elements",
}
#: precision as named there → bits of the operands; others (weight-only, block scales) are not modelled
BITS = {"bfloat16": 16.0, "half": 16.0, "fp8": 8.0, "int8": 8.0, "nvfp4": 4.0}
#: what to do where the tables are asked for and missing
HOW = "the measured kernels are not installed; run: pip install 'accelmodel[silicon]'"
#: copies of the weights that a measurement rotates through, but for vLLM's at 4 bit, which repeats itself on one
#: (L40S: weights above a sixth of L2 turn cold at once)
COPIES = 6.0
#: weights that HBM delivers in less [s] are not told apart from weights in L2
TELLING = 2.5e-6
#: kernels of attention that a framework has beside its own, by a word in ``kernel_source``, the first that is there
KERNELS = {"triton": ", Triton", "trtllm": "", "flashinfer": ", FlashInfer"}
#: what the source of a row ends with whose queries come at 8 bit
NARROW_QUERIES = ", 8-bit queries"
#: heads wider than this run on fall-back kernels
WIDEST = 256
#: least share of a latency that must remain after the quantisation measured alone is taken off it
REMAINING = 0.3
#: share of the shapes that constants may be fitted to
TRAINING = 0.7


def link_of(device: Device) -> str:
    """Return the name of the link over which a device was measured, its own where that says how peers are reached."""
    return SERVERS.get(device.name, device.link)


def installed() -> bool:
    """Return whether the measured tables are there."""
    return importlib.util.find_spec("aiconfigurator_core") is not None


def root() -> Path:
    """Return the folder of measured tables; SpecError that says what to install."""
    found = importlib.util.find_spec("aiconfigurator_core")
    if found is None or not found.submodule_search_locations:
        raise SpecError(HOW)
    return Path(found.submodule_search_locations[0]) / "systems"


def _version(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path.parent.name)]


def versions(device: str, family: str, file: str) -> list[list[tuple[str, Path]]]:
    """Return (source, path) of one kind of table, a list for each framework, its newest version first."""
    if device not in SYSTEMS:
        raise unknown("measured device", device, SYSTEMS)
    found = []
    for framework in sorted((root() / "data" / SYSTEMS[device] / family).glob("*")):
        paths = sorted(framework.glob(f"*/{file}_perf.parquet"), key=_version, reverse=True)
        name = _FRAMEWORKS.get(framework.name, framework.name)
        found.append([(f"{name} {path.parent.name}", path) for path in paths])
    return [each for each in found if each]


def tables(device: str, family: str, file: str) -> list[tuple[str, Path]]:
    """Return (source, path) of one kind of table, the newest version of each framework."""
    return [each[0] for each in versions(device, family, file)]


def joined(parts: list[Any], columns: tuple[str, ...]) -> Any:
    """Return frames one after another, or an empty one with the same columns."""
    import pandas as pd

    blank = pd.DataFrame({name: [] for name in (*columns, "time", "source")})
    return pd.concat(parts, ignore_index=True) if parts else blank


def read(path: Path) -> Any:
    """Return a table with our names of columns and ``time`` [s]."""
    import pandas as pd

    frame = pd.read_parquet(path).rename(columns=_NAMES)
    frame["time"] = frame["latency"] * 1e-3
    return frame


def median(frame: Any, columns: list[str]) -> Any:
    """Return one row for each shape: the median of what was measured more than once."""
    return frame.groupby(columns, as_index=False, sort=True)["time"].median()


def _products(device: str) -> Any:
    """matmuls; where quantising the activations is part of the latency, it is taken off.

    TensorRT-LLM's fp8 rows hold the computing of scales and the scaling, which it also measures alone.
    """
    import pandas as pd

    parts = []
    for source, path in tables(device, "gemm", "gemm"):
        frame = median(read(path), ["dtype", "m", "n", "k"])
        if source.startswith("TensorRT-LLM") and (frame["dtype"] == "fp8").any():
            frame = pd.concat([frame[frame["dtype"] != "fp8"], _without_scaling(device, source, frame)])
        parts.append(frame.assign(source=source))
    return joined(parts, ("dtype", *SHAPES["matmul"]))


def _without_scaling(device: str, source: str, frame: Any) -> Any:
    bare = frame[frame["dtype"] == "fp8"]
    whole = bare["time"].to_numpy()
    for file in ("computescale", "scale_matrix"):
        paths = dict(tables(device, "quantize", file))
        if source not in paths:
            return bare.iloc[:0]
        alone = read(paths[source])
        alone = median(alone[alone["dtype"] == "fp8"], ["m", "k"]).rename(columns={"time": file})
        bare = bare.merge(alone, on=["m", "k"], how="left")
    bare["time"] -= bare["computescale"] + bare["scale_matrix"]
    return bare[bare["time"].to_numpy() > REMAINING * whole][["dtype", "m", "n", "k", "time"]]


def kernel_of(word: str) -> str:
    """Return what a source is called beside its framework for the kernel that ran, nothing if it was its own."""
    return next((name for part, name in KERNELS.items() if part in word), "")


def _attention(device: str, family: str) -> Any:
    """Attention; a framework's kernels are sources of their own, and so are those that get queries at 8 bit."""
    parts = []
    for source, path in tables(device, "attention", f"{family}_attention"):
        frame = read(path)
        frame["context"] = frame["isl"] + (frame["step"] if family == "generation" else 0)
        frame["window"] = frame.get("window", 0)
        frame = frame[frame["head_dim"] <= WIDEST]
        columns = ["dtype", *SHAPES["decode attention"]]
        for (kernel, queries), group in frame.groupby(["kernel_source", "attn_dtype"]):
            narrow = NARROW_QUERIES if BITS.get(queries) == 8.0 else ""
            parts.append(median(group, columns).assign(source=source + kernel_of(kernel) + narrow))
    found = joined(parts, ("dtype", *SHAPES["decode attention"]))
    return median(found, ["dtype", *SHAPES["decode attention"], "source"])


def _quantise(device: str) -> Any:
    parts = [
        median(read(path), ["dtype", "m", "k"]).assign(source=source)
        for source, path in tables(device, "quantize", "scale_matrix")
        if not source.startswith("SGLang")
    ]
    return joined(parts, ("dtype", *SHAPES["quantise"]))


def _collectives(device: str, kind: str) -> Any:
    """Collectives of the makers' libraries; ``elements``: of the input (all-reduce, all-to-all), else of the whole."""
    parts = []
    for source, path in (*tables(device, "comm", "nccl"), *tables(device, "comm", "oneccl")):
        frame = read(path)
        frame = frame[frame["op_name"] == COLLECTIVES[kind]]
        if kind == "all-gather" and source.startswith("oneCCL"):
            # there the size is that of one device's part: it takes as long as a reduce-scatter of so many parts
            frame["elements"] = frame["elements"] * frame["devices"]
        frame = frame.assign(operation=list(COLLECTIVES).index(kind), source=source)
        parts.append(median(frame, ["dtype", *SHAPES[kind], "source"]))
    return joined(parts, ("dtype", *SHAPES[kind]))


def _custom(device: str) -> Any:
    """All-reduces by kernels of serving engines, in a captured graph; devices of one node."""
    parts = []
    for source, path in tables(device, "comm", "custom_allreduce"):
        frame = read(path)
        if "backend" in frame:
            frame = frame[frame["backend"].str.endswith("graph")]
        frame = frame.assign(operation=0, source=source, dtype="bfloat16")
        parts.append(median(frame, ["dtype", *SHAPES["all-reduce"], "source"]))
    return joined(parts, ("dtype", *SHAPES["custom all-reduce"]))


_READERS: dict[str, Callable[[str], Any]] = {
    "matmul": _products,
    "prefill attention": lambda device: _attention(device, "context"),
    "decode attention": lambda device: _attention(device, "generation"),
    "quantise": _quantise,
    **{kind: partial(_collectives, kind=kind) for kind in COLLECTIVES},
    "custom all-reduce": _custom,
}


def copies(frame: Any) -> Any:
    """Return through how many copies of the weights the measurement of each matmul went in turn."""
    alone = frame["source"].str.startswith("vLLM") & (frame["bits"] == 4.0)
    return np.where(alone, 1.0, COPIES)


def impossible(kind: str, frame: Any, device: Device) -> Any:
    """Return where a row is faster than the device's peaks allow, or tells nothing of HBM.

    Matmuls: more FLOP/s than the dense peak; weights faster than HBM's peak; weights of which all
    copies fit L2 although HBM would take longer than ``TELLING`` for them.  Attention: FLOP/s likewise; a KV
    cache beyond four times L2 that came faster than HBM's peak.  Collectives: more bus bandwidth than the link has.
    """
    if kind == "matmul":
        peak = dense_peaks(device.compute, frame["bits"])
        weights = frame["n"] * frame["k"] * frame["bits"] / 8.0
        held = copies(frame) * weights <= device.l2.capacity
        from_memory = weights / device.hbm.bandwidth
        too_fast = 2.0 * frame["m"] * frame["n"] * frame["k"] / peak > frame["time"]
        return too_fast | (held & (from_memory > TELLING)) | (~held & (from_memory > frame["time"]))
    if kind == "decode attention":
        read = np.minimum(frame["context"], np.where(frame["window"] > 0, frame["window"], np.inf))
        cache = 2.0 * frame["batch"] * frame["kv_heads"] * frame["head_dim"] * read * frame["bits"] / 8.0
        return (cache > 4.0 * device.l2.capacity) & (cache / device.hbm.bandwidth > frame["time"])
    if kind == "prefill attention":
        reach = np.minimum(frame["context"], np.where(frame["window"] > 0, frame["window"], np.inf))
        pairs = reach * (reach + 1.0) / 2.0 + reach * (frame["context"] - reach)
        flops = 4.0 * frame["batch"] * frame["heads"] * frame["head_dim"] * pairs
        return flops / device.compute.peak_16bit > frame["time"]
    if "elements" in frame:
        # bus bandwidth: what each device must send at least, over the time
        sent = np.where(frame["operation"] == 0, 2.0, 1.0) * (1.0 - 1.0 / frame["devices"])
        return sent * frame["elements"] * frame["bits"] / 8.0 / frame["time"] > load("link", link_of(device)).bandwidth
    return frame["time"] <= 0.0


def windowed(frame: Any) -> Any:
    """Return which rows are of attention with a sliding window."""
    return frame["window"] > 0 if "window" in frame else np.zeros(len(frame), dtype=bool)


def training(frame: Any, kind: str) -> Any:
    """Return which rows may be fitted: a hash of the shape, the same on every machine, takes 70 % of the shapes.

    The hash is splitmix64 (Steele, Lea and Flood, OOPSLA 2014) over the shape columns of the kind, so that a shape
    is on the same side for every device, precision and source.
    """
    return hashed(*(frame[column] for column in SHAPES[kind])) < TRAINING


def sampled(frame: Any, columns: tuple[str, ...], most: int) -> Any:
    """Return at most so many rows, those of smallest hash of some columns; not the hash that says what is fitted."""
    return frame.iloc[np.argsort(hashed(*(frame[name] for name in columns), np.ones(len(frame))))[:most]]


def hashed(*columns: Any) -> Any:
    """Return a number in [0, 1) for each row of some integer columns, that depends on nothing else."""
    state = np.zeros(len(columns[0]), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for column in columns:
            state = state ^ np.asarray(column).astype(np.int64).view(np.uint64)
            state = state + np.uint64(0x9E3779B97F4A7C15)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(11)).astype(float) / 2.0**53


@cache
def rows(device: Device, kind: str) -> tuple[pd.DataFrame, int]:
    """Return the measured rows of a device and kind of operator, and how many were left out.

    Parameters
    ----------
    device : Device
        One of ``SYSTEMS`` by name.
    kind : str
        A key of ``SHAPES``.

    Returns
    -------
    tuple
        Frame with the shape columns, ``bits``, ``dtype``, ``source``, ``time`` [s]; and a number of rows.

    Raises
    ------
    SpecError
        If the package is not installed, or there is no such device or kind.
    """
    if kind not in SHAPES:
        raise unknown("kind of measured operator", kind, SHAPES)
    frame = _READERS[kind](device.name)
    frame = frame[frame["dtype"].isin(BITS)]
    frame = frame.assign(bits=frame["dtype"].map(BITS))
    if "devices" in frame:
        frame = frame[frame["devices"] <= load("link", link_of(device)).devices]
    if frame.empty:
        return frame.reset_index(drop=True), 0
    bad = np.asarray(impossible(kind, frame, device))
    return frame[~bad].reset_index(drop=True), int(bad.sum())
