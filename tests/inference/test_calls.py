"""Who calls collectives and how: choices, what they add, and intervals that hold what is left open."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import accelmodel as am
from accelmodel.errors import SpecError
from accelmodel.inference.calls import (
    as_engine,
    called,
    callers_note,
    calling,
    extremes,
    paired,
    paths_note,
    taken_calls,
)
from accelmodel.inference.single import collective
from accelmodel.specs.given import cluster, override
from accelmodel.specs.link import CALLERS, LAUNCHES
from accelmodel.specs.load import load

SIZES = st.floats(3.0, 9.0).map(lambda power: 10.0**power)
DECODE = {"phase": "decode", "batch": 4, "context": 4096, "tp": 8}


def time(chips, size, devices=8, **call):
    return float(collective(chips, size=size, devices=devices, **call).time)


def test_a_launch_by_the_host_takes_so_much_longer():
    for by in CALLERS:
        graph, eager = (time("h100-sxm", 65536.0, by=by, launch=launch) for launch in LAUNCHES)
        assert eager - graph == pytest.approx(17e-6, rel=1e-9)  # the fact of NVLink 4


def test_between_nodes_as_well():
    chips = cluster("h100-sxm", 16)
    graph, eager = (time(chips, 65536.0, 16, by="library", launch=launch) for launch in LAUNCHES)
    assert eager - graph == pytest.approx(17e-6, rel=1e-9)


def test_a_memory_that_all_devices_see_is_copied_to_by_a_kernel():
    # 1 KiB: the same one-shot, after the launch of a copy; where no switch adds up an engine's kernels read peers
    for name in ("h100-sxm", "b200-sxm"):
        engine, through = (time(name, 1024.0, by=by) for by in ("engine", "symmetric-memory"))
        assert through - engine == pytest.approx(load("device", name).compute.launch_time, rel=1e-6)
    engine, through = (time("a100-sxm-80gb", 1024.0, by=by) for by in ("engine", "symmetric-memory"))
    assert through == engine


def test_the_library_by_hand():
    # NVLink 3, 64 KiB over eight: start, 14 hops, and 1.75 + 0.38 / 8 of the message in chunks
    link = load("link", "nvlink3-switch")
    wire = (1.75 + link.own_copy / 8.0) * 65536.0 / (300e9 * link.share)
    expected = link.start_up + 14.0 * link.hop_latency + wire + 2.0 * np.sqrt(link.ramp * link.hop_latency * wire)
    found = collective(cluster("a100-sxm-80gb"), size=65536.0, devices=8)
    assert float(found.time) == pytest.approx(expected, rel=1e-9)
    assert str(found.algorithm.values) == "ring"
    assert (found.attrs["by"], found.attrs["launch"]) == ("library", "graph")


@settings(max_examples=25)
@given(SIZES, st.sampled_from(["a100-sxm-80gb", "h100-sxm", "l40s", "mi300x", "ascend-910b2", "tpu-v5e"]))
def test_an_interval_holds_what_each_choice_says(size, device):
    left_open = collective(device, size=size)
    for by in CALLERS:
        for launch in LAUNCHES:
            if launch == "eager" and device == "tpu-v5e":
                continue
            found = collective(device, size=size, by=by, launch=launch)
            assert float(left_open.lower) <= float(found.time) * (1.0 + 1e-9)
            assert float(left_open.upper) >= float(found.time) * (1.0 - 1e-9)
            assert float(found.lower) <= float(found.time) <= float(found.upper)


@settings(max_examples=25)
@given(SIZES, st.integers(2, 8), st.sampled_from(["a100-sxm-80gb", "h100-sxm", "b200-sxm", "rtx-pro-6000-server"]))
def test_an_engine_takes_the_library_where_that_is_faster(size, devices, device):
    engine, library = (time(device, size, devices, by=by) for by in ("engine", "library"))
    assert engine <= library


def test_words_that_are_none_and_hosts_that_launch_nothing():
    with pytest.raises(SpecError, match="did you mean 'library'"):
        called(cluster("h100-sxm"), "librari")
    with pytest.raises(SpecError, match="unknown launch 'lazy'"):
        called(cluster("h100-sxm"), launch="lazy")
    with pytest.raises(SpecError, match="give link.eager_start"):
        called(cluster("tpu-v5e"), launch="eager")
    with pytest.raises(SpecError, match="engine, library, symmetric-memory"):
        override(load("link", "nvlink4-switch"), by="nobody")


def test_what_was_measured_holds_however_it_is_called():
    link = load("link", "nvlink4-switch")
    assert override(link, by="library", launch="graph").residuals == link.residuals != ()
    assert override(link, by="library", share=0.5).residuals == ()


def test_on_a_bus_engines_have_kernels_of_their_own_between_two_cards_alone():
    chips = cluster("rtx-pro-6000-server", link="pcie5-host-8")
    assert time(chips, 4096.0, 2, by="engine") < time(chips, 4096.0, 2, by="library")
    for devices in (3, 4, 8):
        assert time(chips, 4096.0, devices, by="engine") == time(chips, 4096.0, devices, by="library")
    behind_a_switch = cluster("h100-sxm")
    assert paired(behind_a_switch, 8.0) is behind_a_switch


def test_a_bus_says_that_it_does_not_say_how_cards_reach_one_another():
    found = collective("l40s", size=128 * 2.0**20, devices=8)
    assert "pcie4-staged-8" in found.attrs["notes"]
    # the same message on two servers: 11.4 ms through switches, 162 ms by way of host memory
    assert float(found.lower) < 11.4e-3
    assert float(found.upper) > 162e-3
    assert not paths_note(cluster("l40s"), 2.0)
    for name in ("pcie4-peer-8", "pcie4-host-8", "pcie4-staged-8"):
        said = collective(cluster("l40s", link=name), size=128 * 2.0**20, devices=8, by="library", launch="graph")
        assert "contention" not in said.attrs["notes"]
        assert float(said.upper / said.lower) < 0.2 * float(found.upper / found.lower)


def test_a_step_without_an_engine_holds_both_callers():
    chips = cluster("h100-sxm")
    open_, own, library = (am.time_step("llama-3-70b", called(chips, by), DECODE) for by in ("", "engine", "library"))
    assert float(open_.step_time) == float(own.step_time) < float(library.step_time)
    graph = am.time_step("llama-3-70b", called(chips, "library", "graph"), DECODE)
    assert float(open_.step_time_upper) > float(graph.step_time)
    # two all-reduces a layer and one of the embedding, each with a slow host's 2.5 x 17 us
    row = open_.time.sel(operator="all_reduce_into_mlp")
    eager = am.time_step("llama-3-70b", called(chips, "library", "eager"), DECODE)
    slower = float((eager.time - library.time).sel(operator="all_reduce_into_mlp"))
    assert slower == pytest.approx(80 * 17e-6, rel=1e-6)
    upper = float(open_.upper.sel(operator="all_reduce_into_mlp"))
    assert upper > float(row) + 80 * 2.5 * 17e-6


def test_a_step_by_an_engine_calls_as_the_engine_does():
    chips = cluster("h100-sxm")
    library = am.time_step("llama-3-70b", called(chips, "library"), DECODE)
    eager = am.time_step("llama-3-70b", chips, DECODE, engine="transformers")
    exchanges = [name for name in library.operator.values if name.startswith("all_reduce")]
    # its host's launches are its own time
    assert float(eager.time.sel(operator=exchanges).sum()) == float(library.time.sel(operator=exchanges).sum())
    assert as_engine(chips, load("engine", "vllm")).link.by == "symmetric-memory"
    # what the caller says of the link comes before
    said = replace(chips, link=replace(chips.link, by="engine"))
    assert as_engine(said, load("engine", "transformers")).link.by == "engine"
    assert calling(load("engine", "vllm"), "library", "eager").collectives == "library"


def test_hosts_that_are_said_are_not_spread():
    chips = cluster("h100-sxm")
    said = replace(chips, link=override(chips.link, eager_start=30e-6))
    fast, slow = extremes(called(said, "library", "eager"))
    assert fast.link.eager_start == slow.link.eager_start == 30e-6
    fast, slow = extremes(called(chips, "library", "eager"))
    assert fast.link.eager_start < 17e-6 < slow.link.eager_start


@pytest.mark.parametrize("word", [{"by": "librar"}, {"launch": "eagr"}])
def test_an_engine_takes_no_unknown_word(word):
    with pytest.raises(SpecError, match="did you mean '(library|eager)'"):
        calling(load("engine", "vllm"), **word)


def test_an_engine_that_captures_no_graphs_is_not_asked_for_them():
    engine = override(load("engine", "transformers"), name="mine", graph_tokens=0.0)
    with pytest.raises(SpecError, match="launch graph: mine captures no graphs"):
        calling(engine, launch="graph")
    assert calling(override(engine, graph_tokens=512.0), launch="graph").launch == "graph"


@pytest.mark.parametrize(
    ("device", "by", "ranks", "kind", "said"),
    [
        ("h100-sxm", "library", 8, "all-reduce", ""),
        ("h100-sxm", "symmetric-memory", 8, "all-reduce", ""),
        ("h100-sxm", "engine", 8, "all-gather", "no kernels of their own for all-gather"),
        ("tpu-v5e", "engine", 8, "all-reduce", "no kernels of their own for all-reduce on ici-v5e"),
        ("l40s", "engine", 8, "all-reduce", "between two cards alone"),
        ("l40s", "engine", 2, "all-reduce", ""),
        ("a100-sxm-80gb", "symmetric-memory", 8, "all-reduce", "no switch that adds up"),
        ("a100-sxm-80gb", "symmetric-memory", 1, "all-reduce", ""),
    ],
)
def test_what_a_caller_cannot_change_is_said(device, by, ranks, kind, said):
    notes = callers_note(called(cluster(device), by), ranks, kind)
    assert (said in notes[0]) if said else notes == []
    if said and ranks > 1:  # and it is so: others take as long
        other = "engine" if by == "symmetric-memory" else "library"
        assert time(device, 65536.0, ranks, kind=kind, by=by) == time(device, 65536.0, ranks, kind=kind, by=other)


def test_who_is_taken_is_told():
    chips = cluster("h100-sxm")
    assert taken_calls(chips) == {"by": "engine", "launch": "graph"}
    assert taken_calls(cluster("tpu-v5e")) == {"by": "library", "launch": "graph"}
    assert taken_calls(called(chips, "library", "eager")) == {"by": "library", "launch": "eager"}
    eager = load("engine", "transformers")
    assert taken_calls(as_engine(chips, eager), eager) == {"by": "library", "launch": "eager"}
