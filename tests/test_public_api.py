"""The door: what the package shows, that each name is typed and documented, and what its answers say of themselves."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import xarray as xr

import accelmodel as am
from accelmodel.cloud.hosting import Setup, host
from accelmodel.cloud.infersave import Task
from accelmodel.errors import Infeasible, SpecError
from accelmodel.inference import operator_time, request, single
from accelmodel.inference.attributes import BITS
from accelmodel.inference.step import prepare
from accelmodel.nomenclature import NOMENCLATURE
from accelmodel.specs.load import field_units
from accelmodel.specs.names import flat
from accelmodel.specs.workload import Cut, Fields, Phase, Workload

SOURCE = Path(am.__file__)
NAMES = sorted(set(am.__all__) - {"__version__"})
TIER = am.Loading(kv_bytes=1e5, bandwidth=1e9, layers=32, tail=0.01)
PROMPT = am.Prompt(1024, 1024, am.Computing(np.array([0.05, 0.06])), TIER)
DECODE = {"phase": "decode", "batch": 4, "context": 2048, "tp": 4}


def axis(name, values, **attrs):
    return xr.DataArray(np.array(values, dtype=float), dims=name, coords={name: (name, values, attrs)})


#: question → a small one of it; every public function that returns a dataset is here
ANSWERS = {
    "time_step": lambda: am.time_step("llama-3-8b", "h100-sxm", DECODE, "preserve"),
    "time_step of a prefill": lambda: am.time_step("llama-3-8b", "h100-sxm", {**DECODE, "phase": "prefill"}),
    "time_step over axes": lambda: am.time_step(
        "llama-3-8b", am.override(am.load("device", "h100-sxm"), l2_capacity=[2e7, 5e7]), {**DECODE, "batch": [1, 8]}
    ),
    "total_time": lambda: am.total_time("llama-3-8b", "h100-sxm", {**DECODE, "context": [512, 1024]}),
    "experts_apart": lambda: am.experts_apart(
        "deepseek-v3", "h200-sxm", {"phase": "decode", "batch": 96, "context": 2048, "dp": 16}, expert_devices=16
    ),
    "sweep": lambda: am.sweep(
        {
            "sweep": {"command": "step"},
            "fixed": {"device": "h100-sxm", "model": "llama-3-8b", "context": 4096},
            "axes": {"technique": ["none", "preserve"], "batch": [1, 8]},
        }
    ),
    "speedups": lambda: am.speedups("llama-3-8b", "ascend-910b2", [4, 8], [4], [4096], phase="decode"),
    "matmul": lambda: am.matmul("h100-sxm", m=[1, 64], n=4096, k=4096),
    "attention": lambda: am.attention("h100-sxm", batch=[1, 8], context=[512, 1024], heads=[32, 64]),
    "collective": lambda: am.collective("h100-sxm", size=[1e4, 1e8], devices=[4, 8]),
    "cost": lambda: am.cost("h100-sxm"),
    "evaluate_study": lambda: am.evaluate_study("preserve-l2", l2_capacity=["8MB", "104MB"]),
    "ttft_grid": lambda: am.ttft_grid({"mine": [0.05, 0.06]}, TIER, tokens=[512, 1024], bandwidth=[1e9]),
    "fronts_over_time": lambda: am.fronts_over_time(PROMPT),
    "adaptive_scheduling": lambda: am.adaptive_scheduling(PROMPT, [(0.0, 100.0)], ([1, 512], [0.01, 0.05])),
    "serve": lambda: am.serve("llama-3-8b", "h100-sxm", prompt=256, answer=64, rate=[0.5, 1.0]),
    "host": lambda: host(
        am.load("model", "opt-2.7b"), [am.load("instance", "g5.xlarge")], Task(np.array([4.0]), 128, 32),
        Setup(am.load("engine", "flexgen")),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def answers(warm):
    return {name: make() for name, make in ANSWERS.items()}


def test_the_package_shows_what_all_says():
    assert dir(am) == sorted(am.__all__)
    assert len(set(am.__all__)) == len(am.__all__)
    with pytest.raises(AttributeError, match="attribute dream"):
        am.dream  # noqa: B018


def test_every_name_of_the_stub_is_there():
    """The stub that type checkers read is what the package loads from, on first use."""
    tree = ast.parse(SOURCE.with_suffix(".pyi").read_text(encoding="utf-8"))
    named = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    shown = {alias.asname: node.module for node in named for alias in node.names}
    assert {"__version__", *shown} == set(am.__all__)
    for name, module in shown.items():
        assert getattr(am, name) is getattr(importlib.import_module(f"accelmodel.{module}"), name)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_documented(name):
    """What it takes and returns, and an example; classes say what they hold."""
    value = getattr(am, name)
    text = inspect.getdoc(value) or ""
    assert re.search(r"^Examples\n-+$", text, re.MULTILINE)
    assert ">>> " in text
    if inspect.isclass(value) and issubclass(value, Exception):
        return
    wanted = ("Attributes",) if inspect.isclass(value) else ("Parameters", "Returns")
    for section in wanted:
        assert re.search(rf"^{section}\n-+$", text, re.MULTILINE), section


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_described(name):
    value = getattr(am, name)
    if inspect.isclass(value):
        return
    described = (inspect.getdoc(value) or "").partition("Parameters\n")[2].partition("Returns\n")[0]
    for parameter in inspect.signature(value).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD and name in ("workload", "attention"):
            continue  # its fields are described one by one
        assert re.search(rf"^\W*(.*, )?\**{parameter.name}\b", described, re.MULTILINE), parameter.name


def test_fields_of_a_workload_are_those_of_its_signature():
    # a format goes by its name where bits are given
    named = [name for name in field_units(Workload) if not name.endswith("_format")]
    assert list(Fields.__annotations__) == named
    assert set(Cut.__annotations__) < set(Fields.__annotations__)


RIGHT = """
import accelmodel as am
import numpy as np

