"""What follows from other numbers of a data sheet: by hand, and what a nearer file may say instead."""

from __future__ import annotations

import numpy as np
import pytest

import accelmodel as am

SHEET = """[default]
kind = "datasheet"
source = "sheet"
locator = "page 1"
[sources.sheet]
title = "a data sheet"
[device]
architecture = "hopper"
power = {{ value = {power}, unit = "W" }}
[compute]
cores = 100
clock = {{ value = 1.5, unit = "GHz" }}
peak_16bit = {{ value = 600, unit = "TFLOP/s" }}
{more}
[hbm]
bandwidth = {{ value = 2, unit = "TB/s" }}
capacity = {{ value = 80, unit = "GiB" }}
[l2]
capacity = {{ value = 50, unit = "MB" }}
bandwidth = {{ value = 6, unit = "TB/s" }}
"""


@pytest.fixture
def chip(tmp_path):
    def made(power: float, more: str = ""):
        path = tmp_path / "chip.toml"
        path.write_text(SHEET.format(power=power, more=more), encoding="utf-8")
        return am.load("device", str(path))

    return made


def test_a_chip_whose_power_is_ample_reaches_what_kernels_reach(chip):
    assert chip(2000).compute.matrix_share == pytest.approx(0.95, rel=1e-12)


def test_a_chip_whose_power_is_short_sustains_the_clock_that_it_leaves(chip):
    """At a share f of the clock the product draws (e f^2 + moved) R f beside power at rest, which is the limit."""
    found = chip(300)
    clock = found.compute.matrix_share / 0.95
    assert 0.6 < clock < 0.95
    tiles = 2.0 * 8192.0**2 * 64.0 / 3.0 * 2.0 + 2.0 * 8192.0**2
    bytes_of = tiles * found.energy.l2 + 3.0 * 2.0 * 8192.0**2 * found.energy.hbm
    operation = 0.12e-12 * 1.5**2 * clock**2 + bytes_of / (2.0 * 8192.0**3)
    assert operation * 0.95 * 600e12 * clock + found.energy.static == pytest.approx(300.0, rel=1e-9)


def test_the_clock_goes_beyond_that_of_the_stated_peak_as_the_vector_rate_tells(chip):
    """100 cores of 256 operations at 1.575 GHz, 1.05 times the clock of the matrix peak; rounding tells nothing."""
    ample = chip(2000, 'vector_rate = { value = 40.32, unit = "TFLOP/s" }')
    assert ample.compute.matrix_share == pytest.approx(0.95 * 1.05, rel=1e-12)
    rounded = chip(2000, 'vector_rate = { value = 39.0, unit = "TFLOP/s" }')
    assert rounded.compute.matrix_share == pytest.approx(0.95, rel=1e-12)
    # where power is short it decides, whatever the highest clock
    short = chip(300).compute.matrix_share
    assert chip(300, 'vector_rate = { value = 40.32, unit = "TFLOP/s" }').compute.matrix_share == pytest.approx(short)


def test_more_power_never_lowers_the_share(chip):
    shares = [chip(power).compute.matrix_share for power in (100, 200, 300, 400, 600, 1000)]
    assert np.all(np.diff(shares) >= 0.0)
    assert shares[0] < shares[-1]


def test_a_share_that_is_stated_stays(chip):
    assert chip(300, "matrix_share = 0.5").compute.matrix_share == 0.5


def test_a_share_reached_under_another_limit_is_not_inherited(tmp_path):
    near = am.load("device", "h100-sxm")
    for power, same in ((700, True), (400, False)):
        path = tmp_path / "heir.toml"
        path.write_text(
            SHEET.partition("[device]")[0]
            + f'[device]\nlike = "h100-sxm"\npower = {{ value = {power}, unit = "W" }}\n',
            encoding="utf-8",
        )
        assert (am.load("device", str(path)).compute.matrix_share == near.compute.matrix_share) is same


def test_what_a_core_stores_follows_from_what_it_reads(chip):
    assert chip(700).matmul.store_width == pytest.approx(0.45 * 6e12 / (100 * 1.5e9))
