"""A step on a framework's own kernels: its matmuls alone change, by what the kernels take alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import accelmodel as am
from accelmodel.errors import SpecError
from accelmodel.inference import kernel_library, operator_time
from accelmodel.inference.calls import as_engine
from accelmodel.inference.kernel_library import on_library
from accelmodel.inference.step import evaluate, prepare
from accelmodel.laws.types import Operator


@pytest.fixture
def prepared(warm):
    chip = am.cluster(am.load("device", "h100-sxm"), 1)
    work = am.workload(phase="decode", batch=64, context=2048, weight_bits=8, activation_bits=8, kv_bits=8)
    return prepare(am.load("model", "llama-3.1-8b"), chip, work)


def by_law(inputs):
    """Return inputs without the kernels that their checkpoint's format chose."""
    return replace(inputs, operators=inputs.by_law, by_law=None)


def test_products_take_the_times_of_the_library(prepared):
    library = am.load("library", "sglang-8bit")
    plain, own = evaluate(prepared), evaluate(on_library(prepared, library))
    ratio = (own.time / plain.time).to_series()
    m, n, k = (np.array([size]) for size in (64.0, 4096.0, 14336.0))
    alone, (law, _) = (
        kernel_library.library_times(m, n, k, library, prepared.cluster),
        operator_time.time_columns(operator_time.matmul(m, n, k, 8.0), prepared.cluster),
    )
    assert ratio["mlp_down"] == pytest.approx(alone[0] / law[0], rel=1e-9)
    assert ratio["mlp_down"] > 1.0
    assert ratio["attention"] == pytest.approx(1.0, rel=1e-12)
    # the head runs at 16 bit
    assert ratio["head"] == pytest.approx(1.0, rel=1e-12)
    assert "SGLang" in own.notes


def test_matmuls_whose_weights_have_scales_take_a_library_too(prepared):
    """Blocks of 128 x 128 with a scale of 32 bit, as the files of DeepSeek-V3 state."""
    work = am.workload(phase="decode", batch=64, context=2048, weight_bits=8 + 32 / 128**2, activation_bits=8)
    blocks = prepare(prepared.model, prepared.cluster, work)
    own = on_library(blocks, am.load("library", "sglang-8bit"))
    ratio = (evaluate(own).time / evaluate(by_law(blocks)).time).to_series()
    assert ratio["mlp_down"] > 1.0
    assert ratio["head"] == pytest.approx(1.0, rel=1e-12)


def test_block_scales_go_to_the_kernels_that_engines_run_them_on(prepared):
    """A scale of 32 bit for each block of 128 x 128; one for each matrix (8 bit) stays with the law."""
    work = am.workload(phase="decode", batch=64, context=2048, weight_bits=8 + 32 / 128**2, activation_bits=8)
    blocks = prepare(prepared.model, prepared.cluster, work)
    asked = on_library(by_law(blocks), am.load("library", "deepgemm-8bit"))
    assert np.array_equal(blocks.operators, asked.operators)
    assert evaluate(blocks).notes.count("DeepGEMM") == 1
    assert "DeepGEMM" not in evaluate(on_library(blocks, am.load("library", "vllm-8bit"))).notes
    assert prepared.by_law is None
    # an A100 has no floats of 8 bit, and those kernels do not run there
    assert prepare(prepared.model, am.cluster("a100-sxm-80gb"), work).by_law is None


def test_block_scales_on_a_chip_that_varies_keep_the_law_and_say_so(prepared):
    import xarray as xr

    sizes = xr.DataArray([1e7, 1e8], dims="l2")
    chip = am.cluster(am.override(prepared.cluster.device, l2_capacity=sizes), 1)
    work = am.workload(phase="decode", batch=64, context=2048, weight_bits=8 + 32 / 128**2, activation_bits=8)
    found = prepare(prepared.model, chip, work)
    assert found.by_law is None
    assert "as the chip varies" in evaluate(found).notes


