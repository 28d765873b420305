"""The commands ``step`` and ``preserve``: keys, shortcuts and settings, files of one's own."""

from __future__ import annotations

import json
import math
import re

import pytest

from accelmodel import __version__
from accelmodel.cli.step_options import _routed
from accelmodel.specs import facts

STEP = (
    "step --device ascend-910b2 --devices 8 --tp 8 --model llama-3-70b --phase decode --batch 4 --context 16384 "
    "--weight-bits 8 --activation-bits 8 --kv-bits 8"
)
MODELS = "llama-3-8b,llama-3-70b,qwen2-7b,qwen2-72b,phi-3-small,phi-3-medium"
CONFIG = {
    "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256, "max_position_embeddings": 8192,
    "tie_word_embeddings": False,
}  # fmt: skip


def test_step(answer):
    data = answer(f"{STEP} --technique preserve")
    assert {"time_s", "tokens_per_s", "operators"} <= set(data)
    keys = {"name", "time_s", "bound", "flops", "hbm_bytes", "l2_hit_bytes", "link_bytes"}
    for row in data["operators"]:
        assert keys <= set(row)
        assert row["bound"] in ("compute", "hbm", "l2", "link", "latency")
        assert all(math.isfinite(row[key]) and row[key] >= 0.0 for key in keys - {"name", "bound"})
    assert sum(row["time_s"] for row in data["operators"]) == pytest.approx(data["time_s"], rel=1e-9)
    assert data["tokens_per_s"] == pytest.approx(4 / data["time_s"])
    assert data["prefetched_bytes"] > 0.0
    assert sum(row["l2_hit_bytes"] for row in data["operators"]) > 0.0
    assert data["accelmodel_version"] == __version__
    plain = answer(STEP)
    assert plain["prefetched_bytes"] == 0.0
    assert data["time_s"] < plain["time_s"]


def test_step_for_people(run):
    code, out, err = run(f"{STEP} --technique preserve")
    assert (code, err) == (0, "")
    assert "all_reduce_into_attention" in out
    assert "tokens/s" in out


@pytest.mark.parametrize("technique", ["none", "fused", "preserve"])
def test_prefill_with_a_prefix(answer, technique):
    data = answer(f"step --tp 8 --phase prefill --batch 2 --context 4096 --prefix 1024 --technique {technique}")
    assert data["ttft_s"] == data["time_s"]
    assert data["tokens_per_s"] == pytest.approx(2 * 3072 / data["time_s"])
    assert data["technique"] == technique


SPECULATIVE = "--speculative 2 --acceptance 0.5"


def test_a_step_tells_what_it_takes(answer, run):
    asked = ("step", "--device", "h100-sxm", "--devices", "8", "--tp", "8", "--model", "llama-3-70b", "--batch", "16")
    data = answer(*asked)
    assert sum(row["energy_j"] for row in data["operators"]) == pytest.approx(data["energy_j"], rel=1e-9)
    assert data["power_w"] * data["time_s"] * data["power_stretch"] == pytest.approx(data["energy_j"], rel=1e-9)
    assert data["joules_per_token"] == pytest.approx(data["energy_j"] * 8 / 16, rel=1e-12)
    assert data["energy_lower_j"] < data["energy_j"] < data["energy_upper_j"]
    assert data["power_stretch"] == 1.0
    low = answer(*asked, "--set", "power=300W")
    assert low["power_w"] == pytest.approx(300.0, rel=1e-9)
    assert low["time_s"] == data["time_s"]
    assert low["power_stretch"] > 1.0
    assert "holds down its clock" in low["notes"]
    _, said, _ = run(*asked, "--set", "power=300W")
    assert "a token of 8 devices, 300 W each, which holds down the clock" in said


def test_a_step_with_a_draft(answer, run):
    data, plain = answer(f"{STEP} {SPECULATIVE} --draft llama-3-8b"), answer(STEP)
    assert (data["speculative"], data["acceptance"], data["draft"]) == (2.0, 0.5, "llama-3-8b")
    assert data["tokens_per_step"] == 1.75
    assert data["tpot_s"] == pytest.approx(data["time_s"] / 1.75)
    assert data["tokens_per_s"] == pytest.approx(4 * 1.75 / data["time_s"])
    assert data["memory_bytes"] > plain["memory_bytes"] + 2e9
    code, out, _ = run(f"{STEP} {SPECULATIVE}")
    assert code == 0
    assert "eagle drafts 2 tokens a step and sequence, of which 0.75 are taken" in out
    none = answer(f"{STEP} --speculative 0 --acceptance 0.5")
    assert none == plain


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--speculative 2", "--speculative needs --acceptance"),
        ("--acceptance 0.5", "need --speculative"),
        (f"{SPECULATIVE} --draft mtp", "llama-3-70b has no modules that predict further tokens"),
        ("--prefill-tokens 8", "prefill_tokens are of a mixed step"),
    ],
)
def test_drafts_and_prompts_that_lack_something_are_refused(run, options, message):
    code, out, err = run(f"{STEP} {options}")
    assert (code, out) == (2, "")
    assert message in err


