"""Energy of steps: against a slow twin, conservation, limits, and that every device has its constants."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr

import accelmodel as am
from accelmodel.errors import Infeasible, SpecError
from accelmodel.inference.energy import NUMBERS, phy_joules, step_energy
from accelmodel.inference.operators import operator_table
from accelmodel.inference.step import prepare, totals
from accelmodel.laws import types
from accelmodel.specs import facts
from accelmodel.specs.find import available
from accelmodel.specs.given import cluster, override, workload
from accelmodel.specs.load import load

DECODE = {"phase": "decode", "batch": 16, "context": 4096}
STEPS = (
    ("opt-2.7b", "h100-sxm", 1, DECODE, "none"),
    ("opt-2.7b", "h100-sxm", 1, {"phase": "prefill", "batch": 1, "context": 1024}, "none"),
    ("llama-3-70b", "h100-sxm", 8, {**DECODE, "tp": 8}, "preserve"),
    ("llama-3-70b", "h100-sxm", 8, {**DECODE, "tp": 8}, "fused"),
    ("llama-3-70b", "h100-sxm", 16, {**DECODE, "tp": 8, "pp": 2, "weight_bits": 8, "activation_bits": 8}, "none"),
    ("gpt-oss-120b", "b200-sxm", 8, {**DECODE, "tp": 8}, "none"),
    ("deepseek-v3", "h200-sxm", 8, {**DECODE, "batch": 64, "dp": 8, "ep": 8, "weight_bits": 8, "kv_bits": 8}, "none"),
)


def twin(model, chip, work, found):
    """Return the energy of each operator by a loop over its rows, for a device without a limit [J]."""
    device = chip.device
    energy, tiles = device.energy, device.matmul
    table = operator_table(load("model", model), workload(**work), device)
    columns = {name: [float(value) for value in values] for name, values in table.columns.items()}
    joules = []
    for row in range(len(table.names)):
        of = {name: values[row] for name, values in columns.items()}
        count = float(found["count"][row])
        rows = min(tiles.tile_m, 16.0 * math.ceil(of["m"] / 16.0))
        moved = of["input_bytes"] + of["weight_bytes"] + of["output_bytes"]
        matrix = of["flops"]
        if of["kind"] == types.MATMUL:
            across = math.ceil(of["n"] / tiles.tile_n)
            down = math.ceil(of["m"] / rows)
            fetched = (of["input_bytes"] * across + of["weight_bytes"] * down) / tiles.multicast
            moved = max(fetched, of["input_bytes"] + of["weight_bytes"]) + of["output_bytes"]
        elif of["kind"] == types.ATTENTION and (down := math.ceil(of["m"] / rows)) > 1:
            keys = down * of["groups"] * of["n"] * of["k"] * of["bits"] / 8.0
            moved = max(keys, of["weight_bytes"]) + of["input_bytes"] + of["output_bytes"]
        elif of["kind"] == types.ELEMENTWISE:
            matrix = 0.0
        elif of["kind"] == types.ROW:
            matrix, moved = 0.0, moved + of["message_bytes"]
        elif of["kind"] >= types.COLLECTIVE:
            moved = 2.0 * of["message_bytes"]
        one = energy.flop_16bit if of["bits"] > 8 else energy.flop_8bit if of["bits"] > 4 else energy.flop_4bit
        own = count * (matrix * one + of["vector_ops"] * energy.vector + moved * energy.l2)
        far = (found["hbm_bytes"][row] + found["fetched_bytes"][row]) * energy.hbm
        phy = load("phy", chip.link.phy)
        far += found["link_bytes"][row] * phy.power / phy.bandwidth
        joules.append(own + far + energy.static * found["time"][row])
    return np.array(joules, dtype=float)


@pytest.mark.parametrize(("model", "device", "devices", "work", "technique"), STEPS[:4])
def test_operators_against_a_loop_over_them(model, device, devices, work, technique):
    chip = cluster(override(load("device", device), power=0.0), devices)
    found = am.time_step(model, chip, work, technique=technique)
    # 1e-12: order of the sums
    assert found.energy.values == pytest.approx(twin(model, chip, work, found.transpose("operator", ...)), rel=1e-12)


@pytest.mark.parametrize(("model", "device", "devices", "work", "technique"), STEPS)
def test_operators_add_up_to_the_step_and_totals_say_the_same(model, device, devices, work, technique):
    chip = cluster(device, devices)
    found = am.time_step(model, chip, work, technique=technique)
    assert float(found.energy.sum()) == pytest.approx(float(found.step_energy), rel=1e-9)
    inputs = prepare(load("model", model), chip, workload(**work))
    for time in (totals(inputs, technique), found):
        whole = step_energy(inputs, technique, time)
        for name, value in whole.items():
            assert float(value) == pytest.approx(float(found[name]), rel=1e-9), name
            assert value.attrs["units"] == found[name].attrs["units"]
    span = float(found.step_time * found.power_stretch)
    assert float(found.power) * span == pytest.approx(float(found.step_energy), rel=1e-12)
    assert float(found.step_energy_lower) < float(found.step_energy) < float(found.step_energy_upper)


def test_a_token_counts_all_devices_that_the_step_uses():
    found = am.time_step("llama-3-70b", cluster("h100-sxm", 32), {**DECODE, "tp": 8, "pp": 2})
    assert float(found.joules_per_token) == pytest.approx(16 * float(found.step_energy) / 16, rel=1e-12)
    drafted = am.time_step(
        "llama-3-70b", cluster("h100-sxm", 8), {**DECODE, "tp": 8, "speculative": 3, "acceptance": 1}
    )
    assert float(drafted.joules_per_token) == pytest.approx(8 * float(drafted.step_energy) / (16 * 4), rel=1e-12)
    prompt = am.time_step("llama-3-8b", "h100-sxm", {"phase": "prefill", "batch": 2, "context": 1024, "prefix": 512})
    assert float(prompt.joules_per_token) == pytest.approx(float(prompt.step_energy) / (2 * 512), rel=1e-12)


#: chips of some SRAM take many to hold a model
CHIPS = {"groq-lpu": 128}


@pytest.mark.parametrize("device", available("device"))
@pytest.mark.parametrize(
    ("model", "work"),
    [
        ("llama-3-8b", {"phase": "decode", "batch": [1, 32], "context": 512}),
        ("opt-2.7b", {"phase": "prefill", "batch": 1, "context": 2048}),
        ("llama-3-8b", {"phase": "decode", "batch": 256, "context": 64, "weight_bits": 8, "activation_bits": 8}),
    ],
)
def test_no_device_passes_its_power_limit(device, model, work):
    chips = CHIPS.get(device, 1)
    model = "llama-3-8b" if chips > 1 else model
    whole = cluster(device, chips)
    try:
        found = am.time_step(model, whole, {**work, "tp": chips})
    except Infeasible:
        pytest.skip(f"{model} does not fit {device}")
    limit = whole.device.power
    # 1e-9: the root of the clock
    assert limit == 0.0 or (found.power <= limit * (1.0 + 1e-9)).all()
    assert (found.power > whole.device.energy.static).all()
    # most of the limit is in the times already
    assert (found.power_stretch < 1.15).all()


@pytest.mark.parametrize("name", available("device"))
def test_every_device_has_all_constants(name):
    device = load("device", name)
    for field in NUMBERS:
        value = getattr(device.energy, field)
        if field == "link":  # its PHY says it
            assert phy_joules(load("link", device.link))[0] > 0.0
            continue
        assert value > 0.0 or (field == "hbm" and not device.hbm.capacity), field
        assert device.facts[f"energy.{field}"].range
    # narrower operations take no more
    assert device.energy.flop_4bit <= device.energy.flop_8bit <= device.energy.flop_16bit
    assert device.power == 0.0 or 0.1 < device.energy.static / device.power < 0.35


def test_every_architecture_has_a_section_of_energy():
    for name in available("architecture"):
        content, _ = facts.read_toml(facts.root() / "architectures" / f"{name}.toml")
        if name not in ("nvidia", "amd"):  # what generations of one maker have in common
            assert 1 <= len(content["energy"]) <= 8, name


def test_a_large_matmul_draws_no_more_than_what_its_maker_allows():
    # the constants are set so; at its measured rate it draws the limit and leaves a tenth at most
    for name, least in (("h100-sxm", 0.9), ("a100-sxm-80gb", 0.9), ("b200-sxm", 0.9), ("mi300x", 0.9), ("l40s", 0.9)):
        device = load("device", name)
        energy, tiles = device.energy, device.matmul
        time = float(am.matmul(name, m=8192, n=8192, k=8192).time)
        moved = 8192**2 * 2.0 * ((8192 / tiles.tile_m + 8192 / tiles.tile_n) / tiles.multicast + 1.0)
        work = 2.0 * 8192**3 * energy.flop_16bit + moved * energy.l2 + 3.0 * 2.0 * 8192**2 * energy.hbm
        assert least < (work / time + energy.static) / device.power < 1.02, name


def test_a_lower_limit_of_power_takes_longer_and_less_energy():
    limits = xr.DataArray([400.0, 500.0, 600.0, 700.0], dims="limit", coords={"limit": [400, 500, 600, 700]})
    chip = cluster(override(load("device", "h100-sxm"), power=limits))
    found = am.time_step("llama-3-8b", chip, {"phase": "prefill", "batch": 1, "context": 4096})
    assert found.power.values == pytest.approx([400.0, 500.0, 600.0, 700.0], rel=1e-9)
    assert (np.diff(found.power_stretch) < 0.0).all()
    assert float(found.power_stretch[-1]) < 1.06
    assert (np.diff(found.step_energy) > 0.0).all()
    # times are those at full clock, and the answer says so
    assert np.unique(found.step_time).size == 1
    assert "holds down its clock" in found.attrs["notes"]
    assert found.power.dims == ("limit",)


def test_more_work_takes_more_energy():
    work = {"phase": "decode", "batch": [1, 4, 16, 64], "context": [256, 1024, 4096]}
    found = am.time_step("llama-3-8b", "h200-sxm", work)
    assert (found.step_energy.diff("batch") > 0.0).all()
    assert (found.step_energy.diff("context") > 0.0).all()
    # and more tokens at once less for each
    assert (found.joules_per_token.diff("batch") < 0.0).all()


def test_axes_that_only_energy_has_are_axes_of_the_answer():
    costs = xr.DataArray([20e-12, 110e-12], dims="memory")
    chip = cluster(override(load("device", "h100-sxm"), {"energy.hbm": costs, "power": 0.0}))
    found = am.time_step("llama-3-8b", chip, DECODE)
    moved = float(found.hbm_bytes.sum("operator")[0])
    assert found.step_time.dims == ("memory",)
    assert float(found.step_energy[1] - found.step_energy[0]) == pytest.approx(90e-12 * moved, rel=1e-9)


def test_designs_and_workloads_point_by_point():
    sizes = xr.DataArray([8e6, 104e6], dims="l2", coords={"l2": [8e6, 104e6]})
    tiles = xr.DataArray([64.0, 128.0, 256.0], dims="tile")
    base = load("device", "ascend-910b2")
    batches = xr.DataArray([1.0, 64.0], dims="batch", coords={"batch": [1, 64]})
    model = load("model", "llama-3-70b")
    work = {"phase": "decode", "context": 8192.0, "tp": 8.0, "weight_bits": 8, "activation_bits": 8, "kv_bits": 8}

    def asked(device, batch):
        inputs = prepare(model, cluster(device, 8), workload(**work, batch=batch))
        return step_energy(inputs, "preserve", totals(inputs, "preserve"))

    whole = asked(override(base, {"l2.capacity": sizes, "matmul.tile_m": tiles}), batches)
    assert dict(whole.sizes) == {"batch": 2, "l2": 2, "tile": 3}
    for at in ({"batch": 0, "l2": 1, "tile": 0}, {"batch": 1, "l2": 0, "tile": 2}):
        one = {"l2.capacity": float(sizes[at["l2"]]), "matmul.tile_m": float(tiles[at["tile"]])}
        alone = asked(override(base, one), float(batches[at["batch"]]))
        for name in whole:
            assert float(whole[name].isel(at)) == pytest.approx(float(alone[name]), rel=1e-12), name


def test_prefetched_bytes_come_from_memory_all_the_same():
    work = {"phase": "decode", "batch": 4, "context": 16384, "tp": 8, "weight_bits": 8, "kv_bits": 8}
    plain, ahead = (
        am.time_step("llama-3-70b", cluster("ascend-910b2", 8), work, technique=t) for t in ("none", "preserve")
    )
    # faster by less time at rest, and no byte less: the same work, but for what was pushed out of L2 and read again
    moved = [float((found.hbm_bytes + found.fetched_bytes).sum()) for found in (plain, ahead)]
    assert moved[1] >= moved[0] * (1.0 - 1e-9)
    device = load("device", "ascend-910b2")
    rest = device.energy.static * float(plain.step_time - ahead.step_time)
    more = (moved[1] - moved[0]) * device.energy.hbm
    assert float(plain.step_energy - ahead.step_energy) == pytest.approx(rest - more, rel=1e-6)


def test_what_a_memory_computes_itself_is_not_the_devices():
    near, far = (cluster(override(load("device", "hbm-pim-a100"), power=0.0)) for _ in range(2))
    without = override(near.device, {"tier.compute": 0.0})
    own = am.time_step("opt-2.7b", near, DECODE)
    read = am.time_step("opt-2.7b", cluster(without), DECODE)
    energy = dict(zip(own.operator.values.tolist(), own.energy.values.tolist(), strict=True))["attention"]
    there = dict(zip(read.operator.values.tolist(), read.energy.values.tolist(), strict=True))["attention"]
    assert energy < 0.8 * there
    assert far.device.tier.compute > 0.0


def test_a_chip_without_memory_has_no_bytes_of_it():
    chip = cluster(override(load("device", "groq-lpu"), {"energy.hbm": 1e-9}), 128)
    plain = cluster("groq-lpu", 128)
    found, same = (am.time_step("llama-3-8b", each, {**DECODE, "tp": 128}) for each in (chip, plain))
    assert float(found.step_energy) == float(same.step_energy)


def test_a_limit_below_what_is_drawn_at_rest_is_refused():
    chip = cluster(override(load("device", "h100-sxm"), power=150.0))
    with pytest.raises(SpecError, match=r"power 150 W is not above energy.static 154 W.*raise power or lower"):
        am.time_step("llama-3-8b", chip, DECODE)


def test_what_is_not_known_is_told():
    chip = cluster(override(load("device", "h100-sxm"), {"energy.static": 0.0, "energy.l2": 0.0}))
    found = am.time_step("llama-3-8b", chip, DECODE)
    assert "energy.l2, energy.static of h100-sxm are not known" in found.attrs["notes"]
    assert float(found.step_energy) < float(am.time_step("llama-3-8b", "h100-sxm", DECODE).step_energy)
    assert "not known" not in am.time_step("llama-3-8b", cluster("groq-lpu", 128), {**DECODE, "tp": 128}).attrs["notes"]


def test_units_of_constants_are_read():
    chip = override(load("device", "h100-sxm"), {"energy.hbm": "4 pJ/bit", "energy.flop_16bit": "0.5pJ/FLOP"})
    assert chip.energy.hbm == pytest.approx(32e-12, rel=1e-12)
    assert chip.energy.flop_16bit == pytest.approx(0.5e-12, rel=1e-12)
    with pytest.raises(SpecError, match="energy.hbm.*has no unit: write 32pJ/B"):
        override(chip, {"energy.hbm": "32"})


def test_a_byte_of_a_link_takes_what_both_ends_of_its_phy_do():
    # NVLink 4: 2 W with both directions busy at 25 GB/s each; of the range 0.5 to 4 W
    assert phy_joules(load("link", "nvlink4-switch")) == pytest.approx((80e-12, 20e-12, 160e-12), rel=1e-12)
    work = {**DECODE, "tp": 8}
    by_link = {
        name: am.time_step("llama-3-70b", cluster(override(load("device", "h100-sxm"), power=0.0), 8, link=name), work)
        for name in ("nvlink4-switch", "pcie5-x16")
    }
    for name, found in by_link.items():
        taken = phy_joules(load("link", name))[0] * float(found.link_bytes.sum())
        chip = override(load("device", "h100-sxm"), {"power": 0.0, "energy.link": 1e-15})
        without = am.time_step("llama-3-70b", cluster(chip, 8, link=name), work)
        assert float(found.step_energy - without.step_energy) == pytest.approx(taken, rel=1e-4)


def test_a_byte_of_memory_takes_what_its_generation_does_and_its_way():
    # 20 W at 460.8 GB/s, and 67 pJ on the die
    assert load("device", "a100-sxm-80gb").energy.hbm == pytest.approx(20 / 460.8e9 + 67e-12, rel=1e-12)
    # as fitted to the power of an H100, whose HBM3 takes 30 W at 819.2 GB/s
    assert load("device", "h100-sxm").energy.hbm == pytest.approx(112e-12, rel=1e-3)
    h200 = load("device", "h200-sxm").energy.hbm
    assert h200 - load("device", "h100-sxm").energy.hbm == pytest.approx(38 / 1228.8e9 - 30 / 819.2e9, rel=1e-9)
    # what a file states stays
    assert load("device", "h20").energy.hbm == pytest.approx(65e-12, rel=1e-12)
