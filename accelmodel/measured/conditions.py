"""Conditions under which others measured, as the laws must meet them: what lay in L2, and what else was timed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.inference import operator_time
from accelmodel.inference.intervals import fitted_maker
from accelmodel.inference.kernel_library import library_times
from accelmodel.laws.l2cache import resident_share
from accelmodel.measured import aiconfigurator
from accelmodel.specs.cloud import KernelLibrary
from accelmodel.specs.given import override
from accelmodel.specs.hardware import Cluster, Device
from accelmodel.specs.load import available, load

if TYPE_CHECKING:
    import pandas as pd


#: word in a source → what its kernels do otherwise than those that were fitted; 1,000 keys and values a
#: clock are no bound
OTHERWISE: dict[str, dict[str, float]] = {
    "TensorRT-LLM": {"attention.widen_width": 1000.0, "attention.apart": 0.0},
    "FlashInfer|Triton": {"attention.apart": 0.0},
}
#: rows of each source of attention that an interval is read off
TOLD = 2000
#: vector operations per element that is rounded to 8 bit
ROUNDING_OPS = 3.0
#: share of the bandwidth at which new keys and values go to the paged cache (prefill of vLLM: 0.4 on H100 and B200,
#: 0.65 on A100, 0.8 on L40S)
WRITING = 0.6


def held(touched: Any, device: Device) -> Any:
    """Return the share of bytes that a measurement finds in L2 which touches as many [B] time after time."""
    # a table repeats a few sizes: each is looked at once
    sizes, places = np.unique(np.asarray(touched, dtype=float), return_inverse=True)
    shares = np.vectorize(resident_share, otypes=[float])
    return shares(sizes, float(device.l2.capacity * device.l2.usable), float(device.l2.ways))[places]


def writing(size: Any, found: Any, device: Device) -> Any:
    """Return the time to write ``size`` bytes to the paged cache, of which a share is found in L2 [s]."""
    pace = found / device.l2.bandwidth + (1.0 - found) / (device.hbm.bandwidth * device.hbm.share)
    return np.asarray(size, dtype=float) * pace / WRITING


def cache_write(frame: pd.DataFrame, found: Any, device: Device) -> Any:
    """Return the time in which new keys and values go to the paged cache before attention is computed [s].

    The measured calls of prefill begin with it; those of TensorRT-LLM rotate the queries too.  ``found`` is the share
    of their bytes that lies in L2.
    """
    width = frame["batch"] * frame["head_dim"] * frame["context"]
    rotated = frame["source"].str.startswith("TensorRT-LLM") * frame["heads"] * 4.0
    return writing(width * (2.0 * frame["kv_heads"] * (2.0 + frame["bits"] / 8.0) + rotated), found, device)


def of_each_source(kind: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return as many rows of each source and precision of attention, windows among them.

    Nobody says whose kernels compute attention, so that all count in an interval; but Triton's, which are the choice of
    those who have no others.
    """
    ours = frame[~frame["source"].str.contains("Triton")]
    shape = aiconfigurator.SHAPES[kind]
    parts = [aiconfigurator.sampled(group, shape, TOLD) for _, group in ours.groupby(["source", "bits"])]
    return aiconfigurator.joined(parts, ("bits", *shape))


def attention_times(frame: pd.DataFrame, given: operator_time.Columns, chip: Cluster) -> Any:
    """Return the times of attention by the kernels of its source [s]; axes of the cluster follow the rows.

    Those of TensorRT-LLM for queries of several heads take keys of 8 bit as they lie (XQA), and no head of a window
    apart; nor do FlashInfer and Triton.
    """
    times, _ = operator_time.time_columns(given, chip)
    several = frame["heads"] > frame["kv_heads"]
    for word, changes in OTHERWISE.items():
        place = np.nonzero((frame["source"].str.contains(word) & several).to_numpy())[0]
        if not len(place):
            continue
        plain = replace(chip, device=override(chip.device, changes))
        rows = {name: value[place] if np.ndim(value) else value for name, value in given.items()}
        times[place] = operator_time.time_columns(rows, plain)[0]
    return times


