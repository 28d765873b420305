"""Which matrix unit works on numbers of which format, on chips that have and lack it."""

from __future__ import annotations

import pytest
import xarray as xr

from accelmodel.errors import SpecError
from accelmodel.specs.formats import FORMATS, Bits, Words, bits_of, narrowness, plain_bits, worked
from accelmodel.specs.given import override, workload
from accelmodel.specs.load import load


def compute(**peaks):
    """A chip of 100 TFLOP/s at 16 bit, with those other peaks [TFLOP/s]."""
    none = dict.fromkeys(("peak_8bit_float", "peak_8bit_int", "peak_6bit", "peak_4bit", "peak_4bit_int"), 0.0)
    given = {"peak_16bit": 100.0, "vector_rate": 10.0, **none, **peaks}
    return override(
        load("device", "h100-sxm"), {f"compute.{name}": 1e12 * peak for name, peak in given.items()}
    ).compute


INTEGERS = compute(peak_8bit_int=200.0, peak_4bit_int=400.0)
FLOATS = compute(peak_8bit_float=200.0)
BOTH = compute(peak_8bit_float=200.0, peak_8bit_int=400.0)
ALL = compute(peak_8bit_float=200.0, peak_8bit_int=200.0, peak_6bit=200.0, peak_4bit=400.0)
NARROW = compute(peak_8bit_float=200.0, peak_8bit_int=10.0)
NOTHING = compute()


@pytest.mark.parametrize(
    ("chip", "bits", "words", "bits_worked", "integer"),
    [
        # a number takes the fastest
        (INTEGERS, 8.0, Words(), 8.0, 1.0),
        (FLOATS, 8.0, Words(), 8.0, 0.0),
        (BOTH, 8.0, Words(), 8.0, 1.0),
        (NOTHING, 8.0, Words(), 16.0, 0.0),
        # a format takes its own, or 16 bit
        (INTEGERS, 8.0, Words("fp8"), 16.0, 0.0),
        (BOTH, 8.0, Words("fp8"), 8.0, 0.0),
        (FLOATS, 8.0, Words("int8"), 16.0, 0.0),
        (NARROW, 8.0, Words("int8"), 16.0, 0.0),
        (BOTH, 8.0, Words("fp8", "int8"), 8.0, 1.0),
        # below 8 bit
        (ALL, 6.0, Words(), 6.0, 0.0),
        (FLOATS, 6.0, Words(), 8.0, 0.0),
        (ALL, 4.0, Words(), 4.0, 0.0),
        (INTEGERS, 4.0, Words(), 4.0, 1.0),
        (FLOATS, 4.0, Words(), 8.0, 0.0),
        (ALL, 4.5, Words("nvfp4"), 4.0, 0.0),
        (FLOATS, 4.5, Words("nvfp4"), 16.0, 0.0),
        (INTEGERS, 4.5, Words("nvfp4"), 16.0, 0.0),
        (ALL, 4.0, Words("nf4"), 16.0, 0.0),
        # floats of 8 bit beside floats of 4
        (BOTH, 8.0, Words("mxfp4"), 8.0, 0.0),
        # what is at 16 bit says nothing of 8
        (INTEGERS, 8.0, Words("bf16"), 8.0, 1.0),
        # scales cost no rate
        (BOTH, 8.002, Words("fp8"), 8.0, 0.0),
        (BOTH, 8.25, Words("mxfp8"), 8.0, 0.0),
    ],
)
def test_numbers_are_worked_on_where_a_chip_has_a_unit(chip, bits, words, bits_worked, integer):
    found = worked(bits, bits, words, chip)
    assert (found.bits, found.integer) == (bits_worked, integer)


def test_the_wider_of_weights_and_activations_decides():
    assert worked(4.25, 16.0, Words("mxfp4"), ALL).bits == 16.0
    assert worked(4.156, 8.0, Words("int4", "fp8"), ALL).names == {8.0: "fp8"}
    assert (narrowness(4.25, 16.0), narrowness(4.5, 4.0)) == (4.25 / 16.0, 1.0)


def test_along_an_axis_each_point_has_its_own():
    bits = xr.DataArray([16.0, 8.0, 4.25], dims="bits")
    found = worked(bits, bits, Words(), INTEGERS)
    assert found.bits.values.tolist() == [16.0, 8.0, 4.0]
    assert found.integer.values.tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("bits", "plain"), [(3.0, 4.0), (4.156, 4.0), (5.0, 4.0), (6.25, 6.0), (8.25, 8.0), (12.0, 16.0)]
)
def test_scales_and_a_few_other_layers_do_not_change_what_is_worked_at(bits, plain):
    assert plain_bits(bits) == plain


def test_bits_may_be_a_format():
    assert isinstance(bits_of("fp8"), Bits)
    assert (bits_of("nvfp4"), bits_of("int4"), bits_of("int4", activations=True)) == (4.5, 4.15625, 4.0)
    with pytest.raises(SpecError, match="did you mean 'fp8'"):
        bits_of("fp88")


@pytest.mark.parametrize("word", FORMATS)
def test_a_workload_takes_formats_for_bits(word):
    work = workload(phase="decode", batch=1, context=1, weight_bits=word, activation_bits=word, kv_bits=word)
    form = FORMATS[word]
    assert (work.weight_bits, work.activation_bits, work.kv_bits) == (form.weight, form.activation, form.weight)
    assert (work.weight_format, work.activation_format) == (word, word)
