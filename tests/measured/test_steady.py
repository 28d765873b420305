"""Whole batches and offline runs that others measured: how they are read."""

from __future__ import annotations

import pytest

from accelmodel.measured.steady import batches, model_of, offline
from accelmodel.specs import facts
from accelmodel.specs.load import available


def test_every_row_is_of_a_shipped_device_and_engine():
    for frame in (batches(), offline()):
        assert set(frame["device"]) <= set(available("device"))
        assert set(frame["engine"]) <= set(available("engine"))
        for name in set(frame["model"]):
            assert model_of(name).layers > 0


def test_a_whole_batch_by_hand():
    """Of the first table of TensorRT-LLM: 768 answers of 128 tokens at 19,694 tokens/s."""
    found = batches()
    row = found[(found["origin"] == "TensorRT-LLM 0.6") & (found["batch"] == 768)].iloc[0]
    assert (row["model"], row["device"], row["tp"], row["prompt"]) == ("7b", "h100-sxm", 1, 128)
    assert row["time"] == pytest.approx(768 * 128 / 19694)
    on_four = found[(found["device"] == "a100-sxm-80gb") & (found["batch"] == 1280)].iloc[0]
    assert on_four["time"] == pytest.approx(1280 * 128 / (4 * 670))


def test_no_batch_reads_the_weights_faster_than_memory_allows():
    found = batches()
    found = found[found["origin"] == "LLM-Inference-Bench"]
    assert len(found) == 419
    weights = {"llama-3-70b": 139e9, "qwen2-72b": 143e9}
    for name, held in weights.items():
        rows = found[found["model"] == name]
        assert (rows["time"] > rows["answer"] * held / rows["tp"] / 3.35e12).all()


def test_seven_of_ten_rows_are_fitted_to():
    assert 0.6 < batches()["training"].mean() < 0.8


def test_sources_of_tables_are_known():
    for name, table in (("argonne", "batch"), ("mlperf", "offline"), ("tensorrt-llm", "static")):
        content, _ = facts.read_toml(facts.root() / "published" / f"{name}.toml")
        assert {row["source"] for row in content[table]} <= set(facts.sources())