def beside_attention(kind: str, frame: pd.DataFrame, found: Any, chip: Cluster) -> Any:
    """Return the time of small kernels that the measured calls of attention begin with [s]; axes follow the rows.

    TensorRT-LLM rotates queries and writes the cache in one, in decode on Blackwell alone: elsewhere the kernel of
    attention does.  Before a cache of 8 bit is written or read others round to it, each tensor by a kernel.  ``found``
    is the share of their bytes that lies in L2.
    """
    decode, generation = kind.startswith("decode"), chip.device.architecture
    tensorrt = frame["source"].str.startswith("TensorRT-LLM").to_numpy() & (not decode or generation == "Blackwell")
    times, _ = operator_time.time_columns(operator_time.pointwise(tensorrt * 1.0, 0.0, 0.0, 0.0), chip)
    rows = (slice(None), *[None] * (times.ndim - 1))
    times = times * tensorrt[rows]
    new = (frame["batch"] * frame["head_dim"]).to_numpy(dtype=float) * (1.0 if decode else frame["context"].to_numpy())
    narrow = frame["bits"].to_numpy() < 16.0
    for heads, own in zip(("heads", "kv_heads", "kv_heads"), _rounded(frame, decode, generation), strict=True):
        each, _ = operator_time.time_columns(
            {**operator_time.pointwise(new * frame[heads].to_numpy(), ROUNDING_OPS, 2.0, 1.0), "warm": found}, chip
        )
        times = times + each * (own & narrow)[rows]
    return times


def _rounded(frame: pd.DataFrame, decode: bool, generation: str) -> tuple[Any, Any, Any]:
    """Return for which rows queries, keys and values are rounded by kernels of their own.

    vLLM rounds queries where kernels take them at 8 bit, in decode of TensorRT-LLM's (Blackwell) with attention itself;
    SGLang rounds all three unless FlashAttention-3 gets them at 8 bit.
    """
    source = frame["source"]
    foreign = source.str.contains("FlashInfer|Triton")
    vllm = source.str.startswith("vLLM") & ~foreign & (not decode or generation == "Hopper")
    sglang = source.str.startswith("SGLang") & ~(source.str.endswith("8-bit queries") & (generation == "Hopper"))
    return (vllm | sglang).to_numpy(), sglang.to_numpy(), sglang.to_numpy()


def attention_warmth(given: operator_time.Columns, device: Device) -> Any:
    """Return the share of its bytes that attention finds in L2 where a measurement repeats it on the same data."""
    return held(
        sum(np.asarray(given[name], dtype=float) for name in ("weight_bytes", "input_bytes", "output_bytes")), device
    )


def matmul_warmth(frame: pd.DataFrame, given: operator_time.Columns, device: Device) -> Any:
    """Return the share of a matmul's HBM traffic that lies in L2 where a measurement goes round copies of the weights.

    As long as all copies fit, the weights are found there; activations that fit are never in HBM anyway.
    """
    weights = np.asarray(given["weight_bytes"], dtype=float)
    activations = np.asarray(given["input_bytes"] + given["output_bytes"], dtype=float)
    copies = float(device.l2.copies)
    cold = activations * (1.0 - held(activations * copies, device))
    return held(aiconfigurator.copies(frame) * weights * copies, device) * weights / (weights + cold)


def library_of(source: str, bits: float) -> KernelLibrary | None:
    """Return whose kernels ran the matmuls of a source at a precision, None if the best library's."""
    for name in available("library"):
        library: KernelLibrary = load("library", name)
        ours = source.startswith(library.framework) and bits == library.bits
        if ours and library.matrix_factor and not library.weights:
            return library
    return None


def matmul_times(frame: pd.DataFrame, given: operator_time.Columns, chip: Cluster) -> Any:
    """Return the times of measured matmuls as they were measured.

    Parameters
    ----------
    frame : DataFrame
        ``m``, ``n``, ``k``, ``bits`` and ``source``.
    given : mapping
        The columns of ``operator_time.matmul`` for these rows.
    chip : Cluster
        Its axes follow the rows.

    Returns
    -------
    ndarray (row, *axes of the cluster)
        Times [s], each by the kernels of its source; those of a framework's own hold their quantisation.
    """
    warm = matmul_warmth(frame, given, chip.device)
    found, _ = operator_time.time_columns({**given, "warm": warm}, chip)
    for (source, bits), group in frame.assign(place=np.arange(len(frame))).groupby(["source", "bits"]):
        own, library = group["place"].to_numpy(), library_of(source, bits)
        # a framework calls its kernels for GPUs of one maker, and the maker's own library elsewhere
        if library is not None and fitted_maker(chip.device.vendor):
            m, n, k = (group[name].to_numpy(dtype=float) for name in aiconfigurator.SHAPES["matmul"])
            found[own] = library_times(m, n, k, library, chip, warm[own])
    return found
