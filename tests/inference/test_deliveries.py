"""Exchanges around experts through several levels: times by hand, counted copies, and the laws they must agree with."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import accelmodel as am
from accelmodel.inference import deliveries, routes
from accelmodel.inference.machine import machine
from accelmodel.inference.operator_time import time_columns
from accelmodel.inference.spans import levels
from accelmodel.laws import exchange
from accelmodel.laws.exchange import EXCHANGES
from accelmodel.laws.jit import running
from accelmodel.laws.prepared import prepared
from accelmodel.laws.routes import ROUTE
from accelmodel.laws.types import EXCHANGE, ROUTED_EXCHANGE, Machine, Operator
from accelmodel.specs.given import cluster, override

EXACT = 1e-9  # rounding only
#: all copies of a device's 128 tokens, 7168 wide, eight of 256 experts each, at 16 bit
SIZE = 128.0 * 8.0 * 7168.0 * 2.0
FREE = {"share": 1.0, "hop_latency": 0.0, "start_up": 0.0, "exchange_start": 1e-12}


def time_of(chips, kernels, ranks, size=SIZE, routing=(256.0, 8.0, 1.0, 1.0)):
    experts, used, groups, chosen = routing
    columns = {
        "kind": EXCHANGE + list(EXCHANGES).index(kernels),
        **{"message_bytes": size, "ranks": float(ranks), "n": experts, "k": used, "groups": groups, "m": chosen},
    }
    times, _ = time_columns(columns, chips)
    return float(np.asarray(times).flat[0])


def pure(name, devices, **link):
    """Cluster at nominal rates, without any latency."""
    chips = cluster(name, devices)
    bare = override(chips.link, {**FREE, "direct_share": 1.0, **link})
    return cluster(chips.device, devices, link=bare, scale_out=override(chips.scale_out, FREE))


@pytest.mark.parametrize(
    ("name", "ranks", "tokens", "there", "back"),
    [
        ("b200-sxm", 8, 128, 33.0, 40.9),
        ("b200-sxm", 8, 1024, 129.6, 189.3),
        ("gb200", 4, 128, 26.9, 36.2),
        ("gb200", 4, 1024, 112.9, 168.3),
        ("gb200", 64, 128, 27.6, 43.0),
        ("gb200", 64, 256, 41.6, 72.4),
    ],
)
def test_measured_over_nvlink_alone(name, ranks, tokens, there, back):
    """DeepEP in SGLang 0.5.12, and over 64 TensorRT-LLM 1.3, fp8 there and bf16 back (aiconfigurator-core) [us]."""
    copies = tokens * 8.0 * 7168.0
    for width, measured in ((1.0 + 4.0 / 128.0, there), (2.0, back)):
        assert time_of(cluster(name, ranks), "low-latency", ranks, copies * width) == pytest.approx(
            measured * 1e-6, rel=0.15
        )


@pytest.mark.parametrize("kernels", ["low-latency", "normal"])
def test_the_middle_of_a_torus_sets_the_time(kernels):
    # each token goes to one device alone, so that both kernels send the same
    one = (256.0, 1.0, 1.0, 1.0)
    # 4 x 4 chips without wrap: half of what eight send crosses four links of 45 GB/s
    assert time_of(pure("tpu-v5e", 16), kernels, 16, SIZE, one) == pytest.approx(8 * SIZE / 2 / (4 * 45e9), rel=1e-6)
    # 16 x 16 with wrap: half of what 128 send crosses 32 links
    assert time_of(pure("tpu-v5e", 256), kernels, 256, SIZE, one) == pytest.approx(
        128 * SIZE / 2 / (32 * 45e9), rel=1e-6
    )
    # 8 x 8 x 4 of TPU v5p with wrap: half of what 128 send crosses 2 x 32 links of 90 GB/s
    assert time_of(pure("tpu-v5p", 256), kernels, 256, SIZE, one) == pytest.approx(
        128 * SIZE / 2 / (64 * 90e9), rel=1e-6
    )


TWO_DIES = """
[default]
kind = "datasheet"
source = "mine"
locator = "here"
[sources.mine]
title = "Mine"
[[level]]
name = "die"
link = "{link}"
devices = 2
bandwidth = {{ value = 50, unit = "GB/s" }}
share = 1
hop_latency = {{ value = 0.5, unit = "us" }}
contention = 1
[[level]]
name = "node"
link = "{link}"
devices = 8
bandwidth = {{ value = 100, unit = "GB/s" }}
share = 1
hop_latency = {{ value = 1, unit = "us" }}
start_up = {{ value = 10, unit = "us" }}
contention = 1
direct_share = 0.5
[[level]]
name = "rack"
link = "infiniband-ndr400"
devices = 32
bandwidth = {{ value = 50, unit = "GB/s" }}
share = 1
hop_latency = {{ value = 2, unit = "us" }}
[[level]]
name = "hall"
link = "infiniband-ndr400"
devices = 128
bandwidth = {{ value = 25, unit = "GB/s" }}
share = 1
hop_latency = {{ value = 4, unit = "us" }}
"""
#: devices below a level, and its rate
TOLD = ((2, 50e9), (8, 100e9), (32, 50e9), (128, 25e9))
HOPS = {2: 0.5e-6, 8: 1e-6, 32: 2e-6, 128: 4e-6}


@pytest.fixture(params=["nvlink4-switch", "pcie5-x16"])
def four(tmp_path, request):
    path = tmp_path / "four.toml"
    path.write_text(TWO_DIES.format(link=request.param), encoding="utf-8")
    return cluster("h100-sxm", 128, link=str(path))


def reached(four):
    """Rates of the levels for kernels of an engine, which reach a share of the links inside a node."""
    rates = dict(TOLD)
    rates[2] *= float(four.link.inside[0].direct_share)
    rates[8] *= 0.5
    return rates


def carried(ranks, ports):
    """Bytes that device 0 sends over each level when it sends one to each other rank, by going through all pairs.

    With ``ports`` what goes to a wider level passes those inside as well; between nodes it always does.
    """
    found = dict.fromkeys((size for size, _ in TOLD), 0.0)
    for other in range(1, int(ranks)):
        level = next(size for size, _ in TOLD if other // size == 0)
        for size, _ in TOLD:
            if size == level or (size < level and (ports or size == 32)):
                found[size] += 1.0
    return found


@pytest.mark.parametrize("ranks", [2, 8, 32, 128])
def test_low_latency_kernels_against_all_pairs(four, ranks):
    found = carried(ranks, ports=four.link.topology == "bus")
    wire = max(found[size] * SIZE / ranks / rate for size, rate in reached(four).items())
    start = float(four.link.exchange_start) or 10e-6
    assert time_of(four, "low-latency", ranks) == pytest.approx(start + HOPS[ranks] + wire, rel=EXACT)


@pytest.mark.parametrize("ranks", [8, 32, 128])
def test_normal_kernels_send_a_copy_to_each_node(four, ranks):
    """Against drawn routings: copies for nodes between them, copies for devices inside, where both levels share."""
    rng = np.random.default_rng(0)
    tokens = 4000
    picked = np.argsort(rng.random((tokens, 256)), axis=1)[:, :8] * ranks // 256
    devices = np.mean([len(set(row)) for row in picked.tolist()])
    nodes = np.mean([len(set(row)) for row in (picked // 8).tolist()])
    passed = dict.fromkeys((size for size, _ in TOLD), 0.0)
    several = ranks > 8
    # evenly over a node of eight: one in eight copies stays, or passes buffers, two in eight are for the pair
    passed[2], passed[8] = (devices * share / 8.0 * (8.0 / 7.0 if several else 1.0) for share in (1.0, 6.0))
    spanned = ranks // 8
    if several:
        near = min(spanned, 4)
        passed[128] = nodes * (1.0 - near / spanned)
        passed[32] = nodes * (near - 1.0) / spanned + passed[128]
    if four.link.topology == "bus":
        passed[8] += passed[32]
        passed[2] += passed[8]
    copy = SIZE / 8.0
    rates = reached(four)
    hops = {8: 1e-6, 32: 3e-6, 128: 5e-6}[ranks]
    start = float(four.link.exchange_start) or 10e-6
    expected = start + hops + max(passed[size] * copy / rates[size] for size in rates)
    # 4,000 draws
    assert time_of(four, "normal", ranks) == pytest.approx(expected, rel=0.01)


def test_network_kernels_take_no_links_of_the_node(four):
    start = float(four.link.exchange_start) or 10e-6
    inside = time_of(four, "network", 2)
    # half of the copies over a port of 50 GB/s, which those of a bus are as well
    assert inside == pytest.approx(start + 2e-6 + SIZE / 2 / 50e9, rel=EXACT)
    # 31 of 32 parts over ports of 50 GB/s, 96 of 128 of which go on at 25 GB/s
    assert time_of(four, "network", 128) == pytest.approx(
        start + 4e-6 + max(127 / 128 * SIZE / 50e9, 96 / 128 * SIZE / 25e9), rel=EXACT
    )


@given(
    st.sampled_from(["h800-sxm", "mi300x", "a100-sxm-80gb", "gb200-nvl72"]),
    st.sampled_from(sorted(EXCHANGES)),
    st.integers(2, 40),
    st.sampled_from([(256.0, 8.0, 8.0, 4.0), (128.0, 4.0, 1.0, 1.0), (16.0, 1.0, 1.0, 1.0)]),
)
def test_routes_of_ordinary_clusters_are_what_the_laws_say(name, kernels, ranks, routing):
    chips = cluster(name, max(ranks, 8))
    known = levels(chips, max(ranks, 8.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deliveries, "ordinary", lambda level, cluster: False)
        route = deliveries.route(kernels, float(ranks), routing, chips, known)
    experts, used, groups, chosen = routing
    place = list(EXCHANGES).index(kernels)
    op = Operator(EXCHANGE + place, message_bytes=1e7, ranks=float(ranks), n=experts, k=used, groups=groups, m=chosen)
    columns = {column: route[told] for told, column in ROUTE.items()}
    by_route = Operator(ROUTED_EXCHANGE + place, message_bytes=1e7, ranks=float(ranks), **columns)
    numbers = prepared(Machine(**{field: float(value) for field, value in machine(chips).items()}))
    nodes = float(np.ceil(ranks / float(chips.link.devices)))
    asked = exchange.destinations(op, op.ranks), exchange.destinations(op, nodes)
    plain = EXCHANGES[kernels](op, numbers, *asked)
    assert exchange.along_route(by_route, numbers, 0.0, 0.0) == pytest.approx(plain, rel=EXACT)


@pytest.mark.parametrize(("name", "ranks"), [("tpu-v5e-pod", 64), ("cloudmatrix-384", 1536), ("pcie4-tree-8", 16)])
def test_more_bandwidth_of_any_level_is_never_slower(name, ranks):
    chips = cluster(name, ranks)
    for kernels, part in product(EXCHANGES, ("link", "scale_out")):
        before = time_of(chips, kernels, ranks)
        spec = getattr(chips, part)
        for change in ({"bandwidth": spec.bandwidth * 2.0}, {"hop_latency": spec.hop_latency * 0.5}):
            better = {"link": chips.link, "scale_out": chips.scale_out, part: override(spec, change)}
            after = time_of(cluster(chips.device, ranks, **better), kernels, ranks)
            assert after <= before * (1.0 + EXACT)


@pytest.mark.parametrize("name", ["tpu-v5e-pod", "cloudmatrix-384", "pcie4-tree-8", "gb200-nvl72"])
@pytest.mark.parametrize("kernels", EXCHANGES)
def test_more_devices_are_never_faster_for_the_same_tokens(name, kernels):
    chips = cluster(name, 256)
    times = [time_of(chips, kernels, ranks) for ranks in (2, 4, 8, 16, 64, 256)]
    assert times == sorted(times)


def test_a_wrapped_slice_is_faster_than_a_line():
    chips = cluster("tpu-v5e", 256)
    shapes = {axes: override(chips.link, {"slice": axes}) for axes in ("1,16", "1,15", "4,4")}
    ring, line = (
        time_of(cluster(chips.device, link=shapes[axes]), "low-latency", ranks)
        for axes, ranks in (("1,16", 16), ("1,15", 15))
    )
    assert ring < 0.6 * line


def test_compiled_steps_of_experts_take_the_same_routes():
    work = {"phase": "decode", "batch": 128, "context": 512, "dp": 32, "ep": 32, "two_batch": 1.0, "exchange": 2.0}
    for name in ("tpu-v5p", "cloudmatrix-384"):
        told = []
        for form in ("interpreted", "compiled"):
            with running(form):
                told.append(float(am.total_time("qwen3-30b-a3b", cluster(name, 32), work).step_time))
        assert told[0] == pytest.approx(told[1], rel=1e-12)


def test_tables_without_experts_have_no_deliveries():
    table = np.zeros((len(Operator._fields), 2, 3))
    chips = cluster("tpu-v5e", 16)
    assert list(deliveries.delivered(table, chips, levels(chips, 16.0))) == []
    assert routes.routed(table, chips) is not table
