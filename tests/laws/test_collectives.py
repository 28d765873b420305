"""Collectives: every formula against messages that are passed around, exactly; hand values; invariants."""

from __future__ import annotations

import math

import pytest
from builders import changed, make_machine
from hypothesis import given
from hypothesis import strategies as st
from twins.network import best_pipeline, double_tree, everyone_to_everyone, in_switch, ring_all_reduce, round_time, run

from accelmodel.inference.machine import machine as machine_of
from accelmodel.laws.collectives import (
    ALL_REDUCES,
    EAGER_BYTES,
    IN_NODE,
    all_reduce_inside,
    collective,
)
from accelmodel.laws.jit import compiled
from accelmodel.laws.prepared import prepared
from accelmodel.laws.transfers import contention, filled, fused_time, group_time, rounds
from accelmodel.laws.types import (
    ALGORITHMS,
    ALL_GATHER,
    ALL_REDUCE,
    ALL_TO_ALL,
    POINT_TO_POINT,
    REDUCE_SCATTER,
    Machine,
)
from accelmodel.specs.given import cluster
from accelmodel.specs.load import load

#: algorithms of an all-reduce inside a node, as fields of a machine
INSIDE = tuple(name.replace("-", "_") for name in ALL_REDUCES)
EXACT = 1e-12  # rounding only
MESSAGES = st.floats(1.0, 1e9)


def only(name, **overrides):
    """Machine whose software offers one algorithm."""
    return make_machine(**{**{other: float(other == name) for other in INSIDE}, **overrides})


def time_of(kind, message, ranks, machine):
    """Time of the transfers, start-up left out."""
    _, hops, wire, _, _ = collective(kind, float(message), float(ranks), machine)
    return hops + wire


@given(MESSAGES, st.integers(2, 16))
def test_ring_behind_a_switch(message, ranks):
    machine = only("ring", node=16)
    twin = run(ring_all_reduce(ranks, message, [1]), machine)
    assert time_of(ALL_REDUCE, message, ranks, machine) == pytest.approx(twin, rel=EXACT)


@given(MESSAGES, st.sampled_from([2, 3, 5, 7]), st.integers(7, 16))
def test_ring_in_a_mesh_uses_a_ring_per_link(message, ranks, node):
    # over a prime number of devices every stride is a ring, and the rings share no link
    machine = only("ring", node=node, mesh=1)
    twin = run(ring_all_reduce(ranks, message, list(range(1, ranks))), machine)
    assert time_of(ALL_REDUCE, message, ranks, machine) == pytest.approx(twin, rel=EXACT)


@pytest.mark.parametrize("levels", [2, 3, 4, 5])
def test_double_tree(levels):
    machine = only("tree", node=64)
    depth, busiest = double_tree(levels)
    # pipelined in small chunks the busiest port is never idle; the depth is paid up and down
    twin = 2 * depth * machine.hop + busiest * 1e6 / machine.link_rate
    assert time_of(ALL_REDUCE, 1e6, 2**levels, machine) == pytest.approx(twin, rel=EXACT)


@given(MESSAGES, st.integers(2, 16), st.booleans())
def test_one_shot(message, ranks, mesh):
    machine = only("one_shot", node=16, mesh=mesh)
    twin = run([everyone_to_everyone(ranks, message)], machine)
    assert time_of(ALL_REDUCE, message, ranks, machine) == pytest.approx(twin, rel=EXACT)


@given(MESSAGES, st.integers(2, 16), st.booleans())
def test_two_shot(message, ranks, mesh):
    machine = only("two_shot", node=16, mesh=mesh)
    twin = run([everyone_to_everyone(ranks, message / ranks)] * 2, machine)
    assert time_of(ALL_REDUCE, message, ranks, machine) == pytest.approx(twin, rel=EXACT)


@given(MESSAGES, st.integers(2, 16))
def test_in_switch(message, ranks):
    machine = only("in_switch", node=16)
    # the flags run round the ring, the data through the switch
    twin = 2 * (ranks - 1) * machine.hop + float(in_switch(ranks)) * message / machine.link_rate
    assert time_of(ALL_REDUCE, message, ranks, machine) == pytest.approx(twin, rel=EXACT)