def test_few_rows_take_as_long_as_an_instruction_holds(prepared):
    """On a Hopper poor in compute 16 rows take as long as 64 where they are not swapped, and less where they are."""
    chip = am.cluster(am.override(am.load("device", "h20"), {"hbm.bandwidth": 40e12}))
    m, n, k = np.array([16.0, 64.0]), np.full(2, 8192.0), np.full(2, 8192.0)
    alone = replace(am.load("library", "deepgemm-8bit"), passes=0.0)  # without rounding
    few, many = kernel_library.library_times(m, n, k, alone, chip)
    assert few == pytest.approx(many, rel=0.02)
    swapped, _ = kernel_library.library_times(m, n, k, replace(alone, min_rows=8.0), chip)
    assert swapped < 0.8 * many


def test_a_library_of_floats_is_not_for_integers(prepared):
    work = am.workload(phase="decode", batch=64, context=2048, weight_bits="int8", activation_bits="int8")
    with pytest.raises(SpecError, match="floats of 8 bit, and there are none"):
        on_library(prepare(prepared.model, prepared.cluster, work), am.load("library", "sglang-8bit"))


def test_what_a_library_is_not_for_is_said(prepared):
    with pytest.raises(SpecError, match="4 bit"):
        on_library(prepared, am.load("library", "sglang-4bit"))
    import xarray as xr

    sizes = xr.DataArray([1e7, 1e8], dims="l2")
    chip = am.cluster(am.override(prepared.cluster.device, l2_capacity=sizes), 1)
    with pytest.raises(SpecError, match="axes l2"):
        on_library(prepare(prepared.model, chip, prepared.work), am.load("library", "sglang-8bit"))


def test_experts_between_exchanges_take_a_library(warm):
    """Kernels of low latency deliver by expert and sum: no passes over copies beside the activation."""
    chip, fields = am.cluster(am.load("device", "h100-sxm"), 32), {"dp": 32, "ep": 32, "context": 1024}
    work = am.workload(phase="decode", batch=32 * 64, **fields)
    mixture = by_law(prepare(am.load("model", "deepseek-v3"), chip, work))
    plain, own = evaluate(mixture), evaluate(on_library(mixture, am.load("library", "deepgemm-8bit")))
    library = am.load("library", "deepgemm-experts-8bit")
    law = mixture.cluster.device.matmul
    # 2 experts of 8 bit: bound by memory, so that they begin as much later as their kernels do
    later = float((own.time - plain.time).sel(operator="expert_up_moe")) / 58
    assert later == pytest.approx(library.expert_start - law.expert_start, abs=0.2 * law.expert_start)
    assert float(own.time.sel(operator="expert_sum_moe")) == 0.0


@pytest.fixture
def of_experts(warm):
    chip = am.cluster(am.load("device", "h100-sxm"), 4)
    work = am.workload(phase="decode", batch=64, context=2048, tp=4, ep=4, weight_bits=16, activation_bits=16)
    return prepare(am.load("model", "qwen3-30b-a3b"), chip, work)


def test_experts_take_the_times_and_the_rows_of_a_library(of_experts):
    library = am.load("library", "sglang-experts-16bit")
    plain, own = evaluate(of_experts), evaluate(on_library(of_experts, library))
    table = dict(zip(Operator._fields, of_experts.operators, strict=True))
    place = of_experts.table.names.index("expert_up_moe")
    row = {name: values[place] for name, values in table.items() if name not in ("stretch", "count")}
    alone = kernel_library.expert_times(row, library, of_experts.cluster)
    law, _ = operator_time.time_columns(row, of_experts.cluster)
    ratio = (own.time / plain.time).to_series()
    assert ratio["expert_up_moe"] == pytest.approx(alone[0] / law[0], rel=1e-9)
    assert ratio["attention"] == pytest.approx(1.0, rel=1e-12)
    # copies are gathered by the matmuls, and those of other ranks passed over
    assert float(own.time.sel(operator="expert_gather_moe")) == 0.0
    assert ratio["expert_sum_moe"] > 1.0


