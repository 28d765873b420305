"""Quantities at the border: what people write becomes SI, what is shown can be read again, all else is refused."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelmodel.errors import SpecError
from accelmodel.symbols import unit_factor
from accelmodel.units import parse, show

#: every SI unit that a field of a specification or an answer has
SHOWN = (
    "B", "B/s", "FLOP", "FLOP/s", "s", "W", "J", "m", "m2", "USD", "token", "token/s", "1", "1/s", "1/m2", "m2/B",
    "W/B", "USD/B", "USD/J",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("1GB", "B", 1e9),
        ("1GiB", "B", 2.0**30),
        ("192 MiB", "B", 201326592.0),
        ("104MB", "B", 104e6),
        ("8bit", "B", 1.0),
        ("100Gb", "B", 12.5e9),
        ("400Gbps", "B/s", 50e9),
        ("400 Gb/s", "B/s", 50e9),
        ("1Gibps", "B/s", 2.0**30 / 8),
        ("2TiB/s", "B/s", 2.0 * 2.0**40),
        ("3.35TB/s", "B/s", 3.35e12),
        ("25GBps", "B/s", 25e9),
        ("18us", "s", 18e-6),
        ("18µs", "s", 18e-6),
        ("1.5 ms", "s", 1.5e-3),
        ("2h", "s", 7200.0),
        ("3min", "s", 180.0),
        ("1.8GHz", "1/s", 1.8e9),
        ("989 TFLOP/s", "FLOP/s", 989e12),
        ("989TFLOPS", "FLOP/s", 989e12),
        ("707.8 TOP/s", "FLOP/s", 707.8e12),
        ("707.8 TOPS", "FLOP/s", 707.8e12),
        ("1 PFLOP", "FLOP", 1e15),
        ("665.6 mm2", "m2", 665.6e-6),
        ("665.6 mm²", "m2", 665.6e-6),
        ("2.5cm2", "m2", 2.5e-4),
        ("2.5mm2/MB", "m2/B", 2.5e-12),
        ("0.6 mm2/MiB", "m2/B", 0.6e-6 / 2**20),
        ("300mm", "m", 0.3),
        ("0.0015 1/mm2", "1/m2", 1500.0),
        ("16 USD/GB", "USD/B", 1.6e-8),
        ("10kUSD", "USD", 10e3),
        ("400W", "W", 400.0),
        ("0.1 W/MiB", "W/B", 0.1 / 2**20),
        ("80%", "1", 0.8),
        ("24", "1", 24.0),
        ("1e3", "1", 1000.0),
        ("0", "B", 0.0),
        (" +.5e1 ", "1", 5.0),
        ("-3GB", "B", -3e9),
    ],
)
def test_value_by_hand(text, unit, value):
    assert parse(text, unit) == pytest.approx(value, rel=1e-15)


def test_a_number_is_taken_to_be_in_si():
    assert parse(104e6, "B") == 104e6
    assert parse(7, "1") == 7.0


@pytest.mark.parametrize(
    ("text", "unit", "near", "write"),
    [
        ("104", "B", 192e6, "104MB"),
        ("80", "B", 64e9, "80GB"),
        ("3350", "B/s", 1.6e12, "3350GB/s"),
        ("3.35", "B/s", 1.6e12, "3.35TB/s"),
        ("7", "B/s", 4e9, "7GB/s"),
        ("500", "s", 0.0, "500ms"),
        ("2", "s", 3600.0, "2h"),
        ("1.8", "1/s", 0.0, "1.8GHz"),
        ("665.6", "m2", 0.0, "665.6mm2"),
        ("20000", "USD", 0.0, "20000USD"),
        ("104M", "B", 0.0, "104MB"),
        ("104mb", "B", 0.0, "104MB"),
        ("3.35t", "B/s", 0.0, "3.35TB/s"),
    ],
)
def test_text_without_a_unit_is_refused_with_what_to_write(text, unit, near, write):
    with pytest.raises(SpecError, match=re.escape(f": write {write}") + "$") as told:
        parse(text, unit, what="it", near=near)
    assert str(told.value).startswith(f"it: {text!r}")
    parse(write, unit)


def test_decimal_and_binary_prefixes_differ():
    assert parse("1GiB", "B") / parse("1GB", "B") == pytest.approx(1.073741824)
    assert parse("1Gibps", "B/s") / parse("1Gbps", "B/s") == pytest.approx(1.073741824)
    assert parse("1GB", "B") == 8 * parse("1Gb", "B")


@pytest.mark.parametrize(
    ("text", "unit", "says"),
    [
        ("14GB", "B/s", "is in B, expected B/s"),
        ("14GB/s", "B", "is in B/s, expected B"),
        ("5us", "B", "is in s"),
        ("5mm", "m2", "is in m, expected m2"),
        ("5parsecs", "B", "unknown unit 'parsecs'"),
        ("5mB", "B", "unknown unit 'mB'"),
        ("5Kis", "s", "unknown unit 'Kis'"),
        ("5GB/s/s", "B/s", "unknown unit"),
        ("5/", "B", "unknown unit"),
        ("nan", "B", "not a number"),
        ("inf", "B", "not a number"),
        ("1e999", "B", "not a finite number"),
        ("1e300EB", "B", "not a finite number"),
        ("", "B", "not a number"),
        ("GB", "B", "not a number"),
        ("0x10", "B", "unknown unit"),
        ("1,5GB", "B", "unknown unit"),
        (-math.inf, "B", "not a number"),
        (True, "B", "not a number"),
        (None, "B", "not a number"),
    ],
)
def test_refused_naming_the_option(text, unit, says):
    with pytest.raises(SpecError) as caught:
        parse(text, unit, what="--l2")
    assert says in str(caught.value)
    assert str(caught.value).startswith("--l2: ")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (3.35e12, "B/s", "3.35 TB/s"),
        (201326592.0, "B", "201.3 MB"),
        (0.0, "B", "0 B"),
        (0.2, "B", "0 B"),
        (0.7, "B", "0.7 B"),
        (2.5e-5, "s", "25 µs"),
        (90.0, "s", "90 s"),
        (6.656e-4, "m2", "665.6 mm²"),
        (0.6e-6 / 2**20, "m2/B", "0.5722 mm²/MB"),
        (1.6e-8, "USD/B", "16 USD/GB"),
        (1.8e9, "1/s", "1.8 GHz"),
        (1500.0, "1/m2", "1500 1/m2"),
        (0.3, "m", "300 mm"),
        (16854.0, "USD", "1.685e+04 USD"),
        (0.6, "1", "0.6"),
        (-8e6, "B", "-8 MB"),
    ],
)
def test_shown_by_hand(value, unit, text):
    assert show(value, unit) == text


def test_digits():
    assert show(123456789.0, "B", 3) == "123 MB"
    assert show(123456789.0, "B", 6) == "123.457 MB"


def test_what_is_not_finite_is_shown_as_it_is():
    assert show(math.nan, "s") == "nan s"
    assert show(math.inf, "B") == "inf B"


@given(value=st.floats(1e-18, 1e24) | st.floats(-1e24, -1e-18), unit=st.sampled_from(SHOWN), digits=st.integers(2, 12))
def test_what_is_shown_reads_back(value, unit, digits):
    """Within half of the last digit shown; less than half a byte is shown as none."""
    if unit == "B" and abs(value) < 0.5:
        assert show(value, unit, digits) == "0 B"
        return
    again = parse(show(value, unit, digits), unit)
    assert again == pytest.approx(value, rel=0.51 * 10.0 ** (1 - digits) + 1e-12)


@given(
    text=st.text(max_size=40)
    | st.from_regex(r"[-+]?\d{1,4}(\.\d+)?([eE]-?\d{1,4})? ?[A-Za-zµ²%/0-9]{0,8}", fullmatch=True),
    unit=st.sampled_from(SHOWN),
)
def test_any_text_gives_a_finite_number_or_a_spec_error(text, unit):
    try:
        value = parse(text, unit, what="--option")
    except SpecError:
        return
    assert math.isfinite(value)


@given(st.text(max_size=12))
def test_any_unit_gives_a_factor_or_a_spec_error(unit):
    try:
        dimension, factor = unit_factor(unit)
    except SpecError:
        return
    assert dimension
    assert factor > 0.0
