"""Chips without HBM, dies with what joins them, second memories: what a file may say, and what it may not."""

from __future__ import annotations

import pytest

import accelmodel as am
from accelmodel.errors import SpecError

HEAD = """
[default]
kind = "datasheet"
source = "sheet"
locator = "x"
[sources.sheet]
title = "a sheet"
[device]
vendor = "me"
architecture = "of my own"
[compute]
cores = 64
clock = { value = 1.5, unit = "GHz" }
peak_16bit = { value = 400, unit = "TFLOP/s" }
[l2]
capacity = { value = 400, unit = "MB" }
"""
HBM = """
[hbm]
bandwidth = { value = 4, unit = "TB/s" }
capacity = { value = 128, unit = "GB" }
"""
SRAM = 'bandwidth = { value = 50, unit = "TB/s" }\n'
TIER = """
[tier]
holds = "kv"
capacity = { value = 512, unit = "GB" }
bandwidth = { value = 1, unit = "TB/s" }
"""


def chip(folder, *parts):
    path = folder / "mine.toml"
    path.write_text(HEAD + "".join(parts), encoding="utf-8")
    return am.load("device", str(path))


def test_a_chip_without_hbm_keeps_all_in_its_sram(tmp_path):
    made = chip(tmp_path, SRAM)
    assert (made.hbm.bandwidth, made.hbm.capacity) == (0.0, 0.0)
    assert (made.memory.bandwidth, made.memory.capacity) == (50e12, 400e6)
    assert made.memory.share == made.hbm.share


def test_what_is_written_as_zero_is_not_there(tmp_path):
    none = '[hbm]\nbandwidth = { value = 0, unit = "TB/s" }\ncapacity = { value = 0, unit = "GB" }\n'
    assert chip(tmp_path, SRAM, none).memory == chip(tmp_path, SRAM).memory


def test_a_chip_whose_memory_was_forgotten_is_not_taken_for_one_without(tmp_path):
    with pytest.raises(SpecError, match=r"hbm.bandwidth: is missing(.|\n)*without device memory states l2.bandwidth"):
        chip(tmp_path)


@pytest.mark.parametrize("absent", ["bandwidth", "capacity"])
def test_half_a_memory_is_refused(tmp_path, absent):
    rest = "\n".join(line for line in HBM.splitlines() if not line.startswith(absent))
    with pytest.raises(SpecError, match=rf"hbm.{absent}: is missing"):
        chip(tmp_path, SRAM, rest)
    with pytest.raises(SpecError, match=rf"hbm.{absent} is 0"):
        am.override(am.load("device", "h100-sxm"), {f"hbm.{absent}": 0.0})


def test_an_axis_of_memory_may_not_hold_zero():
    with pytest.raises(SpecError, match="hbm.bandwidth is 0"):
        am.override(am.load("device", "h100-sxm"), {"hbm.bandwidth": [0.0, 1e12]})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ('holds = "kv"', "capacity is given and holds is not"),
        ('bandwidth = { value = 1, unit = "TB/s" }', "tier: bandwidth is missing"),
        ('capacity = { value = 512, unit = "GB" }', "tier: capacity is missing"),
    ],
)
def test_a_tier_says_all_of_itself(tmp_path, change, says):
    with pytest.raises(SpecError, match=says):
        chip(tmp_path, HBM, TIER.replace(change, ""))


def test_only_attention_is_computed_in_a_tier(tmp_path):
    weights = TIER.replace('"kv"', '"weights"') + 'compute = { value = 1, unit = "TFLOP/s" }\n'
    with pytest.raises(SpecError, match="only attention is computed there"):
        chip(tmp_path, HBM, weights)
    with pytest.raises(SpecError, match="unknown what a tier holds 'kw', did you mean 'kv'"):
        chip(tmp_path, HBM, TIER.replace('"kv"', '"kw"'))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("[pim]\nbandwidth = 1\n", r"\[pim\]: unknown: a second memory is a table \[tier\]"),
        ("[sram]\ncapacity = 1\n", r"\[sram\]: unknown: SRAM stands as l2.capacity"),
        ("[numa]\nnodes = 2\n", r"\[numa\]: unknown: what joins dies or sockets is a table \[die_to_die\]"),
        ("[ddr]\nbandwidth = 1\n", r"\[ddr\]: unknown: device memory is \[hbm\]"),
        ("[l3]\ncapacity = 1\n", r"\[l3\]: unknown: the last cache on the chip is \[l2\]"),
        ("[interconnect]\nbandwidth = 1\n", r"\[interconnect\]: unknown: what joins devices is link"),
    ],
)
def test_other_words_for_what_there_is_are_answered_with_it(tmp_path, more, says):
    with pytest.raises(SpecError, match=says):
        chip(tmp_path, HBM, more)


def test_words_that_mean_the_same_are_one_line(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(HEAD.replace("[compute]", "pim_bandwidth = 1\npim_capacity = 2\n[compute]") + HBM, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        am.load("device", str(path))
    (line,) = str(caught.value).splitlines()
    assert "pim_bandwidth: unknown, as pim_capacity: a second memory" in line


def test_a_cache_of_fewer_slices_delivers_less():
    """A100: 5120 B a clock of 80 slices at 1.41 GHz; MI300X: 17.2 TB/s of 128.  At its own size cores set the rate."""
    for name, size, slices in (("a100-sxm-80gb", 40e6, 5120 * 1.41e9), ("mi300x", 256e6, 17.2e12)):
        chip = am.load("device", name)
        assert chip.l2.rate == chip.l2.bandwidth
        assert size / chip.l2.slice_capacity * chip.l2.slice_bandwidth == pytest.approx(slices, rel=1e-3)
        quarter = am.override(chip, {"l2.capacity": size / 4})
        assert quarter.l2.rate == pytest.approx(slices / 4, rel=1e-3)
        assert am.override(chip, {"l2.capacity": size * 4}).l2.rate == chip.l2.bandwidth


def test_slices_go_together():
    with pytest.raises(SpecError, match="slice_capacity and slice_bandwidth go together"):
        am.override(am.load("device", "h100-sxm"), {"l2.slice_capacity": "512KiB"})


@pytest.mark.parametrize(("cores", "clocks"), [(640, 480.0), (64, 251.65824), (1, 3.93216)])
def test_a_wide_core_of_an_unknown_kind_does_not_keep_the_clocks_of_a_gpu(tmp_path, cores, clocks):
    """Half of the clocks for 2 x 128 x 128 x 64 operations at 400 TFLOP/s / (cores x 1.5 GHz), 480 at most."""
    path = tmp_path / "wide.toml"
    path.write_text((HEAD + HBM).replace("cores = 64", f"cores = {cores}"), encoding="utf-8")
    made = am.load("device", str(path))
    assert made.matmul.slice_clocks == pytest.approx(clocks)
    stated = path.read_text(encoding="utf-8") + "[matmul]\nslice_clocks = 300\n"
    path.write_text(stated, encoding="utf-8")
    assert am.load("device", str(path)).matmul.slice_clocks == 300.0
