"""Raw tables of a GPU benchmark are read back as written, or refused by file, line and field."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rawtables import HEADER, PLANNED, matmul_row, store

from accelmodel.errors import SpecError
from accelmodel.measured.rawtable import TABLES, read_run, runs, write_header, write_table


def test_runs_are_found_at_any_depth_and_read_as_written(tmp_path):
    row = matmul_row(1, 512, 512, 1.25e-6)
    store(tmp_path / "h100-sxm" / "monday", matmul=[row])
    (found,) = runs(tmp_path)
    assert found.header == HEADER
    assert found.tables == {"matmul": [row]}
    assert runs(tmp_path / "nothing") == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",512,512,", ",512,51.5,", r"matmul\.csv:2: k is '51.5', expected int"),
        (",512,512,", ",512,-512,", "k is '-512' 1, expected a positive finite number"),
        ("1e-06,1e-06,1e-06", "nan,1e-06,1e-06", "time_s is 'nan' s, expected a positive finite number"),
        ("1e-06,1e-06,1e-06", "0.0,1e-06,1e-06", "time_s is '0.0' s, expected a positive finite number"),
        ("1e-06,1e-06,1e-06", "1e-06,,", "must be all given or all empty"),
        ("1e-06,1e-06,1e-06", "1e-06,1e-06", "has 11 cells, expected 12"),
        ("precision,", "precisions,", "columns are"),
    ],
)
def test_a_damaged_table_is_refused(old, new, message, tmp_path):
    store(tmp_path, matmul=[matmul_row(1, 512, 512, 1e-6)])
    path = tmp_path / "matmul.csv"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SpecError, match=message):
        read_run(tmp_path)


def test_times_in_a_dry_run_and_a_run_without_tables_are_refused(tmp_path):
    store(tmp_path / "made-up", {**PLANNED, "dry": True}, matmul=[matmul_row(1, 512, 512, 1e-6)])
    with pytest.raises(SpecError, match="a dry run measures nothing"):
        read_run(tmp_path / "made-up")
    write_header(tmp_path / "empty", HEADER)
    with pytest.raises(SpecError, match=r"none of matmul\.csv"):
        read_run(tmp_path / "empty")


def test_every_table_has_its_measured_columns_last():
    for columns in TABLES.values():
        assert [column.name for column in columns][-4:] == ["time_s", "low_s", "high_s", "note"]
        assert all(column.meaning for column in columns)


@given(st.text(), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
@settings(max_examples=100)
def test_any_name_and_note_are_read_back(tmp_path_factory, name, note):
    folder = store(tmp_path_factory.mktemp("run"), {**HEADER, "device_name": name, "command": note})
    write_table(folder, "matmul", [{**matmul_row(1, 512, 512, 1e-6), "note": note}])
    found = read_run(folder)
    assert (found.header["device_name"], found.header["command"]) == (name, note)
    assert found.tables["matmul"][0]["note"] == note
