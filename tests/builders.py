"""Machines, operators, arrays and step times for the tests, with defaults that a test overrides where it matters."""

from __future__ import annotations

import numpy as np

from accelmodel.inference.run import run_kernel
from accelmodel.laws.kernels.batching import Rules, Times
from accelmodel.laws.prepared import prepared
from accelmodel.laws.types import ELEMENTWISE, GIVEN, MATMUL, Machine, Operator

#: a field that is not named takes no time or is not offered
MACHINE = Machine(**dict.fromkeys(GIVEN, 0.0))._replace(
    cores=32.0, rate_16bit=8e12, rate_8bit=16e12, rate_6bit=16e12, rate_4bit=32e12,
    rate_8bit_int=12e12, rate_4bit_int=24e12, convert_rate=1e11, vector_rate=20e12,
    tile_m=128.0, tile_n=256.0, tile_least=16.0, tile_k=64.0, multicast=1.0, min_rows=16.0, split_loss=1.0,
    store_rate=1e13, split_time=1e-6, fill_time=0.5e-6, exposed=0.25,
    hbm_rate=1.5e12, l2_rate=5e12, l2_bytes=100e6, l2_ways=16.0, l2_copies=1.0, launch=2e-6,
    node=8.0, link_rate=200e9, contention=1.0, hop=1e-6, start_up=5e-6,
    direct_start_up=5e-6, barrier=1.0, direct_share=1.0, direct_limit=1e18,
    ring=1.0, tree=1.0, one_shot=1.0, two_shot=1.0, direct=1.0, out_rate=25e9, out_hop=5e-6,
    softmax_rate=2e10, attention_time=1e-6, attention_tile_time=1e-7, attention_draw=0.5, combine_time=1e-6,
    attention_rows=128.0, attention_share=1.0, attention_widen_rate=1e15, attention_reread=0.0,
    attention_fill=1.0, out_ring=1.0, out_tree=1.0, out_start=5e-6, crowding=1.0, prefetch_share=1.0,
    rows_held=64.0, group_fill=0.7e-6, expert_start=1.5e-6, expert_tile_time=0.3e-6, expert_share=0.8,
)  # fmt: skip
OPERATOR = Operator(
    kind=MATMUL, count=1.0, groups=1.0, m=4.0, n=4096.0, k=4096.0,
    weight_bytes=4096.0 * 4096.0, input_bytes=4.0 * 4096.0, output_bytes=8.0 * 4096.0, bits=8.0,
    flops=2.0 * 4.0 * 4096.0 * 4096.0, vector_ops=0.0, prefetch_bytes=0.0, message_bytes=0.0, ranks=1.0, feeds=-1.0,
    stretch=1.0, warm=0.0,
)  # fmt: skip
#: a step takes 10 ms whatever it holds
FLAT = Times(np.full(20, 0.01), np.zeros((12, 20)), np.zeros((20, 20)))
#: a step takes 1 ms and 10 us for each token of a prompt or sequence
LINEAR = Times(0.001 + 1e-5 * 2.0 ** np.arange(20), np.zeros((12, 20)), np.zeros((20, 20)))
RULES = Rules(256, 1e9, 0, 0, 0.0, 0.0, 0.0, False)


def make_machine(**overrides: float) -> Machine:
    return prepared(MACHINE._replace(**{name: float(value) for name, value in overrides.items()}))


def changed(machine: Machine, **overrides: float) -> Machine:
    """Return a machine with other values of some given fields, and what is derived of them."""
    return prepared(machine._replace(**{name: float(value) for name, value in overrides.items()}))


def make_operator(**overrides: float) -> Operator:
    return OPERATOR._replace(**{name: float(value) for name, value in overrides.items()})


def streamed(weights: float, activations: float = 0.0, **overrides: float) -> Operator:
    """Operator that does nothing but move bytes: weights from HBM, half of the activations in, half out."""
    columns = {
        "kind": ELEMENTWISE,
        "weight_bytes": weights,
        "prefetch_bytes": weights,
        "input_bytes": activations / 2.0,
        "output_bytes": activations / 2.0,
        "flops": 0.0,
    }
    return make_operator(**{**columns, **overrides})


def table_of(operators) -> np.ndarray:
    """Return operators as the kernel's array (column, row, 1)."""
    return np.array(operators, dtype=float).T[:, :, None].copy()


def machines_of(*machines) -> np.ndarray:
    """Return machines as the kernel's array (field, 1, design)."""
    return np.array(machines, dtype=float).T[:, None, :].copy()


def step_totals(operators, machine, policy):
    """Return step time [s], prefetched bytes and HBM bytes of one workload on one machine."""
    totals, _ = run_kernel(table_of(operators), machines_of(machine), policy)
    return totals[:, 0, 0]


def step_times(operators, machines, policy) -> np.ndarray:
    """Return the time of a step of one workload on each of some machines [s]."""
    totals, _ = run_kernel(table_of(operators), machines_of(*machines), policy)
    return totals[0, 0]


def step_detail(operators, machine, policy) -> np.ndarray:
    """Return the kernel's figures (DETAIL, row) of one workload on one machine."""
    _, detail = run_kernel(table_of(operators), machines_of(machine), policy, detail=True)
    return detail[:, :, 0, 0]
