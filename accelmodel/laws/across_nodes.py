"""Collectives over several nodes: what is inside nodes and what is between them run side by side, chunk by chunk.

Three ways: one ring through all ranks, trees of nodes, and hierarchical, node by node.  NCCL and RCCL have the first
two; libraries of meshes and tori (HCCL, the TPU's compiler) reduce inside a node first.  A library pipelines all of
them in chunks, so that the slower of the links inside nodes and the ports between them sets the time.
"""

from __future__ import annotations

from accelmodel.laws.generated import AlgorithmCost, least
from accelmodel.laws.jit import law
from accelmodel.laws.transfers import filled, fused_order, gather_inside, group_time, offered_time, rounds
from accelmodel.laws.types import Machine


@law
def ring_between(message: float, nodes: float, machine: Machine) -> AlgorithmCost:
    """2(n-1) transfers of 1/n of the message between one device of each node."""
    hops = 2.0 * (nodes - 1.0) * machine.out_hop
    shares = 2.0 - 2.0 / nodes
    wire = shares * (message * machine.out_time)
    return AlgorithmCost(hops + wire, 0.0, hops, wire, shares)


@law
def tree_between(message: float, nodes: float, machine: Machine) -> AlgorithmCost:
    """Up and down a tree of nodes between one device of each."""
    hops = 2.0 * rounds(nodes) * machine.out_hop
    wire = 2.0 * (message * machine.out_time)
    return AlgorithmCost(hops + wire, 0.0, hops, wire, 2.0)


@law
def beside(near: float, out: float, inside: float) -> float:
    """Time of what runs inside nodes and between them at once: the longer of the two, alone in its node the latter."""
    return max(near, out) if inside > 1.0 else out


@law
def ring_across(message: float, inside: float, machine: Machine, nodes: float) -> AlgorithmCost:
    """One ring through all ranks, as often as a node has devices: each leaves it through the port of another one.

    A device sends 2(N-1)/N of the message, to its neighbour in the node but in one of the rings, and as much leaves a
    node through the ports of all its devices together.
    """
    ranks = inside * nodes
    shares = 2.0 - 2.0 / ranks
    hops = 2.0 * ((ranks - nodes) * machine.hop + (nodes - 1.0) * machine.out_hop)
    kept = shares * (1.0 - 1.0 / inside) + machine.own_copy / ranks
    near = filled(kept * (message * group_time(inside, machine)), machine)
    wire = beside(near, shares * (message * machine.out_time) / inside, inside)
    return AlgorithmCost(
        offered_time(machine.out_ring, machine.out_start + hops + wire), machine.out_start, hops, wire, shares
    )


@law
def tree_across(message: float, inside: float, machine: Machine, nodes: float) -> AlgorithmCost:
    """A double binary tree of nodes whose devices are chains: all is sent twice, through all ports of a node."""
    hops = 2.0 * ((inside - 1.0) * machine.hop + rounds(nodes) * machine.out_hop)
    near = filled(2.0 * (message * group_time(inside, machine)), machine)
    wire = beside(near, 2.0 * (message * machine.out_time) / inside, inside)
    return AlgorithmCost(
        offered_time(machine.out_tree, machine.out_start + hops + wire), machine.out_start, hops, wire, 2.0
    )


@law
def levels_across(message: float, inside: float, machine: Machine, nodes: float) -> AlgorithmCost:
    """Hierarchical: a reduce-scatter in the node, an all-reduce of the shares between nodes, an all-gather."""
    near, _ = gather_inside(message, inside, machine)
    out, _ = all_reduce_between(message * (1.0 / inside), nodes, machine)
    hops = 2.0 * near.hops + out.hops
    wire = beside(2.0 * near.wire, out.wire, inside)
    shares = 2.0 - 2.0 / inside + out.shares / inside
    return AlgorithmCost(
        offered_time(machine.hierarchical, machine.out_start + hops + wire), machine.out_start, hops, wire, shares
    )


@law
def ring_gather_across(message: float, inside: float, machine: Machine, nodes: float) -> AlgorithmCost:
    """Half of ``ring_across``: N - 1 transfers of a share."""
    ranks = inside * nodes
    shares = 1.0 - 1.0 / ranks
    hops = (ranks - nodes) * machine.hop + (nodes - 1.0) * machine.out_hop
    kept = shares * (1.0 - 1.0 / inside) + machine.own_copy / ranks
    near = filled(kept * (message * group_time(inside, machine)), machine)
    wire = beside(near, shares * (message * machine.out_time) / inside, inside)
    return AlgorithmCost(
        offered_time(machine.out_ring, machine.out_start + hops + wire), machine.out_start, hops, wire, shares
    )


@law
def levels_gather_across(message: float, inside: float, machine: Machine, nodes: float) -> AlgorithmCost:
    """Hierarchical: each device exchanges its share with its peers of other nodes, and its node spreads all of them."""
    near, _ = gather_inside(message, inside, machine)
    hops = near.hops + (nodes - 1.0) * machine.out_hop
    wire = beside(near.wire, (1.0 - 1.0 / nodes) * message * machine.out_time / inside, inside)
    shares = 1.0 - 1.0 / inside + (1.0 - 1.0 / nodes) / inside
    return AlgorithmCost(
        offered_time(machine.hierarchical, machine.out_start + hops + wire), machine.out_start, hops, wire, shares
    )


ALL_REDUCES_BETWEEN = {"ring": ring_between, "tree": tree_between}
ALL_REDUCES_ACROSS = {"ring": ring_across, "tree": tree_across, "hierarchical": levels_across}
GATHERS_ACROSS = {"ring": ring_gather_across, "hierarchical": levels_gather_across}

_ACROSS = ("message", "inside", "machine", "nodes")
all_reduce_between = least("all_reduce_between", ALL_REDUCES_BETWEEN)
all_reduce_across = least("all_reduce_across", ALL_REDUCES_ACROSS, _ACROSS)
fused_across = least("fused_across", ALL_REDUCES_ACROSS, _ACROSS, weigh=fused_order, beside=("matmul",))
gather_across = least("gather_across", GATHERS_ACROSS, _ACROSS)
