"""Offloading policies: by hand, by their limits, and a program against a grid of placements."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelmodel.cloud import offload
from accelmodel.cloud.offload import POLICIES, Need, Offer

# policies
NEED = Need(1.0, 0.05, 5e9, 1e9, 12e9, 11e9, 10e9, 0.5, 0.1, 32.0, 127.0)
OFFER = Offer(14e9, 100e9, 0.0, 10e9, 10e9, 0.0, False)
NUMBERS = st.floats(0.01, 100.0)


def test_infersave_by_hand():
    """14 - 6 = 8 GB for 12 GB: a third goes, and of the mean 11 GB it takes 11 / 3 / 10 s to come back."""
    placed = offload.infersave(NEED, OFFER)
    assert placed.ratio == pytest.approx(1.0 / 3.0)
    assert placed.decode == pytest.approx(0.05 + 11.0 / 30.0)
    assert placed.prefill == 1.0
    assert placed.fits
    assert not offload.infersave(NEED, OFFER._replace(host=3e9)).fits
    assert not offload.infersave(NEED, OFFER, 0.2).fits
    assert offload.infersave(NEED, OFFER._replace(overlapped=True)).decode == pytest.approx(11.0 / 30.0)


def test_with_room_enough_all_policies_are_the_same():
    roomy = OFFER._replace(memory=80e9)
    for name, policy in POLICIES.items():
        placed = policy(NEED, roomy)
        assert (placed.ratio, placed.prefill, placed.decode) == pytest.approx((0.0, 1.0, 0.05)), name
        assert placed.fits, name


def test_kvpr_by_hand_and_where_it_does_not_pay():
    """Loads of k = 0.3667 s, recomputation of r = 0.0333 s: p = 0.9167; loads = p k / 2 + p r."""
    placed = offload.kvpr(NEED, OFFER)
    k, r = 11.0 / 30.0, 0.1 / 3.0
    p = k / (k + r)
    assert placed.loads == pytest.approx(p * k / 2.0 + p * r)
    scan = min(q * k / 2.0 + max(q * r, (1.0 - q) * k) for q in np.linspace(0.0, 1.0, 10001))
    assert placed.loads == pytest.approx(scan, rel=1e-3)  # a scan over the share finds the same least
    assert offload.kvpr(NEED._replace(hidden=2.0), OFFER).loads == pytest.approx(offload.infersave(NEED, OFFER).loads)


@given(NUMBERS, NUMBERS, NUMBERS)
@settings(max_examples=60)
def test_kvpr_is_never_slower_than_infersave(kv, recompute, link):
    need = NEED._replace(kv=kv * 1e9, kv_mean=0.9 * kv * 1e9, kv_prompt=0.8 * kv * 1e9, recompute=recompute)
    offer = OFFER._replace(load=link * 1e9)
    assert offload.kvpr(need, offer).decode <= offload.infersave(need, offer).decode * (1.0 + 1e-9)


def test_flexgens_program_against_a_grid_of_placements():
    """The program's time is the least over all shares of weights and KV cache on a fine grid."""
    best = math.inf
    for w in np.linspace(0.0, 1.0, 101):
        for c in np.linspace(0.0, 1.0, 101):
            if (1 - w) * NEED.weights + (1 - c) * NEED.kv > OFFER.memory - NEED.activations + 1.0:
                continue
            prefill = max(NEED.prefill, w * NEED.weights / OFFER.load, c * NEED.kv_prompt / OFFER.store)
            step = max(NEED.decode, (w * NEED.weights + c * NEED.kv_mean) / OFFER.load)
            best = min(best, prefill + NEED.steps * step)
    placed = offload.flexgen(NEED, OFFER)
    assert placed.prefill + NEED.steps * placed.decode == pytest.approx(best, rel=0.02)  # the grid's step is 1 %
    assert placed.prefill + NEED.steps * placed.decode <= best * (1.0 + 1e-9)


def test_flexgen_uses_the_disk_only_where_there_is_one():
    tight = OFFER._replace(host=1e9)
    assert not offload.flexgen(NEED, tight).fits
    assert offload.flexgen(NEED, tight._replace(disk=100e9, disk_rate=2e9)).fits


@given(NUMBERS, NUMBERS)
@settings(max_examples=40)
def test_a_faster_host_link_is_never_slower(slow, more):
    for policy in POLICIES.values():
        times = [policy(NEED, OFFER._replace(load=rate * 1e9, store=rate * 1e9)) for rate in (slow, slow + more)]
        assert times[1].decode <= times[0].decode * (1.0 + 1e-6)
        assert times[1].prefill <= times[0].prefill * (1.0 + 1e-6)
