"""Exchanges around experts: destinations against exact counting and drawn routings, times by hand, invariants."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from builders import changed, make_machine
from hypothesis import given
from hypothesis import strategies as st

from accelmodel.laws.exchange import EXCHANGES, destinations, missed, reached, ways
from accelmodel.laws.jit import compiled
from accelmodel.laws.types import EXCHANGE, Operator

EXACT = 1e-12  # rounding only
DEEPSEEK = (256.0, 8.0, 8.0, 4.0)


def exchange(ranks: float, message: float = 1e6, routing: tuple[float, ...] = (64.0, 8.0, 1.0, 1.0)) -> Operator:
    experts, used, groups, chosen = routing
    return Operator(EXCHANGE, message_bytes=message, ranks=ranks, n=experts, k=used, groups=groups, m=chosen)


def sent(kernels: str, op: Operator, machine, law=None):
    """Start-up, hops, wire, algorithm and bytes of an exchange, a token's destinations being found for the machine."""
    nodes = np.ceil(op.ranks / machine.node)
    return (law or EXCHANGES[kernels])(op, machine, destinations(op, op.ranks), destinations(op, nodes))


def counted(parts: int, experts: int, used: int, groups: int, chosen: int) -> float:
    """Parts that are reached on average, by counting all choices of groups and then of experts."""
    inside, size = groups // parts, experts // groups
    chance = 0.0
    for own in range(min(inside, chosen) + 1):
        ways_of_groups = comb(inside, own) * comb(groups - inside, chosen - own) / comb(groups, chosen)
        chance += ways_of_groups * comb((chosen - own) * size, used) / comb(chosen * size, used)
    return parts * (1.0 - chance)


@pytest.mark.parametrize(("nodes", "published"), [(2, 1.92), (4, 2.92), (8, 3.62)])
def test_nodes_that_deepseek_reaches(nodes, published):
    found = reached(float(nodes), *DEEPSEEK)
    assert found == pytest.approx(counted(nodes, 256, 8, 8, 4), rel=EXACT)
    assert found == pytest.approx(published, abs=0.01)  # digits printed


def test_ranks_of_a_node_that_are_reached_where_experts_are_chosen_out_of_all():
    # 8 x (1 - (7/8)^8) = 5.25 with return; without, which routers do, a little more
    assert reached(8.0, 256.0, 8.0, 1.0, 1.0) == pytest.approx(8 * (1 - comb(224, 8) / comb(256, 8)), rel=EXACT)
    assert reached(8.0, 256.0, 8.0, 1.0, 1.0) == pytest.approx(5.25, rel=0.01)


