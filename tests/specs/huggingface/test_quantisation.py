"""What checkpoints state of their precision, in bits computed by hand."""

from __future__ import annotations

import json

import pytest

from accelmodel.errors import SpecError
from accelmodel.inference.reading import reading
from accelmodel.specs.bits import activation_bits, class_bits
from accelmodel.specs.load import load
from accelmodel.specs.workload import Workload

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


def quark(numbers, inputs=True):
    both = {"weight": numbers, "input_tensors": numbers if inputs else None}
    return {"quant_method": "quark", "global_quant_config": both, "exclude": ["lm_head"]}


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
        (groups(4, "float", size=16, inputs={"num_bits": 4, "type": "float"}), 4 + 8 / 16, 4.5, "nvfp4"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head"]}, 4.5, 4.5, "nvfp4"),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, 8, 8, "fp8"),
        ({"quant_method": "modelopt", "quant_algo": "W4A16_AWQ"}, 4.125, 16, "int4"),
        ({"quant_method": "modelopt", "quant_algo": "W4A8_MXFP4_FP8"}, 4.25, 8, "mxfp4"),
        ({"quant_method": "modelopt", "quant_algo": "W4A16_AWQ", "group_size": 64}, 4.25, 16, "int4"),
        ({"quant_method": "mxfp8"}, 8.25, 8.25, "mxfp8"),
        ({"quant_method": "fp_quant", "forward_dtype": "mxfp4"}, 4.25, 4.25, "mxfp4"),
        (groups(8, "float", size=32, inputs={"num_bits": 8, "type": "float"}), 8.25, 8.25, "mxfp8"),
        (groups(4, "int", size=128, inputs={"num_bits": 8, "type": "float"}), 4.125, 8, "int4"),
        ({"quant_method": "eetq"}, 8, 16, "int8"),
        ({"quant_method": "auto-round", "bits": 4, "group_size": 128, "sym": True}, 4 + 20 / 128, 16, "int4"),
        ({"quant_method": "auto-round", "bits": 4, "group_size": 32, "data_type": "mx_fp4"}, 4.25, 4.25, "mxfp4"),
        ({"quant_method": "quanto", "weights": "int4"}, 4.25, 16, "int4"),
        ({"quant_method": "quanto", "weights": "float8"}, 8, 16, "fp8"),
        (
            {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}},
            4 + 32 / 64,
            16,
            "int4",
        ),
        (
            {"quant_method": "torchao", "quant_type": "int4_weight_only", "quant_type_kwargs": {"group_size": 32}},
            4 + 32 / 32,
            16,
            "int4",
        ),
        (
            {
                "quant_method": "torchao",
                "quant_type": {"default": {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 128}}},
            },
            4 + 32 / 128,
            16,
            "int4",
        ),
        (
            {
                "quant_method": "torchao",
                "quant_type": {"default": {"_type": "Float8DynamicActivationFloat8WeightConfig", "_data": {}}},
            },
            8,
            8,
            "fp8",
        ),
        (quark({"dtype": "fp8_e4m3", "qscheme": "per_tensor"}), 8, 8, "fp8"),
        (quark({"dtype": "fp4", "qscheme": "per_group", "group_size": 32}), 4.25, 4.25, "mxfp4"),
        (quark({"dtype": "fp6_e2m3", "qscheme": "per_group", "group_size": 32}), 6.25, 6.25, "mxfp6"),
        (quark({"dtype": "uint4", "qscheme": "per_group", "group_size": 128}, None), 4.125, 16, "int4"),
    ],
)
def test_formats(quantised, weights, activations, word, tmp_path):
    precision = read(tmp_path, DENSE, quantised).precision
    assert (precision.weights, precision.activations, precision.format) == (weights, activations, word)
    assert precision.attention == precision.mlp == pytest.approx(weights)
    assert (precision.tables, precision.kv) == (16.0, 16.0)


AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}
EIGHT = DENSE | {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32}
QWEN_7B = {
    "model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
    "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064, "tie_word_embeddings": False,
}  # fmt: skip
QWEN_72B = QWEN_7B | {
    "hidden_size": 8192, "intermediate_size": 29696, "num_hidden_layers": 80, "num_attention_heads": 64,
    "num_key_value_heads": 8,
}  # fmt: skip
MIXTRAL = {
    "model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "num_local_experts": 8, "num_experts_per_tok": 2,
    "vocab_size": 32000, "tie_word_embeddings": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "quantised", "published"),
    [
        (EIGHT, AWQ, 5.73e9),
        (EIGHT, groups(8, "float", inputs=FP8_IN), 9.08e9),
        (
            EIGHT,
            {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_use_double_quant": True},
            5.70e9,
        ),
        (DENSE, AWQ, 39.77e9),
        (QWEN_7B, {"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True}, 5.58e9),
        (QWEN_7B, {"quant_method": "gptq", "bits": 8, "group_size": 128, "sym": True}, 8.88e9),
        (QWEN_72B, AWQ, 41.6e9),
        (MIXTRAL, {"quant_method": "gptq", "bits": 4, "group_size": -1, "desc_act": True}, 23.81e9),
    ],
)
def test_sizes_of_files_as_published(config, quantised, published, tmp_path):
    assert reading(read(tmp_path, config, quantised))["weight_bytes"] == pytest.approx(published, rel=0.02)


def test_modules_whose_bits_a_file_says_apart(tmp_path):
    """GPTQModel: gate projections of all layers at 8 bit, the first layer at 16, the head as all others."""
    dynamic = {r"-:^model\.layers\.0\.": {}, r"+:.*\.gate_proj.*": {"bits": 8}}
    quantised = {"quant_method": "gptq", "bits": 4, "group_size": -1, "dynamic": dynamic, "lm_head": True}
    precision = read(tmp_path, DENSE, quantised).precision
    assert precision.attention == pytest.approx((16 + 79 * 4) / 80)
    assert precision.mlp == pytest.approx((16 + 79 * (8 + 4 + 4) / 3) / 80)
    assert precision.tables == (16 + 4) / 2


def test_extra_config_of_autoround(tmp_path):
    extra = {"model.layers.3.mlp.down_proj": {"bits": 16}, "lm_head": {"bits": 8, "group_size": -1}}
    quantised = {"quant_method": "auto-round", "bits": 4, "group_size": -1, "extra_config": extra}
    precision = read(tmp_path, DENSE, quantised).precision
    assert precision.mlp == pytest.approx(4 + 12 / 240)
    assert (precision.attention, precision.tables) == (4, 12)


def test_a_class_may_have_activations_of_its_own(tmp_path):
    """Experts as W4A16, attention as W8A8: each is multiplied with what its own format says."""
    listed = {f"model.layers.{place}.self_attn.{name}": {"quant_algo": "FP8"} for place in range(4)
              for name in ("q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj")}  # fmt: skip
    listed |= {f"model.layers.{place}.mlp.experts": {"quant_algo": "W4A16_NVFP4"} for place in (1, 2, 3)}
    model = read(tmp_path, SPARSE, {"quant_algo": "MIXED_PRECISION", "quantized_layers": listed})
    work = Workload("decode", 1.0, 1.0)
    assert [activation_bits(model, work, of) for of in ("experts", "attention", "tables")] == [16, 8, 16]
    assert class_bits(model, work, "attention", load("device", "h100-sxm").compute)[2].names == {8.0: "fp8"}


def test_integer_experts_beside_fp8(tmp_path):
    model = read(tmp_path, SPARSE, {"quant_method": "w4afp8", "group_size": 128})
    assert (model.precision.experts, model.precision.attention) == (4.125, 8.0)
    assert (model.precision.format, model.precision.activation_format) == ("int4", "fp8")
    worked = class_bits(model, Workload("decode", 1.0, 1.0), "experts", load("device", "rtx-4090").compute)[2]
    assert worked.names == {8.0: "fp8"}


def test_activations_of_four_bit_beside_weights_of_eight_are_eight(tmp_path):
    listed = {f"model.layers.{place}.mlp.experts": {"quant_algo": "NVFP4"} for place in (1, 2, 3)}
    model = read(tmp_path, SPARSE, {"quant_method": "fp8", "quantized_layers": listed, "weight_block_size": [128, 128]})
    work = Workload("decode", 1.0, 1.0)
    assert [activation_bits(model, work, of) for of in ("experts", "attention")] == [4.5, 8.0]
    # floats, also where a chip's integers are faster
    assert class_bits(model, work, "attention", load("device", "rtx-4090").compute)[2].names == {8.0: "fp8"}


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


def test_what_is_left_out_may_be_a_class_of_modules(tmp_path):
    quantised = groups(4, "int", size=32, ignore=["lm_head", "DeepseekV3Attention"])
    precision = read(tmp_path, SPARSE, quantised).precision
    assert (precision.attention, precision.experts) == (16.0, 4.5)


HYBRID = {
    "model_type": "qwen3_next", "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 1000, "num_experts": 8,
    "num_experts_per_tok": 2, "moe_intermediate_size": 128, "shared_expert_intermediate_size": 128,
    "decoder_sparse_step": 1, "full_attention_interval": 4, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 32,
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_value_head_dim": 32, "tie_word_embeddings": False,
}  # fmt: skip


@pytest.mark.parametrize("pattern", ["re:.*linear_attn.*", "*linear_attn*", "linear_attn"])
def test_a_kind_of_layer_may_be_left_out_by_its_word(pattern, tmp_path):
    """Three of four layers keep a state: their projections stay at 16 bit, those of the fourth do not."""
    own = 3 * (256 * (2 * 64 + 128) + 256 * 128 + 2 * 256 * 4 + 128 * 256)
    full = 256 * 256 * 2 + 2 * 256 * 128 + 256 * 256
    precision = read(tmp_path, HYBRID, {"quant_method": "fp8", "modules_to_not_convert": [pattern]}).precision
    assert precision.attention == pytest.approx((16 * own + 8 * full) / (own + full))
    assert precision.experts == 8.0


def test_a_regular_expression_may_have_a_family_s_words(tmp_path):
    quantised = groups(8, "float", inputs=FP8_IN, ignore=["re:.*block_sparse_moe.experts.*", "re:.*shared_expert.*"])
    assert read(tmp_path, MIXTRAL, quantised).precision.experts == 16.0
    assert read(tmp_path, HYBRID, quantised).precision.shared_experts == 16.0


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
        ({"quant_method": "exl2", "bits": 4.0}, "exl2: its bits differ from layer to layer"),
        ({"quant_method": "gguf"}, ".gguf file"),
        ({"quant_method": "aqlm"}, "codebooks"),
        ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp5"}}}, "type of Quark 'fp5'"),
        ({"quant_method": "torchao", "quant_type": "autoquant"}, "type of torchao 'autoquant'"),
        ({"quant_method": "hqq"}, "quant_config"),
        (groups(8, "float", sparsity_config={"format": "sparse-24-bitmask"}), "sparse-24-bitmask"),
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


@pytest.mark.parametrize(
    ("quantised", "key"),
    [
        ({"quant_method": "fp8", "weight_block_size": [0, 128]}, "weight_block_size"),
        ({"quant_method": "fp8", "weight_block_size": [128]}, "weight_block_size"),
        ({"quant_method": "fp8", "weight_block_size": 128}, "weight_block_size"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 0}, "group_size"),
        ({"quant_method": "awq", "w_bit": 4, "q_group_size": 0}, "group_size"),
        ({"quant_method": "awq", "bits": 4, "group_size": -128}, "group_size"),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"g": {"targets": ["Linear"], "weights": {
                "num_bits": 4, "type": "int", "strategy": "group", "group_size": 0}}}},
            "group_size",
        ),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"g": {"targets": ["Linear"], "weights": {
                "num_bits": 4, "type": "int", "strategy": "group", "group_size": "128"}}}},
            "group_size",
        ),
    ],
)  # fmt: skip
def test_groups_and_blocks_without_a_size_are_refused(tmp_path, quantised, key):
    (tmp_path / "config.json").write_text(json.dumps({**QWEN_7B, "quantization_config": quantised}), encoding="utf-8")
    with pytest.raises(SpecError, match=key):
        load("model", tmp_path)


