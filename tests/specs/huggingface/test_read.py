"""Reading config.json files: the same shape as the presets, and what is wrong named by its key."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelmodel.errors import SpecError
from accelmodel.specs import load
from accelmodel.specs.language_model import LanguageModel, perceptrons
from accelmodel.specs.parameters import active_parameters, parameters

LLAMA = {
    "model_type": "llama",
    "attention_bias": False,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 8192,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vocab_size": 128256,
}
DEEPSEEK = {
    "model_type": "deepseek_v3",
    "attention_bias": False,
    "first_k_dense_replace": 3,
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "kv_lora_rank": 512,
    "max_position_embeddings": 163840,
    "moe_intermediate_size": 2048,
    "moe_layer_freq": 1,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_attention_heads": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 61,
    "num_key_value_heads": 128,
    "num_nextn_predict_layers": 1,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "rope_scaling": {"factor": 40, "original_max_position_embeddings": 4096, "type": "yarn"},
    "tie_word_embeddings": False,
    "v_head_dim": 128,
    "vocab_size": 129280,
    "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]},
}
GPT_OSS = {
    "model_type": "gpt_oss",
    "attention_bias": True,
    "experts_per_token": 4,
    "head_dim": 64,
    "hidden_size": 2880,
    "intermediate_size": 2880,
    "layer_types": ["sliding_attention", "full_attention"] * 18,
    "max_position_embeddings": 131072,
    "num_attention_heads": 64,
    "num_experts_per_tok": 4,
    "num_hidden_layers": 36,
    "num_key_value_heads": 8,
    "num_local_experts": 128,
    "rope_scaling": {"factor": 32.0, "rope_type": "yarn"},
    "sliding_window": 128,
    "tie_word_embeddings": False,
    "vocab_size": 201088,
    "quantization_config": {
        "quant_method": "mxfp4",
        "modules_to_not_convert": [
            "model.layers.*.self_attn",
            "model.layers.*.mlp.router",
            "model.embed_tokens",
            "lm_head",
        ],
    },
}
QWEN2 = {
    "model_type": "qwen2",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "max_position_embeddings": 32768,
    "max_window_layers": 28,
    "num_attention_heads": 28,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "sliding_window": 131072,
    "tie_word_embeddings": False,
    "use_sliding_window": False,
    "vocab_size": 152064,
}
QWEN3 = {
    "model_type": "qwen3",
    "attention_bias": False,
    "head_dim": 128,
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "max_position_embeddings": 40960,
    "max_window_layers": 36,
    "num_attention_heads": 32,
    "num_hidden_layers": 36,
    "num_key_value_heads": 8,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "use_sliding_window": False,
    "vocab_size": 151936,
}
# fmt: off
#: preset → the keys of its config.json that matter, as published
CONFIGS: dict[str, dict[str, Any]] = {
    "llama-3-8b": LLAMA,
    "longalpaca-7b": LLAMA
    | {
        "intermediate_size": 11008,
        "num_key_value_heads": 32,
        "vocab_size": 32001,
        "max_position_embeddings": 4096,
        "rope_scaling": {"factor": 8.0, "type": "linear"},
    },
    "qwen2-7b": {
        "model_type": "qwen2",
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "max_position_embeddings": 131072,
        "max_window_layers": 28,
        "num_attention_heads": 28,
        "num_hidden_layers": 28,
        "num_key_value_heads": 4,
        "sliding_window": 131072,
        "tie_word_embeddings": False,
        "use_sliding_window": False,
        "vocab_size": 152064,
    },
    "qwen3-235b-a22b": {
        "model_type": "qwen3_moe",
        "attention_bias": False,
        "decoder_sparse_step": 1,
        "head_dim": 128,
        "hidden_size": 4096,
        "intermediate_size": 12288,
        "max_position_embeddings": 40960,
        "max_window_layers": 94,
        "mlp_only_layers": [],
        "moe_intermediate_size": 1536,
        "num_attention_heads": 64,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "num_hidden_layers": 94,
        "num_key_value_heads": 4,
        "sliding_window": None,
        "tie_word_embeddings": False,
        "use_sliding_window": False,
        "vocab_size": 151936,
    },
    "mixtral-8x7b": {
        "model_type": "mixtral",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "max_position_embeddings": 32768,
        "num_attention_heads": 32,
        "num_experts_per_tok": 2,
        "num_hidden_layers": 32,
        "num_key_value_heads": 8,
        "num_local_experts": 8,
        "sliding_window": None,
        "tie_word_embeddings": False,
        "vocab_size": 32000,
    },
    "deepseek-v3": DEEPSEEK,
    "gpt-oss-120b": GPT_OSS,
    "opt-2.7b": {
        "model_type": "opt",
        "do_layer_norm_before": True,
        "ffn_dim": 10240,
        "hidden_size": 2560,
        "max_position_embeddings": 2048,
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "vocab_size": 50272,
        "word_embed_proj_dim": 2560,
    },
    "llama-3.3-70b": LLAMA | {
        "hidden_size": 8192, "intermediate_size": 28672, "num_attention_heads": 64, "num_hidden_layers": 80,
        "max_position_embeddings": 131072,
    },
    "qwen2.5-7b": QWEN2,
    "qwen2.5-32b": QWEN2 | {
        "hidden_size": 5120, "intermediate_size": 27648, "max_window_layers": 64, "num_attention_heads": 40,
        "num_hidden_layers": 64, "num_key_value_heads": 8,
    },
    "qwen2.5-72b": QWEN2 | {
        "hidden_size": 8192, "intermediate_size": 29568, "max_window_layers": 70, "num_attention_heads": 64,
        "num_hidden_layers": 80, "num_key_value_heads": 8,
    },
    "qwen3-8b": QWEN3,
    "qwen3-14b": QWEN3 | {
        "hidden_size": 5120, "intermediate_size": 17408, "max_window_layers": 40, "num_attention_heads": 40,
        "num_hidden_layers": 40,
    },
    "qwen3-30b-a3b": QWEN3 | {
        "model_type": "qwen3_moe", "decoder_sparse_step": 1, "hidden_size": 2048, "intermediate_size": 6144,
        "max_window_layers": 48, "mlp_only_layers": [], "moe_intermediate_size": 768, "num_experts": 128,
        "num_experts_per_tok": 8, "num_hidden_layers": 48, "num_key_value_heads": 4,
    },
    "gpt-oss-20b": GPT_OSS | {
        "layer_types": ["sliding_attention", "full_attention"] * 12, "num_hidden_layers": 24, "num_local_experts": 32,
    },
    "deepseek-r1": DEEPSEEK,
    "kimi-k2": DEEPSEEK | {
        "model_type": "kimi_k2", "first_k_dense_replace": 1, "max_position_embeddings": 131072, "n_group": 1,
        "n_routed_experts": 384, "num_attention_heads": 64, "num_key_value_heads": 64, "topk_group": 1,
        "num_nextn_predict_layers": 0,
        "vocab_size": 163840,
    },
    "glm-4.5-air": {
        "model_type": "glm4_moe", "attention_bias": True, "first_k_dense_replace": 1, "head_dim": 128,
        "hidden_size": 4096, "intermediate_size": 10944, "max_position_embeddings": 131072,
        "moe_intermediate_size": 1408, "n_routed_experts": 128, "n_shared_experts": 1, "num_attention_heads": 96,
        "num_experts_per_tok": 8, "num_hidden_layers": 46, "num_key_value_heads": 8, "num_nextn_predict_layers": 1,
        "tie_word_embeddings": False, "use_qk_norm": False, "vocab_size": 151552,
    },
    "gemma-3-27b": {
        "model_type": "gemma3_text", "head_dim": 128, "hidden_size": 5376, "intermediate_size": 21504,
        "num_attention_heads": 32, "num_hidden_layers": 62, "num_key_value_heads": 16, "query_pre_attn_scalar": 168,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024,
    },
    "mistral-small-24b": {
        "model_type": "mistral", "head_dim": 128, "hidden_size": 5120, "intermediate_size": 32768,
        "max_position_embeddings": 32768, "num_attention_heads": 32, "num_hidden_layers": 40,
        "num_key_value_heads": 8, "sliding_window": None, "tie_word_embeddings": False, "vocab_size": 131072,
    },
    "phi-4": {
        "model_type": "phi3", "hidden_size": 5120, "intermediate_size": 17920, "max_position_embeddings": 16384,
        "num_attention_heads": 40, "num_hidden_layers": 40, "num_key_value_heads": 10,
        "original_max_position_embeddings": 16384, "rope_scaling": None, "sliding_window": None,
        "tie_word_embeddings": False, "vocab_size": 100352,
    },
    "phi-3-medium": {
        "model_type": "phi3",
        "hidden_size": 5120,
        "intermediate_size": 17920,
        "max_position_embeddings": 131072,
        "num_attention_heads": 40,
        "num_hidden_layers": 40,
        "num_key_value_heads": 10,
        "original_max_position_embeddings": 4096,
        "rope_scaling": {"long_factor": [1.0], "short_factor": [1.0], "type": "su"},
        "sliding_window": 131072,
        "tie_word_embeddings": False,
        "vocab_size": 32064,
    },
    "phi-3-small": {
        "model_type": "phi3small",
        "dense_attention_every_n_layers": 2,
        "ff_dim_multiplier": None,
        "ff_intermediate_size": 14336,
        "hidden_act": "gegelu",
        "hidden_size": 4096,
        "layer_norm_epsilon": 1e-05,
        "max_position_embeddings": 131072,
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "num_key_value_heads": 8,
        "vocab_size": 100352,
    },
}
# fmt: on
GEMMA3_TEXT = {
    "hidden_size": 2560,
    "intermediate_size": 10240,
    "model_type": "gemma3_text",
    "num_hidden_layers": 34,
    "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
    "sliding_window": 1024,
}


def write(folder: Path, content: Any) -> str:
    path = folder / "config.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def read(folder: Path, content: Any) -> LanguageModel:
    model = load.load("model", write(folder, content))
    assert isinstance(model, LanguageModel)
    return model


@pytest.mark.parametrize("name", CONFIGS)
def test_config_gives_the_same_model_as_the_preset(name, tmp_path):
    preset = load.load("model", name)
    model = read(tmp_path, CONFIGS[name])
    same = dataclasses.replace(model, name=preset.name, published_parameters=preset.published_parameters)
    assert same == preset
    assert len(model.digest) == 16
    assert model.facts["layers"].kind == "given"


def test_gpt2(tmp_path):
    model = read(
        tmp_path,
        {
            "model_type": "gpt2", "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_inner": None, "n_layer": 12,
            "n_positions": 1024, "vocab_size": 50257,
        },
    )  # fmt: skip
    assert parameters(model) == 124_439_808
    assert (model.ffn, model.tied_embeddings, model.norm, model.gated) == (3072.0, True, "layer", False)


def test_nested_gemma3_takes_the_defaults_of_its_family(tmp_path):
    model = read(tmp_path, {"model_type": "gemma3", "text_config": GEMMA3_TEXT, "vision_config": {"hidden_size": 1}})
    assert (model.heads, model.kv_heads, model.head_dim, model.vocabulary) == (8.0, 4.0, 256.0, 262208.0)
    assert (model.window, model.window_layers, model.max_context) == (1024.0, 29.0, 131072.0)
    assert model.tied_embeddings
    assert model.qk_norm
    assert model.norms_per_layer == 4.0
    assert parameters(model) == pytest.approx(3.88e9, rel=0.01)


@pytest.mark.parametrize(
    ("changes", "window", "layers"),
    [
        ({"sliding_window": None}, 0.0, 0.0),
        ({"sliding_window": 4096}, 4096.0, 32.0),
        ({}, 4096.0, 32.0),
        ({"sliding_window": 8192}, 0.0, 0.0),
        ({"model_type": "qwen2", "sliding_window": 4096, "use_sliding_window": False}, 0.0, 0.0),
        (
            {"model_type": "qwen2", "sliding_window": 4096, "use_sliding_window": True, "max_window_layers": 20},
            4096.0,
            12.0,
        ),
        ({"model_type": "qwen2", "use_sliding_window": True, "max_window_layers": 20}, 4096.0, 12.0),
        ({"model_type": "gemma2"}, 4096.0, 16.0),
        ({"model_type": "gemma3", "sliding_window_pattern": 4}, 4096.0, 24.0),
        ({"model_type": "llama", "sliding_window": 4096}, 0.0, 0.0),
    ],
)
def test_sliding_windows(changes, window, layers, tmp_path):
    model = read(tmp_path, LLAMA | {"model_type": "mistral"} | changes)
    assert (model.window, model.window_layers) == (window, layers)


def test_shared_expert_and_sparse_steps(tmp_path):
    moe = {
        "model_type": "qwen2_moe", "num_experts": 60, "num_experts_per_tok": 4, "moe_intermediate_size": 1408,
        "shared_expert_intermediate_size": 5632, "decoder_sparse_step": 2, "mlp_only_layers": [1],
    }  # fmt: skip
    model = read(tmp_path, LLAMA | moe)
    dense, sparse = sorted(perceptrons(model), key=lambda kind: kind.kind)
    assert (dense.layers, dense.width) == (17.0, 14336.0)
    assert (sparse.layers, sparse.shared, sparse.shared_width, sparse.shared_gate) == (15.0, 1.0, 5632.0, True)
    assert model.qkv_bias
    assert not model.output_bias


@pytest.mark.parametrize(("family", "tied"), [("llama", False), ("gemma", True), ("opt", True), ("qwen3", False)])
def test_tied_embeddings_by_default_of_the_family(family, tied, tmp_path):
    config = {key: value for key, value in LLAMA.items() if key != "tie_word_embeddings"}
    model = read(tmp_path, config | {"model_type": family})
    assert model.tied_embeddings is tied


def test_biases_that_the_file_switches_on(tmp_path):
    model = read(tmp_path, LLAMA | {"attention_bias": True, "mlp_bias": True})
    assert (model.qkv_bias, model.output_bias, model.mlp_bias) == (True, True, True)


def test_unknown_family_of_llamas_keys_alone_is_read_like_llama_and_says_so(tmp_path):
    model = read(tmp_path, LLAMA | {"model_type": "newcomer"})
    assert (model.layers, model.kv_heads, model.gated) == (32.0, 8.0, True)
    assert any("newcomer" in note and "llama" in note for note in model.notes)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model_type": "newcomer", "hidden_size": None, "vocab_size": None}, "hidden_size, vocab_size"),
        ({"model_type": "newcomer", "layer_norm_eps": 1e-5}, "not like llama"),
        ({"model_type": ["llama"]}, "model_type"),
        ({"linear_num_key_heads": 16}, "linear_num_key_heads"),
        ({"attention_chunk_size": 8192}, "attention_chunk_size"),
        ({"hidden_size": -4096}, "hidden_size"),
        ({"hidden_size": "4096"}, "hidden_size"),
        ({"hidden_size": 4096.0}, "hidden_size"),
        ({"hidden_size": True}, "hidden_size"),
        ({"hidden_size": [4096]}, "hidden_size"),
        ({"num_hidden_layers": 0}, "num_hidden_layers"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers"),
        ({"vocab_size": 10**400}, "vocab_size"),
        ({"num_attention_heads": None}, "num_attention_heads"),
        ({"num_attention_heads": 31}, "head_dim"),
        ({"num_key_value_heads": 5}, "multiple of num_key_value_heads 5"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings"),
        ({"rope_scaling": []}, "rope_scaling"),
        ({"rope_scaling": {"type": "linear", "factor": "8"}}, "rope_scaling"),
        ({"layer_types": "full_attention"}, "layer_types"),
        ({"layer_types": ["full_attention"]}, "layer_types"),
        ({"layer_types": ["magic"] * 32}, "layer_types"),
        ({"layer_types": ["sliding_attention"] * 32}, "sliding_window"),
        ({"num_experts": 8}, "num_experts"),
        ({"model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 9}, "experts 8"),
        ({"model_type": "qwen3_moe", "mlp_only_layers": ["1"]}, "mlp_only_layers"),
        ({"kv_lora_rank": 512}, "kv_lora_rank"),
        ({"text_config": [1]}, "text_config"),
        ({"model_type": "opt", "word_embed_proj_dim": 512}, "word_embed_proj_dim"),
    ],
)
def test_wrong_values_are_named(changes, says, tmp_path):
    path = write(tmp_path, LLAMA | changes)
    with pytest.raises(SpecError) as error:
        load.load("model", path)
    assert path in str(error.value)
    assert says in str(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    "text",
    [
        "",
        json.dumps(LLAMA)[:-20],
        json.dumps([LLAMA]),
        "null",
        '"llama"',
        json.dumps(LLAMA).replace("8192", "NaN"),
        json.dumps(LLAMA).replace("8192", "-Infinity"),
        '{"vocab_size": 1, "vocab_size": 2}',
        "[" * 200_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        '{"vocab_size": ' + "9" * 10_000 + "}",
    ],
    ids=range(11),
)
def test_malformed_files_are_refused(text, tmp_path):
    path = write(tmp_path, text)
    with pytest.raises(SpecError) as error:
        load.load("model", path)
    assert path in str(error.value)
    assert len(str(error.value)) < 1000


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "latin.json").write_bytes(b'{"model_type": "\xe9"}')
    (tmp_path / "folder.json").mkdir()
    for name in ("latin.json", "folder.json", "absent.json"):
        with pytest.raises(SpecError, match=name):
            load.load("model", str(tmp_path / name))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.integers(0, 300)
    | st.floats(allow_nan=True)
    | st.text(max_size=8)
    | st.sampled_from(["llama", "qwen2_moe", "opt", "gpt2", "gemma3", "linear", "sliding_attention"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
KEYS = sorted({key for config in CONFIGS.values() for key in config} | {"text_config", "mlp_bias", "num_experts"})


@settings(deadline=None, max_examples=200)
@given(
    base=st.sampled_from(sorted(CONFIGS)),
    deleted=st.lists(st.sampled_from(KEYS), max_size=2),
    replaced=st.dictionaries(st.sampled_from(KEYS), JSON, max_size=3),
)
def test_mutated_configs_give_a_model_or_a_spec_error(base, deleted, replaced):
    config = {key: value for key, value in CONFIGS[base].items() if key not in deleted} | replaced
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), config)
        try:
            model = load.load("model", path)
        except SpecError as error:
            model, message = None, str(error)
    if model is None:
        assert path in message
    else:
        assert parameters(model) >= active_parameters(model) > 0


@pytest.mark.parametrize(
    ("keys", "groups"),
    [
        ({"n_group": 8, "topk_group": 4}, (8.0, 4.0)),
        ({}, (8.0, 4.0)),  # of the class
        ({"n_group": 1, "topk_group": 1}, (1.0, 1.0)),
        ({"n_group": 8, "topk_group": 8}, (1.0, 1.0)),
        ({"n_group": 8, "topk_group": 4, "topk_method": "greedy"}, (1.0, 1.0)),
        ({"n_group": None, "topk_group": None}, (1.0, 1.0)),
    ],
)
def test_groups_out_of_which_experts_are_chosen(keys, groups, tmp_path):
    model = read(tmp_path, {**DEEPSEEK, **keys})
    assert (model.expert_groups, model.expert_groups_per_token) == groups


def test_a_window_that_a_class_does_not_know_is_told(tmp_path):
    tiny = {
        "model_type": "llama", "hidden_size": 512, "num_hidden_layers": 2, "num_attention_heads": 8,
        "num_key_value_heads": 8, "intermediate_size": 1024, "vocab_size": 1000,
    }  # fmt: skip
    assert not any("sliding_window" in note for note in read(tmp_path, tiny).notes)
    assert any("sliding_window 64 is not used" in note for note in read(tmp_path, {**tiny, "sliding_window": 64}).notes)
