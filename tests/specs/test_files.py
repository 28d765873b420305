"""Files that others wrote: whatever kind of file it is, it is read within bounds or refused with the line."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelmodel.errors import SpecError
from accelmodel.specs import files
from accelmodel.specs.huggingface.read import read_config


def test_what_is_no_plain_file_is_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path, told in ((tmp_path / "pipe", "named pipe"), (tmp_path / "folder", "folder"), ("/dev/zero", "device")):
        with pytest.raises(SpecError, match=f"is a {told}, no file"):
            files.read_bytes(path)


def test_a_file_of_10_gb_is_not_read(tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(10**10)
    with pytest.raises(SpecError, match="larger than 1 MiB"):
        files.read_bytes(tmp_path / "large")


@pytest.mark.parametrize("name", ["none.toml", "x" * 5000, "a\0b"])
def test_names_of_no_file(tmp_path, name):
    with pytest.raises(SpecError, match="cannot be read") as told:
        files.read_bytes(tmp_path / name)
    assert "\0" not in str(told.value)


def test_rows_have_the_line_that_an_editor_shows(tmp_path):
    path = tmp_path / "table.csv"
    text = '# first\n\na, b\n1,2\n\n# between\n"3\n4",5\n6\n'
    path.write_text(text, encoding="utf-8-sig")
    assert files.read_table(path) == (
        ["a", "b"],
        [(4, {"a": "1", "b": "2"}), (7, {"a": "3\n4", "b": "5"}), (9, {"a": "6", "b": ""})],
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"a,b\n1,2,3\n", r":2: has 3 cells for 2 columns"),
        (b"a,b,a\n", r":1: column 'a' stands twice"),
        (b"a\n1\n\xff\n", r":3: is not UTF-8"),
        (b'a\n"' + b"x" * 200_000 + b'"\n', r":2: is not CSV"),
    ],
)
def test_tables_that_are_wrong_say_where(tmp_path, text, told):
    (tmp_path / "table.csv").write_bytes(text)
    with pytest.raises(SpecError, match=told):
        files.read_table(tmp_path / "table.csv")


def test_lines_of_toml():
    text = (
        '[device]\nname = """\nx = 1\n"""\nl2.ways = 8\n\n[l2] # cache\n  "capacity" = 1\n\n[[residual]]\nkind = "x"\n'
    )
    assert files.toml_lines(text) == {
        "device": 1, "device.name": 2, "device.l2.ways": 5, "l2": 7, "l2.capacity": 8,
        "residual": 10, "residual.kind": 11,
    }  # fmt: skip


@given(st.text(max_size=200))
def test_any_text_has_lines_within_it(text):
    lines = files.toml_lines(text)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())


def test_a_fault_of_a_config_names_its_line(tmp_path):
    path = tmp_path / "config.json"
    inner = '"hidden_size": 64,\n  "vocab_size": -1,\n  "num_hidden_layers": 2, "num_attention_heads": 4'
    path.write_text(f'{{\n "model_type": "llama", "vocab_size": 1,\n "text_config": {{\n  {inner}}}\n}}\n')
    with pytest.raises(SpecError, match=r"config\.json:5: text_config\.vocab_size: -1 is not allowed"):
        read_config(path)
