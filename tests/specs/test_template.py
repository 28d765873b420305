"""Files to fill in load at once, and say whose values they hold."""

from __future__ import annotations

import re
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import accelmodel as am
from accelmodel.dse.studies.study import load_study
from accelmodel.errors import SpecError
from accelmodel.specs import find
from accelmodel.specs.base import field_types, value_of
from accelmodel.specs.template import DATA_SHEET, new_file

DEVICES = find.available("device")


def alike(one, other) -> bool:
    """Tell whether two values are the same but for what ten digits leave out."""
    return one == (pytest.approx(other, rel=1e-9) if isinstance(other, float) else other)


@pytest.mark.parametrize("name", DEVICES)
def test_a_new_device_is_its_neighbour_and_says_so(tmp_path, name):
    path = tmp_path / "new.toml"
    path.write_text(new_file("device", "new", name), encoding="utf-8")
    chip, near = am.load("device", str(path)), am.load("device", name)
    for field in field_types(type(near)):
        if field not in ("name", "price"):
            assert value_of(chip, field) == value_of(near, field), field
    assert all(fact.inherited for fact in chip.facts.values())
    assert any(f"from {name}, not measured on this chip" in note for note in chip.notes)


@pytest.mark.parametrize("name", DEVICES)
def test_every_line_of_it_may_be_uncommented_as_it_is(tmp_path, name):
    near = am.load("device", name)
    path = tmp_path / "new.toml"
    text = re.sub(r"^# (\w+ = )", r"\1", new_file("device", "new", name), flags=re.MULTILINE)
    path.write_text(text, encoding="utf-8")
    chip = am.load("device", str(path))
    for field in DATA_SHEET:
        assert alike(value_of(chip, field), value_of(near, field)), field
        assert chip.facts[field].source == "data-sheet", field


@pytest.mark.parametrize("kind", [k for k in find.FOLDERS if k not in ("device", "study", "sweep", "architecture")])
def test_a_new_file_of_any_kind_holds_its_neighbours_values_as_assumed(tmp_path, kind):
    for name in find.available(kind)[:4]:
        path = tmp_path / "new.toml"
        path.write_text(new_file(kind, "new", name), encoding="utf-8")
        made, near = am.load(kind, str(path)), am.load(kind, name)
        for field in field_types(type(near)):
            if field != "name":
                assert alike(value_of(made, field), value_of(near, field)), field
        assert {fact.kind for fact in made.facts.values()} == {"assumed"}


def test_a_new_study_is_read(tmp_path):
    path = tmp_path / "new.toml"
    path.write_text(new_file("study", "new", "preserve-l2"), encoding="utf-8")
    assert load_study(str(path)).space == load_study("preserve-l2").space


def test_without_a_neighbour_they_are_listed():
    with pytest.raises(SpecError, match=r"--like: .*mi300x"):
        new_file("device", "new", "")


@given(st.text())
@settings(max_examples=25)
def test_any_name_stands_in_a_new_file(name):
    """Quotes, backslashes, ends of lines and letters of any kind."""
    assert tomllib.loads(new_file("device", name, "h100-sxm"))["sources"]["data-sheet"]["title"].endswith(name)
    default = tomllib.loads(new_file("link", name, "pcie4-x16"))["default"]
    assert default["locator"] == f"as pcie4-x16; not known of {name}"
    assert "study" in tomllib.loads(new_file("study", name, "preserve-l2"))
