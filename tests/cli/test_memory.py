"""What answers say of a device's memory and of how their model was read."""

from __future__ import annotations

import pytest

STEP = "step --device h100-sxm --model llama-3-8b --batch 4 --context 8192 --tp 1"
READ = {
    "parameters", "active_parameters", "kv_bytes_per_token", "state_bytes_per_sequence", "weight_bytes", "precision",
    "precision_from", "layers", "mlp",
}  # fmt: skip


def test_a_step_tells_what_it_holds_and_what_is_kept_back(answer):
    data = answer(STEP)
    memory = data["memory"]
    held = sum(memory[f"{name}_bytes"] for name in ("weights", "kv_cache", "activations"))
    assert held == pytest.approx(data["memory_bytes"], rel=1e-12)  # rounding
    assert memory["weights_bytes"] == 2 * 8_029_995_008  # norms and biases apart
    assert memory["kv_cache_bytes"] == 4 * 8192 * 128 * 1024
    assert (memory["capacity_bytes"], memory["reserved_bytes"]) == (81_559 * 2**20, 2**30)


def test_an_engine_takes_its_share_and_no_more(answer):
    memory = answer(f"{STEP} --memory-share 0.9")["memory"]
    assert memory["reserved_bytes"] == pytest.approx(0.1 * memory["capacity_bytes"], rel=1e-9)
    assert answer(f"{STEP} --memory-share 1.0")["memory"]["reserved_bytes"] == 2**30


def test_what_does_not_fit_an_engines_share_is_refused(run):
    code, out, complaint = run(f"{STEP} --memory-share 0.2")
    assert (code, out) == (2, "")
    assert "less 68.42 GB kept back" in complaint


@pytest.mark.parametrize("share", ["0", "1.5", "nan"])
def test_a_share_that_is_none_is_refused(refused, share):
    assert "memory share" in refused(f"{STEP} --memory-share {share}")


@pytest.mark.parametrize(
    "command",
    [
        STEP,
        "cake --model llama-3-8b --tokens 2048",
        "instances --model opt-2.7b --input 128 --output 512 --batch 32 --slo-tps 400 --region us-east-1",
    ],
)
def test_every_answer_tells_how_its_model_was_read(answer, command):
    read = answer(command)["read"]
    assert set(read) == READ
    assert set(read["precision_from"].values()) <= {"asked", "file", "default"}


def test_a_comparison_of_models_tells_it_of_each(answer):
    read = answer("preserve --models llama-3-8b,qwen2-7b --tp 4 --context 2048")["read"]
    assert [each["model"] for each in read] == ["llama-3-8b", "qwen2-7b"]
    assert all(set(each) == {*READ, "model"} for each in read)
    assert read[0]["precision_from"]["kv_bits"] == "default of preserve"
    data = answer("preserve --models llama-3-8b --tp 4 --context 2048 --kv-bits 16")
    assert data["read"][0]["precision_from"] == {
        "weight_bits": "default of preserve",
        "activation_bits": "default of preserve",
        "kv_bits": "asked",
    }
    assert {row["from"] for row in data["precision"]} == {"default of preserve", "default"}
    assert "(asked)" not in data["notes"]
