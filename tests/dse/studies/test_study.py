"""Studies as files: axes by either of their names, each once."""

from __future__ import annotations

import pytest

from accelmodel.dse.studies.study import load_study
from accelmodel.errors import SpecError
from accelmodel.specs import facts

SHIPPED = (facts.root() / "studies" / "preserve-l2.toml").read_text(encoding="utf-8")
LINE = 'l2_capacity = { from = "8MB", to = "256MB", step = "8MB" }'


@pytest.mark.parametrize("name", ['"l2.capacity"', "l2.capacity", "l2_capacity"])
def test_an_axis_goes_by_either_name(tmp_path, name):
    path = tmp_path / "mine.toml"
    path.write_text(SHIPPED.replace("l2_capacity =", f"{name} ="), encoding="utf-8")
    assert load_study(str(path)).axes()["l2_capacity"].grid.tolist() == load_study().axes()["l2_capacity"].grid.tolist()


def test_an_axis_in_two_spellings_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SHIPPED.replace(LINE, f'{LINE}\n"l2.capacity" = {{ values = ["16MB"] }}'), encoding="utf-8")
    with pytest.raises(SpecError, match="the same axis as space.l2_capacity"):
        load_study(str(path))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seed = 0", "sead = 0", r"study: unknown key 'sead', did you mean 'seed'\?"),
        ("die_area =", "dye_area =", r"constraints: unknown key 'dye_area', did you mean 'die_area'\?"),
        ("[constraints]", "[constrains]", r"unknown table 'constrains', did you mean 'constraints'\?"),
        ('phase = "end-to-end"', 'phase = "train"', "workload.phase: unknown phase 'train'"),
        ('rule = ["partial"]', 'rule = ["part"]', "software.rule: unknown admission rule 'part'"),
        ('claims = "preserve"', 'claims = "reserve"', "study.claims: unknown file of published claims 'reserve'"),
        ("[constraints]", "[rules]\na = \"process == 'n77'\"\n[constraints]", "rules.a: unknown process 'n77'"),
        ("[constraints]", "[rules]\na = \"cores == 'n7'\"\n[constraints]", "rules.a: cores is a number, not 'n7'"),
    ],
)
def test_a_key_or_word_that_there_is_not_is_answered_with_what_there_is(tmp_path, old, new, said):
    path = tmp_path / "mine.toml"
    assert old in SHIPPED
    path.write_text(SHIPPED.replace(old, new), encoding="utf-8")
    with pytest.raises(SpecError, match=said):
        load_study(str(path))