def test_a_mixed_step(answer, run):
    mixed = STEP.replace("--phase decode", "--phase mixed")
    data = answer(f"{mixed} --prefill-tokens 512 --prefix 1024")
    assert (data["phase"], data["prefill_tokens"], data["prefix"]) == ("mixed", 512, 1024)
    assert data["prefill_tokens_per_s"] == pytest.approx(512 / data["time_s"])
    assert data["tpot_s"] == data["time_s"]
    assert "attention_of_prompt" in [row["name"] for row in data["operators"]]
    code, out, _ = run(f"{mixed} --prefill-tokens 512")
    assert code == 0
    assert "512 tokens of prompts beside" in out


def test_preserve(answer):
    data = answer(f"preserve --device ascend-910b2 --models {MODELS} --tp 2,4,8 --batch 1:64 --context 2048:32768")
    rows = data["rows"]
    assert len(rows) == 6 * 3 * 7 * 5
    assert data["skipped"] == ""
    cells = {(row["model"], row["tp"], row["batch"], row["context"]) for row in rows}
    assert len(cells) == len(rows)
    assert {row["batch"] for row in rows} == {1, 2, 4, 8, 16, 32, 64}
    assert {row["context"] for row in rows} == {2048, 4096, 8192, 16384, 32768}
    for row in rows:
        assert row["speedup"] == pytest.approx(row["baseline_s"] / row["preserve_s"])
        assert row["fused_s"] <= row["baseline_s"] * (1 + 1e-12)
        assert row["prefetched_bytes"] >= 0.0
    fitting = [row["speedup"] for row in rows if row["feasible"]]
    assert 0 < len(fitting) < len(rows)
    assert data["max_speedup"] == max(fitting)
    assert data["min_speedup"] == min(fitting)


def test_preserve_takes_what_a_smaller_cluster_has(answer):
    small = answer("preserve --models llama-3-8b --devices 2")
    assert [row["tp"] for row in small["rows"]] == [2]
    assert [row["tp"] for row in answer("preserve --models llama-3-8b")["rows"]] == [8]
    for low, high in small["operator_intervals"].values():
        assert 0.0 < low < 1.0 < high


def test_preserve_says_which_models_it_skips(answer):
    data = answer("preserve --models llama-3-8b,deepseek-v3 --tp 2 --batch 1 --context 2048")
    assert [row["model"] for row in data["rows"]] == ["llama-3-8b"]
    assert "deepseek-v3 does not fit" in data["skipped"]


def test_preserve_for_people(run):
    code, out, err = run("preserve --model llama-3-8b --tp 8 --batch 1,4 --phase decode")
    assert (code, err) == (0, "")
    assert "speed-up from" in out


@pytest.mark.parametrize(
    ("options", "same"),
    [
        ("--l2 104MB", "--set l2_capacity=104MB"),
        ("--hbm-bandwidth 2TB/s", "--set device.hbm_bandwidth=2e12B/s"),
        ("--hbm-capacity 96GB", "--set hbm_capacity=96e9B"),
        ("--l2-bandwidth 5TB/s", "--set device.l2_bandwidth=5TB/s"),
        ("--link-bandwidth 50GB/s", "--set link.bandwidth=400Gbps"),
        ("--cores 24", ""),
        ("--link hccs-mesh-8", ""),
        ("--threshold 1.0 --rule partial", ""),
        ("--set scale_out.bandwidth=1GB/s", ""),
    ],
)
def test_shortcuts_and_settings_are_the_same(answer, options, same):
    command = f"{STEP} --technique preserve"
    one, other = (answer(f"{command} {each}")["time_s"] for each in (options, same))
    assert one == pytest.approx(other, rel=1e-12)


@pytest.mark.parametrize(
    ("options", "slower"),
    [
        ("--hbm-bandwidth 0.8TB/s", True),
        ("--hbm-bandwidth 3.2TB/s", False),
        ("--link-bandwidth 20GB/s", True),
        ("--link pcie4-x16", True),
        ("--l2 8MB", True),
        ("--cores 2", True),
        ("--set link.start_up=100us", True),
        ("--set link.start_up=1us --set launch_time=1us", False),
        ("--threshold 0.1", True),
    ],
)
def test_overrides_change_the_answer(answer, options, slower):
    command = f"{STEP} --technique preserve"
    before, after = answer(command)["time_s"], answer(f"{command} {options}")["time_s"]
    assert after > before if slower else after < before


