"""Measured servers: how engines are started, what room they leave, how points are read."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from accelmodel.measured import aiconfigurator
from accelmodel.measured.servers import Launch, handed_over, launch, points, room

needs_points = pytest.mark.skipif(not aiconfigurator.installed(), reason="aiconfigurator-core is not installed")
#: DeepSeek of 8 bit on four B200
ROW = SimpleNamespace(
    engine="trtllm 1.2.0", model="deepseek-v3", device="b200-sxm", bits=8.0, tp=4.0, ep=1.0, users=32, prompt=8192,
    answer=1024, public=True, layers=61, kv=8.0, drawn=True,
)  # fmt: skip


def changed(**fields):
    return SimpleNamespace(**{**vars(ROW), **fields})


def test_engines_are_started_as_the_scripts_do():
    assert launch(ROW) == Launch(8320, 1.0, 0.75)  # 32 + 8192 + 64 = 8288, up to a multiple of 64
    assert launch(changed(prompt=1024, users=64)) == Launch(8192, 1.0, 0.8, gather=40)
    assert launch(changed(engine="sglang 0.5")) == Launch(8192, 0.95, apart=True, poll=10)
    assert launch(changed(engine="sglang 0.5", tp=8.0)) == Launch(32768, 0.82, apart=True, poll=30)
    assert launch(changed(engine="sglang 0.5", bits=4.0, users=8)) == Launch(16384, 0.85, apart=True, poll=10)
    assert launch(changed(engine="vllm 0.12.0", public=False, drawn=False)) == Launch(2048)
    llama = changed(model="llama-3.1-70b", prompt=1024)
    assert (launch(llama).gather, launch(changed(**{**vars(llama), "tp": 8.0})).gather) == (20, 0)


def test_room_of_deepseek_on_four_b200():
    """671 G weights of a byte, of which 168 to 170 GB on each of four; 193.3 GB of memory; 35,136 B for a token.

    Of what is left TensorRT-LLM takes 75 %: 510 to 540 thousand tokens; SGLang takes 95 % of all memory: 390 to 450.
    """
    assert 0.75 * (193.27e9 - 170e9) / 35136 < room(ROW) < 0.75 * (193.28e9 - 168e9) / 35136
    assert (0.95 * 193.27e9 - 170e9) / 35136 < room(changed(engine="sglang 0.5")) < (0.95 * 193.28e9 - 168e9) / 35136
    assert room(changed(device="h100-sxm")) == 0.0


@needs_points
def test_points_fit_one_server():
    found = points()
    assert found["tp"].max() <= 8.0
    assert (found["room"] >= found["prompt"] + found["answer"]).all()
    assert 0.65 < found["training"].mean() < 0.75
    assert (found.loc[found["model"] == "gpt-oss-120b", "bits"] == 4.0).all()


@needs_points
def test_disaggregated_points_tell_their_workers():
    found = handed_over()
    assert len(found) == 64
    assert (found[["workers", "decode_workers", "users"]] >= 1).all(axis=None)
    assert set(found["kind"]) == {"dense", "moe"}
