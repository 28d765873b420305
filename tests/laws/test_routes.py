"""Slices of a torus and their collectives: hand values, a graph whose links are counted, invariants."""

from __future__ import annotations

import math

import pytest
from builders import make_machine, make_operator
from hypothesis import given
from hypothesis import strategies as st
from twins.torus import exchange_load, line_reduce_scatter_load, ring_reduce_scatter_load

from accelmodel.laws import routes
from accelmodel.laws.jit import compiled
from accelmodel.laws.routes import ROUTE, Leg, Torus
from accelmodel.laws.types import ROUTED, Operator

EXACT = 1e-12  # rounding only
#: axis lengths of a pod, and where an axis closes: TPU v5e, v4 and v5p
V5E = ((16, 16), (16.0, 16.0))
V4 = ((16, 16, 16), (4.0, 4.0, 4.0))
V5P = ((16, 20, 28), (4.0, 4.0, 4.0))


@pytest.mark.parametrize(
    ("devices", "pod", "axes", "wraps"),
    [
        (4, V5E, (2, 2), (False, False)),
        (16, V5E, (4, 4), (False, False)),
        (128, V5E, (8, 16), (False, True)),
        (256, V5E, (16, 16), (True, True)),
        (8, V5P, (2, 2, 2), (False, False, False)),
        (32, V5P, (2, 4, 4), (False, False, False)),  # no whole cube
        (64, V4, (4, 4, 4), (True, True, True)),
        (2048, V5P, (8, 16, 16), (True, True, True)),
        (8960, V5P, (16, 20, 28), (True, True, True)),
    ],
)
def test_slices_of_a_pod(devices, pod, axes, wraps):
    assert routes.torus(devices, *pod) == Torus(axes, wraps)


def test_a_chosen_slice_and_a_count_that_fits_no_box():
    assert routes.torus(16, *V5E, chosen=(1, 16)) == Torus((1, 16), (False, True))
    assert routes.torus(17, *V5E) is None
    # seven of 4 x 4 devices are no box: a row of seven, one way each
    assert routes.group(7, routes.torus(16, *V5E)) == Torus((7,), (False,))


@given(st.integers(2, 5), st.integers(2, 5), st.booleans(), st.booleans())
def test_exchanges_against_links_that_are_counted(a, b, first, second):
    wraps = (first and a > 2, second and b > 2)
    leg = routes.torus_exchange(Torus((a, b), wraps), 4.0)
    # a device's bandwidth is that of four links
    assert leg.load == pytest.approx(4.0 * exchange_load((a, b), wraps), rel=1e-9)  # sums of many shares


@given(st.integers(2, 40))
def test_reduce_scatter_along_one_axis(length):
    line, ring = Torus((length,), (False,)), Torus((length,), (True,))
    assert routes.torus_gather(line, 2.0).load == pytest.approx(2.0 * line_reduce_scatter_load(length), rel=1e-9)
    assert routes.torus_gather(ring, 2.0).load == pytest.approx(2.0 * ring_reduce_scatter_load(length), rel=1e-9)


def test_by_hand():
    # 2 x 2 without wrap: half of the four links, 3/4 of the message, one transfer along each axis
    assert routes.torus_gather(Torus((2, 2), (False, False)), 4.0) == Leg(2.0, 1.5)
    # 8 x 16 x 16 closed: all six links, 4 + 8 + 8 transfers
    leg = routes.torus_gather(Torus((8, 16, 16), (True, True, True)), 6.0)
    assert leg == pytest.approx((20.0, 2047 / 2048), rel=EXACT)
    # a group of four in a closed ring of sixteen is a line
    assert routes.group(4, Torus((16,), (True,))) == Torus((4,), (False,))
    assert routes.mesh_gather(4.0, 8.0) == pytest.approx((1.0, 0.75 * 7 / 3), rel=EXACT)
    assert routes.ring_gather(4.0) == Leg(3.0, 0.75)


@given(st.sampled_from([V5E, V4, V5P]), st.integers(1, 2048))
def test_a_group_is_never_faster_than_its_links_allow(pod, ranks):
    slice_of = routes.torus(math.prod(pod[0]), *pod)
    part = routes.group(ranks, slice_of)
    assert math.prod(part.axes) == ranks
    if ranks > 1:
        links = 2.0 * len(pod[0])
        assert routes.lanes(part) <= links
        assert routes.torus_gather(part, links).load >= (1.0 - 1.0 / ranks) * (1.0 - EXACT)


def test_a_route_in_a_row_by_hand():
    route = {
        "steps": 4, "load": 1.5, "out_steps": 2, "out_load": 0.25, "more_hops": 3e-6, "more_time": 1e-12,
        "algorithm": 2, "sent": 1.75,
    }  # fmt: skip
    given_columns = {ROUTE[name]: value for name, value in route.items()}
    op = make_operator(kind=ROUTED, message_bytes=1e6, ranks=8, **given_columns)
    machine = make_machine(link_rate=100e9, hop=1e-6, out_rate=10e9, out_hop=5e-6, start_up=4e-6, out_start=9e-6)
    # 1.5 MB at 100 GB/s, 0.25 MB at 10 GB/s, 1 MB at 1 TB/s: the second is the longest; hops add up
    expected = (9e-6, 4e-6 + 10e-6 + 3e-6, 25e-6, 2.0, 1.75e6)
    assert routes.routed(op, machine) == pytest.approx(expected, rel=EXACT)
    assert compiled(routes.routed)(op, machine) == pytest.approx(expected, rel=EXACT)
    near = make_operator(kind=ROUTED, message_bytes=1e6, ranks=8, **given_columns | {"k": 0.0, "groups": 0.0})
    assert routes.routed(near, machine)[0] == 4e-6


def test_a_route_stands_in_columns_of_its_own():
    assert len(set(ROUTE.values())) == len(ROUTE)
    used = {"kind", "count", "message_bytes", "ranks", "feeds", "stretch", "prefetch_bytes", "flops"}
    assert not used & set(ROUTE.values())
    assert set(ROUTE.values()) <= set(Operator._fields)
