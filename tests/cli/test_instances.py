"""The commands ``instances`` and ``fleet`` as a user meets them, and their report."""

from __future__ import annotations

import io
import json
import sys
from datetime import date

import pytest
from rich.console import Console

from accelmodel.cli import app, terminal
from accelmodel.cli.instances import print_instances

ROW = {
    "instance", "gpu", "gpus", "price_usd_per_hour", "offload_ratio", "tps_total", "tps_output", "ttft_s", "tpot_s",
    "cost_usd_per_million_tokens", "cost_efficiency", "feasible", "reason",
}  # fmt: skip
ONLINE = (
    "instances --model opt-2.7b --input 128 --output 512 --batch 32 --slo-tps 400 --region us-east-1 --max-price 3.0"
)
OFFLINE = (
    "instances --model opt-2.7b --input 1024 --output 128 --batch 32 --slo-tps 100 --offload infersave "
    "--time-model as-published"
)
RATE = (
    "instances --model llama-3.1-8b --input 1024 --output 256 --rate 2.0 --slo-ttft 500ms --slo-tpot 50ms "
    "--percentile 95"
)
FEW = "instance,region,price_per_hour,date\ng6.xlarge,few,0.8,2026-01-01\ng6e.xlarge,few,1.9,2026-01-01\n"
MIX = "input,output,rate\n128,128,4\n2048,256,1\n"