@given(MESSAGES, st.integers(2, 16), st.booleans(), st.sampled_from([ALL_GATHER, REDUCE_SCATTER]))
def test_direct_gather(message, ranks, mesh, kind):
    machine = only("two_shot", node=16, mesh=mesh)
    twin = run([everyone_to_everyone(ranks, message / ranks)], machine)
    assert time_of(kind, message, ranks, machine) == pytest.approx(twin, rel=EXACT)


@given(MESSAGES, st.integers(2, 16), st.sampled_from([ALL_GATHER, REDUCE_SCATTER]))
def test_ring_gather(message, ranks, kind):
    machine = only("ring", node=16, direct=0)
    twin = run(ring_all_reduce(ranks, message, [1])[: ranks - 1], machine)
    assert time_of(kind, message, ranks, machine) == pytest.approx(twin, rel=EXACT)


@given(MESSAGES, st.integers(2, 16), st.booleans())
def test_all_to_all(message, ranks, mesh):
    machine = make_machine(node=16, mesh=mesh)
    twin = run([everyone_to_everyone(ranks, message / ranks)], machine)
    assert time_of(ALL_TO_ALL, message, ranks, machine) == pytest.approx(twin, rel=EXACT)


@given(MESSAGES, st.booleans())
def test_point_to_point(message, mesh):
    machine = make_machine(node=8, mesh=mesh)
    assert time_of(POINT_TO_POINT, message, 2, machine) == pytest.approx(run([[(0, 1, message)]], machine), rel=EXACT)


def between_nodes(step, machine):
    """Rounds between nodes of one device per node: a port of ``out_rate`` and a hop of ``out_hop``."""
    outer = changed(machine, mesh=0.0, link_rate=machine.out_rate, hop=machine.out_hop)
    return run(step, outer)


def way(name, **overrides):
    """Machine whose software has one way over several nodes, and one kernel inside."""
    offered = {"out_ring": name == "ring", "out_tree": name == "tree", "hierarchical": name == "hierarchical"}
    return only("two_shot", **{**offered, **overrides})


@given(MESSAGES, st.integers(2, 8), st.integers(2, 6), st.booleans())
def test_hierarchical_all_reduce(message, node, nodes, mesh):
    machine = way("hierarchical", node=node, mesh=mesh)
    inside = run([everyone_to_everyone(node, message / node)], machine)
    hops = 2 * machine.hop
    ring = between_nodes(ring_all_reduce(nodes, message / node, [1]), machine)
    depth = 2 * math.ceil(math.log2(nodes))
    tree = depth * machine.out_hop + 2 * message / node / machine.out_rate
    transfers = 2 * (nodes - 1) if ring <= tree else depth
    # the halves inside nodes go on while shares travel between nodes: the longer of the two, and all latencies
    outside = min(ring, tree) - transfers * machine.out_hop
    twin = hops + transfers * machine.out_hop + max(2 * inside - hops, outside)
    assert time_of(ALL_REDUCE, message, node * nodes, machine) == pytest.approx(twin, rel=EXACT)


@given(MESSAGES, st.integers(2, 8), st.integers(2, 6), st.booleans(), st.sampled_from([ALL_GATHER, REDUCE_SCATTER]))
def test_hierarchical_gather(message, node, nodes, mesh, kind):
    machine = way("hierarchical", node=node, mesh=mesh)
    inside = run([everyone_to_everyone(node, message / node)], machine) - machine.hop
    outside = between_nodes(ring_all_reduce(nodes, message / node, [1])[: nodes - 1], machine)
    hops = (nodes - 1) * machine.out_hop
    twin = machine.hop + hops + max(inside, outside - hops)
    assert time_of(kind, message, node * nodes, machine) == pytest.approx(twin, rel=EXACT)


