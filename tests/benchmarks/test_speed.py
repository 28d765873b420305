"""The twins of the step kernel agree with it; the benchmark reports what it says.  No test asserts a time."""

from __future__ import annotations

import json
from collections import namedtuple

import numpy as np
import pytest

from accelmodel.benchmarks import c_twin, cake_fronts, numpy_twin, peers, python_twin, speed
from accelmodel.benchmarks.growth import growth
from accelmodel.dse.enumeration import blocksize
from accelmodel.errors import SpecError
from accelmodel.inference.policies import policy
from accelmodel.inference.run import part, run_kernel
from accelmodel.inference.step import prepare
from accelmodel.laws.kernels.block import Span
from accelmodel.laws.types import EXCHANGE, GIVEN, Operator
from accelmodel.specs import given, load

#: relative; the twins add up in another order, nothing else
TOLERANCE = 1e-9
POLICIES = [
    policy("none").numbers,
    policy("fused").numbers,
    *(
        policy("preserve", threshold=threshold, rule=rule).numbers
        for rule in ("paper", "partial", "best-fit")
        for threshold in (0.3, 1.0, 2.0)
    ),
]
#: dense with grouped queries; mixture of experts; latent attention with experts; sliding windows with experts; narrow
#: weights; floats of 4 and 6 bit, integers of 4 bit
WORKS = [
    ("llama-3-70b", {"tp": 8}),
    ("llama-3-8b", {"tp": 2, "pp": 2}),
    ("mixtral-8x7b", {"tp": 8}),
    ("mixtral-8x7b", {"tp": 4, "dp": 2, "ep": 8}),
    ("deepseek-v3", {"tp": 16, "ep": 16}),
    ("deepseek-v3", {"tp": 2, "dp": 16, "ep": 32}),
    ("gpt-oss-120b", {"tp": 4}),
    ("llama-3-8b", {"tp": 2, "weight_bits": 4.25, "activation_bits": 16}),
    ("llama-3-8b", {"tp": 2, "weight_bits": "nvfp4", "activation_bits": "nvfp4"}),
    ("llama-3-8b", {"tp": 2, "weight_bits": "fp6", "activation_bits": "fp6"}),
    ("llama-3-8b", {"tp": 2, "weight_bits": "int4", "activation_bits": "int4"}),
]
PHASES = [
    {"phase": "decode", "batch": 8, "context": 8192},
    {"phase": "prefill", "batch": 2, "context": 4096},
]


def asked(model: str, **work):
    """Return the table (column, row) and the machine (field,) of a step on a 910B2 cluster."""
    bits = {"weight_bits": 8, "activation_bits": 8, "kv_bits": 8}
    every = dict.fromkeys(("compute.peak_6bit", "compute.peak_4bit", "compute.peak_4bit_int"), 1e15)
    chip = given.override(load.load("device", "ascend-910b2"), {"hbm.capacity": 4e12, **every})
    cluster = given.cluster(chip, 64)
    prepared = prepare(load.load("model", model), cluster, given.workload(**{**bits, **work}))
    return prepared.operators[:, :, 0], prepared.machines.base()


def random_machines(base, count: int, seed: int):
    """Return random designs: those of the speed, with other tiles, topologies, algorithms and caches."""
    rng = np.random.default_rng(seed)
    machines = speed.designs(base, count, seed)
    choices = {
        "tile_m": (16, 64, 128, 256), "tile_n": (16, 64, 128, 256), "tile_k": (32, 64, 128), "multicast": (1, 2, 4),
        "slice_time": (0.0, 7e-8, 3e-7), "store_rate": (1e12, 1e14), "split_time": (0.0, 3e-6),
        "fill_time": (0.0, 2e-6), "exposed": (0.0, 0.4),
        "scaling_time": (0.0, 1e-6), "convert_rate": (1e10, 1e12), "rate_6bit": (1e12, 5e12), "rate_4bit": (2e12, 9e12),
        "l2_ways": (8, 16, 32), "l2_copies": (1, 2), "node": (4, 8, 16), "mesh": (0, 1), "ring": (0, 1), "tree": (0, 1),
        "one_shot": (0, 1), "two_shot": (0, 1), "in_switch": (0, 1),
    }  # fmt: skip
    for name, values in choices.items():
        machines[GIVEN.index(name)] = rng.choice(values, count)
    machines[GIVEN.index("l2_bytes"), :3] = 0.0
    machines[GIVEN.index("tile_least")] = np.random.default_rng(seed + 1).choice((16, 64, 256), count)
    machines[GIVEN.index("start_up")] *= rng.uniform(0.0, 10.0, count)
    software = {
        "direct": (0, 1), "ramp": (0, 3, 6), "own_copy": (0, 0.4), "rendezvous": (0, 7e-6), "barrier": (1, 6),
        "direct_share": (0.7, 1), "direct_limit": (1e4, 1e7, 1e18), "direct_start_up": (1e-6, 1e-5, 5e-5),
        "contention": (1, 1.5, 4), "attention_fill": (0, 1, 3), "attention_rows": (64, 128, 256),
        "attention_share": (0.6, 1.0), "attention_split": (0, 1), "attention_narrow": (0, 1), "attention_apart": (0, 1),
        "attention_reread": (0, 1), "attention_widen_rate": (1e11, 1e15), "exchange_start": (1e-6, 4e-5),
    }  # fmt: skip
    for name, values in software.items():
        machines[GIVEN.index(name)] = rng.choice(values, count)
    machines[GIVEN.index("in_switch")] *= rng.choice((0.7, 1.0), count)
    elsewhere = {
        "weight_excess": (0, 0, -0.5, 9), "expert_excess": (0, 0, -0.5, 9), "kv_excess": (0, 0, -0.8, 9),
        "near_flop_time": (0, 0, 1e-14, 3e-13),
    }  # fmt: skip
    for name, values in elsewhere.items():
        machines[GIVEN.index(name)] = rng.choice(values, count)
    return machines


