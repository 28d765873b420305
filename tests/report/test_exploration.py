"""The report: numbers of its figures against the exploration, axes with units, and one file that stands alone."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from accelmodel.dse.enumeration.looking import Looking
from accelmodel.dse.evaluation.evaluate import evaluate
from accelmodel.dse.explore import explore, summary
from accelmodel.dse.studies.study import load_study
from accelmodel.dse.studies.terms import technique_words
from accelmodel.errors import SpecError
from accelmodel.inference.policies import TECHNIQUES
from accelmodel.report import exploration as report
from accelmodel.report import (
    exploration_figures,
    exploration_points,
    front_figures,
    front_points,
    timeline_figures,
    timeline_points,
)
from accelmodel.specs.given import override
from accelmodel.validation import claims, volume

STUDY = """
[study]
title = "Three sizes <script>alert('x')</script> & more"
device = "ascend-910b2"
bill = "ascend-910b"
trials = 8

[space]
l2_capacity = { values = ["8MB", "64MB", "104MB"] }
hbm_stacks = { values = ["4", "5"] }

[workload]
models = ["llama-3-70b"]
batch = [4]
context = [16384]
weight_bits = 8
activation_bits = 8
kv_bits = 8

[software]
tp = [8]
threshold = [1.0]
rule = ["partial"]

