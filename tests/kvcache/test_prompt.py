"""A prompt's two resources: chunk times of the step model, what a tier says, what is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from prompts import CURVE, prompt_of

from accelmodel.errors import Infeasible, SpecError
from accelmodel.kvcache import policies
from accelmodel.kvcache import prompt as cake
from accelmodel.kvcache.evaluate import Inputs, constant_grid
from accelmodel.kvcache.traces import Trace
from accelmodel.specs import given
from accelmodel.specs import load as library
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.layer_kinds import Grouped, Latent, Linear


@pytest.fixture(scope="module")
def a100():
    return given.cluster(library.load("device", "a100-sxm-80gb"), 1)


def test_chunk_times_of_the_step_model_grow_with_position(a100):
    times = cake.chunk_times(library.load("model", "longalpaca-7b"), a100, 16384.0)
    assert times.shape == (32,)
    assert (np.diff(times) > 0.0).all()


def test_a_context_that_does_not_fit_is_infeasible(a100):
    with pytest.raises(Infeasible, match="does not fit"):
        cake.chunk_times(library.load("model", "longalpaca-13b"), a100, 131072.0)


def test_loading_takes_what_the_tier_says_unless_told():
    model = library.load("model", "longalpaca-13b")
    load = cake.loading(model, library.load("storage", "cloud-ssd"), kv_bits=8, io_chunk=64.0)
    assert load.kv_bytes == 400 * 1024  # Table 1 of the paper: 800 KiB at 16 bit
    assert load.bandwidth == 2.0**32
    assert load.io_chunk == 64.0
    assert cake.loading(model, library.load("storage", "nvme"), bandwidth=1e9).bandwidth == 1e9


def hybrid(*attention, layers=62, kv_heads=16):
    return LanguageModel(
        name="hybrid", layers=layers, hidden=5376, vocabulary=262_208, heads=32, kv_heads=kv_heads, head_dim=128,
        ffn=21_504, gated=True, attention=attention,
    )  # fmt: skip


#: of a layer of Gemma 3 27B, 16 KV heads of 128 at 16 bit
GEMMA_TOKEN = 2 * 16 * 128 * 2


def test_of_layers_with_a_window_only_the_window_is_loaded():
    """Gemma 3 27B: 10 layers look back without end, 52 over 1024 tokens; 3.1 GB of 32768 tokens, and not 16.6."""
    sizes = {"heads": 32, "kv_heads": 16, "head_dim": 128}
    gemma = hybrid(Grouped("full", 10, **sizes), Grouped("window", 52, window=1024, **sizes))
    load = cake.loading(gemma, "nvme", bandwidth=7e9)
    size = GEMMA_TOKEN * (10 * 32768 + 52 * 1024)
    assert (load.stored_size(32768.0), load.stored_size(512.0)) == (size, GEMMA_TOKEN * 62 * 512)
    tier = replace(load, tail=0.0, latency=0.0, copy_rate=math.inf, slowdown=1.0)
    curve = np.full(64, 10.0)
    prompt = cake.Prompt(32768.0, 32768.0, cake.Computing(curve), tier)
    assert policies.load_only(prompt) == pytest.approx(size / 7e9, rel=1e-9)  # 0.45 s
    traced = replace(prompt, loading=replace(tier, trace=Trace(np.zeros(1), np.array([7e9]), hold=True)))
    assert policies.load_only(traced) == pytest.approx(size / 7e9, rel=1e-9)
    # a step of 10 s of the first 512 tokens outlasts all loading but what the step in flight spares
    assert policies.cake(prompt) == pytest.approx(10.0, rel=1e-9)


def test_a_last_chunk_is_loaded_from_its_start_on():
    sizes = {"heads": 32, "kv_heads": 16, "head_dim": 128}
    load = cake.loading(hybrid(Grouped("chunked", 62, window=8192, **sizes)), "nvme")
    assert [load.reach(n) for n in (0.0, 1.0, 8192.0, 8193.0, 20_000.0)] == [0.0, 1.0, 8192.0, 1.0, 3616.0]
    assert load.stored_size(20_000.0) == GEMMA_TOKEN * 62 * 3616


def test_a_state_is_loaded_whole_however_short_the_prefix():
    linear = hybrid(Linear("linear", 46, 16, 32, 128, 128), Grouped("full", 16, 32, 16, 128))
    load, state = cake.loading(linear, "nvme"), 46 * 32 * 128 * 128 * 4
    assert load.stored_size(1000.0) == state + 16 * GEMMA_TOKEN * 1000
    assert load.stored_size(0.0) == 0.0
    alone = cake.loading(
        hybrid(Linear("linear", 62, 16, 32, 128, 128)), "nvme", bandwidth=1e9, tail=0.0, latency=0.0, copy_rate=math.inf
    )
    assert alone.stored_size(1.0) == alone.stored_size(1e6) == 62 * 32 * 128 * 128 * 4
    prompt = cake.Prompt(16384.0, 16384.0, cake.Computing(CURVE), alone)
    assert policies.load_only(prompt) == pytest.approx(62 * 32 * 128 * 128 * 4 / 1e9, rel=1e-9)
    assert policies.cake(prompt) <= policies.load_only(prompt) + CURVE.max()


def test_bits_change_the_cache_and_neither_states_nor_the_keys_of_an_indexer():
    sparse = Latent("sparse", 30, 32, 512, 64, 128, 128, top_k=2048, index_heads=64, index_dim=128)
    model = hybrid(sparse, Linear("linear", 32, 16, 32, 128, 128))
    wide, narrow = (cake.loading(model, "nvme", kv_bits=bits) for bits in (16.0, 8.0))
    assert wide.kv_bytes - narrow.kv_bytes == 30 * 576
    assert wide.state_bytes == narrow.state_bytes
    inputs = Inputs(
        model, given.cluster("h200-sxm", 1), library.load("storage", "nvme"), [16384], [1e9], kv_bits=(8.0,),
        loads={"tail": 0.0, "latency": 0.0, "copy_rate": math.inf},
    )  # fmt: skip
    found = constant_grid(inputs, CURVE, 16384.0, 8.0).ttft.sel(policy="load_only").item()
    assert found == pytest.approx(narrow.stored_size(16384.0) / 1e9, rel=1e-9)


def test_windows_that_no_prompt_can_have_are_refused():
    with pytest.raises(SpecError, match="part of kv_bytes"):
        cake.Loading(1e5, 1e9, 32, 0.0, window_bytes=2e5, window=10.0)
    with pytest.raises(SpecError, match="need a window"):
        cake.Loading(1e5, 1e9, 32, 0.0, window_bytes=5e4)


@pytest.mark.parametrize("name", library.available("storage"))
def test_what_the_engine_does_beside_a_load_is_known_with_a_range(name):
    tier = library.load("storage", name)
    assert {fact: tier.facts[fact].range for fact in ("copy_rate", "slowdown")} == {
        "copy_rate": (1e11, 1e12),
        "slowdown": (1.0, 1.2),
    }
    assert "tail" not in tier.facts


def test_a_load_is_followed_by_one_step_of_the_engine_unless_told_otherwise():
    """4 s of fetching at 1e9 B/s, copies of it at 4e9 B/s in 1 s, and a first step of 0.25 s."""
    load = cake.Loading(1e6, 1e9, 32.0, copy_rate=4e9)
    prompt = cake.Prompt(4000.0, 4000.0, cake.Computing(np.linspace(0.25, 0.5, 8)), load)
    assert policies.load_only(prompt) == pytest.approx(4.0 + 1.0 + 0.25, rel=1e-12)
    told = replace(prompt, loading=replace(load, tail=0.0))
    assert policies.load_only(told) == pytest.approx(5.0, rel=1e-12)
    wire = Trace(np.zeros(1), np.array([1e9]), hold=True)
    assert policies.load_only(replace(told, loading=replace(told.loading, trace=wire))) == pytest.approx(5.0, rel=1e-12)
    assert policies.compute_only(prompt) == pytest.approx(np.linspace(0.25, 0.5, 8).sum(), rel=1e-12)


def test_what_is_stored_smaller_is_copied_at_its_full_size():
    """2 s of fetching a quarter of the bytes, 1 s of copies of all of them."""
    load = cake.Loading(1e6, 0.5e9, 32.0, 0.0, copy_rate=4e9, compression=4.0)
    prompt = cake.Prompt(4000.0, 4000.0, cake.Computing(CURVE), load)
    assert policies.load_only(prompt) == pytest.approx(3.0, rel=1e-12)


def test_steps_beside_a_load_are_slower_and_alone_they_are_not():
    """Steps of 1 s take 1.5 s until the fronts meet, and 1 s in front of what is not stored."""
    load = cake.Loading(1.0, 512.0 / 3.0, 32.0, 0.0, io_chunk=512.0, slowdown=1.5)
    prompt = cake.Prompt(3072.0, 2048.0, cake.Computing(np.ones(6)), load)
    assert policies.compute_only(prompt) == pytest.approx(6.0)
    # two chunks loaded after 6 s and four steps computed: three steps meet one chunk at 4.5 s
    assert policies.cake(prompt) == pytest.approx(3 * 1.5 + 2.0)
    assert policies.load_only(prompt) == pytest.approx(4 * 3.0 + 2.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"bandwidth": 0.0}, {"bandwidth": -1.0}, {"bandwidth": math.nan}, {"utilisation": 0.0},
        {"utilisation": 1.01}, {"utilisation": -0.5}, {"utilisation": math.nan}, {"stored": 20000.0}, {"stored": -1.0},
        {"tokens": 0.0}, {"tokens": 20000.0}, {"tail": -0.1}, {"latency": math.inf}, {"compression": 0.5},
        {"decompression_rate": 0.0}, {"io_chunk": 0.0}, {"chunk": 0.0}, {"chunk": math.inf}, {"times": CURVE[:31]},
        {"times": np.append(CURVE, 0.0)}, {"times": np.append(CURVE, math.nan)}, {"utilisation": 1e-9},
        {"budget": Trace(np.zeros(1), np.array([1.5]))},
    ],
)  # fmt: skip
def test_prompt_refuses(changes):
    with pytest.raises(SpecError):
        prompt_of(**changes)
