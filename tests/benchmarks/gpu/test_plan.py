"""The plan of the GPU measurements, without a GPU: sizes, coldness, pairs, memory; and the dry run as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelmodel.benchmarks.gpu import plan
from accelmodel.errors import Infeasible
from accelmodel.measured.rawtable import BITS, MEASURED, TABLES, operators_of
from accelmodel.specs.load import load

ROOT = Path(__file__).resolve().parent.parent.parent.parent
MIB = 2**20
CARD = plan.card_with(50 * MIB, 80 * 2**30, ampere=True, fp8=True)
ROWS = plan.plan(CARD, 0)


def names(table):
    return [column.name for column in TABLES[table] if column.name not in MEASURED]


def dry(*options):
    command = [sys.executable, "-m", "accelmodel.benchmarks.gpu", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize("table", TABLES)
def test_rows_are_the_columns_of_the_table_and_unlike(table):
    assert ROWS[table]
    assert all(list(row) == names(table) for row in ROWS[table])
    assert len({tuple(row.values()) for row in ROWS[table]}) == len(ROWS[table])


def test_the_seed_sets_the_order_and_nothing_else():
    other = plan.plan(CARD, 1)
    assert plan.plan(CARD, 0) == ROWS
    for table, rows in ROWS.items():
        assert rows != other[table]
        assert sorted(map(str, rows)) == sorted(map(str, other[table]))


def test_layers_of_llama_at_tp_8():
    # 64 + 2 x 8 heads of 128, ffn 28672 gated, hidden 8192, over 8 devices
    layer = [(1280, 8192), (8192, 1024), (7168, 8192), (8192, 3584)]
    assert plan.weights_of("llama-3-70b", 8) == layer
    windows = {row["operators"] for row in ROWS["preserve"]}
    assert windows == {"none", "1280x8192 8192x1024", "1280x8192 8192x1024 7168x8192 8192x3584"}
    assert operators_of("1280x8192 8192x1024 7168x8192 8192x3584") == layer


@given(st.integers(4 * MIB, 256 * MIB))
@settings(max_examples=15)
def test_cold_weights_see_four_capacities_between_two_uses(l2_bytes):
    card = plan.card_with(l2_bytes, 10**12, ampere=True, fp8=True)
    rows = plan.plan(card, 0, ("matmul", "preserve"))
    for row in rows["matmul"]:
        size = plan.weight_bytes([(row["n"], row["k"])], row["precision"])
        # in turn without a break, from one replay to the next as well
        assert row["matmuls"] % row["copies"] == 0
        if row["cache"] == "cold":
            assert (row["copies"] - 1) * size >= 4 * l2_bytes
        else:
            assert row["copies"] == 1
            assert size <= l2_bytes
    for row in rows["preserve"]:
        whole = plan.weight_bytes(operators_of(row["operators"]), row["precision"])
        assert row["operators"] == "none" or (row["windows"] - 1) * whole >= 4 * l2_bytes
        assert 0 <= row["prefetch_bytes"] <= min(whole, 2 * l2_bytes)


@given(st.integers(4 * MIB, 256 * MIB))
@settings(max_examples=15)
def test_reads_are_whole_blocks_and_cover_the_range(l2_bytes):
    card = plan.card_with(l2_bytes, 10**12, ampere=False, fp8=False)
    rows = plan.plan(card, 0)
    sizes = [row["footprint_bytes"] for row in rows["bandwidth"]]
    assert min(sizes) == MIB
    assert 8 * l2_bytes - plan.BLOCK_BYTES < max(sizes) <= 8 * l2_bytes
    for row in rows["bandwidth"]:
        assert row["passes"] * row["footprint_bytes"] >= 16 * l2_bytes
    for row in rows["reread"]:
        slots = plan.slots_for(row["others_bytes"], card)
        # the others stay cold: a whole turn lies between two reads of the same bytes, and the last turn is whole
        assert row["rounds"] % slots == 0
        assert slots * row["others_bytes"] <= 12 * l2_bytes
        assert row["others_bytes"] == 0 or (slots - 1) * row["others_bytes"] >= 4 * l2_bytes
    read = sizes + [row[name] for row in rows["reread"] for name in ("probe_bytes", "others_bytes")]
    read += [row[name] for row in rows["preserve"] for name in ("prefetch_bytes", "message_bytes")]
    assert all(size % plan.BLOCK_BYTES == 0 for size in read)


def test_every_probe_has_the_others_alone_and_both_ends():
    rows = ROWS["reread"]
    others = {row["others_bytes"] for row in rows if row["probe_bytes"]}
    alone = {row["others_bytes"] for row in rows if not row["probe_bytes"]}
    assert others == alone | {0}
    # after four capacities nothing of the probe can be left
    assert max(others) == 4 * CARD.l2_bytes


def test_every_prefetch_has_its_window_without_and_its_stand_in_alone():
    rows = ROWS["preserve"]
    window = ("precision", "m", "operators", "stand_in", "duration_s", "message_bytes")
    plain = {tuple(row[name] for name in window) for row in rows if not row["prefetch_bytes"]}
    alone = {tuple(row[name] for name in window[3:]) for row in rows if row["operators"] == "none"}
    for row in rows:
        assert tuple(row[name] for name in window) in plain
        assert row["stand_in"] == "none" or tuple(row[name] for name in window[3:]) in alone
    assert {row["stand_in"] for row in rows} == {"none", "spin", "traffic"}
    assert {row["join"] for row in rows} == {"after", "before"}


def test_what_l2_is_told_to_keep_comes_last():
    hints = [row["hint"] for row in ROWS["preserve"]]
    assert hints.index("evict-last") == hints.count("normal")


def test_precisions_follow_the_architecture():
    def offered(name):
        rows = plan.plan(plan.card_of(load("device", name)), 0)
        return {row["precision"] for row in rows["matmul"]}, {row["hint"] for row in rows["preserve"]}

    assert offered("t4") == ({"fp16"}, {"normal"})
    assert offered("a100-sxm-80gb") == ({"bf16", "fp16"}, {"normal", "evict-last"})
    assert offered("h100-sxm") == (set(BITS), {"normal", "evict-last"})


def test_memory_by_hand_and_its_limit():
    shape = {"precision": "fp8", "m": 2, "n": 256, "k": 512, "copies": 3}
    # three copies of 256 x 512, and 2 x 512 in, at one byte beside the two they are made from; 2 x 256 out at two
    assert plan.matmul_memory(shape, CARD) == 3 * 256 * 512 * 3 + 2 * 512 * 3 + 2 * 256 * 2
    small = CARD._replace(memory_bytes=2**29 + 2**28)
    with pytest.raises(Infeasible, match=r"matmul needs .* of device memory .* --only"):
        plan.plan(small, 0)
    assert plan.plan(small, 0, ("bandwidth",))["bandwidth"]


def test_dry_run_prints_the_plan_and_needs_no_torch(tmp_path):
    code = "import sys; sys.modules['torch'] = sys.modules['triton'] = None; sys.argv = ['x', '--dry', '--seed', '3']; "
    code += "from accelmodel.benchmarks.gpu.__main__ import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, cwd=tmp_path)  # fmt: skip  # noqa: E501
    told = json.loads(done.stdout)
    assert told["device"] == "h100-sxm"
    assert told["seed"] == 3
    expected = plan.plan(plan.card_of(load("device", "h100-sxm")), 3)
    for table, rows in expected.items():
        assert told["tables"][table]["columns"] == names(table)
        assert told["tables"][table]["plan"] == [list(row.values()) for row in rows]
        assert 0 < told["tables"][table]["needed_bytes"] <= 0.8 * told["memory_bytes"]
    # nothing is left behind
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--device is missing"),
        (("--device", "h100-sxm"), "--out is missing"),
        (("--dry", "--device", "h10-sxm"), "did you mean 'h100-sxm'"),
        (("--dry", "--only", "matmull"), "did you mean 'matmul'"),
    ],
)
def test_wrong_options_end_in_one_line(options, message):
    done = dry(*options)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
