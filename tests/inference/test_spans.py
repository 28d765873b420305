"""Levels of a cluster, told in several ways: the same cluster gives the same answers, and more is never slower."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import accelmodel as am
from accelmodel.inference.operator_time import time_columns
from accelmodel.inference.single import collective
from accelmodel.inference.spans import Level, levels, ordinary, spans, spread, through_ports, to_all
from accelmodel.laws.exchange import EXCHANGES
from accelmodel.laws.routes import Leg
from accelmodel.laws.types import EXCHANGE
from accelmodel.specs.given import cluster, override

EXACT = 1e-9  # rounding only
KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all")
SIZES = st.floats(1e3, 1e10)

ABOUT = """
[default]
kind = "datasheet"
source = "mine"
locator = "here"
[sources.mine]
title = "Mine"
"""
NODE, NETWORK = '[[level]]\nlink = "nvlink4-switch"\n', '[[level]]\nlink = "infiniband-ndr400"\n'
DEVICE = '[cluster]\ndevice = "h100-sxm"\n'
ONE = '[[level]]\nname = "alone"\nlink = "pcie5-x16"\ndevices = 1\n'


def exchanged(chips, kernels, ranks, size):
    columns = {
        "kind": EXCHANGE + list(EXCHANGES).index(kernels),
        **{"message_bytes": size, "ranks": float(ranks), "n": 256.0, "k": 8.0, "groups": 8.0, "m": 4.0},
    }
    times, _ = time_columns(columns, chips)
    return float(np.asarray(times).flat[0])


def answers(chips, size, ranks):
    """Times of everything that devices send one another [s]."""
    found = [float(collective(chips, size=size, kind=kind, devices=ranks).time) for kind in KINDS]
    return np.array([*found, *(exchanged(chips, kernels, ranks, size) for kernels in EXCHANGES)])


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """One cluster of 64 H100 in five forms."""
    folder = tmp_path_factory.mktemp("told")
    texts = {"levels": NODE + NETWORK, "cluster": DEVICE + NODE + NETWORK, "one": DEVICE + ONE + NODE + NETWORK}
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(ABOUT + text, encoding="utf-8")
    return {
        "device": cluster("h100-sxm", 64),
        "parts": cluster("h100-sxm", 64, link="nvlink4-switch", scale_out="infiniband-ndr400"),
        "levels": cluster("h100-sxm", 64, link=str(folder / "levels.toml")),
        "cluster": cluster(str(folder / "cluster.toml"), 64),
        "a level of one device": cluster(str(folder / "one.toml"), 64),
    }


@settings(max_examples=15)
@given(SIZES, st.integers(2, 64))
def test_a_cluster_is_the_same_however_it_is_told(told, size, ranks):
    first, *others = (answers(chips, size, ranks) for chips in told.values())
    for other in others:
        assert other == pytest.approx(first, rel=EXACT)


def test_a_step_is_the_same_however_its_cluster_is_told(told):
    work = {"phase": "decode", "batch": 256, "context": 1024, "dp": 64, "ep": 64}
    times = [float(am.total_time("qwen3-30b-a3b", chips, work).step_time) for chips in told.values()]
    assert times == pytest.approx([times[0]] * len(times), rel=EXACT)


def flat(folder, topology, sizes, devices=64):
    """Cluster whose node is cut into levels of equal links without latency."""
    equal = (
        'hop_latency = { value = 0, unit = "us" }\ncontention = 1\nshare = 0.8\nalgorithms = ["ring", "hierarchical"]\n'
    )
    text = "".join(
        f'[[level]]\nname = "level {size}"\nlink = "pcie5-x16"\ntopology = "{topology}"\ndevices = {size}\n'
        f"node = {str(size == 8).lower()}\n{equal}"
        for size in sizes
    )
    path = folder / f"{topology}-{'-'.join(map(str, sizes))}.toml"
    path.write_text(ABOUT + DEVICE + text + NETWORK + f"devices = {devices}\n", encoding="utf-8")
    return cluster(str(path), devices)


@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_a_level_cut_in_two(tmp_path, ranks):
    """Of a bus, whose ports carry all, nothing changes; the links of a switch are then each level's own."""
    for topology in ("bus", "switch"):
        whole, cut = flat(tmp_path, topology, [8]), flat(tmp_path, topology, [4, 8])
        before, after = answers(whole, 1e9, ranks), answers(cut, 1e9, ranks)
        assert (after <= before * (1.0 + EXACT)).all()
        if ranks < 8:
            assert after == pytest.approx(before, rel=EXACT)
        # an all-reduce by a ring and an exchange pass every port of a bus as they did
        if topology == "bus":
            assert after[[3, 4]] == pytest.approx(before[[3, 4]], rel=EXACT)


@settings(max_examples=15)
@given(st.sampled_from(["link", "scale_out"]), SIZES, st.integers(2, 64), st.floats(1.0, 8.0))
def test_more_of_any_part_is_never_slower(told, part, size, ranks, factor):
    chips = told["levels"]
    before = answers(chips, size, ranks)
    spec = getattr(chips, part)
    for better in (
        {"bandwidth": spec.bandwidth * factor},
        {"hop_latency": spec.hop_latency / factor},
        {"start_up": spec.start_up / factor},
    ):
        parts = {"link": chips.link, "scale_out": chips.scale_out, part: override(spec, better)}
        assert (answers(cluster(chips.device, 64, **parts), size, ranks) <= before * (1.0 + EXACT)).all()


@settings(max_examples=15)
@given(st.integers(2, 256), st.sampled_from(["tpu-v5e", "tpu-v6e"]))
def test_wraps_are_never_slower(ranks, name):
    open_ends = cluster(name, 256)
    link = override(open_ends.link, wrap=[0.0, 0.0])
    lines = cluster(open_ends.device, 256, link=link)
    for kind in KINDS:
        now, without = (float(collective(each, size=1e8, kind=kind, devices=ranks).time) for each in (open_ends, lines))
        assert now <= without * (1.0 + EXACT)


def test_spans_by_hand():
    known = levels(cluster("cloudmatrix-384", 1536), 1536.0)
    found = [(span.units, span.below, span.own) for span in spans(1536.0, known)]
    assert found == [(2.0, 1.0, 2.0), (384.0, 2.0, 768.0), (2.0, 768.0, 1536.0)]
    # a pair is in one package, 16 in eight
    assert [span.units for span in spans(2.0, known)] == [2.0]
    assert [span.units for span in spans(16.0, known)] == [2.0, 8.0]
    (package, node, network) = spans(1536.0, known)
    assert [spread(span).load for span in (package, node, network)] == pytest.approx([1 / 2, 383 / 384, 1 / 2])
    legs = to_all(spans(1536.0, known))
    assert [leg.load for _, leg in legs] == pytest.approx([1 / 1536, 766 / 1536, 768 / 1536])
    assert [leg.steps for _, leg in legs] == [0.0, 0.0, 1.0]


def test_which_levels_need_no_route():
    for name, expected in (("h100-sxm", [True, True]), ("cloudmatrix-384", [False, True, True])):
        chips = cluster(name, 8)
        assert [ordinary(level, chips) for level in levels(chips, 8.0)] == expected


def test_ports_of_a_bus_carry_what_goes_further():
    chips = cluster("pcie4-tree-8", 16)
    below, root, network = (Level(link, link.devices, 1.0, None) for link in chips.levels)
    legs = through_ports([(below, Leg(1.0, 0.1)), (root, Leg(1.0, 0.2)), (network, Leg(1.0, 0.4))], chips)
    assert [leg.load for _, leg in legs] == pytest.approx([0.7, 0.6, 0.4])