@pytest.fixture
def run(monkeypatch, capsys, tmp_path, warm):
    """Run a command in an empty folder with a mix of requests; return exit code, standard output and error."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mix.csv").write_text(MIX, encoding="utf-8")
    (tmp_path / "few.csv").write_text(FEW, encoding="utf-8")

    def call(command, *more):
        monkeypatch.setattr(sys, "argv", ["accelmodel", *command.split(), *more])
        with pytest.raises(SystemExit) as ended:
            app.main()
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return call


@pytest.mark.parametrize("command", [ONLINE, OFFLINE, RATE])
def test_instances_answers_with_ranked_rows(run, command):
    code, out, err = run(command, "--json")
    assert (code, err) == (0, "")
    data = json.loads(out)
    assert data["choice"] == data["rows"][0]
    # the choice of the paper (Tables V and VI); of a rate none was published
    assert command == RATE or data["choice"]["instance"] == "g4dn.xlarge"
    assert data["choice"]["feasible"]
    for row in data["rows"]:
        assert set(row) == ROW | {"detail"}
    met = [row["cost_efficiency"] for row in data["rows"] if row["feasible"]]
    assert met == sorted(met, reverse=True)
    feasible = [row["feasible"] for row in data["rows"]]
    assert feasible == sorted(feasible, reverse=True)


def test_a_rate_is_served_within_its_levels(run):
    data = json.loads(run(RATE + " --prices few.csv --region few", "--json")[1])
    for row in data["rows"]:
        if row["feasible"]:
            assert row["ttft_s"] <= 0.5
            assert row["tpot_s"] <= 0.05
            assert row["tps_output"] == pytest.approx(2.0 * 256, rel=0.15)  # 600 random arrivals


def test_fleet_answers_with_counts_and_saving(run):
    code, out, err = run("fleet --model llama-3.1-8b --workload mix.csv --slo-tpot 60ms --json")
    assert (code, err) == (0, "")
    data = json.loads(out)
    assert {"counts", "cost_usd_per_hour", "best_single", "saving"} <= set(data)
    assert sum(data["counts"].values()) >= 1
    assert 0.0 <= data["saving"] < 1.0


def test_tables_are_printed_for_people(run):
    code, out, _ = run(ONLINE)
    assert code == 0
    assert "choice: 1 x g4dn.xlarge" in out
    assert "prices are stale" in out
    code, out, _ = run("fleet --model llama-3.1-8b --workload mix.csv --slo-tpot 60ms")
    assert code == 0
    assert "USD/h; best single type" in out


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (ONLINE.replace("us-east-1", "us-east-1a"), "unknown region 'us-east-1a', did you mean 'us-east-1'"),
        (ONLINE.replace("400", "1e6"), "no instance meets the SLO within 3 USD/h; nearest is"),
        (ONLINE.replace("3.0", "0.01"), "the cheapest is g4dn.xlarge at 0.526 USD/h"),
        (ONLINE.replace("400", "2000"), "would meet it: raise --max-price"),
        (ONLINE + " --offload everything", "unknown offloading policy 'everything'"),
        (ONLINE + " --time-model guess", "unknown time model 'guess'"),
        (ONLINE + " --memory-rule guess", "unknown memory rule 'guess'"),
        (ONLINE + " --rate 1", "either a batch or a rate"),
        (ONLINE + " --prices none.csv", "cannot be read"),
        (ONLINE + " --slo-ttft 0s", "must be above 0"),
        (ONLINE + " --slo-ttft 3GB", "expected s"),
        (ONLINE + " --percentile 100", "percentile 100 must be between"),
        (ONLINE.replace("400", "-1"), "slo-tps -1 must be above 0"),
        (ONLINE + " --engine vlm", "unknown engine 'vlm'"),
        (ONLINE.replace("opt-2.7b", "llama-3.1-405b"), "none within the price fits the model; p5e.48xlarge at"),
        (
            ONLINE.replace("opt-2.7b", "deepseek-v3") + " --weight-bits 32",
            "deepseek-v3 fits no instance on offer; the nearest, p6-b200",
        ),
        (ONLINE + " --price-kind spto", "unknown kind of price 'spto', did you mean 'spot'"),
        (RATE + " --time-model as-published", "needs the physical time model"),
        (RATE + " --offload kvpr", "keeps all KV cache on the device"),
        (RATE + " --memory-rule algorithm-1", "a memory rule needs a batch"),
        (RATE + " --deadline 1h", "an arrival rate has no end: a deadline and a number of requests need a batch"),
        (RATE + " --requests 100", "an arrival rate has no end"),
        (ONLINE + " --percentile 50", "a percentile is of a rate's users, and a batch has none"),
        (OFFLINE.replace("infersave", "flexgen"), "the paper's equations have no policy 'flexgen'"),
        (OFFLINE + " --kv-bits 8", "the paper's equations have one precision"),
        (RATE.replace("500ms", "1us") + " --prices few.csv --region few", "no instance meets the SLO; nearest is"),
        ("fleet --workload missing.csv", "cannot be read"),
        ("fleet", "needs --workload, a CSV file"),
        ("instances", "needs --batch (requests at once) or --rate (requests per second); for example: accelmodel inst"),
        ("fleet --workload mix.csv --slo-tpot 1us", "serves requests of"),
        ("fleet --workload mix.csv --region mars", "unknown region 'mars'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(run, command, told):
    code, out, err = run(command)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert told in err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("instance,region,price_per_hour,date,currency\ng6.xlarge,x,1,2025-01-01,EUR\n", "currency 'EUR' is not USD"),
        (
            "instance,region,price_per_hour,date\ng6.xlarge,x,-1,2025-01-01\n",
            ":2: price_per_hour '-1' must be USD from 0.0001 to 100000",
        ),
        ("instance,region,price_per_hour,date\nmine,x,1,2025-01-01\n", "prices.csv:2: unknown instance 'mine'"),
    ],
)
def test_a_price_list_that_is_wrong_is_refused(run, tmp_path, text, told):
    (tmp_path / "prices.csv").write_text(text, encoding="utf-8")
    code, _, err = run(ONLINE.replace("us-east-1", "x"), "--prices", "prices.csv")
    assert code == 2
    assert told in err


def test_own_prices_replace_the_shipped(run, tmp_path):
    today = date.today().isoformat()
    (tmp_path / "p.csv").write_text(
        f"instance,region,price_per_hour,date\ng6.xlarge,lab,0.25,{today}\n", encoding="utf-8"
    )
    code, out, _ = run(ONLINE.replace("us-east-1", "lab"), "--prices", "p.csv", "--json")
    data = json.loads(out)
    assert code == 0
    assert [row["instance"] for row in data["rows"]] == ["g6.xlarge"]
    assert data["prices"]["stale"] == 0
    assert data["choice"]["price_usd_per_hour"] == 0.25


def test_an_empty_mix_is_refused(run, tmp_path):
    (tmp_path / "mix.csv").write_text("input,output,rate\n", encoding="utf-8")
    code, _, err = run("fleet --workload mix.csv")
    assert code == 2
    assert "has 0 buckets" in err


def test_report_opens_offline_and_says_the_choice(run, tmp_path):
    code, out, _ = run(ONLINE, "--report", "r.html", "--json")
    assert code == 0
    page = (tmp_path / json.loads(out)["report"]).read_text(encoding="utf-8")
    assert "g4dn.xlarge (1 T4) is the cheapest way to serve opt-2.7b as asked: 0.526 USD/h." in page
    drawn = [name for name in ("cost-tps_total", "tpot", "ttft", "winner") if f'<div id="figure-{name}"' in page]
    assert len(drawn) == page.count('<div id="figure-') == 4
    assert "<script src" not in page
    assert "http://" not in page.split("<body>")[1].split("<script")[0]
    code, _, err = run(ONLINE, "--report", "no/such/folder/r.html")
    assert code == 2
    assert "cannot be written" in err


def test_at_80_columns_no_name_is_broken(run, monkeypatch):
    data = json.loads(run(f"{ONLINE} --json")[1])
    console = Console(width=80, file=io.StringIO(), force_terminal=True, color_system=None)
    monkeypatch.setattr(terminal, "_console", lambda: console)
    print_instances(data)
    lines = console.file.getvalue().splitlines()
    for row in data["rows"]:
        assert any(row["instance"] in line and row["reason"] in line for line in lines)


BATCH = "instances --model llama-3.1-8b --input 512 --output 128 --batch 8 --instance g6e.xlarge --only"


def test_drafts_shorten_the_time_per_token(answer, refused):
    """Of three tokens 0.7 + 0.49 + 0.343 are taken, at 4 rows a sequence and three layers more."""
    plain, drafted = answer(BATCH), answer(f"{BATCH} --speculative 3 --acceptance 0.7")
    assert "drafts" not in plain
    assert drafted["drafts"] == {"speculative": 3.0, "acceptance": 0.7, "draft": "eagle"}
    gain = plain["choice"]["tpot_s"] / drafted["choice"]["tpot_s"]
    assert 1.8 < gain < 2.533
    detail = drafted["choice"]["detail"]
    assert detail["tpot_lower_s"] < drafted["choice"]["tpot_s"] < detail["tpot_upper_s"]
    free = answer(f"{BATCH} --speculative 3 --acceptance 0.7 --draft n-gram")
    assert free["choice"]["tpot_s"] < drafted["choice"]["tpot_s"]
    assert "--speculative needs --acceptance" in refused(f"{BATCH} --speculative 3")
    known = refused(f"{BATCH} --speculative 3 --acceptance 0.7 --time-model as-published")
    assert "the paper's equations know no drafts" in known


def test_drafts_under_a_rate(answer):
    rate = BATCH.replace("--batch 8", "--rate 1")
    plain, drafted = answer(rate), answer(f"{rate} --speculative 3 --acceptance 0.7")
    assert drafted["choice"]["tpot_s"] < 0.6 * plain["choice"]["tpot_s"]
    assert drafted["choice"]["detail"]["batch"] < plain["choice"]["detail"]["batch"]


def test_a_safety_factor_of_nothing_is_refused(run):
    code, _, err = run("instances --batch 4 --memory-rule released-code --safety-factor 0")
    assert (code, err) == (2, "accelmodel: --safety-factor: 0 must be above 0\n")


@pytest.mark.parametrize("command", ["instances --batch 4", "fleet --workload mix.csv"])
def test_unknown_callers_are_answered_with_the_closest(run, command):
    code, _, err = run(f"{command} --by librar")
    assert code == 2
    assert "unknown caller of collectives 'librar', did you mean 'library'?" in err
    code, _, err = run(f"{command} --engine vllm --launch eagr")
    assert code == 2
    assert "unknown launch 'eagr', did you mean 'eager'?" in err
