"""Measured tables of kernels: the split into training and held-out rows, and tables that are not there."""

from __future__ import annotations

import numpy as np
import pytest

import accelmodel as am
from accelmodel.errors import SpecError
from accelmodel.measured import aiconfigurator
from accelmodel.specs.load import load

NEEDS_SILICON = pytest.mark.skipif(not aiconfigurator.installed(), reason="pip install 'accelmodel[silicon]'")


def test_the_split_is_the_same_on_every_machine():
    # splitmix64 of 1, 2, 3 worked out in integer arithmetic of unlimited length
    state, mask = 0, 2**64 - 1
    for value in (1, 2, 3):
        state = (state ^ value) + 0x9E3779B97F4A7C15 & mask
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & mask
        state = (state ^ state >> 27) * 0x94D049BB133111EB & mask
        state ^= state >> 31
    found = aiconfigurator.hashed(np.array([1]), np.array([2]), np.array([3]))
    assert found[0] == (state >> 11) / 2.0**53
    many = aiconfigurator.hashed(np.arange(10_000), np.zeros(10_000), np.ones(10_000))
    assert abs(np.mean(many < 0.7) - 0.7) < 0.02  # four deviations of a fair draw


def test_without_measured_tables_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(aiconfigurator.importlib.util, "find_spec", lambda name: None)
    aiconfigurator.rows.cache_clear()
    with pytest.raises(SpecError, match=r"accelmodel\[silicon\]"):
        aiconfigurator.rows(am.load("device", "h100-sxm"), "matmul")


@NEEDS_SILICON
def test_the_size_of_an_all_gather_by_oneccl_is_that_of_one_part():
    """Else four cards would gather at a quarter of the rate at which they scatter sums."""
    device = load("device", "arc-pro-b60")
    kinds = ("all-gather", "reduce-scatter")
    frames = [aiconfigurator.rows(device, kind)[0].query("devices == 4 and bits == 16") for kind in kinds]
    rates = [(frame["elements"] / frame["time"]).max() for frame in frames]
    assert 0.8 < rates[0] / rates[1] < 1.25


@NEEDS_SILICON
def test_servers_whose_cards_reach_one_another_in_a_known_way():
    for name, link in aiconfigurator.SERVERS.items():
        device = load("device", name)
        assert aiconfigurator.link_of(device) == link != device.link
        assert load("link", link).bandwidth == load("link", device.link).bandwidth
    assert aiconfigurator.link_of(load("device", "h100-sxm")) == "nvlink4-switch"