def kernel(table, machines, rule):
    """Return the kernel's totals, as a twin does."""
    totals, _ = run_kernel(table[:, :, None], machines[:, None], rule)
    return totals[:, 0]


@pytest.mark.parametrize("rule", POLICIES, ids=str)
@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase["phase"])
@pytest.mark.parametrize(("model", "cut"), WORKS, ids=str)
def test_twins_agree_with_the_kernel(warm, model, cut, phase, rule):
    table, base = asked(model, **phase, **cut)
    # every other row takes longer or shorter than the law says, as where an error is followed through a step
    table[Operator._fields.index("stretch")] = np.resize([1.0, 1.3, 0.8], table.shape[1])
    machines = random_machines(base, 300, seed=len(model))
    expected = kernel(table, machines, rule)
    np.testing.assert_allclose(numpy_twin.evaluate(table, machines, rule), expected, rtol=TOLERANCE)
    compiled = c_twin.load()
    if compiled is not None and (table[Operator._fields.index("kind")] < EXCHANGE).all():
        # frozen: without the fields and kinds that it does not know
        machines[[GIVEN.index(name) for name in c_twin.unread()]] = 0.0
        np.testing.assert_allclose(compiled(table, machines, rule), kernel(table, machines, rule), rtol=TOLERANCE)


@pytest.mark.skipif(c_twin.compiler() is None, reason="no C compiler")
def test_a_field_that_the_model_gains_does_not_change_the_c_twin(monkeypatch):
    table, base = asked("llama-3-8b", **PHASES[0], tp=2)
    machines = random_machines(base, 20, seed=3)
    compiled = c_twin.load()
    assert compiled is not None
    before, known = compiled(table, machines, POLICIES[3]), c_twin.unread()
    monkeypatch.setattr(c_twin, "GIVEN", ("novelty", *GIVEN))
    monkeypatch.setattr(
        c_twin, "Operator", namedtuple("Operator", (*Operator._fields[:3], "novelty", *Operator._fields[3:]))
    )
    assert c_twin.unread() == ("novelty", *known)
    assert "without novelty" in c_twin.note()
    larger = c_twin.load.__wrapped__()
    found = larger(np.insert(table, 3, 7.0, axis=0), np.insert(machines, 0, 7.0, axis=0), POLICIES[3])
    np.testing.assert_array_equal(found, before)


def test_numpy_twin_does_not_depend_on_its_chunks(monkeypatch):
    table, base = asked("llama-3-8b", **PHASES[0], tp=2)
    machines = random_machines(base, 100, seed=1)
    whole = numpy_twin.evaluate(table, machines, POLICIES[3])
    monkeypatch.setattr(numpy_twin, "CHUNK", 33)
    np.testing.assert_array_equal(numpy_twin.evaluate(table, machines, POLICIES[3]), whole)


def test_python_twin_agrees_with_the_kernel(warm):
    table, base = asked("llama-3-8b", **PHASES[0], tp=8)
    machines = random_machines(base, 5, seed=2)
    rule = policy("preserve", threshold=1.0, rule="best-fit").numbers
    totals, seconds = python_twin.evaluate(table, machines, rule)
    np.testing.assert_allclose(totals, kernel(table, machines, rule), rtol=TOLERANCE)
    assert seconds > 0.0


@pytest.mark.parametrize("form", cake_fronts.FORMS)
def test_python_twin_of_cake_agrees_with_the_kernel(form):
    inputs = cake_fronts.FORMS[form](20)
    found, seconds = python_twin.interpreted(cake_fronts.__name__, inputs)
    np.testing.assert_allclose(found, cake_fronts.evaluate_inputs(inputs)[0], rtol=TOLERANCE)
    assert (found[:, 0] > 0.0).all()
    assert len(np.unique(found[:, 0])) == 20
    assert seconds > 0.0


def test_without_a_compiler_there_is_no_c_twin(monkeypatch):
    monkeypatch.setattr(c_twin, "compiler", lambda: None)
    assert c_twin.load.__wrapped__() is None