[constraints]
die_area = "858mm2"
"""


@pytest.fixture(scope="module")
def exploration(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    path = folder / "three-sizes.toml"
    path.write_text(STUDY, encoding="utf-8")
    return explore(load_study(str(path)), folder / "study.journal")


@pytest.fixture
def quick(monkeypatch):
    """Spare the tests the grid of the region and the claims, which have tests of their own."""
    axes = {"start_up": [1e-5, 1.8e-5], "l2_usable": [0.6, 1.0], "sram_area": [5e-13, 6e-13, 7e-13]}
    holds = np.zeros((2, 2, 3), dtype=bool)
    holds[1, 0, :2] = True
    grid = xr.Dataset({"holds": (tuple(axes), holds)}, coords=axes)
    claim = {
        "claim": "A <b>claim</b> [B]", "source": "preserve", "locator": "here", "published": 1e8, "model": 9e7,
        "relative_error": -0.1, "tolerance": 0.05, "within": False, "calibrated_on_it": False,
    }  # fmt: skip
    monkeypatch.setattr(claims, "region", lambda: grid)
    shares = {"all": 0.25, "gain": 0.5, "max_speedup": 0.375}
    monkeypatch.setattr(volume, "volume", lambda **_: shares)
    monkeypatch.setattr(claims, "validate", lambda _: [claim])


def test_curves_are_the_best_at_each_value_of_each_axis(exploration):
    found = exploration_points.curve_points(exploration)
    assert found["unit"] == "tokens/s per mm²"
    assert [panel["label"] for panel in found["panels"]] == ["L2 capacity [MB]", "HBM stacks"]
    lead, stacks = found["panels"]
    assert [(line["space"], line["technique"]) for line in lead["lines"]] == [
        (space, technique) for space in ("whole space", "alone") for technique in ("none", "preserve")
    ]
    assert [line["space"] for line in stacks["lines"]] == ["whole space"] * 2
    sizes, number = (xr.DataArray(v, dims=d) for v, d in (([8e6, 64e6, 104e6], "l2"), ([4.0, 5.0], "stacks")))
    every = evaluate(exploration.study, exploration.parts, l2_capacity=sizes, hbm_stacks=number)
    value = every.throughput_per_area.sel(technique="preserve") * 1e-6
    for line, best in ((lead["lines"][1], value.max("stacks")), (stacks["lines"][1], value.max("l2"))):
        assert line["y"] == pytest.approx(best.values.tolist(), rel=1e-12)
        assert line["best"]["x"] == line["x"][int(best.values.argmax())]
    assert lead["lines"][1]["x"] == [8.0, 64.0, 104.0]


def test_chips_and_their_costs_add_up(exploration):
    chips = exploration_points.chip_points(exploration)
    assert [chip["space"] for chip in chips] == ["alone"] * 2 + ["whole space"] * 2
    costs = exploration_points.cost_points(exploration)
    for i, chip in enumerate(chips):
        assert sum(values[i] for values in costs["area"].values()) == pytest.approx(chip["die_area"] * 1e6)
        assert sum(values[i] for values in costs["price"].values()) == pytest.approx(chip["price"])


def test_lanes_of_the_timeline_agree_with_the_step(exploration):
    step = timeline_points.step_points(exploration)
    found = timeline_points.timeline_points(exploration)
    for technique in ("none", "preserve"):
        bars = found["lanes"][technique]
        assert [bar["name"] for bar in bars if bar["collective"]] == [
            "all_reduce_into_attention",
            "all_reduce_into_mlp",
        ]
        ends = [bar["start"] + bar["length"] for bar in bars]
        assert [bar["start"] for bar in bars[1:]] == pytest.approx(ends[:-1])
        assert ends[-1] == pytest.approx(found["total"][technique])
    assert found["total"]["preserve"] < found["total"]["none"]
    assert list(step["prefetches"]) == ["preserve"]
    pieces, rows = step["prefetches"]["preserve"], step["rows"]["preserve"]
    fetched = sum(row["fetched_bytes"] for row in rows)
    assert sum(piece["bytes"] for piece in pieces) == pytest.approx(fetched, rel=1e-6)
    for piece in pieces:
        reader = next(row for row in rows if row["name"] == piece["name"])
        assert piece["end"] <= reader["start"] + 1e-12
        assert piece["bytes"] / (piece["end"] - piece["start"]) <= step["hbm_rate"] * (1.0 + 1e-9)


def test_prefetch_lane_by_hand():
    """10 MB and 20 MB at 1 TB/s: 15 MB during the collective, 5 MB beside a norm, the rest is read by its operator."""

    def row(name, start, time, admitted, fetched, collective=False):
        window, own = 0, 0.0
        return {
            "name": name, "window": window, "collective": collective, "start": start, "time": time, "hbm_bytes": own,
            "admitted_bytes": admitted, "fetched_bytes": fetched,
        }  # fmt: skip

    rows = [
        row("all_reduce", 0.0, 15e-6, 0.0, 15e6, True),
        row("norm", 15e-6, 5e-6, 0.0, 5e6),
        row("first", 20e-6, 4e-6, 10e6, 0.0),
        row("second", 24e-6, 9e-6, 20e6, 0.0),
    ]
    found = timeline_points.prefetches(rows, 1e12)
    assert [(piece["name"], piece["bytes"]) for piece in found] == [("first", 10e6), ("second", 10e6)]
    assert [piece["start"] for piece in found] == pytest.approx([0.0, 10e-6])
    assert [piece["end"] for piece in found] == pytest.approx([10e-6, 20e-6])


def test_occupancy_stays_below_what_was_fetched(exploration):
    found, step = timeline_points.occupancy_points(exploration), timeline_points.step_points(exploration)
    assert found["usable"] == pytest.approx(step["l2"] * exploration.parts.device.l2_usable / 1e6)
    line = found["lines"]["preserve"]
    assert 0.0 < max(line["waiting"]) <= sum(row["fetched_bytes"] for row in step["rows"]["preserve"]) / 1e6
    assert line["time"] == sorted(line["time"])
    assert line["waiting"][0] == 0.0


def test_speedups_blank_where_a_model_does_not_fit(exploration):
    found = exploration_points.speedup_points(exploration)
    assert list(found["grids"]) == ["llama-3-70b"]
    # batch 64 x 32768 alone: the prefill of 64 x 21845 tokens holds 2 x 15360 values of 2 B each, 86 GB of 68.7 GB
    assert found["blank"] == 1
    assert min(x for row in found["grids"]["llama-3-70b"] for x in row if x is not None) >= 1.0
    small = override(exploration.parts.device, hbm_capacity=16e9)
    found = exploration_points.speedup_points(replace(exploration, parts=replace(exploration.parts, device=small)))
    blanks = [x for row in found["grids"]["llama-3-70b"] for x in row if x is None]
    assert len(blanks) == found["blank"] > 0


def test_front_holds_the_best(exploration):
    found = front_points.front_points(exploration)
    assert found["labels"] == ["Die area [mm²]", "Throughput [tokens/s per device]"]
    assert found["limits"] == pytest.approx([858.0, None])
    for technique, spots in found["fronts"].items():
        assert any(spot["at"] == pytest.approx(found["best"][technique]["at"]) for spot in spots)
        for area, rate in (spot["at"] for spot in spots):
            assert not any(other["at"][0] < area and other["at"][1] > rate for other in spots)


def test_parallel_lines_lie_between_the_ends_that_are_written(exploration):
    found = front_points.parallel_points(exploration)
    assert sum(line["best"] for line in found["lines"]) == 2
    for line in found["lines"]:
        assert len(line["y"]) == len(found["columns"])
        assert all(0.0 <= y <= 1.0 for y in line["y"])


def test_designs_are_a_table_with_units(exploration):
    head, *rows = csv.reader(io.StringIO(front_points.designs(exploration)))
    assert head[:3] == ["design", "technique", "l2_capacity [B]"]
    place = head.index("throughput_per_area [token/(s m2)]")
    best = {row[1]: float(row[place]) for row in rows if row[0] == "best"}
    assert best == {name: row["throughput_per_area"] for name, row in exploration.every.best.items()}
    assert len(rows) == 2 + sum(map(len, exploration.every.front.values()))


def test_sensitivity_sorts_and_names_what_stays(exploration):
    found = exploration_points.sensitivity_points(exploration)
    swings = [max(abs(gain - found["base"]["gain"]) for gain in bar["gain"]) for bar in found["bars"]]
    assert swings == sorted(swings, reverse=True)
    assert len(found["bars"]) <= exploration_points.MOST
    assert "site.electricity_price" in found["still"]
    told = ("bars", "still", "left_out", "broken")
    assert sum(len(found[name]) for name in told) == (len(exploration.moves) - 1) // 2


def test_a_constant_with_which_no_chip_keeps_to_the_limits_is_told_and_not_drawn(exploration):
    whole = exploration_points.sensitivity_points(exploration)
    moves = [dict(each) for each in exploration.moves]
    size = f"l2_{exploration.study.candidate}"
    moves[2] |= {size: None, "gain": None}
    broken = replace(exploration, moves=moves)
    found = exploration_points.sensitivity_points(broken)
    assert found["broken"] == [moves[2]["constant"]]
    assert not whole["broken"]
    assert "at an end of its range no chip keeps to the limits" in report.page(broken)
    moves[0] |= {size: None, "gain": None}
    assert exploration_points.sensitivity_points(replace(exploration, moves=moves)) is None


def test_region_counts_densities_of_its_own_study_only(exploration, quick):
    assert exploration_points.region_points(exploration) is None
    own = exploration.study.model_copy(update={"name": "preserve-l2"})
    found = exploration_points.region_points(replace(exploration, study=own))
    assert found["counts"] == [[0, 2], [0, 0]]
    assert (found["holding"], found["points"], found["densities"]) == (2, 12, 3)
    assert found["calibrated"]["start_up"] > 0.0
    assert [(each["kernels"], each["share"]) for each in found["volumes"]] == [(False, 0.25), (True, 0.25)] * 2
    assert found["hardest"]["share"] == 0.375


def test_every_axis_has_a_title_with_its_unit(exploration, quick):
    for name, _, compute, draw in report.DRAWINGS:
        found = compute(exploration)
        if found is None:
            continue
        drawn = draw(found).to_dict()
        assert drawn["data"], name
        titles = {
            key: axis["title"]["text"]
            for key, axis in drawn["layout"].items()
            if re.fullmatch(r"[xy]axis\d*", key) and axis.get("visible", True)
        }
        for key, title in titles.items():
            counts = title in ("", "HBM stacks") or "hare of" in title
            assert counts or re.search(r"\[.+\]$", title), (name, key, title)


def test_what_a_study_has_nothing_for_is_left_out(exploration, quick):
    own = exploration.study.model_copy(
        update={"software": exploration.study.software.model_copy(update={"techniques": ["none"]})}
    )
    plain = replace(exploration, study=own)
    drawn = [name for name, _, compute, _ in report.DRAWINGS if compute(plain) is not None]
    assert "curve" in drawn
    assert not {"speedup", "timeline", "occupancy", "region"} & set(drawn)


def test_one_file_that_stands_alone(exploration, quick, tmp_path):
    first = report.write_report(exploration, tmp_path / "first.html")
    second = report.write_report(exploration, tmp_path / "second.html")
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size < 2e6
    text = first.read_text(encoding="utf-8")
    own = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"""(src|<link[^>]*href)\s*=\s*["']?https?:""", own)
    assert not re.search(r"<script[^>]*\bsrc=", text)
    assert "$" not in re.sub(r"<style>.*?</style>", "", own, flags=re.DOTALL)
    for part in (summary(exploration, None)["answer"].partition(": l2")[0][1:], "A &lt;b&gt;claim&lt;/b&gt;", "missed"):
        assert part in own
    for name in ("curve", "front", "parallel", "sensitivity", "speedup", "timeline", "occupancy", "cost"):
        assert f'id="figure-{name}"' in own
    assert "&amp;#39;" not in own


