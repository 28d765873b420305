"""``accelmodel cake``: the documented commands, exact keys, traces, curves, pictures, and wrong input in one line."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from accelmodel.cli import app
from accelmodel.kvcache.evaluate import bandwidth_words
from accelmodel.kvcache.policies import POLICIES
from accelmodel.kvcache.prompt import chunk_times
from accelmodel.report import cake_figures
from accelmodel.specs.load import load
from accelmodel.validation import cake as validation_cake

GIB = 2.0**30
#: relative rounding of sums in another order
ROUNDING = 1e-9
ROW = {
    "tokens", "bandwidth_bytes_per_s", "utilisation", "kv_bits", "ttft_s", "meet_token", "speedup_over_compute",
    "speedup_over_load",
}  # fmt: skip
ASKED = [
    "--device",
    "a100-sxm-80gb",
    "--tp",
    "1",
    "--model",
    "longalpaca-13b",
    "--tokens",
    "16384",
    "--bandwidth",
    "32Gibps",
    "--utilisation",
    "1.0",
    "--kv-bits",
    "16",
    "--weight-bits",
    "16",
    "--compute-chunk",
    "512",
    "--io-chunk",
    "128",
]
# a trace takes the place of the bandwidth
UNTIMED = [*ASKED[:8], *ASKED[10:]]


@pytest.fixture
def run(monkeypatch, capsys, warm):
    """Return a function: arguments → exit code, standard output, standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["accelmodel", "cake", *map(str, arguments)])
        code = 0
        try:
            app.main()
        except SystemExit as error:
            code = int(error.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def ask(run):
    """Return a function: arguments → the JSON document, after checking that the command succeeded."""

    def call(*arguments: str) -> dict:
        code, out, error = run(*arguments, "--json")
        assert code == 0, error
        assert error == ""
        return json.loads(out)

    return call


def written(folder, name: str, header: str, rows) -> str:
    path = folder / name
    path.write_text("\n".join([header, *(f"{a},{b}" for a, b in rows)]) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def curve(tmp_path):
    """Return the paper's measured curve as the CSV that ``--chunk-times`` reads."""
    return written(tmp_path, "curve.csv", "chunk_index,time_s", enumerate(validation_cake.measured("A100")))


def test_the_documented_command_has_exactly_the_documented_keys(ask):
    data = ask(*ASKED)
    (row,) = data["rows"]
    assert set(row) == ROW
    assert set(row["ttft_s"]) == {"compute_only", "load_only", "cake", "oracle"}
    assert (row["tokens"], row["bandwidth_bytes_per_s"], row["utilisation"], row["kv_bits"]) == (16384, 4 * GIB, 1, 16)
    # 12.5 GiB at 4 GiB/s, copies of them, and one step of the engine
    copies = 12.5 * GIB / load("storage", "cloud-ssd").copy_rate
    assert row["ttft_s"]["load_only"] == pytest.approx(3.125 + copies + data["tail_s"], rel=ROUNDING)
    assert data["tail_s"] == chunk_times("longalpaca-13b", "a100-sxm-80gb", 16384)[0]
    assert row["speedup_over_compute"] == pytest.approx(row["ttft_s"]["compute_only"] / row["ttft_s"]["cake"])
    assert row["speedup_over_load"] == pytest.approx(row["ttft_s"]["load_only"] / row["ttft_s"]["cake"])
    assert 0 < row["meet_token"] < 16384
    assert row["ttft_s"]["oracle"] <= row["ttft_s"]["cake"] * (1 + ROUNDING)


def test_a_measured_curve_is_used_as_it_is(ask, curve):
    (row,) = ask(*ASKED, "--chunk-times", curve)["rows"]
    assert row["ttft_s"]["compute_only"] == pytest.approx(validation_cake.measured("A100")[:32].sum(), rel=ROUNDING)


def test_lists_span_the_rows_and_all_policies_are_answered(ask):
    lists = [
        "--tokens",
        "4096,8192,16384",
        "--bandwidth",
        "7Gibps,32Gibps",
        "--utilisation",
        "0.5,1.0",
        "--policies",
        "all",
    ]
    data = ask(*ASKED[:6], *lists)
    assert len(data["rows"]) == len(data["details"]) == 12
    assert [row["tokens"] for row in data["rows"]] == [n for n in (4096, 8192, 16384) for _ in range(4)]
    for row, detail in zip(data["rows"], data["details"], strict=True):
        assert set(row) == ROW
        assert list(row["ttft_s"]) == list(POLICIES)
        # the lower bound that every policy is held against
        assert min(row["ttft_s"].values()) >= row["ttft_s"]["oracle"] * (1 - ROUNDING)
        single = min(row["ttft_s"]["compute_only"], row["ttft_s"]["load_only"])
        assert bool(detail["why_cake_loses"]) is (row["ttft_s"]["cake"] > single * (1 + 1e-5))
        assert detail["regime"] in cake_figures.REGIMES


def test_where_cake_loses_the_answer_says_why_and_what_gains_more(ask):
    data = ask("--tokens", "4096", "--bandwidth", "7Gibps", "--tail", "126ms")
    assert data["rows"][0]["speedup_over_compute"] < 1.0
    assert "slower than compute_only" in data["details"][0]["why_cake_loses"]
    assert data["details"][0]["best_over_cake"] > 1.0


def test_units_of_bandwidth(ask):
    rows = ask("--tokens", "4096", "--bandwidth", "32Gbps,32Gibps,4GB/s,5GB/s")["rows"]
    assert [row["bandwidth_bytes_per_s"] for row in rows] == [4e9, 4 * GIB, 5e9]
    assert [bandwidth_words(value) for value in (4e9, 4 * GIB, 12.5e9)] == ["32 Gbps", "32 Gibps", "100 Gbps"]


def test_a_context_beyond_the_trained_one_is_answered_with_a_note(ask):
    assert "exceeds the 32768 tokens" in ask("--tokens", "33280")["notes"][0]
    assert ask("--tokens", "32768", "--compute-chunk", "1000")["notes"] == []


def test_traces_give_fronts_over_time(ask, tmp_path):
    wire = written(tmp_path, "bw.csv", "time_s,value", [(0, 1e9), (0.5, 8e9), (60, 8e9)])
    budget = written(tmp_path, "budget.csv", "time_s,value", [(0, 1.0), (0.4, 0.25), (60, 0.25)])
    data = ask(*UNTIMED, "--bandwidth-trace", wire, "--budget-trace", budget)
    (row,), (fronts,) = data["rows"], data["fronts"]
    assert set(row) == ROW
    assert fronts["compute"][0] == {"time_s": 0.0, "token": 0.0}
    assert fronts["load"][0] == {"time_s": 0.0, "token": 16384.0}
    for key, sign in (("compute", 1.0), ("load", -1.0)):
        assert (np.diff([each["time_s"] for each in fronts[key]]) >= 0.0).all()
        assert (sign * np.diff([each["token"] for each in fronts[key]]) >= 0.0).all()
    assert fronts["meet_time_s"] <= row["ttft_s"]["cake"]
    assert fronts["meet_token"] == row["meet_token"]
    # slower than with what the traces offer at their best, all the time
    best = ask(*ASKED[:8], "--bandwidth", "8GB/s")["rows"][0]
    assert row["ttft_s"]["cake"] > best["ttft_s"]["cake"]


def test_a_constant_trace_answers_as_the_constant_does(ask, tmp_path):
    wire = written(tmp_path, "bw.csv", "time_s,value", [(0, 4 * GIB), (90, 4 * GIB)])
    traced, constant = ask(*UNTIMED, "--bandwidth-trace", wire)["rows"][0], ask(*ASKED)["rows"][0]
    for name in ("compute_only", "load_only", "cake"):
        assert traced["ttft_s"][name] == pytest.approx(constant["ttft_s"][name], rel=ROUNDING)
    assert traced["meet_token"] == constant["meet_token"]


def test_random_traces_are_seeded(ask):
    random = ["--bandwidth-trace", "random:1Gibps:25Gibps:100ms", "--budget-trace", "random:0:1:50ms"]
    first, again = ask("--tokens", "8192", *random, "--seed", "3"), ask("--tokens", "8192", *random, "--seed", "3")
    assert first == again
    assert first != ask("--tokens", "8192", *random, "--seed", "4")


def test_a_short_trace_is_held_only_when_asked(run, ask, tmp_path):
    wire = written(tmp_path, "bw.csv", "time_s,value", [(0, 4e9), (0.2, 4e9)])
    code, out, error = run(*UNTIMED, "--bandwidth-trace", wire, "--json")
    assert (code, out) == (2, "")
    assert "bw.csv ends at 0.2 s" in error
    assert "hold" in error
    assert ask(*UNTIMED, "--bandwidth-trace", wire, "--hold")["rows"][0]["bandwidth_bytes_per_s"] == pytest.approx(4e9)


def test_stored_prefix_precision_compression_and_tail(ask):
    def cake(*more: str) -> float:
        return ask(*ASKED, *more)["rows"][0]["ttft_s"]["cake"]

    def loads(*more: str) -> float:
        return ask(*ASKED, *more)["rows"][0]["ttft_s"]["load_only"]

    assert ask(*ASKED, "--stored", "0")["rows"][0]["speedup_over_compute"] == pytest.approx(1.0, rel=ROUNDING)
    assert cake("--stored", "8192") > cake("--stored", "16384")
    bare = ("--tail", "0s", "--copy-rate", "1e30B/s")
    assert loads(*bare, "--compression", "4") == pytest.approx(3.125 / 4, rel=ROUNDING)
    assert loads(*bare, "--latency", "1ms") == pytest.approx(3.125 + 0.128, rel=ROUNDING)
    assert loads("--tail", "0s", "--copy-rate", "4.294967296GB/s") == pytest.approx(2 * 3.125, rel=ROUNDING)
    assert cake("--slowdown", "2") > cake("--slowdown", "1") > 0.0
    assert loads("--slowdown", "2") == loads()
    halves = ask(*ASKED[:8], "--bandwidth", "32Gibps", "--kv-bits", "16,8", *bare)["rows"]
    assert halves[1]["ttft_s"]["load_only"] == pytest.approx(halves[0]["ttft_s"]["load_only"] / 2, rel=ROUNDING)


def test_tensor_parallel_and_tiers(ask):
    one, two = (ask("--tp", tp, "--tier", "nvme")["rows"][0] for tp in ("1", "2"))
    assert two["ttft_s"]["compute_only"] < one["ttft_s"]["compute_only"]
    assert one["bandwidth_bytes_per_s"] == 7 * GIB


def test_the_table_for_people(run):
    code, out, error = run("--tokens", "4096,16384", "--bandwidth", "7Gibps", "--tail", "126ms")
    assert (code, error) == (0, "")
    assert "7 Gibps" in out
    assert "Cake is slower than compute_only" in out


def test_the_report_holds_all_pictures_and_needs_nothing_else(ask, tmp_path):
    path = tmp_path / "cake.html"
    data = ask(*ASKED, "--report", path)
    assert data["report"] == str(path)
    page = path.read_text(encoding="utf-8")
    for name in ("fronts", "ttft", "rows", "paper"):
        assert f'id="figure-{name}"' in page
    assert not re.search(r'<(script|link|img)[^>]*(src|href)="http', page)
    ask(*ASKED, "--report", path)
    assert path.read_text(encoding="utf-8") == page


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--bandwidth", "0Gbps"], "bandwidth: 0 B/s must be at least 1 kB/s"),
        (["--bandwidth=-4GB/s"], "must be at least 1 kB/s"),
        (["--bandwidth", "32 parsecs"], "unknown unit 'parsecs'"),
        (["--utilisation", "0"], "utilisation: 0 must be at least 1e-06"),
        (["--utilisation", "1.5"], "utilisation: 1.5 must be at most 1"),
        (["--kv-bits", "-1"], "KV precision: -1 must be at least"),
        (["--tokens", "131072"], "does not fit"),
        (["--tokens", "0"], "tokens"),
        (["--model", "llama-3.1-70b"], "does not fit"),
        (["--policies", "cak"], "did you mean 'cake'"),
        (["--stored", "20000"], "stored prefix 20000 must lie between 0 and the 16384 tokens"),
        (["--tier", "nvmee"], "did you mean 'nvme'"),
        (["--tail=-1s"], "tail: -1 s must be at least 0 s"),
        (["--compression", "0.5"], "compression: 0.5 must be at least 1"),
        (["--chunk-times", "absent.csv"], "absent.csv: cannot be read"),
        (["--bandwidth-trace", "random:1Gbps"], "write random:LOW:HIGH:INTERVAL"),
        (["--report", "absent/folder/x.html"], "choose another place"),
        (["--compute-chunk", "9" * 26], "compute chunk: 1e+11 Ptoken must be at most 1 Gtoken"),
        (["--io-chunk", "9" * 26], "io_chunk: 1e+11 Ptoken must be at most 1 Gtoken"),
        (["--hold"], "--hold is for a trace from a file"),
        (["--seed", "3"], "--seed is for random traces"),
        (["--bandwidth", "1GB/s", "--bandwidth-trace", "x.csv"], "--bandwidth and --bandwidth-trace are two rates"),
        (["--utilisation", "0.5", "--budget-trace", "x.csv"], "--utilisation and --budget-trace are two rates"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(run, arguments, says):
    code, out, error = run(*arguments, "--json")
    assert (code, out) == (2, "")
    assert error.count("\n") == 1
    assert error.startswith("accelmodel: ")
    assert says in error


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([(0, 0.04), (2, 0.05)], "fill the gap"),
        ([(0, 0.04), (1, 0.05)], "the prompt needs chunks 0 to 31"),
        ([(0, 0.04), (1, -0.05)], "must be above 0"),
    ],
)
def test_wrong_curves_are_refused(run, tmp_path, rows, says):
    path = written(tmp_path, "curve.csv", "chunk_index,time_s", rows)
    code, out, error = run(*ASKED, "--chunk-times", path, "--json")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert says in error
