"""Whole steps: the contract of the Dataset, labelled axes against loops, refusals, and caches that are never stale."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from builders import machines_of, make_machine, make_operator, streamed, table_of
from resources import BETTER, better

import accelmodel as am
from accelmodel.errors import Infeasible, SpecError
from accelmodel.inference import run
from accelmodel.inference.axes import axes_of, table_array
from accelmodel.inference.kept import kv_bytes_per_token
from accelmodel.inference.machine import machine
from accelmodel.inference.operators import operator_table
from accelmodel.inference.policies import policy
from accelmodel.inference.run import run_kernel
from accelmodel.laws.compile_cache import source_digest
from accelmodel.laws.types import ALGORITHMS, ALL_REDUCE, BOUNDS, Machine
from accelmodel.specs.load import available

UNITS = {
    "time": "s", "step_time": "s", "tpot": "s", "tpot_lower": "s", "tpot_upper": "s", "flops": "FLOP",
    "hbm_bytes": "B", "l2_hit_bytes": "B",
    "link_bytes": "B", "admitted_bytes": "B", "fetched_bytes": "B", "l2_resident_bytes": "B", "prefetched_bytes": "B",
    "memory_bytes": "B", "tokens_per_s": "token/s", "feasible": "1", "bound": "1", "algorithm": "1", "count": "1",
    "lower": "s", "upper": "s", "step_time_lower": "s", "step_time_upper": "s",
    "energy": "J", "step_energy": "J", "step_energy_lower": "J", "step_energy_upper": "J", "power": "W",
    "power_stretch": "1", "joules_per_token": "J/token",
}  # fmt: skip
ATTRIBUTES = {
    "accelmodel_version", "technique", "technique_parameters", "phase", "model", "device", "link", "digests", "sources",
    "weakest_fact", "notes",
}  # fmt: skip
WORK = {"phase": "decode", "batch": 4, "context": 8192, "tp": 8, "weight_bits": 8, "activation_bits": 8, "kv_bits": 8}
PRESERVE = policy("preserve")


def chip(**changes):
    device = am.load("device", "ascend-910b2")
    return am.cluster(am.override(device, **changes) if changes else device)


def step(cluster=None, what=PRESERVE, **fields):
    return am.time_step(am.load("model", "llama-3-70b"), cluster or chip(), am.workload(**{**WORK, **fields}), what)


def axis(name, values):
    return xr.DataArray(np.array(values, dtype=float), dims=name, coords={name: np.array(values, dtype=float)})


def test_contract_of_the_dataset(warm):
    result = step()
    assert set(result.data_vars) == set(UNITS)
    assert {name: result[name].attrs["units"] for name in result.data_vars} == UNITS
    assert set(result.attrs) >= ATTRIBUTES
    assert set(result.sizes) == {"operator"}
    assert result.attrs["model"] == "llama-3-70b"
    assert set(np.unique(result["bound"])) <= {*BOUNDS, "none"}
    assert set(np.unique(result["algorithm"])) <= {*ALGORITHMS, "none"}
    assert float(result["time"].sum()) == pytest.approx(float(result["step_time"]), rel=1e-12)  # rounding only
    assert float(result["tokens_per_s"]) == pytest.approx(4 / float(result["step_time"]), rel=1e-12)  # rounding only
    assert bool(result["feasible"])
    assert "ttft" in step(phase="prefill", batch=1, context=512)


def test_prefill_counts_the_tokens_it_computes(warm):
    result = step(phase="prefill", batch=2, context=512, prefix=100)
    expected = 2 * 412 / float(result["step_time"])
    assert float(result["tokens_per_s"]) == pytest.approx(expected, rel=1e-12)  # rounding only


CAPACITY, SHARES, BATCH = [5e7, 1e8, 2.5e8], [0.5, 0.8], [1.0, 4.0, 16.0]


def same(ours, alone):
    for name in alone.data_vars:
        if alone[name].dtype.kind == "U":
            assert (ours[name].values == alone[name].values).all(), name
        else:
            # 1e-12: a number is computed beside others in a vector register
            np.testing.assert_allclose(ours[name].values, alone[name].values, rtol=1e-12, err_msg=name)


def test_two_axes_of_the_device(warm):
    both = step(chip(l2_capacity=axis("capacity", CAPACITY), hbm_share=axis("share", SHARES)))
    assert both["step_time"].sizes == {"capacity": 3, "share": 2}
    for capacity in CAPACITY:
        for share in SHARES:
            alone = step(chip(l2_capacity=capacity, hbm_share=share))
            same(both.sel(capacity=capacity, share=share), alone)


def test_many_designs_along_one_axis(warm, monkeypatch):
    # five fields, of which the machine makes ten: made a part of the axis at a time
    most, count = 2**12, 400_000
    monkeypatch.setattr(run, "MOST", most)
    rng = np.random.default_rng(0)
    bounds = {"l2_capacity": (2e7, 2e8), "hbm_bandwidth": (1e12, 6e12), "clock": (1e9, 3e9), "hbm_share": (0.5, 1.0)}
    fields = {name: xr.DataArray(rng.uniform(*ends, count), dims="design") for name, ends in bounds.items()}
    fields["cores"] = xr.DataArray(rng.integers(20, 200, count), dims="design")
    work, many = am.workload(**WORK), chip(**fields)
    tracemalloc.start()
    try:
        found = am.total_time("llama-3-70b", many, work, "preserve")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # 24 B of answers a design, and parts on as many threads as there are cores
    assert peak <= 40.0 * count + run.cores() * most * 200.0
    assert found["design"].values.tolist() == list(range(count))
    for place in (0, most - 1, most, count - 1):
        alone = am.total_time("llama-3-70b", chip(**{k: float(v[place]) for k, v in fields.items()}), work, "preserve")
        same(found.isel(design=place), alone)


def test_axes_of_workload_and_link(warm):
    base = chip()
    rates = [5e10, 2e11]

    def with_rate(rate):
        return am.cluster(base.device, link=am.override(base.link, bandwidth=rate))

    both = step(with_rate(axis("rate", rates)), batch=axis("batch", BATCH))
    assert both["step_time"].sizes == {"batch": 3, "rate": 2}
    for batch in BATCH:
        for rate in rates:
            same(both.sel(batch=batch, rate=rate), step(with_rate(rate), batch=batch))


def test_an_axis_shared_by_workload_and_machine(warm):
    batch = axis("batch", BATCH)
    shared = step(chip(l2_capacity=batch * 2e7), batch=batch)
    assert shared["step_time"].sizes == {"batch": 3}
    for size in BATCH:
        same(shared.sel(batch=size), step(chip(l2_capacity=size * 2e7), batch=size))


def test_axis_of_a_degree_of_parallelism(warm):
    degrees = [2.0, 4.0, 8.0]
    spread = step(tp=axis("tp", degrees))
    for degree in degrees:
        same(spread.sel(tp=degree), step(tp=degree))


def test_an_axis_with_two_sets_of_labels_is_refused():
    with pytest.raises(SpecError, match="'x' is given twice"):
        step(chip(l2_capacity=axis("x", [1e8, 2e8])), batch=axis("x", [1, 2]))


def test_two_fields_of_the_device_with_two_sets_of_labels_are_refused():
    with pytest.raises(SpecError, match="'x' is given twice"):
        step(chip(l2_capacity=axis("x", [1e8, 2e8]), cores=axis("x", [8.0, 16.0])))
    with pytest.raises(SpecError, match="'x' is given twice"):
        step(chip(clock=xr.DataArray([1e9, 2e9], dims="x"), cores=xr.DataArray([8.0, 16.0, 24.0], dims="x")))


def test_what_does_not_fit_is_refused_with_numbers():
    with pytest.raises(
        Infeasible,
        match=r"llama-3-70b does not fit.*needs at least .* GB .*weights .* GB.*has 67.65 GB \(68.72 GB less 1.07",
    ):
        step(tp=1, weight_bits=16)


def test_points_that_do_not_fit_are_marked(warm):
    marked = step(tp=axis("tp", [1.0, 8.0]))["feasible"]
    assert list(marked.values) == [False, True]


@pytest.mark.parametrize("fields", [{"tp": 16}, {"tp": 8, "pp": 2}, {"tp": 4, "dp": 4}])
def test_more_devices_than_the_cluster_has_are_refused(fields):
    with pytest.raises(SpecError, match=r"= 16 exceeds the 8 devices"):
        step(**fields)


def test_a_batch_is_never_faster_than_a_smaller_one(warm):
    sizes = np.arange(1.0, 65.0)
    for what in ("none", "fused"):
        times = step(what=what, batch=axis("batch", sizes), context=1024)["step_time"].values
        assert (np.diff(times) >= -1e-9 * times[1:]).all()  # rounding only


def of_every_device():
    """Return the machine of each shipped device, with one full node of it.

    Those with a second memory are left out: what lies there is not prefetched, and these tables do not know it.
    """
    for name in available("device"):
        if am.load("device", name).tier.holds:
            continue
        fields = machine(am.cluster(name))
        yield Machine(**{field: float(value) for field, value in fields.items()})


def over_batch_and_context(model, phase, tp):
    """Return the table of a model (column, row, workload) over batch and context."""
    batch, context = axis("batch", [1.0, 2.0, 8.0, 64.0]), axis("context", [512.0, 1024.0, 8192.0, 65536.0])
    found = operator_table(
        model, am.workload(phase=phase, batch=batch if phase == "decode" else batch[:2], context=context, tp=tp)
    )
    return table_array(found, axes_of([value for column in found.columns.values() for value in column], {}))


#: techniques that are tried: no rule of prefetch may make more of a resource slow a step
TRIED = [policy("none"), policy("fused"), *(policy("preserve", rule=rule) for rule in ("partial", "paper", "best-fit"))]


EVERY_MODEL = [pytest.param(name, (2, 4, 16), marks=pytest.mark.nightly) for name in available("model")]


@pytest.mark.parametrize(
    ("model", "degrees"),
    [*((name, (1, 8)) for name in ("deepseek-v3", "gpt-oss-120b", "llama-3-8b", "qwen2-72b")), *EVERY_MODEL],
)
@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_no_shipped_device_is_slower_with_more_of_anything(warm, model, degrees, phase):
    resources = [*BETTER, "clock"]
    machines = [better(each, name, f) for each in of_every_device() for name in resources for f in (0.8, 1.0, 1.25)]
    for tp in degrees:
        table = over_batch_and_context(model, phase, tp)
        without = None
        for what in TRIED:
            times = run_kernel(table, machines_of(*machines), what.numbers)[0][0]
            without = times if without is None else without
            assert (times <= without * (1.0 + 1e-9)).all(), what  # rounding only
            more = times.reshape(len(times), -1, len(resources), 3)
            # rounding, and plans that are faster by less than pays
            assert (more[..., 1:] <= more[..., :-1] * (1.0 + 1e-9)).all(), what
        longer = without.reshape(-1, 4, len(machines))
        assert (longer[:, 1:] >= longer[:, :-1] * (1.0 - 1e-9)).all()  # rounding only


def test_detail_does_not_change_the_totals(warm):
    rows = table_of([make_operator(kind=ALL_REDUCE, message_bytes=1e6, ranks=8), streamed(5e7, 1e6)])
    with_detail, _ = run_kernel(rows, machines_of(make_machine()), PRESERVE.numbers, detail=True)
    without, _ = run_kernel(rows, machines_of(make_machine()), PRESERVE.numbers)
    np.testing.assert_array_equal(with_detail, without)


TINY_KERNEL = """
from accelmodel.laws.jit import kernel
from accelmodel.laws.roofline import stream_time

