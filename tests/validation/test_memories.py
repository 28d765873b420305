"""What claims of second memories are held against."""

from __future__ import annotations

import pytest

from accelmodel.validation import memories


@pytest.mark.parametrize(("device", "sequences"), [("dimm-pim-a100", 238.0), ("hbm-pim-a100", 13.0)])
def test_a_second_memory_holds_as_many_sequences_as_its_size_says(device, sequences):
    """16,384 tokens of 128 KiB are 2.147 GB: 238 of them in 512 GB, 13 in 30 GB."""
    assert memories.largest_batch(device) == sequences


def test_up_to_is_the_largest_over_models(warm, monkeypatch):
    every = memories.throughput("dimm-pim-a100", "hbm-pim-a100")
    monkeypatch.setattr(memories, "_MODELS", ("llama-3-8b",))
    light = memories.throughput("dimm-pim-a100", "hbm-pim-a100")
    # a memory 18 times as large gains less than that, and more where weights are heavy
    assert 1.0 < light < every < 18.0
