"""Typing errors in a device are noticed, and what is right is left alone."""

from __future__ import annotations

import pytest

import accelmodel as am
from accelmodel.specs.load import available
from accelmodel.specs.plausibility import CHECKS, doubts

PROCESS = am.load("process", "n4")


@pytest.mark.parametrize("name", available("device"))
def test_shipped_devices_raise_no_doubt(name):
    device = am.load("device", name)
    assert doubts(device, am.load("process", device.process)) == ()


@pytest.mark.parametrize(
    ("name", "peak", "says"),
    [
        # with sparsity, twice the dense peak
        ("h100-sxm", 1979e12, "8193 FLOP per core and clock, where Hopper has 4096"),
        ("a40", 299.4e12, "where Ampere has 1024"),
        ("l40s", 733e12, "without sparsity"),
        # the 16-bit sums of a GeForce's data sheet
        ("rtx-4090", 330.3e12, "where Ada has 512; give dense peaks with 32-bit sums"),
        ("rtx-3090", 142.4e12, "where Ampere has 512"),
    ],
)
def test_a_peak_that_is_stated_double_is_noticed(name, peak, says):
    device = am.load("device", name)
    assert CHECKS["peak against its generation"](device, PROCESS) == ""
    double = am.override(device, {"compute.peak_16bit": peak})
    assert says in CHECKS["peak against its generation"](double, PROCESS)


@pytest.mark.parametrize(
    ("check", "changes", "says"),
    [
        # 132 SMs x 4096 FLOP x 1.83 GHz is 989 TFLOP/s; with sparsity counted it is twice that and still a power of two
        ("peak against cores and clock", {"compute.peak_16bit": 700e12}, "2898 FLOP per core and clock"),
        ("peak against cores and clock", {"compute.cores": 100.0}, "no power of two"),
        ("clock", {"compute.clock": 1.83e6}, "outside 0.2 to 5 GHz"),
        # one core of 132: a slice of 128 x 128 x 64 takes its peak 2 x 2^20 / 540,000 = 3.9 clocks
        ("steps of a core against its peak", {"compute.cores": 1.0}, "which its peak does in 3.88"),
        ("peaks at fewer bits", {"compute.peak_8bit_float": 198e12}, "peak_8bit_float 198 TFLOP/s lies outside"),
        ("vector rate against the peak", {"compute.vector_rate": 6.7e15}, "vector_rate 6.7 PFLOP/s is above"),
        ("die area against the reticle", {"die_area": 1628e-6}, "1628 mm² (1628 mm² / 1 dies) is larger"),
        ("stacks against memory", {"hbm.capacity": 800e9}, "a stack of HBM with 160 GB"),
        ("stacks against memory", {"hbm.bandwidth": 33.5e12}, "a stack of HBM with 6.7 TB/s"),
        ("cache against memory", {"l2.capacity": 100e9}, "l2.capacity 100 GB is above"),
        ("cache against memory", {"l2.bandwidth": 1e12}, "l2.bandwidth 1 TB/s is below"),
    ],
)
def test_a_typing_error_is_noticed(check, changes, says):
    device = am.override(am.load("device", "h100-sxm"), changes)
    assert says in CHECKS[check](device, PROCESS)
    assert any(says in note for note in doubts(device, PROCESS))
    assert CHECKS[check](am.load("device", "h100-sxm"), PROCESS) == ""


def test_two_dies_of_1628_mm2_fit_the_reticle():
    device = am.override(am.load("device", "h100-sxm"), {"die_area": 1628e-6, "dies": 2})
    assert CHECKS["die area against the reticle"](device, PROCESS) == ""


def test_a_peak_with_a_range_that_holds_a_power_of_two_is_left_alone():
    device = am.load("device", "ascend-910b4")
    width = device.compute.peak_16bit / device.compute.cores / device.compute.clock
    assert abs(width / 8192 - 1) > 0.1  # the peak as stated is no power of two; its range reaches one
    assert CHECKS["peak against cores and clock"](device, PROCESS) == ""


def test_doubts_reach_the_answer_and_refuse_nothing(tmp_path):
    path = tmp_path / "odd.toml"
    default = '[default]\nkind = "paper"\nsource = "s"\nlocator = "x"\n[sources.s]\ntitle = "x"\n'
    wrong = 'die_area = { value = 8140, unit = "mm2" }\n'
    path.write_text(f'{default}[device]\nlike = "h100-sxm"\n{wrong}', encoding="utf-8")
    chip = am.load("device", str(path))
    step = am.time_step(
        am.load("model", "opt-2.7b"), am.cluster(chip, 1), am.workload(phase="decode", batch=1, context=64)
    )
    assert "odd: a die of 8140 mm²" in step.attrs["notes"]


def test_a_process_that_is_not_known_is_a_note(tmp_path):
    path = tmp_path / "odd.toml"
    default = '[default]\nkind = "paper"\nsource = "s"\nlocator = "x"\n[sources.s]\ntitle = "x"\n'
    path.write_text(f'{default}[device]\nlike = "h100-sxm"\nprocess = "n44"\n', encoding="utf-8")
    chip = am.load("device", str(path))
    assert chip.process == "n44"
    assert any("not held against a reticle: unknown process 'n44', did you mean 'n4'?" in note for note in chip.notes)


def test_override_renews_the_notes(tmp_path):
    path = tmp_path / "odd.toml"
    default = '[default]\nkind = "paper"\nsource = "s"\nlocator = "x"\n[sources.s]\ntitle = "x"\n'
    wrong = 'die_area = { value = 8140, unit = "mm2" }\nprice = { value = 1, unit = "USD" }\n'
    path.write_text(f'{default}[device]\nlike = "h100-sxm"\narchitecture = "ampere"\n{wrong}', encoding="utf-8")
    chip = am.load("device", str(path))
    assert any("larger than the reticle" in note for note in chip.notes)
    mended = am.override(chip, die_area="814mm2")
    assert not any("larger than the reticle" in note for note in mended.notes)
    assert any("disagree" in note for note in mended.notes)
    broken = am.override(mended, {"compute.clock": 1e6})
    assert any(note.startswith("clock ") and "lies outside" in note for note in broken.notes)
    assert not any("compute.clock" in note and "not measured on this chip" in note for note in broken.notes)
    assert any("compute.clock" in note and "not measured on this chip" in note for note in chip.notes)
    assert am.override(broken, {"compute.clock": chip.compute.clock, "die_area": "8140mm2"}).notes[-1] == chip.notes[-1]


def test_override_of_a_shipped_device_says_only_what_looks_wrong():
    chip = am.load("device", "h200-sxm")
    assert am.override(chip, {"l2.ways": 8}).notes == ()
    assert [note[:5] for note in am.override(chip, {"compute.clock": 1e6}).notes] == ["peak_", "clock", "a cor"]
    assert am.override(chip, {"compute.clock": [1e6, 1e9]}).notes == ()
