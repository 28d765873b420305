"""What the commands write to files."""

from __future__ import annotations

import pytest

import accelmodel as am
from accelmodel.cli import terminal


def test_a_table_that_cannot_be_written(tmp_path):
    with pytest.raises(am.SpecError, match="cannot be written"):
        terminal.write_text(tmp_path / "nowhere" / "table.md", "")