def test_hostile_title_is_text(exploration, quick, tmp_path):
    text = report.write_report(exploration, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "Three sizes &lt;script&gt;" in text


def test_unwritable_place_says_so(exploration, monkeypatch, tmp_path):
    monkeypatch.setattr(report, "page", lambda _: "")
    with pytest.raises(SpecError, match="cannot be written"):
        report.write_report(exploration, tmp_path / "missing" / "report.html")


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """The exploration of a study with three techniques."""
    folder = tmp_path_factory.mktemp("three")
    path = folder / "three-techniques.toml"
    path.write_text(STUDY.replace("tp = [8]", 'techniques = ["none", "fused", "preserve"]\ntp = [8]'), encoding="utf-8")
    return explore(load_study(str(path)), folder / "study.journal")


def test_legends_name_every_technique(three, quick, tmp_path):
    for compute, draw in (
        (exploration_points.curve_points, exploration_figures.figure_curve),
        (front_points.front_points, front_figures.figure_front),
    ):
        lines = [line for line in draw(compute(three)).data if line.showlegend is not False]
        for technique in three.study.techniques:
            named = [line for line in lines if technique_words(technique) in line.name]
            assert named, technique
            shades = {line.line.color or line.marker.color for line in named}
            assert shades == {exploration_figures.colour(technique)}
    drawn = timeline_figures.figure_timeline(timeline_points.timeline_points(three))
    lanes = {row for bar in drawn.data if bar.type == "bar" for row in bar.y}
    assert lanes == {
        "without prefetch:<br>main lane", "with fused kernels:<br>main lane", "with prefetch:<br>main lane",
        "with prefetch:<br>prefetch lane",
    }  # fmt: skip
    text = report.write_report(three, tmp_path / "report.html").read_text(encoding="utf-8")
    for technique in three.study.techniques:
        assert text.count(f"Optuna, {technique_words(technique)}") == 1


def test_what_optuna_found_stands_in_the_row_of_its_technique(three):
    rows = re.findall(r"<tr><td[^>]*>(.*?)</tr>", report.chip_table(three))
    for technique, found in three.found.items():
        row = next(each for each in rows if f"Optuna, {technique_words(technique)}" in each)
        assert f">{found.best['throughput_per_area'] * 1e-6:,.5g}<" in row


def test_a_technique_that_nobody_drew_before_has_a_name_and_a_colour_of_its_own(monkeypatch):
    monkeypatch.setitem(TECHNIQUES, "overlap", TECHNIQUES["none"])
    assert technique_words("overlap") == "with overlap"
    assert exploration_figures.colour("overlap") not in exploration_figures.COLOURS.values()


def test_importing_the_figures_does_not_import_plotly():
    code = "import sys, accelmodel.report; print('plotly' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
    assert timeline_figures.word("mlp_down") == "MLP down"


def test_page_and_terminal_say_the_same_of_edges_prices_and_limits(exploration):
    said, told = report.about(exploration), summary(exploration, None)
    assert said["edges"] == told["edge_words"]
    assert said["edges"]
    assert told["answer"][1:].startswith(said["answer"][1:])
    assert said["price"] == told["price_words"]
    for limit in told["limits"]:
        count = f"{limit['excluded']:,}" if limit["excluded"] else "none"
        assert sum(f"excludes {count}" in line for line in said["limits"])


WORDS = """
[study]
title = "Which memory"
device = "h100-sxm"
objectives = ["tokens_per_dollar", "power", "carbon"]
trials = 4

[space]
hbm.generation = { values = ["hbm3", "hbm3e", "hbm4"] }
link.links = { values = [9, 18] }
link.bandwidth = { values = ["25GB/s", "50GB/s"] }

[workload]
models = ["llama-3.1-8b"]
batch = [8]
context = [4096]
phase = "decode"

[software]
techniques = ["none"]
tp = [1, 2]
"""


@pytest.fixture(scope="module", params=["all", "none"])
def worded(request, tmp_path_factory):
    """The exploration of words and a link budget without a technique, enumerated and not."""
    folder = tmp_path_factory.mktemp("words")
    path = folder / "which-memory.toml"
    path.write_text(WORDS, encoding="utf-8")
    return explore(load_study(str(path)), folder / "study.journal", looking=Looking(request.param), draws=16)


def test_a_study_of_words_and_one_technique_has_a_report(worded, quick, tmp_path):
    text = report.write_report(worded, tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'id="figure-cost"' in text
    assert "prefetch lane" not in text
    assert "gain of" not in text
    figures = re.findall(r'role="img" aria-label="([^"]*)"', text)
    assert len(figures) == text.count("<figure>") >= 2
    assert all(len(figure) > 40 for figure in figures)
    assert ("were not enumerated" in text) == (worded.every.plan.way == "none")


def test_links_and_their_bandwidth_are_one_axis_of_their_product(worded):
    if worded.every.plan.way == "none":
        assert exploration_points.curve_points(worded) is None
        return
    panels = exploration_points.curve_points(worded)["panels"]
    lead = worded.every.axis
    names = [panel["axis"] for panel in panels if panel["axis"] != lead]
    assert "link_budget" in names
    assert not {"links", "link_bandwidth"} & set(names)
    # 9 or 18 links at 25 or 50 GB/s; 9 at 50 and 18 at 25 are one chip
    budget = next(panel for panel in panels if panel["axis"] == "link_budget")
    assert budget["lines"][0]["x"] == [225.0, 450.0, 900.0]


def test_a_limit_far_off_is_not_drawn():
    assert front_points._near(4.0, [1.0, 2.0], 10.0) is None
    assert front_points._near(2.5, [1.0, 2.0], 10.0) == 25.0