@given(MESSAGES, st.integers(2, 6), st.integers(2, 5), st.sampled_from([ALL_REDUCE, ALL_GATHER, REDUCE_SCATTER]))
def test_rings_through_all_ports(message, node, nodes, kind):
    machine = way("ring", node=node)
    ranks = node * nodes
    rounds_of = (2 if kind == ALL_REDUCE else 1) * (ranks - 1)
    near, far = [], []
    for ring in range(node):
        # the ring of this number enters each node at another device and passes all of it
        order = [n * node + (ring + place) % node for n in range(nodes) for place in range(node)]
        for place, device in enumerate(order):
            other = order[(place + 1) % ranks]
            same = device // node == other // node
            (near if same else far).append((device, other, rounds_of * message / ranks / node))
    outer = changed(machine, link_rate=machine.out_rate)
    # chunk after chunk: links inside and ports between nodes are busy at once
    wire = max(round_time(near, machine), round_time(far, outer))
    halves = rounds_of / (ranks - 1)
    hops = halves * (nodes * (node - 1) * machine.hop + (nodes - 1) * machine.out_hop)
    assert time_of(kind, message, ranks, machine) == pytest.approx(hops + wire, rel=1e-9)  # sums of many shares


@given(MESSAGES, st.integers(2, 8), st.sampled_from([2, 4, 8, 16]))
def test_trees_of_nodes_whose_devices_are_chains(message, node, nodes):
    machine = way("tree", node=node)
    hops = 2 * (node - 1) * machine.hop + 2 * math.log2(nodes) * machine.out_hop
    wire = max(2 * message / machine.link_rate, 2 * message / node / machine.out_rate)
    assert time_of(ALL_REDUCE, message, node * nodes, machine) == pytest.approx(hops + wire, rel=EXACT)


def test_two_nodes_with_eight_ports_of_200_gigabits():
    # DGX A100, 16 GPUs: 2 x 15/16 of a message through 8 x 25 GB/s, NVLink idle in part: 200 GB/s of bus bandwidth
    machine = way("ring", node=8, link_rate=234e9, out_rate=25e9, hop=0.0, out_hop=0.0)
    time = time_of(ALL_REDUCE, 1e9, 16, machine)
    assert 2 * 15 / 16 * 1e9 / time == pytest.approx(200e9, rel=EXACT)


def test_measured_over_several_nodes():
    # DGX A100, 16 GPUs: 192 GB/s; four servers of eight over EFA (ml-engineering): H200 with 4 GiB 364.9 GB/s, B200
    # with 1, 4 and 16 GiB 362.0, 377.3 and 381.8.  Nothing is fitted but the share of EFA's ports, to the last
    for device, devices, message, measured in (
        ("a100-sxm-80gb", 16, 1e10, 192e9),
        ("h200-sxm", 32, 2.0**32, 364.9e9),
        ("b200-sxm", 32, 2.0**30, 362.0e9),
        ("b200-sxm", 32, 2.0**32, 377.3e9),
        ("b200-sxm", 32, 2.0**34, 381.8e9),
    ):
        network = load("link", "efa-p5") if devices == 32 else None
        chips = cluster(load("device", device), devices, scale_out=network)
        machine = prepared(Machine(**{k: float(v) for k, v in machine_of(chips).items()}))
        time = sum(collective(ALL_REDUCE, message, float(devices), machine)[:3])
        assert 2.0 * (devices - 1) / devices * message / time == pytest.approx(measured, rel=0.05)


@given(MESSAGES, st.integers(1, 16), st.sampled_from(sorted(IN_NODE)))
def test_inside_a_node_nothing_else_is_asked(message, ranks, kind):
    machine = make_machine(node=16, own_copy=0.3, ramp=3.0)
    assert IN_NODE[kind](message, float(ranks), machine) == collective(kind, message, float(ranks), machine)


@given(MESSAGES, st.integers(2, 8), st.integers(2, 6), st.booleans())
def test_hierarchical_all_to_all(message, node, nodes, mesh):
    machine = make_machine(node=node, mesh=mesh, hop=1e-6, out_hop=5e-6)
    ranks = node * nodes
    near = [(a, b, message / ranks) for a in range(node) for b in range(node) if a != b]
    # device 0 sends its share to each device of the other nodes through its own port
    far = [(0, b, message / ranks) for b in range(node, ranks)]
    outer = changed(machine, mesh=0.0, link_rate=machine.out_rate)
    twin = machine.out_hop + max(round_time(near, machine), round_time(far, outer))
    assert time_of(ALL_TO_ALL, message, ranks, machine) == pytest.approx(twin, rel=EXACT)


