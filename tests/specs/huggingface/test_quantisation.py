"""What checkpoints state of their precision, in bits computed by hand."""

from __future__ import annotations

import json

import pytest

from accelmodel.errors import SpecError
from accelmodel.inference.reading import reading
from accelmodel.specs.load import load

DENSE = {
    "model_type": "llama",
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
}
SPARSE = {
    "model_type": "deepseek_v3",
    "hidden_size": 256,
    "intermediate_size": 512,
    "moe_intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "kv_lora_rank": 64,
    "q_lora_rank": 64,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 16,
    "v_head_dim": 32,
    "n_routed_experts": 8,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "first_k_dense_replace": 1,
    "vocab_size": 1000,
    "tie_word_embeddings": False,
}


def read(folder, config, quantised, beside=None):
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": quantised}), encoding="utf-8")
    if beside is not None:
        (folder / "hf_quant_config.json").write_text(json.dumps(beside), encoding="utf-8")
    return load("model", folder)


def groups(bits, kind, *, size=None, inputs=None, symmetric=True, **more):
    weights = {"num_bits": bits, "type": kind, "group_size": size, "symmetric": symmetric}
    group = {"targets": ["Linear"], "weights": weights, "input_activations": inputs}
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}, "ignore": ["lm_head"], **more}


FP8_IN = {"num_bits": 8, "type": "float", "dynamic": True}


@pytest.mark.parametrize(
    ("quantised", "weights", "activations", "word"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, 8 + 32 / 16384, 8, "fp8"),
        ({"quant_method": "fbgemm_fp8"}, 8, 8, "fp8"),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, 4 + (16 + 4) / 128, 16, "int4"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True}, 4 + 20 / 128, 16, "int4"),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, 8, 16, "int8"),
        ({"quant_method": "mxfp4"}, 4 + 8 / 32, 16, "mxfp4"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, 8, 8, "int8"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 4 + 32 / 64, 16, "nf4"),
        (
            {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_use_double_quant": True},
            4 + 8 / 64 + 32 / 64 / 256,
            16,
            "nf4",
        ),
        (groups(8, "float", inputs=FP8_IN), 8, 8, "fp8"),
        (groups(8, "int", inputs={"num_bits": 8, "type": "int"}), 8, 8, "int8"),
        (groups(4, "int", size=32), 4 + 16 / 32, 16, "int4"),
        (groups(4, "int", size=128, symmetric=False), 4 + (16 + 4) / 128, 16, "int4"),
        (groups(4, "float", size=16, inputs={"num_bits": 4, "type": "float"}), 4 + 8 / 16, 4, "nvfp4"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head"]}, 4.5, 4, "nvfp4"),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, 8, 8, "fp8"),
        ({"quant_method": "modelopt", "quant_algo": "W4A16_AWQ"}, 4.125, 16, "int4"),
    ],
)
def test_formats(quantised, weights, activations, word, tmp_path):
    precision = read(tmp_path, DENSE, quantised).precision
    assert (precision.weights, precision.activations, precision.format) == (weights, activations, word)
    assert precision.attention == precision.mlp == pytest.approx(weights)
    assert (precision.tables, precision.kv) == (16.0, 16.0)


def test_70b_in_fp8_weighs_72_65_gb(tmp_path):
    """Two tables at 16 bit, all else at 8, norms at 16."""
    model = read(tmp_path, DENSE, groups(8, "float", inputs=FP8_IN))
    tables, norms = 2 * 128256 * 8192, 161 * 8192
    inside = 80 * (2 * 8192 * 8192 + 2 * 8192 * 1024 + 3 * 8192 * 28672)
    assert reading(model)["weight_bytes"] == inside + 2 * (tables + norms)
    assert reading(model)["weight_bytes"] == pytest.approx(72.65e9, rel=1e-3)


@pytest.mark.parametrize(
    ("stated", "kv"),
    [
        ({"kv_cache_scheme": {"num_bits": 8, "type": "float"}}, 8.0),
        ({"kv_cache_scheme": "FP8"}, 8.0),
        ({"kv_cache_scheme": None}, 16.0),
        ({"kv_cache_quant_algo": "NVFP4"}, 4.5),
    ],
)
def test_precision_of_the_kv_cache(stated, kv, tmp_path):
    model = read(tmp_path, DENSE, {"quant_method": "fp8", **stated})
    assert model.precision.kv == kv
    assert reading(model)["kv_bytes_per_token"] == 80 * 2 * 8 * 128 * kv / 8