@pytest.mark.parametrize("parts", [2, 3, 8, 16, 32, 72])
@pytest.mark.parametrize(("groups", "chosen"), [(1, 1), (8, 4), (8, 3)])
def test_destinations_against_drawn_routings(parts, groups, chosen):
    """288 experts: that many divide into all of these parts and groups."""
    rng = np.random.default_rng(0)
    experts, used, draws, size = 288, 8, 4000, 288 // groups
    picked = np.argsort(rng.random((draws, groups)), axis=1)[:, :chosen]
    scores = rng.random((draws, chosen * size))
    inside = np.argsort(scores, axis=1)[:, :used]
    experts_of = picked[np.arange(draws)[:, None], inside // size] * size + inside % size
    destinations = [len(set(row)) for row in experts_of * parts // experts]
    # 3 %: parts that have pieces of two groups; 4,000 draws err by 0.5 %
    assert reached(float(parts), 288.0, 8.0, groups, chosen) == pytest.approx(np.mean(destinations), rel=0.03)


def test_limits_of_destinations():
    assert reached(1.0, *DEEPSEEK) == pytest.approx(1.0, rel=EXACT)
    assert reached(4.0, 64.0, 1.0, 1.0, 1.0) == pytest.approx(1.0, rel=EXACT)
    assert missed(0.25, 16.0, 16.0) == 0.0
    assert missed(0.0, 16.0, 4.0) == 1.0
    # all groups are as no groups
    assert reached(4.0, 256.0, 8.0, 8.0, 8.0) == pytest.approx(reached(4.0, 256.0, 8.0, 1.0, 1.0), rel=EXACT)


@pytest.mark.parametrize(("number", "chosen"), [(8, 4), (5, 0), (3, 4), (6, 6)])
def test_ways_to_choose(number, chosen):
    assert ways(float(number), float(chosen)) == pytest.approx(comb(number, chosen), abs=0.0)


MACHINE = make_machine(
    node=8, link_rate=100e9, hop=1e-6, out_rate=25e9, out_hop=5e-6, exchange_start=30e-6, direct_share=0.5
)


def test_low_latency_by_hand():
    start, hops, wire, _, moved = sent("low-latency", exchange(16.0, 16e6), MACHINE)
    assert (start, hops) == (30e-6, 5e-6)
    # eight peers on another node at 25 GB/s, seven on its own at half of 100, a megabyte for each
    assert wire == pytest.approx(max(8e6 / 25e9, 7e6 / 50e9), rel=EXACT)
    assert moved == pytest.approx(15e6, rel=EXACT)
    start, hops, wire, _, moved = sent("low-latency", exchange(8.0, 16e6), MACHINE)
    assert (hops, wire, moved) == (1e-6, pytest.approx(7 * 2e6 / 50e9, rel=EXACT), pytest.approx(14e6, rel=EXACT))


def test_network_takes_no_links_of_the_node():
    _, hops, wire, _, _ = sent("network", exchange(8.0, 16e6), MACHINE)
    assert (hops, wire) == (5e-6, pytest.approx(7 * 2e6 / 25e9, rel=EXACT))


def test_normal_by_hand():
    """Tokens with one expert of 16: to one device, on one node; half of the copies go to the other one."""
    routing = (16.0, 1.0, 1.0, 1.0)
    _, hops, wire, _, moved = sent("normal", exchange(16.0, 16e6, routing), MACHINE)
    assert hops == pytest.approx(6e-6, rel=EXACT)
    assert wire == pytest.approx(max(8e6 / 25e9, 16e6 / 50e9), rel=EXACT)
    assert moved == pytest.approx(24e6, rel=EXACT)
    _, hops, wire, _, moved = sent("normal", exchange(8.0, 16e6, routing), MACHINE)
    assert (hops, wire, moved) == (1e-6, pytest.approx(14e6 / 50e9, rel=EXACT), pytest.approx(14e6, rel=EXACT))


def test_normal_sends_each_node_a_copy_once():
    """All eight experts of a token lie on all of 16 devices: 2 copies for nodes, not 8, and 16 for devices."""
    _, _, _, _, moved = sent("normal", exchange(16.0, 8e6, (16.0, 16.0, 1.0, 1.0)), MACHINE)
    one = 8e6 / 16.0
    assert moved == pytest.approx(one * (2.0 * 0.5 + 16.0), rel=EXACT)


@given(st.sampled_from(sorted(EXCHANGES)), st.integers(2, 256), st.floats(1.0, 1e9), st.floats(1.0, 10.0))
def test_more_of_a_link_is_never_slower(kernels, ranks, message, factor):
    op = exchange(float(ranks), message, DEEPSEEK)
    before = sum(sent(kernels, op, MACHINE)[:3])
    for name in ("link_rate", "out_rate"):
        faster = changed(MACHINE, **{name: getattr(MACHINE, name) * factor})
        assert sum(sent(kernels, op, faster)[:3]) <= before * (1 + EXACT)


@given(st.integers(2, 256), st.floats(1.0, 1e9))
def test_forwarding_sends_no_more_between_nodes_than_a_copy_for_each_expert(ranks, message):
    op = exchange(float(ranks), message, DEEPSEEK)
    fast = changed(MACHINE, link_rate=1e15)
    assert sent("normal", op, fast)[2] <= sent("network", op, fast)[2] * (1 + EXACT)
    assert sent("low-latency", op, MACHINE)[2] <= sent("network", op, MACHINE)[2] * (1 + EXACT)


@pytest.mark.parametrize("kernels", EXCHANGES)
@pytest.mark.parametrize("ranks", [4.0, 32.0])
def test_compiled_and_plain_agree(kernels, ranks):
    op, law = exchange(ranks, 1e6, DEEPSEEK), compiled(EXCHANGES[kernels])
    assert sent(kernels, op, MACHINE, law) == pytest.approx(sent(kernels, op, MACHINE), rel=EXACT)
    assert compiled(destinations)(op, ranks / 2) == pytest.approx(destinations(op, ranks / 2), rel=EXACT)
