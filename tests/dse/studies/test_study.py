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
    with pytest.raises(SpecError, match="space.l2_capacity stands twice"):
        load_study(str(path))
