"""Rows of experts in tiles: by hand, against drawn routings, and against tiles counted one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelmodel.inference.padding import in_tiles, padded_rows, tile_rows


def test_tiles_by_hand():
    # one token of each expert: tiles of 16 rows; 16 on average: a tile of 16, and a second for those above it
    assert padded_rows(1.0, 1.0, 1 / 256) == pytest.approx(16.0, abs=1e-6)
    assert [float(tile_rows(rows)) for rows in (0.1, 16.0, 16.1, 128.0, 129.0)] == [16.0, 16.0, 32.0, 128.0, 128.0]
    # many: an expert's last tile of 128 rows is half full, (128 - 1) / 2 rows more
    assert padded_rows(16384.0, 1.0, 8 / 256) == pytest.approx(16384.0 + 63.5, rel=1e-12)
    # 192 of 1 in 1,000: nearly all lie between 128 and 256
    assert padded_rows(192.0, 1.0, 1e-3) == pytest.approx(256.0, rel=1e-3)


@pytest.mark.parametrize(("tokens", "used", "experts"), [
    (32, 8, 256), (128, 8, 256), (512, 8, 256), (2048, 8, 256), (4096, 8, 256), (65536, 8, 256), (512, 2, 8),
    (64, 4, 128),
])  # fmt: skip
def test_against_drawn_routings(tokens, used, experts):
    """Tokens that choose their experts at random, all different."""
    rng = np.random.default_rng(tokens)
    loads = np.concatenate([
        np.bincount(np.argsort(rng.random((tokens, experts)), axis=1)[:, :used].ravel(), minlength=experts)
        for _ in range(1 if tokens > 10_000 else 20)
    ])  # fmt: skip
    drawn = loads[loads > 0]
    share = 1.0 - (1.0 - used / experts) ** tokens
    mean = tokens * used / experts / share
    tile = float(tile_rows(mean))
    expected = tile * np.ceil(drawn / tile).mean()
    assert float(padded_rows(mean, share, used / experts)) == pytest.approx(expected, rel=0.03)


@given(st.floats(0.5, 1e5), st.floats(1e-4, 0.5))
def test_tiles_hold_all_rows_and_at_most_one_tile_more_on_average(mean, chance):
    share = 1.0 - (1.0 - chance) ** (mean / chance)
    mean = max(mean / share, 1.0)
    rows, tile = float(padded_rows(mean, share, chance)), float(tile_rows(mean))
    assert rows >= mean * (1 - 2e-3)
    assert rows <= mean + tile


@given(st.floats(1.0, 1e4), st.floats(1.0, 1.9), st.floats(1.0, 64.0))
def test_tiles_hold_all_padded_rows(mean, more, groups):
    found = in_tiles(groups, mean, mean * more)
    assert found["groups"] * found["m"] == pytest.approx(groups * mean * more)
    assert float(found["m"]) in (16.0, 32.0, 64.0, 128.0)


def test_few_tokens_fill_the_smallest_tile_of_each_expert():
    found = in_tiles(8.0, 3.0, padded_rows(3.0, 1.0, 1 / 256))
    assert found["m"] == 16.0
    assert found["groups"] == pytest.approx(8.0, rel=1e-6)