@given(MESSAGES, st.integers(2, 16), st.booleans(), st.sets(st.sampled_from(INSIDE), min_size=1))
def test_the_fastest_offered_is_taken_and_named(message, ranks, mesh, offered):
    machine = make_machine(node=16, mesh=mesh, **{name: name in offered for name in INSIDE})
    each = {name: time_of(ALL_REDUCE, message, ranks, only(name, node=16, mesh=mesh)) for name in offered}
    _, hops, wire, name, _ = collective(ALL_REDUCE, message, float(ranks), machine)
    assert hops + wire == pytest.approx(min(each.values()), rel=EXACT)
    assert each[ALGORITHMS[int(name)].replace("-", "_")] == pytest.approx(hops + wire, rel=EXACT)


def test_hand_values():
    # 1 MB over 8 devices by two-shot: 2 hops of 1 us, 2 x 7/8 MB at 200 GB/s = 8.75 us
    machine = only("two_shot", node=8, link_rate=200e9, hop=1e-6)
    assert time_of(ALL_REDUCE, 1e6, 8, machine) == pytest.approx(2e-6 + 8.75e-6, rel=EXACT)
    # four devices of a mesh of eight reach each other over 3 of 7 links
    assert group_time(4.0, changed(machine, mesh=1.0)) == pytest.approx(7 / 3 / 200e9, rel=EXACT)


def test_contention_on_a_bus_by_hand():
    machine = only("ring", node=16, link_rate=20e9, hop=1e-6, contention=4)
    # a pair has its link for itself; four devices have a quarter of it each, eight a sixteenth
    for ranks, slower in ((2, 1), (3, 4), (4, 4), (5, 16), (8, 16), (16, 64)):
        assert contention(float(ranks), machine) == slower
        hops, shared = 2 * (ranks - 1) * 1e-6, 2 * (ranks - 1) / ranks
        assert time_of(ALL_REDUCE, 1e6, ranks, machine) == pytest.approx(hops + shared * 1e6 / 20e9 * slower, rel=EXACT)


@given(MESSAGES, st.integers(2, 16), st.floats(1.0, 6.0), st.floats(1.0, 2.0))
def test_contention_is_never_faster_and_pairs_do_not_mind(message, ranks, contention, more):
    machine = only("ring", node=16, contention=contention)
    before = time_of(ALL_REDUCE, message, ranks, machine)
    after = time_of(ALL_REDUCE, message, ranks, changed(machine, contention=contention * more))
    assert after >= before * (1.0 - 1e-12)  # rounding only
    if ranks == 2:
        assert after == before


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 5, 8, 9, 64, 100, 1024])
def test_rounds(ranks):
    assert rounds(float(ranks)) == math.ceil(math.log2(ranks))


@given(MESSAGES, st.floats(0.1, 10.0), st.floats(1e-7, 1e-5))
def test_filling_against_the_best_number_of_chunks(message, ramp, hop):
    machine = make_machine(ramp=ramp, hop=hop)
    wire = message / machine.link_rate
    twin, chunks = best_pipeline(wire, ramp * hop)
    # a whole number of chunks is at best as good as the law's fraction, and close to it where there are several
    assert twin >= filled(wire, machine) * (1.0 - EXACT)
    if chunks > 2:
        assert twin == pytest.approx(filled(wire, machine), rel=0.02)  # (c + 1/c) / 2 at c = 3 / 2.5: 1.7 %


@given(MESSAGES, st.integers(2, 16), st.sampled_from([ALL_GATHER, REDUCE_SCATTER, ALL_TO_ALL]))
def test_own_share_is_copied_but_not_sent(message, ranks, kind):
    machine = only("ring", node=16, own_copy=0.5)
    _, _, before, _, sent = collective(kind, message, float(ranks), changed(machine, own_copy=0.0))
    _, _, wire, _, same = collective(kind, message, float(ranks), machine)
    assert wire - before == pytest.approx(0.5 * message / ranks / machine.link_rate, rel=1e-6)  # a difference
    assert sent == same


