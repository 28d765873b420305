"""Single operators timed alone: the same numbers as in a step, hand values, and what is refused."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import numpy as np
import pytest

import accelmodel as am
from accelmodel.calibration import libraries
from accelmodel.cli.operators import attention_rows, collective_rows, matmul_rows, sizes
from accelmodel.errors import SpecError
from accelmodel.inference import kernel_library, operator_time


@pytest.fixture(scope="module")
def h100(warm):
    return am.cluster(am.load("device", "h100-sxm"))


def test_an_operator_alone_takes_what_it_takes_in_a_step(h100):
    model = am.load("model", "llama-3-8b")
    step = am.time_step(model, h100, am.workload(phase="decode", batch=32, context=8192))
    own = {name: float(step.time.sel(operator=name) / step["count"].sel(operator=name))
           for name in ("output_projection", "attention")}  # fmt: skip
    matmul, _ = operator_time.time_columns(operator_time.matmul(32.0, 4096.0, 4096.0), h100)
    attention, _ = operator_time.time_columns(operator_time.attention("decode", 32.0, 32.0, 8.0, 128.0, 8192.0), h100)
    # 1e-9: the same kernel on the same columns
    assert matmul[0] == pytest.approx(own["output_projection"], rel=1e-9)
    assert attention[0] == pytest.approx(own["attention"], rel=1e-9)


def test_windows_bound_what_is_read_and_how_many_keys_a_query_sees():
    whole = operator_time.attention("prefill", 1.0, 8.0, 8.0, 64.0, 4.0)
    narrow = operator_time.attention("prefill", 1.0, 8.0, 8.0, 64.0, 4.0, window=2.0)
    assert float(np.asarray(whole["n"])) == 2.5  # (1 + 2 + 3 + 4) / 4
    assert float(np.asarray(narrow["n"])) == 1.75  # (1 + 2 + 2 + 2) / 4
    decode = operator_time.attention("decode", 1.0, 8.0, 8.0, 64.0, 100.0, window=10.0)
    assert float(np.asarray(decode["weight_bytes"])) == 10 * 2 * 8 * 64 * 2


def test_rows_of_a_grid_and_their_intervals(warm):
    rows = matmul_rows("h100-sxm", "1,16,4096", "8192", "8192", 16)
    assert [row["m"] for row in rows] == [1, 16, 4096]
    for row in rows:
        assert set(row) == {"m", "n", "k", "time_s", "lower_s", "upper_s", "bound"}
        assert 0.0 < row["lower_s"] < row["time_s"] < row["upper_s"]
    assert [row["bound"] for row in rows] == ["hbm", "hbm", "compute"]
    # 4096 x 8192 x 8192 at 989 TFLOP/s is 556 us; no kernel is faster and none should take 1.6 times as long
    assert 556e-6 < rows[2]["time_s"] < 1.6 * 556e-6


def test_collectives_of_doubling_size(warm):
    rows = collective_rows("a100-sxm-80gb", None, "all-reduce", "1KB:1GB", 8)
    assert len(rows) == 20
    assert [row["bytes"] for row in rows[:2]] == [1000.0, 2000.0]
    times = [row["time_s"] for row in rows]
    assert times == sorted(times)
    assert rows[-1]["busbw_bytes_per_s"] == pytest.approx(1.75 * rows[-1]["bytes"] / rows[-1]["time_s"])
    assert rows[-1]["busbw_bytes_per_s"] < 300e9  # one way of NVLink 3


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: matmul_rows("h100-sxm", "1", "1", "1", 12), "bits 12"),
        (lambda: matmul_rows("h100-sxm", "0", "1", "1", 16), "--m"),
        (lambda: matmul_rows("h100-xsm", "1", "1", "1", 16), "h100-sxm"),
        (lambda: attention_rows("h100-sxm", "train", "1", "8", {"heads": 8, "kv_heads": 8}), "phase"),
        (lambda: attention_rows("h100-sxm", "decode", "1", "8", {"heads": 8, "kv_heads": 3}), "multiple"),
        (lambda: collective_rows("h100-sxm", None, "gossip", "1KB", 8), "collective"),
        (lambda: sizes("0B"), "above 0"),
        (lambda: sizes("2KB:1KB"), "rise"),
        (
            lambda: operator_time.time_columns({"m": [1.0] * 2, "n": [1.0] * 3}, am.cluster(am.load("device", "t4"))),
            "different lengths",
        ),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_said(call, words):
    with pytest.raises(SpecError, match=words):
        call()


def test_products_of_a_framework_by_hand(h100):
    plain = am.override(
        h100.device, cores=4, clock=1e9, peak_16bit=4 * 4.096e12, peak_8bit_float=4 * 8.192e12, peak_8bit_int=0.0,
        matrix_share=1.0, hbm_bandwidth=1e15, hbm_share=1.0, l2_bandwidth=1e15, vector_rate=1e17, slice_clocks=100,
        store_width=1e5, launch_time=2e-6, fill_time=1e-6, scaling_time=5e-7, exposed=0.0,
    )  # fmt: skip
    chip = am.cluster(plain)
    library = am.override(
        am.load("library", "sglang-8bit"), matrix_factor=1.0, slice_factor=3.0, quarter_rows=64, row_time=1e-9
    )
    m, n, k = np.array([64.0, 128.0, 129.0]), np.full(3, 128.0), np.full(3, 1280.0)
    # two launches; ten slices of 128, of 64 x 32, 128 x 64 and 128 x 128 (2 x 1 tiles on 4 cores): 300 clocks at least
    slices = 2.0 * 128.0 * np.array([64.0 * 32.0, 128.0 * 64.0, 128.0 * 128.0]) / 8.192e12
    by_hand = 2 * 2e-6 + 1e-6 + 5e-7 + m * 1e-9 + 10.0 * np.maximum(slices, 300e-9)
    found = kernel_library.library_times(m, n, k, library, chip)
    assert found == pytest.approx(by_hand, rel=0.01)  # bytes at 1 PB/s


def test_a_library_that_is_as_good_costs_a_quantisation_more_at_least(h100):
    library = am.override(
        am.load("library", "sglang-8bit"),
        matrix_factor=1.0,
        slice_factor=1.0,
        quarter_rows=1e6,
        row_time=0.0,
        passes=1.0,
    )
    m, n, k = np.array([1.0, 300.0, 5000.0]), np.full(3, 4096.0), np.full(3, 4096.0)
    best, _ = operator_time.time_columns(operator_time.matmul(m, n, k, 8.0), h100)
    quantised, _ = operator_time.time_columns(operator_time.pointwise(m * k, 3.0, 2.0, 1.0), h100)
    assert np.all(kernel_library.library_times(m, n, k, library, h100) >= (best + quantised) * (1 - 1e-12))


def test_a_command_takes_the_library(h100):
    plain = matmul_rows("h100-sxm", "64,4096", "4096", "4096", 8.0)
    own = matmul_rows("h100-sxm", "64,4096", "4096", "4096", 16.0, "vllm-8bit")
    for slow, fast in zip(own, plain, strict=True):
        assert slow["time_s"] > fast["time_s"] + float(h100.device.launch_time)  # it quantises first
        assert slow["upper_s"] / slow["time_s"] == pytest.approx(fast["upper_s"] / fast["time_s"])
    with pytest.raises(SpecError, match="vllm-8bit"):
        matmul_rows("h100-sxm", "64", "4096", "4096", 8.0, "vllm-8bits")
    with pytest.raises(SpecError, match="bits 4: the matmuls of vllm-8bit have 8 bit"):
        matmul_rows("h100-sxm", "64", "4096", "4096", 4.0, "vllm-8bit")


def test_constants_of_a_library_are_found_again(h100):
    library = am.load("library", "sglang-8bit")
    true = am.override(library, matrix_factor=0.7, slice_factor=1.5, passes=2.0, row_time=2e-9)
    rng = np.random.default_rng(0)
    m, n, k = (2.0 ** rng.integers(low, 14, 400) for low in (0, 8, 8))
    rows = libraries.Rows(h100, m, n, k, 0.0 * m, kernel_library.library_times(m, n, k, true, h100))
    found = libraries.solve(library, [rows])
    for name in libraries.CONSTANTS:
        assert getattr(found, name) == pytest.approx(getattr(true, name), rel=0.03), name  # no noise
    spans = {name: (0.5 * getattr(found, name), 2.0 * getattr(found, name)) for name in libraries.CONSTANTS}
    text = libraries.text(found, spans, "rows of a test", "2026-11-23")
    values = tomllib.loads(text)["library"]
    assert values["matrix_factor"]["value"] == pytest.approx(0.7, rel=0.03)
    assert values["row_time"]["unit"] == "ns"
    assert values["row_time"]["value"] == pytest.approx(2.0, rel=0.03)
    assert values["quarter_rows"]["kind"] == "assumed"


def test_small_all_reduces_of_engines_on_amd_take_what_vllm_measured(warm):
    """Pull requests 19744 and 39080 of vLLM: four MI300X 7.3 us for 16 KiB, eight MI355X 6.7 for 48; RCCL is slower."""
    for device, ranks, size, measured in (("mi300x", 4, 16384.0, 7.26e-6), ("mi355x", 8, 49152.0, 6.7e-6)):
        chip = am.cluster(device, devices=ranks)
        times = {}
        for by in ("engine", "library"):
            found, _ = operator_time.time_columns(
                operator_time.collective("all-reduce", np.array([size]), float(ranks)),
                replace(chip, link=replace(chip.link, by=by)),
            )
            times[by] = float(np.ravel(found)[0])
        assert times["engine"] == pytest.approx(measured, rel=0.21)
        assert times["library"] > times["engine"] + 5e-6
