"""Techniques: names and parameters are checked, answers carry both, and one more is one function and a line."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import accelmodel as am
from accelmodel.errors import SpecError
from accelmodel.inference import policies
from accelmodel.inference.policies import TECHNIQUES, Technique, policy
from accelmodel.laws.prefetch import NO_PREFETCH, RULES
from accelmodel.laws.types import Policy


@pytest.fixture
def asked():
    model, cluster = am.load("model", "llama-3-8b"), am.cluster(am.load("device", "ascend-910b2"))
    return model, cluster, am.workload(phase="decode", batch=4, context=2048, tp=8)


def test_numbers_by_hand():
    assert policy("none").numbers == Policy(NO_PREFETCH, 1.0, 0.0)
    assert policy("fused").numbers == Policy(NO_PREFETCH, 1.0, 1.0)
    assert policy("preserve", threshold=2, rule="partial").numbers == Policy(RULES["partial"], 2.0, 0.0)


def test_parameters_left_out_are_told():
    assert dict(policy("preserve", rule="best-fit").parameters) == {"threshold": 1.0, "rule": "best-fit"}
    assert dict(policy("none").parameters) == {}


def test_a_technique_cannot_be_changed():
    chosen = policy("preserve")
    with pytest.raises(TypeError):
        chosen.parameters["threshold"] = 3.0
    with pytest.raises(AttributeError):
        chosen.name = "mine"
    assert len({chosen, policy("preserve"), policy("none")}) == 2


@pytest.mark.parametrize(
    ("name", "parameters", "says"),
    [
        ("preserv", {}, "unknown technique 'preserv', did you mean 'preserve'"),
        (["preserve"], {}, "unknown technique ['preserve']"),
        (
            "preserve",
            {"treshold": 1.0},
            "unknown parameter of technique 'preserve' 'treshold', did you mean 'threshold'",
        ),
        ("none", {"threshold": 1.0}, "technique 'none' takes no parameters, and was given threshold"),
        ("fused", {"rule": "paper"}, "technique 'fused' takes no parameters, and was given rule"),
        ("preserve", {"rule": "partail"}, "unknown admission rule 'partail', did you mean 'partial'"),
        ("preserve", {"threshold": 17.0}, "threshold: 17 must be at most 16"),
        ("preserve", {"rule": 1.0}, "rule of technique 'preserve' must be a word, not 1.0"),
        ("preserve", {"threshold": float("nan")}, "threshold: nan is not finite"),
        ("preserve", {"threshold": True}, "threshold of technique 'preserve' must be a number, not True"),
        ("preserve", {"threshold": "half"}, "threshold of technique 'preserve' must be a number, not 'half'"),
    ],
)
def test_refused_with_the_closest_match(name, parameters, says):
    for make in (policy, lambda name, **parameters: Technique(name, parameters)):
        with pytest.raises(SpecError) as caught:
            make(name, **parameters)
        assert says in str(caught.value)


def test_a_label_cannot_be_false():
    """Numbers follow from name and parameters; nobody gives them."""
    with pytest.raises(TypeError):
        Technique("preserve", {"threshold": 1.0, "rule": "partial"}, policy("none").numbers)
    assert Technique("preserve", {"threshold": 0.5}) == policy("preserve", threshold=0.5)
    half = dataclasses.replace(policy("preserve"), parameters={"threshold": 0.5})
    assert half.numbers == policy("preserve", threshold=0.5).numbers


@given(
    name=st.sampled_from(sorted(TECHNIQUES)) | st.text(max_size=9),
    parameters=st.dictionaries(
        st.sampled_from(["threshold", "rule"]) | st.text(max_size=9),
        st.floats() | st.sampled_from(sorted(RULES)) | st.text(max_size=9),
        max_size=3,
    ),
)
def test_any_name_and_parameters_give_a_technique_or_a_spec_error(name, parameters):
    try:
        found = policy(name, **parameters)
    except SpecError:
        return
    assert parameters.items() <= found.parameters.items()


def test_a_name_is_the_technique_with_its_defaults(warm, asked):
    by_name, by_technique = am.time_step(*asked, "preserve"), am.time_step(*asked, policy("preserve"))
    assert by_name.identical(by_technique)
    assert by_name.attrs["technique"] == "preserve"
    assert json.loads(by_name.attrs["technique_parameters"]) == {"threshold": 1.0, "rule": "partial"}


def test_numbers_alone_are_no_technique(asked):
    with pytest.raises(SpecError, match=r"a name or what policy\(name, ...\) returns, not a Policy"):
        am.time_step(*asked, policy("preserve").numbers)


def test_one_more_technique_is_a_function_and_a_line(warm, asked, monkeypatch):
    """It times a step under its own name, with parameters of its own."""

    def halfway(share: float = 0.5) -> Policy:
        return Policy(RULES["partial"], share, 0.0)

    monkeypatch.setitem(policies.TECHNIQUES, "halfway", halfway)
    result = am.time_step(*asked, policy("halfway", share=0.25))
    assert result.attrs["technique"] == "halfway"
    assert json.loads(result.attrs["technique_parameters"]) == {"share": 0.25}
    known = am.time_step(*asked, policy("preserve", threshold=0.25, rule="partial"))
    assert float(result.step_time) == float(known.step_time)
    with pytest.raises(SpecError, match="unknown parameter of technique 'halfway' 'threshold'"):
        policy("halfway", threshold=1.0)


def test_a_technique_with_a_parameter_that_must_be_given(monkeypatch):
    monkeypatch.setitem(policies.TECHNIQUES, "needy", lambda share: Policy(NO_PREFETCH, share, 0.0))
    with pytest.raises(SpecError, match="technique 'needy': missing a required argument: 'share'; it takes share"):
        policy("needy")
    assert isinstance(policy("needy", share=0.5), Technique)
