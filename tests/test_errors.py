"""What errors say: the closest names, at most a line of what was given, nothing that a terminal obeys."""

from __future__ import annotations

import numpy as np
import pytest

from accelmodel.errors import SpecError, brief, inside, listed, plain, unknown


def test_ten_names_at_most_the_closest_first():
    names = [f"device-{i:02}" for i in range(30)]
    said = str(unknown("device", "device-17x", names))
    assert "did you mean 'device-17'?" in said
    listed_names = said.partition("Allowed: ")[2]
    assert listed_names.startswith("device-17, ")
    assert listed_names.endswith(" and 20 more")
    assert listed_names.count(",") == 9


def test_few_names_stand_in_order():
    assert str(unknown("phase", "dream", ("prefill", "decode"))).endswith("Allowed: decode, prefill")


@pytest.mark.parametrize("given", ["x" * 10**6, 10**5000, [0] * 10**5, object(), np.eye(9)], ids=range(5))
def test_at_most_a_line_of_what_was_given_is_repeated(given):
    assert len(brief(given)) <= 60
    assert "\n" not in brief(given)
    assert len(str(unknown("device", given, ["a", "b"]))) < 150


@pytest.mark.parametrize("order", ["\x1b[31m", "\x07", "\r", "\n", "\u202e", "\u2066", "\u200b", "\x9b", "\ud800"])
def test_nothing_that_a_terminal_obeys_is_left(order):
    assert plain(f"a{order}b").isprintable()
    assert plain(f"a{order}b") != "ab"


def test_words_stay_as_they_are():
    assert plain("665.6 mm², 25 µs – [bold] é") == "665.6 mm², 25 µs – [bold] é"


def test_each_line_of_an_error_says_in_which_field_its_file_was_named():
    error = inside("study.device", listed(["a.toml:1: x: is missing", "a.toml:2: y: is missing"]))
    assert error.lines == ("study.device: a.toml:1: x: is missing", "study.device: a.toml:2: y: is missing")
    assert inside("study.bill", SpecError("no such file")).lines == ("study.bill: no such file",)
