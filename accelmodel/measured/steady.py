"""Measured whole batches and offline throughput: what others read of engines at full load, without queues.

Tables ``[[batch]]``, ``[[static]]`` and ``[[offline]]`` of ``hwspecs/published``, a row for each measurement.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.measured import aiconfigurator
from accelmodel.specs import facts
from accelmodel.specs.given import override
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.load import load

if TYPE_CHECKING:
    import pandas as pd

#: model of a table → ours, and the vocabulary that it has instead
_NAMES = {"7b": ("longalpaca-7b", 0.0), "70b": ("llama-3-70b", 32000.0)}
#: columns that tell a server
SERVER = ["model", "device", "tp", "bits"]
_SHAPE = ("tp", "bits", "batch", "prompt", "answer")


def model_of(name: str) -> LanguageModel:
    """Return the model that a row names.

    Examples
    --------
    >>> model_of("70b").vocabulary
    32000.0
    """
    ours, vocabulary = _NAMES.get(name, (name, 0.0))
    model = load("model", ours)
    return override(model, vocabulary=vocabulary) if vocabulary else model


def _tables(file: str, table: str) -> list[dict[str, Any]]:
    content, _ = facts.read_toml(facts.root() / "published" / f"{file}.toml")
    found: list[dict[str, Any]] = content[table]
    return found


def _argonne() -> list[dict[str, Any]]:
    return [
        {**{name: each[name] for name in ("engine", "device", "bits", "model", "tp")},
         "batch": batch, "prompt": tokens, "answer": tokens, "time": latency, "origin": "LLM-Inference-Bench"}
        for each in _tables("argonne", "batch")
        for tokens, batch, latency in zip(each["tokens"], each["batch"], each["latency_s"], strict=True)
    ]  # fmt: skip


def _tensorrt_llm() -> list[dict[str, Any]]:
    names = ("model", "tp", "batch", "input", "output", "tokens_per_s")
    return [
        {"engine": "tensorrt-llm", "device": each["device"], "bits": each["bits"], "model": model, "tp": tp,
         "batch": batch, "prompt": prompt, "answer": answer, "time": batch * answer / rate,
         "origin": "TensorRT-LLM 0.6"}
        for each in _tables("tensorrt-llm", "static")
        for model, tp, batch, prompt, answer, rate in zip(*(each[name] for name in names), strict=True)
    ]  # fmt: skip


def batches() -> pd.DataFrame:
    """Return whole batches: all prompts at once, then all answers, alone on a server.

    Returns
    -------
    DataFrame
        ``engine`` (a file of engines), ``origin``, ``model`` (as ``model_of`` takes), ``device``, ``tp``, ``bits``,
        ``batch``, ``prompt`` and ``answer`` [token], ``time`` of all of it [s], ``training`` (70 % by hash).

    Examples
    --------
    >>> sorted(batches().engine.unique())
    ['tensorrt-llm', 'vllm']
    """
    import pandas as pd

    frame = pd.DataFrame([*_argonne(), *_tensorrt_llm()])
    words = frame["model"] + frame["device"] + frame["engine"]
    codes = np.array([zlib.crc32(word.encode()) for word in words])
    frame["training"] = aiconfigurator.hashed(codes, *(frame[name] for name in _SHAPE)) < 0.7
    return frame


def offline() -> pd.DataFrame:
    """Return offline throughput, to which nothing is fitted.

    Returns
    -------
    DataFrame
        As ``batches``, with ``devices`` of the whole system, ``system`` and ``tokens_per_s`` of output [token/s].
    """
    import pandas as pd

    names = ("device", "devices", "bits", "tp", "system", "tokens_per_s", "engine")
    return pd.DataFrame(
        [
            {**dict(zip(names, row, strict=True)), "model": "70b", "prompt": each["input"], "answer": each["output"]}
            for each in _tables("mlperf", "offline")
            for row in zip(*(each[name] for name in names), strict=True)
        ]
    )