def test_older_files_of_quark_tell_the_kv_cache_by_what_leaves_its_projections(tmp_path):
    fp8 = {"dtype": "fp8_e4m3", "qscheme": "per_tensor"}
    layer = {"weight": fp8, "input_tensors": fp8, "output_tensors": fp8}
    quantised = {
        "quant_method": "quark",
        "global_quant_config": {"weight": fp8, "input_tensors": fp8},
        "layer_quant_config": {"*k_proj": layer, "*v_proj": layer},
        "exclude": ["lm_head"],
        "export": {"kv_cache_group": ["*k_proj", "*v_proj"]},
    }
    (tmp_path / "config.json").write_text(json.dumps({**QWEN_7B, "quantization_config": quantised}), encoding="utf-8")
    assert load("model", tmp_path).precision.kv == 8.0
    layer["output_tensors"] = None
    (tmp_path / "config.json").write_text(json.dumps({**QWEN_7B, "quantization_config": quantised}), encoding="utf-8")
    assert load("model", tmp_path).precision.kv != 8.0


GROUP = {"num_bits": 8, "type": "int"}


@pytest.mark.parametrize(
    ("quantised", "message"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, [128]]}, "weight_block_size"),
        ({"quant_method": "fp8", "weight_block_size": {"a": 1}}, "weight_block_size"),
        ({"quant_method": "fp8", "weight_block_size": [0, 128]}, "weight_block_size"),
        ({"quant_method": "fp8", "expert_dtype": [[1]]}, "expert_dtype"),
        ({"weight_block_size": [128, 128]}, "quant_method: is missing"),
        ({"quantized_layers": {"layers.0": {"quant_algo": ["FP8"]}}}, "quant_algo"),
        ({"config_groups": {"g": {"weights": GROUP | {"type": ["int"]}}}}, "type"),
        ({"config_groups": {"g": {"weights": GROUP | {"group_size": "32"}}}}, "group_size"),
        ({"config_groups": {"g": {"weights": GROUP, "targets": 2.5}}}, "targets"),
        ({"config_groups": {"g": {"weights": GROUP}}, "ignore": ["re:(.+)+x"]}, "repeated groups"),
        ({"config_groups": {"g": {"weights": GROUP}}, "ignore": [f"re:{'.*' * 12}x"]}, "repeated groups"),
        ({"quant_method": "fp8", "ignore": [f"*w{i}*" for i in range(2001)]}, "at most 2,000"),
        ({"quant_method": "awq", "bits": 4, "group_size": -5}, "group_size"),
        ({"quant_method": "awq", "bits": 4, "group_size": 1}, "group_size"),
        ({"quant_method": "quanto", "weights": ["int4"]}, "weights"),
        ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": ["int4"]}}}, "dtype"),
        (
            {"quant_method": "torchao", "quant_type": "int8_dynamic_activation_int4_weight",
             "quant_type_kwargs": {"group_size": -8}},
            "group_size",
        ),
    ],
)  # fmt: skip
def test_what_no_checkpoint_says_is_refused_by_key(tmp_path, quantised, message):
    with pytest.raises(SpecError, match=rf"config\.json: quantization_config\..*{message}"):
        read(tmp_path, DENSE, quantised)


def test_groups_of_minus_one_are_none(tmp_path):
    quantised = {"quant_method": "torchao", "quant_type": "int4_weight_only", "quant_type_kwargs": {"group_size": -1}}
    assert read(tmp_path, DENSE, quantised).precision.weights == 4.0
