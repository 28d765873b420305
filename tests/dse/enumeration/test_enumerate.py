"""Studies and the exhaustive search: files refused by field, and every answer against a slow loop."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr

import accelmodel as am
from accelmodel.costs.parts import Parts, closed_anew, parts_of
from accelmodel.dse.enumeration import enumerate as enumeration
from accelmodel.dse.evaluation.chip import design, parts_of_study
from accelmodel.dse.evaluation.evaluate import evaluate, throughput
from accelmodel.dse.posterior import sensitivity
from accelmodel.dse.studies.objectives import regret
from accelmodel.dse.studies.space import points, size
from accelmodel.dse.studies.study import Study, load_study
from accelmodel.errors import Infeasible, SpecError
from accelmodel.inference import request
from accelmodel.inference.intervals import KINDS, uncalibrated
from accelmodel.inference.memory import memory_per_device, usable_memory
from accelmodel.inference.policies import policy
from accelmodel.specs import facts

SHIPPED = (facts.root() / "studies" / "preserve-l2.toml").read_text(encoding="utf-8")
#: twelve chips, one model, decode: small enough to loop over
TINY = """
[study]
title = "tiny"
device = "ascend-910b2"
bill = "ascend-910b"
[space]
l2_capacity = { values = ["8MB", "104MB", "192MB"] }
hbm_stacks = { values = ["2", "4"] }
cores = { values = ["16", "24"] }
[workload]
models = ["llama-3-8b"]
batch = [4, 16]
context = [4096]
phase = "decode"
weight_bits = 8
activation_bits = 8
kv_bits = 8
[software]
tp = [4, 8]
threshold = [0.5, 1.0]
rule = ["paper", "partial"]
[constraints]
die_area = "640mm2"
"""


def study_of(folder, text=TINY, *changes) -> Study:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "tiny.toml"
    path.write_text(text, encoding="utf-8")
    return load_study(str(path))


@pytest.fixture
def tiny(tmp_path):
    return study_of(tmp_path)


@pytest.fixture(scope="module")
def parts() -> Parts:
    return parts_of_study(load_study())


def test_the_shipped_study():
    study = load_study()
    assert study.name == "preserve-l2"
    assert size(study) == 32 * 4 * 5 * 5
    assert study.axes()["l2_capacity"].grid[[0, 12, -1]].tolist() == [8e6, 104e6, 256e6]
    assert load_study("preserve-l2", "tokens_per_dollar").headline == "tokens_per_dollar"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('title = "tiny"', 'title = "tiny"\ntrails = 8', "study: unknown key 'trails'"),
        ("[constraints]", "[constraints]\nvolume = '1mm2'", "constraints: unknown key 'volume'"),
        ("[space]", '[space]\nl3_capacity = { values = ["8MB"] }', "l2.capacity"),
        ('"104MB"', '"104GB/s"', "space.l2_capacity: '104GB/s' is in B/s, expected B"),
        ('"104MB"', '"104 parsecs"', "space.l2_capacity: unknown unit 'parsecs'"),
        ('"104MB"', '"0MB"', "space.l2_capacity"),
        ('"104MB"', '"-8MB"', "space.l2_capacity"),
        ('"104MB"', '"nan"', "space.l2_capacity"),
        ('"104MB"', '"8000kB"', "space.l2_capacity: needs at least one value, all positive and different"),
        ('values = ["8MB", "104MB", "192MB"]', "values = []", "space.l2_capacity"),
        ('values = ["8MB", "104MB", "192MB"]', "values = [8e6]", "space.l2_capacity.values.0"),
        ('values = ["8MB", "104MB", "192MB"]', 'from = "64MB", to = "8MB", step = "8MB"', "not an ascending range"),
        ('values = ["8MB", "104MB", "192MB"]', 'from = "8MB", to = "64MB", step = "-8MB"', "not an ascending range"),
        ('values = ["8MB", "104MB", "192MB"]', 'from = "8MB", to = "64MB", step = "0MB"', "not an ascending range"),
        ('values = ["8MB", "104MB", "192MB"]', 'from = "8MB", to = "64MB", step = "1B"', "not an ascending range"),
        ('values = ["8MB", "104MB", "192MB"]', 'from = "8MB", step = "64MB"', "from, to and step"),
        ('values = ["8MB", "104MB", "192MB"]', 'values = ["8MB"], step = "1MB"', "either values"),
        ('values = ["16", "24"]', 'values = ["16.5"]', "space.cores: counts things"),
        ('device = "ascend-910b2"', 'device = "ascend-910z"', "study.device: unknown device"),
        ('bill = "ascend-910b"', 'bill = "ascend-910"', "did you mean 'ascend-910b'"),
        ('models = ["llama-3-8b"]', 'models = ["llama-3-9b"]', "workload.models: unknown model 'llama-3-9b'"),
        ('models = ["llama-3-8b"]', "models = []", "workload.models"),
        ('models = ["llama-3-8b"]\n', "", "workload.models"),
        ('models = ["llama-3-8b"]', 'models = ["llama-3-8b", "llama-3-8b"]', "workload.models: "),
        ("batch = [4, 16]", "batch = []", "workload.batch"),
        ("batch = [4, 16]", "batch = [0]", "workload.batch.0"),
        ("batch = [4, 16]", "batch = [4, 4]", "workload.batch: [4, 4] holds a value twice"),
        ("batch = [4, 16]", "batch = [4]\nbatch = [16]", "not valid TOML"),
        ('phase = "decode"', 'phase = "dream"', "unknown phase 'dream'"),
        ("weight_bits = 8", "weight_bits = -8", "workload.weight_bits"),
        ("tp = [4, 8]", 'techniques = ["none", "presrve"]\ntp = [4]', "technique 'presrve', did you mean 'preserve'"),
        ("tp = [4, 8]", 'techniques = ["preserve"]\ntp = [4]', "software.techniques: add 'none', the baseline"),
        ("tp = [4, 8]", 'techniques = ["none", "none"]\ntp = [4]', "software.techniques: ['none', 'none'] holds"),
        ("tp = [4, 8]", "techniques = []\ntp = [4]", "software.techniques"),
        ("tp = [4, 8]", "tp = []", "software.tp"),
        ("tp = [4, 8]", "tp = [8, 8]", "software.tp: [8, 8] holds a value twice"),
        ("threshold = [0.5, 1.0]", "threshold = [nan]", "software.threshold.0"),
        ("threshold = [0.5, 1.0]", "threshold = [99.0]", "software.threshold.0"),
        ('"partial"', '"papre"', "unknown admission rule 'papre'"),
        ('"640mm2"', '"640mm"', "constraints.die_area"),
        ('"640mm2"', '"-640mm2"', "constraints.die_area"),
        ('title = "tiny"', 'title = "tiny"\nobjective = "fun"', "unknown objective 'fun'"),
        ('title = "tiny"', 'title = "tiny"\ntrials = 0', "study.trials"),
        ("[software]", "[softwear]", "softwear"),
    ],
)
def test_a_wrong_study_is_refused_naming_file_and_field(tmp_path, old, new, says):
    with pytest.raises(SpecError) as caught:
        study_of(tmp_path, TINY, (old, new))
    assert str(caught.value).startswith(f"{tmp_path / 'tiny.toml'}:")
    assert says in str(caught.value)


def test_a_study_without_axes_is_refused(tmp_path):
    text = TINY[: TINY.index("l2_capacity")] + TINY[TINY.index("[workload]") :]
    with pytest.raises(SpecError, match="space: needs at least one axis"):
        study_of(tmp_path, text)


def test_a_study_that_is_not_there():
    with pytest.raises(SpecError, match="did you mean 'preserve-l2'"):
        load_study("preserve-l3")
    with pytest.raises(SpecError, match="cannot be read"):
        load_study("./nowhere/study.toml")
    with pytest.raises(SpecError, match="unknown objective 'fun'"):
        load_study("preserve-l2", "fun")


def test_points_visit_every_chip_once(tiny):
    total = size(tiny)
    chips = points(tiny, 0, total)
    seen = set(zip(*(values.values.tolist() for values in chips.values()), strict=True))
    assert len(seen) == total == 12


def slow_throughput(study, cluster, technique):
    """Return tokens per second and device by scalar calls alone: best tp and policy for each point, then the mean."""
    serving, logs = study.workload, []
    for name in serving.models:
        model = am.load("model", name)
        for batch in serving.batch:
            for context in serving.context:
                rates = [0.0]
                for tp in study.software.tp:
                    bits = {"weight_bits": 8, "activation_bits": 8, "kv_bits": 8}
                    work = am.workload(phase="decode", batch=batch, context=context, tp=tp, **bits)
                    if sum(memory_per_device(model, work).values()) > usable_memory(cluster.device):
                        continue
                    choices = [policy("none")]
                    if technique == "preserve":
                        choices += [
                            policy("preserve", threshold=threshold, rule=rule)
                            for threshold in study.software.threshold
                            for rule in study.software.rule
                        ]
                    for choice in choices:
                        rates.append(batch / am.time_step(model, cluster, work, choice).step_time.item() / tp)
                if max(rates) == 0.0:
                    return 0.0
                logs.append(np.log(max(rates)))
    return float(np.exp(np.mean(logs)))


def brute_force(study, parts):
    """Every chip by scalar calls: axes, throughput of each technique, figures, whether it is allowed."""
    rows, total = [], size(study)
    for i in range(total):
        chip = {name: float(values[0]) for name, values in points(study, i, i + 1).items()}
        cluster, figures = design(parts, **chip)
        throughput = {name: slow_throughput(study, cluster, name) for name in study.techniques}
        allowed = figures["die_area"] <= 640e-6 and min(throughput.values()) > 0.0
        rows.append({**chip, **figures, "rate": throughput, "allowed": allowed})
    return rows


def test_enumeration_against_a_loop_of_scalar_calls(warm, tiny, parts):
    rows = brute_force(tiny, parts)
    found = enumeration.enumerate_space(tiny, parts)
    assert found.evaluated == len(rows)
    assert found.feasible == sum(row["allowed"] for row in rows)
    assert 0 < found.feasible < len(rows)
    allowed = [row for row in rows if row["allowed"]]
    for technique in tiny.techniques:
        best = max(allowed, key=lambda row: row["rate"][technique] / row["die_area"])
        got = found.best[technique]
        for name in (*tiny.axes(), "die_area", "power", "price"):
            assert got[name] == pytest.approx(best[name]), name
        assert got["throughput"] == pytest.approx(best["rate"][technique], rel=1e-9)
        assert got["throughput_per_area"] == pytest.approx(best["rate"][technique] / best["die_area"], rel=1e-9)
        assert got["tokens_per_dollar"] == pytest.approx(best["rate"][technique] / best["dollars_per_s"], rel=1e-9)
        sizes, curve = found.curve[technique]
        for capacity, value in zip(sizes, curve, strict=True):
            at = [row["rate"][technique] / row["die_area"] for row in allowed if row["l2_capacity"] == capacity]
            assert value == pytest.approx(max(at, default=0.0), rel=1e-9)
        front = {(row["throughput"], row["die_area"]) for row in found.front[technique]}
        expected = [
            (row["rate"][technique], row["die_area"])
            for row in allowed
            if not any(
                other["rate"][technique] >= row["rate"][technique]
                and other["die_area"] <= row["die_area"]
                and (other["rate"][technique], -other["die_area"]) != (row["rate"][technique], -row["die_area"])
                for other in allowed
            )
        ]
        np.testing.assert_allclose(sorted(front), sorted(set(expected)), rtol=1e-9)


def test_prefetch_never_does_worse_since_software_may_leave_it_off(warm, tiny, parts):
    result = evaluate(tiny, parts, **points(tiny, 0, size(tiny)))
    assert (result.throughput.sel(technique="preserve") >= result.throughput.sel(technique="none")).all()


def told(found):
    """Everything of an enumeration to the last bit; NaN is equal to itself."""
    return repr(dataclasses.replace(found, kept=""))


@pytest.mark.parametrize("block", [1, 5, 7])
def test_blocks_do_not_matter(warm, tiny, parts, block):
    steps = []
    cut = enumeration.enumerate_space(tiny, parts, steps.append, block=block)
    assert sum(steps) == 12
    assert max(steps) <= block
    assert told(cut) == told(enumeration.enumerate_space(tiny, parts))


@pytest.mark.parametrize("objective", ["throughput_per_area", "tokens_per_dollar"])
def test_the_best_maximises_the_objective_asked_for(warm, tiny, parts, objective):
    study = tiny.model_copy(update={"study": tiny.study.model_copy(update={"objective": objective})})
    result = evaluate(study, parts, **points(study, 0, 12))
    best = enumeration.enumerate_space(study, parts).best
    for technique in tiny.techniques:
        score = result[objective].sel(technique=technique).where(result.feasible)
        assert best[technique][objective] == float(score.max())


def test_software_choices_are_the_best_of_the_single_choices(warm, tmp_path, parts):
    """Throughput with a list of choices is the best, point by point, of the studies that have one choice each."""
    both = study_of(tmp_path, TINY, ("batch = [4, 16]", "batch = [16]"))
    chips = points(both, 0, 12)
    best = evaluate(both, parts, **chips).throughput.sel(technique="preserve")
    single = []
    for tp in (4, 8):
        for threshold in (0.5, 1.0):
            for rule in ("paper", "partial"):
                software = both.software.model_copy(update={"tp": [tp], "threshold": [threshold], "rule": [rule]})
                study = both.model_copy(update={"software": software})
                single.append(evaluate(study, parts, **chips).throughput.sel(technique="preserve"))
    stacked = xr.concat(single, "choice")
    np.testing.assert_allclose(best, stacked.max("choice"), rtol=1e-12)
    assert len(set(stacked.argmax("choice").values.tolist())) > 1, "one choice is always best: the test shows nothing"


def test_constraints_bind_and_are_kept(warm, tmp_path, parts):
    for line, figure, limit in (
        ('die_area = "600mm2"', "die_area", 600e-6),
        ('power = "380W"', "power", 380.0),
        ('price = "2600USD"', "price", 2600.0),
    ):
        study = study_of(tmp_path, TINY, ('die_area = "640mm2"', line))
        result = evaluate(study, parts, **points(study, 0, 12))
        assert (result.feasible == (result[figure] <= limit)).all(), figure
        assert 0 < int(result.feasible.any("technique").sum()) < 12, figure
        found = enumeration.enumerate_space(study, parts)
        rows = [*found.best.values(), *(row for front in found.front.values() for row in front)]
        assert all(row[figure] <= limit for row in rows), figure


@pytest.mark.parametrize("change", [('"640mm2"', '"10mm2"'), ('"llama-3-8b"', '"deepseek-v3"')])
def test_no_feasible_chip_is_told_with_a_remedy(warm, tmp_path, parts, change):
    study = study_of(tmp_path, TINY, change)
    with pytest.raises(Infeasible, match=r"none of its 12 chips .* excludes all"):
        enumeration.enumerate_space(study, parts)


def test_units_of_an_evaluation(warm, tiny, parts):
    result = evaluate(tiny, parts, **points(tiny, 0, 2))
    units = {name: variable.attrs["units"] for name, variable in result.data_vars.items()}
    assert units["throughput"] == "token/s"
    assert units["throughput_per_area"] == "token/(s m2)"
    assert units["tokens_per_dollar"] == "token/USD"
    assert units["die_area"] == units["area_l2"] == "m2"
    assert units["power"] == "W"
    assert units["price"] == units["price_die"] == "USD"
    assert units["dollars_per_s"] == "USD/s"


@pytest.mark.parametrize("phase", request.PHASES)
def test_each_phase_counts_its_own_tokens(warm, tmp_path, parts, phase):
    study = study_of(
        tmp_path, TINY, ('phase = "decode"', f'phase = "{phase}"'), ("batch = [4, 16]", "batch = [4]"),
        ("tp = [4, 8]", "tp = [8]"),
    )  # fmt: skip
    cluster = am.cluster(parts.device)
    got = float(throughput(study, cluster)["none"])
    one = am.speedups(
        [am.load("model", "llama-3-8b")], cluster, [8], [4], [4096], phase=phase,
        precision={"weight_bits": 8.0, "activation_bits": 8.0, "kv_bits": 8.0},
    )  # fmt: skip
    tokens = {"decode": 1, "prefill": 4096, "end-to-end": 4096 - 2731}[phase]
    assert got == pytest.approx(4 * tokens / one.baseline.item() / 8, rel=1e-12)


def test_sensitivity_against_direct_evaluation(warm, tmp_path, parts):
    study = study_of(tmp_path, TINY, ("batch = [4, 16]", "batch = [4]"), ("tp = [4, 8]", "tp = [8]"))
    chip = {"l2_capacity": 104e6, "hbm_stacks": 4.0, "cores": 24.0}
    rows = sensitivity.sensitivity(study, parts, chip)
    uncertain = sensitivity.uncertain(parts)
    assert len(rows) == 1 + 2 * len(uncertain) + 2 * len(KINDS)
    keys = {(row["constant"], row["end"]): row for row in rows}
    assert len(keys) == len(rows)
    sizes = study.axes()["l2_capacity"].grid
    cases = [("all", "as given")] + [
        (name, end) for name in ("link.start_up", "process.sram_area") for end in ("low", "high")
    ]
    for case in cases:
        row, moved = keys[case], parts
        if case[0] != "all":
            part, field = case[0].split(".")
            fact = getattr(parts, part).facts[field]
            assert row["value"] == fact.range[case[1] == "high"]
            assert (row["unit"], row["kind"]) == (fact.unit, fact.kind)
            moved = dataclasses.replace(parts, **{part: am.override(getattr(parts, part), **{field: row["value"]})})
            moved = closed_anew(moved)
        axes = {**chip, "l2_capacity": xr.DataArray(sizes, dims="l2")}
        result = evaluate(study, moved, **axes)
        score = result[study.headline].where(result.feasible, 0.0)
        none, ahead = (score.sel(technique=name).values for name in study.techniques)
        assert row["l2_none"] == sizes[none.argmax()], case
        assert row["l2_preserve"] == sizes[ahead.argmax()], case
        assert row["gain"] == pytest.approx(ahead.max() / none.max(), rel=1e-9), case


def test_regret():
    assert regret("throughput", 9.0, 10.0) == pytest.approx(0.1)
    assert regret("throughput", 10.0, 10.0) == 0.0
    assert regret("throughput", 10.0 + 1e-12, 10.0) == 0.0


def test_longer_times_of_all_kinds_divide_the_throughput(warm, tiny, parts):
    study, chip = tiny, am.cluster(parts.device, 8, link=parts.link)
    plain = throughput(study, chip)
    twice = throughput(study, chip, dict.fromkeys(KINDS, 2.0))
    # without prefetch a step is the sum of its operators: all twice as long, half the tokens
    assert float(twice.none) == pytest.approx(float(plain.none) / 2.0, rel=1e-9)  # arithmetic alone
    # with it the lane has twice the time to fetch, so that it loses less
    assert float(plain.preserve) / 2.0 < float(twice.preserve) < float(plain.preserve)


def test_errors_of_kinds_stand_behind_the_constants(warm, tiny, parts):
    chip = {"l2_capacity": 104e6, "hbm_stacks": 4.0, "cores": 24.0}
    rows = [row for row in sensitivity.sensitivity(tiny, parts, chip) if row["kind"] == "residual"]
    assert [row["constant"] for row in rows] == [f"time.{kind}" for kind in KINDS for _ in range(2)]
    assert [row["end"] for row in rows] == ["low", "high"] * len(KINDS)
    for row, known in zip(rows, np.array([uncalibrated("Huawei")[kind] for kind in KINDS]).ravel(), strict=True):
        assert row["value"] == known  # nobody measured an Ascend 910B for us
        assert row["gain"] > 1.0
    gains = {row["gain"] for row in rows}
    # each kind and end matters, and none as another does, but those of experts, which the study's models have none of
    assert len(gains) == len(rows) - 1


def test_a_range_of_joined_devices_or_of_stacks_is_one_constant_among_others(warm, tmp_path):
    """PCIe joins 2 to 16, and nobody says whether that memory has stacks."""
    device = am.load("device", "l4")
    unsure = dataclasses.replace(device.facts["hbm.stacks"], range=(0.0, 8.0), kind="assumed")
    device = dataclasses.replace(device, facts={**device.facts, "hbm.stacks": unsure})
    base = parts_of("l4")
    study = study_of(
        tmp_path, TINY, ('hbm_stacks = { values = ["2", "4"] }\n', ""), ("batch = [4, 16]", "batch = [4]"),
        ("tp = [4, 8]", "tp = [8]"),
    )  # fmt: skip
    rows = sensitivity.sensitivity(
        study, dataclasses.replace(base, device=device), {"l2_capacity": 104e6, "cores": 24.0}
    )
    by_name = {(row["constant"], row["end"]): row["gain"] for row in rows}
    assert base.link.facts["devices"].range[0] < base.link.devices
    assert by_name["device.hbm_stacks", "high"] == pytest.approx(by_name["all", "as given"], rel=1e-12)  # rounding only
    assert all(np.isfinite(gain) for gain in by_name.values())


def test_chips_of_sram_alone_are_found_along_their_l2(warm, tmp_path):
    study = study_of(
        tmp_path, TINY, ('hbm_stacks = { values = ["2", "4"] }\n', ""),
        ('"8MB", "104MB", "192MB"', '"1MB", "4GB", "8GB"'), ('"640mm2"', '"64000mm2"'),
    )  # fmt: skip
    found = enumeration.enumerate_space(study, parts_of("wse-3"))
    assert (found.evaluated, found.feasible) == (6, 4)
    assert all(best["l2_capacity"] >= 4e9 for best in found.best.values())
    small = study_of(
        tmp_path, TINY, ('"8MB", "104MB", "192MB"', '"1MB", "2MB"'), ('hbm_stacks = { values = ["2", "4"] }\n', "")
    )
    with pytest.raises(Infeasible, match="none of its 4 chips"):
        enumeration.enumerate_space(small, parts_of("wse-3"))
