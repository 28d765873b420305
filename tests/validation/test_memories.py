"""What claims of second memories are held against."""

from __future__ import annotations

import pytest

from accelmodel.validation import memories


@pytest.mark.parametrize(("device", "sequences"), [("dimm-pim-a100", 238.0), ("hbm-pim-a100", 13.0)])
def test_a_second_memory_holds_as_many_sequences_as_its_size_says(device, sequences):
    """16,384 tokens of 128 KiB are 2.147 GB: 238 of them in 512 GB, 13 in 30 GB."""
    assert memories.largest_batch(device) == sequences
