"""An axis is the loop over its points, and better or fewer of anything is never worse: over all that may be asked."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import accelmodel as am
from accelmodel.errors import Infeasible, SpecError
from accelmodel.specs.base import field_types, value_of

FEW, MANY = 15, 3_000
DEVICES = ("h200-sxm", "gb200", "ascend-910c", "mi300x")
SPARSE = ("deepseek-v3", "qwen3-30b-a3b", "gpt-oss-120b")
MODELS = ("llama-3-8b", "gemma-3-27b", *SPARSE)
#: field of a workload → what its axis may hold
WORK = {
    "batch": (8.0, 40.0, 1000.0),
    "context": (300.0, 4096.0),
    "tp": (1.0, 2.0, 4.0),
    "pp": (1.0, 2.0),
    "dp": (8.0, 16.0),
    "weight_bits": (4.0, 4.25, 8.0),
    "activation_bits": (8.0, 16.0),
    "kv_bits": (8.0, 16.0),
}
MIXED = {"prefill_tokens": (0.0, 16.0, 512.0), "speculative": (0.0, 1.0, 3.0), "acceptance": (0.0, 0.5, 1.0)}
EXPERTS = {
    "ep": (2.0, 8.0),
    "redundant_experts": (0.0, 8.0, 32.0),
    "imbalance": (0.0, 1.0, 1.5),
    "two_batch": (0.0, 1.0),
    "exchange": (0.0, 1.0, 2.0, 3.0),
}
CLUSTERS = ("h200-sxm", "gb200-nvl72", "tpu-v5e-pod", "cloudmatrix-384", "pcie4-tree-8", "dimm-pim-a100", "wse-3")


def of_64(name):
    known = am.cluster(name)
    return am.cluster(known.device, 64, known.link, known.scale_out)


def asked(draw, axes):
    """Draw a model and a step of it, with one value of each field that fits the model and the phase."""
    model, phase = draw(st.sampled_from(MODELS)), draw(st.sampled_from(["prefill", "decode", "mixed"]))
    known = WORK | ({} if phase == "prefill" else MIXED) | (EXPERTS if model in SPARSE else {})
    if phase == "decode":
        known = {name: values for name, values in known.items() if name != "prefill_tokens"}
    plain = {"weight_bits": 4.0, "kv_bits": 8.0, "batch": 64.0, "context": 1024.0, "dp": 8.0}
    plain |= {"ep": 8.0} if model in SPARSE else {}
    names = draw(st.lists(st.sampled_from(sorted(known)), min_size=1, max_size=axes, unique=True))
    return model, {"phase": phase, **plain}, {name: list(known[name]) for name in names}


@st.composite
def questions(draw):
    return draw(st.sampled_from(DEVICES)), *asked(draw, 2)


@st.composite
def steps(draw):
    """A step whose fields all have one value."""
    device, (model, plain, axes) = draw(st.sampled_from(DEVICES)), asked(draw, 6)
    return device, model, plain | {name: draw(st.sampled_from(values)) for name, values in axes.items()}


def timed(device, model, work):
    """Return a step; a question that the model refuses is none."""
    try:
        return am.time_step(model, of_64(device) if isinstance(device, str) else device, work)
    except (SpecError, Infeasible):
        return None


def alone(whole, axes):
    for point in itertools.product(*axes.values()):
        yield dict(zip(axes, point, strict=True)), whole.sel(dict(zip(axes, point, strict=True)))


def total(device, model, work):
    """Return the totals of a step; a question that the model refuses is none, one that does not fit is False."""
    try:
        return am.total_time(model, of_64(device), work)
    except SpecError:
        return None
    except Infeasible:
        return False


def check_work(question):
    device, model, plain, axes = question
    whole = total(device, model, plain | axes)
    assume(whole is not None and whole is not False)
    for point, of_axis in alone(whole, axes):
        one = total(device, model, plain | point)
        assert one is not None, point
        if one is False:
            continue
        for name in ("step_time", "hbm_bytes"):
            assert float(of_axis[name]) == pytest.approx(float(one[name]), rel=1e-9), (name, point)


@given(questions())
@settings(max_examples=FEW)
def test_axes_of_a_workload_are_the_loop_over_their_points(question):
    check_work(question)


@pytest.mark.nightly
@given(questions())
@settings(max_examples=MANY)
def test_axes_of_a_workload_are_the_loop_over_their_points_every_night(question):
    check_work(question)


@st.composite
def machines(draw):
    known = of_64(draw(st.sampled_from(CLUSTERS)))
    part = draw(st.sampled_from(["device", "link", "scale_out"]))
    spec = getattr(known, part)
    numbers = [name for name, kind in field_types(type(spec)).items() if kind.quantity and value_of(spec, name)]
    return known, part, draw(st.sampled_from(numbers)), draw(st.sampled_from([0.01, 0.5, 2.0, 30.0]))


def check_machine(question):
    known, part, field, times = question
    now = value_of(getattr(known, part), field)
    work = {"phase": "decode", "batch": 64, "context": 1024, "tp": 8, "pp": 2}

    def time_of(value):
        try:
            specs = {each: getattr(known, each) for each in ("device", "link", "scale_out")}
            specs[part] = am.override(specs[part], {field: value})
            return am.total_time("llama-3-8b", am.cluster(specs["device"], 64, *list(specs.values())[1:]), work)
        except (SpecError, Infeasible):
            return None

    points = [time_of(value) for value in (now, now * times)]
    assume(all(point is not None for point in points))
    whole = time_of([now, now * times])
    assume(whole is not None)
    found = np.broadcast_to(whole.step_time.values, 2)
    assert found == pytest.approx([float(point.step_time) for point in points], rel=1e-9)


@given(machines())
@settings(max_examples=2 * FEW)
def test_axes_of_a_machine_are_the_loop_over_their_points(question):
    check_machine(question)


@pytest.mark.nightly
@given(machines())
@settings(max_examples=MANY)
def test_axes_of_a_machine_are_the_loop_over_their_points_every_night(question):
    check_machine(question)


def check_sense(step):
    device, model, work = step
    found = timed(device, model, work)
    assume(found is not None)
    time, memory = float(found.step_time), float(found.memory_bytes)
    assert 0.0 < float(found.step_time_lower) <= time <= float(found.step_time_upper) < math.inf
    assert np.all(found["time"].values >= 0.0)

    def again(**changes):
        return timed(device, model, work | changes)

    for more in ({"batch": work["batch"] * 2.0}, {"context": work["context"] * 2.0}, {"redundant_experts": 64.0}):
        if "redundant_experts" in more and work.get("ep", 1.0) == 1.0:
            continue
        other = again(**more)
        assert other is None or float(other.memory_bytes) >= memory * (1.0 - 1e-9), more
    other = again(pp=work.get("pp", 1.0) + 1.0)
    assert other is None or float(other.memory_bytes) <= memory * (1.0 + 1e-9)
    if work.get("ep", 1.0) > 1.0 and (load := work.get("imbalance", 1.0)):
        other = again(imbalance=load * 1.2)
        assert other is None or float(other.step_time) >= time * (1.0 - 1e-9)
    if work.get("speculative"):
        taken = work.get("acceptance", 0.0)
        other, longer, plain = again(acceptance=min(taken + 0.2, 1.0)), again(speculative=5.0), again(speculative=0.0)
        assert float(other.tokens_per_s) >= float(found.tokens_per_s) * (1.0 - 1e-9)
        assert float(plain.step_time) <= time * (1.0 + 1e-9)
        assert float(plain.memory_bytes) <= memory * (1.0 + 1e-9)
        if not taken and longer is not None:
            assert float(longer.tokens_per_s) <= float(found.tokens_per_s) * (1.0 + 1e-9)
    if work["phase"] == "mixed":
        assert float(again(prefill_tokens=0.0).step_time) <= time * (1.0 + 1e-9)
    if work.get("two_batch"):
        half = again(batch=math.ceil(work["batch"] / 2.0), two_batch=0.0)
        assert half is None or float(half.step_time) <= time * (1.0 + 1e-9)


@given(steps())
@settings(max_examples=FEW)
def test_no_step_is_better_for_more_to_do(step):
    check_sense(step)


@pytest.mark.nightly
@given(steps())
@settings(max_examples=MANY)
def test_no_step_is_better_for_more_to_do_every_night(step):
    check_sense(step)


@pytest.mark.parametrize("field", ["weight_bits", "activation_bits", "kv_bits"])
def test_an_axis_of_bits_does_not_mix_in_those_of_the_file(field):
    with pytest.raises(SpecError, match=f"{field} is 0"):
        am.workload(phase="decode", batch=1, context=128, **{field: [0.0, 8.0]})


def test_an_axis_of_memory_on_a_chip_without_hbm():
    chip = am.load("device", "wse-3")
    found = am.total_time(
        "llama-3-8b",
        am.override(chip, l2_capacity=[22e9, 44e9]),
        {"phase": "decode", "batch": 1, "context": 128},
    )
    assert found.step_time.shape == (2,)