def test_device_and_model_by_path(answer, tmp_path):
    device = (facts.root() / "devices" / "ascend-910b2.toml").read_text(encoding="utf-8")
    (tmp_path / "chip.toml").write_text(device, encoding="utf-8")
    model = (facts.root() / "models" / "llama-3-8b.toml").read_text(encoding="utf-8")
    (tmp_path / "model.toml").write_text(model, encoding="utf-8")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    shipped = answer("step --device ascend-910b2 --model llama-3-8b --tp 8")
    mine = answer("step --device ./chip.toml --model model.toml --tp 8")
    hub = answer("step --device chip.toml --model ./config.json --tp 8")
    assert mine["device"] == "chip"
    assert mine["time_s"] == shipped["time_s"] == hub["time_s"]


@pytest.mark.parametrize(
    ("options", "model", "tp"),
    [
        ("", "llama-3-70b", 4),  # 141 GB on 69 GB a device
        ("--device h100-sxm", "llama-3-70b", 2),
        ("--device t4", "llama-3-8b", 2),  # 17.6 GB of 70B on each of eight, 16 GB each
        ("--device h100-sxm --devices 1", "llama-3-8b", 1),
        ("--device h100-sxm --model llama-3-8b", "llama-3-8b", 1),
        ("--device l4 --model llama-3-8b --batch 64", "llama-3-8b", 2),  # 16 GB of weights, 17 GB of KV cache
    ],
)
def test_what_nobody_named_is_chosen_so_that_it_fits(answer, run, options, model, tp):
    data = answer(f"step {options}")
    assert (data["model"], data["tp"]) == (model, tp)
    assert (f"tp {tp} is the smallest" in data["notes"]) == (tp > 1)
    assert ("llama-3-70b does not fit" in data["notes"]) == (model == "llama-3-8b" and "--model" not in options)
    assert (f"tp {tp} is the smallest" in run(f"step {options}")[1]) == (tp > 1)
    named = answer(f"step {options} --model {model} --tp {tp}".replace(f"--model {model} ", "", "--model" in options))
    assert named["time_s"] == data["time_s"]
    assert "smallest" not in named["notes"]


def test_a_step_tells_how_far_it_may_be_off(answer, run):
    data = answer(STEP)
    assert 0.0 < data["lower_s"] < data["time_s"] < data["upper_s"]
    for row in data["operators"]:
        assert row["lower_s"] <= row["time_s"] <= row["upper_s"]
    # errors of different kinds add up in squares: the whole is closer than its operators
    assert data["upper_s"] < sum(row["upper_s"] for row in data["operators"])
    assert (data["devices"], data["tp"], data["batch"], data["context"], data["kv_bits"]) == (8, 8, 4, 16384, 8.0)
    told = run(STEP)[1]
    assert "batch 4, context 16384, tp 8, collectives by engine, graph; weakest fact behind it: " in told
    assert "nine of ten measured between" in told
    assert "on 8 x ascend-910b2" in told


ODD = """
[default]
kind = "paper"
source = "s"
locator = "x"
[sources.s]
title = "x"
[device]
like = "h100-sxm"
"""


@pytest.mark.parametrize(
    "command",
    [
        "step --model llama-3-8b",
        "preserve --model llama-3-8b --phase decode",
        "matmul --m 1 --n 64 --k 64",
        "attention",
        "collective --bytes 1MB",
    ],
)
def test_notes_whole_in_json_and_one_line_for_people(answer, run, tmp_path, command):
    (tmp_path / "odd.toml").write_text(ODD, encoding="utf-8")
    data = answer(f"{command} --device odd.toml")
    assert "h100-sxm, not measured on this chip" in data["notes"]
    assert data["weakest_fact"] in facts.KINDS
    code, out, _ = run(f"{command} --device odd.toml")
    assert code == 0
    (line,) = [line for line in out.splitlines() if "odd: " in line or "on odd:" in line]
    assert re.fullmatch(r"\d+ notes? on odd: accelmodel show odd.toml", line)
    assert "not measured" not in out
    assert "accelmodel show" not in run(f"{command} --device h100-sxm")[1]
    assert run("show odd.toml")[0] == 0