def test_rendezvous_by_hand():
    # 8 devices behind a switch of 200 GB/s: 40 kB per peer is where the whole rendezvous of 7 us is paid
    machine = make_machine(rendezvous=7e-6)
    assert time_of(ALL_TO_ALL, 8 * EAGER_BYTES, 8, machine) == pytest.approx(2e-6 + 7e-6, rel=EXACT)
    assert time_of(ALL_TO_ALL, 4 * EAGER_BYTES, 8, machine) == pytest.approx(2e-6 + 3.5e-6, rel=EXACT)
    # 16 MB: 7/8 of it at 200 GB/s is 70 us, longer than the rendezvous
    assert time_of(ALL_TO_ALL, 16e6, 8, machine) == pytest.approx(2e-6 + 70e-6, rel=EXACT)


def test_engine_kernels_by_hand():
    machine = make_machine(
        ring=1, tree=0, one_shot=1, two_shot=1, start_up=8e-6, direct_start_up=4e-6, barrier=5, direct_share=0.7,
        direct_limit=1e6,
    )  # fmt: skip
    # 140 kB, 2 devices: all of it once at 140 GB/s, 1 us; no barrier
    assert collective(ALL_REDUCE, 140e3, 2.0, machine)[:4] == pytest.approx((4e-6, 1e-6, 1e-6, 2.0), rel=EXACT)
    # 800 kB, 8 devices: two-shot, 1 + 5 hops and 2 x 7/8 of it at 140 GB/s
    assert collective(ALL_REDUCE, 800e3, 8.0, machine)[:4] == pytest.approx((4e-6, 6e-6, 10e-6, 3.0), rel=EXACT)
    # above the limit the library's ring: 14 hops, 2 x 7/8 of 2 MB at 200 GB/s
    assert collective(ALL_REDUCE, 2e6, 8.0, machine)[:4] == pytest.approx((8e-6, 14e-6, 17.5e-6, 0.0), rel=EXACT)


#: eight devices, NCCL, message [B]: bus bandwidth [B/s] (ml-engineering @744d01e, network/README.md)
B200_BUS = {2**27: 568.38e9, 2**28: 646.11e9, 2**29: 688.99e9, 2**30: 723.34e9, 2**31: 734.97e9, 2**32: 740.64e9}
H200_BUS = {2**27: 401.93e9, 2**28: 436.15e9, 2**29: 450.29e9, 2**30: 463.58e9, 2**31: 469.17e9, 2**32: 473.10e9}
A100_BUS = {2**27: 176.92e9, 2**28: 194.07e9, 2**29: 222.72e9, 2**30: 229.04e9, 2**31: 231.41e9, 2**32: 233.88e9}


@pytest.mark.parametrize(
    ("device", "measured"), [("a100-sxm-80gb", A100_BUS), ("h200-sxm", H200_BUS), ("b200-sxm", B200_BUS)]
)
def test_large_all_reduces_that_were_not_fitted(device, measured):
    machine = prepared(Machine(**{k: float(v) for k, v in machine_of(cluster(load("device", device))).items()}))
    for message, bus in measured.items():
        modelled = sum(collective(ALL_REDUCE, float(message), 8.0, machine)[:3])
        # other servers, other software: 15 %, three times the median of the held-out rows
        assert modelled == pytest.approx(1.75 * message / bus, rel=0.15), (device, message)


KINDS = st.sampled_from([ALL_REDUCE, ALL_GATHER, REDUCE_SCATTER, ALL_TO_ALL, POINT_TO_POINT])
MACHINES = st.builds(
    lambda node, mesh, rate, hop, names, software: make_machine(
        node=node, mesh=mesh, link_rate=rate, hop=hop, **{name: name in names for name in INSIDE}, **software
    ),
    st.integers(2, 16),
    st.booleans(),
    st.floats(1e9, 1e12),
    st.floats(0.0, 1e-5),
    st.sets(st.sampled_from(INSIDE), min_size=1),
    st.fixed_dictionaries(
        {
            "ramp": st.floats(0.0, 10.0),
            "own_copy": st.floats(0.0, 1.0),
            "rendezvous": st.floats(0.0, 1e-5),
            "contention": st.floats(1.0, 5.0),
            "barrier": st.floats(1.0, 10.0),
            "direct_share": st.floats(0.5, 1.0),
            "direct_limit": st.sampled_from([1e4, 1e6, 1e18]),
            "direct": st.booleans(),
        }
    ),
)


