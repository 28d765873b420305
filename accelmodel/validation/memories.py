"""Claims of chips without HBM, of CPUs, and of second memories: nothing of the model was fitted to any of them."""

from __future__ import annotations

import bisect
from functools import cache

from accelmodel.inference.placement import fits
from accelmodel.inference.step import time_step
from accelmodel.specs.given import cluster, override, workload
from accelmodel.specs.hardware import Device
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.load import load

_BITS_16 = {"weight_bits": 16.0, "activation_bits": 16.0, "kv_bits": 16.0}
_BITS_8 = dict.fromkeys(_BITS_16, 8.0)
#: batches that are tried: a memory holds the largest that fits
_MOST = 2**16
_CONTEXT = 16384.0
#: models of 8 to 33 billion parameters, whose weights fit a GPU of 80 GB
_MODELS = ("llama-3-8b", "longalpaca-13b", "opt-30b", "qwen2.5-32b")


def _rate(model: LanguageModel, device: Device, devices: int, batch: float, **work: float) -> float:
    asked = workload(phase="decode", batch=batch, **work)
    return float(time_step(model, cluster(device, devices=devices), asked).tokens_per_s)


def one_user(device: str, size: str) -> float:
    """Return the tokens per second of one user in decode steps, as a maker or a benchmark ran them [token/s]."""
    if device == "groq-lpu":
        model = override(load("model", "llama-3-70b"), vocabulary=32000.0)
        return _rate(model, load("device", device), 576, 1.0, context=4096.0, tp=16.0, pp=36.0, **_BITS_8)
    if device == "epyc-9554":
        narrow = {**_BITS_16, "weight_bits": 8.5}
        return _rate(load("model", "phi-3-medium"), load("device", device), 1, 1.0, context=2048.0, **narrow)
    wafers = {"8b": 1, "70b": 4}[size]
    model = load("model", f"llama-3.1-{size}")
    return _rate(model, load("device", device), wafers, 1.0, context=2048.0, pp=float(wafers), **_BITS_16)


@cache
def largest_batch(device: str, name: str = "llama-3-8b") -> float:
    """Return how many sequences of a model at 16,384 tokens the memories of a device hold [1]."""
    model, chip = load("model", name), load("device", device)

    def too_many(batch: int) -> bool:
        return not float(fits(model, chip, workload(phase="decode", batch=batch, context=_CONTEXT, **_BITS_16)))

    return float(bisect.bisect_left(range(1, _MOST), True, key=too_many))


def throughput(device: str, other: str) -> float:
    """Return up to how many times the throughput of another device one has, the memory of each full [1].

    The largest over models whose weights fit beside: the heavier they are, the more a batch shares of reading them.
    """
    return max(
        _rate(load("model", name), load("device", device), 1, largest_batch(device, name), context=_CONTEXT, **_BITS_16)
        / _rate(load("model", name), load("device", other), 1, largest_batch(other, name), context=_CONTEXT, **_BITS_16)
        for name in _MODELS
    )


def quantity(name: str) -> float:
    """Return the quantity of a claim by its name, such as ``one_user.wse-3.8b``."""
    what, device, other = name.split(".", 2)
    if what == "batch":
        return largest_batch(device) / largest_batch(other)
    return {"one_user": one_user, "throughput": throughput}[what](device, other)
