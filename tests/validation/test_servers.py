"""Whole servers: rules of the host, fits, and predictions by hand on servers of constant steps."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from accelmodel.laws.kernels.batching import Times
from accelmodel.validation import servers
from accelmodel.validation.servers import Host, fit, predict_handed_over, rules

#: DeepSeek of 8 bit on four B200
ROW = SimpleNamespace(
    engine="trtllm 1.2.0", model="deepseek-v3", device="b200-sxm", bits=8.0, tp=4.0, ep=1.0, users=32, prompt=8192,
    answer=1024, public=True, layers=61, kv=8.0, drawn=True,
)  # fmt: skip


def changed(**fields):
    return SimpleNamespace(**{**vars(ROW), **fields})


def test_the_host_is_part_of_the_rules():
    told = rules(changed(room=1e6), Host(1e-5, 2e-5, 0.01, 1e-6))
    assert told[4:7] == pytest.approx((61e-5, 2e-5, 0.0))
    assert (told.entry, told.entry_token, told.poll, told.max_num_batched_tokens) == (0.01, 1e-6, 0, 8320)


def test_fit_finds_the_times_of_layers_and_sequences():
    frame = pd.DataFrame({"layers": [32, 32, 80, 80], "users": [1, 64, 1, 64]})
    bare = np.array([0.01, 0.02, 0.03, 0.04])
    frame["tpot"] = bare + 3e-5 * frame["layers"] + 2e-5 * frame["users"]
    assert fit(frame, bare) == pytest.approx((3e-5, 2e-5), rel=1e-3)


def test_disaggregated_point_by_hand(monkeypatch):
    """Every step takes 10 ms and 61 layers of 0.1 ms; 5 ms before the queue; a decode sequence 1 ms.

    Two users, one prefill worker: the first of each wait for 5 + 16.1 and 5 + 32.2 ms; each has a decode worker.
    """
    flat = Times(np.full(20, 0.01), np.zeros((12, 20)), np.zeros((20, 20)))
    monkeypatch.setattr(servers, "_tables", lambda *_: flat)
    monkeypatch.setattr(servers, "ROUNDS", 1)
    row = {**vars(ROW), "public": False, "drawn": False, "users": 2, "answer": 11, "workers": 1, "decode_workers": 2}
    frame = pd.DataFrame([{**row, "decode_tp": 8.0, "decode_ep": 1.0}])
    first, between = predict_handed_over(frame, {ROW.engine: Host(1e-4, 1e-3, 0.005)})
    assert first[0] == pytest.approx(0.005 + 0.0161 * 1.5)
    assert between[0] == pytest.approx(0.0171)
    assert predict_handed_over(frame, {})[1][0] == pytest.approx(0.01)