def test_what_a_list_leaves_out_stays_at_16_bit_class_by_class(tmp_path):
    quantised = groups(4, "int", size=32, ignore=["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*"])
    precision = read(tmp_path, SPARSE, quantised).precision
    assert (precision.attention, precision.shared_experts, precision.router) == (16.0, 16.0, 16.0)
    assert (precision.experts, precision.mlp) == (4.5, 4.5)


def test_a_pattern_of_two_layers_counts_as_their_share(tmp_path):
    """Attention of layers 0 and 3 of four is left out: half at 16 and half at 8 bit."""
    names = ["model.layers.0.self_attn*", "model.layers.3.self_attn.*"]
    model = read(tmp_path, SPARSE, {"quant_method": "fp8", "modules_to_not_convert": names})
    assert model.precision.attention == pytest.approx(12.0)
    assert model.precision.experts == 8.0


def test_a_mixture_listed_module_by_module(tmp_path):
    listed = {f"model.layers.{place}.mlp.experts.{expert}.up_proj": {"quant_algo": "NVFP4"}
              for place in (1, 2, 3) for expert in range(8)}  # fmt: skip
    listed |= {f"model.layers.{place}.self_attn.o_proj": {"quant_algo": "FP8"} for place in range(4)}
    listed["lm_head"] = {"quant_algo": "FP8"}
    model = read(tmp_path, SPARSE, {"quant_algo": "MIXED_PRECISION", "quantized_layers": listed})
    output = 4 * 32 * 256
    others = 256 * 64 + 64 * 4 * 48 + 256 * 80 + 64 * 4 * 64
    assert model.precision.experts == 4.5
    assert model.precision.attention == pytest.approx((8 * output + 16 * others) / (output + others))
    assert (model.precision.mlp, model.precision.tables) == (16.0, 12.0)


def test_the_file_beside_wins_and_both_lists_hold(tmp_path):
    beside = {"quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]}}
    precision = read(tmp_path, DENSE, {"quant_method": "modelopt", "ignore": ["*.self_attn.*"]}, beside).precision
    assert (precision.weights, precision.attention, precision.kv) == (4.5, 16.0, 8.0)


@pytest.mark.parametrize(
    ("quantised", "says"),
    [
        ({"quant_method": "fp88"}, "did you mean 'fp8'"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP5"}, "did you mean 'NVFP4'"),
        ({"quant_method": "bitsandbytes"}, "load_in_4bit"),
        ({"quant_method": "gptq", "bits": "four"}, "bits"),
        ({"quant_method": "fp8", "kv_cache_scheme": "fp99"}, "kv_cache_scheme"),
        ({"quant_method": "fp8", "ignore": "lm_head"}, "list of names"),
        (groups(8, "float", ignore=["re:("]), "regular expression"),
        ({"quant_method": "compressed-tensors", "config_groups": {"group_0": {}}}, "weights"),
        ({"quant_method": "compressed-tensors", "config_groups": [1]}, "config_groups"),
        ({"quantized_layers": {"lm_head": 8}}, "quantized_layers.lm_head"),
        ([1], "must be an object"),
    ],
)
def test_a_precision_is_never_guessed(quantised, says, tmp_path):
    with pytest.raises(SpecError, match="quantization_config") as error:
        read(tmp_path, DENSE, quantised)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("config", "quantised"),
    [
        (DENSE, groups(8, "float", inputs=FP8_IN)),
        (SPARSE, groups(4, "int", size=32, ignore=["lm_head", "re:.*self_attn.*"])),
        (SPARSE, {"quant_method": "fp8", "weight_block_size": [128, 128]}),
        (SPARSE, {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head", "*shared_experts*"]}),
    ],
)
def test_bytes_of_the_rows_are_those_of_the_modules(config, quantised, tmp_path):
    """Two counts by other ways: rows of the operator table, and the modules that a checkpoint lists."""
    size = reading(read(tmp_path, config, quantised))["weight_bytes"]
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": float(size)}}))
    notes = read(tmp_path, config, quantised).notes
    assert any("0.00% of what was read" in note for note in notes)
