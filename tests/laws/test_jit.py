"""Kernels interpreted and compiled: one decision, one answer."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import accelmodel as am
from accelmodel.inference.policies import policy
from accelmodel.inference.step import prepare, run_kernel
from accelmodel.laws import compile_cache, jit
from accelmodel.laws.jit import Kernel, compiled, inner_kernel, kernel, law, parallel_kernel, prange, running
from accelmodel.laws.types import BY_HBM, BY_L2, DETAIL
from accelmodel.specs.find import available
from accelmodel.specs.given import cluster, override, workload
from accelmodel.specs.load import load

DEVICES, MODELS = available("device"), available("model")
POLICIES = st.one_of(
    st.just(policy("none")),
    st.just(policy("fused")),
    st.builds(
        lambda threshold, rule: policy("preserve", threshold=threshold, rule=rule),
        st.floats(0.0, 4.0),
        st.sampled_from(["paper", "partial", "best-fit"]),
    ),
)


@law
def doubled(x: float) -> float:
    """Twice the number."""
    return 2.0 * x


@inner_kernel
def _add_up(numbers: np.ndarray) -> float:
    total = 0.0
    for i in range(numbers.shape[0]):
        total += doubled(numbers[i])
    return total


@kernel(lambda numbers, out: 1e-3 * len(numbers))
def fill(numbers: np.ndarray, out: np.ndarray) -> None:
    """Twice the sum, into each place."""
    for i in range(out.shape[0]):
        out[i] = _add_up(numbers)


@parallel_kernel(lambda numbers, out: 0.0)
def share(numbers: np.ndarray, out: np.ndarray) -> None:
    """As ``fill``, by way of it."""
    for i in prange(out.shape[0]):
        fill(numbers, out[i : i + 1])


def fresh(interpreting, function):
    """Return a kernel of its own, not compiled, that nothing is spent on."""
    return Kernel(function, interpreting)


def test_a_law_stays_a_plain_function():
    assert type(doubled) is type(fresh)
    assert doubled(3) == 6
    assert compiled(doubled)(3.0) == 6.0
    assert compiled(doubled) is compiled(doubled)


@pytest.mark.parametrize("form", ["interpreted", "compiled"])
@pytest.mark.parametrize("loop", [fill, share])
def test_either_form_reaches_what_it_calls(form, loop):
    out = np.zeros(3)
    with running(form):
        loop(np.arange(4.0), out)
    assert out.tolist() == [12.0] * 3


def test_a_shared_loop_is_one(warm, monkeypatch):
    # what is read back from the cache tells nothing of its loops
    monkeypatch.setattr(compile_cache, "folder", lambda: None)
    loop = jit._compiled.__wrapped__(share.plain, called=True)
    loop(np.arange(4.0), np.zeros(3))
    assert next(iter(loop.overloads.values())).metadata["parfor_diagnostics"].count_parfors() == 1


@pytest.fixture
def price(monkeypatch):
    """Reading what is compiled takes 1 s, the patience is 5 s, and a compiled form is kept only where told."""
    kept: list[str] = []
    monkeypatch.setattr(jit, "_READ", 1.0)
    monkeypatch.setattr(jit, "_IMPORT", 0.0)
    monkeypatch.setattr(jit, "_PATIENCE", 5.0)
    monkeypatch.setattr(compile_cache, "holds", lambda name: name in kept)
    return kept


@pytest.mark.parametrize(("seconds", "cold", "ready"), [(0.5, False, False), (2.0, False, True), (6.0, True, True)])
def test_what_is_compiled_is_what_takes_longer_than_compiling(price, seconds, cold, ready):
    asked = fresh(lambda *_: seconds, fill.plain)
    assert asked.worth_compiling(seconds) is cold
    price.append(asked.name)
    assert asked.worth_compiling(seconds) is ready


def test_many_small_questions_are_a_large_one(price):
    asked = fresh(lambda *_: 0.5, fill.plain)
    asked(np.zeros(2), np.zeros(2))
    assert 0.0 < asked.spent < 0.5
    assert not asked.is_compiled
    asked.spent = 4.6
    assert asked.worth_compiling(0.5)


def test_what_is_compiled_in_this_process_is_used(price):
    asked = fresh(lambda *_: 0.0, fill.plain)
    asked.compiled()
    assert asked.worth_compiling(0.0)
    with running("interpreted"):
        assert not asked.worth_compiling(0.0)


def test_who_listens_is_told_before_a_kernel_is_compiled_and_only_then(price):
    told: list[str] = []
    asked = fresh(lambda *_: 0.0, fill.plain)
    with jit.telling(told.append):
        asked(np.zeros(2), np.zeros(2))
        assert told == []
        asked.compiled()
        asked.compiled()
        assert told == [asked.name]
        price.append(asked.name)
        fresh(lambda *_: 0.0, fill.plain).compiled()
    price.clear()
    fresh(lambda *_: 0.0, fill.plain).compiled()
    assert told == [asked.name]


def test_what_plain_floats_refuse_the_compiled_form_answers():
    def divide(values, out):
        out[0] += 1.0
        out[1] = 1.0 / float(values[0])

    out = np.array([1.0, 5.0])
    asked = fresh(lambda *_: 0.0, divide)
    jit._OPTIONS[divide] = {}
    asked(np.zeros(1), out)
    assert out.tolist() == [2.0, np.inf]


def test_the_interpreter_is_silent_about_what_is_not_finite():
    def divide(values, out):
        out[0] = values[0] / values[1]
        out[1] = values[1] / values[1]

    out = np.zeros(2)
    fresh(lambda *_: 0.0, divide)(np.array([1.0, 0.0]), out)
    assert out[0] == np.inf
    assert np.isnan(out[1])


@settings(max_examples=60)
@given(st.data(), POLICIES, st.sampled_from(["prefill", "decode"]))
def test_a_step_is_the_same_interpreted_and_compiled(warm, data, technique, phase):
    """Any device, with any L2 (none included), any model, cut up to 16 ways."""
    chip = load("device", data.draw(st.sampled_from(DEVICES)))
    l2 = data.draw(st.sampled_from([0.0, 1.0, 16.0])) * chip.l2.capacity
    roomy = {"hbm.capacity": 1e15} if chip.hbm.capacity else {}
    chip = override(chip, {"l2.capacity": l2, **roomy})
    sizes = {"batch": data.draw(st.integers(1, 512)), "context": data.draw(st.integers(1, 131072))}
    bits = {"weight_bits": data.draw(st.sampled_from([4, 8, 16])), "kv_bits": data.draw(st.sampled_from([8, 16]))}
    work = {"phase": phase, **sizes, **bits, "tp": data.draw(st.sampled_from([1, 2, 8, 16]))}
    try:
        inputs = prepare(load("model", data.draw(st.sampled_from(MODELS))), cluster(chip, 16), workload(**work))
    except (am.SpecError, am.Infeasible):
        return
    found = []
    for form in ("interpreted", "compiled"):
        with running(form):
            found.append(run_kernel(inputs.operators, inputs.machines, technique.numbers, detail=True))
    (plain, plain_detail), (fast, fast_detail) = found
    np.testing.assert_allclose(plain, fast, rtol=1e-12, atol=0.0)
    if not chip.hbm.capacity:
        # of a chip without device memory both are the same bytes at the same rate: rounding says which is longer
        bounds = DETAIL.index("bound")
        for each in (plain_detail, fast_detail):
            each[bounds] = np.where(each[bounds] == BY_L2, BY_HBM, each[bounds])
    for plain, fast in zip(plain_detail, fast_detail, strict=True):
        # what L2 does not hold is a difference of shares: rounding, on the scale of the largest of its kind
        np.testing.assert_allclose(plain, fast, rtol=1e-12, atol=1e-12 * np.abs(fast).max())


def test_a_small_question_does_not_import_numba():
    code = "import sys, accelmodel as am\n"
    code += "work = {'phase': 'decode', 'batch': [1, 2, 4], 'context': 4096, 'tp': 8}\n"
    code += "am.total_time('llama-3-70b', 'h100-sxm', work)\n"
    code += "print('numba' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "False\n"
