"""Quantities of published claims about experts: exchanges alone, and deployments of DeepSeek-V3."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from accelmodel.inference.kernel_library import on_library
from accelmodel.inference.operator_time import time_columns
from accelmodel.inference.step import evaluate, prepare
from accelmodel.laws.exchange import EXCHANGES
from accelmodel.laws.types import EXCHANGE
from accelmodel.specs.given import cluster, workload
from accelmodel.specs.load import load

#: DeepSeek-V3: width of its stream, experts, those of a token; bytes of an element there, with scales, and back
HIDDEN, EXPERTS, USED = 7168.0, 256.0, 8.0
WIDTHS = {"dispatch": 1.0 + 4.0 / 128.0, "combine": 2.0}
#: tokens of a device in DeepEP's benchmarks
TOKENS = {"low-latency": 128.0, "network": 128.0, "normal": 4096.0}
#: imbalance at which the prefill of LMSYS loses to its balanced one what it lost: 59.0 over 50.3 k tokens/s
LMSYS_IMBALANCE = 1.38
#: LMSYS's prefill and decode on H100: devices of an expert-parallel group, prompts or sequences on each, tokens
_LMSYS: dict[str, dict[str, Any]] = {
    "prefill": {"phase": "prefill", "batch": 4.0 * 32.0, "context": 4096.0, "dp": 32.0, "ep": 32.0},
    "decode": {"phase": "decode", "batch": 256.0 * 72.0, "context": 2000.0, "dp": 72.0, "ep": 72.0, "exchange": 3.0},
}
#: whose kernels both ran, and DeepSeek
KERNELS = "deepgemm-8bit"
#: redundant experts of both
_REDUNDANT = 32.0


@cache
def exchange_time(kernels: str, way: str, ranks: float) -> float:
    """Return the time of an exchange of DeepEP's benchmarks on H800 [s].

    Normal kernels over several nodes choose experts out of four of eight groups, else they are chosen out of all.
    """
    grouped = kernels == "normal" and ranks > 8.0
    columns = {
        "kind": EXCHANGE + list(EXCHANGES).index(kernels),
        "message_bytes": TOKENS[kernels] * USED * HIDDEN * WIDTHS[way],
        "ranks": ranks,
        "n": EXPERTS,
        "k": USED,
        "groups": 8.0 if grouped else 1.0,
        "m": 4.0 if grouped else 1.0,
    }
    times, _ = time_columns(columns, cluster("h800-sxm", ranks))
    return float(np.asarray(times).flat[0])


def deepep(name: str) -> float:
    """Return the time of ``deepep.KERNELS.WAY.RANKS`` [s]."""
    _, kernels, way, ranks = name.split(".")
    return exchange_time(kernels, way, float(ranks))


@cache
def _throughput(phase: str, two_batch: float, imbalance: float, device: str = "h100-sxm") -> float:
    """Return the tokens that a node of LMSYS's deployment takes or gives in a second [token/s]."""
    work = workload(
        **_LMSYS[phase], redundant_experts=_REDUNDANT, two_batch=two_batch, imbalance=imbalance, kv_bits=16.0
    )
    devices = float(_LMSYS[phase]["dp"])
    inputs = prepare(load("model", "deepseek-v3"), cluster(device, devices), work)
    result = evaluate(on_library(inputs, load("library", KERNELS)))
    return float(result["tokens_per_s"]) / devices * 8.0


def lmsys(name: str) -> float:
    """Return the throughput of a node [token/s], or the gain of two batches that take turns [1]."""
    what = name.partition(".")[2]
    if what == "two_batch":
        return _throughput("prefill", 1.0, 1.0) / _throughput("prefill", 0.0, 1.0)
    if what == "profile":
        return _throughput("prefill", 1.0, 1.0, "h800-sxm")
    if what == "balanced":
        return _throughput("prefill", 1.0, 1.0)
    if what == "balance":
        return _throughput("prefill", 1.0, 1.0) / _throughput("prefill", 1.0, LMSYS_IMBALANCE)
    return _throughput(what, 1.0, LMSYS_IMBALANCE)
