"""What to write in place of numbers as people write them elsewhere; it is always a number that can be read."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelmodel.cli.spelling import spelling


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("16k", "write 16384 (16 x 1024) or 16000"),
        ("0.5M", "write 524288 (0.5 x 1048576) or 500000"),
        ("128Ki", "write 131072 (128 x 1024) or 128000"),
        ("int8", "write 8"),
        ("FP16", "write 16"),
        ("bf16", "write 16"),
        ("e4m3_fp8", "write 8"),
        ("8bit", "write 8"),
        ("4096.0", "write 4096"),
        ("1_000", "write 1000"),
        ("3USD/h", "its unit is the one that --help names; write 3"),
        ("many", ""),
        ("", ""),
    ],
)
def test_what_to_write(text, says):
    assert spelling(text) == says


@given(st.text(max_size=30) | st.from_regex(r"\d{1,4}[kKmM]i?|int\d|\d+(,\d+)*|[-+.\deE]{1,8}", fullmatch=True))
def test_what_it_says_to_write_needs_no_other_spelling(text):
    said = spelling(text, many=True)
    for number in re.findall(r"write ([\d,]+)", said):
        assert all(part.isdecimal() for part in number.split(","))
