"""InferSave and LLM-Pilot held against what they measured."""

from __future__ import annotations

import pytest

from accelmodel.validation.infersave import choice_quality, ctcf, job_cost, serving, throughputs


def test_no_fitted_row_is_among_the_unseen(warm):
    for name in ("longalpaca-13b", "starcoder", "gpt-neox-20b"):
        assert all(row["model"] == name for row, _, _ in serving(name))
    assert throughputs("physical", "online")["L4"] == pytest.approx(802.19, rel=0.01)  # the row that was fitted


def test_offline_hours_of_the_paper_follow_from_its_predicted_throughput(warm):
    """139 tokens/s make 3 whole hours of the T4, 2.13 USD as the text says; the L4 needs 1, not the printed 2."""
    assert job_cost("as-published", "offline", "g4dn.xlarge") == pytest.approx(2.13)
    assert job_cost("as-published", "offline", "g6.xlarge") == pytest.approx(1.167)


def test_calibration_repairs_where_it_was_fitted_and_not_elsewhere(warm):
    for row in ctcf():
        assert row["after"] < min(0.1, row["before"])
        # what was fitted to one model is no nearer on others than what was fitted to none
        assert row["physical"] <= min(0.35, row["elsewhere"])


def test_choice_quality_counts_every_case(warm):
    told = choice_quality()
    assert told["cases"] == 48.0
    assert told["overspend"] >= 0.0
    assert 0.0 <= told["right"] <= 1.0
