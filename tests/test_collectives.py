"""Collectives: every formula against messages that are passed around, exactly; hand values; invariants."""

from __future__ import annotations

import math

import pytest
from builders import make_machine
from hypothesis import given
from hypothesis import strategies as st
from twins.network import double_tree, everyone_to_everyone, in_switch, ring_all_reduce, round_time, run

from accelmodel.laws.collectives import all_reduce_inside, collective, fused_time, group_rate, rounds
from accelmodel.laws.vectors import (
    ALL_GATHER,
    ALL_REDUCE,
    ALL_TO_ALL,
    COLLECTIVES,
    POINT_TO_POINT,
    REDUCE_SCATTER,
)

ALGORITHMS = ("ring", "tree", "one_shot", "two_shot", "in_switch")
EXACT = 1e-12  # rounding only
MESSAGES = st.floats(1.0, 1e9)


def only(name, **overrides):
    """Machine whose software offers one algorithm."""
    return make_machine(**{**{other: float(other == name) for other in ALGORITHMS}, **overrides})


def time_of(kind, message, ranks, machine):
    hops, wire, _, _ = collective(kind, float(message), float(ranks), machine)
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
    twin = 2 * machine.hop + float(in_switch(ranks)) * message / machine.link_rate
    assert time_of(ALL_REDUCE, message, ranks, machine) == pytest.approx(twin, rel=EXACT)


@given(MESSAGES, st.integers(2, 16), st.booleans(), st.sampled_from([ALL_GATHER, REDUCE_SCATTER]))
def test_direct_gather(message, ranks, mesh, kind):
    machine = only("two_shot", node=16, mesh=mesh)
    twin = run([everyone_to_everyone(ranks, message / ranks)], machine)
    assert time_of(kind, message, ranks, machine) == pytest.approx(twin, rel=EXACT)


@given(MESSAGES, st.integers(2, 16), st.sampled_from([ALL_GATHER, REDUCE_SCATTER]))
def test_ring_gather(message, ranks, kind):
    machine = only("ring", node=16)
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
    outer = machine._replace(mesh=0.0, link_rate=machine.out_rate, hop=machine.out_hop)
    return run(step, outer)


@given(MESSAGES, st.integers(2, 8), st.integers(2, 6), st.booleans())
def test_hierarchical_all_reduce(message, node, nodes, mesh):
    machine = only("two_shot", node=node, mesh=mesh)
    inside = run([everyone_to_everyone(node, message / node)], machine)
    ring = between_nodes(ring_all_reduce(nodes, message / node, [1]), machine)
    tree = 2 * math.ceil(math.log2(nodes)) * machine.out_hop + 2 * message / node / machine.out_rate
    twin = 2 * inside + min(ring, tree)
    assert time_of(ALL_REDUCE, message, node * nodes, machine) == pytest.approx(twin, rel=EXACT)


@given(MESSAGES, st.integers(2, 8), st.integers(2, 6), st.booleans(), st.sampled_from([ALL_GATHER, REDUCE_SCATTER]))
def test_hierarchical_gather(message, node, nodes, mesh, kind):
    machine = only("two_shot", node=node, mesh=mesh)
    inside = run([everyone_to_everyone(node, message / node)], machine)
    outside = between_nodes(ring_all_reduce(nodes, message / node, [1])[: nodes - 1], machine)
    assert time_of(kind, message, node * nodes, machine) == pytest.approx(inside + outside, rel=EXACT)


@given(MESSAGES, st.integers(2, 8), st.integers(2, 6), st.booleans())
def test_hierarchical_all_to_all(message, node, nodes, mesh):
    machine = make_machine(node=node, mesh=mesh, hop=1e-6, out_hop=5e-6)
    ranks = node * nodes
    near = [(a, b, message / ranks) for a in range(node) for b in range(node) if a != b]
    # device 0 sends its share to each device of the other nodes through its own port
    far = [(0, b, message / ranks) for b in range(node, ranks)]
    outer = machine._replace(mesh=0.0, link_rate=machine.out_rate)
    twin = machine.out_hop + max(round_time(near, machine), round_time(far, outer))
    assert time_of(ALL_TO_ALL, message, ranks, machine) == pytest.approx(twin, rel=EXACT)


@given(MESSAGES, st.integers(2, 16), st.booleans(), st.sets(st.sampled_from(ALGORITHMS), min_size=1))
def test_the_fastest_offered_is_taken_and_named(message, ranks, mesh, offered):
    machine = make_machine(node=16, mesh=mesh, **{name: name in offered for name in ALGORITHMS})
    each = {name: time_of(ALL_REDUCE, message, ranks, only(name, node=16, mesh=mesh)) for name in offered}
    hops, wire, name, _ = collective(ALL_REDUCE, message, float(ranks), machine)
    assert hops + wire == pytest.approx(min(each.values()), rel=EXACT)
    assert each[COLLECTIVES[int(name)].replace("-", "_")] == pytest.approx(hops + wire, rel=EXACT)