work = am.workload(phase="decode", batch=[1, 2, 4], context=np.array([1024, 2048]), tp=8)
result = am.time_step("llama-3-70b", am.cluster("h100-sxm"), work, technique=am.policy("preserve", threshold=0.7))
chip: am.Device = am.override(am.load("device", "h100-sxm"), l2_capacity="104MB")
print(result.step_time, am.total_time("llama-3-8b", chip, {"phase": "decode", "batch": 1, "context": 10}).step_time)
print(am.matmul(chip, m=[1, 2], n=4096, k=4096, bits=8).time, am.evaluate_study(l2_capacity=["8MB"]).throughput)
print(am.attention(chip, "decode", heads=8), am.collective("h100-sxm", size=1e6))
"""
WRONG = {
    'am.workload(phse="decode")': 'Unexpected keyword argument "phse" for "workload"',
    "am.time_step(1, 2, 3)": 'Argument 1 to "time_step" has incompatible type "int"',
    'am.matmul("h100-sxm", m="many", n=1, k=1)': 'Argument "m" to "matmul" has incompatible type "str"',
    'am.attention("h100-sxm", head=8)': 'Unexpected keyword argument "head" for "attention"',
    'am.serve("llama-3-8b", "h100-sxm", prompt=1, answer=1, gpus=8)': 'Unexpected keyword argument "gpus" for "serve"',
    'am.load("device", "h100-sxm").l3': '"Device" has no attribute "l3"',
    'am.workload(phase="decod", batch=1, context=1)': 'Argument "phase" to "workload" has incompatible type',
    'am.time_step("", "", {"phase": "decod", "batch": 1, "context": 1})': '3 to "time_step" has incompatible',
    'am.time_step("", "", {"phase": "decode", "bach": 1, "context": 1})': '3 to "time_step" has incompatible',
    'am.attention("h100-sxm", "decod")': 'Argument 2 to "attention" has incompatible type',
    'am.collective("h100-sxm", size=1, kind="all-redce")': 'Argument "kind" to "collective" has incompatible type',
    'am.speedups("a", "b", [1], [1], [1], phase="end")': 'Argument "phase" to "speedups" has incompatible type',
    "am.dream": 'Module has no attribute "dream"',
}


def test_words_that_type_checkers_know_are_those_that_are_taken():
    assert set(get_args(single.Kind)) == set(operator_time.COLLECTIVES)
    assert get_args(request.RequestPhase) == request.PHASES
    assert all(am.workload(phase=phase, batch=1, context=1).phase == phase for phase in get_args(Phase))


def test_type_checkers_see_what_is_right_and_what_is_not(tmp_path):
    """One run of some seconds where continuous integration has checked types before, of twenty where not."""
    root = SOURCE.parent.parent
    known = root / ".mypy_cache"
    (tmp_path / "right.py").write_text(RIGHT, encoding="utf-8")
    (tmp_path / "wrong.py").write_text("import accelmodel as am\n" + "\n".join(WRONG), encoding="utf-8")
    files = [str(tmp_path / name) for name in ("right.py", "wrong.py")]
    cache = str(known if known.is_dir() else tmp_path)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", cache, *files]
    said = subprocess.run(command, capture_output=True, text=True, cwd=root).stdout
    assert "right.py" not in said
    for line, (code, message) in enumerate(WRONG.items(), 2):
        assert re.search(rf"wrong\.py:{line}: error: .*{re.escape(message)}", said), (code, said)


@pytest.mark.parametrize("name", ANSWERS)
def test_variables_and_coordinates_have_the_units_of_the_nomenclature(answers, name):
    answer = answers[name]
    units = {flat(kind, name): unit for kind in (am.Device, am.Link) for name, unit in field_units(kind).items()}
    for key, variable in answer.variables.items():
        if name == "evaluate_study" and str(key).startswith(("excess_", "chosen_", "dollars_per_million")):
            # of the limits of this study, and of money for many tokens
            assert variable.attrs["units"] == ("USD/Mtoken" if str(key).startswith("dollars") else "1")
            assert variable.attrs["description"]
            continue
        wanted = NOMENCLATURE[key].unit if key in NOMENCLATURE else units[key]
        assert variable.attrs["units"] == wanted, key
        assert key in answer.coords or variable.attrs["description"] == NOMENCLATURE[key].meaning


@pytest.mark.parametrize("name", ANSWERS)
def test_attributes_are_text_or_numbers_and_say_the_version(answers, name):
    """What netCDF keeps: a file written from an answer still says what it answers."""
    attributes = answers[name].attrs
    assert attributes["accelmodel_version"] == am.__version__
    assert all(isinstance(value, str | int | float) for value in attributes.values())
    for each in answers[name].variables.values():
        assert all(isinstance(value, str) for value in each.attrs.values())


def test_every_public_function_that_returns_a_dataset_is_among_the_answers():
    found = {
        name
        for name in NAMES
        if not inspect.isclass(getattr(am, name))
        and "xr.Dataset" in str(inspect.signature(getattr(am, name)).return_annotation)
    }
    assert found <= ANSWERS.keys()
    assert len(found) >= 11


def test_a_step_says_what_was_asked(answers):
    chip = am.override(am.load("device", "h100-sxm"), l2_capacity="104MB", hbm_bandwidth=[2e12, 3e12])
    work = am.workload(phase="decode", batch=[1, 8], context=4096, tp=2, kv_bits=8)
    found = am.time_step("llama-3-8b", chip, work, am.policy("preserve", threshold=0.5)).attrs
    assert found["technique"] == "preserve"
    assert json.loads(found["technique_parameters"]) == {"threshold": 0.5, "rule": "partial"}
    assert json.loads(found["overrides"]) == {
        "device": {"l2.capacity": 104e6, "hbm.bandwidth": "varies over hbm_bandwidth"}
    }
    assert json.loads(found["degrees"]) == {"tp": 2.0, "pp": 1.0, "ep": 1.0, "dp": 1.0}
    assert json.loads(found["bits"]) == {"weight_bits": 16.0, "activation_bits": 16.0, "kv_bits": 8.0}
    assert json.loads(found["sizes"]) == {"batch": "varies over batch", "context": 4096.0, "prefix": 0.0}
    cluster = am.cluster(chip)
    for spec in (am.load("model", "llama-3-8b"), cluster.device, cluster.link, cluster.scale_out):
        assert f"{spec.name}:{spec.digest}" in found["digests"].split(", ")
    assert (found["device"], found["link"], found["scale_out"], found["devices"]) == (
        "h100-sxm", cluster.link.name, cluster.scale_out.name, "8.0",
    )  # fmt: skip


ODD = """
[default]
kind = "paper"
source = "s"
locator = "x"
[sources.s]
title = "x"
[device]
like = "h100-sxm"
"""


@pytest.mark.parametrize(
    "ask",
    [
        lambda chip: am.matmul(chip, m=1, n=64, k=64),
        lambda chip: am.attention(chip),
        lambda chip: am.collective(chip, size=1e6),
        lambda chip: am.serve("llama-3-8b", chip, prompt=64, answer=8, rate=1.0),
        lambda chip: am.speedups("llama-3-8b", chip, [8], [1], [512], phase="decode"),
        lambda chip: am.total_time("llama-3-8b", chip, DECODE),
    ],
    ids=["matmul", "attention", "collective", "serve", "speedups", "total_time"],
)
def test_every_answer_says_what_its_device_inherits(warm, tmp_path, ask):
    """A chip that nobody measured announces itself wherever it is asked about; a measured one has nothing to say."""
    (tmp_path / "odd.toml").write_text(ODD, encoding="utf-8")
    found = ask(str(tmp_path / "odd.toml")).attrs
    assert "odd: " in found["notes"]
    assert "h100-sxm, not measured on this chip" in found["notes"]
    assert found["weakest_fact"]
    assert ask("h100-sxm").attrs["notes"] == ""


def test_answers_say_how_the_model_is_cut(answers):
    assert answers["evaluate_study"].attrs["notes"] == ""
    for name in ("serve", "speedups"):
        assert set(json.loads(answers[name].attrs["degrees"])) == {"tp", "pp", "ep", "dp"}
        assert json.loads(answers[name].attrs["bits"]) == dict.fromkeys(BITS, 16.0)
    assert json.loads(answers["speedups"].attrs["degrees"])["tp"] == "varies over tp"
    assert answers["serve"].attrs["technique"] == "none"


def test_what_is_known_is_no_override(answers):
    assert json.loads(answers["time_step"].attrs["overrides"]) == {}


def test_names_stand_for_what_they_name(warm):
    by_name = am.time_step("llama-3-8b", "h100-sxm", DECODE)
    model, chip = am.load("model", "llama-3-8b"), am.load("device", "h100-sxm")
    assert by_name.identical(am.time_step(model, chip, DECODE))
    assert by_name.identical(am.time_step(model, am.cluster(chip), am.workload(**DECODE)))
    assert am.cluster("h100-sxm", link="nvlink4-switch") == am.cluster(chip, link=am.load("link", "nvlink4-switch"))
    assert am.operator_table("llama-3-8b", DECODE) == am.operator_table(model, am.workload(**DECODE))
    assert am.loading("llama-3-8b", "nvme") == am.loading(model, am.load("storage", "nvme"))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (lambda: am.time_step(1, "h100-sxm", DECODE), "model must be a name, a path or load('model', name), not 1"),
        (lambda: am.time_step("llama-3-8b", 2, DECODE), "cluster must be a device's name or path"),
        (lambda: am.time_step("llama-3-8b", "h100-sxm", 3), "workload must be workload(phase=..., batch=..., context"),
        (lambda: am.time_step("llama-3-8c", "h100-sxm", DECODE), "did you mean 'llama-3-8b'"),
        (lambda: am.time_step("llama-3-8b", "h100-sxn", DECODE), "did you mean 'h100-sxm'"),
        (lambda: am.time_step("llama-3-8b", "h100-sxm", {**DECODE, "bach": 1}), "did you mean 'batch'"),
        (lambda: am.workload(**{**DECODE, "batch": [[1, 2]]}), "batch: an array of shape (1, 2) has no labels"),
        (lambda: am.workload(**{**DECODE, "batch": []}), "batch: an array of shape (0,) has no labels"),
        (lambda: am.workload(**{**DECODE, "batch": ["one"]}), "batch: ['one'] holds what is not a number"),
        (lambda: am.workload(**{**DECODE, "batch": [1, -2]}), "batch: -2 must be at least 1"),
        (lambda: am.matmul("h100-sxm", m=0, n=1, k=1), "m 0 must be above 0"),
        (lambda: am.matmul("h100-sxm", m=1, n=1, k=1, bits=5), "bits 5: matmuls are modelled at 16, 8, 6 and 4 bit"),
        (lambda: am.matmul("h100-sxm", m="1", n=1, k=1), "m: '1' is not a number"),
        (lambda: am.attention("h100-sxm", heads=9, kv_heads=2), "heads 9 must be a multiple of kv_heads 2"),
        (lambda: am.attention("h100-sxm", head=9), "unknown size of an attention 'head', did you mean 'heads'"),
        (lambda: am.collective("h100-sxm", size=1e6, devices=1), "a collective needs at least 2"),
        (lambda: am.collective("h100-sxm", size=1e6, kind="all-reduc"), "did you mean 'all-reduce'"),
        (lambda: am.serve("llama-3-8b", "h100-sxm", prompt=8, answer=8), "give either a rate [1/s] or users"),
        (lambda: am.evaluate_study("preserve-l2", l2_capacty=1e6), "did you mean 'l2_capacity'"),
        (lambda: am.evaluate_study("preserve-l2", l2_capacity=["8GB/s"]), "l2_capacity: '8GB/s' is in B/s"),
        (lambda: am.evaluate_study("preserve-l2", **{"l2.capacty": 1e6}), "did you mean 'l2.capacity'"),
        (
            lambda: am.evaluate_study("preserve-l2", l2_capacity=1e6, **{"l2.capacity": 2e6}),
            "l2.capacity: the same axis as l2_capacity",
        ),
        (
            lambda: am.time_step("llama-3-8b", am.cluster("h100-sxm", devices=[8, 16]), DECODE),
            "devices vary over devices: a step is timed on one number of devices",
        ),
        (lambda: am.total_time("llama-3-8b", am.cluster("h100-sxm", devices=[8, 16]), DECODE), "devices vary over"),
        (
            lambda: am.serve("llama-3-8b", am.cluster("h100-sxm", devices=[8, 16]), prompt=8, answer=8, rate=1.0),
            "the server varies over axes",
        ),
        (lambda: am.cluster(Path("x.toml")), "device must be a name, a path as text or load('device', name), not Pos"),
        (lambda: am.cluster("h100-sxm", link=Path("x")), "link must be a name, a path as text or load('link', name)"),
        (lambda: am.time_step("llama-3-8b", Path("x.toml"), DECODE), "not PosixPath('x.toml')"),
        (lambda: am.speedups(Path("x"), "h100-sxm", [8], [1], [512]), "or load('model', name), not PosixPath('x')"),
        (lambda: am.rank_instances("opt-2.7b", input=128, output=128, bach=3), "'bach', did you mean 'batch'"),
        (lambda: am.Slo(tpot="50GB"), "tpot: '50GB' is in B, expected s"),
        (lambda: am.Slo(tps=[1.0]), "tps must be a number [token/s] or text with a unit, not [1.0]"),
        (lambda: am.Slo(ttft=True), "ttft must be a number [s] or text with a unit, not True"),
        (lambda: am.Slo(latency=-1.0), "latency -1 s must be above 0"),
        (lambda: am.Slo(deadline=float("nan")), "deadline: nan is not finite"),
        (lambda: am.validate("claim"), "did you mean 'claims'"),
    ],
)
def test_refused_in_words(asked, says):
    with pytest.raises(SpecError) as caught:
        asked()
    assert says in str(caught.value)


def test_levels_of_service_are_numbers_or_text_with_a_unit():
    assert am.Slo(tps=100, tpot="50ms", deadline="2 s") == am.Slo(100.0, None, None, 0.05, None, 2.0)
    assert am.Slo()._asdict() == dict.fromkeys(("tps", "tps_output", "ttft", "tpot", "latency", "deadline"))


@pytest.mark.parametrize("values", [[1, 2, 4], (1, 2, 4), np.array([1, 2, 4]), np.array([1.0, 2.0, 4.0])])
def test_lists_and_arrays_are_axes_named_after_their_field(warm, values):
    found = am.total_time("llama-3-8b", "h100-sxm", {**DECODE, "batch": values})
    assert found.step_time.dims == ("batch",)
    assert found.batch.values.tolist() == [1, 2, 4]
    by_hand = am.total_time("llama-3-8b", "h100-sxm", {**DECODE, "batch": axis("batch", [1, 2, 4])})
    np.testing.assert_array_equal(found.step_time, by_hand.step_time)
    for batch in (1, 2, 4):
        alone = am.total_time("llama-3-8b", "h100-sxm", {**DECODE, "batch": batch})
        assert float(alone.step_time) == float(found.step_time.sel(batch=batch))


def test_scalars_of_numpy_are_numbers():
    assert am.workload(**{**DECODE, "batch": np.int64(4), "context": np.float32(16)}).batch == 4.0
    assert am.override(am.load("device", "h100-sxm"), l2_capacity=np.float64(1e6)).l2_capacity == 1e6


def test_totals_are_those_of_the_operators(warm):
    work = {**DECODE, "batch": [1, 2]}
    step, total = (ask("llama-3-8b", "h100-sxm", work, "preserve") for ask in (am.time_step, am.total_time))
    for name in ("step_time", "prefetched_bytes"):
        np.testing.assert_array_equal(step[name], total[name])
    assert set(total.data_vars) == {"step_time", "prefetched_bytes", "hbm_bytes"}
    assert total.attrs == step.attrs


def test_what_a_caller_puts_on_a_coordinate_stays(warm):
    batch = axis("batch", [1.0, 8.0], units="requests", told_by="me").assign_coords(
        site=("batch", ["a", "b"]), note="mine"
    )
    size = axis("size", [2e7, 5e7], colour="red").assign_coords(chip=("size", ["old", "new"]))
    before = batch.copy(deep=True), size.copy(deep=True)
    cluster = am.cluster(am.override(am.load("device", "h100-sxm"), l2_capacity=size))
    for ask in (am.time_step, am.total_time):
        found = ask("llama-3-8b", cluster, {**DECODE, "batch": batch})
        assert found.step_time.dims == ("batch", "size")
        assert found.batch.attrs["units"] == "requests"
        assert found.batch.attrs["told_by"] == "me"
        assert found.site.values.tolist() == ["a", "b"]
        assert found.note.item() == "mine"
        assert found["size"].attrs["colour"] == "red"
        assert found.chip.values.tolist() == ["old", "new"]
        assert str(found.sel(size=5e7).chip.item()) == "new"
    assert batch.identical(before[0])
    assert size.identical(before[1])


def test_an_axis_whose_labels_are_its_values_has_the_unit_of_its_field(warm):
    rate = axis("mine", [2e12, 3e12])
    cluster = am.cluster(am.override(am.load("device", "h100-sxm"), hbm_bandwidth=rate))
    assert am.total_time("llama-3-8b", cluster, DECODE).mine.attrs["units"] == "B/s"
    other = xr.DataArray(rate.values, dims="case", coords={"case": ["slow", "fast"]})
    cluster = am.cluster(am.override(am.load("device", "h100-sxm"), hbm_bandwidth=other))
    assert "units" not in am.total_time("llama-3-8b", cluster, DECODE).case.attrs


def test_a_coordinate_with_the_name_of_a_variable_is_refused(warm):
    batch = axis("batch", [1.0, 8.0]).assign_coords(step_time=("batch", [1.0, 2.0]))
    with pytest.raises(SpecError, match="coordinate 'step_time' has the name of a variable of the answer; rename it"):
        am.total_time("llama-3-8b", "h100-sxm", {**DECODE, "batch": batch})


def test_axes_without_labels_and_stacked_ones_stay_as_they_are(warm):
    bare = xr.DataArray([1.0, 2.0], dims="design")
    found = am.total_time("llama-3-8b", "h100-sxm", {**DECODE, "batch": bare})
    assert found.design.values.tolist() == [0, 1]
    grid = xr.DataArray([[1.0, 2.0], [4.0, 8.0]], dims=("a", "b"), coords={"a": [0, 1], "b": [5, 6]})
    stacked = am.total_time("llama-3-8b", "h100-sxm", {**DECODE, "batch": grid.stack(point=("a", "b"))})
    whole = am.total_time("llama-3-8b", "h100-sxm", {**DECODE, "batch": grid})
    assert stacked.unstack("point").step_time.transpose("a", "b").equals(whole.step_time)


def test_single_operators_are_those_of_a_step(warm):
    """A step whose batch is one: its matmuls by their shapes, alone; a collective by its message."""
    model, cluster = am.load("model", "llama-3-8b"), am.cluster("h100-sxm")
    inputs = prepare(model, cluster, am.workload(**DECODE))
    step = am.time_step(model, cluster, DECODE)
    row = inputs.table.names.index("output_projection")
    m, n, k = (inputs.table.columns[name][row] for name in ("m", "n", "k"))
    alone = am.matmul(cluster, m=m, n=n, k=k)
    count = inputs.table.columns["count"][row]
    assert float(alone.time) * count == pytest.approx(float(step.time.sel(operator="output_projection")), rel=1e-12)
    row = inputs.table.names.index("all_reduce_into_mlp")
    message = inputs.table.columns["message_bytes"][row]
    alone = am.collective(cluster, size=message, devices=4, by="engine")
    whole = step.sel(operator="all_reduce_into_mlp")
    assert float(alone.time) * float(whole["count"]) == pytest.approx(float(whole.time), rel=1e-12)
    assert str(alone.algorithm.item()) == str(whole.algorithm.item())


def test_bus_bandwidth_by_hand(warm):
    found = am.collective("h100-sxm", size=[1e6], devices=[4, 8])
    by_hand = 2.0 * 7.0 / 8.0 * 1e6 / float(found.time.sel(devices=8)[0])
    assert float(found.busbw.sel(devices=8)[0]) == pytest.approx(by_hand, rel=1e-12)


def test_operators_over_an_axis_of_the_device(warm):
    chip = am.override(am.load("device", "h100-sxm"), hbm_bandwidth=[2e12, 3e12])
    found = am.matmul(chip, m=[1, 4096], n=4096, k=4096)
    assert found.time.dims == ("m", "hbm_bandwidth")
    assert found.hbm_bandwidth.attrs["units"] == "B/s"
    for rate in (2e12, 3e12):
        alone = am.matmul(am.override(chip, hbm_bandwidth=rate), m=[1, 4096], n=4096, k=4096)
        np.testing.assert_array_equal(found.time.sel(hbm_bandwidth=rate), alone.time)


def test_a_server_under_more_load_is_never_faster_and_users_wait(warm):
    found = am.serve("llama-3-8b", "h100-sxm", prompt=256, answer=64, users=[1, 8], tp=1)
    assert found.tpot.dims == ("users",)
    assert float(found.tpot.sel(users=1)) <= float(found.tpot.sel(users=8))
    assert float(found.tokens_per_s.sel(users=8)) > float(found.tokens_per_s.sel(users=1))
    with pytest.raises(Infeasible, match="does not fit the KV cache"):
        am.serve("llama-3-70b", "h100-sxm", prompt=256, answer=64, users=1)


def test_a_study_over_axes_is_its_chips_one_by_one(warm):
    whole = am.evaluate_study("preserve-l2", l2_capacity=["8MB", "104MB"], hbm_stacks=[4, 6])
    assert set(whole.throughput.dims) == {"technique", "l2_capacity", "hbm_stacks"}
    one = am.evaluate_study("preserve-l2", l2_capacity="104MB", hbm_stacks=6)
    assert one.identical(am.evaluate_study("preserve-l2", **{"l2.capacity": "104MB", "hbm.stacks": 6}))
    at = whole.sel(l2_capacity=104e6, hbm_stacks=6)
    for name in one.data_vars:
        np.testing.assert_array_equal(at[name], one[name])
    assert whole.attrs["study"] == "preserve-l2"
    assert "ascend-910b2:" in whole.attrs["digests"]