@kernel(lambda size: 0.0)
def transfer(size):
    return stream_time(size, size, 0.5, 0.25)

value = transfer.compiled()(4.0)
hits = sum(transfer.compiled().stats.cache_hits.values())
"""

#: compiles, then reads what was compiled back from the cache
TWICE = "import importlib, tiny; print(tiny.value, tiny.hits); importlib.reload(tiny); print(tiny.value, tiny.hits)"


def test_a_cache_is_never_stale(tmp_path):
    package = tmp_path / "accelmodel"
    shutil.copytree(Path(am.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__", "_hwspecs"))
    (tmp_path / "tiny.py").write_text(TINY_KERNEL)
    inherited = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "PYTHONPATH")}
    environment = {**inherited, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}

    def run():
        out = subprocess.run(
            [sys.executable, "-c", TWICE], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return [float(word) for word in out.stdout.split()]

    assert run() == [4.0 / 2.0 + 4.0 / 4.0, 0.0, 3.0, 1.0]
    before = source_digest(package)
    law = package / "laws" / "roofline.py"
    source = law.read_text()
    assert source.count("return hot * l2_time + cold * hbm_time") == 1
    law.write_text(source.replace("hot * l2_time + cold", "hot * l2_time + 5.0 * cold"))
    assert source_digest(package) != before
    assert run() == [4.0 / 2.0 + 5.0 * 4.0 / 4.0, 0.0, 7.0, 1.0]


@pytest.mark.parametrize("name", available("device"))
def test_a_step_on_any_device_lies_between_its_rooflines(name):
    """Decode is no faster than reading the weights once, prefill no faster than the peak; neither is far slower."""
    device, small = am.load("device", name), am.load("model", "opt-1.3b")
    weights = 12.0 * small.layers * small.hidden**2
    # of chips whose SRAM is too small as many as hold the model: a step takes a micro-batch through all of them
    stages = {"pp": 24.0} if device.memory.capacity < 4e9 else {}
    if stages:
        device = am.override(device, {"l2.capacity": 1e9})
    fields = {"weight_bits": 16, "activation_bits": 16, "kv_bits": 16, **stages}
    chips = am.cluster(device, devices=24)
    decode, prefill = (
        float(am.time_step(small, chips, am.workload(phase=phase, **work, **fields))["step_time"])
        for phase, work in (("decode", {"batch": 1, "context": 512}), ("prefill", {"batch": 16, "context": 2048}))
    )
    # ten operators a layer; 6: matmuls reach half of the peak at least, and attention and norms stand beside them
    launches = 10.0 * small.layers * (device.compute.launch_time + device.attention.time / 10.0)
    launches += 4.0 * small.layers * device.matmul.fill_time
    if device.matmul.split_time >= 1e-3:  # a library without split-K waits for each slice of its four matmuls' depths
        slices = 7.0 * small.hidden / device.matmul.tile_k
        launches += small.layers * slices * device.matmul.slice_clocks / device.compute.clock
    read = 2.0 * weights / device.memory.bandwidth
    slowest = max(3.0 * read, 3.0 * weights / machine(chips)["hbm_rate"])
    keys = kv_bytes_per_token(small) / device.tier.bandwidth if device.tier.holds else 0.0
    assert read + 512.0 * keys < decode < slowest + 1024.0 * keys + 2.0 * launches
    sequences = 1.0 if stages else 16.0
    work = 2.0 * sequences * 2048.0 * weights / device.compute.peak_16bit
    assert work < prefill < 6.0 * work + 32.0 * 2048.0 * keys + launches
