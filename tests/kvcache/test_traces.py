"""Traces and curves: read by the names of their columns, held or refused where they end."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from prompts import ROUNDING, prompt_of

from accelmodel.errors import SpecError
from accelmodel.kvcache import traces
from accelmodel.kvcache.policies import POLICIES
from accelmodel.kvcache.traces import BANDWIDTH, Trace, random_trace, read_chunk_times, read_trace


def test_traces_that_end_too_early_are_refused_unless_held():
    short = Trace(np.array([0.0, 0.1]), np.array([1e9, 1e9]), name="bw.csv")
    budget = Trace(np.array([0.0, 0.1]), np.array([0.5, 0.5]), name="budget.csv")
    with pytest.raises(SpecError, match=r"bw\.csv ends at 0\.1 s"):
        POLICIES["load_only"](prompt_of(trace=short))
    with pytest.raises(SpecError, match=r"budget\.csv ends at 0\.1 s"):
        POLICIES["cake"](prompt_of(budget=budget))
    held = replace(short, hold=True), replace(budget, hold=True)
    expected = POLICIES["cake"](prompt_of(bandwidth=1e9, utilisation=0.5))
    assert POLICIES["cake"](prompt_of(trace=held[0], budget=held[1])) == pytest.approx(expected, rel=ROUNDING)
    with pytest.raises(SpecError, match="stays at 0"):
        POLICIES["compute_only"](prompt_of(budget=Trace(np.array([0.0, 0.1]), np.array([1.0, 0.0]), hold=True)))


@pytest.mark.parametrize(
    ("time", "value"),
    [([0.0, 1.0], [1.0]), ([], []), ([1.0], [1.0]), ([0.0, 0.0], [1.0, 1.0]), ([0.0], [-1.0]), ([0.0], [0.0]),
     ([0.0, math.nan], [1.0, 1.0]), ([0.0], [math.inf])],
)  # fmt: skip
def test_trace_refuses(time, value):
    with pytest.raises(SpecError):
        Trace(np.array(time), np.array(value))


def test_random_traces_are_seeded_and_bounded():
    first, again, other = (random_trace(0.2, 0.8, 0.1, 2.0, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.value, again.value)
    assert not np.array_equal(first.value, other.value)
    assert first.value.min() >= 0.2
    assert first.value.max() <= 0.8
    assert first.end >= 2.0
    with pytest.raises(SpecError):
        random_trace(0.5, 0.1, 0.1, 1.0, 0)


def test_files_are_read(tmp_path):
    curve, trace = tmp_path / "curve.csv", tmp_path / "trace.csv"
    curve.write_text("# measured\nchunk_index,time_s\n0,0.04\n1,0.05\n", encoding="utf-8")
    trace.write_text("time_s,value\n0,1e9\n0.5,2e9\n", encoding="utf-8")
    assert list(read_chunk_times(curve, 2)) == [0.04, 0.05]
    found = read_trace(trace, BANDWIDTH)
    assert (list(found.time), list(found.value), found.end, found.mean) == ([0.0, 0.5], [1e9, 2e9], 0.5, 1e9)
    assert math.isinf(read_trace(trace, BANDWIDTH, hold=True).end)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("chunk_index,time_s\n0,0.04\n2,0.05\n", ":3: chunk_index 2, expected 1"),
        ("chunk_index,time_s\n0,0.04\n", ":2: ends at chunk 0"),
        ("chunk_index,time_s\n0,0.04\n1,-1\n", ":3: time_s -1"),
        ("chunk_index,time_s\n0,fast\n", ":2: .* must be numbers"),
        ("chunk_index,time_s\n0,nan\n", ":2: .* must be finite"),
        ("chunk_index,time_s\n0\n", ":2: .* must be numbers"),
        ("index,time\n0,1\n", "must name 'chunk_index' and one of 'time_s'"),
        ("chunk_index,time_s\n", "no rows"),
        ("", "must name 'chunk_index' and one of 'time_s'"),
    ],
)
def test_bad_curves_are_named_by_file_and_line(tmp_path, text, said):
    path = tmp_path / "curve.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=said) as problem:
        read_chunk_times(path, 2)
    assert "curve.csv" in str(problem.value)


@pytest.mark.parametrize(
    ("column", "columns", "factor"),
    [("bandwidth_bytes_per_s", BANDWIDTH, 1.0), ("bandwidth_gibps", BANDWIDTH, 2**27),
     ("bandwidth_gbps", BANDWIDTH, 1.25e8),
     ("utilisation", traces.budget(512.0), 1.0), ("budget_tokens", traces.budget(512.0), 1 / 512)],
)  # fmt: skip
def test_the_name_of_a_column_is_its_unit(tmp_path, column, columns, factor):
    path = tmp_path / "trace.csv"
    path.write_text(f"time_s,{column}\n0,0.5\n1,0.25\n", encoding="utf-8")
    assert list(read_trace(path, columns).value) == [0.5 * factor, 0.25 * factor]
    path.write_text("time_s,speed\n0,1\n", encoding="utf-8")
    with pytest.raises(SpecError, match=f"one of 'value', .*'{column}'"):
        read_trace(path, columns)


def test_bad_trace_files_are_named(tmp_path):
    path = tmp_path / "bw.csv"
    with pytest.raises(SpecError, match=r"bw\.csv: cannot be read"):
        read_trace(path, BANDWIDTH)
    path.write_text("time_s,value\n0,1\n0,2\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"bw\.csv:3: time_s 0 does not follow 0"):
        read_trace(path, BANDWIDTH)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match="UTF-8"):
        read_trace(path, BANDWIDTH)


def test_a_trace_that_starts_with_a_pause_is_planned_with_what_follows():
    late = Trace(np.array([0.0, 0.2]), np.array([0.0, 1.0]), hold=True)
    assert late.mean == 1.0
    paused = prompt_of(budget=late)
    # steps of 0.04 s that serve others: the fifth ends at the 0.2 s where the budget opens, or just before
    expected = POLICIES["compute_only"](prompt_of()) + 0.2
    assert POLICIES["compute_only"](paused) == pytest.approx(expected, abs=0.04 + ROUNDING)
    with pytest.raises(SpecError, match="all values are 0"):
        Trace(np.array([0.0, 0.2]), np.array([0.0, 1.0]))