def test_activation_and_sum_go_over_the_copies_of_all_ranks(of_experts):
    own = on_library(of_experts, am.load("library", "vllm-experts-16bit"))
    place = own.table.names.index("expert_sum_moe")
    read = Operator._fields.index("input_bytes")
    assert own.operators[read, place] == pytest.approx(4.0 * of_experts.operators[read, place], rel=1e-12)
    up, activation = (own.table.names.index(f"expert_{name}_moe") for name in ("up", "activation"))
    before, after = (each.operators[Operator._fields.index("output_bytes"), activation] for each in (of_experts, own))
    # 64 tokens to 8 of 128 experts, of which a rank has 32: 128 copies are its own, 384 of others
    width, hidden = (own.operators[Operator._fields.index(name), up] for name in ("n", "k"))
    assert after == pytest.approx(4.0 * before + 384.0 * (width + hidden) * 2.0, rel=1e-9)


def test_a_library_names_that_of_its_experts(warm):
    chip = am.cluster(am.load("device", "h200-sxm"), 8)
    work = am.workload(phase="decode", batch=64, context=2048, tp=8, weight_bits=8, activation_bits=8)
    inputs = prepare(am.load("model", "deepseek-v3"), chip, work)
    both = evaluate(on_library(inputs, am.load("library", "deepgemm-8bit")))
    alone = evaluate(on_library(inputs, am.load("library", "deepgemm-experts-8bit")))
    assert float(both.time.sel(operator="expert_up_moe")) == float(alone.time.sel(operator="expert_up_moe"))
    assert float(both.time.sel(operator="mlp_up")) != float(alone.time.sel(operator="mlp_up"))


def test_a_library_has_matmuls_or_experts():
    with pytest.raises(SpecError, match="neither plain matmuls nor experts"):
        am.override(am.load("library", "vllm-experts-16bit"), expert_share=0.0)


def test_experts_alone_are_no_plain_matmuls():
    chip = am.cluster(am.load("device", "h100-sxm"))
    with pytest.raises(SpecError, match="has matmuls of experts alone"):
        kernel_library.library_times(*np.ones((3, 1)), am.load("library", "vllm-experts-16bit"), chip)


def narrow_step(prepared, **fields):
    work = am.workload(phase="decode", batch=64, context=2048, weight_bits=4, **fields)
    return prepare(prepared.model, prepared.cluster, work)


def test_narrow_weights_take_a_library_of_their_bits(prepared):
    """8 bits are another library's, and so are weights that are as wide as the activations."""
    inputs = narrow_step(prepared)
    own, plain = evaluate(on_library(inputs, am.load("library", "tensorrt-llm-4bit-weights"))), evaluate(inputs)
    ratio = (own.time / plain.time).to_series()
    assert ratio["mlp_down"] > 1.0
    assert ratio["head"] == ratio["attention"] == pytest.approx(1.0, rel=1e-12)
    assert "whose weights alone have 4 bit by the kernels of TensorRT-LLM" in own.notes
    for name, other in (("tensorrt-llm-8bit-weights", inputs), ("tensorrt-llm-4bit-weights", prepared)):
        with pytest.raises(SpecError, match="whose weights alone have . bit, and there are none"):
            on_library(other, am.load("library", name))


def test_a_copy_is_written_and_read_beside_what_the_matmul_takes(prepared):
    """Half a byte is read and two are written of each weight; the matmul on the copy is that of 16 bit."""
    chip, sizes = prepared.cluster, [np.array([size]) for size in (64.0, 8192.0, 8192.0)]
    library = am.load("library", "bitsandbytes-4bit-weights")
    found = kernel_library.library_times(*sizes, library, chip)[0]
    (plain,), _ = operator_time.time_columns(operator_time.matmul(*sizes, 16.0), chip)
    hbm = chip.device.hbm
    moved = 2.5 * 8192.0**2 / (hbm.bandwidth * hbm.share)
    assert moved < found - plain < 1.1 * moved + 2 * chip.device.compute.launch_time
    alone = kernel_library.library_times(np.array([1.0]), *sizes[1:], library, chip)[0]
    assert alone < plain / 2.0


def test_a_single_matmul_takes_a_library_of_narrow_weights():
    """At 4 bit, which its weights have, or at 16 bit, which it works at; at 8 bit it is refused."""
    asked = {"m": 16, "n": 8192, "k": 8192, "library": "tensorrt-llm-4bit-weights"}
    first, second = (am.matmul("a100-sxm-80gb", bits=bits, **asked) for bits in (4, 16))
    assert float(first.time) == float(second.time) < float(am.matmul("a100-sxm-80gb", m=16, n=8192, k=8192).time)
    with pytest.raises(SpecError, match="have 4 bit"):
        am.matmul("a100-sxm-80gb", bits=8, **asked)


