"""Collectives as messages between devices, round by round, with the occupancy of each port or link.

Behind a switch a device has one port out and one in; in a mesh each pair has its own link, which takes
the node's share of a device's bandwidth.  A round lasts one hop and the busiest port or link.
"""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

Message = tuple[int, int, float]


def port_bytes(messages: list[Message]) -> dict:
    """Return bytes through each port of each device: (device, "out") and (device, "in")."""
    load: dict = defaultdict(float)
    for source, target, size in messages:
        load[source, "out"] += size
        load[target, "in"] += size
    return load


def round_time(messages: list[Message], machine) -> float:
    """Return the time that the busiest port or link needs [s]."""
    if machine.mesh > 0.5:
        load: dict = defaultdict(float)
        for source, target, size in messages:
            load[source, target] += size
        return max(load.values(), default=0.0) / (machine.link_rate / (machine.node - 1.0))
    return max(port_bytes(messages).values(), default=0.0) / machine.link_rate


def run(rounds: list[list[Message]], machine) -> float:
    """Return the time of rounds that wait for one another [s]."""
    return sum(machine.hop + round_time(messages, machine) for messages in rounds)


def ring_all_reduce(ranks: int, size: float, strides: list[int]) -> list[list[Message]]:
    """Return the rounds of a ring all-reduce, cut over one ring per stride; check that all sums are complete.

    A stride that is no divisor of ``ranks`` runs through all devices; a mesh uses one ring per link.
    """
    rounds: list[list[Message]] = []
    for _ in range(2 * (ranks - 1)):
        rounds.append([(d, (d + s) % ranks, size / ranks / len(strides)) for s in strides for d in range(ranks)])
    for stride in strides:
        order = [i * stride % ranks for i in range(ranks)]
        held = {(d, c): {d} for d in range(ranks) for c in range(ranks)}
        for step in range(2 * (ranks - 1)):
            sent = []
            for i, device in enumerate(order):
                chunk = (i - step) % ranks if step < ranks - 1 else (i + 1 - (step - ranks + 1)) % ranks
                sent.append((order[(i + 1) % ranks], chunk, set(held[device, chunk])))
            for target, chunk, summands in sent:
                held[target, chunk] |= summands
        if any(len(summands) != ranks for summands in held.values()):
            raise ValueError(f"ring of stride {stride} over {ranks} leaves a sum incomplete")
    return rounds


def everyone_to_everyone(ranks: int, size: float) -> list[Message]:
    """Each device sends ``size`` to each other device: a one-shot, and each half of a two-shot."""
    return [(a, b, size) for a in range(ranks) for b in range(ranks) if a != b]


def double_tree(levels: int) -> tuple[int, float]:
    """Return depth and busiest port, in messages, of two binary trees that carry half the message each.

    2^levels devices.  In each tree one device stands above the root of a full binary tree over the others,
    in the order of their numbers; the second tree is the mirror image, so that who is inner in one is a
    leaf in the other (Sanders, Speck and Traeff, Parallel Computing 35(12), 2009).
    """
    ranks = 2**levels
    parent: dict[int, int] = {}

    def grow(low: int, high: int, above: int) -> None:
        if low < high:
            middle = (low + high) // 2
            parent[middle] = above
            grow(low, middle, middle)
            grow(middle + 1, high, middle)

    grow(0, ranks - 1, ranks - 1)
    messages = []
    for turned in (False, True):
        for child, above in parent.items():
            a, b = (ranks - 1 - child, ranks - 1 - above) if turned else (child, above)
            messages += [(a, b, 0.5), (b, a, 0.5)]  # up to be summed, down as the sum

    def depth(node: int) -> int:
        return 0 if node == ranks - 1 else 1 + depth(parent[node])

    return max(depth(node) for node in range(ranks)), max(port_bytes(messages).values())


def best_pipeline(wire: float, latency: float, most: int = 4096) -> tuple[float, int]:
    """Return the least time of a message that is cut into whole chunks [s], and their number.

    Two stages work on the chunks in turn: the copy into a buffer, which costs a latency for each chunk, and
    the wire.  The wire waits for the first chunk, and each chunk's latency stands between two of them.
    """
    best, number = float("inf"), 0
    for chunks in range(1, most + 1):
        clock = wire / chunks  # the first chunk is copied
        clock += chunks * (latency + wire / chunks)
        if clock < best:
            best, number = clock, chunks
        elif chunks > 2 * number:
            break
    return best, number


def in_switch(ranks: int) -> Fraction:
    """Return bytes out of one device, in messages.

    The switch pulls each share from all devices and returns the sum to one, which writes it back to be multicast.
    """
    pulled = sum(Fraction(1, ranks) for _ in range(ranks))
    return pulled + Fraction(1, ranks)
