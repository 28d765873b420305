"""Figures of sweeps: which points they hold, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import accelmodel as am
from accelmodel.errors import SpecError
from accelmodel.report.sweep_figures import line_figure, line_points


@pytest.fixture
def result():
    values = np.arange(12.0).reshape(2, 3, 2)
    coords = {
        "chip": ["a<b>", "b"],
        "l2_capacity": ("l2_capacity", [1e6, 2e6, 90e6], {"units": "B", "long_name": "l2.capacity"}),
        "batch": [1, 2],
    }
    dims = tuple(coords)
    found = xr.Dataset({"step_time": (dims, values * 1e-3, {"units": "s", "long_name": "step time"})}, coords=coords)
    found["feasible"] = (dims, values != 4.0)
    return found


def test_a_line_for_each_value_without_what_cannot_be(result):
    lines = line_points(result, "step_time", "l2_capacity", ["chip"], {"batch": 1})
    assert [line["name"] for line in lines] == ["a<b>", "b"]
    assert lines[0]["x"] == [1e6, 2e6]
    assert lines[0]["y"] == [0.0, 0.002]
    assert lines[1]["y"] == [0.006, 0.008, 0.01]


def test_axes_have_units_that_are_read(result):
    drawn = line_figure(
        result, "step_time", "l2_capacity", line_points(result, "step_time", "l2_capacity", ["chip", "batch"])
    )
    assert drawn.layout.xaxis.title.text == "l2.capacity [MB]"
    assert drawn.layout.yaxis.title.text == "step time [ms]"
    assert drawn.layout.xaxis.type == "log"
    assert drawn.layout.xaxis.ticktext == ("1", "2", "5", "10", "20", "50", "100")
    assert drawn.data[3].x == (1.0, 2.0, 90.0)
    assert drawn.data[3].y == pytest.approx((7.0, 9.0, 11.0))
    assert [trace.name for trace in drawn.data] == ["a<b>, batch 1", "a<b>, batch 2", "b, batch 1", "b, batch 2"]
    assert len({(trace.line.color, trace.line.dash) for trace in drawn.data}) == 4


def test_names_are_no_markup(result, tmp_path):
    page = am.draw(result, tmp_path / "a.html", y="step_time", x="batch", lines=["chip"], at={"l2_capacity": 1e6})
    text = page.read_text(encoding="utf-8").rpartition("Plotly.newPlot")[2]
    assert "a<b>" not in text


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"y": "stp_time", "x": "batch"}, "did you mean 'step_time'"),
        ({"y": "step_time", "x": "bath"}, "did you mean 'batch'"),
        ({"y": "step_time", "x": "batch"}, "chip has several values"),
        ({"y": "step_time", "x": "batch", "lines": ["chip"], "at": {"l2_capacity": 3.0}}, "has no value 3.0"),
        ({"y": "step_time", "x": "l2_capacity", "lines": ["chip"], "at": {"batch": 1}}, "cannot be written"),
    ],
)
def test_what_cannot_be_drawn_is_refused(result, tmp_path, asked, says):
    with pytest.raises(SpecError, match=says):
        am.draw(result, tmp_path / "nowhere" / "a.html", **asked)


def test_names_keep_their_capitals(result, tmp_path):
    result.step_time.attrs["description"] = "time of HBM and L2"
    page = am.draw(result, tmp_path / "a.html", y="step_time", x="batch", lines=["chip"], at={"l2_capacity": 1e6})
    assert "Time of HBM and L2, over batch." in page.read_text(encoding="utf-8")