@given(KINDS, MESSAGES, st.integers(1, 64), MACHINES)
def test_compiled_equals_python(kind, message, ranks, machine):
    ranks = float(ranks if ranks <= machine.node else machine.node * (ranks // machine.node))
    ranks = max(ranks, 2.0)
    # 1e-9: the compiler may contract a multiply and an add
    expected = collective(kind, message, ranks, machine)
    assert compiled(collective)(kind, message, ranks, machine) == pytest.approx(expected, rel=1e-9)


@given(KINDS, MESSAGES, st.integers(1, 8), MACHINES, st.floats(1.0, 4.0))
def test_faster_links_and_fewer_bytes_are_never_slower(kind, message, nodes, machine, factor):
    ranks = machine.node * nodes
    before = time_of(kind, message, ranks, machine)
    assert math.isfinite(before)
    assert before > 0.0
    for better in (
        changed(machine, link_rate=machine.link_rate * factor),
        changed(machine, out_rate=machine.out_rate * factor),
        changed(machine, hop=machine.hop / factor),
        changed(machine, out_hop=machine.out_hop / factor),
    ):
        assert time_of(kind, message, ranks, better) <= before * (1.0 + 1e-9)  # rounding only
    assert time_of(kind, message / factor, ranks, machine) <= before * (1.0 + 1e-9)  # rounding only


@given(st.sampled_from([ALL_REDUCE, ALL_GATHER, REDUCE_SCATTER, ALL_TO_ALL]), MESSAGES, st.integers(2, 16))
def test_bytes_sent_are_those_on_the_wire(kind, message, ranks):
    shares = {ALL_REDUCE: 2 * (ranks - 1) / ranks}
    _, _, _, _, sent = collective(kind, message, float(ranks), only("two_shot", node=16))
    assert sent == pytest.approx(shares.get(kind, (ranks - 1) / ranks) * message, rel=EXACT)


@given(MESSAGES, st.integers(2, 16), st.booleans())
def test_point_to_point_sends_its_message_whatever_the_number_of_stages(message, stages, mesh):
    _, _, _, _, sent = collective(POINT_TO_POINT, message, float(stages), make_machine(node=16, mesh=mesh))
    assert sent == pytest.approx(message, rel=EXACT)


def test_bytes_sent_by_a_hierarchical_all_reduce():
    _, _, _, _, sent = collective(ALL_REDUCE, 8e6, 16.0, way("hierarchical", node=8))
    # in the node 7/8 of the message twice, between two nodes half of an eighth of it twice
    assert sent == pytest.approx(2 * 7e6 + 2 * 0.5 * 1e6, rel=EXACT)


@given(st.floats(1e-6, 1e-2), st.floats(0.0, 1e-4), st.floats(0.0, 1e-4), st.floats(0.0, 1e-2))
def test_fused_product_against_a_pipeline_of_pieces(matmul, start_up, hops, wire):
    def pipeline(pieces):
        sent = computed = 0.0
        for _ in range(pieces):
            computed += matmul / pieces
            sent = max(sent, computed) + hops + wire / pieces
        return start_up + sent

    best = min(pipeline(pieces) for pieces in (1, 2, 4, 8))
    assert fused_time(matmul, start_up, hops, wire) == pytest.approx(best, rel=EXACT)
    assert fused_time(matmul, start_up, hops, wire) <= (matmul + start_up + hops + wire) * (1.0 + EXACT)


@given(MESSAGES, st.integers(2, 16), MACHINES)
def test_inside_compiled_equals_python(message, ranks, machine):
    # what is compiled in one piece against the laws called one by one
    costs = {name: each(message, float(ranks), machine) for name, each in ALL_REDUCES.items()}
    best = min(costs, key=lambda name: costs[name].order)
    found, code = all_reduce_inside(message, float(ranks), machine)
    # 1e-9: the compiler may contract a multiply and an add
    assert found == pytest.approx(costs[best], rel=1e-9)
    assert found == pytest.approx(costs[ALGORITHMS[int(code)]], rel=1e-9)
