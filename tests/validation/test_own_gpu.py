"""Measurements of a GPU compared with the laws: synthetic times with known distortions.

No time here was measured: the tables are made of the laws themselves, each distorted by a known factor, so
that the error which the reader must find is known.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from rawtables import HEADER, PLANNED, matmul_row, store, timed

from accelmodel.errors import SpecError
from accelmodel.inference.machine import machine
from accelmodel.inference.run import run_kernel
from accelmodel.inference.step import NONE
from accelmodel.laws.l2cache import resident_share
from accelmodel.laws.types import DETAIL, MATMUL, Machine, Operator
from accelmodel.measured.rawtable import read_run
from accelmodel.specs.given import cluster
from accelmodel.specs.load import load
from accelmodel.validation.own_gpu import KINDS, bare_time, matmul, measured_rows, window_time

DEVICE = load("device", "h100-sxm")
CHIP = Machine(**{name: float(value) for name, value in machine(cluster(DEVICE)).items()})
#: rounding of times that are written in full and read back
EXACT = 1e-9


def window_row(prefetch, seconds, operators="1280x8192 8192x1024", join="after", hint="normal", stand_in="spin"):
    collective = {"stand_in": stand_in, "duration_s": 6e-5, "message_bytes": 0}
    how = {"prefetch_bytes": prefetch, "join": join, "hint": hint, "windows": 4}
    return timed(seconds, precision="bf16", m=16, operators=operators, **collective, **how)


def of_kind(rows, kind):
    found = [row for row in rows if row["kind"] == kind]
    assert len(found) == 1
    return found[0]


def test_without_a_run_every_kind_is_not_measured(tmp_path):
    for folder in (None, tmp_path / "missing", tmp_path):
        rows = measured_rows(folder)
        if folder is None and any(row["status"] == "measured" for row in rows):
            continue  # runs have come into the repository since
        assert [row["kind"] for row in rows] == list(KINDS)
        for row in rows:
            assert row["status"] == "not measured"
            assert row["n"] == 0
            assert row["median_ape"] is None
            assert "accelmodel.benchmarks.gpu" in row["note"]


def test_a_dry_run_is_not_a_measurement(tmp_path):
    row = {name: value for name, value in matmul_row(1, 512, 512, 1.0).items() if not name.endswith("_s")}
    store(tmp_path / "dry", {**PLANNED, "dry": True}, matmul=[row])
    assert read_run(tmp_path / "dry").tables["matmul"][0]["time_s"] is None
    assert {row["status"] for row in measured_rows(tmp_path)} == {"not measured"}


def test_products_ten_per_cent_slow_and_twenty_fast(tmp_path, warm):
    def law(m, n, k):
        return window_time([matmul(m, n, k, "bf16")], CHIP)

    shapes = [(1, 4096, 4096), (16, 8192, 1024), (512, 7168, 8192)]
    slow = [matmul_row(*shape, law(*shape) * 1.1) for shape in shapes]
    fast = matmul_row(64, 1280, 8192, law(64, 1280, 8192) * 0.8)
    lost = {**matmul_row(8, 128, 128, 1.0), "time_s": "", "low_s": "", "high_s": "", "note": "out of memory"}
    store(tmp_path / "h100-sxm", matmul=[*slow, fast, lost])
    row = of_kind(measured_rows(tmp_path), "matmul-cold")
    # the law is 1/1.1 of the three slow ones, 1/0.8 of the fast one; the lost row counts nowhere
    below, above = 1.0 - 1.0 / 1.1, 1.0 / 0.8 - 1.0
    assert row["n"] == 4
    assert row["median_ape"] == pytest.approx(below, rel=EXACT)
    assert row["mean_ape"] == pytest.approx((3.0 * below + above) / 4.0, rel=EXACT)
    # the 90th percentile lies 0.7 of the way from the third to the fourth of four
    assert row["p90_ape"] == pytest.approx(0.3 * below + 0.7 * above, rel=EXACT)
    assert row["bias"] == pytest.approx((above - 3.0 * below) / 4.0, rel=EXACT)
    assert (row["device"], row["precision"], row["status"]) == ("h100-sxm", "bf16", "measured")
    assert row["source"] == f"{tmp_path.name}/h100-sxm"
    plain = bare_time([matmul(1, 4096, 4096, "bf16")], DEVICE)
    # weights, activations in and out at 16 bit, over the peak bandwidth: decode is bound by memory
    assert plain == pytest.approx(2.0 * (4096 * 4096 + 4096 + 4096) / 3.35e12, rel=EXACT)
    assert row["roofline_median_ape"] > 0.0


def test_cold_and_hot_products_by_the_kernel_called_directly(warm):
    op = matmul(16, 1280, 8192, "fp8")
    columns = Operator(
        kind=MATMUL, m=16, n=1280, k=8192, bits=8, weight_bytes=1280 * 8192, input_bytes=16 * 8192,
        output_bytes=2 * 16 * 1280, flops=2 * 16 * 1280 * 8192, prefetch_bytes=1280 * 8192,
    )  # fmt: skip
    assert op == columns
    table, chip = np.array(columns, dtype=float)[:, None, None], np.array(CHIP, dtype=float)[:, None, None]
    _, detail = run_kernel(table, chip, NONE, detail=True)
    assert window_time([op], CHIP) == pytest.approx(detail[DETAIL.index("time"), 0, 0, 0], rel=EXACT)
    free = CHIP._replace(prefetch_start=0.0)  # so that so small a window pays
    hot = window_time([op], free, 1.0, prefetch=op.weight_bytes) - 1.0
    # 10.5 MB stay in 47.5 MB: as if HBM were as fast as L2, to 1 % for the activations and the tail of the law
    assert hot == pytest.approx(window_time([op], CHIP._replace(hbm_rate=CHIP.l2_rate)), rel=0.01)


def test_bandwidth_on_both_plateaus(tmp_path):
    def launch(size, passes, rate):
        return timed(passes * size / rate + CHIP.launch, footprint_bytes=size, passes=passes, launches=5)

    rows = [launch(2**20, 800, CHIP.l2_rate), launch(400_000_000, 2, CHIP.hbm_rate)]
    store(tmp_path / "h100-sxm", bandwidth=rows)
    row = of_kind(measured_rows(tmp_path), "bandwidth")
    assert row["n"] == 2
    # 1e-3: the tails of the occupancy law far from the capacity, 3e-4 at most, times the ratio of the rates
    assert row["p90_ape"] < 1e-3
    # at L2's rate the roofline is three times too slow
    assert row["roofline_median_ape"] > 0.5


def test_occupancy_stands_apart_from_the_rates(tmp_path):
    probe, hot, cold, slower = 12_500_000, 3e-6, 5e-6, 1.02
    sizes = [0, 12_500_000, 25_000_000, 37_500_000, 50_000_000, 200_000_000]
    rows = [timed(1e-6 + size / 3e12, probe_bytes=0, others_bytes=size, rounds=24) for size in sizes if size]
    for size in sizes:
        share = {0: 1.0, 200_000_000: 0.0}.get(size, resident_share(size + probe, CHIP.l2_bytes, CHIP.l2_ways))
        read = cold - share * (cold - hot)
        read *= 1.0 if size in (0, 200_000_000) else slower
        alone = 1e-6 + size / 3e12 if size else 0.0
        rows.append(timed(alone + read, probe_bytes=probe, others_bytes=size, rounds=24))
    store(tmp_path / "h100-sxm", reread=rows[::-1])
    row = of_kind(measured_rows(tmp_path), "occupancy")
    # the two ends are what the law is placed between, so they are not counted
    assert row["n"] == 4
    assert row["median_ape"] == pytest.approx(1.0 - 1.0 / slower, rel=1e-6)
    assert row["bias"] == pytest.approx(1.0 / slower - 1.0, rel=1e-6)


def test_preserve_takes_the_collective_as_it_lasts_and_divides_rates_out(tmp_path, warm):
    ops = [matmul(16, 1280, 8192, "bf16"), matmul(16, 8192, 1024, "bf16")]
    lasts, slower = 6.4e-5, 1.05

    def law(prefetch):
        return window_time(ops, CHIP, lasts, 0.0, prefetch)

    sizes = [6_250_496, 18_743_296, 37_486_592]
    rows = [window_row(0, lasts, operators="none"), window_row(0, law(0) * slower)]
    rows += [window_row(size, law(size) * slower) for size in sizes]
    # ten times off: neither windows that wait, nor those whose stand-in was not timed, are compared
    rows += [window_row(sizes[0], law(sizes[0]) * 10.0, join="before"), window_row(sizes[0], 1e-3, stand_in="traffic")]
    rows += [window_row(sizes[0], law(sizes[0]) / 2.0, hint="evict-last")]
    store(tmp_path / "h100-sxm", preserve=rows)
    found = measured_rows(tmp_path)
    row = of_kind(found, "preserve")
    assert row["n"] == 4
    assert row["p90_ape"] == pytest.approx(1.0 - 1.0 / slower, rel=EXACT)
    ratio = of_kind(found, "preserve-speedup")
    assert ratio["n"] == 3
    # the same factor on all windows leaves the speed-up as it is
    assert ratio["p90_ape"] == pytest.approx(0.0, abs=EXACT)
    assert ratio["roofline_median_ape"] > 0.0
    assert of_kind(found, "preserve-evict-last")["median_ape"] == pytest.approx(1.0, rel=EXACT)


def test_prefetch_beside_a_collective_never_slows_and_is_bounded_by_the_weights(warm):
    ops = [matmul(16, 1280, 8192, "bf16"), matmul(16, 8192, 1024, "bf16")]
    times = [window_time(ops, CHIP, 6e-5, 0.0, 1e6 * size) for size in range(0, 38, 2)]
    # 1e-12: rounding
    assert all(after <= before * (1.0 + 1e-12) for before, after in itertools.pairwise(times))
    assert window_time(ops, CHIP, 6e-5, 0.0, 38e6) == pytest.approx(window_time(ops, CHIP, 6e-5, 0.0, 1e9), rel=EXACT)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"device": 5}, "device is 5, expected str"),
        ({"seed": 1.5}, "seed is 1.5, expected int"),
        ({"drivr": "1"}, "unknown key 'drivr', did you mean 'driver'"),
        ({"schema": 99}, "schema 99 is not 1"),
        ({"driver": None}, "driver missing"),
        ({"device": "h100-sx"}, "did you mean 'h100-sxm'"),
    ],
)
def test_a_wrong_header_is_refused(change, message, tmp_path):
    header = {name: value for name, value in {**HEADER, **change}.items() if value is not None}
    with pytest.raises(SpecError, match=message):
        measured_rows(store(tmp_path / "run", header, matmul=[matmul_row(1, 512, 512, 1e-6)]).parent)