def test_a_step_says_what_was_changed(answer):
    data = answer(f"{STEP} --l2 104MB")
    assert data["overrides"] == {"device": {"l2.capacity": 104e6}}
    assert answer(STEP)["overrides"] == {}


EXPERTS = "step --model deepseek-v3 --device h100-sxm --devices 32 --dp 32 --ep 32 --batch 4096 --context 2048"


def test_how_tokens_come_to_experts(answer):
    even = answer(EXPERTS)
    assert even["experts"] == {
        "held": 8.0, "redundant": 0.0, "imbalance": 1.0, "exchange": "low-latency", "two_batch_overlap": 0.0
    }  # fmt: skip
    random, skewed, given = (
        answer(f"{EXPERTS} {more}") for more in ("--routing random", "--routing power-law-1.01", "--imbalance 1.2")
    )
    assert 1.0 < random["experts"]["imbalance"] < 1.2 == given["experts"]["imbalance"] < skewed["experts"]["imbalance"]
    assert even["time_s"] < random["time_s"] < given["time_s"] < skewed["time_s"]
    turns = answer(f"{EXPERTS} --two-batch-overlap --exchange network --redundant-experts 32")
    assert turns["experts"] | {"held": 9.0} == turns["experts"]
    assert (turns["experts"]["exchange"], turns["experts"]["two_batch_overlap"]) == ("network", 1.0)
    assert "experts" not in answer(STEP)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--routing even", "unknown routing 'even'"),
        ("--exchange fast", "unknown exchange 'fast'"),
        ("--routing random --imbalance 1.2", "leave one out"),
        ("--dp 24 --ep 24 --routing power-law-1.2", "give --imbalance"),
        ("--dp 8 --exchange normal", "--exchange needs --ep and --dp above 1"),
        ("--dp 8 --imbalance 1.2", "--imbalance needs --ep above 1"),
        ("--imbalance 33", "imbalance 33 exceeds the 32"),
    ],
)
def test_what_experts_cannot_be_asked(run, options, message):
    base = EXPERTS.replace("--dp 32 --ep 32 ", "") if "--dp" in options else EXPERTS
    code, out, err = run(f"{base} {options}")
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize(
    ("work", "tokens"),
    [
        ({"phase": "decode"}, 10),
        ({"phase": "decode", "speculative": 3}, 40),
        ({"phase": "mixed", "speculative": 1, "prefill_tokens": 512}, 532),
        ({"phase": "prefill"}, 10 * 1536),
        ({"phase": "mixed", "prefill_tokens": 512, "pp": 4}, 3 + 128),
    ],
)
def test_as_many_tokens_go_to_experts_as_a_step_has(work, tokens):
    asked = {"batch": 10, "context": 2048, "prefix": 512, "speculative": 0, "prefill_tokens": 0, "pp": 1}
    assert _routed({**asked, **work}) == tokens


def test_a_mixed_step_routes_its_own_tokens(answer):
    """As many tokens as a decode step of a larger batch: as unlike."""
    mixed = answer(f"{EXPERTS} --phase mixed --prefill-tokens 512 --routing power-law-1.2")["experts"]["imbalance"]
    decode = answer(f"{EXPERTS} --routing power-law-1.2")["experts"]["imbalance"]
    assert 1.0 < mixed <= decode * 1.01


def test_a_device_beside_a_cluster_is_taken_even_where_it_is_the_usual_one(answer):
    within = "step --model llama-3-8b --cluster gb200-nvl72"
    assert answer(within)["device"] == "gb200"
    assert answer(f"{within} --device ascend-910b2")["device"] == "ascend-910b2"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--phase mixed", "--phase mixed needs --prefill-tokens"),
        ("--memory-share 90%", "write 0.9"),
        ("--scale-out gb200-nvl72", "one of 2 levels"),
        ("--set die_to_die.latency=1us", "latency is given and bandwidth is not"),
    ],
)
def test_half_a_question_is_refused(refused, options, message):
    assert message in refused(f"step --model llama-3-8b --device h100-sxm {options}")


def test_routings_are_drawn_for_numbers_of_tokens_that_there_are(refused):
    many = f"step --model deepseek-v3 --device h100-sxm --dp 8 --ep 8 --routing power-law-1.2 --batch {10**21}"
    assert "drawn for 1 to 1,000,000,000,000 tokens" in refused(many)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--cluster nvl72", "unknown cluster 'nvl72'"),
        ("--weight-bits 0.5", "Invalid value for '--weight-bits': '0.5' is not allowed"),
    ],
)
def test_what_is_misspelt_is_answered_as_what_it_is(refused, options, message):
    assert message in refused(f"step --model llama-3-8b --device h100-sxm {options}")