@pytest.mark.parametrize("engine", ["vllm", "sglang", "tensorrt-llm", "transformers"])
def test_libraries_of_an_engine_are_there_and_for_chips_of_their_maker_alone(warm, engine):
    """Kernels that were measured on one maker's chips say nothing of another's: those keep the law."""
    rules = am.load("engine", engine)
    assert all(am.load("library", name).generations for name in rules.libraries)
    work = am.workload(phase="decode", batch=8, context=1024, weight_bits=8, activation_bits=8)
    for model in ("llama-3-8b", "qwen3-30b-a3b"):
        found = prepare(am.load("model", model), as_engine(am.cluster("mi300x", 1), rules), work)
        assert found.by_law is None


def test_the_first_library_of_an_engine_that_is_made_for_a_matmul_runs_it(prepared):
    """One that is asked for comes before them, and what engines usually call behind them."""
    chip, work = prepared.cluster, prepared.work
    rules = replace(am.load("engine", "sglang"), libraries=["sglang-4bit", "vllm-8bit", "sglang-8bit"], unfused=[])
    named = prepare(prepared.model, as_engine(chip, rules), work)
    assert np.array_equal(named.operators, on_library(prepared, am.load("library", "vllm-8bit")).operators)
    asked = on_library(named, am.load("library", "sglang-8bit"))
    assert np.array_equal(asked.operators, on_library(prepared, am.load("library", "sglang-8bit")).operators)
    with pytest.raises(SpecError, match="unknown library 'vllm-9bit'"):
        prepare(prepared.model, as_engine(chip, replace(rules, libraries=["vllm-9bit"])), work)


def test_rounding_of_an_engine_goes_where_a_library_rounds(prepared):
    rules = replace(am.load("engine", "vllm"), libraries=[])
    apart = prepare(prepared.model, as_engine(prepared.cluster, rules), prepared.work)
    own = on_library(apart, am.load("library", "vllm-8bit"))
    count = Operator._fields.index("count")
    place = own.table.names.index("mlp_down_rounding")
    assert apart.operators[count][place, 0] == 32.0
    assert own.operators[count][place, 0] == 0.0


def test_operands_of_4_bit_take_what_a_framework_reaches(warm):
    """Nobody's kernels of 4 bit reach the law; on a chip that varies they keep it, which is said."""
    import xarray as xr

    work = am.workload(phase="prefill", batch=1, context=4096, weight_bits="nvfp4", activation_bits="nvfp4")
    chip = am.cluster("b200-sxm", 1)
    found = prepare(am.load("model", "llama-3-8b"), chip, work)
    assert float(evaluate(found).step_time) > 1.05 * float(evaluate(by_law(found)).step_time)
    assert "(vllm-4bit)" in evaluate(found).notes
    sizes = xr.DataArray([1e7, 1e8], dims="l2")
    many = prepare(found.model, am.cluster(am.override(chip.device, l2_capacity=sizes), 1), work)
    assert many.by_law is None
    assert "floats of 4 bit by the law" in evaluate(many).notes


@pytest.mark.parametrize("words", [["hopper"], ["NVIDIA Hopper"], ["sm_90"], ["Ada", "GH100"]])
def test_generations_of_a_library_are_words_for_architectures(prepared, words):
    """However it is written, a library is called on the chips that a word stands for, and on no others."""
    library = am.override(am.load("library", "vllm-8bit"), generations=words)
    work = am.workload(phase="decode", batch=64, context=2048, weight_bits=8, activation_bits=8)
    for device, called in (("h100-sxm", True), ("b200-sxm", False)):
        inputs = prepare(prepared.model, am.cluster(device), work)
        _, used = kernel_library.by_libraries(kernel_library._step(inputs), inputs.cluster, (library,))
        assert bool(used) == called


@pytest.mark.parametrize("word", ["Hoper", "Balckwell", "Hopperr"])
def test_a_mistyped_generation_is_refused(word):
    with pytest.raises(SpecError, match="did you mean"):
        am.override(am.load("library", "vllm-8bit"), generations=[word])
