"""Whole requests against the sum over every step, the contract of ``speedups``, and where PRESERVE pays."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

import accelmodel as am
from accelmodel.errors import Infeasible, SpecError
from accelmodel.inference import request
from accelmodel.inference.memory import memory_per_device, usable_memory
from accelmodel.inference.policies import policy
from accelmodel.inference.preserve import prompt_length

BITS = {"weight_bits": 8.0, "activation_bits": 8.0, "kv_bits": 8.0}
MODEL = "llama-3-8b"


def axis(name, values):
    return xr.DataArray(np.array(values, dtype=float), dims=name, coords={name: values})


def on_ascend(**link):
    chip = am.load("device", "ascend-910b2")
    return am.cluster(chip, link=am.override(am.load("link", chip.link), **link))


def run(cluster, phase, context, technique="none", model=MODEL, **work):
    prepared = request.prepare_request(
        am.load("model", model), cluster, phase, axis("context", context), **work, **BITS
    )
    return request.run_request(prepared, policy(technique))


@pytest.mark.parametrize("technique", ["none", "preserve"])
@pytest.mark.parametrize("total", [96, 1024, 4096])
def test_four_nodes_equal_the_sum_over_every_decode_step(warm, total, technique):
    """Within 0.2 %, as ``request.NODES`` says."""
    prompt = int(prompt_length(np.array(float(total))))
    work = {"batch": 4.0, "tp": 8.0}
    whole = run(on_ascend(), "end-to-end", [total], technique, **work).step_time.item()
    first = run(on_ascend(), "prefill", [prompt], technique, **work).step_time.item()
    steps = run(on_ascend(), "decode", list(range(prompt + 1, total + 1)), technique, **work).step_time
    assert steps.size == total - prompt
    assert whole - first == pytest.approx(float(steps.sum()), rel=2e-3)


def test_weights_of_the_nodes_add_up_to_the_steps():
    contexts, weights = request.decode_contexts(xr.DataArray([1365.0], dims="r"), xr.DataArray([2048.0], dims="r"))
    assert float(weights.sum()) == pytest.approx(2048 - 1365)
    assert contexts.min() > 1365
    assert contexts.max() <= 2048


def test_prefill_and_decode_add_up_to_the_request(warm):
    cluster, context = on_ascend(), axis("context", [2048, 8192])
    prepared = request.prepare_request(
        am.load("model", MODEL), cluster, "end-to-end", context, tp=8.0, batch=1.0, **BITS
    )
    whole = request.run_request(prepared, policy("preserve"))
    parts = [request.run_request([part], policy("preserve")) for part in prepared]
    prefill = [run(cluster, "prefill", [int(prompt_length(n))], "preserve", tp=8.0, batch=1.0) for n in (2048, 8192)]
    for name in ("step_time", "prefetched_bytes", "hbm_bytes"):
        np.testing.assert_allclose(whole[name], sum(part[name] for part in parts), rtol=1e-12)
        np.testing.assert_allclose(parts[0][name], [each[name].item() for each in prefill], rtol=1e-12)


def test_two_thirds_are_prompt(warm):
    """A request of L tokens is a prefill of 2L/3 and a decode of L/3."""
    prepared = request.prepare_request(
        am.load("model", MODEL), on_ascend(), "end-to-end", axis("context", [3000]), batch=1.0
    )
    assert prepared[0][0].work.phase == "prefill"
    assert prepared[0][0].work.context.item() == 2000.0
    assert prepared[1][0].work.phase == "decode"
    assert float(prepared[1][1].sum()) == pytest.approx(1000.0)


def test_contract_of_the_dataset(warm):
    models = [am.load("model", name) for name in (MODEL, "qwen2-7b")]
    result = am.speedups(models, on_ascend(), [2, 4], [1, 8, 64], [2048, 32768], precision=BITS)
    assert result.speedup.dims == ("model", "tp", "batch", "context")
    assert result.model.values.tolist() == [MODEL, "qwen2-7b"]
    assert result.tp.values.tolist() == [2, 4]
    units = {"baseline": "s", "fused": "s", "preserve": "s", "speedup": "1", "prefetched_bytes": "B", "feasible": "1"}
    units["time"] = "s"
    assert {name: variable.attrs["units"] for name, variable in result.data_vars.items()} == units
    assert result.feasible.dtype == bool
    assert {"phase": "end-to-end", "device": "ascend-910b2", "skipped": ""}.items() <= result.attrs.items()
    assert json.loads(result.attrs["bits"]) == BITS
    assert result.attrs["technique"] == "preserve"
    assert all(f"{model.name}:{model.digest}" in result.attrs["digests"] for model in models)
    xr.testing.assert_allclose(result.speedup, result.baseline / result.preserve)
    assert (result.speedup >= 1.0 - 1e-12).all()
    assert (result.fused <= result.baseline * (1.0 + 1e-12)).all()
    assert np.isfinite(result.to_array().values.astype(float)).all()


def test_feasible_agrees_with_the_memory_of_every_step(warm):
    """A request needs room for its prefill and for its last decode step."""
    model, cluster = am.load("model", "llama-3-70b"), on_ascend()
    result = am.speedups([model], cluster, [2, 8], [1, 64], [2048, 32768], precision=BITS)
    assert result.feasible.any()
    assert not result.feasible.all()
    for tp in (2, 8):
        for batch in (1, 64):
            for context in (2048, 32768):
                needs = []
                for phase, length in (("prefill", prompt_length(context)), ("decode", context)):
                    work = am.workload(phase=phase, batch=batch, context=float(length), tp=tp, **BITS)
                    needs.append(sum(memory_per_device(model, work).values()))
                expected = max(needs) <= usable_memory(cluster.device)
                assert result.feasible.sel(tp=tp, batch=batch, context=context).item() == expected


def test_axes_of_the_cluster_come_last(warm):
    result = am.speedups([am.load("model", MODEL)], on_ascend(start_up=axis("s", [1e-5, 2e-5])), [8], [4], [4096])
    assert result.speedup.dims == ("model", "tp", "batch", "context", "s")
    for start_up in (1e-5, 2e-5):
        alone = am.speedups([am.load("model", MODEL)], on_ascend(start_up=start_up), [8], [4], [4096])
        assert result.speedup.sel(s=start_up).item() == pytest.approx(alone.speedup.item(), rel=1e-12)


@pytest.mark.parametrize("phase", request.PHASES)
def test_nothing_to_gain_on_one_device(warm, phase):
    result = am.speedups([am.load("model", MODEL)], on_ascend(), [1], [1, 8], [2048], phase=phase, precision=BITS)
    assert (result.speedup == 1.0).all()
    assert (result.fused == result.baseline).all()
    assert (result.prefetched_bytes == 0.0).all()
    assert result.attrs["phase"] == phase


@pytest.mark.parametrize(
    ("technique", "variables"),
    [
        ("none", {"baseline", "fused"}),
        ("fused", {"baseline", "fused"}),
        ("preserve", {"baseline", "fused", "preserve"}),
    ],
)
def test_times_stand_under_the_name_of_their_technique(warm, technique, variables):
    """No variable is named after a technique that was not timed; the speed-up is that of the one asked for."""
    result = am.speedups(MODEL, on_ascend(), [8], [4], [4096], phase="decode", prefetch=technique)
    assert variables == {"baseline", "fused", "preserve"} & set(result.data_vars)
    assert result.attrs["technique"] == technique
    work = {"phase": "decode", "batch": 4, "context": 4096, "tp": 8}
    for name in result.technique.values.tolist():
        alone = am.total_time(MODEL, on_ascend(), work, name)
        assert result.time.sel(technique=name).item() == float(alone.step_time)
        assert result["baseline" if name == "none" else name].item() == float(alone.step_time)
    asked = am.total_time(MODEL, on_ascend(), work, technique)
    assert result.speedup.item() == pytest.approx(result.baseline.item() / float(asked.step_time), rel=1e-12)
    assert result.prefetched_bytes.item() == float(asked.prefetched_bytes)


def test_no_threshold_no_gain(warm):
    shut = policy("preserve", threshold=0.0)
    result = am.speedups([am.load("model", MODEL)], on_ascend(), [8], [4], [4096], prefetch=shut, precision=BITS)
    # a window is summed up before it is added: rounding only
    assert result.speedup.item() == pytest.approx(1.0, rel=1e-12)


def test_a_model_that_does_not_fit_is_told_and_skipped(warm):
    models = [am.load("model", name) for name in (MODEL, "llama-3.1-405b")]
    result = am.speedups(models, on_ascend(), [1], [1], [2048])
    assert result.model.values.tolist() == [MODEL]
    assert "llama-3.1-405b does not fit" in result.attrs["skipped"]
    with pytest.raises(Infeasible, match="does not fit"):
        am.speedups(models[1:], on_ascend(), [1], [1], [2048])


def test_steps_that_fit_in_a_request_that_does_not(warm):
    """The nodes lie before the end of the request: the last step may be the one that is too large."""
    model = am.load("model", "longalpaca-13b")
    last = sum(memory_per_device(model, am.workload(phase="decode", batch=16, context=4096)).values())
    chip = am.override(am.load("device", "ascend-910b2"), hbm_capacity=float(last) - 1000.0, hbm_reserved=0.0)
    with pytest.raises(Infeasible, match="no whole request fits; raise tp"):
        am.speedups([model], am.cluster(chip), [1], [16], [4096])


@pytest.mark.parametrize("phase", ["dream", "", "Decode"])
def test_unknown_phase_is_refused(phase):
    with pytest.raises(SpecError, match="unknown phase"):
        am.speedups([am.load("model", MODEL)], on_ascend(), [1], [1], [2048], phase=phase)


# Where PRESERVE pays.  Notes on the paper: it gains most where a collective takes about as long as the prefetch
# that hides beside it, so that more or less communication gains less; the gain is monotone in neither.


def gain(phase="decode", batch=4, **link):
    """Speed-up over the axis of the link, with the baseline and the bytes prefetched."""
    result = am.speedups(
        [am.load("model", MODEL)], on_ascend(**link), [8], [batch], [4096], phase=phase, precision=BITS
    )
    return result.isel(model=0, tp=0, batch=0, context=0)


@pytest.mark.parametrize("batch", [1, 4, 16, 64])
@pytest.mark.parametrize("phase", ["decode", "end-to-end"])
def test_gain_peaks_within_the_range_of_start_ups(warm, phase, batch):
    speedup = gain(
        phase, batch, start_up=axis("s", [0.0, 3e-6, 5e-6, 1e-5, 2e-5, 3e-5, 6e-5, 1.2e-4, 5e-4, 2e-3])
    ).speedup
    top = int(np.argmax(speedup.values))
    assert 0 < top < speedup.size - 1
    assert (speedup[top:].diff("s") < 0.0).all()
    # norms leave some time to prefetch in where collectives take none
    assert speedup[0] < 0.995 * speedup[top]
    assert speedup[-1] < 1.02


def test_gain_is_not_monotone_in_link_speed(warm):
    """Large batch, decode: slow links make waiting the whole step, fast ones leave too little time to prefetch in."""
    speedup = gain(batch=64, bandwidth=axis("b", [2e9, 2e10, 5.9e10, 1.96e11, 5.9e11, 2e12, 2e13])).speedup
    top = int(np.argmax(speedup.values))
    assert 0 < top < speedup.size - 1
    assert speedup[0] < 1.1 < speedup[top]
    assert speedup[-1] < speedup[top] - 0.01


def test_gain_peaks_where_collectives_take_as_long_as_the_prefetch(warm):
    """Time of the collectives over the time to fetch what they hide, at the best start-up: of the order of one."""
    start_ups = np.geomspace(2e-6, 5e-4, 30)
    cluster = on_ascend(start_up=axis("s", start_ups))
    work = am.workload(phase="decode", batch=4, context=4096, tp=8, **BITS)
    model = am.load("model", MODEL)
    ahead = am.time_step(model, cluster, work, policy("preserve"))
    plain = am.time_step(model, cluster, work)
    collectives = plain.time.where(plain.link_bytes > 0.0).sum("operator")
    fetch = ahead.prefetched_bytes.max() / (cluster.device.hbm_bandwidth * cluster.device.hbm_share)
    top = int(np.argmax((plain.step_time / ahead.step_time).values))
    ratio = (collectives / fetch).values
    assert ratio[0] < 0.7
    assert 0.5 < ratio[top] < 2.0
    assert ratio[-1] > 10.0