def test_with_a_compiler_that_fails_there_is_no_c_twin(monkeypatch, tmp_path):
    monkeypatch.setattr(c_twin, "SOURCE", tmp_path / "absent.c")
    assert c_twin.load.__wrapped__() is None


def test_designs_differ_and_repeat():
    _, base, _ = speed.inputs()
    machines = speed.designs(base, 1000)
    assert len(np.unique(machines, axis=1).T) == 1000
    np.testing.assert_array_equal(machines, speed.designs(base, 1000))


def test_a_part_of_the_space_is_its_designs():
    _, base, _ = speed.inputs()
    cores = GIVEN.index("cores")
    machines = speed.space(base)
    assert machines.designs == 10**8
    place = slice(0, 1), slice(0, 1), slice(1, 3), slice(0, 100)
    each = part(machines, place, Span(0, 1, 100, 300)).designs
    assert each.fields.tolist() == [GIVEN.index("link_rate"), cores][:: 1 if cores > GIVEN.index("link_rate") else -1]
    assert each.columns[each.fields.tolist().index(cores), 0, :3].tolist() == [8.0, 9.0, 10.0]
    last = speed.space(base).sources[GIVEN.index("l2_bytes")]
    assert last.flat[-1] == pytest.approx(4.0 * base[GIVEN.index("l2_bytes")])


def test_peers_are_figures_with_a_source():
    rows = peers.known()
    assert {"LLMCompass", "GenZ", "Calculon", "LLM-Viewer"} <= {row["name"] for row in rows}
    for row in rows:
        assert row["steps_per_s"] > 0.0
        assert row["what"]
        assert row["measured"]
        assert row["note"]


def test_a_peer_that_fails_is_not_measured_and_says_why(monkeypatch):
    def refuse(peer, folder, checkout):
        raise OSError("no network")

    monkeypatch.setattr(peers, "_measure", refuse)
    stages = []
    rows = peers.measured(stages.append)
    assert len(stages) == len(rows) == len(peers.INSTALLABLE)
    assert all(row["steps_per_s"] is None and row["note"] == "not measured: OSError: no network" for row in rows)


def test_a_peer_is_timed_in_an_environment_of_its_own(tmp_path):
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "rival.py").write_text("def step():\n    return 1.0\n", encoding="utf-8")
    script = (
        "import rival\nassert sys.prefix != sys.base_prefix\nrate(lambda: [rival.step() for _ in range(1000)], 1000)"
    )
    peer = peers.Peer("steps", script, ("pip",), "https://example.org/rival")
    assert peers._measure(peer, tmp_path, checkout) > 1000.0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("Calculon", "write NAME=FOLDER"),
        ("Calculn=.", "did you mean 'Calculon'"),
        ("GenZ=.", "unknown peer with a repository"),
        ("Calculon=nowhere", "there is no folder nowhere"),
    ],
)
def test_a_checkout_that_is_not_there_is_refused(given, said):
    with pytest.raises(SpecError, match=said):
        peers.checked_out([given])


def test_growth_counts_what_it_grows_with(warm):
    rows = growth(speed.no_progress, 0.001)
    assert [row["designs"] for row in rows["designs"]] == [10.0, 100.0, 1000.0]
    assert rows["layers"][2]["layers"] == 4.0 * rows["layers"][0]["layers"]
    assert rows["layers"][2]["operators"] == rows["layers"][0]["operators"]
    assert all(row["steps_per_s"] > 0.0 and row["bytes_per_step"] > 0.0 for group in rows.values() for row in group)


def test_benchmark_returns_the_documented_keys(warm, monkeypatch):
    stages = []
    monkeypatch.setattr(blocksize, "BLOCK", 2**12)
    data = speed.benchmark(seconds=0.02, cold=False, progress=stages.append)
    keys = {"machine", "rates", "ratios", "peers", "cake", "startup_s", "growth", "exhaustive", "studies", "notes"}
    assert set(data) == keys
    assert set(data["machine"]) == {"cpu", "cores", "system", "python", "numba", "numpy"}
    assert set(data["startup_s"]) == {"import", "first_answer_warm", "first_answer_cold"}
    assert data["startup_s"]["first_answer_cold"] is None
    forms = {"kernel, one core", "kernel, all cores", "NumPy, one core", "C, one core", "Python, one core"}
    assert set(data["rates"]) == forms
    assert all(rate is None or rate > 0.0 for rate in data["rates"].values())
    assert {"kernel/NumPy", "kernel/C", "kernel/Python", "kernel/GenZ"} <= set(data["ratios"])
    assert set(data["cake"]["ratios"]) == {"constant rates, kernel/Python", "traces, kernel/Python"}
    assert all(ratio > 1.0 for ratio in data["cake"]["ratios"].values())
    whole = data["exhaustive"]
    assert whole["designs"] == 10**8
    assert whole["kind"] == "extrapolated"
    assert whole["whole_s"] == pytest.approx(whole["designs"] / whole["designs_per_s"])
    assert stages
    assert json.loads(json.dumps(data, allow_nan=False)) == data
