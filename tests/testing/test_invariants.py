"""The invariants of accelmodel: they hold of chips, models and techniques that are drawn, and a broken law is found."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings

from accelmodel.cli.site import pages
from accelmodel.inference import policies
from accelmodel.specs.given import cluster
from accelmodel.specs.load import load
from accelmodel.testing import INVARIANTS, Case, cases, clusters, models, rented, smallest, steps, stored
from accelmodel.testing.checks import BrokenInvariant, check_technique

FEW = {"suppress_health_check": list(HealthCheck), "deadline": None}
#: sort of case → how many are tried
EXAMPLES = {"step": 12, "stored": 8, "rented": 3}
OF = {"step": lambda: cases(clusters()), "stored": stored, "rented": rented}


def test_each_has_a_line_that_says_what_must_hold():
    for name, each in INVARIANTS.items():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name)
        assert each.words.endswith("."), name
        assert len(each.words) < 120, name
        assert each.of in OF
        assert f"| `{name}` | {each.of} | {each.words} |" in pages.texts()["commands/check"]


@pytest.mark.parametrize("name", INVARIANTS)
def test_it_holds_of_what_ships_and_what_is_drawn_around_it(warm, name):
    found = smallest(name, OF[INVARIANTS[name].of](), EXAMPLES[INVARIANTS[name].of])
    assert found.lines == []
    assert found.examples == EXAMPLES[INVARIANTS[name].of]


@given(cases(model=models()))
@settings(max_examples=8, **FEW)
def test_it_holds_of_models_that_nobody_made(warm, case):
    for law in (
        steps.numbers_are_sound,
        steps.operators_add_up,
        steps.weights_are_read,
        steps.never_below_the_roofline,
    ):
        assert law(case) is None


CASE = Case(cluster("h100-sxm"), load("model", "llama-3-8b"), {"phase": "decode", "batch": 4, "context": 1024, "tp": 8})
#: invariant → a figure of the step that is spoilt, and by what
SPOILT = {
    "operators-add-up": ("time", 1.01),
    "numbers-are-sound": ("hbm_bytes", -1.0),
    "interval-holds-the-value": ("step_time_upper", 0.1),
    "never-below-the-roofline": ("step_time", 0.1),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_step_that_is_spoilt_is_found(warm, monkeypatch, name):
    figure, times = SPOILT[name]
    real = steps.figures

    def spoilt(*asked):
        found = real(*asked)
        dims, values = found.variables[figure]
        found.variables[figure] = (dims, values * times)
        return found

    monkeypatch.setattr(steps, "figures", spoilt)
    broken = INVARIANTS[name].law(CASE)
    assert broken is not None
    assert broken.commands[0] == CASE.command
    assert len(broken.values) == len(broken.commands)


#: invariant → what of a machine turns round with the change that it looks at
TURNED = {
    "more-is-never-slower": lambda time, case: 1.0 / time,
    "technique-is-never-slower": lambda time, case: time * (1.5 if case.name == "preserve" else 1.0),
    "no-l2-no-prefetch": lambda time, case: time * (1.5 if case.name == "preserve" else 1.0),
    "no-collective-no-prefetch": lambda time, case: time * (1.5 if case.name == "preserve" else 1.0),
    "more-work-is-never-faster": lambda time, case: 1.0 / time,
    "weights-are-read": lambda time, case: time,
}


@pytest.mark.parametrize("name", TURNED)
def test_a_law_that_is_turned_round_is_found_with_the_smallest_example(warm, monkeypatch, name):
    real = steps.totals

    def turned(inputs, technique):
        found = real(inputs, technique)
        return found.assign(step_time=TURNED[name](found.step_time, technique), hbm_bytes=0.5 * found.hbm_bytes)

    monkeypatch.setattr(steps, "totals", turned)
    found = smallest(name, cases(), 40)
    assert found.broken is not None
    assert 1 <= found.examples <= 40
    assert "--device h100-sxm" in found.broken.commands[0]
    assert "--model llama-3.2-1b" in found.broken.commands[0]
    assert found.lines[0] == f"{name}: {found.broken.says}"


def test_a_technique_of_ones_own(warm, monkeypatch):
    """One that only waits is found to be slower than none; one that does nothing is sound."""
    monkeypatch.setitem(policies.TECHNIQUES, "idle", lambda: policies.none())
    check_technique("idle", examples=3)
    real = steps.totals

    def waiting(inputs, technique):
        found = real(inputs, technique)
        return found.assign(step_time=found.step_time + (1e-3 if technique.name == "idle" else 0.0))

    monkeypatch.setattr(steps, "totals", waiting)
    with pytest.raises(BrokenInvariant, match="a step is slower with idle than without") as caught:
        check_technique("idle", examples=3)
    assert "accelmodel step --device" in str(caught.value)
    assert "--technique idle" in str(caught.value)
