"""Axes by all their names: fields of every part, levels, words; what is none is told with the closest."""

from __future__ import annotations

import pytest

from accelmodel.dse.studies.axes import AXES, Axis, axis_name, level_of, role_of, spread
from accelmodel.dse.studies.schema import axis_names
from accelmodel.errors import SpecError


@pytest.mark.parametrize(
    ("given", "name", "unit", "kind"),
    [
        ("l2.capacity", "l2_capacity", "B", "number"),
        ("l2_capacity", "l2_capacity", "B", "number"),
        ("hbm.bandwidth", "hbm_bandwidth", "B/s", "number"),
        ("hbm.generation", "hbm_generation", "1", "word"),
        ("compute.cores", "cores", "1", "integer"),
        ("compute.clock", "clock", "1/s", "number"),
        ("matmul.unhidden", "exposed", "1", "number"),
        ("link.bandwidth", "link_bandwidth", "B/s", "number"),
        ("link.links", "links", "1", "integer"),
        ("link.hop_latency", "link_hop_latency", "s", "number"),
        ("link_hop_latency", "link_hop_latency", "s", "number"),
        ("link.inside.1.bandwidth", "link_inside_1_bandwidth", "B/s", "number"),
        ("scale_out.bandwidth", "scale_out_bandwidth", "B/s", "number"),
        ("bill.core_area", "bill_core_area", "m2", "number"),
        ("process.defect_density", "process_defect_density", "1/m2", "number"),
        ("site.utilisation", "site_utilisation", "1", "number"),
        ("process", "process", "1", "word"),
        ("dies", "dies", "1", "integer"),
        ("stacked_sram", "stacked_sram", "B", "number"),
    ],
)
def test_names_units_and_kinds(given, name, unit, kind):
    role = role_of(given)
    assert (axis_name(given), role.unit, role.kind) == (name, unit, kind)
    assert axis_name(role.full) == axis_name(name) == name


def test_every_name_of_the_schema_is_one_axis():
    for name, spellings in axis_names().items():
        assert {axis_name(each) for each in spellings} == {name}
    assert set(AXES) <= axis_names().keys()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("l3_capacity", "l2"),
        ("link_bandwith", "did you mean 'link_bandwidth'"),
        ("link.bandwith", "axis of link 'bandwith', did you mean 'bandwidth'"),
        ("link.topology", "is no number; words that may vary are"),
        ("price", "limit it under [constraints]"),
        ("die_area", "limit it under [constraints]"),
        ("bill.colour", "unknown axis of bill"),
    ],
)
def test_what_is_no_axis_is_told(given, says):
    with pytest.raises(SpecError) as caught:
        axis_name(given)
    assert says in str(caught.value)


def test_levels_are_counted_from_one():
    assert level_of("link.beyond.2.share") == ("beyond", 1, "share")
    assert level_of("link.inside.0.share") is None


def test_the_grid_of_an_axis_has_both_ends():
    axis = Axis("x", "x", "number", "1", None, 0.1, 0.7, places=4)
    assert axis.grid.tolist()[0::3] == [0.1, 0.7]
    assert spread(1e-6, 1e-3, 4, True) == pytest.approx([1e-6, 1e-5, 1e-4, 1e-3])