def test_hand_values():
    # 1 MB over 8 devices by two-shot: 2 hops of 1 us, 2 x 7/8 MB at 200 GB/s = 8.75 us
    machine = only("two_shot", node=8, link_rate=200e9, hop=1e-6)
    assert time_of(ALL_REDUCE, 1e6, 8, machine) == pytest.approx(2e-6 + 8.75e-6, rel=EXACT)
    # four devices of a mesh of eight reach each other over 3 of 7 links
    assert group_rate(4.0, machine._replace(mesh=1.0)) == pytest.approx(200e9 * 3 / 7, rel=EXACT)


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 5, 8, 9, 64, 100, 1024])
def test_rounds(ranks):
    assert rounds(float(ranks)) == math.ceil(math.log2(ranks))


KINDS = st.sampled_from([ALL_REDUCE, ALL_GATHER, REDUCE_SCATTER, ALL_TO_ALL, POINT_TO_POINT])
MACHINES = st.builds(
    lambda node, mesh, rate, hop, names: make_machine(
        node=node, mesh=mesh, link_rate=rate, hop=hop, **{name: name in names for name in ALGORITHMS}
    ),
    st.integers(2, 16),
    st.booleans(),
    st.floats(1e9, 1e12),
    st.floats(0.0, 1e-5),
    st.sets(st.sampled_from(ALGORITHMS), min_size=1),
)


@given(KINDS, MESSAGES, st.integers(1, 64), MACHINES)
def test_compiled_equals_python(kind, message, ranks, machine):
    ranks = float(ranks if ranks <= machine.node else machine.node * (ranks // machine.node))
    ranks = max(ranks, 2.0)
    # 1e-9: the compiler may contract a multiply and an add
    expected = collective.py_func(kind, message, ranks, machine)
    assert collective(kind, message, ranks, machine) == pytest.approx(expected, rel=1e-9)


@given(KINDS, MESSAGES, st.integers(1, 8), MACHINES, st.floats(1.0, 4.0))
def test_faster_links_and_fewer_bytes_are_never_slower(kind, message, nodes, machine, factor):
    ranks = machine.node * nodes
    before = time_of(kind, message, ranks, machine)
    assert math.isfinite(before)
    assert before > 0.0
    for better in (
        machine._replace(link_rate=machine.link_rate * factor),
        machine._replace(out_rate=machine.out_rate * factor),
        machine._replace(hop=machine.hop / factor),
        machine._replace(out_hop=machine.out_hop / factor),
    ):
        assert time_of(kind, message, ranks, better) <= before * (1.0 + 1e-9)  # rounding only
    assert time_of(kind, message / factor, ranks, machine) <= before * (1.0 + 1e-9)  # rounding only


@given(st.sampled_from([ALL_REDUCE, ALL_GATHER, REDUCE_SCATTER, ALL_TO_ALL]), MESSAGES, st.integers(2, 16))
def test_bytes_sent_are_those_on_the_wire(kind, message, ranks):
    shares = {ALL_REDUCE: 2 * (ranks - 1) / ranks}
    _, _, _, sent = collective(kind, message, float(ranks), only("two_shot", node=16))
    assert sent == pytest.approx(shares.get(kind, (ranks - 1) / ranks) * message, rel=EXACT)


@given(MESSAGES, st.integers(2, 16), st.booleans())
def test_point_to_point_sends_its_message_whatever_the_number_of_stages(message, stages, mesh):
    _, _, _, sent = collective(POINT_TO_POINT, message, float(stages), make_machine(node=16, mesh=mesh))
    assert sent == pytest.approx(message, rel=EXACT)


def test_bytes_sent_by_a_hierarchical_all_reduce():
    _, _, _, sent = collective(ALL_REDUCE, 8e6, 16.0, only("two_shot", node=8))
    # in the node 7/8 of the message twice, between two nodes half of an eighth of it twice
    assert sent == pytest.approx(2 * 7e6 + 2 * 0.5 * 1e6, rel=EXACT)


@given(st.floats(1e-6, 1e-2), st.floats(0.0, 1e-4), st.floats(0.0, 1e-4), st.floats(0.0, 1e-2))
def test_fused_product_against_a_pipeline_of_pieces(product, start_up, hops, wire):
    def pipeline(pieces):
        sent = computed = 0.0
        for _ in range(pieces):
            computed += product / pieces
            sent = max(sent, computed) + hops + wire / pieces
        return start_up + sent

    best = min(pipeline(pieces) for pieces in (1, 2, 4, 8))
    assert fused_time(product, start_up, hops, wire) == pytest.approx(best, rel=EXACT)
    assert fused_time(product, start_up, hops, wire) <= (product + start_up + hops + wire) * (1.0 + EXACT)


@given(MESSAGES, st.integers(2, 16), MACHINES)
def test_inside_compiled_equals_python(message, ranks, machine):
    expected = all_reduce_inside.py_func(message, float(ranks), machine)
    # 1e-9: the compiler may contract a multiply and an add
    assert all_reduce_inside(message, float(ranks), machine) == pytest.approx(expected, rel=1e-9)
